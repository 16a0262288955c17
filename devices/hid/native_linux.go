package hid

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cdpbridge/cdpbridge/internal/plugged"
	"github.com/cdpbridge/cdpbridge/internal/sysfs"
	"github.com/cdpbridge/cdpbridge/internal/uevent"
)

// Native is the source of this machine's devices: the hidraw devices of Linux. Nothing is opened to list them.
func Native() Source { return &hidraw{root: "/"} }

// hidraw is the devices of the kernel's driver of that name. Tests have other roots.
type hidraw struct {
	root   string
	tokens plugged.Tokens
}

func (h *hidraw) List(ctx context.Context) ([]Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	directories, err := sysfs.List(filepath.Join(h.root, "sys/class/hidraw"))
	if err != nil {
		return nil, fmt.Errorf("list HID devices: %w", err)
	}
	devices := []Device{}
	var identities []string
	for _, directory := range directories {
		if d, ok := h.describe(directory); ok {
			devices = append(devices, d)
			identities = append(identities, directory.Identity())
		}
	}
	for i, token := range h.tokens.Of(identities) {
		devices[i].GUID = token
	}
	return devices, nil
}

// describe is not ok for a device that goes while it is read, and for one that declares too much.
func (h *hidraw) describe(directory sysfs.Device) (Device, bool) {
	parent, ok := directory.Nearest(func(d sysfs.Device) bool { return d.Property("HID_ID") != "" })
	if !ok {
		return Device{}, false
	}
	_, vendor, product, ok := splitID(parent.Property("HID_ID"))
	if !ok {
		return Device{}, false
	}
	descriptor := parent.Bytes("report_descriptor")
	if descriptor == nil {
		return Device{}, false
	}
	collections, err := Parse(descriptor)
	if err != nil {
		return Device{}, false
	}
	return Device{
		DeviceID:     physical(parent),
		Name:         parent.Property("HID_NAME"),
		VendorID:     vendor,
		ProductID:    product,
		SerialNumber: parent.Property("HID_UNIQ"),
		Collections:  collections,
		Path:         filepath.Join(h.root, "dev", directory.Name()),
	}, true
}

// splitID reads "0003:0000046D:0000C077": the bus, the vendor and the product.
func splitID(s string) (bus, vendor, product uint16, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	var numbers [3]uint16
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 16, 16)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = uint16(n)
	}
	return numbers[0], numbers[1], numbers[2], true
}

// physical is the device that has the HID interface: the USB device, the Bluetooth connection, and where the
// kernel knows neither the interface itself. Chromium takes the same.
func physical(device sysfs.Device) string {
	if usb, ok := device.USB(); ok {
		return string(usb)
	}
	connection, ok := device.Nearest(func(d sysfs.Device) bool {
		return d.Subsystem() == "bluetooth" && strings.Contains(d.Name(), ":")
	})
	if ok {
		return string(connection)
	}
	return string(device)
}

func (h *hidraw) Watch(ctx context.Context, changed func()) error {
	return uevent.Changes(ctx, func(e uevent.Event) bool { return e.Subsystem == "hidraw" }, changed)
}

func (h *hidraw) Open(ctx context.Context, d Device) (Connection, error) {
	present, err := h.present(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("open HID device: %w", err)
	}
	c, err := openNode(present)
	if err != nil {
		return nil, fmt.Errorf("open HID device: %w", err)
	}
	// Another device may have got the node between the look and the opening of it.
	if _, err := h.present(ctx, d); err != nil {
		return nil, errors.Join(fmt.Errorf("open HID device: %w", err), c.Close())
	}
	return c, nil
}

// present is d as it is now.
func (h *hidraw) present(ctx context.Context, d Device) (Device, error) {
	devices, err := h.List(ctx)
	if err != nil {
		return Device{}, err
	}
	i := slices.IndexFunc(devices, func(other Device) bool { return other.GUID == d.GUID })
	if i < 0 {
		return Device{}, ErrLost
	}
	return devices[i], nil
}
