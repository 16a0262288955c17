package usb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// Types of descriptors, and the sizes of those that are read here.
const (
	deviceType        = 1
	configurationType = 2
	interfaceType     = 4
	endpointType      = 5

	deviceSize        = 18
	configurationSize = 9
	interfaceSize     = 9
	endpointSize      = 7
)

var errDescriptors = errors.New("the descriptors of the device cannot be read")

// parse gives the device that descriptors declare: that of the device and those of its configurations with all
// that belongs to them. What is cut off or makes no sense is left out. Names and the state of the device are not
// in there.
func parse(descriptors []byte) (Device, error) {
	b := descriptors
	if len(b) < deviceSize || b[0] < deviceSize || int(b[0]) > len(b) || b[1] != deviceType {
		return Device{}, errDescriptors
	}
	d := Device{
		DeviceClass:    b[4],
		DeviceSubclass: b[5],
		DeviceProtocol: b[6],
		VendorID:       binary.LittleEndian.Uint16(b[8:]),
		ProductID:      binary.LittleEndian.Uint16(b[10:]),
		Configurations: []Configuration{},
	}
	d.USBVersionMajor, d.USBVersionMinor, d.USBVersionSubminor = version(b[2:])
	d.DeviceVersionMajor, d.DeviceVersionMinor, d.DeviceVersionSubminor = version(b[12:])

	var current *Alternate
	for b = b[b[0]:]; len(b) >= 2 && b[0] >= 2 && int(b[0]) <= len(b); b = b[b[0]:] {
		one := b[:b[0]]
		switch {
		case one[1] == configurationType && len(one) >= configurationSize:
			d.Configurations = append(d.Configurations, Configuration{ConfigurationValue: one[5], Interfaces: []Interface{}})
			current = nil
		case one[1] == interfaceType && len(one) >= interfaceSize && len(d.Configurations) > 0:
			current = d.Configurations[len(d.Configurations)-1].add(one)
		case one[1] == endpointType && len(one) >= endpointSize && current != nil:
			current.add(one)
		}
	}
	for i := range d.Configurations {
		d.Configurations[i].finish(nil)
	}
	return d, nil
}

// version splits a version in binary coded decimals.
func version(b []byte) (major, minor, subminor uint8) { return b[1], b[0] >> 4, b[0] & 0xF }

// add takes an interface descriptor. The pointer holds until the next one is added.
func (c *Configuration) add(b []byte) *Alternate {
	i := slices.IndexFunc(c.Interfaces, func(i Interface) bool { return i.InterfaceNumber == b[2] })
	if i < 0 {
		i = len(c.Interfaces)
		c.Interfaces = append(c.Interfaces, Interface{InterfaceNumber: b[2]})
	}
	alternates := &c.Interfaces[i].Alternates
	*alternates = append(*alternates, Alternate{
		AlternateSetting:  b[3],
		InterfaceClass:    b[5],
		InterfaceSubclass: b[6],
		InterfaceProtocol: b[7],
		Endpoints:         []Endpoint{},
	})
	return &(*alternates)[len(*alternates)-1]
}

// add takes an endpoint descriptor.
func (a *Alternate) add(b []byte) {
	kind := [...]string{"", "isochronous", "bulk", "interrupt"}[b[3]&3]
	if kind == "" {
		return
	}
	e := Endpoint{
		EndpointNumber: b[2] & 0xF,
		Direction:      Out,
		Type:           kind,
		PacketSize:     uint32(binary.LittleEndian.Uint16(b[4:]) & 0x7FF),
	}
	if b[2]&0x80 != 0 {
		e.Direction = In
	}
	a.Endpoints = append(a.Endpoints, e)
}

// finish puts the interfaces in order and gives each its alternate: the one that selected names, or the first.
func (c *Configuration) finish(selected map[uint8]uint8) {
	slices.SortFunc(c.Interfaces, func(a, b Interface) int { return cmp.Compare(a.InterfaceNumber, b.InterfaceNumber) })
	for n := range c.Interfaces {
		i := &c.Interfaces[n]
		setting := selected[i.InterfaceNumber]
		at := slices.IndexFunc(i.Alternates, func(a Alternate) bool { return a.AlternateSetting == setting })
		i.Alternate = i.Alternates[max(at, 0)]
	}
}
