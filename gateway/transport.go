package gateway

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// inside is the gateway's own address as a proxy for its transport.
const inside = "gateway.invalid:80"

// Transport makes requests go the way that Chromium's go, by the same proxies
// and under the same TLS settings, without the listener. Plain requests pass
// through the gateway in memory, so that a failure ends them without an
// answer: Failure tells more. The connections end with the gateway. A caller
// keeps the transport: each call makes another.
func (g *Gateway) Transport() *http.Transport {
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme == "http" {
				return &url.URL{Scheme: "http", Host: inside}, nil
			}
			return nil, nil
		},
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return g.enter() },
		DialTLSContext:    g.dialTLS,
		ForceAttemptHTTP2: true,
	}
}

// enter is a connection to the gateway itself.
func (g *Gateway) enter() (net.Conn, error) {
	if g.ctx.Err() != nil {
		return nil, ErrClosed
	}
	near, far := net.Pipe()
	g.welcome(far, true)
	return near, nil
}

func (g *Gateway) dialTLS(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := g.DialContext(ctx, &url.URL{Scheme: "https", Host: address})
	if err != nil {
		return nil, err
	}
	name, _ := hostport.Split(address)
	secure, err := g.secure(ctx, g.settings(), conn, name, address, []string{"h2", "http/1.1"})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}
