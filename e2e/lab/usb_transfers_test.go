//go:build lab && linux && libusb && cgo

package lab

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

// opens opens a device and its configuration; it is closed with the test.
func opens(t testing.TB, source usb.Source, d usb.Device, o usb.Options) usb.Connection {
	t.Helper()
	c := must[usb.Connection](t)(source.Open(testContext(t), d, o))
	t.Cleanup(func() { c.Close() })
	if err := c.SelectConfiguration(testContext(t), d.Configurations[0].ConfigurationValue); err != nil {
		t.Fatal(err)
	}
	return c
}

// endpoints are the numbers of the bulk endpoints of a device's first interface.
func endpoints(d usb.Device) (in, out uint8) {
	for _, e := range d.Configurations[0].Interfaces[0].Alternates[0].Endpoints {
		if e.Direction == usb.In {
			in = e.EndpointNumber
		} else {
			out = e.EndpointNumber
		}
	}
	return in, out
}

func TestUSB_BulkTransfersComeBack(t *testing.T) {
	loopback("LOOP").plug(t, 0)
	source := usb.Native()
	d := listed(t, things(source), "the loopback", numbers(0x1209, 0x2307))
	c := opens(t, source, d, usb.Options{})
	if err := c.ClaimInterface(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	in, out := endpoints(d)
	const length, rounds = 4096, 64
	sent := make([]byte, length)
	random := rand.NewChaCha8([32]byte{2})
	begin := time.Now()
	for range rounds {
		random.Read(sent)
		if n, status, err := c.TransferOut(testContext(t), out, sent); n != length || status != usb.OK || err != nil {
			t.Fatalf("out: %d, %s, %v", n, status, err)
		}
		got, status, err := c.TransferIn(testContext(t), in, length)
		if status != usb.OK || err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("in: %d bytes, %s, %v", len(got), status, err)
		}
	}
	t.Logf("%.0f KB/s there and back", length*rounds/1000/time.Since(begin).Seconds())
}

func TestUSB_ControlTransfers(t *testing.T) {
	loopback("CONTROL").plug(t, 0)
	source := usb.Native()
	c := opens(t, source, listed(t, things(source), "the loopback", numbers(0x1209, 0x2307)), usb.Options{})
	const getDescriptor, deviceDescriptor = 6, 1 << 8
	setup := usb.Setup{RequestType: usb.Standard, Recipient: usb.ToDevice, Request: getDescriptor, Value: deviceDescriptor}
	got, status, err := c.ControlIn(testContext(t), setup, 64)
	if err != nil || status != usb.OK || len(got) != 18 || got[8] != 0x09 || got[9] != 0x12 {
		t.Errorf("device descriptor: % x, %s, %v", got, status, err)
	}
	unknown := usb.Setup{RequestType: usb.Vendor, Recipient: usb.ToDevice, Request: 0xEE}
	if _, status, err := c.ControlIn(testContext(t), unknown, 8); status != usb.Stall || err != nil {
		t.Errorf("a request that the device does not know: %s, %v", status, err)
	}
}

func TestUSB_AnInterfaceIsTakenFromItsDriverAndGivenBack(t *testing.T) {
	source := usb.Native()
	d := listed(t, things(source), "QEMU's FTDI", numbers(0x0403, 0x6001))
	driven := func() bool {
		return slices.ContainsFunc(must[[]serial.Port](t)(serial.Native().List(testContext(t))), isFTDI)
	}
	until(t, "the driver", driven)

	polite := opens(t, source, d, usb.Options{})
	if err := polite.ClaimInterface(testContext(t), 0); err == nil || !driven() {
		t.Errorf("claimed without a right to detach: %v", err)
	}
	polite.Close()

	c := opens(t, source, d, usb.Options{DetachKernelDriver: true})
	if !driven() {
		t.Error("opening alone takes the driver away")
	}
	if err := c.ClaimInterface(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	if driven() {
		t.Error("the driver has the interface still")
	}
	if err := c.ReleaseInterface(testContext(t), 0); err != nil {
		t.Error(err)
	}
	until(t, "the driver to have the interface back", driven)
}

func TestUSB_TheEndOfAContextEndsATransfer(t *testing.T) {
	loopback("WAITS").plug(t, 0)
	source := usb.Native()
	d := listed(t, things(source), "the loopback", numbers(0x1209, 0x2307))
	c := opens(t, source, d, usb.Options{})
	if err := c.ClaimInterface(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	in, _ := endpoints(d)
	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.TransferIn(ctx, in, 512)
		ended <- err
	}()
	cancel()
	if err := next(t, "the end of the transfer", ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestUSB_UnplugDuringATransfer(t *testing.T) {
	g := loopback("GOES").plug(t, 0)
	source := usb.Native()
	d := listed(t, things(source), "the loopback", numbers(0x1209, 0x2307))
	c := opens(t, source, d, usb.Options{})
	if err := c.ClaimInterface(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	in, out := endpoints(d)
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.TransferIn(testContext(t), in, 512)
		ended <- err
	}()
	g.unplug(t)
	if err := next(t, "the end of the transfer", ended); !errors.Is(err, usb.ErrLost) {
		t.Errorf("in: %v", err)
	}
	if _, _, err := c.TransferOut(testContext(t), out, []byte("late")); !errors.Is(err, usb.ErrLost) {
		t.Errorf("out: %v", err)
	}
}
