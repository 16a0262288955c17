package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// mayUse says why the holder of the token may not name a path in a command, if it may
// not: it has to be below one of the directories, wherever links lead. A file that is
// not there yet is where its directory is.
func (t *ScopedToken) mayUse(path string) error {
	refused := fmt.Errorf("%s is not in a directory that is open to this token", path)
	if !filepath.IsAbs(path) {
		return refused
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		if real, err = filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			real = filepath.Join(real, filepath.Base(path))
		}
	}
	if err != nil {
		return refused
	}
	for _, dir := range t.Dirs {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		if below, err := filepath.Rel(dir, real); err == nil && filepath.IsLocal(below) {
			return nil
		}
	}
	return refused
}
