//go:build !linux && !(libusb && cgo)

package usb

import (
	"context"
	"fmt"
)

// Native is the source of this machine's devices. On systems other than Linux it needs libusb: without the
// build tag of that name it lists nothing and says so.
func Native() Source { return none{} }

type none struct{}

var errNone = fmt.Errorf("%w: USB devices need libusb on this system; build with -tags libusb and with cgo", ErrNotSupported)

func (none) List(context.Context) ([]Device, error) { return nil, errNone }

func (none) Watch(context.Context, func()) error { return errNone }

func (none) Open(context.Context, Device, Options) (Connection, error) { return nil, errNone }
