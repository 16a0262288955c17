package gateway

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
)

// Upgrader sees the handshakes of WebSockets, which the browser sends through
// tunnels. Its methods are called from any goroutine and must not panic.
type Upgrader interface {
	// Wants reports whether handshakes with a server are seen. secure says
	// wss. A server of wss is then spoken TLS with by the gateway.
	Wants(hostport string, secure bool) bool
	// Upgrade sees a request before it is sent, and may change it. An error
	// fails the handshake: Failure is that error then. No Upgrade and no error
	// leaves the rest alone. The context ends when the browser gives up.
	Upgrade(ctx context.Context, r *UpgradeRequest) (Upgrade, error)
}

// Upgrade is one handshake and the WebSocket after it.
type Upgrade interface {
	// Response sees the server's answer before the browser does, and may
	// change it. An error fails the handshake, and so does another status than
	// 101.
	Response(ctx context.Context, r *UpgradeResponse) error
	// Closed is called once, when all is over, with the bytes that went after
	// the handshake, or with why there was none.
	Closed(sent, received int64, err error)
}

// UpgradeRequest is a request for a WebSocket.
type UpgradeRequest struct {
	Method string
	// URL is a ws or wss URL. Another one is where the request goes instead:
	// its host stands in the Host header then, the page notices nothing.
	URL    *url.URL
	Header []HeaderLine
}

// UpgradeResponse is the answer to one.
type UpgradeResponse struct {
	StatusLine string // such as "HTTP/1.1 101 Switching Protocols"
	Header     []HeaderLine
}

// HeaderLine is a header, in the case and the order of the message.
type HeaderLine struct{ Name, Value string }

// watches reports whether the handshake in a tunnel is seen.
func (o Options) watches(target string, hello *clientHello) bool {
	if o.Upgrades == nil || hello != nil && !hello.webSocket() {
		return false
	}
	return o.Upgrades.Wants(target, hello != nil)
}

// upgrade lets a handshake be seen. What is none passes as it is.
func (g *Gateway) upgrade(ctx context.Context, o Options, c *client, server net.Conn, target string, secure bool) {
	h, err := readUpgrade(c)
	if err != nil {
		refuseMalformed(c, err)
		return
	}
	rest := &passage{g: g, browser: c, server: server, sent: new(atomic.Int64), received: new(atomic.Int64)}
	if h == nil {
		rest.run(ctx)
		return
	}
	waiting, release := c.whileThere(ctx)
	r := h.request(target, secure)
	was := *r.URL
	u, err := o.Upgrades.Upgrade(waiting, r)
	if err == nil && *r.URL != was {
		var elsewhere net.Conn
		if elsewhere, err = g.redirected(waiting, o, r); err == nil {
			defer elsewhere.Close()
			defer interrupt(ctx, elsewhere)()
			rest.server = elsewhere
		}
	}
	release()
	if u == nil {
		u = blind{}
	}
	if err == nil {
		err = g.shakeHands(ctx, rest, r, u)
	}
	if err != nil {
		g.tell(target, err)
		u.Closed(0, 0, err)
		return
	}
	rest.run(ctx)
	u.Closed(rest.sent.Load(), rest.received.Load(), nil)
}

// shakeHands sends the request, and the answer back.
func (g *Gateway) shakeHands(ctx context.Context, p *passage, r *UpgradeRequest, u Upgrade) error {
	request, err := newHead(r.Method+" "+r.URL.RequestURI()+" HTTP/1.1", r.Header)
	if err != nil {
		return err
	}
	if _, err := p.server.Write(request.bytes()); err != nil {
		return err
	}
	waiting, release := p.browser.whileThere(ctx)
	stop := interrupt(waiting, p.server)
	reader := bufio.NewReader(p.server)
	answer, err := readFinalHead(reader)
	response, upgraded := &UpgradeResponse{}, false
	if err == nil {
		upgraded = answer.status() == 101
		response.StatusLine, response.Header = answer.first, answer.lines()
		err = u.Response(waiting, response)
	}
	stop()
	release()
	if err != nil {
		return noEOF(err)
	}
	if answer, err = newHead(response.StatusLine, response.Header); err != nil {
		return err
	}
	p.server = withPrefix(p.server, reader)
	if _, err = p.browser.Write(answer.bytes()); err != nil {
		return err
	}
	if upgraded && answer.status() != 101 {
		return fmt.Errorf("the handshake was answered with %q instead", answer.first)
	}
	return nil
}

// redirected connects to where a handshake was sent.
func (g *Gateway) redirected(ctx context.Context, o Options, r *UpgradeRequest) (net.Conn, error) {
	for i, line := range r.Header {
		if strings.EqualFold(line.Name, "Host") {
			r.Header[i].Value = r.URL.Host
		}
	}
	target := hostport(r.URL)
	route, err := o.route(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	up, err := g.reach(ctx, o, route, target, forTunnel)
	if err != nil {
		return nil, err
	}
	conn := &countedConn{up, &g.counters}
	if r.URL.Scheme != "wss" {
		return conn, nil
	}
	secure, err := g.secure(ctx, o, conn, r.URL.Hostname(), target, []string{"http/1.1"})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// readUpgrade reads the head of a request for a WebSocket, nil when a tunnel
// begins with something else, which stays to be read.
func readUpgrade(c *client) (*head, error) {
	const get = "GET "
	for n := 1; n <= len(get); n++ {
		if b, err := c.r.Peek(n); err != nil || b[n-1] != get[n-1] {
			return nil, err
		}
	}
	h, err := readHead(c.r)
	if err != nil {
		return nil, err
	}
	if !h.mentions("Upgrade", "websocket") {
		c.unread(h.bytes())
		return nil, nil
	}
	return h, nil
}

// request is the head of a request as an Upgrader sees it.
func (h *head) request(target string, secure bool) *UpgradeRequest {
	method, rest, _ := strings.Cut(h.first, " ")
	path, _, _ := strings.Cut(rest, " ")
	u, err := url.ParseRequestURI(path)
	if err != nil {
		u = &url.URL{Path: path}
	}
	u.Scheme, u.Host = "ws", strings.TrimSuffix(target, ":80")
	if secure {
		u.Scheme, u.Host = "wss", strings.TrimSuffix(target, ":443")
	}
	return &UpgradeRequest{Method: method, URL: u, Header: h.lines()}
}

func (h *head) lines() []HeaderLine {
	lines := make([]HeaderLine, len(h.fields))
	for i, f := range h.fields {
		lines[i] = HeaderLine{f.name, f.value()}
	}
	return lines
}

// newHead is a head of lines that somebody may have changed.
func newHead(first string, lines []HeaderLine) (*head, error) {
	h := &head{first: first}
	if strings.ContainsAny(first, "\r\n\x00") {
		return nil, malformed("first line %.40q", first)
	}
	for _, l := range lines {
		if !isToken(l.Name) || strings.ContainsAny(l.Value, "\r\n\x00") {
			return nil, malformed("header %.40q", fmt.Sprint(l.Name, ": ", l.Value))
		}
		h.add(l.Name, l.Value)
	}
	return h, nil
}

// blind is the rest of an upgrade that nobody looks at.
type blind struct{}

func (blind) Response(context.Context, *UpgradeResponse) error { return nil }
func (blind) Closed(int64, int64, error)                       {}
