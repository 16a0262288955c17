package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices/usb"
)

// usbBus has USB devices of a test.
type usbBus struct {
	mu      sync.Mutex
	devices []*usbGadget
	changed chan struct{} // closed and renewed with each change
}

// usbGadget sends back on endpoint 1 what it gets there. Its endpoint 2 is an interrupt
// one, 3 is halted from the beginning, and 4 is isochronous in the alternate 1. Its
// interface 1 is of a protected class.
type usbGadget struct {
	usb.Device
	bus        *usbBus
	gone       context.Context
	unplugged  context.CancelFunc
	interrupts chan []byte

	mu   sync.Mutex
	log  []string // what has arrived
	news chan struct{}
}

// usbPage is a page of a session of the test's own, in which are the devices of the bus.
func usbPageOf(t testing.TB) (*Session, *WebContents, *usbBus) {
	t.Helper()
	s := memorySession(t)
	bus := usbBusOf(s)
	return s, testPage(t, s, sharedServer(t).URL("localhost", "/")), bus
}

// usbBusOf gives a session that nobody has used a bus instead of the machine's.
func usbBusOf(s *Session) *usbBus {
	bus := &usbBus{changed: make(chan struct{})}
	s.devices.usb.sources = func() []usb.Source { return []usb.Source{bus} }
	return bus
}

func (b *usbBus) List(context.Context) (all []usb.Device, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.devices {
		all = append(all, g.Device)
	}
	return all, nil
}

func (b *usbBus) Watch(ctx context.Context, changed func()) error {
	for {
		b.mu.Lock()
		next := b.changed
		b.mu.Unlock()
		changed()
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *usbBus) Open(_ context.Context, d usb.Device, _ usb.Options) (usb.Connection, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.devices {
		if g.DeviceID == d.DeviceID {
			if g.ProductName == "Locked" {
				return nil, os.ErrPermission
			}
			g.say("open")
			c := &usbGadgetConnection{gadget: g, halted: true, loop: make(chan []byte, 1000)}
			c.life, c.end = context.WithCancel(g.gone)
			return c, nil
		}
	}
	return nil, usb.ErrLost
}

// plug plugs a gadget in with a serial number, which may be empty.
func (b *usbBus) plug(t testing.TB, name, serial string) *usbGadget {
	g := &usbGadget{Device: usbGadgetDevice(), bus: b, interrupts: make(chan []byte, 10), news: make(chan struct{})}
	g.ProductName, g.SerialNumber = name, serial
	g.DeviceID = fmt.Sprintf("%s-%s-%p", name, serial, g)
	g.gone, g.unplugged = context.WithCancel(context.Background())
	t.Cleanup(g.unplugged)
	b.mu.Lock()
	b.devices = append(b.devices, g)
	b.change()
	b.mu.Unlock()
	return g
}

func (b *usbBus) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (g *usbGadget) unplug() {
	g.bus.mu.Lock()
	defer g.bus.mu.Unlock()
	g.bus.devices = slices.DeleteFunc(g.bus.devices, func(other *usbGadget) bool { return other == g })
	g.unplugged()
	g.bus.change()
}

func (g *usbGadget) say(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.log = append(g.log, what)
	close(g.news)
	g.news = make(chan struct{})
}

func (g *usbGadget) said() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.log)
}

// wait waits until something has arrived.
func (g *usbGadget) wait(t testing.TB, what string) {
	t.Helper()
	for {
		g.mu.Lock()
		there, news := slices.Contains(g.log, what), g.news
		g.mu.Unlock()
		if there {
			return
		}
		select {
		case <-news:
		case <-testContext(t).Done():
			t.Fatalf("no %s has arrived: %v", what, g.said())
		}
	}
}

func usbGadgetDevice() usb.Device {
	endpoint := func(number uint8, direction usb.Direction, kind string) usb.Endpoint {
		return usb.Endpoint{EndpointNumber: number, Direction: direction, Type: kind, PacketSize: 64}
	}
	plain := usb.Alternate{InterfaceClass: 0xFF, InterfaceSubclass: 1, InterfaceProtocol: 2, InterfaceName: "Loop", Endpoints: []usb.Endpoint{
		endpoint(1, usb.In, "bulk"), endpoint(1, usb.Out, "bulk"), endpoint(2, usb.In, "interrupt"), endpoint(3, usb.Out, "bulk"),
	}}
	steady := usb.Alternate{AlternateSetting: 1, InterfaceClass: 0xFF, Endpoints: []usb.Endpoint{endpoint(4, usb.In, "isochronous"), endpoint(4, usb.Out, "isochronous")}}
	keys := usb.Alternate{InterfaceClass: 0x03, Endpoints: []usb.Endpoint{endpoint(5, usb.In, "interrupt")}}
	first := usb.Configuration{ConfigurationValue: 1, ConfigurationName: "First", Interfaces: []usb.Interface{
		{InterfaceNumber: 0, Alternate: plain, Alternates: []usb.Alternate{plain, steady}},
		{InterfaceNumber: 1, Alternate: keys, Alternates: []usb.Alternate{keys}},
	}}
	second := usb.Configuration{ConfigurationValue: 2, Interfaces: []usb.Interface{{InterfaceNumber: 0, Alternate: steady, Alternates: []usb.Alternate{steady}}}}
	return usb.Device{
		VendorID: 0x1209, ProductID: 0x0001, ManufacturerName: "Makers",
		USBVersionMajor: 2, USBVersionMinor: 1, DeviceClass: 0xEF, DeviceSubclass: 2, DeviceProtocol: 1,
		DeviceVersionMajor: 3, DeviceVersionMinor: 4, DeviceVersionSubminor: 5,
		Configuration: &first, Configurations: []usb.Configuration{first, second},
	}
}

// usbGadgetConnection is a gadget that is open. What it cannot do it calls a fault.
type usbGadgetConnection struct {
	gadget *usbGadget
	life   context.Context
	end    context.CancelFunc
	loop   chan []byte

	mu     sync.Mutex
	halted bool
}

var errUSBGadget = errors.New("the gadget has a fault")

func (c *usbGadgetConnection) alive() error {
	switch {
	case c.gadget.gone.Err() != nil:
		return usb.ErrLost
	case c.life.Err() != nil:
		return os.ErrClosed
	}
	return nil
}

func (c *usbGadgetConnection) note(format string, args ...any) error {
	if err := c.alive(); err != nil {
		return err
	}
	c.gadget.say(fmt.Sprintf(format, args...))
	return nil
}

func (c *usbGadgetConnection) SelectConfiguration(_ context.Context, value uint8) error {
	return c.note("configuration %d", value)
}

func (c *usbGadgetConnection) ClaimInterface(_ context.Context, number uint8) error {
	if c.gadget.ProductName == "Busy" {
		return errUSBGadget
	}
	return c.note("claim %d", number)
}

func (c *usbGadgetConnection) ReleaseInterface(_ context.Context, number uint8) error {
	return c.note("release %d", number)
}

func (c *usbGadgetConnection) SelectAlternate(_ context.Context, number, alternate uint8) error {
	return c.note("alternate %d of %d", alternate, number)
}

func (c *usbGadgetConnection) ControlIn(_ context.Context, s usb.Setup, length int) ([]byte, usb.Status, error) {
	if s.Request == 99 {
		return nil, usb.Stall, c.alive()
	}
	return []byte{s.Request, byte(s.Value), byte(s.Value >> 8), byte(s.Index), byte(length)}, usb.OK, c.note("control in %s %s", s.RequestType, s.Recipient)
}

func (c *usbGadgetConnection) ControlOut(_ context.Context, s usb.Setup, data []byte) (int, usb.Status, error) {
	return len(data), usb.OK, c.note("control out %s %s %v", s.RequestType, s.Recipient, data)
}

func (c *usbGadgetConnection) take(ctx context.Context, from <-chan []byte) ([]byte, usb.Status, error) {
	select {
	case data := <-from:
		return data, usb.OK, nil
	case <-ctx.Done():
		return nil, "", ctx.Err()
	case <-c.life.Done():
		return nil, "", c.alive()
	}
}

func (c *usbGadgetConnection) TransferIn(ctx context.Context, endpoint uint8, length int) ([]byte, usb.Status, error) {
	if err := c.alive(); err != nil {
		return nil, "", err
	}
	if endpoint == 2 {
		c.gadget.say("waiting")
		return c.take(ctx, c.gadget.interrupts)
	}
	data, status, err := c.take(ctx, c.loop)
	if len(data) > length {
		return data[:length], usb.Babble, err
	}
	return data, status, err
}

func (c *usbGadgetConnection) TransferOut(_ context.Context, endpoint uint8, data []byte) (int, usb.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.alive() != nil:
		return 0, "", c.alive()
	case endpoint == 3 && c.halted:
		return 0, usb.Stall, nil
	case endpoint == 3:
		return 0, "", errUSBGadget
	}
	c.loop <- data
	return len(data), usb.OK, nil
}

func (c *usbGadgetConnection) IsochronousIn(_ context.Context, _ uint8, lengths []int) (packets []usb.Packet, err error) {
	for i, length := range lengths {
		packets = append(packets, usb.Packet{Data: slices.Repeat([]byte{byte(i + 1)}, length-i), Status: usb.OK})
	}
	return packets, c.alive()
}

func (c *usbGadgetConnection) IsochronousOut(_ context.Context, _ uint8, data []byte, lengths []int) (packets []usb.Packet, err error) {
	for _, length := range lengths {
		packets = append(packets, usb.Packet{Written: length, Status: usb.OK})
	}
	return packets, c.note("isochronous out %v", data)
}

func (c *usbGadgetConnection) ClearHalt(_ context.Context, direction usb.Direction, endpoint uint8) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halted = false
	return c.note("clear %s %d", direction, endpoint)
}

func (c *usbGadgetConnection) Reset(context.Context) error { return c.note("reset") }

func (c *usbGadgetConnection) Close() error {
	if c.life.Err() == nil || c.gadget.gone.Err() != nil {
		c.gadget.say("close")
	}
	c.end()
	return nil
}
