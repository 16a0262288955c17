//go:build !linux && !(hidapi && cgo)

package hid

import (
	"context"
	"errors"
)

// Native is the source of this machine's devices. On systems other than Linux it needs hidapi: without the
// build tag of that name it lists nothing and says so.
func Native() Source { return none{} }

type none struct{}

var errNone = errors.New("HID devices need hidapi on this system: build with -tags hidapi and with cgo")

func (none) List(context.Context) ([]Device, error) { return nil, errNone }

func (none) Watch(ctx context.Context, changed func()) error { return errNone }

func (none) Open(context.Context, Device) (Connection, error) { return nil, errNone }
