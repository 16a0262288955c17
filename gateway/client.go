package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"time"
)

// drainTime is how long a connection that is closed may still send.
const drainTime = 500 * time.Millisecond

// client is a connection of the browser, or of the transport.
type client struct {
	net.Conn
	r     *bufio.Reader
	noTLS bool // no TLS is let through
}

// welcome serves a connection in a goroutine of its own. Its own transport is
// known to it, all others are asked who they are.
func (g *Gateway) welcome(conn net.Conn, own bool) {
	ctx, cancel := context.WithCancelCause(g.ctx)
	err := g.start(func() { cancel(errCut) }, func() {
		defer cancel(nil)
		g.serve(ctx, conn, own)
	})
	if err != nil {
		cancel(err)
		conn.Close()
	}
}

func (g *Gateway) serve(ctx context.Context, conn net.Conn, own bool) {
	defer hangUp(conn)
	defer interrupt(ctx, conn)()
	if !own && !g.admit(conn) {
		return
	}
	c := &client{Conn: conn, r: bufio.NewReader(conn)}
	var f forwarder
	defer f.close()
	for {
		h, err := readHead(c.r)
		if err != nil {
			refuseMalformed(c, err)
			return
		}
		q, err := parseRequest(h)
		switch {
		case err != nil:
			refuseMalformed(c, err)
			return
		case q.method == "CONNECT":
			g.tunnel(ctx, c, q.target)
			return
		case !g.forward(ctx, c, &f, q):
			return
		}
	}
}

// refuseMalformed answers a message that is not understood.
func refuseMalformed(c *client, err error) {
	if _, ok := errors.AsType[*malformedError](err); ok {
		c.refuse("400 Bad Request")
	}
}

// refuse answers with a status and nothing else.
func (c *client) refuse(status string) {
	io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

// whileThere is a context that ends as well when the browser hangs up, which
// waits now and says nothing. What it says all the same stays to be read.
func (c *client) whileThere(outer context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(outer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := c.r.Peek(c.r.Buffered() + 1); err != nil && err != bufio.ErrBufferFull {
			cancel(err)
		}
	}()
	return ctx, func() {
		c.SetReadDeadline(past)
		<-done
		c.SetReadDeadline(time.Time{})
		if outer.Err() != nil {
			c.SetReadDeadline(past)
		}
		cancel(nil)
	}
}

// unread gives bytes back to be read again.
func (c *client) unread(b []byte) {
	b = slices.Concat(b, buffered(c.r))
	c.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(b), c.Conn), len(b)+512)
	c.r.Peek(len(b))
}

// past is a deadline that ends what waits.
var past = time.Unix(1, 0)

// interrupt ends the reads and writes of a connection when its context ends.
// After release it has done so, or never will.
func interrupt(ctx context.Context, conn net.Conn) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		conn.SetDeadline(past)
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// hangUp closes in order. With bytes unread a plain Close resets the
// connection, and Chromium takes a reset before an answer as leave to go
// directly.
func hangUp(conn net.Conn) {
	defer conn.Close()
	if halfClose(conn) != nil {
		return
	}
	conn.SetDeadline(time.Now().Add(drainTime))
	io.Copy(io.Discard, conn)
}

// reset closes as a connection ends that breaks.
func reset(conn net.Conn) {
	switch c := conn.(type) {
	case *net.TCPConn:
		c.SetLinger(0)
	case interface{ NetConn() net.Conn }:
		reset(c.NetConn())
		return
	}
	conn.Close()
}

var errNoHalfClose = errors.New("no way to close one half")

// halfClose ends what is sent.
func halfClose(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errNoHalfClose
}
