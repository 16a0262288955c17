package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

func newDevicesCommand() *cobra.Command {
	var watch, asJSON bool
	c := &cobra.Command{
		Use:   "devices",
		Short: "List the HID devices, serial ports and USB devices of this machine",
		Long: `List the HID devices, serial ports and USB devices of this machine that pages
can be given, and say what is missing where you may not use one.

With --watch go on and tell what comes and goes, until interrupted. With --json
each line is an object: event is "present", "added" or "removed", kind is "hid",
"serial" or "usb", device is as Electron describes it, and problem, if it is
there, says why you may not use it.

The exit code is 1 when a kind of devices cannot be listed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := &deviceLister{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), asJSON: asJSON, told: map[string]bool{}}
			return l.run(cmd.Context(), watch)
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "tell what comes and goes")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object a line")
	return c
}

// deviceLister tells of devices of all kinds.
type deviceLister struct {
	out, notes io.Writer
	asJSON     bool

	mu    sync.Mutex
	count int
	told  map[string]bool // problems
}

// deviceLine is what is told of a device.
type deviceLine struct {
	Event   string       `json:"event"`
	Kind    devices.Kind `json:"kind"`
	Device  any          `json:"device"`
	Problem string       `json:"problem,omitempty"`

	ids, name, serialNumber, path string
}

func (l *deviceLister) run(ctx context.Context, watch bool) error {
	kinds := []func() error{
		func() error { return follow(ctx, l, watch, serial.Native(), portLine) },
		func() error { return follow(ctx, l, watch, hid.Native(), hidLine) },
		func() error { return follow(ctx, l, watch, usb.Native(), usbLine) },
	}
	errs := make([]error, len(kinds))
	var following sync.WaitGroup
	for i, kind := range kinds {
		following.Go(func() { errs[i] = kind() })
	}
	following.Wait()
	if l.count == 0 {
		fmt.Fprintln(l.notes, "bridge: there are no devices")
	}
	return errors.Join(errs...)
}

// follow tells of the devices of one kind.
func follow[D devices.Device, S devices.Source[D]](ctx context.Context, l *deviceLister, watch bool, source S, line func(D) deviceLine) error {
	tell := func(event string, all []D) {
		for _, d := range all {
			told := line(d)
			told.Event, told.Device = event, d
			if err := devices.Access(d); err != nil && event != "removed" {
				told.Problem = err.Error()
			}
			l.tell(told)
		}
	}
	registry := devices.NewRegistry(func(added, removed []D) {
		tell("removed", removed)
		tell("added", added)
	}, source)
	present, err := registry.List(ctx)
	if err != nil {
		return err
	}
	tell("present", present)
	if watch {
		registry.Run(ctx, func(err error) { fmt.Fprintln(l.notes, "bridge:", err) })
	}
	return nil
}

// tell prints a line, and a problem that is new after it.
func (l *deviceLister) tell(line deviceLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if l.asJSON {
		json.NewEncoder(l.out).Encode(line)
		return
	}
	fmt.Fprintf(l.out, "%-8s %-7s %-10s %-36s %-18s %s\n", line.Event, line.Kind, cmp.Or(line.ids, "-"), cmp.Or(line.name, "-"), cmp.Or(line.serialNumber, "-"), cmp.Or(line.path, "-"))
	if line.Problem != "" && !l.told[line.Problem] {
		l.told[line.Problem] = true
		fmt.Fprintln(l.notes, "  "+strings.ReplaceAll(line.Problem, "\n", "\n  "))
	}
}

func ids(vendor, product uint16) string { return fmt.Sprintf("%04x:%04x", vendor, product) }

func portLine(p serial.Port) deviceLine {
	line := deviceLine{Kind: devices.Serial, name: cmp.Or(p.DisplayName, p.PortName), serialNumber: p.SerialNumber, path: p.Path}
	if vendor, product, ok := p.USB(); ok {
		line.ids = ids(vendor, product)
	}
	return line
}

func hidLine(d hid.Device) deviceLine {
	return deviceLine{Kind: devices.HID, ids: ids(d.VendorID, d.ProductID), name: d.Name, serialNumber: d.SerialNumber, path: d.Path}
}

func usbLine(d usb.Device) deviceLine {
	return deviceLine{Kind: devices.USB, ids: ids(d.VendorID, d.ProductID), name: d.ProductName, serialNumber: d.SerialNumber, path: d.Path}
}
