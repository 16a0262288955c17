package chromium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// UnreachableDirError says that Chromium's user cannot get to a path.
type UnreachableDirError struct {
	Path    string // where it must get
	Blocked string // the directory on the way that does not let it through
	User    string
}

func (e *UnreachableDirError) Error() string {
	return fmt.Sprintf("chromium: user %s cannot reach %s: %s does not let it through; allow it (chmod o+x %s), use another path, or give Options.User one who can",
		e.User, e.Path, e.Blocked, e.Blocked)
}

// Unwrap makes errors.Is(err, fs.ErrPermission) true.
func (e *UnreachableDirError) Unwrap() error { return fs.ErrPermission }

// homeName is the directory in the user data directory that is the home of a
// Chromium that runs as another user than the bridge.
const homeName = ".home"

// workspace is the directories of one host, locked for it.
type workspace struct {
	user      *User
	scratch   *scratch
	short     *scratch // where TMPDIR and the stand-ins are when scratch cannot hold them, else nil
	dir       string   // the user data directory
	codeCache string   // empty if it is in there
	lock      *lock
}

// openWorkspace makes, checks and locks the directories of a host and writes its
// preferences. Nothing of it is left when that fails.
func openWorkspace(ctx context.Context, o Options, u *User) (w *workspace, err error) {
	w = &workspace{user: u}
	if w.scratch, err = newScratch(o.TempDir, u); err != nil {
		return nil, err
	}
	if !w.scratch.holdsSocket() || !w.scratch.holdsPrograms() {
		w.short, err = newScratch("/tmp", u)
	}
	if err != nil && w.scratch.holdsSocket() {
		err = nil // it runs without stand-ins that work; Diagnose tells of it
	}
	if err == nil {
		err = w.prepare(ctx, o)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *workspace) prepare(ctx context.Context, o Options) (err error) {
	if err := reachable(w.user, w.tmp()); err != nil {
		return err
	}
	if err := w.makeStandIns(); err != nil {
		return directoryError(w.tmp(), nil, err)
	}
	if o.UserDataDir == "" {
		w.dir = w.scratch.profile()
		err = makeOwned(w.dir, w.user)
	} else {
		w.dir, err = makeUserDataDir(o.UserDataDir, w.user)
	}
	if err != nil {
		return err
	}
	files, err := OpenFiles(w.dir, w.user)
	if err != nil {
		return directoryError(w.dir, w.user, err)
	}
	defer files.Close()
	if w.lock, err = lockDirectory(ctx, w.dir, files); err != nil {
		return err
	}
	if o.CodeCacheDir != "" {
		if w.codeCache, err = makeUserDataDir(o.CodeCacheDir, w.user); err != nil {
			return err
		}
	}
	if err := errors.Join(files.MkdirAll(homeName), writePreferences(files, o), placeCodeCache(files, w.codeCache)); err != nil {
		return directoryError(w.dir, w.user, err)
	}
	return nil
}

// close removes what is temporary and lets go of the rest.
func (w *workspace) close() error {
	if w.lock != nil {
		w.lock.release()
	}
	var errs []error
	for _, s := range w.scratches() {
		if err := s.remove(); err != nil {
			errs = append(errs, directoryError(s.path, nil, err))
		}
	}
	return errors.Join(errs...)
}

// scratches are the host's directories for temporary files.
func (w *workspace) scratches() []*scratch {
	if w.short == nil {
		return []*scratch{w.scratch}
	}
	return []*scratch{w.scratch, w.short}
}

func (w *workspace) tmp() string {
	if w.short != nil {
		return w.short.tmp()
	}
	return w.scratch.tmp()
}

// makeUserDataDir returns the real, absolute path of a directory that belongs to
// the user, and makes it if need be.
func makeUserDataDir(dir string, u *User) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	err = u.do(func() error { return os.MkdirAll(dir, 0o700) })
	if u != nil && errors.Is(err, fs.ErrPermission) {
		err = makeForUser(dir)
	}
	if err != nil {
		return "", directoryError(dir, u, err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", directoryError(dir, u, err)
	}
	if u == nil {
		return dir, nil
	}
	if err := reachable(u, dir); err != nil {
		return "", err
	}
	if err := adopt(dir, u); err != nil {
		return "", directoryError(dir, u, err)
	}
	return dir, nil
}

// makeForUser makes, as root, a directory where the user may not.
func makeForUser(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// adopt gives the user a directory that is root's and still empty, as an
// administrator or a container's volume makes it. A directory of somebody else,
// or with contents, is not taken.
func adopt(dir string, u *User) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil || isOwnedBy(info, u) {
		return err
	}
	if _, err := d.Readdirnames(1); !errors.Is(err, io.EOF) || !isOwnedBy(info, nil) {
		return &fs.PathError{Op: "use", Path: dir, Err: fs.ErrPermission}
	}
	return errors.Join(d.Chown(int(u.UID), int(u.GID)), d.Chmod(0o700))
}

// reachable checks that the user may pass through every directory above path.
func reachable(u *User, path string) error {
	if u == nil {
		return nil
	}
	return u.do(func() error {
		for i := range path {
			if i == 0 || path[i] != filepath.Separator {
				continue
			}
			if _, err := os.Stat(path[:i] + "/."); errors.Is(err, fs.ErrPermission) {
				return &UnreachableDirError{Path: path, Blocked: path[:i], User: u.String()}
			}
		}
		return nil
	})
}

// inherited are the variables that another user's Chromium gets from the
// bridge's environment, by name or beginning. The rest may hold secrets of the
// bridge, and that user's other programs can read Chromium's environment.
var inherited = []string{
	"PATH=", "LANG=", "LANGUAGE=", "LC_", "TZ=", "DISPLAY=", "WAYLAND_DISPLAY=", "XAUTHORITY=",
	"FONTCONFIG_", "LD_LIBRARY_PATH=", "LIBGL_", "MESA_", "CHROME_DEVEL_SANDBOX=", "KRB5",
	"http_proxy=", "https_proxy=", "all_proxy=", "no_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=", "NO_PROXY=",
}

// environment returns Chromium's environment variables.
func (w *workspace) environment(extra []string) []string {
	env := os.Environ()
	if w.user != nil {
		env = nil
		for _, variable := range os.Environ() {
			for _, name := range inherited {
				if strings.HasPrefix(variable, name) {
					env = append(env, variable)
				}
			}
		}
		env = append(env, "HOME="+filepath.Join(w.dir, homeName), "USER="+w.user.String(), "LOGNAME="+w.user.String())
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" || w.user != nil {
		// Without a session bus its library would start one, a daemon that stays.
		env = append(env, "DBUS_SESSION_BUS_ADDRESS=disabled:")
	}
	// Crash dumps would fill the disk in months; the log tells of the crash.
	env = append(env, "TMPDIR="+w.tmp(), "BREAKPAD_DUMP_LOCATION="+w.tmp())
	return w.withStandIns(append(env, extra...))
}
