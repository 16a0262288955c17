package usb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cdpbridge/cdpbridge/internal/plugged"
	"github.com/cdpbridge/cdpbridge/internal/sysfs"
	"github.com/cdpbridge/cdpbridge/internal/uevent"
)

// Native is the source of this machine's devices. Nothing is opened to list them. To open them takes a program
// built with cgo and the tag libusb.
func Native() Source { return &bus{root: "/"} }

// bus is the USB devices that Linux shows. Tests have other roots.
type bus struct {
	root   string
	tokens plugged.Tokens
}

func (s *bus) List(ctx context.Context) ([]Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	directories, err := sysfs.List(filepath.Join(s.root, "sys/bus/usb/devices"))
	if err != nil {
		return nil, fmt.Errorf("list USB devices: %w", err)
	}
	devices := []Device{}
	identities := map[[2]int]string{}
	for _, directory := range directories {
		if d, err := s.describe(directory); err == nil && d.DeviceClass != hub {
			devices = append(devices, d)
			identities[[2]int{d.Bus, d.Address}] = directory.Identity()
		}
	}
	slices.SortFunc(devices, func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.Bus, b.Bus), cmp.Compare(a.Address, b.Address))
	})
	var inOrder []string
	for _, d := range devices {
		inOrder = append(inOrder, identities[[2]int{d.Bus, d.Address}])
	}
	for i, token := range s.tokens.Of(inOrder) {
		devices[i].DeviceID = token
	}
	return devices, nil
}

// hub is the class of hubs, which Chromium shows to nobody.
const hub = 0x09

// describe gives an error for what is no device, such as an interface, and for one that goes while it is read.
func (s *bus) describe(directory sysfs.Device) (Device, error) {
	d, err := parse(directory.Bytes("descriptors"))
	if err != nil {
		return Device{}, err
	}
	d.ProductName = directory.Text("product")
	d.ManufacturerName = directory.Text("manufacturer")
	d.SerialNumber = directory.Text("serial")
	d.Bus, d.Address = directory.Number("busnum", 10), directory.Number("devnum", 10)
	d.Path = filepath.Join(s.root, fmt.Sprintf("dev/bus/usb/%03d/%03d", d.Bus, d.Address))
	selectConfiguration(&d, directory)
	return d, nil
}

// selectConfiguration fills in what the kernel shows of the configuration that is selected, if one is.
func selectConfiguration(d *Device, directory sysfs.Device) {
	value, err := strconv.ParseUint(directory.Text("bConfigurationValue"), 10, 8)
	if err != nil {
		return
	}
	n := slices.IndexFunc(d.Configurations, func(c Configuration) bool { return c.ConfigurationValue == uint8(value) })
	if n < 0 {
		return
	}
	c := &d.Configurations[n]
	c.ConfigurationName = directory.Text("configuration")
	selected := map[uint8]uint8{}
	for i := range c.Interfaces {
		shown := sysfs.Device(filepath.Join(string(directory),
			fmt.Sprintf("%s:%d.%d", directory.Name(), value, c.Interfaces[i].InterfaceNumber)))
		setting := uint8(shown.Number("bAlternateSetting", 10))
		selected[c.Interfaces[i].InterfaceNumber] = setting
		for a := range c.Interfaces[i].Alternates {
			if alternate := &c.Interfaces[i].Alternates[a]; alternate.AlternateSetting == setting {
				alternate.InterfaceName = shown.Text("interface")
			}
		}
	}
	c.finish(selected)
	d.Configuration = c
}

func (s *bus) Watch(ctx context.Context, changed func()) error {
	return uevent.Changes(ctx, func(e uevent.Event) bool { return e.Subsystem == "usb" && e.DevType == "usb_device" }, changed)
}

func (s *bus) Open(ctx context.Context, d Device, o Options) (Connection, error) {
	present, err := s.present(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("open USB device: %w", err)
	}
	c, err := openDevice(present, o)
	if err != nil {
		return nil, fmt.Errorf("open USB device: %w", err)
	}
	// Another device may have got the address between the look and the opening.
	if _, err := s.present(ctx, d); err != nil {
		return nil, errors.Join(fmt.Errorf("open USB device: %w", err), c.Close())
	}
	return c, nil
}

// present is d as it is now.
func (s *bus) present(ctx context.Context, d Device) (Device, error) {
	devices, err := s.List(ctx)
	if err != nil {
		return Device{}, err
	}
	i := slices.IndexFunc(devices, func(other Device) bool { return other.DeviceID == d.DeviceID })
	if i < 0 {
		return Device{}, ErrLost
	}
	return devices[i], nil
}
