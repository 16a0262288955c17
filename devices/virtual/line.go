package virtual

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// The bytes that wait on a line in each direction before who writes waits: as many as the page's buffer
// has, but at least and at most these.
const (
	minBuffer = 64 << 10
	maxBuffer = 16 << 20
)

// Line is the device's end of a serial port that a page has open. Its methods may be called at the same
// time from several goroutines.
type Line struct {
	device           *SerialDevice
	options          serial.Options
	serve            func(context.Context, *Line) // nil if the device is in the hands of who has plugged it in
	life             context.Context              // until it is closed (os.ErrClosed) or unplugged (serial.ErrLost)
	end              context.CancelCauseFunc
	toPage, fromPage *pipe
	wiring           atomic.Pointer[func(Signals) serial.InputSignals]
}

func newLine(d *SerialDevice, o serial.Options, serve func(context.Context, *Line)) *Line {
	limit := int(min(max(o.BufferSize, minBuffer), maxBuffer))
	l := &Line{device: d, options: o, serve: serve, fromPage: d.received}
	l.life, l.end = context.WithCancelCause(d.life)
	l.toPage = newPipe(l.life, limit)
	if serve != nil {
		l.fromPage = newPipe(l.life, limit)
	}
	return l
}

// run runs the function that is the device. When it returns nobody is at this end any more.
func (l *Line) run() {
	defer l.fromPage.abandon()
	_ = safely("Serve of "+l.device.port.PortName, func() error {
		l.serve(l.life, l)
		return nil
	})
}

// Options are the settings that the page has opened the port with, with defaults filled in.
func (l *Line) Options() serial.Options { return l.options }

// Read waits for what the page writes, and gives what there is. When the page has closed the port, or
// it was unplugged, it gives what was written before and then io.EOF.
func (l *Line) Read(p []byte) (int, error) {
	n, err := l.fromPage.read(l.life, p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// Write sends to the page. It waits while the page has not read 64 KiB, or what it has set as its buffer's
// size if that is more. The error is io.ErrClosedPipe when the page has closed the port, and
// serial.ErrLost when it was unplugged.
func (l *Line) Write(p []byte) (int, error) { return l.write(l.life, p) }

// write is Write until ctx ends, which is to end with the line.
func (l *Line) write(ctx context.Context, p []byte) (int, error) {
	n, err := l.toPage.write(ctx, p)
	if err != nil {
		if err = cmp.Or(context.Cause(l.life), context.Cause(ctx)); err == os.ErrClosed {
			err = io.ErrClosedPipe
		}
	}
	return n, err
}

// SendError sends an error of the line in its place among the bytes: the page's stream fails with it once,
// and the page can go on with another stream. The last of more than 1024 that wait are dropped.
func (l *Line) SendError(kind serial.LineErrorKind) { l.toPage.fault(kind) }

// SetSignals sets the lines that the page reads: see [SerialDevice.SetSignals].
func (l *Line) SetSignals(s serial.InputSignals) { l.device.SetSignals(s) }

// Join joins lines, until the port is closed: the page reads what wiring makes of the lines that it has
// set. It is called whenever the page reads them, and SetSignals has no effect on this line.
func (l *Line) Join(wiring func(page Signals) serial.InputSignals) { l.wiring.Store(&wiring) }

// inputs are the lines that the page reads.
func (l *Line) inputs() (in serial.InputSignals) {
	if wiring := l.wiring.Load(); wiring != nil {
		_ = safely("wiring of "+l.device.port.PortName, func() error {
			in = (*wiring)(l.Signals())
			return nil
		})
		return in
	}
	l.device.mu.Lock()
	defer l.device.mu.Unlock()
	return l.device.inputs
}

// Signals are the lines that the page sets, now.
func (l *Line) Signals() Signals { return l.device.Signals() }

// WatchSignals yields the lines that the page sets, as they are when it is called and then each change,
// until ctx ends or the port is closed or unplugged. Of more than 1024 changes that wait the oldest are
// dropped.
func (l *Line) WatchSignals(ctx context.Context) iter.Seq[Signals] {
	return l.device.signals.watch(ctx, l.life)
}

// connection is the page's end of a line. Hardware flow control is not acted: a line that is full makes
// who writes wait, whatever the signals are.
type connection struct{ line *Line }

// failed is err as the page gets it: the reason why the line has ended, if that is it.
func (c connection) failed(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Cause(c.line.life)
	}
	return err
}

func (c connection) Read(p []byte) (int, error) {
	n, err := c.line.toPage.read(c.line.life, p)
	return n, c.failed(err)
}

func (c connection) Write(p []byte) (int, error) {
	n, err := c.line.fromPage.write(c.line.life, p)
	return n, c.failed(err)
}

// Drain waits until the device has read everything. What is kept for Receive is read.
func (c connection) Drain() error {
	if c.line.serve == nil {
		return context.Cause(c.line.life)
	}
	return c.failed(c.line.fromPage.drain(c.line.life))
}

func (c connection) Discard(input, output bool) error {
	if input {
		c.line.toPage.discard()
	}
	if output && c.line.serve != nil {
		c.line.fromPage.discard()
	}
	return context.Cause(c.line.life)
}

func (c connection) SetSignals(o serial.OutputSignals) error {
	d := c.line.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line != c.line {
		return context.Cause(c.line.life)
	}
	d.signals.set(d.signals.get().with(o))
	return nil
}

func (c connection) Signals() (serial.InputSignals, error) {
	return c.line.inputs(), context.Cause(c.line.life)
}

func (c connection) Close() error {
	c.line.device.close(c.line)
	return nil
}
