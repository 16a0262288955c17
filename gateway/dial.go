package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

const (
	// dialTimeout is how long a hop may take to connect, and once more to
	// answer. The time in which credentials are asked for does not count.
	dialTimeout = 30 * time.Second
	// badTime is how long a hop that failed is tried last, as in Chromium.
	badTime = 5 * time.Minute
)

// purpose is what a connection is for.
type purpose int

const (
	forTunnel  purpose = iota // bytes to the server and back
	forRequest                // a plain HTTP request, which an HTTP proxy takes itself
)

// upstream is a connection towards a server.
type upstream struct {
	net.Conn
	hop    Hop
	closed func()
}

// Close closes the connection, once or more.
func (u *upstream) Close() error {
	u.closed()
	return u.Conn.Close()
}

// route asks for the route to a URL.
func (o Options) route(ctx context.Context, u *url.URL) (Route, error) {
	if o.Resolver == nil {
		return Route{{Kind: Direct}}, nil
	}
	route, err := o.Resolver.Route(ctx, u)
	if err == nil && len(route) == 0 {
		err = errors.New("the route is empty; the direct one is a hop, too")
	}
	if err != nil {
		return nil, &RouteError{URL: u.Redacted(), Err: err}
	}
	return route, nil
}

// reach gives a connection to a server that was made ahead, or makes one.
func (g *Gateway) reach(ctx context.Context, o Options, route Route, target string, p purpose) (*upstream, error) {
	if up := g.spare(route, target, p); up != nil {
		return up, nil
	}
	return g.dialRoute(ctx, o, route, target, p)
}

// dialRoute connects to a server by the first hop of a route that works, and
// remembers how it went.
func (g *Gateway) dialRoute(ctx context.Context, o Options, route Route, target string, p purpose) (*upstream, error) {
	var failed []Hop
	var errs []error
	for _, hop := range g.bad.order(route) {
		conn, err := g.connect(ctx, o, hop, target, p)
		if err == nil {
			g.bad.add(failed)
			g.tell(target, nil)
			g.reached.put(strings.ToLower(target), conn.RemoteAddr())
			return g.counted(conn, hop), nil
		}
		failed, errs = append(failed, hop), append(errs, err)
		if ctx.Err() != nil || !failsOver(err) {
			break
		}
	}
	err := errors.Join(errs...)
	if len(errs) == 1 {
		err = errs[0]
	}
	if ctx.Err() == nil {
		g.tell(target, err)
	}
	return nil, err
}

// RemoteAddr is the address at which a server was last reached, that of the
// proxy before it where there is one. Chromium itself only knows the gateway.
func (g *Gateway) RemoteAddr(hostport string) (net.Addr, bool) {
	return g.reached.get(strings.ToLower(hostport))
}

// failsOver reports whether the next hop is tried after an error. A proxy that
// was reached and refused has decided.
func failsOver(err error) bool {
	refused, ok := errors.AsType[*ProxyError](err)
	return !ok || refused.Status == 0
}

func (g *Gateway) counted(conn net.Conn, hop Hop) *upstream {
	g.counters.connections.Add(1)
	g.counters.open.Add(1)
	return &upstream{Conn: conn, hop: hop, closed: sync.OnceFunc(func() { g.counters.open.Add(-1) })}
}

// connect goes one hop.
func (g *Gateway) connect(ctx context.Context, o Options, hop Hop, target string, p purpose) (net.Conn, error) {
	switch hop.Kind {
	case Direct:
		return o.dialTCP(ctx, target)
	case HTTP, HTTPS:
		if p == forRequest {
			return g.dialProxy(ctx, o, hop)
		}
		return g.connectHTTP(ctx, o, hop, target)
	case SOCKS4:
		return connectSOCKS4(ctx, o, hop, target)
	case SOCKS5:
		return connectSOCKS5(ctx, o, hop, target)
	}
	return nil, &ProxyError{Hop: hop, Err: errors.New("an unknown kind of proxy")}
}

// belowLocalhost gives localhost for the names below it. Chromium finds these on
// the loopback device without asking anybody.
func belowLocalhost(target string) string {
	host, port, err := net.SplitHostPort(target)
	if err == nil && strings.HasSuffix(strings.TrimSuffix(strings.ToLower(host), "."), ".localhost") {
		return net.JoinHostPort("localhost", port)
	}
	return target
}

// dialTCP connects to a server, or to a proxy.
func (o Options) dialTCP(ctx context.Context, hostport string) (net.Conn, error) {
	if o.MapHost != nil {
		mapped, err := o.MapHost(hostport)
		if err != nil {
			return nil, err
		}
		hostport = mapped
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "tcp", belowLocalhost(hostport))
}

// dialProxy connects to an HTTP proxy, by TLS to one that wants it.
func (g *Gateway) dialProxy(ctx context.Context, o Options, hop Hop) (net.Conn, error) {
	conn, err := o.dialTCP(ctx, hop.Addr)
	if err != nil {
		return nil, &ProxyError{Hop: hop, Err: err}
	}
	if hop.Kind == HTTP {
		return conn, nil
	}
	host, _ := hostport.Split(hop.Addr)
	secure := tls.Client(conn, &tls.Config{
		ServerName:         host,
		InsecureSkipVerify: true, // VerifyConnection does it
		NextProtos:         []string{"http/1.1"},
		VerifyConnection:   func(state tls.ConnectionState) error { return g.verify(ctx, o, host, state) },
	})
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &ProxyError{Hop: hop, Err: err}
	}
	return secure, nil
}

// DialContext connects to the host and port of a URL by the route to it. It
// does no TLS to the server.
func (g *Gateway) DialContext(ctx context.Context, u *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(ErrClosed) })()
	o, target := g.settings(), hostport.Of(u)
	route, err := o.route(ctx, u)
	if err != nil {
		g.tell(target, err)
		return nil, err
	}
	up, err := g.reach(ctx, o, route, target, forTunnel)
	if err != nil {
		return nil, err
	}
	return g.handOut(up)
}

// handOut gives a connection away that CloseConnections and Close end as well.
func (g *Gateway) handOut(up *upstream) (net.Conn, error) {
	forget, err := g.track(func() { up.Conn.Close() })
	if err != nil {
		up.Close()
		return nil, err
	}
	uncount := up.closed
	up.closed = func() {
		uncount()
		forget()
	}
	return &countedConn{upstream: up, c: &g.counters}, nil
}

// countedConn counts what goes through it.
type countedConn struct {
	*upstream
	c *counters
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.c.received.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.c.sent.Add(int64(n))
	return n, err
}

// NetConn is the connection below.
func (c *countedConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends what is sent.
func (c *countedConn) CloseWrite() error { return halfClose(c.Conn) }

// badHops remembers the proxies that failed where another way worked.
type badHops struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// order is a route with the bad hops last.
func (b *badHops) order(route Route) Route {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	var good, bad Route
	for _, hop := range route {
		if b.until[hop.key()].After(now) {
			bad = append(bad, hop)
		} else {
			good = append(good, hop)
		}
	}
	return slices.Concat(good, bad)
}

func (b *badHops) add(hops []Hop) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, hop := range hops {
		if hop.Kind == Direct {
			continue
		}
		if b.until == nil {
			b.until = map[string]time.Time{}
		}
		b.until[hop.key()] = time.Now().Add(badTime)
	}
}

// ClearBad forgets which proxies have failed.
func (g *Gateway) ClearBad() {
	g.bad.mu.Lock()
	defer g.bad.mu.Unlock()
	g.bad.until = nil
}
