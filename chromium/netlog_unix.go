//go:build unix

package chromium

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeNetLogPipe makes the named pipe in a directory that belongs to u, and opens
// both of its ends.
func makeNetLogPipe(dir string, u *User) (*netLogPipe, error) {
	files, err := OpenFiles(dir, u)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	p := &netLogPipe{path: filepath.Join(dir, netLogName)}
	if err := u.do(func() error { return syscall.Mkfifo(p.path, 0o600) }); err != nil {
		return nil, &fs.PathError{Op: "mkfifo", Path: p.path, Err: err}
	}
	if p.read, err = files.openPipe(netLogName, os.O_RDONLY); err != nil {
		return nil, err
	}
	if p.write, err = files.openPipe(netLogName, os.O_WRONLY); err != nil {
		return nil, errors.Join(err, p.read.Close())
	}
	return p, nil
}

// openPipe opens a named pipe that belongs to the directory's user, without
// waiting for its other end.
func (f *Files) openPipe(name string, flag int) (file *os.File, err error) {
	err = f.user.do(func() error {
		file, err = f.root.OpenFile(name, flag|nonblock, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && (info.Mode().Type() != fs.ModeNamedPipe || !f.owns(info)) {
		err = &fs.PathError{Op: "open", Path: file.Name(), Err: errors.New("not a named pipe of the directory's user")}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
