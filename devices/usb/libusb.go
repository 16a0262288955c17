//go:build libusb && cgo

package usb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/gousb"
)

// connection is a device that libusb has opened.
type connection struct {
	options Options
	library *gousb.Context
	device  *gousb.Device

	open   context.Context // ends with Close
	end    context.CancelFunc
	calls  sync.WaitGroup
	ending sync.Mutex // Close against the beginning of calls

	mu      sync.Mutex // what follows
	config  *gousb.Config
	claimed map[uint8]*gousb.Interface
}

// controlTimeout is the longest that a device may take for a request by the USB specification (2.0, 9.2.6.1).
// Control transfers of the library cannot be ended otherwise.
const controlTimeout = 5 * time.Second

func openDevice(d Device, o Options) (_ Connection, err error) {
	library, err := start()
	if err != nil {
		return nil, err
	}
	found, err := library.OpenDevices(func(other *gousb.DeviceDesc) bool {
		return other.Bus == d.Bus && other.Address == d.Address
	})
	if len(found) == 0 {
		library.Close()
		switch {
		case is(err, gousb.ErrorAccess):
			return nil, &fs.PathError{Op: "open", Path: d.Path, Err: fs.ErrPermission}
		case err == nil || is(err, gousb.ErrorNoDevice) || is(err, gousb.ErrorNotFound):
			return nil, ErrLost
		default:
			return nil, err
		}
	}
	c := &connection{options: o, library: library, device: found[0], claimed: map[uint8]*gousb.Interface{}}
	c.device.ControlTimeout = controlTimeout
	c.open, c.end = context.WithCancel(context.Background())
	return c, nil
}

// start makes the library ready. It panics where the system has no USB.
func start() (_ *gousb.Context, err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("libusb does not start: %v", problem)
		}
	}()
	return gousb.NewContext(), nil
}

// is says whether err is one of libusb's. The library wraps many of them as text.
func is(err error, one error) bool {
	return err != nil && (errors.Is(err, one) || strings.Contains(err.Error(), one.Error()))
}

// begin keeps the device open until the returned function is called; its context ends with ctx and with Close.
func (c *connection) begin(ctx context.Context) (context.Context, func(), error) {
	c.ending.Lock()
	defer c.ending.Unlock()
	if c.open.Err() != nil {
		return nil, nil, os.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c.calls.Add(1)
	call, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.open, cancel)
	return call, func() {
		stop()
		cancel()
		c.calls.Done()
	}, nil
}

func (c *connection) Close() error {
	c.ending.Lock()
	if c.open.Err() != nil {
		c.ending.Unlock()
		return nil
	}
	c.end()
	c.ending.Unlock()
	c.calls.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.releaseAll(), c.device.Close(), c.library.Close())
}

// failed wraps an error of a call, as ErrLost if it says that the device is gone.
func (c *connection) failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case c.open.Err() != nil:
		err = os.ErrClosed
	case is(err, gousb.ErrorNoDevice), is(err, gousb.TransferNoDevice):
		err = errors.Join(ErrLost, err)
	case is(err, gousb.ErrorBusy):
		err = fmt.Errorf("a driver of the system or another program has it: %w", err)
	case is(err, gousb.ErrorAccess):
		err = errors.Join(fs.ErrPermission, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// status is how a transfer ended that did take place; else there is an error.
func (c *connection) status(ctx context.Context, what string, err error) (Status, error) {
	switch {
	case err == nil:
		return OK, nil
	case errors.Is(err, gousb.TransferStall), errors.Is(err, gousb.ErrorPipe):
		return Stall, nil
	case errors.Is(err, gousb.TransferOverflow), errors.Is(err, gousb.ErrorOverflow):
		return Babble, nil
	default:
		return "", c.failed(ctx, what, err)
	}
}

// change runs one change of the configuration, an interface or an alternate at a time.
func (c *connection) change(ctx context.Context, what string, do func() error) error {
	_, done, err := c.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer done()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed(ctx, what, do())
}

func (c *connection) SelectConfiguration(ctx context.Context, value uint8) error {
	return c.change(ctx, "select configuration", func() error {
		return errors.Join(c.releaseAll(), c.configure(int(value)))
	})
}

// configure takes a configuration, and selects it if it is not. The library would take all its interfaces
// from the kernel's drivers and give back only those that are claimed: so it learns afterwards that it may.
func (c *connection) configure(value int) error {
	if err := c.device.SetAutoDetach(false); err != nil && !is(err, gousb.ErrorNotSupported) {
		return err
	}
	config, err := c.device.Config(value)
	if err != nil {
		return err
	}
	inOrder(&config.Desc)
	c.config = config
	if c.options.DetachKernelDriver {
		if err := c.device.SetAutoDetach(true); err != nil && !is(err, gousb.ErrorNotSupported) {
			return err
		}
	}
	return nil
}

// inOrder puts each interface at the place of its number, where the library looks for it.
func inOrder(d *gousb.ConfigDesc) {
	var places []gousb.InterfaceDesc
	for _, i := range d.Interfaces {
		for len(places) <= i.Number {
			places = append(places, gousb.InterfaceDesc{Number: -1})
		}
		places[i.Number] = i
	}
	d.Interfaces = places
}

// releaseAll gives interfaces and configuration back. The device keeps the configuration.
func (c *connection) releaseAll() error {
	for number, i := range c.claimed {
		i.Close()
		delete(c.claimed, number)
	}
	if c.config == nil {
		return nil
	}
	err := c.config.Close()
	c.config = nil
	return err
}

func (c *connection) ClaimInterface(ctx context.Context, number uint8) error {
	return c.change(ctx, fmt.Sprintf("claim interface %d", number), func() error {
		if c.claimed[number] != nil {
			return nil
		}
		return c.claim(number, 0)
	})
}

func (c *connection) claim(number, alternate uint8) error {
	if c.config == nil {
		active, err := c.device.ActiveConfigNum()
		if err != nil {
			return err
		}
		if err := c.configure(active); err != nil {
			return err
		}
	}
	i, err := c.config.Interface(int(number), int(alternate))
	if err != nil {
		return err
	}
	c.claimed[number] = i
	return nil
}

func (c *connection) ReleaseInterface(ctx context.Context, number uint8) error {
	return c.change(ctx, fmt.Sprintf("release interface %d", number), func() error {
		if i := c.claimed[number]; i != nil {
			i.Close()
			delete(c.claimed, number)
		}
		return nil
	})
}

// SelectAlternate releases the interface and claims it anew: the library has no other way.
func (c *connection) SelectAlternate(ctx context.Context, number, alternate uint8) error {
	return c.change(ctx, fmt.Sprintf("select alternate %d of interface %d", alternate, number), func() error {
		i := c.claimed[number]
		if i == nil {
			return errNotClaimed
		}
		i.Close()
		delete(c.claimed, number)
		return c.claim(number, alternate)
	})
}

var errNotClaimed = errors.New("the interface is not claimed")

// Reset gives everything back for the time it takes: the library insists on it.
func (c *connection) Reset(ctx context.Context) error {
	return c.change(ctx, "reset", func() error {
		alternates := map[uint8]uint8{}
		for number, i := range c.claimed {
			alternates[number] = uint8(i.Setting.Alternate)
		}
		configured := 0
		if c.config != nil {
			configured = c.config.Desc.Number
		}
		if err := errors.Join(c.releaseAll(), c.device.Reset()); err != nil {
			if is(err, gousb.ErrorNotFound) {
				return errors.Join(ErrLost, err) // it came back as another device
			}
			return err
		}
		if configured == 0 {
			return nil
		}
		errs := []error{c.configure(configured)}
		for number, alternate := range alternates {
			errs = append(errs, c.claim(number, alternate))
		}
		return errors.Join(errs...)
	})
}

func (c *connection) ControlIn(ctx context.Context, s Setup, length int) ([]byte, Status, error) {
	data := make([]byte, length)
	n, status, err := c.control(ctx, s, 0x80, data)
	return data[:n], status, err
}

func (c *connection) ControlOut(ctx context.Context, s Setup, data []byte) (int, Status, error) {
	return c.control(ctx, s, 0, slices.Clone(data))
}

// control makes a request in a goroutine of its own, which may outlive ctx by controlTimeout; Close waits for it.
func (c *connection) control(ctx context.Context, s Setup, direction uint8, data []byte) (int, Status, error) {
	const what = "control transfer"
	kind, ok := s.bits()
	if !ok || len(data) > 0xFFFF {
		return 0, "", fmt.Errorf("%s: %+v with %d bytes is none", what, s, len(data))
	}
	call, done, err := c.begin(ctx)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w", what, err)
	}
	type result struct {
		n   int
		err error
	}
	results := make(chan result, 1)
	go func() {
		defer done()
		n, err := c.device.Control(direction|kind, s.Request, s.Value, s.Index, data)
		results <- result{max(n, 0), err}
	}()
	select {
	case <-call.Done():
		return 0, "", c.failed(ctx, what, call.Err())
	case r := <-results:
		status, err := c.status(ctx, what, r.err)
		return r.n, status, err
	}
}

// bits are type and recipient as the setup packet has them.
func (s Setup) bits() (uint8, bool) {
	kind := slices.Index([]RequestType{Standard, Class, Vendor}, s.RequestType)
	recipient := slices.Index([]Recipient{ToDevice, ToInterface, ToEndpoint, ToOther}, s.Recipient)
	return uint8(kind<<5 | recipient), kind >= 0 && recipient >= 0
}

// claimedWith is the claimed interface that has an endpoint of that address. It is called with mu held.
func (c *connection) claimedWith(address uint8) (*gousb.Interface, error) {
	for _, i := range c.claimed {
		if _, ok := i.Setting.Endpoints[gousb.EndpointAddress(address)]; ok {
			return i, nil
		}
	}
	return nil, fmt.Errorf("endpoint %d: %w", address&0xF, errNotClaimed)
}

func (c *connection) in(endpoint uint8) (*gousb.InEndpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, err := c.claimedWith(endpoint | 0x80)
	if err != nil {
		return nil, err
	}
	return i.InEndpoint(int(endpoint))
}

func (c *connection) out(endpoint uint8) (*gousb.OutEndpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, err := c.claimedWith(endpoint)
	if err != nil {
		return nil, err
	}
	return i.OutEndpoint(int(endpoint))
}

func (c *connection) TransferIn(ctx context.Context, endpoint uint8, length int) ([]byte, Status, error) {
	call, done, err := c.begin(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("transfer in: %w", err)
	}
	defer done()
	data := make([]byte, length)
	n, err := c.receive(call, endpoint, data)
	status, err := c.status(ctx, "transfer in", err)
	return data[:n], status, err
}

func (c *connection) receive(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	e, err := c.in(endpoint)
	if err != nil {
		return 0, err
	}
	return e.ReadContext(ctx, data)
}

func (c *connection) TransferOut(ctx context.Context, endpoint uint8, data []byte) (int, Status, error) {
	call, done, err := c.begin(ctx)
	if err != nil {
		return 0, "", fmt.Errorf("transfer out: %w", err)
	}
	defer done()
	n, err := c.send(call, endpoint, data)
	status, err := c.status(ctx, "transfer out", err)
	return n, status, err
}

func (c *connection) send(ctx context.Context, endpoint uint8, data []byte) (int, error) {
	e, err := c.out(endpoint)
	if err != nil {
		return 0, err
	}
	return e.WriteContext(ctx, data)
}

// IsochronousIn is for one packet only: the library joins the data of several and does not say where each ended.
func (c *connection) IsochronousIn(ctx context.Context, endpoint uint8, lengths []int) ([]Packet, error) {
	if len(lengths) != 1 {
		return nil, fmt.Errorf("isochronous transfer in of %d packets: %w: only one packet at a time is", len(lengths), ErrNotSupported)
	}
	data, status, err := c.TransferIn(ctx, endpoint, lengths[0])
	if err != nil {
		return nil, err
	}
	return []Packet{{Data: data, Status: status}}, nil
}

// IsochronousOut is for one packet, or for several that are all as long as the endpoint allows: the library cuts
// the data so.
func (c *connection) IsochronousOut(ctx context.Context, endpoint uint8, data []byte, lengths []int) ([]Packet, error) {
	e, err := c.out(endpoint)
	if err != nil {
		return nil, fmt.Errorf("isochronous transfer out: %w", err)
	}
	size := e.Desc.MaxPacketSize
	full := func(length int) bool { return length == size }
	if len(lengths) == 0 || len(lengths) > 1 && slices.ContainsFunc(lengths, func(l int) bool { return !full(l) }) {
		return nil, fmt.Errorf("isochronous transfer out of %v bytes: %w: only packets of %d bytes are", lengths, ErrNotSupported, size)
	}
	sum := 0
	for _, length := range lengths {
		sum += length
	}
	if sum != len(data) {
		return nil, fmt.Errorf("isochronous transfer out: %d bytes for packets of %d", len(data), sum)
	}
	n, status, err := c.TransferOut(ctx, endpoint, data)
	if err != nil {
		return nil, err
	}
	packets := make([]Packet, len(lengths))
	for i, length := range lengths {
		packets[i] = Packet{Written: min(n, length), Status: status}
		n -= packets[i].Written
		if packets[i].Written == length {
			packets[i].Status = OK
		}
	}
	return packets, nil
}

// ClearHalt asks the device to end the halt. The library cannot tell the system to begin with the first data
// toggle again; systems do that themselves when they see the endpoint stall.
func (c *connection) ClearHalt(ctx context.Context, direction Direction, endpoint uint8) error {
	address := endpoint
	if direction == In {
		address |= 0x80
	}
	c.mu.Lock()
	_, err := c.claimedWith(address)
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("clear halt: %w", err)
	}
	const clearFeature = 1 // of the feature 0, ENDPOINT_HALT
	_, status, err := c.ControlOut(ctx, Setup{RequestType: Standard, Recipient: ToEndpoint, Request: clearFeature, Index: uint16(address)}, nil)
	if err == nil && status != OK {
		err = errors.New("the device refuses")
	}
	if err != nil {
		return fmt.Errorf("clear halt: %w", err)
	}
	return nil
}
