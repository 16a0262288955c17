package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// Upgrader sees the handshakes of WebSockets, which the browser sends through
// tunnels. Its methods are called from any goroutine and must not panic.
type Upgrader interface {
	// Wants reports whether handshakes with a server are seen. secure says
	// wss. A server of wss is then spoken TLS with by the gateway.
	Wants(hostport string, secure bool) bool
	// Upgrade sees a request before the server is reached, and may change it.
	// An error fails the handshake. No Upgrade and no error leaves the rest
	// alone. The context ends when the browser gives up.
	Upgrade(ctx context.Context, r *UpgradeRequest) (Upgrade, error)
}

// Upgrade is one handshake and the WebSocket after it.
type Upgrade interface {
	// Response sees the server's answer before the browser does, and may
	// change it. An error fails the handshake, and so does another status than
	// 101.
	Response(ctx context.Context, r *UpgradeResponse) error
	// Closed is called once, when all is over, with the bytes that went after
	// the handshake, or with why there was none: ErrGivenUp, and what
	// Gateway.Failure tells, among others.
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
	RemoteAddr net.Addr // of the server, or of the proxy before it
}

// HeaderLine is a header, in the case and the order of the message.
type HeaderLine struct{ Name, Value string }

// ErrGivenUp is the error of a handshake that the browser waits for no longer.
var ErrGivenUp = errors.New("the browser has given the handshake up")

// watched says for which schemes the handshakes with a server are seen.
type watched struct{ ws, wss bool }

func (o Options) sockets(target string) watched {
	if o.Upgrades == nil {
		return watched{}
	}
	return watched{ws: o.Upgrades.Wants(target, false), wss: o.Upgrades.Wants(target, true)}
}

// upgrade lets the handshake in a tunnel be seen before the server is reached.
// What is none passes as it is.
func (g *Gateway) upgrade(ctx context.Context, o Options, c *client, hello *clientHello, route Route, target string) {
	name := ""
	if hello != nil {
		name = hello.name(target)
		// The handshake has to be read, and a page does not see the certificate
		// of a WebSocket's server: its own is judged later, and nothing is sent
		// to one that is refused.
		shown, err := g.showAccepted(ctx, o, c, name, "http/1.1")
		if err != nil {
			return
		}
		c = shown
	}
	h, err := readUpgrade(c)
	if err != nil {
		refuseMalformed(c, err)
		return
	}
	to := destination{route: route, target: target, secure: name}
	if h == nil {
		server, err := g.reachSocket(ctx, o, to)
		if err != nil {
			return
		}
		defer server.Close()
		defer interrupt(ctx, server)()
		g.newPassage(c, server).run(ctx)
		return
	}
	r := h.request(target, hello != nil)
	waiting, release := c.whileThere(ctx)
	u, server, err := g.askUpgrade(waiting, o, to, r)
	if waiting.Err() != nil {
		err = ErrGivenUp
	}
	release()
	if server != nil {
		defer server.Close()
		defer interrupt(ctx, server)()
	}
	p := g.newPassage(c, server)
	if err == nil {
		err = g.shakeHands(ctx, p, r, u)
	}
	if err != nil {
		u.Closed(0, 0, err)
		return
	}
	p.run(ctx)
	u.Closed(p.sent.Load(), p.received.Load(), nil)
}

// newPassage is a passage that is counted for itself.
func (g *Gateway) newPassage(c *client, server net.Conn) *passage {
	return &passage{g: g, browser: c, server: server, sent: new(atomic.Int64), received: new(atomic.Int64)}
}

// askUpgrade shows a request and connects to where it goes then.
func (g *Gateway) askUpgrade(ctx context.Context, o Options, to destination, r *UpgradeRequest) (Upgrade, net.Conn, error) {
	was := *r.URL
	u, err := o.Upgrades.Upgrade(ctx, r)
	if u == nil {
		u = blind{}
	}
	if err == nil && *r.URL != was {
		to, err = o.redirected(ctx, r)
	}
	if err != nil {
		return u, nil, err
	}
	server, err := g.reachSocket(ctx, o, to)
	return u, server, err
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
		response.StatusLine, response.Header, response.RemoteAddr = answer.first, answer.lines(), p.server.RemoteAddr()
		err = u.Response(waiting, response)
	}
	if waiting.Err() != nil {
		err = ErrGivenUp
	}
	stop()
	release()
	if err != nil {
		return noEOF(err)
	}
	if answer, err = newHead(response.StatusLine, response.Header); err != nil {
		return err
	}
	if answer.status() != 101 {
		answer.drop("Connection") // the next try is to be seen as well
		answer.add("Connection", "close")
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

// destination is where a handshake goes.
type destination struct {
	route  Route
	target string
	secure string // the name for TLS, "" for none
}

// redirected is where a handshake was sent instead.
func (o Options) redirected(ctx context.Context, r *UpgradeRequest) (destination, error) {
	for i, line := range r.Header {
		if strings.EqualFold(line.Name, "Host") {
			r.Header[i].Value = r.URL.Host
		}
	}
	to := destination{target: hostport.Of(r.URL)}
	if r.URL.Scheme == "wss" {
		to.secure = r.URL.Hostname()
	}
	var err error
	to.route, err = o.route(ctx, r.URL)
	return to, err
}

// reachSocket connects to the server of a handshake.
func (g *Gateway) reachSocket(ctx context.Context, o Options, to destination) (net.Conn, error) {
	up, err := g.reach(ctx, o, to.route, to.target, forTunnel)
	if err != nil {
		return nil, err
	}
	conn := &countedConn{up, &g.counters}
	if to.secure == "" {
		return conn, nil
	}
	secure, err := g.secure(ctx, o, conn, to.secure, to.target, []string{"http/1.1"})
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
