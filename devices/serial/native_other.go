//go:build !linux

package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	bugst "go.bug.st/serial"

	"github.com/cdpbridge/cdpbridge/internal/plugged"
	"github.com/cdpbridge/cdpbridge/internal/uevent"
)

// Native is the source of this machine's ports. Changes are found by looking every second. A port whose
// device is unplugged and plugged in again between two looks counts as the same.
func Native() Source { return &ports{} }

type ports struct{ tokens plugged.Tokens }

func (s *ports) List(ctx context.Context) ([]Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list, err := enumerate()
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	slices.SortFunc(list, func(a, b Port) int { return strings.Compare(a.PortName, b.PortName) })
	var identities []string
	for i := range list {
		identities = append(identities, fmt.Sprint(list[i]))
	}
	for i, token := range s.tokens.Of(identities) {
		list[i].PortID = token
	}
	return list, nil
}

func (s *ports) Watch(ctx context.Context, changed func()) error { return uevent.Poll(ctx, changed) }

func (s *ports) Open(ctx context.Context, p Port, o Options) (Connection, error) {
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(list, func(other Port) bool { return other.PortID == p.PortID }) {
		return nil, fmt.Errorf("open serial port %s: %w", p.PortName, ErrLost)
	}
	c, err := open(p.Path, o)
	if err != nil {
		return nil, fmt.Errorf("open serial port %s: %w", p.PortName, err)
	}
	return c, nil
}

// errUnsupported is of what go.bug.st/serial, which does the work outside of Linux, cannot do.
var errUnsupported = fmt.Errorf("only on Linux: %w", errors.ErrUnsupported)

func open(path string, o Options) (Connection, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	if o.Flow == HardwareFlowControl {
		return nil, fmt.Errorf("flow control by RTS and CTS: %w", errUnsupported)
	}
	p, err := bugst.Open(path, mode(o))
	if err != nil {
		return nil, err
	}
	return &port{Port: p}, nil
}

// port is an open port. Errors of the line are not told by its system.
type port struct {
	bugst.Port
	lines  sync.Mutex
	closed atomic.Bool
}

func (c *port) Read(p []byte) (int, error) {
	n, err := c.Port.Read(p)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, ErrLost
	}
	return n, c.failed("read", err)
}

func (c *port) Write(p []byte) (int, error) {
	for written := 0; ; {
		n, err := c.Port.Write(p[written:])
		if written += n; err != nil || written == len(p) {
			return written, c.failed("write", err)
		}
	}
}

func (c *port) Drain() error { return c.failed("drain", c.Port.Drain()) }

func (c *port) Discard(input, output bool) error {
	var errs []error
	if input {
		errs = append(errs, c.ResetInputBuffer())
	}
	if output {
		errs = append(errs, c.ResetOutputBuffer())
	}
	return c.failed("discard", errors.Join(errs...))
}

func (c *port) SetSignals(s OutputSignals) error {
	c.lines.Lock()
	defer c.lines.Unlock()
	var errs []error
	if s.DataTerminalReady != nil {
		errs = append(errs, c.SetDTR(*s.DataTerminalReady))
	}
	if s.RequestToSend != nil {
		errs = append(errs, c.SetRTS(*s.RequestToSend))
	}
	if s.Break != nil && *s.Break {
		errs = append(errs, fmt.Errorf("break until it is set to false: %w", errUnsupported))
	}
	return c.failed("set signals", errors.Join(errs...))
}

func (c *port) Signals() (InputSignals, error) {
	bits, err := c.GetModemStatusBits()
	if err != nil {
		return InputSignals{}, c.failed("get signals", err)
	}
	return InputSignals{DataCarrierDetect: bits.DCD, ClearToSend: bits.CTS, RingIndicator: bits.RI, DataSetReady: bits.DSR}, nil
}

func (c *port) Close() error {
	c.closed.Store(true)
	return c.Port.Close()
}

// failed wraps an error of a call. A port that the library found closed and nobody has closed is lost.
func (c *port) failed(what string, err error) error {
	var reported *bugst.PortError
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		return fmt.Errorf("%s: %w", what, os.ErrClosed)
	case errors.As(err, &reported) && (reported.Code() == bugst.PortClosed || reported.Code() == bugst.PortNotFound):
		return fmt.Errorf("%s: %w", what, errors.Join(ErrLost, err))
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
