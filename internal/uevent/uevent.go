// Package uevent tells when devices come and go.
//
// On Linux the kernel and udev say so at once. Elsewhere, and where the kernel's messages cannot be had,
// one has to look again and again.
package uevent

import (
	"context"
	"errors"
	"time"
)

// Event is a message about one device.
type Event struct {
	Action    string // "add", "remove", "change", "bind" and so on, or Overrun
	Subsystem string // "tty", "hidraw", "usb"
	DevType   string // "usb_device", "usb_interface"
	DevPath   string // below /sys
	DevName   string // below /dev; empty if the device has no node
}

// Overrun is the action of an event that stands for others that were lost: everything may have changed.
const Overrun = "overrun"

// interval is the time between two looks where nothing tells of changes.
const interval = time.Second

// Changes calls changed when it began to watch and then after each event that concerns the caller, and
// after an overrun, until ctx ends. It gives ctx's error then. Where there are no events it calls changed every second.
func Changes(ctx context.Context, concerns func(Event) bool, changed func()) error {
	err := Watch(ctx, changed, func(e Event) {
		if e.Action == Overrun || concerns(e) {
			changed()
		}
	})
	if ctx.Err() != nil || !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return Poll(ctx, changed)
}

// Poll calls changed now and then every second until ctx ends. It gives ctx's error.
func Poll(ctx context.Context, changed func()) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		changed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
