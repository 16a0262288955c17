package gateway

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// replayLimit is how much of a request's body is kept for a proxy that asks
// for credentials only then.
const replayLimit = 1 << 20

// request is what a client asks for.
type request struct {
	*head
	method, version string
	target          string // host:port
	path            string // with the query; "" for CONNECT
	body            body
}

// parseRequest reads a CONNECT, or a request for an absolute http URL.
func parseRequest(h *head) (*request, error) {
	parts := strings.Split(h.first, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return nil, malformed("request line %.40q", h.first)
	}
	q := &request{head: h, method: parts[0], version: parts[2]}
	if q.method == "CONNECT" {
		q.target = parts[1]
		if host, port, err := net.SplitHostPort(q.target); err != nil || host == "" || port == "" {
			return nil, malformed("target %.40q", q.target)
		}
		return q, nil
	}
	scheme, rest, ok := strings.Cut(parts[1], "://")
	if !ok || !strings.EqualFold(scheme, "http") {
		return nil, malformed("request for %.40q, which is no http URL", parts[1])
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, q.path = rest[:i], rest[i:]
	}
	if !strings.HasPrefix(q.path, "/") {
		q.path = "/" + q.path
	}
	u, err := url.Parse("http://" + host)
	if err != nil || u.User != nil || u.Hostname() == "" {
		return nil, malformed("host %.40q", host)
	}
	q.target = hostport.Of(u)
	q.body, err = h.body()
	return q, err
}

// url is what the route is asked for with.
func (q *request) url() *url.URL {
	u := &url.URL{Scheme: "http", Host: strings.TrimSuffix(q.target, ":80")}
	if path, err := url.Parse(q.path); err == nil {
		u.Path, u.RawPath, u.RawQuery = path.Path, path.RawPath, path.RawQuery
	}
	return u
}

// upgrades reports whether the connection is to become something else.
func (q *request) upgrades() bool {
	return len(q.values("Upgrade")) > 0 && q.mentions("Connection", "upgrade")
}

// rewrite makes the head fit for a hop: all but what concerns a proxy stays
// byte for byte.
func (q *request) rewrite(hop Hop) {
	q.drop("Proxy-Authorization")
	if hop.Kind == HTTP || hop.Kind == HTTPS {
		return
	}
	q.first = q.method + " " + q.path + " " + q.version
	if len(q.values("Connection")) > 0 {
		q.drop("Proxy-Connection")
		return
	}
	for i, f := range q.fields {
		if strings.EqualFold(f.name, "Proxy-Connection") {
			q.fields[i] = field{name: "Connection", line: "Connection" + f.line[len(f.name):]}
		}
	}
}

// forwarder is the server's side of a connection that carries requests.
type forwarder struct {
	up     *upstream
	r      *bufio.Reader
	target string
	route  Route
	free   func()
}

func (f *forwarder) close() {
	if f.up != nil {
		f.free()
		f.up.Close()
		f.up = nil
	}
}

// forward sends a request on and its response back. It reports whether another
// may follow on the connection.
func (g *Gateway) forward(ctx context.Context, c *client, f *forwarder, q *request) bool {
	o := g.settings()
	route, err := o.route(ctx, q.url())
	if err != nil {
		g.tell(q.target, err)
		return false
	}
	if q.upgrades() {
		g.forwardUpgrade(ctx, c, o, route, q)
		return false
	}
	if f.up == nil || f.target != q.target || !f.route.equal(route) {
		f.close()
		if err := g.connectForwarder(ctx, c, o, f, route, q.target); err != nil {
			return false
		}
	}
	q.rewrite(f.up.hop)
	return (&exchange{g: g, o: o, c: c, f: f, q: q}).run(ctx)
}

// forwardUpgrade makes a tunnel of a connection that is to become something
// else.
func (g *Gateway) forwardUpgrade(ctx context.Context, c *client, o Options, route Route, q *request) {
	up, err := g.reach(ctx, o, route, q.target, forTunnel)
	if err != nil {
		return
	}
	defer up.Close()
	defer interrupt(ctx, up.Conn)()
	q.rewrite(Hop{Kind: Direct})
	c.unread(q.bytes())
	g.pass(ctx, c, up.Conn)
}

func (g *Gateway) connectForwarder(ctx context.Context, c *client, o Options, f *forwarder, route Route, target string) error {
	waiting, release := c.whileThere(ctx)
	up, err := g.reach(waiting, o, route, target, forRequest)
	release()
	if err != nil {
		return err
	}
	*f = forwarder{up: up, r: bufio.NewReader(up.Conn), target: target, route: route, free: interrupt(ctx, up.Conn)}
	return nil
}

// exchange is one request and its response. The response is copied until the
// client sends something again: it alone knows where a response ends.
type exchange struct {
	g *Gateway
	o Options
	c *client
	f *forwarder
	q *request

	kept   bytes.Buffer // the body, when it may have to be sent again
	all    bool         // kept is all of it
	broken bool         // the body did not end as it should

	mu   sync.Mutex
	over bool // the client sent something after its request, or has gone
}

func (x *exchange) proxied() bool {
	return x.f.up.hop.Kind == HTTP || x.f.up.hop.Kind == HTTPS
}

func (x *exchange) run(ctx context.Context) bool {
	var l *login
	if x.proxied() {
		l = x.g.logins.begin(x.f.up.hop, x.q.method, "http://"+x.q.target+x.q.path)
	}
	x.f.up.SetReadDeadline(time.Time{})
	if ctx.Err() != nil {
		return false
	}
	if err := x.begin(l); err != nil {
		x.g.tell(x.q.target, err)
		return false
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	sent, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		x.send(sent)
		cancel()
	}()
	again := x.respond(ctx, waiting, l, sent)
	if !again {
		x.c.SetReadDeadline(past)
		x.f.up.SetDeadline(past)
	}
	<-watched
	return again && !x.broken && ctx.Err() == nil
}

// begin sends the head.
func (x *exchange) begin(l *login) error {
	text := *x.q.head
	if l != nil {
		if header := l.header(); header != "" {
			text.fields = slices.Clip(text.fields)
			text.add("Proxy-Authorization", header)
		}
	}
	n, err := x.f.up.Write(text.bytes())
	x.g.counters.sent.Add(int64(n))
	return err
}

// send sends the body, and then looks out for the client's next bytes.
func (x *exchange) send(sent chan struct{}) {
	w := &bodyWriter{x: x, keep: x.proxied()}
	err := x.q.body.copy(w, x.c.r)
	x.all, x.broken = err == nil && x.kept.Len() < replayLimit, err != nil
	close(sent)
	if w.failed != nil && !w.keep {
		return // what the server has answered is still to be read
	}
	if err == nil {
		x.c.r.Peek(1)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	x.f.up.SetReadDeadline(past)
}

// bodyWriter sends a body on. For a proxy it keeps it as well, even when that
// has hung up: the body is sent again with credentials.
type bodyWriter struct {
	x      *exchange
	keep   bool
	failed error
}

func (w *bodyWriter) Write(b []byte) (int, error) {
	if w.keep {
		w.x.kept.Write(b[:min(len(b), replayLimit-w.x.kept.Len())])
	}
	if w.failed == nil {
		var n int
		n, w.failed = w.x.f.up.Write(b)
		w.x.g.counters.sent.Add(int64(n))
	}
	if w.keep {
		return len(b), nil
	}
	return len(b), w.failed
}

// respond copies the response. It reports whether the client may have sent
// another request. waiting ends when it did, or has gone.
func (x *exchange) respond(ctx, waiting context.Context, l *login, sent chan struct{}) bool {
	for l != nil {
		refused, err := x.refusal()
		if err != nil {
			x.g.tell(x.q.target, &ProxyError{Hop: x.f.up.hop, Status: 407, Err: err})
			return false
		}
		if refused == nil {
			break
		}
		if err := x.logIn(ctx, waiting, l, refused, sent); err != nil {
			x.g.tell(x.q.target, err)
			return false
		}
	}
	n, err := x.copyResponse()
	x.mu.Lock()
	over := x.over
	x.mu.Unlock()
	switch {
	case over || ctx.Err() != nil:
		return over
	case n == 0:
		x.g.tell(x.q.target, noEOF(cmp.Or(err, io.EOF)))
	case err != nil:
		reset(x.c.Conn)
	}
	return false
}

// refusal is the head of a response by which a proxy asks for credentials, nil
// for other responses.
func (x *exchange) refusal() (*head, error) {
	const line = "HTTP/1.x 407"
	for n := 1; n <= len(line); n++ {
		b, err := x.f.r.Peek(n)
		if err != nil || b[n-1] != line[n-1] && line[n-1] != 'x' {
			return nil, nil
		}
	}
	return readHead(x.f.r)
}

// logIn sends the request again with other credentials, by a new connection.
func (x *exchange) logIn(ctx, waiting context.Context, l *login, refused *head, sent chan struct{}) error {
	hop := x.f.up.hop
	select {
	case <-sent:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !x.all {
		return &ProxyError{Hop: hop, Status: 407, Err: errors.New("the proxy wants a login, and the body is too long to be sent again")}
	}
	if err := l.rejected(waiting, x.o.Credentials, refused); err != nil {
		return err
	}
	conn, err := x.g.connect(waiting, x.o, hop, x.q.target, forRequest)
	if err != nil {
		return err
	}
	x.replace(ctx, x.g.counted(conn, hop))
	if err := x.begin(l); err != nil {
		return &ProxyError{Hop: hop, Err: err}
	}
	if _, err := x.f.up.Write(x.kept.Bytes()); err != nil {
		return &ProxyError{Hop: hop, Err: err}
	}
	return nil
}

func (x *exchange) replace(ctx context.Context, up *upstream) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.f.close()
	x.f.up, x.f.r, x.f.free = up, bufio.NewReader(up.Conn), interrupt(ctx, up.Conn)
	if x.over {
		up.SetReadDeadline(past)
	}
}

// copyResponse copies what the server sends, as it is.
func (x *exchange) copyResponse() (n int64, err error) {
	if ahead := buffered(x.f.r); len(ahead) > 0 {
		written, err := x.c.Write(ahead)
		x.f.r.Discard(written)
		x.g.counters.received.Add(int64(written))
		if n = int64(written); err != nil {
			return n, err
		}
	}
	copied, err := x.g.copyCounted(x.c.Conn, x.f.up.Conn, &x.g.counters.received)
	return n + copied, err
}
