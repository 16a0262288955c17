package chromium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// lockName is the file that a bridge holds locked as long as it uses a
// directory. The kernel lets go of the lock when the bridge dies. It contains
// the process ids of the bridge and of its browser, for those it keeps out.
const lockName = ".bridge.lock"

// orphanPatience is how long a browser whose bridge has died may take to write
// its data and go, before it is killed.
const orphanPatience = 5 * time.Second

// errHeld says that another process holds the lock.
var errHeld = errors.New("held by another process")

// LockedError says that a user data directory is in use.
type LockedError struct {
	Dir     string
	PID     int    // who holds it, 0 when unknown
	Command string // its command line, "" when unknown
}

func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	if e.Command != "" {
		who += fmt.Sprintf(" (%.200s)", e.Command)
	}
	return fmt.Sprintf("chromium: directory %s is in use by %s; end it, or use another directory", e.Dir, who)
}

// lock is a held lock on a directory.
type lock struct {
	file    *os.File
	browser int // the browser of the bridge that held it before, 0 if none
}

// acquire takes the lock of the directory without waiting. When it is held, the
// error is errHeld and bridge is who holds it, as far as is known.
func acquire(files *Files) (l *lock, bridge int, err error) {
	file, err := files.Open(lockName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, 0, err
	}
	bridge, browser := readLock(file)
	if err := lockFile(file); err != nil {
		_ = file.Close()
		return nil, bridge, err
	}
	// Whoever held the lock may have removed file and directory meanwhile.
	if !files.isStill(lockName, file) {
		_ = file.Close()
		return nil, bridge, fs.ErrNotExist
	}
	return &lock{file: file, browser: browser}, bridge, nil
}

func readLock(file *os.File) (bridge, browser int) {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 64))
	if err != nil {
		return 0, 0
	}
	// A half-written line leaves what could not be read at 0: unknown.
	_, _ = fmt.Sscan(string(text), &bridge, &browser)
	return bridge, browser
}

// record writes who holds the lock; browser is 0 before it runs.
func (l *lock) record(browser int) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendf(nil, "%d %d\n", os.Getpid(), browser), 0)
	return err
}

func (l *lock) release() { _ = l.file.Close() }

// lockDirectory makes the directory ours: against other bridges by our lock,
// against other browsers by Chromium's own. A stale lock of Chromium is removed,
// and a browser left behind by a dead bridge is waited for and then killed.
func lockDirectory(ctx context.Context, dir string, files *Files) (*lock, error) {
	l, bridge, err := acquire(files)
	if errors.Is(err, errHeld) {
		return nil, &LockedError{Dir: dir, PID: bridge, Command: commandLine(bridge)}
	}
	if err != nil {
		return nil, directoryError(dir, files.user, err)
	}
	err = takeOver(ctx, dir, files, l.browser)
	if err == nil {
		if err = l.record(0); err != nil {
			err = directoryError(dir, files.user, err)
		}
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// takeOver makes sure that no browser uses the directory. Chromium marks that by
// the symbolic links SingletonLock, to "host-pid", and SingletonSocket, to a
// socket it listens on; both stay behind when it is killed.
func takeOver(ctx context.Context, dir string, files *Files, orphan int) error {
	target, err := files.Readlink("SingletonLock")
	if err != nil {
		return nil // none, or not of Chromium's making
	}
	i := strings.LastIndexByte(target, '-')
	pid, _ := strconv.Atoi(target[i+1:])
	host := target[:max(i, 0)]
	if pid > 1 && pid == orphan && ownedBy(pid, files.user) {
		if err := outlive(ctx, pid, func() bool { return inUse(dir, files, host, pid) }); err != nil {
			return err
		}
	}
	if inUse(dir, files, host, pid) {
		return &LockedError{Dir: dir, PID: pid, Command: commandLine(pid)}
	}
	for _, name := range []string{"SingletonLock", "SingletonSocket", "SingletonCookie"} {
		_ = files.Remove(name) // what cannot be removed, Chromium will say
	}
	return nil
}

// inUse says whether the browser that made the links still lives: somebody
// listens on its socket, or its process is there and names the directory (its
// socket may lie in a private /tmp). Process ids of another host, which is
// another container as a rule, mean nothing here.
func inUse(dir string, files *Files, host string, pid int) bool {
	if socket, err := files.Readlink("SingletonSocket"); err == nil {
		var conn net.Conn
		err := files.user.do(func() (err error) {
			conn, err = net.DialTimeout("unix", socket, time.Second)
			return err
		})
		if err == nil {
			_ = conn.Close()
			return true
		}
	}
	here, err := os.Hostname()
	return err == nil && host == here && strings.Contains(commandLine(pid), "--user-data-dir="+dir)
}

// outlive waits until the orphan is gone, and kills it when that takes too long.
// One that cannot be killed is waited for as long as the start may take.
func outlive(ctx context.Context, pid int, alive func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(orphanPatience)
	defer patience.Stop()
	for alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C:
			treeOf(pid).kill()
		}
	}
	return nil
}
