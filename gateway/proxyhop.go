package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
)

// connectHTTP asks an HTTP proxy for a tunnel, with credentials when it wants
// them.
func (g *Gateway) connectHTTP(ctx context.Context, o Options, hop Hop, target string) (net.Conn, error) {
	l := g.logins.begin(hop, "CONNECT", target)
	for {
		conn, refused, err := g.askTunnel(ctx, o, hop, target, l.header())
		if err != nil || refused == nil {
			return conn, err
		}
		if err := l.rejected(ctx, o.Credentials, refused); err != nil {
			return nil, err
		}
	}
}

// askTunnel asks once. refused is the answer of a proxy that asks for
// credentials.
func (g *Gateway) askTunnel(ctx context.Context, o Options, hop Hop, target, login string) (_ net.Conn, refused *head, _ error) {
	conn, err := g.dialProxy(ctx, o, hop)
	if err != nil {
		return nil, nil, err
	}
	request := &head{first: "CONNECT " + target + " HTTP/1.1"}
	request.add("Host", target)
	request.add("Proxy-Connection", "keep-alive")
	if login != "" {
		request.add("Proxy-Authorization", login)
	}
	r := bufio.NewReader(conn)
	var answer *head
	err = inTime(ctx, conn, func(context.Context, net.Conn) (err error) {
		if _, err := conn.Write(request.bytes()); err != nil {
			return err
		}
		answer, err = readFinalHead(r)
		return noEOF(err)
	})
	if err != nil {
		conn.Close()
		return nil, nil, &ProxyError{Hop: hop, Err: err}
	}
	switch status := answer.status(); {
	case status == 407:
		conn.Close()
		return nil, answer, nil
	case status < 200 || status > 299:
		conn.Close()
		return nil, nil, &ProxyError{Hop: hop, Status: status}
	}
	return withPrefix(conn, r), nil, nil
}

// readFinalHead reads the head of a response, behind interim ones.
func readFinalHead(r *bufio.Reader) (*head, error) {
	for {
		h, err := readHead(r)
		if err != nil {
			return nil, err
		}
		status := h.status()
		if status == 0 {
			return nil, malformed("status line %.40q", h.first)
		}
		if status >= 200 || status == 101 {
			return h, nil
		}
	}
}

// status is the code of a status line, 0 for what is none.
func (h *head) status() int {
	version, rest, _ := strings.Cut(h.first, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if !strings.HasPrefix(version, "HTTP/1.") || len(code) != 3 || err != nil || n < 100 {
		return 0
	}
	return n
}

// prefixed is a connection of which some was read already.
type prefixed struct {
	net.Conn
	r io.Reader
}

// withPrefix gives a connection back what its reader holds.
func withPrefix(conn net.Conn, r *bufio.Reader) net.Conn {
	if r.Buffered() == 0 {
		return conn
	}
	return &prefixed{Conn: conn, r: r}
}

func (p *prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

// NetConn is the connection below.
func (p *prefixed) NetConn() net.Conn { return p.Conn }

// CloseWrite ends what is sent.
func (p *prefixed) CloseWrite() error { return halfClose(p.Conn) }
