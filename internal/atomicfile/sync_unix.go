//go:build unix

package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// SyncDir makes the entries of name's directory last.
func SyncDir(root *os.Root, name string) error {
	dir, err := root.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
