package chromium

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
)

// maxFile bounds what ReadFile takes into memory from a directory that Chromium
// can write.
const maxFile = 64 << 20

// DirectoryError says that a directory cannot be used as Chromium's.
type DirectoryError struct {
	Dir    string
	User   string // as whom it was tried, "" for the bridge's own user
	Advice string
	Err    error
}

func (e *DirectoryError) Error() string {
	as := ""
	if e.User != "" {
		as = " as user " + e.User
	}
	return fmt.Sprintf("chromium: directory %s cannot be used%s: %v; %s", e.Dir, as, e.Err, e.Advice)
}

// Unwrap gives the *fs.PathError of the operation that failed.
func (e *DirectoryError) Unwrap() error { return e.Err }

// directoryError adds to err what to do about it.
func directoryError(dir string, u *User, err error) error {
	e := &DirectoryError{Dir: dir, Err: err, Advice: "use another directory"}
	account := "the user who runs the bridge"
	if u != nil {
		e.User = u.String()
		account = e.User
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Advice = fmt.Sprintf("give it to %s, as mode 700, or use another", account)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		e.Advice = "the disk is full: free some space, or use a directory on another disk"
	case errors.Is(err, syscall.EROFS):
		e.Advice = "the file system is read-only: use a directory on another one"
	case errors.Is(err, syscall.ENOTDIR):
		e.Advice = "something on the way is not a directory: use another path"
	}
	return e
}

// Files is the way to the files of a directory that belongs to Chromium's user
// and is therefore hostile to a bridge that runs as root: every operation has
// that user's rights, stays below the directory, and touches only regular files
// of that user. New directories have mode 0700, new files 0600.
type Files struct {
	root *os.Root
	user *User
}

// OpenFiles opens dir on behalf of u, nil meaning the bridge's own user.
// Close it after use.
func OpenFiles(dir string, u *User) (*Files, error) {
	f := &Files{user: u}
	err := u.do(func() (err error) {
		f.root, err = os.OpenRoot(dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Close releases the directory.
func (f *Files) Close() error { return f.root.Close() }

// Open opens a regular file that belongs to the directory's user.
// It does not wait for the other end of a named pipe, but refuses one.
func (f *Files) Open(name string, flag int) (file *os.File, err error) {
	err = f.user.do(func() error {
		file, err = f.root.OpenFile(name, flag|nonblock, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || !f.owns(info)) {
		err = &fs.PathError{Op: "open", Path: filepath.Join(f.root.Name(), name), Err: errors.New("not a regular file of the directory's user")}
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// isStill says whether name still is the open file.
func (f *Files) isStill(name string, file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	found, err := f.root.Lstat(name)
	return err == nil && os.SameFile(opened, found)
}

// ReadFile returns the contents of a file of at most 64 MiB.
func (f *Files) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = &fs.PathError{Op: "read", Path: file.Name(), Err: syscall.EFBIG}
	}
	return data, err
}

// WriteFile puts data in the place of name's contents, all of it or nothing,
// also when the machine loses its power.
func (f *Files) WriteFile(name string, data []byte) error { return atomicfile.Write(f, name, data) }

// MkdirAll makes a directory and those on the way to it.
func (f *Files) MkdirAll(name string) error {
	return f.user.do(func() error { return f.root.MkdirAll(name, 0o700) })
}

// Rename moves a file within the directory.
func (f *Files) Rename(from, to string) error {
	return f.user.do(func() error { return f.root.Rename(from, to) })
}

// Link gives a file a second name within the directory.
func (f *Files) Link(from, to string) error {
	return f.user.do(func() error { return f.root.Link(from, to) })
}

// Sync makes the names in the directory of name last.
func (f *Files) Sync(name string) error {
	return f.user.do(func() error { return atomicfile.SyncDir(f.root, name) })
}

// Remove removes a file, a symbolic link or an empty directory.
func (f *Files) Remove(name string) error {
	return f.user.do(func() error { return f.root.Remove(name) })
}

// RemoveAll removes a directory and what is in it. That there is none is no
// error.
func (f *Files) RemoveAll(name string) error {
	return f.user.do(func() error { return f.root.RemoveAll(name) })
}

// Symlink makes a symbolic link, whose target may lie outside of the directory: no
// operation of Files follows it there.
func (f *Files) Symlink(target, name string) error {
	return f.user.do(func() error { return f.root.Symlink(target, name) })
}

// Names returns the names in a directory, in no order.
func (f *Files) Names(name string) (names []string, err error) {
	err = f.user.do(func() error {
		dir, err := f.root.Open(name)
		if err != nil {
			return err
		}
		defer dir.Close()
		names, err = dir.Readdirnames(-1)
		return err
	})
	return names, err
}

// Readlink returns the target of a symbolic link.
func (f *Files) Readlink(name string) (target string, err error) {
	err = f.user.do(func() error {
		target, err = f.root.Readlink(name)
		return err
	})
	return target, err
}
