package devices

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
	"github.com/cdpbridge/cdpbridge/internal/grantfile"
)

// Grant says that pages of an origin may use a device.
type Grant struct {
	Kind   Kind   `json:"kind"`
	Origin string `json:"origin"`
	// VendorID, ProductID and SerialNumber are those of a device that can be known again when it was
	// away. With them the grant lasts.
	VendorID     uint16 `json:"vendorId"`
	ProductID    uint16 `json:"productId"`
	SerialNumber string `json:"serialNumber"`
	// Name is the device's name, for people.
	Name string `json:"name,omitempty"`
	// Identity is set for a device that cannot be known again: the grant is over when it is gone.
	Identity string `json:"-"`
}

// Lasts reports whether the grant is still there when the device was away.
func (g Grant) Lasts() bool { return g.Identity == "" }

// Covers reports whether g is for the same device and origin as another one.
func (g Grant) Covers(other Grant) bool {
	g.Name, other.Name = "", ""
	return g == other
}

// MaxGrants is how many grants are kept. Further ones take the place of the oldest.
const MaxGrants = 4096

// Grants are what pages may use. They are safe for use by several goroutines.
type Grants struct {
	mu   sync.Mutex
	all  []Grant
	dir  atomicfile.Dir // of the file in which those that last are kept, nil without one
	name string
}

// Keep adds the grants that are in a file of a directory, and has those that last
// written there with each change. Without a directory the changes from now on are in
// memory alone, and the file stays as it is.
//
// A file that cannot be understood is set aside: the error is then a
// *grantfile.DamagedError, and nothing has changed.
func (g *Grants) Keep(dir atomicfile.Dir, name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if dir == nil {
		g.dir = nil
		return nil
	}
	kept, err := grantfile.Read(dir, name, check)
	if err != nil {
		return fmt.Errorf("reading the grants of devices: %w", err)
	}
	g.dir, g.name = dir, name
	for _, grant := range kept {
		g.add(grant)
	}
	if len(g.lasting()) == len(kept) {
		return nil
	}
	return g.write()
}

// check says what is wrong with grants of a file.
func check(all []Grant) error {
	if len(all) > MaxGrants {
		return fmt.Errorf("it has more than %d grants", MaxGrants)
	}
	for i, grant := range all {
		origin, err := url.Parse(grant.Origin)
		switch {
		case err != nil || origin.Host == "" || origin.Scheme+"://"+origin.Host != grant.Origin:
			return fmt.Errorf("grants[%d].origin is none", i)
		case grant.Kind != HID && grant.Kind != Serial && grant.Kind != USB:
			return fmt.Errorf("grants[%d].kind is none", i)
		case grant.SerialNumber == "":
			return fmt.Errorf("grants[%d] is of a device that cannot be known again", i)
		}
	}
	return nil
}

// Add adds a grant. An error says that it could not be written; it holds all the same.
func (g *Grants) Add(grant Grant) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.add(grant) || !grant.Lasts() {
		return nil
	}
	return g.write()
}

func (g *Grants) add(grant Grant) (added bool) {
	if slices.ContainsFunc(g.all, grant.Covers) {
		return false
	}
	g.all = append(g.all, grant)
	if excess := len(g.all) - MaxGrants; excess > 0 {
		g.all = slices.Delete(g.all, 0, excess)
	}
	return true
}

// Remove removes the grants that which is true for. An error says that this could not
// be written; they are in force again when the file is read the next time.
func (g *Grants) Remove(which func(Grant) bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	kept := false
	g.all = slices.DeleteFunc(g.all, func(grant Grant) bool {
		removed := which(grant)
		kept = kept || removed && grant.Lasts()
		return removed
	})
	if !kept {
		return nil
	}
	return g.write()
}

// write writes what lasts.
func (g *Grants) write() error {
	if g.dir == nil {
		return nil
	}
	if err := grantfile.Write(g.dir, g.name, g.lasting()); err != nil {
		return fmt.Errorf("writing the grants of devices: %w", err)
	}
	return nil
}

// Has reports whether there is a grant.
func (g *Grants) Has(grant Grant) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.all, grant.Covers)
}

func (g *Grants) lasting() []Grant {
	return slices.DeleteFunc(slices.Clone(g.all), func(grant Grant) bool { return !grant.Lasts() })
}

// List are all grants, by kind, origin and name.
func (g *Grants) List() []Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(g.all), func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Name, b.Name))
	})
}
