package devices

import (
	"cmp"
	"slices"
	"sync"
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
	mu  sync.Mutex
	all []Grant
}

// Add adds a grant.
func (g *Grants) Add(grant Grant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.ContainsFunc(g.all, grant.Covers) {
		return
	}
	g.all = append(g.all, grant)
	if excess := len(g.all) - MaxGrants; excess > 0 {
		g.all = slices.Delete(g.all, 0, excess)
	}
}

// Remove removes the grants that which is true for, and returns them.
func (g *Grants) Remove(which func(Grant) bool) (removed []Grant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = slices.DeleteFunc(g.all, func(grant Grant) bool {
		if which(grant) {
			removed = append(removed, grant)
			return true
		}
		return false
	})
	return removed
}

// Has reports whether there is a grant.
func (g *Grants) Has(grant Grant) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.all, grant.Covers)
}

// List are all grants, by kind, origin and name.
func (g *Grants) List() []Grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(g.all), func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Name, b.Name))
	})
}
