package permissions

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
	"github.com/cdpbridge/cdpbridge/internal/grantfile"
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
	Origin string `json:"origin"`
	Query
	Decision
}

// Store remembers decisions by origin, permission and media type. What it has in
// memory is what its file has: a change that cannot be written is not made. It is
// safe for use by several goroutines, but each file belongs to one Store.
//
// Origins are taken with or without a slash at the end, and given back as
// Chromium writes them.
type Store struct {
	dir  Dir // nil to keep nothing
	name string

	mu     sync.Mutex
	grants map[subject]Decision
}

// subject is what a decision is about.
type subject struct {
	origin string
	query  Query
}

// Dir is the directory of a store's file, and the rights to use it, such as a
// *chromium.Files. Whoever implements it opens regular files alone, and does not
// wait for the other end of a named pipe.
type Dir = atomicfile.Dir

// Open reads the store that is in a file of a directory. The file is made, as mode
// 0600, by the first decision; a nil directory keeps the decisions in memory. It
// has to stay open for as long as the store is used.
//
// A file that cannot be understood is set aside: the error is then a
// *DamagedError, and the next Open begins with an empty store. A file of a newer
// program stays in its place; the error is a *VersionError.
func Open(dir Dir, name string) (*Store, error) {
	s := &Store{dir: dir, name: name, grants: map[subject]Decision{}}
	if dir == nil {
		return s, nil
	}
	var err error
	if s.grants, err = load(dir, name); err != nil {
		return nil, fmt.Errorf("opening the store of permissions: %w", err)
	}
	return s, nil
}

// Set remembers a decision on all of these, or, when there is an error, on none.
// It refuses opaque origins and what is no origin with an *OriginError, names that
// are no permission's with an *UnknownError, Unknown because it is not one
// permission, Media without its type, and one decision too many with ErrStoreFull.
func (s *Store) Set(origin string, d Decision, about ...Query) error {
	o, err := parseOrigin(origin)
	if err != nil {
		return err
	}
	for _, q := range about {
		if err := storable(q); err != nil {
			return err
		}
	}
	d.When = d.When.Round(0).UTC() // as it comes back from the file
	return s.change(func(grants map[subject]Decision) error {
		for _, q := range about {
			grants[subject{o.String(), q}] = d
		}
		if len(grants) > MaxGrants {
			return ErrStoreFull
		}
		return nil
	})
}

// storable says why there can be no decision on a query.
func storable(q Query) error {
	if _, err := Parse(string(q.Permission)); err != nil {
		return err
	}
	if q.Permission == Unknown {
		return errors.New("what Electron calls unknown is not one permission and cannot be remembered")
	}
	return q.checkMediaType()
}

// Get returns what was decided on all of these: a yes where each was granted, a no
// where one was denied, and the time of the decision that counts. It is false where
// nothing was decided on one of them, or none are given.
func (s *Store) Get(origin string, about ...Query) (all Decision, found bool) {
	o, err := parseOrigin(origin)
	if err != nil || len(about) == 0 {
		return Decision{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range about {
		d, found := s.grants[subject{o.String(), q}]
		if !found {
			return Decision{}, false
		}
		if i == 0 || all.Granted && !d.Granted {
			all = d
		}
	}
	return all, true
}

// List returns all decisions, sorted by origin, permission and media type.
func (s *Store) List() []Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return list(s.grants)
}

func list(grants map[subject]Decision) []Grant {
	all := make([]Grant, 0, len(grants))
	for about, d := range grants {
		all = append(all, Grant{about.origin, about.query, d})
	}
	slices.SortFunc(all, func(a, b Grant) int {
		return cmp.Or(strings.Compare(a.Origin, b.Origin), strings.Compare(string(a.Permission), string(b.Permission)), strings.Compare(a.MediaType, b.MediaType))
	})
	return all
}

// Revoke forgets what was decided on a permission, of Media on all its types, and
// says whether anything was. A name that is no permission's, and that the store
// does not have either, is refused with an *UnknownError.
func (s *Store) Revoke(origin string, p Permission) (bool, error) {
	n, err := s.forget(origin, func(about subject) bool { return about.query.Permission == p })
	if err == nil && n == 0 {
		_, err = Parse(string(p))
	}
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
	if s.dir == nil {
		return nil
	}
	if err := grantfile.Write(s.dir, s.name, list(grants)); err != nil {
		return fmt.Errorf("writing the store of permissions: %w", err)
	}
	return nil
}

// lasting says whether an error of save leaves the new file in place.
func lasting(err error) bool {
	var unsure *atomicfile.SyncError
	return errors.As(err, &unsure)
}
