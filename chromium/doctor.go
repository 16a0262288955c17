package chromium

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// Status is the outcome of a Check.
type Status int

const (
	OK   Status = iota // as it should be
	Warn               // something will not work that not everybody needs
	Fail               // a browser will not start, or not safely
)

// String is "ok", "warn" or "fail".
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Warn:
		return "warn"
	case Fail:
		return "fail"
	}
	return fmt.Sprintf("Status(%d)", int(s))
}

// Check is one fact about the machine.
type Check struct {
	Name   string // what was looked at: "browser", "sandbox", …
	Status Status
	Detail string // what was found
	Advice string // what to do, "" when all is well
}

// Diagnose looks whether a browser would start here with these options, and what
// would be missing then, without starting one.
func Diagnose(ctx context.Context, o Options) []Check {
	u, err := chooseUser(o.User)
	who := Check{Name: "user", Detail: "Chromium runs as the bridge's own user"}
	switch {
	case err != nil:
		who = Check{Name: "user", Status: Fail, Detail: err.Error(), Advice: "leave Options.User empty, or give an unprivileged user"}
	case u != nil:
		who.Detail = fmt.Sprintf("the bridge is root; Chromium runs as %s (uid %d)", u, u.UID)
	}
	binary, checks := diagnoseBinary(ctx, o, u)
	checks = append(checks, who, diagnoseDirectories(o, u))
	return append(checks, diagnoseSystem(ctx, o, u, binary)...)
}

func diagnoseBinary(ctx context.Context, o Options, u *User) (string, []Check) {
	binary, err := Find(o.Binary)
	if err == nil {
		err = reachable(u, binary)
	}
	if err != nil {
		advice := installAdvice(runtime.GOOS)
		var unreachable *UnreachableDirError
		if errors.As(err, &unreachable) {
			advice = "install the browser where every user can run it"
		}
		return "", []Check{{Name: "browser", Status: Fail, Detail: err.Error(), Advice: advice}}
	}
	check := Check{Name: "browser", Detail: binary}
	version, err := ProbeVersion(ctx, binary)
	if err != nil {
		return binary, []Check{check, {Name: "version", Status: Fail, Detail: err.Error(), Advice: "update the browser, or set $" + BinaryVariable + " to another"}}
	}
	return binary, []Check{check, {Name: "version", Detail: version.String()}}
}

// diagnoseDirectories makes a temporary directory as a start would.
func diagnoseDirectories(o Options, u *User) Check {
	check := Check{Name: "temporary directory", Detail: cmp.Or(o.TempDir, os.TempDir())}
	s, err := newScratch(o.TempDir, u)
	programs := true
	if err == nil {
		programs = s.holdsPrograms()
		err = errors.Join(reachable(u, s.tmp()), s.remove())
	}
	if !programs {
		check.Status, check.Advice = Warn, "programs cannot run there (noexec), nor be found where the path has a colon; if the same holds for /tmp, Chromium can start programs of the desktop for links such as mailto: set TMPDIR to another directory"
	}
	if err != nil {
		check.Status, check.Detail, check.Advice = Fail, err.Error(), "set TMPDIR to a directory that Chromium's user can reach, on a disk with space"
	}
	return check
}
