//go:build !linux && libusb && cgo

package usb

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/google/gousb"

	"github.com/cdpbridge/cdpbridge/internal/plugged"
	"github.com/cdpbridge/cdpbridge/internal/uevent"
)

// Native is the source of this machine's devices: those that libusb finds. Each is opened once for its names
// and its configuration; one that cannot be opened has none. Changes are found by looking every second.
func Native() Source { return &found{names: map[string]Device{}} }

type found struct {
	tokens plugged.Tokens

	mu    sync.Mutex
	names map[string]Device // by identity: devices that were opened already
}

func (s *found) List(ctx context.Context) ([]Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	library, err := start()
	if err != nil {
		return nil, fmt.Errorf("list USB devices: %w", err)
	}
	defer library.Close()
	seen := map[string]Device{}
	// An error here is that of one device that cannot be opened.
	opened, _ := library.OpenDevices(func(desc *gousb.DeviceDesc) bool {
		if desc.Class == gousb.ClassHub {
			return false
		}
		d := describe(desc)
		known, ok := s.names[identity(d)]
		if ok {
			d = known
		}
		seen[identity(d)] = d
		return !ok
	})
	for _, device := range opened {
		d := describe(device.Desc)
		d.ManufacturerName, _ = device.Manufacturer()
		d.ProductName, _ = device.Product()
		d.SerialNumber, _ = device.SerialNumber()
		if value, err := device.ActiveConfigNum(); err == nil {
			d.Configuration = d.configuration(value)
		}
		device.Close()
		seen[identity(d)] = d
	}
	s.names = seen
	devices := slices.SortedFunc(maps.Values(seen), func(a, b Device) int {
		return cmp.Or(cmp.Compare(a.Bus, b.Bus), cmp.Compare(a.Address, b.Address))
	})
	var identities []string
	for _, d := range devices {
		identities = append(identities, identity(d))
	}
	for i, token := range s.tokens.Of(identities) {
		devices[i].DeviceID = token
	}
	return devices, nil
}

// identity is of one plugging in: the system gives addresses anew.
func identity(d Device) string {
	return fmt.Sprintf("%d.%d %04x:%04x", d.Bus, d.Address, d.VendorID, d.ProductID)
}

func (d Device) configuration(value int) *Configuration {
	i := slices.IndexFunc(d.Configurations, func(c Configuration) bool { return int(c.ConfigurationValue) == value })
	if i < 0 {
		return nil
	}
	return &d.Configurations[i]
}

func describe(desc *gousb.DeviceDesc) Device {
	d := Device{
		VendorID:       uint16(desc.Vendor),
		ProductID:      uint16(desc.Product),
		DeviceClass:    uint8(desc.Class),
		DeviceSubclass: uint8(desc.SubClass),
		DeviceProtocol: uint8(desc.Protocol),
		Configurations: []Configuration{},
		Bus:            desc.Bus,
		Address:        desc.Address,
	}
	d.USBVersionMajor, d.USBVersionMinor, d.USBVersionSubminor = version(binary.LittleEndian.AppendUint16(nil, uint16(desc.Spec)))
	d.DeviceVersionMajor, d.DeviceVersionMinor, d.DeviceVersionSubminor = version(binary.LittleEndian.AppendUint16(nil, uint16(desc.Device)))
	for _, value := range slices.Sorted(maps.Keys(desc.Configs)) {
		c := Configuration{ConfigurationValue: uint8(value), Interfaces: []Interface{}}
		for _, i := range desc.Configs[value].Interfaces {
			c.Interfaces = append(c.Interfaces, describeInterface(i))
		}
		c.finish(nil)
		d.Configurations = append(d.Configurations, c)
	}
	return d
}

func describeInterface(desc gousb.InterfaceDesc) Interface {
	i := Interface{InterfaceNumber: uint8(desc.Number)}
	for _, setting := range desc.AltSettings {
		a := Alternate{
			AlternateSetting:  uint8(setting.Alternate),
			InterfaceClass:    uint8(setting.Class),
			InterfaceSubclass: uint8(setting.SubClass),
			InterfaceProtocol: uint8(setting.Protocol),
			Endpoints:         []Endpoint{},
		}
		for _, address := range slices.Sorted(maps.Keys(setting.Endpoints)) {
			e := setting.Endpoints[address]
			one := Endpoint{EndpointNumber: uint8(e.Number), Direction: Out, Type: e.TransferType.String(), PacketSize: uint32(e.MaxPacketSize)}
			if e.Direction == gousb.EndpointDirectionIn {
				one.Direction = In
			}
			a.Endpoints = append(a.Endpoints, one)
		}
		i.Alternates = append(i.Alternates, a)
	}
	return i
}

func (s *found) Watch(ctx context.Context, changed func()) error { return uevent.Poll(ctx, changed) }

func (s *found) Open(ctx context.Context, d Device, o Options) (Connection, error) {
	devices, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(devices, func(other Device) bool { return other.DeviceID == d.DeviceID })
	if i < 0 {
		return nil, fmt.Errorf("open USB device: %w", ErrLost)
	}
	c, err := openDevice(devices[i], o)
	if err != nil {
		return nil, fmt.Errorf("open USB device: %w", err)
	}
	return c, nil
}
