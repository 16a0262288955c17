package permissions

import (
	"fmt"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/grantfile"
)

// DamagedError says that a store's file could not be understood and has been
// renamed. Nothing of it is lost, and nothing of it is in force.
type DamagedError = grantfile.DamagedError

// VersionError says that a store's file is of a version that this program does
// not know.
type VersionError = grantfile.VersionError

// load reads a file, or sets it aside. It keeps permissions whose names it does not
// know: a newer program may have written them.
func load(dir Dir, name string) (grants map[subject]Decision, err error) {
	grants = map[subject]Decision{}
	_, err = grantfile.Read(dir, name, func(all []Grant) error {
		grants, err = index(all)
		return err
	})
	return grants, err
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
