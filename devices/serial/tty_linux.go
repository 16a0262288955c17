package serial

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// tty is an open port. Settings and lines go through one descriptor, bytes through another one, which Go's
// poller watches: so Close ends what waits, however many files the program has open.
type tty struct {
	bytes  *os.File
	marked marked // what Read takes from bytes

	settings sync.RWMutex // held to write while port is closed
	port     bugst.Port
	lines    sync.Mutex // changing one line reads and writes them all

	closed atomic.Bool
	close  func() error
}

func openTTY(path string, o Options) (*tty, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	// Opened first: the other one then takes the port for this process alone.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.ENODEV || err == unix.ENXIO {
		return nil, ErrLost
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	c := &tty{bytes: os.NewFile(uintptr(fd), path)}
	c.close = sync.OnceValue(c.closeNow)
	if c.port, err = bugst.Open(path, mode(o)); err != nil {
		return nil, errors.Join(err, c.bytes.Close())
	}
	if err := c.configure(o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.marked = marked{from: c.bytes, parity: o.Parity != NoParity, counters: c.counters}
	c.marked.begin()
	return c, nil
}

// configure sets what the port's library does not: flow control, and marks for errors of the line among the
// bytes. Without parity what has framing errors is dropped, as in Chromium.
func (c *tty) configure(o Options) error {
	return c.control(func(fd int) error {
		settings, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return os.NewSyscallError("get the port's settings", err)
		}
		settings.Iflag |= unix.PARMRK
		settings.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.ISTRIP
		if o.Parity == NoParity {
			settings.Iflag |= unix.IGNPAR
		}
		if o.Flow == HardwareFlowControl {
			settings.Cflag |= unix.CRTSCTS
		}
		return os.NewSyscallError("set flow control and marks", unix.IoctlSetTermios(fd, unix.TCSETS, settings))
	})
}

// control calls do with the descriptor, which stays open meanwhile.
func (c *tty) control(do func(fd int) error) error {
	connection, err := c.bytes.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := connection.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func (c *tty) Read(p []byte) (int, error) {
	n, err := c.marked.Read(p)
	return n, c.failed("read", err)
}

func (c *tty) Write(p []byte) (int, error) {
	n, err := c.bytes.Write(p)
	return n, c.failed("write", err)
}

// whileOpen calls do unless the port is closed, and keeps it open meanwhile.
func (c *tty) whileOpen(what string, do func(bugst.Port) error) error {
	c.settings.RLock()
	defer c.settings.RUnlock()
	if c.closed.Load() {
		return fmt.Errorf("%s: %w", what, os.ErrClosed)
	}
	return c.failed(what, do(c.port))
}

func (c *tty) Drain() error {
	return c.whileOpen("drain", bugst.Port.Drain)
}

func (c *tty) Discard(input, output bool) error {
	return c.whileOpen("discard", func(p bugst.Port) error {
		var errs []error
		if input {
			c.marked.discard()
			errs = append(errs, p.ResetInputBuffer())
		}
		if output {
			errs = append(errs, p.ResetOutputBuffer())
		}
		return errors.Join(errs...)
	})
}

func (c *tty) SetSignals(s OutputSignals) error {
	c.lines.Lock()
	defer c.lines.Unlock()
	return c.whileOpen("set signals", func(p bugst.Port) error {
		var errs []error
		if s.DataTerminalReady != nil {
			errs = append(errs, p.SetDTR(*s.DataTerminalReady))
		}
		if s.RequestToSend != nil {
			errs = append(errs, p.SetRTS(*s.RequestToSend))
		}
		if s.Break != nil {
			errs = append(errs, c.setBreak(*s.Break))
		}
		return c.withoutLines(errors.Join(errs...))
	})
}

func (c *tty) setBreak(on bool) error {
	request := uint(unix.TIOCCBRK)
	if on {
		request = unix.TIOCSBRK
	}
	return c.control(func(fd int) error { return unix.IoctlSetInt(fd, request, 0) })
}

func (c *tty) Signals() (InputSignals, error) {
	var s InputSignals
	err := c.whileOpen("get signals", func(p bugst.Port) error {
		bits, err := p.GetModemStatusBits()
		if err != nil {
			return c.withoutLines(err)
		}
		s = InputSignals{DataCarrierDetect: bits.DCD, ClearToSend: bits.CTS, RingIndicator: bits.RI, DataSetReady: bits.DSR}
		return nil
	})
	return s, err
}

// withoutLines is no error where a port has no lines: a pseudo terminal takes all signals and gives none.
// A port that is gone says the same.
func (c *tty) withoutLines(err error) error {
	if !errors.Is(err, syscall.ENOTTY) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	if c.hungUp() {
		return ErrLost
	}
	return nil
}

func (c *tty) hungUp() bool {
	gone := false
	_ = c.control(func(fd int) error {
		poll := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(poll, 0)
		gone = err == nil && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		return nil
	})
	return gone
}

func (c *tty) Close() error { return c.close() }

func (c *tty) closeNow() error {
	c.closed.Store(true)
	c.bytes.SetDeadline(time.Unix(1, 0)) // ends Read and Write
	c.dropUnsent()
	c.settings.Lock()
	defer c.settings.Unlock()
	return errors.Join(c.port.Close(), c.bytes.Close())
}

// dropUnsent ends a Drain, and keeps the kernel from waiting for half a minute when the other side has stopped us.
func (c *tty) dropUnsent() {
	_ = c.control(func(fd int) error {
		if n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ); err != nil || n == 0 {
			return err
		}
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
	})
}

// failed wraps an error of a call: as ErrLost if it says that the device is gone.
func (c *tty) failed(what string, err error) error {
	var line *LineError
	switch {
	case err == nil || errors.As(err, &line):
		return err
	case c.closed.Load():
		return fmt.Errorf("%s: %w", what, os.ErrClosed)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%s: %w", what, errors.Join(ErrLost, err))
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}
