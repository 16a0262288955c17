package uevent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The groups of messages. The kernel's come first; udev's when the device's node has its final rights.
const (
	kernelGroup = 1
	udevGroup   = 2
)

// Watch calls began when no event is missed any more, and then happened for each event, until ctx ends. It
// gives ctx's error then. errors.ErrUnsupported: this system has no such events, or gives them to nobody.
func Watch(ctx context.Context, began func(), happened func(Event)) error {
	return watch(ctx, queue, began, happened)
}

// queue is how many bytes of messages wait for a reader who is late.
const queue = 1 << 20

func watch(ctx context.Context, queue int, began func(), happened func(Event)) error {
	socket, err := listen(queue)
	if err != nil {
		return fmt.Errorf("%w: uevents: %w", errors.ErrUnsupported, err)
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { socket.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	connection, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch for uevents: %w", err)
	}

	began()
	buffer := make([]byte, 64<<10) // the kernel's messages have up to 4 KiB, udev's more
	for {
		e, ok, err := receive(connection, buffer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("watch for uevents: %w", err)
		}
		if ok {
			happened(e)
		}
	}
}

func listen(queue int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queue) // less only means an overrun sooner
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup | udevGroup})
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}

// receive waits for a message; not ok is one that is not for us.
func receive(connection interface {
	Read(func(uintptr) bool) error
}, buffer []byte) (e Event, ok bool, err error) {
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	var n, controls int
	var from unix.Sockaddr
	waitErr := connection.Read(func(fd uintptr) bool {
		n, controls, _, from, err = unix.Recvmsg(int(fd), buffer, control, 0)
		return err != unix.EAGAIN && err != unix.EINTR
	})
	if waitErr != nil {
		return Event{}, false, waitErr
	}
	if err == unix.ENOBUFS {
		return Event{Action: Overrun}, true, nil
	}
	if err != nil {
		return Event{}, false, os.NewSyscallError("recvmsg", err)
	}
	sender, isNetlink := from.(*unix.SockaddrNetlink)
	if !isNetlink || !byRoot(control[:controls]) {
		return Event{}, false, nil
	}
	message := buffer[:n]
	switch {
	case sender.Groups == kernelGroup && sender.Pid == 0:
	case sender.Groups == udevGroup:
		message, ok = properties(message)
		if !ok {
			return Event{}, false, nil
		}
	default:
		return Event{}, false, nil
	}
	e = parse(message)
	return e, e.Action != "", nil
}

// byRoot says whether the kernel vouches for the sender being root or itself: everybody can send to the group.
func byRoot(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		return false
	}
	credentials, err := unix.ParseUnixCredentials(&messages[0])
	return err == nil && credentials.Uid == 0
}

// properties are what follows the header of a message of udev, which says at which offset and how long.
func properties(message []byte) ([]byte, bool) {
	const header = 24
	if len(message) < header || !bytes.HasPrefix(message, []byte("libudev\x00")) {
		return nil, false
	}
	offset := uint64(binary.NativeEndian.Uint32(message[16:]))
	length := uint64(binary.NativeEndian.Uint32(message[20:]))
	if offset+length > uint64(len(message)) {
		return nil, false
	}
	return message[offset : offset+length], true
}

// parse reads the lines KEY=value, each ended by a zero byte. Others, such as the first one of a message of
// the kernel, are passed over.
func parse(message []byte) Event {
	var e Event
	for line := range strings.SplitSeq(string(message), "\x00") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "ACTION":
			e.Action = value
		case "SUBSYSTEM":
			e.Subsystem = value
		case "DEVTYPE":
			e.DevType = value
		case "DEVPATH":
			e.DevPath = value
		case "DEVNAME":
			e.DevName = value
		}
	}
	return e
}
