package bridge

import (
	"context"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// virtualDevices are the devices of a session that are made in software.
type virtualDevices struct {
	serial *virtual.SerialBus
	hid    hid.Source
}

func newVirtualDevices(s *Session) virtualDevices {
	v := virtualDevices{virtual.NewSerialBus(), hid.Native()}
	context.AfterFunc(s.life, func() {
		v.serial.Close()
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

// any reports whether there are virtual devices.
func (v virtualDevices) any() bool {
	ports, _ := v.serial.List(context.Background())
	return len(ports) > 0
}
