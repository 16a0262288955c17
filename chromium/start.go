package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Options say which browser to start and how. The zero value starts the browser
// that Find finds, headless, lean, sandboxed, on a temporary directory.
type Options struct {
	// Binary is the browser's path or name; "" means Find's choice.
	Binary string
	// UserDataDir is where the browser keeps its profile. It is made if need be,
	// and must not be used by another browser. "" means a temporary directory
	// that is removed at the end.
	UserDataDir string
	// Disposable says that nobody needs UserDataDir after the bridge: when the
	// bridge dies, the browser is killed instead of asked to end.
	Disposable bool
	// TempDir is where temporary directories are made; "" means os.TempDir().
	TempDir string
	// Headful opens windows, on the display that the environment names.
	Headful bool
	// Flags is Lean, Stock or Fast.
	Flags FlagSet
	// Args are further switches of Chromium. The later of two wins there, so they
	// win over the package's; only features are merged. Those that the package
	// must decide itself are refused with an *ArgumentError.
	Args []string
	// DisableFeatures and EnableFeatures are Chromium's feature names, beside
	// those in Args. They win over the package's.
	DisableFeatures, EnableFeatures []string
	// NoSandbox starts Chromium without its sandbox: any page that finds a bug
	// in it then has all rights of Chromium's user.
	NoSandbox bool
	// User is who runs Chromium, when the bridge is root (Linux only). nil means
	// the user cdpbridge, chromium or nobody, the first that there is.
	User *User
	// DebuggingPort has the browser listen on a port of 127.0.0.1 too, which it writes
	// to the file DevToolsActivePort in its directory: every program of the machine
	// can drive it. It is for a browser of a moment that has nothing to hide.
	DebuggingPort bool
	// Env are further environment variables, as "name=value".
	Env []string
	// Preferences and LocalState are merged into the files Default/Preferences
	// and Local State before the start, objects member by member.
	Preferences, LocalState map[string]any
	// CodeCacheDir is where Chromium keeps the code that it has compiled, made if it
	// is missing; "" means in UserDataDir.
	CodeCacheDir string
	// NetLog makes Chromium log all of its network traffic, for Process.NetLog to
	// read: "Default", "IncludeSensitive" or "Everything", Chromium's capture
	// modes. "" is no log. Not on Windows.
	NetLog string
	// Log receives each line that the browser writes to stderr. It must not wait:
	// Chromium stands still when nobody reads.
	Log func(line string)
}

// Start starts a browser and returns as soon as its process runs; that it works
// is seen by its first answer on the pipe, and that it does not by Done and Exit.
// ctx bounds the start alone, not the life of the browser. When the bridge dies,
// the browser does too. The caller ends it with Close or Kill.
//
// Errors, besides those of Find: *ArgumentError, *LockedError,
// *DirectoryError, *UnreachableDirError, and *StartError.
func Start(ctx context.Context, o Options) (*Process, error) {
	binary, err := Find(o.Binary)
	if err != nil {
		return nil, err
	}
	u, err := chooseUser(o.User)
	if err != nil {
		return nil, err
	}
	if err := reachable(u, binary); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if _, err := flags(o, ""); err != nil {
		return nil, err // before anything is made
	}
	space, err := openWorkspace(ctx, o, u)
	if err != nil {
		return nil, err
	}
	p, err := start(binary, o, space)
	if err != nil {
		return nil, errors.Join(err, space.close())
	}
	if err := space.lock.record(p.PID()); err != nil {
		return nil, errors.Join(directoryError(space.dir, space.user, err), p.Kill(), p.netLog.Close())
	}
	return p, nil
}

// StartError says that the browser's process could not be started.
type StartError struct {
	Binary string
	Err    error
}

func (e *StartError) Error() string {
	return fmt.Sprintf("chromium: cannot start %s: %v; check that it runs from a shell, as the same user", e.Binary, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }

func start(binary string, o Options, space *workspace) (*Process, error) {
	args, err := flags(o, space.dir)
	if err != nil {
		return nil, err
	}
	var netLog *netLogPipe
	if o.NetLog != "" {
		if netLog, err = space.openNetLog(); err != nil {
			return nil, err
		}
		args = append(args, netLog.args(o.NetLog)...)
	}
	ends, err := openEnds()
	if err != nil {
		return nil, errors.Join(&StartError{Binary: binary, Err: err}, netLog.Close())
	}
	defer ends.closeTheirs()

	cmd := exec.Command(binary, args...)
	cmd.Dir = space.scratch.path
	cmd.Env = space.environment(o.Env)
	cmd.Stderr = ends.theirLog
	cmd.SysProcAttr = sysProcAttr(space.user, o.Disposable || o.UserDataDir == "")
	connect(cmd, ends)

	p := &Process{
		cmd: cmd, space: space, temporary: o.UserDataDir == "", netLog: netLog,
		read: ends.read, write: ends.write,
		drained: make(chan struct{}), swept: make(chan struct{}), done: make(chan struct{}),
	}
	started := make(chan error)
	go p.supervise(started, ends.log)
	if err := <-started; err != nil {
		ends.closeOurs()
		return nil, errors.Join(&StartError{Binary: binary, Err: err}, netLog.Close())
	}
	go p.drain(ends.log, o.Log)
	go func() {
		defer close(p.swept)
		for _, s := range space.scratches() {
			sweep(filepath.Dir(s.path))
		}
	}()
	return p, nil
}

// ends are the ends of the pipes between the bridge and the browser.
type ends struct {
	read, write, log                *os.File // ours
	theirRead, theirWrite, theirLog *os.File // the browser's
}

func openEnds() (*ends, error) {
	e := &ends{}
	for _, pipe := range []struct{ read, write **os.File }{
		{&e.theirRead, &e.write}, {&e.read, &e.theirWrite}, {&e.log, &e.theirLog},
	} {
		var err error
		if *pipe.read, *pipe.write, err = os.Pipe(); err != nil {
			e.closeOurs()
			e.closeTheirs()
			return nil, err
		}
	}
	return e, nil
}

func (e *ends) closeOurs()   { closeAll(e.read, e.write, e.log) }
func (e *ends) closeTheirs() { closeAll(e.theirRead, e.theirWrite, e.theirLog) }

// closeAll closes files that nobody has written to but through a pipe, whose
// closing cannot fail in a way that matters. A nil file is none.
func closeAll(files ...*os.File) {
	for _, file := range slices.DeleteFunc(files, func(f *os.File) bool { return f == nil }) {
		_ = file.Close()
	}
}
