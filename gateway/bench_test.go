package gateway

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// The benchmarks compare reaching a server directly, through a tunnel and
// through the TLS of the gateway. A goroutine of the server's writes as fast
// as it can.

func BenchmarkThroughput(b *testing.B) {
	real, shown := authority(b), authority(b)
	leaf, err := real.Mint("127.0.0.1", 0)
	if err != nil {
		b.Fatal(err)
	}
	pour := func(c net.Conn) {
		buffer := make([]byte, 64<<10)
		for {
			if _, err := c.Write(buffer); err != nil {
				return
			}
		}
	}
	plain := tcpServer(b, "127.0.0.1:0", pour)
	secure := tcpServer(b, "127.0.0.1:0", func(c net.Conn) {
		pour(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}}))
	})
	g := awake(b, Options{})
	bridged := awake(b, Options{Roots: pool(b, real), Authority: shown, TLS: &TLSConfig{}})
	for _, way := range []struct {
		name string
		dial func() net.Conn
	}{
		{"plain/direct", func() net.Conn { return direct(b, plain) }},
		{"plain/tunnel", func() net.Conn { return benchTunnel(b, g, plain) }},
		{"tls/direct", func() net.Conn { return benchTLS(b, direct(b, secure), real) }},
		{"tls/tunnel", func() net.Conn { return benchTLS(b, benchTunnel(b, g, secure), real) }},
		{"tls/bridged", func() net.Conn { return benchTLS(b, benchTunnel(b, bridged, secure), shown) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			c := way.dial()
			defer c.Close()
			const step = 1 << 20
			b.SetBytes(step)
			for b.Loop() {
				if _, err := io.CopyN(io.Discard, c, step); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkConnection(b *testing.B) {
	real, shown := authority(b), authority(b)
	leaf, err := real.Mint("127.0.0.1", 0)
	if err != nil {
		b.Fatal(err)
	}
	plain := tcpServer(b, "127.0.0.1:0", func(c net.Conn) { io.WriteString(c, "x"); io.Copy(io.Discard, c) })
	secure := tcpServer(b, "127.0.0.1:0", func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})
		io.WriteString(s, "x")
		io.Copy(io.Discard, s)
	})
	g := awake(b, Options{})
	asks := awake(b, Options{Allow: func(Peer) error { return nil }})
	bridged := awake(b, Options{Roots: pool(b, real), Authority: shown, TLS: &TLSConfig{}})
	one := func(b *testing.B, c net.Conn) {
		if _, err := c.Read(make([]byte, 1)); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	for _, way := range []struct {
		name string
		dial func() net.Conn
	}{
		{"plain/direct", func() net.Conn { return direct(b, plain) }},
		{"plain/tunnel", func() net.Conn { return benchTunnel(b, g, plain) }},
		{"plain/peer asked", func() net.Conn { return benchTunnel(b, asks, plain) }},
		{"tls/direct", func() net.Conn { return benchTLS(b, direct(b, secure), real) }},
		{"tls/tunnel", func() net.Conn { return benchTLS(b, benchTunnel(b, g, secure), real) }},
		{"tls/bridged", func() net.Conn { return benchTLS(b, benchTunnel(b, bridged, secure), shown) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				one(b, way.dial())
			}
		})
	}
}

// benchTunnel is a tunnel without a bufio.Reader that could read too much.
func benchTunnel(b *testing.B, g *Gateway, to string) net.Conn {
	c := direct(b, g.Addr())
	const ok = "HTTP/1.1 200 OK\r\n\r\n"
	if _, err := io.WriteString(c, "CONNECT "+to+" HTTP/1.1\r\n\r\n"); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(ok))); err != nil {
		b.Fatal(err)
	}
	return c
}

func direct(b *testing.B, to string) net.Conn {
	c, err := net.Dial("tcp", to)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// benchTLS speaks TLS over a connection.
func benchTLS(b *testing.B, c net.Conn, trusted *Authority) net.Conn {
	return tls.Client(c, &tls.Config{RootCAs: pool(b, trusted), ServerName: "127.0.0.1"})
}
