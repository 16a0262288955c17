//go:build !linux

package gateway

import (
	"fmt"
	"net"
)

// port is a loopback TCP port that was free when it was chosen. Another
// program may take it while nobody listens; listen fails then.
type port struct{ addr *net.TCPAddr }

func reservePort() (*port, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	return &port{addr: l.Addr().(*net.TCPAddr)}, l.Close()
}

func (p *port) listen() (net.Listener, error) { return net.Listen("tcp4", p.addr.String()) }

func (p *port) rest(l net.Listener) error { return l.Close() }

func (p *port) release() error { return nil }
