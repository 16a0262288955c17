package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"golang.org/x/net/proxy"
)

// connectSOCKS5 lets the proxy look the server's name up, as Chromium does.
func connectSOCKS5(ctx context.Context, o Options, hop Hop, target string) (net.Conn, error) {
	var login *proxy.Auth
	if hop.User != nil {
		password, _ := hop.User.Password()
		login = &proxy.Auth{User: hop.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", hop.Addr, login, nil)
	if err != nil {
		return nil, &ProxyError{Hop: hop, Err: err}
	}
	over, ok := d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return nil, &ProxyError{Hop: hop, Err: fmt.Errorf("%T cannot use a connection", d)}
	}
	return shake(ctx, o, hop, func(ctx context.Context, conn net.Conn) error {
		_, err := over.DialWithConn(ctx, conn, "tcp", target)
		return err
	})
}

// connectSOCKS4 looks the server's name up here, as Chromium does, and leaves
// names without an IPv4 address to the proxy (SOCKS4a).
func connectSOCKS4(ctx context.Context, o Options, hop Hop, target string) (net.Conn, error) {
	if o.MapHost != nil {
		mapped, err := o.MapHost(target)
		if err != nil {
			return nil, err
		}
		target = mapped
	}
	request, err := requestSOCKS4(ctx, hop, target)
	if err != nil {
		return nil, &ProxyError{Hop: hop, Err: err}
	}
	return shake(ctx, o, hop, func(_ context.Context, conn net.Conn) error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		var answer [8]byte
		if _, err := io.ReadFull(conn, answer[:]); err != nil {
			return noEOF(err)
		}
		if answer[0] != 0 || answer[1] != 90 {
			return fmt.Errorf("socks4: the proxy refused, code %d", answer[1])
		}
		return nil
	})
}

func requestSOCKS4(ctx context.Context, hop Hop, target string) ([]byte, error) {
	host, service, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, err
	}
	address, name := net.IPv4(0, 0, 0, 1), host
	if ips, err := net.DefaultResolver.LookupIP(ctx, "ip4", host); err == nil && len(ips) > 0 {
		address, name = ips[0], ""
	} else if net.ParseIP(host) != nil {
		return nil, errors.New("socks4: no way to an IPv6 address")
	}
	request := binary.BigEndian.AppendUint16([]byte{4, 1}, uint16(number))
	request = append(request, address.To4()...)
	if hop.User != nil {
		request = append(request, hop.User.Username()...)
	}
	request = append(request, 0)
	if name != "" {
		request = append(append(request, name...), 0)
	}
	return request, nil
}

// shake connects to a proxy and lets hands be shaken, in time.
func shake(ctx context.Context, o Options, hop Hop, hands func(context.Context, net.Conn) error) (net.Conn, error) {
	conn, err := o.dialTCP(ctx, hop.Addr)
	if err != nil {
		return nil, &ProxyError{Hop: hop, Err: err}
	}
	if err := inTime(ctx, conn, hands); err != nil {
		conn.Close()
		return nil, &ProxyError{Hop: hop, Err: err}
	}
	return conn, nil
}

// inTime ends what is done on a connection with its context, or when it takes
// too long.
func inTime(ctx context.Context, conn net.Conn, do func(context.Context, net.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	release := interrupt(ctx, conn)
	err := do(ctx, conn)
	release()
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
