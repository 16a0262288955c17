//go:build linux && !(libusb && cgo)

package usb

import "fmt"

func openDevice(Device, Options) (Connection, error) {
	return nil, fmt.Errorf("%w: this program was built without libusb; build it with -tags libusb and with cgo", ErrNotSupported)
}
