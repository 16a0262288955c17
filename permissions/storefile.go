package permissions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// fileVersion is the version of the file that is written and read.
const fileVersion = 1

// maxStoreFile bounds what is read: no file of MaxGrants decisions is as long.
const maxStoreFile = 4 << 20

// storeFile is the contents of a store's file.
type storeFile struct {
	Version int     `json:"version"`
	Grants  []Grant `json:"grants"`
}

// DamagedError says that a store's file could not be understood and has been
// renamed. Nothing of it is lost, and nothing of it is in force.
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

// VersionError says that a store's file is of a version that this program does
// not know.
type VersionError struct {
	Path    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has version %d, and this program knows version %d", e.Path, e.Version, fileVersion)
}

// load reads a file, or sets it aside.
func load(dir Dir, name string) (map[subject]Decision, error) {
	data, path, err := readStore(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return map[subject]Decision{}, nil
	}
	if err != nil {
		return nil, err
	}
	grants, err := decode(data)
	var version *VersionError
	switch {
	case errors.As(err, &version):
		version.Path = path
		return nil, version
	case err != nil:
		return nil, setAside(dir, name, &DamagedError{Path: path, Err: err})
	}
	return grants, nil
}

// readStore returns a file's contents, cut where they are too long, and its path.
func readStore(dir Dir, name string) (data []byte, path string, err error) {
	file, err := dir.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	data, err = io.ReadAll(io.LimitReader(file, maxStoreFile+1))
	return data, file.Name(), err
}

// setAside renames a damaged file to a name that is free.
func setAside(dir Dir, name string, damage *DamagedError) error {
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
func reserve(dir Dir, prefix string) (name string, err error) {
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

func encode(grants []Grant) ([]byte, error) {
	data, err := json.MarshalIndent(storeFile{fileVersion, grants}, "", "  ")
	return append(data, '\n'), err
}

// decode reads what encode writes. It keeps permissions whose names it does not
// know: a newer program may have written them.
func decode(data []byte) (map[subject]Decision, error) {
	if len(data) > maxStoreFile {
		return nil, fmt.Errorf("it is longer than %d bytes", maxStoreFile)
	}
	var version struct{ Version int }
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if version.Version != fileVersion {
		return nil, versionError(version.Version)
	}
	var f storeFile
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&f); err != nil {
		return nil, err
	}
	return index(f.Grants)
}

// versionError parts a newer program's file from one without a version.
func versionError(version int) error {
	if version > fileVersion {
		return &VersionError{Version: version}
	}
	return errors.New("it has no version")
}

// index checks the decisions of a file.
func index(all []Grant) (map[subject]Decision, error) {
	if len(all) > MaxGrants {
		return nil, fmt.Errorf("it has more than %d decisions", MaxGrants)
	}
	grants := make(map[subject]Decision, len(all))
	for i, g := range all {
		o, err := parseOrigin(g.Origin)
		about := subject{g.Origin, g.Query}
		mediaType := g.checkMediaType()
		_, twice := grants[about]
		switch {
		case err != nil:
			return nil, fmt.Errorf("grants[%d].origin: %w", i, err)
		case o.String() != g.Origin:
			return nil, fmt.Errorf("grants[%d].origin: %w", i, &OriginError{g.Origin, "it is written " + o.String()})
		case g.Permission == "" || len(g.Permission) > longestName:
			return nil, fmt.Errorf("grants[%d].permission is not a name", i)
		case mediaType != nil:
			return nil, fmt.Errorf("grants[%d].mediaType: %w", i, mediaType)
		case !writable(g.When):
			return nil, fmt.Errorf("grants[%d].when is out of range", i)
		case twice:
			return nil, fmt.Errorf("grants[%d]: a second decision on %v of %s", i, g.Query, g.Origin)
		}
		g.When = g.When.UTC()
		grants[about] = g.Decision
	}
	return grants, nil
}

// writable says whether a time can be written again in UTC.
func writable(t time.Time) bool {
	year := t.UTC().Year()
	return 0 <= year && year <= 9999
}
