//go:build hidapi && cgo

package hid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sstallion/go-hid"

	"github.com/cdpbridge/cdpbridge/internal/plugged"
	"github.com/cdpbridge/cdpbridge/internal/uevent"
)

// HIDAPI is the source of the devices that the C library hidapi finds. It is Native on systems other than
// Linux. On Linux it is there to be compared with Native; together with the build tag libusb, hidapi there takes
// devices from the kernel's driver to open them.
//
// Changes are found by looking every second. A device that is unplugged and plugged in again between two looks
// may count as the same. An interface that cannot be opened shows only its usage, and no reports.
func HIDAPI() Source { return &hidapi{seen: map[string][]Collection{}} }

type hidapi struct {
	tokens plugged.Tokens

	mu   sync.Mutex
	seen map[string][]Collection // by identity: devices are opened once to see what they declare
}

func (h *hidapi) List(ctx context.Context) ([]Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var devices []Device
	seen := map[string][]Collection{}
	err := hid.Enumerate(hid.VendorIDAny, hid.ProductIDAny, func(info *hid.DeviceInfo) error {
		// There is an entry for each usage of an interface.
		if !slices.ContainsFunc(devices, func(d Device) bool { return d.Path == info.Path }) {
			d := Device{
				DeviceID:     info.Path,
				Name:         info.ProductStr,
				VendorID:     info.VendorID,
				ProductID:    info.ProductID,
				SerialNumber: info.SerialNbr,
				Path:         info.Path,
			}
			d.Collections = h.collections(d, info)
			seen[identity(d)] = d.Collections
			devices = append(devices, d)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list HID devices: %w", err)
	}
	h.seen = seen
	slices.SortFunc(devices, func(a, b Device) int { return strings.Compare(a.Path, b.Path) })
	var identities []string
	for _, d := range devices {
		identities = append(identities, identity(d))
	}
	for i, token := range h.tokens.Of(identities) {
		devices[i].GUID = token
	}
	return devices, nil
}

func identity(d Device) string {
	return fmt.Sprintf("%s %04x:%04x %s", d.Path, d.VendorID, d.ProductID, d.SerialNumber)
}

func (h *hidapi) collections(d Device, info *hid.DeviceInfo) []Collection {
	if collections, ok := h.seen[identity(d)]; ok {
		return collections
	}
	if device, err := hid.OpenPath(d.Path); err == nil {
		defer device.Close()
		descriptor := make([]byte, 4096)
		if n, err := device.GetReportDescriptor(descriptor); err == nil {
			if collections, err := Parse(descriptor[:n]); err == nil {
				return collections
			}
		}
	}
	return []Collection{{UsagePage: info.UsagePage, Usage: info.Usage, Type: 1}}
}

func (h *hidapi) Watch(ctx context.Context, changed func()) error { return uevent.Poll(ctx, changed) }

func (h *hidapi) Open(ctx context.Context, d Device) (Connection, error) {
	devices, err := h.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(devices, func(other Device) bool { return other.GUID == d.GUID })
	if i < 0 {
		return nil, fmt.Errorf("open HID device: %w", ErrLost)
	}
	opened, err := hid.OpenPath(devices[i].Path)
	if err != nil {
		return nil, fmt.Errorf("open HID device %s: %w", devices[i].Path, err)
	}
	c := &apiConnection{
		device:   opened,
		numbered: devices[i].HasReportID(),
		input:    devices[i].MaxSize(InputReport),
		feature:  devices[i].MaxSize(FeatureReport),
	}
	c.open, c.end = context.WithCancel(context.Background())
	return c, nil
}

// apiConnection is a device that hidapi has opened.
type apiConnection struct {
	device         *hid.Device
	numbered       bool
	input, feature int

	open   context.Context // ends with Close
	end    context.CancelFunc
	ending sync.RWMutex // held to read during calls: the library must not close the device meanwhile
}

// whileOpen calls do unless the device is closed, and keeps it open meanwhile.
func (c *apiConnection) whileOpen(ctx context.Context, what string, do func() error) error {
	c.ending.RLock()
	defer c.ending.RUnlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.open.Err() != nil {
		return fmt.Errorf("%s: %w", what, os.ErrClosed)
	}
	err := do()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// slice is how long the library is let wait in one go: nothing can end its waiting.
const slice = 50 * time.Millisecond

func (c *apiConnection) ReadInput(ctx context.Context) (id byte, data []byte, err error) {
	err = c.whileOpen(ctx, "read input report", func() error {
		report := make([]byte, max(c.input, 64)+1)
		for {
			n, err := c.device.ReadWithTimeout(report, slice)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case c.open.Err() != nil:
				return os.ErrClosed
			case errors.Is(err, hid.ErrTimeout):
				continue
			case err != nil: // the library says no more than that reading failed
				return errors.Join(ErrLost, err)
			case n == 0:
				continue
			case c.numbered:
				id, data = report[0], report[1:n]
			default:
				data = report[:n]
			}
			return nil
		}
	})
	return id, data, err
}

func (c *apiConnection) WriteOutput(ctx context.Context, id byte, data []byte) error {
	return c.whileOpen(ctx, "write output report", func() error {
		_, err := c.device.Write(append([]byte{id}, data...))
		return err
	})
}

func (c *apiConnection) SendFeature(ctx context.Context, id byte, data []byte) error {
	return c.whileOpen(ctx, "send feature report", func() error {
		_, err := c.device.SendFeatureReport(append([]byte{id}, data...))
		return err
	})
}

func (c *apiConnection) ReceiveFeature(ctx context.Context, id byte) (data []byte, err error) {
	err = c.whileOpen(ctx, "receive feature report", func() error {
		report := append([]byte{id}, make([]byte, c.feature)...)
		n, err := c.device.GetFeatureReport(report)
		if err == nil {
			data = report[min(1, n):n]
		}
		return err
	})
	return data, err
}

func (c *apiConnection) Close() error {
	if c.open.Err() != nil {
		return nil
	}
	c.end()
	c.ending.Lock()
	defer c.ending.Unlock()
	if c.device == nil {
		return nil
	}
	err := c.device.Close()
	c.device = nil
	return err
}
