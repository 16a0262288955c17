package permissions

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
)

// MaxGrants is how many decisions a store keeps.
const MaxGrants = 4096

// ErrStoreFull is the error of a decision that would be one too many.
var ErrStoreFull = fmt.Errorf("the store has %d decisions already; revoke some", MaxGrants)

// Decision is a remembered answer.
type Decision struct {
	Granted bool      `json:"granted"`
	When    time.Time `json:"when"`
}

// Grant is a decision, and what it is about.
type Grant struct {
	Origin     string     `json:"origin"`
	Permission Permission `json:"permission"`
	Decision
}

// Store remembers decisions by origin and permission. What it has in memory is
// what its file has: a change that cannot be written is not made. It is safe for
// use by several goroutines, but each file belongs to one Store.
//
// Origins are taken with or without a slash at the end, and given back as
// Chromium writes them.
type Store struct {
	path string // empty to keep nothing

	mu     sync.Mutex
	grants map[subject]Decision
}

// subject is what a decision is about.
type subject struct {
	origin     string
	permission Permission
}

// Open reads the store that is in a file. The file is made, as mode 0600, by the
// first decision; an empty path keeps the decisions in memory.
//
// A file that cannot be understood is set aside: the error is then a
// *DamagedError, and the next Open begins with an empty store. A file of a newer
// program stays in its place; the error is a *VersionError.
func Open(path string) (*Store, error) {
	s := &Store{grants: map[subject]Decision{}}
	if path == "" {
		return s, nil
	}
	var err error
	if s.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if s.grants, err = load(s.path); err != nil {
		return nil, fmt.Errorf("opening the store of permissions: %w", err)
	}
	return s, nil
}

// Set remembers a decision. It refuses opaque origins and what is no origin with
// an *OriginError, names that are no permission's with an *UnknownError, Unknown
// because it is not one permission, and one decision too many with ErrStoreFull.
//
// Media is one permission: whoever remembers that a microphone was granted has
// granted the camera as well.
func (s *Store) Set(origin string, p Permission, d Decision) error {
	o, err := parseOrigin(origin)
	if err != nil {
		return err
	}
	if _, err := Parse(string(p)); err != nil {
		return err
	}
	if p == Unknown {
		return errors.New("what Electron calls unknown is not one permission and cannot be remembered")
	}
	d.When = d.When.Round(0).UTC() // as it comes back from the file
	return s.change(func(grants map[subject]Decision) error {
		grants[subject{o.String(), p}] = d
		if len(grants) > MaxGrants {
			return ErrStoreFull
		}
		return nil
	})
}

// Get returns what was decided, and whether anything was.
func (s *Store) Get(origin string, p Permission) (Decision, bool) {
	o, err := parseOrigin(origin)
	if err != nil {
		return Decision{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, found := s.grants[subject{o.String(), p}]
	return d, found
}

// List returns all decisions, sorted by origin and then by permission.
func (s *Store) List() []Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return list(s.grants)
}

func list(grants map[subject]Decision) []Grant {
	all := make([]Grant, 0, len(grants))
	for about, d := range grants {
		all = append(all, Grant{about.origin, about.permission, d})
	}
	slices.SortFunc(all, func(a, b Grant) int {
		return cmp.Or(strings.Compare(a.Origin, b.Origin), strings.Compare(string(a.Permission), string(b.Permission)))
	})
	return all
}

// Revoke forgets a decision, and says whether there was one.
func (s *Store) Revoke(origin string, p Permission) (bool, error) {
	n, err := s.forget(origin, func(about subject) bool { return about.permission == p })
	return n > 0, err
}

// RevokeOrigin forgets what was decided for an origin, and says how much that
// was.
func (s *Store) RevokeOrigin(origin string) (int, error) {
	return s.forget(origin, func(subject) bool { return true })
}

// Clear forgets everything.
func (s *Store) Clear() error {
	return s.change(func(grants map[subject]Decision) error {
		clear(grants)
		return nil
	})
}

// forget removes those decisions for an origin that which picks.
func (s *Store) forget(origin string, which func(subject) bool) (n int, err error) {
	o, err := parseOrigin(origin)
	if err != nil {
		return 0, err
	}
	err = s.change(func(grants map[subject]Decision) error {
		before := len(grants)
		maps.DeleteFunc(grants, func(about subject, _ Decision) bool {
			return about.origin == o.String() && which(about)
		})
		n = before - len(grants)
		return nil
	})
	if err != nil && !lasting(err) {
		n = 0
	}
	return n, err
}

// change edits a copy of the decisions, writes it, and only then uses it.
func (s *Store) change(edit func(map[subject]Decision) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.grants)
	if err := edit(next); err != nil {
		return err
	}
	if maps.Equal(s.grants, next) {
		return nil
	}
	err := s.save(next)
	if err == nil || lasting(err) {
		s.grants = next
	}
	return err
}

// save writes the file.
func (s *Store) save(grants map[subject]Decision) error {
	if s.path == "" {
		return nil
	}
	data, err := encode(list(grants))
	if err == nil {
		err = writeFile(s.path, data)
	}
	if err != nil {
		return fmt.Errorf("writing the store of permissions: %w", err)
	}
	return nil
}

func writeFile(path string, data []byte) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	return atomicfile.Write(atomicfile.Root{Root: root}, filepath.Base(path), data)
}

// lasting says whether an error of save leaves the new file in place.
func lasting(err error) bool {
	var unsure *atomicfile.SyncError
	return errors.As(err, &unsure)
}
