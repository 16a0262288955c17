package usb

import "slices"

// Filter is WebUSB's USBDeviceFilter. What is nil matches everything. Which combinations a page may use is
// not checked here.
type Filter struct {
	VendorID     *uint16 `json:"vendorId,omitempty"`
	ProductID    *uint16 `json:"productId,omitempty"`
	ClassCode    *uint8  `json:"classCode,omitempty"`
	SubclassCode *uint8  `json:"subclassCode,omitempty"`
	ProtocolCode *uint8  `json:"protocolCode,omitempty"`
	SerialNumber *string `json:"serialNumber,omitempty"`
}

// Match says whether the filter lets d through. Class, subclass and protocol are those of the device or of
// one of its interfaces.
func (f Filter) Match(d Device) bool {
	if f.VendorID != nil && *f.VendorID != d.VendorID ||
		f.ProductID != nil && *f.ProductID != d.ProductID ||
		f.SerialNumber != nil && *f.SerialNumber != d.SerialNumber {
		return false
	}
	return f.matchClass(d.DeviceClass, d.DeviceSubclass, d.DeviceProtocol) ||
		slices.ContainsFunc(d.Configurations, func(c Configuration) bool {
			return slices.ContainsFunc(c.Interfaces, func(i Interface) bool {
				return slices.ContainsFunc(i.Alternates, func(a Alternate) bool {
					return f.matchClass(a.InterfaceClass, a.InterfaceSubclass, a.InterfaceProtocol)
				})
			})
		})
}

func (f Filter) matchClass(class, subclass, protocol uint8) bool {
	return (f.ClassCode == nil || *f.ClassCode == class) &&
		(f.SubclassCode == nil || *f.SubclassCode == subclass) &&
		(f.ProtocolCode == nil || *f.ProtocolCode == protocol)
}

// Matches says whether one of the filters lets d through. No filters let everything through.
func Matches(filters []Filter, d Device) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f Filter) bool { return f.Match(d) })
}
