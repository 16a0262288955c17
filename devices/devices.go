// Package devices knows which devices there are and which of them pages of which
// origins may use. The kinds of devices are in the packages below it.
package devices

import "context"

// Kind is a kind of devices. It is also the name of the permission, and of the feature in a
// permissions policy.
type Kind string

// The kinds of devices.
const (
	HID    Kind = "hid"
	Serial Kind = "serial"
	USB    Kind = "usb"
)

// Device is a device of any kind.
type Device interface {
	// Identity is what tells the device from all others, also from itself after it was plugged in
	// again.
	Identity() string
}

// Source has devices of one kind, which come and go: those of this machine, or some made in
// software.
type Source[D Device] interface {
	// List returns the devices that are there.
	List(ctx context.Context) ([]D, error)
	// Watch calls changed when it began to watch, and then whenever List may have another answer,
	// one call after the other, until ctx ends.
	Watch(ctx context.Context, changed func()) error
}
