// Package atomicfile replaces a file's contents so that a reader, and whoever
// comes after a crash, finds the old ones or the new ones.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Dir is a directory and the rights to use it.
type Dir interface {
	// Open opens a file; a new one gets mode 0600.
	Open(name string, flag int) (*os.File, error)
	Rename(from, to string) error
	Remove(name string) error
	// Sync makes the renaming of name's neighbours last, where the system needs
	// to be told.
	Sync(name string) error
}

// SyncError says that a file has its new contents, but may lose them with the
// machine's power.
type SyncError struct{ Err error }

func (e *SyncError) Error() string { return fmt.Sprintf("the file may not last: %v", e.Err) }

// Unwrap gives the directory's error.
func (e *SyncError) Unwrap() error { return e.Err }

// Write puts data in the place of name's contents, all of it or nothing, also
// when the machine loses its power. Its error is a *SyncError where the contents
// are there, and any other where the old ones are.
func Write(d Dir, name string, data []byte) error {
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:8])
	file, err := d.Open(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = d.Rename(temporary, name)
	}
	if err != nil {
		_ = d.Remove(temporary)
		return err
	}
	if err := d.Sync(name); err != nil {
		return &SyncError{err}
	}
	return nil
}
