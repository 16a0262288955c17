package serial

import (
	"slices"
	"strings"
)

// Filter is Web Serial's SerialPortFilter. What is nil or empty matches everything; a filter with
// nothing in it matches all ports. Which combinations a page may use is not checked here.
type Filter struct {
	USBVendorID  *uint16 `json:"usbVendorId,omitempty"`
	USBProductID *uint16 `json:"usbProductId,omitempty"`
	// BluetoothServiceClassID is a full UUID; a page's short numbers and names are to be made one before.
	BluetoothServiceClassID string `json:"bluetoothServiceClassId,omitempty"`
}

// Match says whether the filter lets p through.
func (f Filter) Match(p Port) bool {
	if f.BluetoothServiceClassID != "" {
		return strings.EqualFold(f.BluetoothServiceClassID, p.BluetoothServiceClassID)
	}
	if f.USBVendorID == nil {
		return f.USBProductID == nil
	}
	vendor, product, ok := p.USB()
	return ok && vendor == *f.USBVendorID && (f.USBProductID == nil || product == *f.USBProductID)
}

// Matches says whether one of the filters lets p through. No filters let everything through, except for
// Bluetooth ports of services other than the Serial Port Profile, for which a page has to ask.
func Matches(filters []Filter, p Port) bool {
	if len(filters) == 0 {
		return p.BluetoothServiceClassID == "" || strings.EqualFold(p.BluetoothServiceClassID, SerialPortProfile)
	}
	return slices.ContainsFunc(filters, func(f Filter) bool { return f.Match(p) })
}

// SerialPortProfile is the service class of Bluetooth's Serial Port Profile.
const SerialPortProfile = "00001101-0000-1000-8000-00805f9b34fb"

// bluetoothBase is how the UUIDs of all services that the Bluetooth specifications define end.
const bluetoothBase = "-0000-1000-8000-00805f9b34fb"
