package virtual

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// SerialPort describes a serial port that is made in software. The zero value is a port that is not of
// a USB device, whose other end is in the hands of who has plugged it in: see [SerialDevice].
type SerialPort struct {
	// Name is the port's name, "ttyVIRTUAL0" and so on by default.
	Name string
	// DisplayName is the product string of the USB device.
	DisplayName string
	// VendorID and ProductID are those of the USB device. With both 0 there is none.
	VendorID, ProductID uint16
	// SerialNumber is that of the USB device. A page's permission for a device that has one, and is of
	// USB, outlives that it is unplugged.
	SerialNumber string
	// BluetoothServiceClassID is the UUID of the service, if the port is one of Bluetooth.
	BluetoothServiceClassID string

	// Serve is the device, if it is set: it is called in a goroutine of its own each time that the port
	// is opened, with the device's end of the line. ctx ends when the port is closed or unplugged, and
	// Serve is to return then. When it returns earlier, or panics, the port stays open, and what the page
	// writes is lost as with a device that is off.
	Serve func(ctx context.Context, line *Line)

	// Script is what the device does, in place of Serve.
	Script *Script
}

// SerialBus has serial ports made in software. It is a serial.Source. All methods may be called at the
// same time from several goroutines.
type SerialBus struct {
	watchers watchers

	mu      sync.Mutex
	devices []*SerialDevice // sorted by name
	closed  bool
	serving sync.WaitGroup
}

var _ serial.Source = (*SerialBus)(nil)

// NewSerialBus returns a bus without ports.
func NewSerialBus() *SerialBus { return &SerialBus{} }

// Plug plugs a port in. It gets another PortID each time. It is an error if another port has its name or
// the script has events that a port cannot have, and ErrBusClosed after Close.
func (b *SerialBus) Plug(p SerialPort) (*SerialDevice, error) {
	var d *SerialDevice
	err := p.checkScript()
	if err == nil {
		d, err = b.add(p)
	}
	if err != nil {
		return nil, fmt.Errorf("plug in a serial port: %w", err)
	}
	b.watchers.tell()
	return d, nil
}

func (b *SerialBus) add(p SerialPort) (*SerialDevice, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrBusClosed
	}
	named := func(name string) bool {
		return slices.ContainsFunc(b.devices, func(d *SerialDevice) bool { return d.port.PortName == name })
	}
	for n := 0; p.Name == ""; n++ {
		if name := "ttyVIRTUAL" + strconv.Itoa(n); !named(name) {
			p.Name = name
		}
	}
	if named(p.Name) {
		return nil, fmt.Errorf("there is a port %q already", p.Name)
	}
	d := newSerialDevice(b, p)
	b.devices = append(b.devices, d)
	slices.SortFunc(b.devices, func(x, y *SerialDevice) int { return strings.Compare(x.port.PortName, y.port.PortName) })
	return d, nil
}

// Close unplugs all ports, and returns when the functions that serve them have returned. It must not be
// called by one of these.
func (b *SerialBus) Close() error {
	b.mu.Lock()
	b.closed = true
	devices := b.devices
	b.devices = nil
	b.mu.Unlock()
	for _, d := range devices {
		d.vanish()
	}
	b.watchers.tell()
	b.serving.Wait()
	return nil
}

// List implements serial.Source.
func (b *SerialBus) List(ctx context.Context) ([]serial.Port, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ports := make([]serial.Port, len(b.devices))
	for i, d := range b.devices {
		ports[i] = d.port
	}
	return ports, ctx.Err()
}

// Watch implements serial.Source. It goes on when the bus was closed.
func (b *SerialBus) Watch(ctx context.Context, changed func()) error {
	return b.watchers.watch(ctx, changed)
}

// Open implements serial.Source. A port that is open is ErrBusy.
func (b *SerialBus) Open(ctx context.Context, p serial.Port, o serial.Options) (serial.Connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("open %s: %w", p.PortName, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.devices, func(d *SerialDevice) bool { return d.port.PortID == p.PortID })
	if i < 0 {
		return nil, fmt.Errorf("open %s: %w", p.PortName, serial.ErrLost)
	}
	l, err := b.devices[i].open(o.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p.PortName, err)
	}
	if l.serve != nil {
		b.serving.Go(l.run) // under the lock, or Close might not wait for it
	}
	return connection{l}, nil
}

// SerialDevice is a serial port that is plugged in, seen from the device's end. Its methods may be called
// at the same time from several goroutines.
type SerialDevice struct {
	bus    *SerialBus
	port   serial.Port
	serve  func(context.Context, *Line)
	script *Script
	life   context.Context // until it is unplugged
	unplug context.CancelCauseFunc
	// received is what pages have written to a port without Serve, over all openings.
	received *pipe
	signals  *signals

	mu     sync.Mutex
	change *sync.Cond
	line   *Line // while it is open
	inputs serial.InputSignals
}

// maxReceived is how many bytes wait for Receive before writing pages wait.
const maxReceived = 1 << 20

func newSerialDevice(b *SerialBus, p SerialPort) *SerialDevice {
	d := &SerialDevice{bus: b, serve: p.Serve, script: p.Script, signals: newSignals()}
	d.life, d.unplug = context.WithCancelCause(context.Background())
	d.received = newPipe(d.life, maxReceived)
	d.change = sync.NewCond(&d.mu)
	d.port = serial.Port{
		PortID:                  rand.Text(),
		PortName:                p.Name,
		DisplayName:             p.DisplayName,
		SerialNumber:            p.SerialNumber,
		BluetoothServiceClassID: strings.ToLower(p.BluetoothServiceClassID),
	}
	if p.VendorID != 0 || p.ProductID != 0 {
		d.port.VendorID = strconv.Itoa(int(p.VendorID))
		d.port.ProductID = strconv.Itoa(int(p.ProductID))
	}
	return d
}

// Port is the port as it is listed.
func (d *SerialDevice) Port() serial.Port { return d.port }

// Opened waits until a page has the port open, and gives the device's end of the line. It is
// serial.ErrLost when the port was unplugged.
func (d *SerialDevice) Opened(ctx context.Context) (*Line, error) {
	ctx, end := both(ctx, d.life)
	defer end()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := await(ctx, d.change, func() bool { return d.line != nil }); err != nil {
		return nil, context.Cause(ctx)
	}
	return d.line, nil
}

// Closed waits until no page has the port open, also as it was unplugged.
func (d *SerialDevice) Closed(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return await(ctx, d.change, func() bool { return d.line == nil })
}

// Send waits until a page has the port open, and sends data to it. It returns when the line has taken
// all: see [Line.Write]. When the page closes the port before, the rest is lost and the error is
// io.ErrClosedPipe; it is serial.ErrLost when the port was unplugged.
func (d *SerialDevice) Send(ctx context.Context, data []byte) error {
	line, err := d.Opened(ctx)
	if err == nil {
		ctx, end := both(ctx, line.life)
		defer end()
		_, err = line.write(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("send on %s: %w", d.port.PortName, err)
	}
	return nil
}

// Receive waits for at least one byte that a page has written, and gives what there is. What came earlier
// is kept, up to 1 MiB, also from openings that are over; then pages that write wait. It is
// serial.ErrLost when the port was unplugged and everything was received. It is for ports without a
// Serve or a script: with one it waits until ctx ends.
func (d *SerialDevice) Receive(ctx context.Context) ([]byte, error) {
	data := make([]byte, 64<<10)
	n, err := d.receive(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("receive on %s: %w", d.port.PortName, err)
	}
	return slices.Clone(data[:n]), nil
}

func (d *SerialDevice) receive(ctx context.Context, into []byte) (int, error) {
	ctx, end := both(ctx, d.life)
	defer end()
	n, err := d.received.read(ctx, into)
	if err != nil {
		err = context.Cause(ctx)
	}
	return n, err
}

// Reader reads what Receive would give, until ctx ends. It is at its end, io.EOF, when the port was
// unplugged.
func (d *SerialDevice) Reader(ctx context.Context) io.Reader { return receivedReader{ctx, d} }

type receivedReader struct {
	ctx    context.Context
	device *SerialDevice
}

func (r receivedReader) Read(p []byte) (int, error) {
	n, err := r.device.receive(r.ctx, p)
	if errors.Is(err, serial.ErrLost) {
		err = io.EOF
	}
	return n, err
}

// SetSignals sets the lines that pages read. All are off at first; they stay as they are when the port is
// closed and opened.
func (d *SerialDevice) SetSignals(s serial.InputSignals) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inputs = s
}

// Signals are the lines that the page sets, now. All are off while the port is not open.
func (d *SerialDevice) Signals() Signals { return d.signals.get() }

// WatchSignals yields the lines that pages set, as they are when it is called and then each change, until
// ctx ends or the port was unplugged. Of more than 1024 changes that wait the oldest are dropped.
func (d *SerialDevice) WatchSignals(ctx context.Context) iter.Seq[Signals] {
	return d.signals.watch(ctx, d.life)
}

// Unplug makes the port vanish. Who has it open gets what was already sent, and then serial.ErrLost.
// Unplugging again is nothing. To plug it in again, give the bus the same description.
func (d *SerialDevice) Unplug() {
	d.bus.mu.Lock()
	d.bus.devices = slices.DeleteFunc(d.bus.devices, func(o *SerialDevice) bool { return o == d })
	d.bus.mu.Unlock()
	d.vanish()
	d.bus.watchers.tell()
}

// vanish ends what goes on with a device that is not listed any more.
func (d *SerialDevice) vanish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unplug(serial.ErrLost)
	d.line = nil
	d.signals.set(Signals{})
	d.change.Broadcast()
}

func (d *SerialDevice) open(o serial.Options) (*Line, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.life.Err() != nil {
		return nil, serial.ErrLost
	}
	if d.line != nil {
		return nil, ErrBusy
	}
	serve := d.serve
	var script *opening
	if d.script != nil {
		var err error
		if script, err = d.script.open(&o); err != nil {
			return nil, err
		}
		serve = script.serve
	}
	d.line = newLine(d, o, serve)
	d.signals.set(Signals{DataTerminalReady: true, RequestToSend: true})
	if script != nil {
		script.changes = d.signals.watch(d.line.life, d.line.life)
	}
	d.change.Broadcast()
	return d.line, nil
}

// close closes a line, by the page.
func (d *SerialDevice) close(l *Line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.end(os.ErrClosed)
	l.toPage.discard()
	if d.line == l {
		d.line = nil
		d.signals.set(Signals{})
		d.change.Broadcast()
	}
}
