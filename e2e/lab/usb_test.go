//go:build lab && linux

package lab

import (
	"os"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

func things(s usb.Source) devices.Source[usb.Device] { return s }

func numbers(vendor, product uint16) func(usb.Device) bool {
	return func(d usb.Device) bool { return d.VendorID == vendor && d.ProductID == product }
}

// loopback is a device that sends back over one bulk endpoint what comes over another.
func loopback(serial string) gadget {
	return gadget{Vendor: 0x1209, Product: 0x2307, Serial: serial, Name: "Loopback", Functions: map[string]map[string]string{
		"Loopback." + serial: {"bulk_buflen": "4096"},
	}}
}

func TestUSB_DevicesAreDescribed(t *testing.T) {
	loopback("LOOP").plug(t, 0)
	source := usb.Native()
	d := listed(t, things(source), "the loopback", numbers(0x1209, 0x2307))
	if d.ManufacturerName != "Laboratory" || d.ProductName != "Loopback" || d.SerialNumber != "LOOP" || d.USBVersionMajor != 2 {
		t.Errorf("%+v", d)
	}
	if d.Configuration == nil || len(d.Configuration.Interfaces) != 1 || len(d.Configuration.Interfaces[0].Alternate.Endpoints) != 2 {
		t.Fatalf("configuration %+v", d.Configuration)
	}
	for _, e := range d.Configuration.Interfaces[0].Alternate.Endpoints {
		if e.Type != "bulk" || e.PacketSize != 512 || e.EndpointNumber == 0 {
			t.Errorf("endpoint %+v", e)
		}
	}
	ftdi := listed(t, things(source), "QEMU's FTDI", numbers(0x0403, 0x6001))
	if ftdi.SerialNumber != "LABFTDI1" || ftdi.Configuration.Interfaces[0].Alternate.InterfaceClass != 0xFF {
		t.Errorf("%+v", ftdi)
	}
	listed(t, things(source), "QEMU's keyboard", func(d usb.Device) bool { return d.ProductName == "QEMU USB Keyboard" })
}

func TestUSB_ComingsAndGoingsAreToldAtOnce(t *testing.T) {
	events := changes(t, usb.Native(), numbers(0x1209, 0x2307))
	g := loopback("COMES").plug(t, 0)
	came := next(t, "the device to come", events)
	if !came.added || came.device.SerialNumber != "COMES" {
		t.Errorf("%+v", came)
	}
	begin := time.Now()
	g.unplug(t)
	went := next(t, "the device to go", events)
	if late := went.at.Sub(begin); went.added || late > time.Second || went.device.DeviceID != came.device.DeviceID {
		t.Errorf("%+v after %v", went, late)
	}
	g.replug(t)
	if again := next(t, "the device to come again", events); !again.added || again.device.DeviceID == came.device.DeviceID {
		t.Errorf("%+v came after %+v", again, came)
	}
}

func TestUSB_TwoOfAKindAreToldApart(t *testing.T) {
	loopback("TWIN-A").plug(t, 0)
	loopback("TWIN-B").plug(t, 1)
	source := usb.Native()
	bySerial := func(number string) usb.Device {
		return listed(t, things(source), number, func(d usb.Device) bool { return d.SerialNumber == number })
	}
	if a, b := bySerial("TWIN-A"), bySerial("TWIN-B"); a.DeviceID == b.DeviceID || a.Path == b.Path {
		t.Errorf("%+v and %+v", a, b)
	}
	if _, err := os.Stat(bySerial("TWIN-A").Path); err != nil {
		t.Error(err)
	}
}
