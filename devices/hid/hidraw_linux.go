package hid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawConnection is an open hidraw node.
type rawConnection struct {
	file     *os.File
	numbered bool // reports have their id as the first byte
	input    int  // the length of the longest input report, without the id
	feature  int  // that of the longest feature report

	reading sync.Mutex // held while ReadInput has set a deadline for its context
}

// openNode opens a node to read and write, or only to read where no more is allowed: so does Chromium.
func openNode(d Device) (*rawConnection, error) {
	const flags = unix.O_CLOEXEC | unix.O_NONBLOCK
	fd, err := unix.Open(d.Path, unix.O_RDWR|flags, 0)
	if err == unix.EACCES || err == unix.EPERM {
		if readable, readErr := unix.Open(d.Path, unix.O_RDONLY|flags, 0); readErr == nil {
			fd, err = readable, nil
		}
	}
	if err == unix.ENOENT || err == unix.ENODEV || err == unix.ENXIO {
		return nil, ErrLost
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.Path, Err: err}
	}
	return newRawConnection(os.NewFile(uintptr(fd), d.Path), d), nil
}

func newRawConnection(file *os.File, d Device) *rawConnection {
	return &rawConnection{
		file:     file,
		numbered: d.HasReportID(),
		input:    d.MaxSize(InputReport),
		feature:  d.MaxSize(FeatureReport),
	}
}

func (c *rawConnection) ReadInput(ctx context.Context) (byte, []byte, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		c.file.SetReadDeadline(time.Unix(1, 0))
	})
	// The kernel gives a report that is longer than declared as it came.
	report := make([]byte, max(c.input, 64)+1)
	n, err := c.file.Read(report)
	if !stop() {
		<-expired
		c.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, nil, ctx.Err()
		}
		return 0, nil, c.failed("read input report", err)
	}
	report = report[:n]
	if !c.numbered {
		return 0, report, nil
	}
	return report[0], report[1:], nil // Read gives at least one byte
}

func (c *rawConnection) WriteOutput(ctx context.Context, id byte, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := c.file.Write(withID(id, data)); err != nil {
		return c.failed("write output report", err)
	}
	return nil
}

func (c *rawConnection) SendFeature(ctx context.Context, id byte, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := c.control(setFeature, withID(id, data)); err != nil {
		return c.failed("send feature report", err)
	}
	return nil
}

func (c *rawConnection) ReceiveFeature(ctx context.Context, id byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	report := withID(id, make([]byte, c.feature))
	n, err := c.control(getFeature, report)
	if err != nil {
		return nil, c.failed("receive feature report", err)
	}
	return report[min(1, n):n], nil // the first byte is the id, 0 where there are none
}

func (c *rawConnection) Close() error { return c.file.Close() }

// withID is what the kernel takes: the id first, 0 where there are none.
func withID(id byte, data []byte) []byte { return append([]byte{id}, data...) }

// The numbers of the requests HIDIOCSFEATURE and HIDIOCGFEATURE, without the length.
const (
	setFeature = 3<<30 | 'H'<<8 | 0x06
	getFeature = 3<<30 | 'H'<<8 | 0x07
	// longest is the longest report of the kernel's hidraw.
	longest = 16384 - 1
)

// control makes a request about a report. It cannot be ended before the device answers or the kernel gives
// up, which takes five seconds over USB.
func (c *rawConnection) control(request uintptr, report []byte) (int, error) {
	if len(report) > longest {
		return 0, fmt.Errorf("%d bytes: %w", len(report), syscall.EMSGSIZE)
	}
	connection, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n uintptr
	var errno syscall.Errno
	err = connection.Control(func(fd uintptr) {
		n, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, request|uintptr(len(report))<<16, uintptr(unsafe.Pointer(&report[0])))
	})
	if err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// failed wraps an error of a call, as ErrLost if it says that the device is gone. The kernel says EIO for
// that to who reads, but also for a transfer that failed to who writes.
func (c *rawConnection) failed(what string, err error) error {
	gone := errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ESHUTDOWN) ||
		errors.Is(err, syscall.EIO) && c.hungUp()
	if gone {
		return fmt.Errorf("%s: %w", what, errors.Join(ErrLost, err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// hungUp says whether the kernel has cut the node off from its device.
func (c *rawConnection) hungUp() bool {
	connection, err := c.file.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	_ = connection.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd)}}
		_, err := unix.Poll(poll, 0)
		gone = err == nil && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone
}
