package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// copyStep is after how many bytes a copy is counted.
	copyStep = 1 << 20
	// orphanTime is how long a server may go on after the browser has closed
	// its half, which it only does when it is done.
	orphanTime = time.Minute
)

// tunnelRoutes are the routes to a server by what a tunnel may be for, which
// is known only by its first bytes.
type tunnelRoutes struct{ https, wss, ws tunnelRoute }

// tunnelRoute is a route, or why there is none: which matters only to what takes
// it.
type tunnelRoute struct {
	Route
	err error
}

// tunnelRoutes returns an error if there is no route for anything.
func (o Options) tunnelRoutes(ctx context.Context, target string) (tunnelRoutes, error) {
	ask := func(scheme string) (r tunnelRoute) {
		if r.err = context.Cause(ctx); r.err == nil {
			r.Route, r.err = o.route(ctx, &url.URL{Scheme: scheme, Host: target, Path: "/"})
		}
		return r
	}
	r := tunnelRoutes{https: ask("https"), wss: ask("wss"), ws: ask("ws")}
	if r.https.err != nil && r.wss.err != nil && r.ws.err != nil {
		return r, r.https.err
	}
	return r, nil
}

// same reports whether the route is the same for everything.
func (r tunnelRoutes) same() bool {
	return errors.Join(r.https.err, r.wss.err, r.ws.err) == nil && r.https.equal(r.wss.Route) && r.https.equal(r.ws.Route)
}

// tunnel answers a CONNECT. The server is reached before the answer, so that
// the browser learns of a failure, unless the way depends on what is spoken.
func (g *Gateway) tunnel(ctx context.Context, c *client, target string) {
	o := g.settings()
	sockets := o.sockets(target)
	waiting, release := c.whileThere(ctx)
	routes, up, err := g.wayOf(waiting, o, target, sockets)
	release()
	if err != nil {
		c.refuse("502 Bad Gateway")
		return
	}
	if up != nil {
		defer up.Close()
		defer interrupt(ctx, up.Conn)()
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	if up != nil && o.TLS == nil {
		g.pass(ctx, c, up.Conn)
		return
	}
	g.tunnelLate(ctx, o, c, up, routes, target, sockets)
}

// wayOf asks for the routes of a tunnel, and connects when they are one and
// nobody has to be asked first.
func (g *Gateway) wayOf(ctx context.Context, o Options, target string, sockets watched) (tunnelRoutes, *upstream, error) {
	routes, err := o.tunnelRoutes(ctx, target)
	if err != nil {
		g.tell(target, err)
		return routes, nil, err
	}
	if !routes.same() || sockets.ws || sockets.wss {
		return routes, nil, nil
	}
	up, err := g.reach(ctx, o, routes.https.Route, target, forTunnel)
	return routes, up, err
}

// passage copies between the browser and a server, each way to its end. What
// breaks on one side breaks on the other, and how TLS ends goes on as well.
type passage struct {
	g              *Gateway
	browser        *client
	server         net.Conn
	sent, received *atomic.Int64
}

// pass copies between the browser and a server.
func (g *Gateway) pass(ctx context.Context, c *client, up net.Conn) {
	(&passage{g: g, browser: c, server: up, sent: &g.counters.sent, received: &g.counters.received}).run(ctx)
}

func (p *passage) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		if err := p.sendAhead(); err != nil {
			p.abort(err)
			return
		}
		p.carry(p.server, p.browser.Conn, p.sent)
		// The browser is done.
		p.server.SetReadDeadline(time.Now().Add(orphanTime))
		if ctx.Err() != nil {
			p.server.SetReadDeadline(past)
		}
	})
	p.carry(p.browser.Conn, p.server, p.received)
	both.Wait()
}

// errTLS is TLS where none is let through.
var errTLS = errors.New("TLS after the server had spoken")

// sendAhead sends on what was read ahead.
func (p *passage) sendAhead() error {
	c := p.browser
	if c.noTLS {
		if first, _ := c.r.Peek(1); len(first) > 0 && first[0] == recordHandshake {
			return errTLS
		}
	}
	n, err := p.server.Write(buffered(c.r))
	p.sent.Add(int64(n))
	return err
}

// carry copies one way and closes that half.
func (p *passage) carry(to, from net.Conn, count *atomic.Int64) {
	_, err := p.g.copyCounted(to, from, count)
	switch {
	case err == nil:
		err = halfClose(to)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = halfClose(below(to)) // TLS that was cut off
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		p.abort(err)
	}
}

// abort ends both ways. A reset goes on as one.
func (p *passage) abort(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) || err == errTLS {
		below(p.browser.Conn).SetDeadline(past)
		below(p.server).SetDeadline(past)
		return
	}
	reset(p.browser.Conn)
	reset(p.server)
}

// below is the connection that carries TLS, or the connection itself.
func below(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return conn
}

// copyCounted copies to the end. Between two TCP connections the bytes stay in
// the kernel where that can be done.
func (g *Gateway) copyCounted(to, from net.Conn, count *atomic.Int64) (total int64, err error) {
	_, ok1 := to.(*net.TCPConn)
	_, ok2 := from.(*net.TCPConn)
	step := g.copyBuffered
	if ok1 && ok2 {
		step = copyKernel
	}
	for {
		n, err := step(to, from)
		total += n
		count.Add(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func copyKernel(to, from net.Conn) (int64, error) { return io.CopyN(to, from, copyStep) }

func (g *Gateway) copyBuffered(to, from net.Conn) (int64, error) {
	buffer := g.buffers.Get().(*[]byte)
	defer g.buffers.Put(buffer)
	n, err := from.Read(*buffer)
	if n == 0 {
		return 0, err
	}
	written, failed := to.Write((*buffer)[:n])
	return int64(written), cmp.Or(failed, err)
}
