// Package hid lists and opens the human interface devices of this machine: everything that describes
// itself by a HID report descriptor.
//
// Devices are described as Electron describes them (HIDDevice), their collections and reports as WebHID
// does. A [Source] is a set of devices: [Native] is that of this machine, others can be made in software.
package hid

import (
	"context"
	"errors"
)

// Device is one HID interface: Electron's HIDDevice. A physical device may have several.
type Device struct {
	// DeviceID is the physical device: its interfaces share it.
	DeviceID string `json:"deviceId"`
	// GUID is a random token of this interface. One that was unplugged and plugged in again has another.
	GUID         string `json:"guid"`
	Name         string `json:"name"`
	VendorID     uint16 `json:"vendorId"`
	ProductID    uint16 `json:"productId"`
	SerialNumber string `json:"serialNumber,omitempty"`
	// Collections are the top-level collections of the report descriptor. Protect leaves those that pages see.
	Collections []Collection `json:"collections"`

	// Path is what the operating system opens: "/dev/hidraw0". A device made in software has none.
	Path string `json:"-"`

	// declared are the collections before Protect.
	declared []Collection
}

// Identity is what tells this interface from all others, also from itself after it was plugged in again: its GUID.
func (d Device) Identity() string { return d.GUID }

// Collection is WebHID's HIDCollectionInfo. Its reports have the items of its children too.
type Collection struct {
	UsagePage uint16 `json:"usagePage"`
	Usage     uint16 `json:"usage"`
	// Type is the number of the HID specification: 0 physical, 1 application, 2 logical, and so on.
	Type           uint8        `json:"type"`
	Children       []Collection `json:"children"`
	InputReports   []Report     `json:"inputReports"`
	OutputReports  []Report     `json:"outputReports"`
	FeatureReports []Report     `json:"featureReports"`
}

// Report is WebHID's HIDReportInfo.
type Report struct {
	// ReportID is 0 in a device whose reports have no numbers.
	ReportID uint8  `json:"reportId"`
	Items    []Item `json:"items"`
}

// Item is WebHID's HIDReportItem: one or more fields of a report with the same properties.
type Item struct {
	IsAbsolute        bool `json:"isAbsolute"`
	IsArray           bool `json:"isArray"`
	IsBufferedBytes   bool `json:"isBufferedBytes"`
	IsConstant        bool `json:"isConstant"`
	IsLinear          bool `json:"isLinear"`
	IsRange           bool `json:"isRange"`
	IsVolatile        bool `json:"isVolatile"`
	HasNull           bool `json:"hasNull"`
	HasPreferredState bool `json:"hasPreferredState"`
	Wrap              bool `json:"wrap"`

	// Usages are the usages of the fields, page<<16 | usage. An item that has a range (IsRange) has
	// UsageMinimum and UsageMaximum instead; else these are nil.
	Usages       []uint32 `json:"usages,omitzero"`
	UsageMinimum *uint32  `json:"usageMinimum,omitempty"`
	UsageMaximum *uint32  `json:"usageMaximum,omitempty"`

	// ReportSize is in bits, of one field; ReportCount is how many fields there are.
	ReportSize  uint32 `json:"reportSize"`
	ReportCount uint32 `json:"reportCount"`

	// UnitExponent is the power of ten that the unit is multiplied by.
	UnitExponent int8 `json:"unitExponent"`
	// UnitSystem is "none", "si-linear", "si-rotation", "english-linear", "english-rotation",
	// "vendor-defined" or "reserved". The exponents that follow are those of its base units.
	UnitSystem                          string `json:"unitSystem"`
	UnitFactorLengthExponent            int8   `json:"unitFactorLengthExponent"`
	UnitFactorMassExponent              int8   `json:"unitFactorMassExponent"`
	UnitFactorTimeExponent              int8   `json:"unitFactorTimeExponent"`
	UnitFactorTemperatureExponent       int8   `json:"unitFactorTemperatureExponent"`
	UnitFactorCurrentExponent           int8   `json:"unitFactorCurrentExponent"`
	UnitFactorLuminousIntensityExponent int8   `json:"unitFactorLuminousIntensityExponent"`

	LogicalMinimum  int32 `json:"logicalMinimum"`
	LogicalMaximum  int32 `json:"logicalMaximum"`
	PhysicalMinimum int32 `json:"physicalMinimum"`
	PhysicalMaximum int32 `json:"physicalMaximum"`
}

// ReportKind is one of the three kinds of reports.
type ReportKind int

// The kinds of reports.
const (
	InputReport ReportKind = iota
	OutputReport
	FeatureReport
)

// reports are the reports of one kind.
func (c Collection) reports(kind ReportKind) []Report {
	switch kind {
	case InputReport:
		return c.InputReports
	case OutputReport:
		return c.OutputReports
	default:
		return c.FeatureReports
	}
}

// all are the collections as the device has declared them.
func (d Device) all() []Collection {
	if d.declared != nil {
		return d.declared
	}
	return d.Collections
}

// HasReportID says whether the reports of d have numbers. Without, the id of every report is 0.
func (d Device) HasReportID() bool {
	for _, c := range d.all() {
		for kind := InputReport; kind <= FeatureReport; kind++ {
			for _, r := range c.reports(kind) {
				if r.ReportID != 0 {
					return true
				}
			}
		}
	}
	return false
}

// maxReport is the length of the longest report, in bytes: Windows has no longer ones, nor has Chromium.
const maxReport = 1<<16 - 1

// MaxSize is the length in bytes of the longest report of a kind, without its id. 0 means that d has none.
func (d Device) MaxSize(kind ReportKind) int {
	longest := uint64(0)
	for _, c := range d.all() {
		for _, r := range c.reports(kind) {
			longest = max(longest, r.bits())
		}
	}
	return int((longest + 7) / 8)
}

// bits is the length of the report. One that is unreasonably long counts as empty, as in Chromium.
func (r Report) bits() uint64 {
	sum := uint64(0)
	for _, i := range r.Items {
		bits := uint64(i.ReportSize) * uint64(i.ReportCount)
		if bits > maxReport*8 || sum+bits > maxReport*8 {
			return 0
		}
		sum += bits
	}
	return sum
}

// Connection is an open device. Its methods may be called at the same time from several goroutines, with
// one reader of input reports at a time.
// Data is without the report's id; ids are 0 in a device whose reports have no numbers. Only ReadInput ends with
// its context: a report that is on its way to or from the device cannot be called back, and takes the system's
// timeout, five seconds on Linux, where the device does not answer.
type Connection interface {
	// ReadInput waits for the next input report. Reports that nobody reads are dropped by the system
	// after a number of them: Linux keeps 64.
	ReadInput(ctx context.Context) (id byte, data []byte, err error)
	WriteOutput(ctx context.Context, id byte, data []byte) error
	ReceiveFeature(ctx context.Context, id byte) ([]byte, error)
	SendFeature(ctx context.Context, id byte, data []byte) error
	// Close ends a ReadInput that waits.
	Close() error
}

// Source is a set of devices that come and go.
type Source interface {
	// List gives the devices that are there, sorted by path; those too that Protect leaves nothing of.
	List(ctx context.Context) ([]Device, error)
	// Watch calls changed when it began to watch and then whenever List may have another answer, one
	// call after the other, until ctx ends. It gives ctx's error then.
	Watch(ctx context.Context, changed func()) error
	// Open opens a device that List of the same source has given. One that is gone meanwhile is ErrLost,
	// also if another device has its path now.
	Open(ctx context.Context, d Device) (Connection, error)
}

// ErrLost says that the device is gone. errors.Is finds it in what a Connection's methods give.
var ErrLost = errors.New("the device has been lost")
