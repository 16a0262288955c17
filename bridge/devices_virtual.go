package bridge

import (
	"context"

	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// virtualDevices are the devices of a session that are made in software.
type virtualDevices struct {
	serial *virtual.SerialBus
	hid    *virtual.HIDBus
}

func newVirtualDevices(s *Session) virtualDevices {
	v := virtualDevices{virtual.NewSerialBus(), virtual.NewHIDBus()}
	context.AfterFunc(s.life, func() {
		v.serial.Close()
		v.hid.Close()
	})
	return v
}

// AddVirtualSerialPort plugs a serial port in that is made in software. Only pages of
// this session can be given it; they find it, choose it and use it as one of this
// machine. Unplug of what is returned unplugs it, and so does the end of the session.
func (s *Session) AddVirtualSerialPort(port virtual.SerialPort) (*virtual.SerialDevice, error) {
	device, err := s.devices.virtual.serial.Plug(port)
	s.devices.update()
	return device, doing("adding a virtual serial port", err)
}

// AddVirtualHIDDevice plugs a human interface device in that is made in software, as
// AddVirtualSerialPort does with ports.
func (s *Session) AddVirtualHIDDevice(device virtual.HIDDevice) (*virtual.HIDInterface, error) {
	made, err := s.devices.virtual.hid.Plug(device)
	s.devices.update()
	return made, doing("adding a virtual HID device", err)
}

// any reports whether there are virtual devices.
func (v virtualDevices) any() bool {
	ports, _ := v.serial.List(context.Background())
	interfaces, _ := v.hid.List(context.Background())
	return len(ports)+len(interfaces) > 0
}
