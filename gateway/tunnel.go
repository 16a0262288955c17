package gateway

import (
	"context"
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
type tunnelRoutes struct{ https, wss, ws Route }

func (o Options) tunnelRoutes(ctx context.Context, target string) (r tunnelRoutes, err error) {
	for scheme, to := range map[string]*Route{"https": &r.https, "wss": &r.wss, "ws": &r.ws} {
		if *to, err = o.route(ctx, &url.URL{Scheme: scheme, Host: target, Path: "/"}); err != nil {
			return r, err
		}
	}
	return r, nil
}

// same reports whether the route is the same for everything.
func (r tunnelRoutes) same() bool { return r.https.equal(r.wss) && r.https.equal(r.ws) }

func (r Route) equal(other Route) bool {
	if len(r) != len(other) {
		return false
	}
	for i, hop := range r {
		if hop.key() != other[i].key() || hop.User.String() != other[i].User.String() {
			return false
		}
	}
	return true
}

// tunnel answers a CONNECT. The server is reached before the answer, so that
// the browser learns of a failure, unless the way depends on what is spoken.
func (g *Gateway) tunnel(ctx context.Context, c *client, target string) {
	o := g.settings()
	routes, err := o.tunnelRoutes(ctx, target)
	if err != nil {
		g.tell(target, err)
		c.refuse("502 Bad Gateway")
		return
	}
	var up *upstream
	if routes.same() {
		up, err = g.reach(ctx, o, routes.https, target, forTunnel)
		if err != nil {
			c.refuse("502 Bad Gateway")
			return
		}
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
	g.tunnelLate(ctx, o, c, up, routes, target)
}

// passage copies between two connections.
type passage struct {
	g    *Gateway
	a, b net.Conn
}

// pass copies between the browser and a server, each way to its end. What
// breaks on one side breaks on the other.
func (g *Gateway) pass(ctx context.Context, c *client, up net.Conn) {
	p := &passage{g: g, a: c.Conn, b: up}
	var both sync.WaitGroup
	both.Go(func() {
		if err := g.drain(c, up); err != nil {
			p.abort(err)
			return
		}
		p.carry(up, c.Conn, &g.counters.sent)
		// The browser is done.
		up.SetReadDeadline(time.Now().Add(orphanTime))
		if ctx.Err() != nil {
			up.SetReadDeadline(past)
		}
	})
	p.carry(c.Conn, up, &g.counters.received)
	both.Wait()
}

// errTLS is TLS where none is let through.
var errTLS = errors.New("TLS after the server had spoken")

// drain sends on what was read ahead.
func (g *Gateway) drain(c *client, up net.Conn) error {
	if c.noTLS {
		if first, _ := c.r.Peek(1); len(first) > 0 && first[0] == recordHandshake {
			return errTLS
		}
	}
	n, err := up.Write(buffered(c.r))
	g.counters.sent.Add(int64(n))
	return err
}

// carry copies one way and closes that half.
func (p *passage) carry(to, from net.Conn, count *atomic.Int64) {
	if _, err := copyCounted(to, from, count); err != nil {
		p.abort(err)
		return
	}
	if err := halfClose(to); err != nil && !errors.Is(err, net.ErrClosed) {
		p.abort(err)
	}
}

// abort ends both ways. A reset goes on as one.
func (p *passage) abort(err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) && err != errTLS {
		reset(p.a)
		reset(p.b)
		return
	}
	p.a.SetDeadline(past)
	p.b.SetDeadline(past)
}

// copyCounted copies to the end. Between two TCP connections the bytes stay in
// the kernel where that can be done.
func copyCounted(to io.Writer, from io.Reader, count *atomic.Int64) (total int64, err error) {
	for {
		n, err := io.CopyN(to, from, copyStep)
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
