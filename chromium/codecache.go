package chromium

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// codeCacheName is where Chromium keeps compiled code, below its user data
// directory.
const codeCacheName = "Default/Code Cache"

// placeCodeCache has Chromium keep compiled code in dir, and in its own directory
// if that is empty. Chromium has no switch for it: a link takes the place of its
// directory.
func placeCodeCache(files *Files, dir string) error {
	target, err := files.Readlink(codeCacheName)
	isLink := err == nil
	switch {
	case !isLink && dir == "", isLink && target == dir:
		return nil
	case isLink:
		err = files.Remove(codeCacheName)
	default: // what is in a cache may go
		err = files.RemoveAll(codeCacheName)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) || dir == "" {
		return err
	}
	return files.Symlink(dir, codeCacheName)
}

// CodeCacheDir is where the browser keeps the code that it has compiled.
func (p *Process) CodeCacheDir() string {
	if p.space.codeCache != "" {
		return p.space.codeCache
	}
	return filepath.Join(p.UserDataDir(), filepath.FromSlash(codeCacheName))
}
