package hid

import "slices"

// Filter is WebHID's HIDDeviceFilter. What is nil matches everything. Which combinations a page may use is
// not checked here.
type Filter struct {
	VendorID  *uint16 `json:"vendorId,omitempty"`
	ProductID *uint16 `json:"productId,omitempty"`
	UsagePage *uint16 `json:"usagePage,omitempty"`
	Usage     *uint16 `json:"usage,omitempty"`
}

// Match says whether the filter lets d through. Usage page and usage are those of one of its top-level
// collections.
func (f Filter) Match(d Device) bool {
	if f.VendorID != nil && *f.VendorID != d.VendorID || f.ProductID != nil && *f.ProductID != d.ProductID {
		return false
	}
	if f.UsagePage == nil && f.Usage == nil {
		return true
	}
	return slices.ContainsFunc(d.Collections, func(c Collection) bool {
		return (f.UsagePage == nil || *f.UsagePage == c.UsagePage) && (f.Usage == nil || *f.Usage == c.Usage)
	})
}

// Matches says whether one of the filters lets d through and none of the exclusion filters matches it. No
// filters let everything through.
func Matches(filters, exclusions []Filter, d Device) bool {
	matches := func(f Filter) bool { return f.Match(d) }
	return (len(filters) == 0 || slices.ContainsFunc(filters, matches)) && !slices.ContainsFunc(exclusions, matches)
}
