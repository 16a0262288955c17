// Package grantfile keeps a list of what was granted in a file: all of it or nothing
// is written, and a file that cannot be understood is set aside and not lost.
package grantfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
)

// version is that of the files that are written and read.
const version = 1

// MaxSize is how many bytes are read.
const MaxSize = 4 << 20

// contents are those of a file.
type contents[G any] struct {
	Version int `json:"version"`
	Grants  []G `json:"grants"`
}

// DamagedError says that a file could not be understood and has been renamed.
// Nothing of it is lost, and nothing of it is in force.
type DamagedError struct {
	Path  string
	Aside string // its new name: Path and ".damaged", with a number if that exists
	Err   error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged: %v; it is now %s", e.Path, e.Err, e.Aside)
}

// Unwrap says what is wrong with the file.
func (e *DamagedError) Unwrap() error { return e.Err }

// VersionError says that a file is of a version that this program does not know.
type VersionError struct {
	Path    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has version %d, and this program knows version %d", e.Path, e.Version, version)
}

// Read reads the list in a file of a directory, which is empty where there is no file.
// check says what is wrong with a list, as far as Decode does not; it may change it.
// A file that cannot be understood is set aside with a *DamagedError; one of a newer
// program stays in its place, with a *VersionError.
func Read[G any](dir atomicfile.Dir, name string, check func([]G) error) ([]G, error) {
	data, path, err := read(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	grants, err := Decode[G](data)
	if err == nil {
		err = check(grants)
	}
	var newer *VersionError
	switch {
	case errors.As(err, &newer):
		newer.Path = path
		return nil, newer
	case err != nil:
		return nil, setAside(dir, name, &DamagedError{Path: path, Err: err})
	}
	return grants, nil
}

// read returns a file's contents, cut where they are too long, and its path.
func read(dir atomicfile.Dir, name string) (data []byte, path string, err error) {
	file, err := dir.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	data, err = io.ReadAll(io.LimitReader(file, MaxSize+1))
	return data, file.Name(), err
}

// setAside renames a damaged file to a name that is free.
func setAside(dir atomicfile.Dir, name string, damage *DamagedError) error {
	aside, err := reserve(dir, name+".damaged")
	if err == nil {
		if err = dir.Rename(name, aside); err != nil {
			_ = dir.Remove(aside)
		}
	}
	if err != nil {
		return fmt.Errorf("%s is damaged: %w; it cannot be set aside: %w", damage.Path, damage.Err, err)
	}
	damage.Aside = damage.Path + strings.TrimPrefix(aside, name)
	return damage
}

// reserve makes an empty file whose name begins so, and returns its name.
func reserve(dir atomicfile.Dir, prefix string) (name string, err error) {
	name = prefix
	for n := 2; ; n++ {
		file, err := dir.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if err == nil {
			return name, file.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		name = fmt.Sprintf("%s%d", prefix, n)
	}
}

// Write puts a list in the place of a file's contents. Its errors are those of
// atomicfile.Write.
func Write[G any](dir atomicfile.Dir, name string, grants []G) error {
	data, err := Encode(grants)
	if err != nil {
		return err
	}
	return atomicfile.Write(dir, name, data)
}

// Encode is what is written.
func Encode[G any](grants []G) ([]byte, error) {
	data, err := json.MarshalIndent(contents[G]{version, grants}, "", "  ")
	return append(data, '\n'), err
}

// Decode reads what Encode makes.
func Decode[G any](data []byte) ([]G, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxSize)
	}
	var of struct{ Version int }
	switch err := json.Unmarshal(data, &of); {
	case err != nil:
		return nil, err
	case of.Version > version:
		return nil, &VersionError{Version: of.Version}
	case of.Version != version:
		return nil, errors.New("it has no version")
	}
	var c contents[G]
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&c); err != nil {
		return nil, err
	}
	return c.Grants, nil
}
