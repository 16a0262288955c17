package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const (
	backlog  = 4096
	bindings = 16 // how often a port is looked for
)

// port is a loopback TCP port that is held whether or not anybody listens.
// While nobody does, who connects is refused.
type port struct {
	fd   int
	addr *net.TCPAddr
}

func reservePort() (*port, error) {
	var err error
	for range bindings {
		var p *port
		if p, err = bindPort(); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("reserving a port: %w", err)
}

// bindPort binds twice: the kernel gives a port of its own choice away when a
// listener ends, one that was asked for by its number stays.
func bindPort() (*port, error) {
	free, err := boundSocket(0)
	if err != nil {
		return nil, err
	}
	number, err := portOf(free)
	unix.Close(free)
	if err != nil {
		return nil, err
	}
	fd, err := boundSocket(number)
	if err != nil {
		return nil, err
	}
	return &port{fd: fd, addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: number}}, nil
}

func boundSocket(number int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		unix.Close(fd)
		return 0, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

func portOf(fd int) (int, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return name.(*unix.SockaddrInet4).Port, nil
}

// listen starts to listen. The address may be used again only now: connections
// of an earlier listener would stand in the way else, and while nobody listens
// another program could take the port.
func (p *port) listen() (net.Listener, error) {
	if err := p.reuse(1); err != nil {
		return nil, err
	}
	if err := unix.Listen(p.fd, backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "gateway")
	defer f.Close()
	return net.FileListener(f)
}

// rest stops listening and keeps the port.
func (p *port) rest(l net.Listener) error {
	return errors.Join(p.reuse(0), os.NewSyscallError("shutdown", unix.Shutdown(p.fd, unix.SHUT_RDWR)), l.Close())
}

func (p *port) reuse(on int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, on))
}

func (p *port) release() error { return os.NewSyscallError("close", unix.Close(p.fd)) }
