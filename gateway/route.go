// Package gateway is the way out of a session: it decides by the session's
// proxy settings how a server is reached, and reaches it so, under the
// session's TLS settings. It knows connections and nothing of the Chrome
// DevTools Protocol.
package gateway

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// HopKind is how a hop is spoken to.
type HopKind string

// The kinds of hops.
const (
	Direct HopKind = "direct" // no proxy
	HTTP   HopKind = "http"
	HTTPS  HopKind = "https" // an HTTP proxy that is reached by TLS
	SOCKS4 HopKind = "socks4"
	SOCKS5 HopKind = "socks5"
)

// Hop is one way to a server: the direct one, or by a proxy.
type Hop struct {
	Kind HopKind
	Addr string        // the proxy's host:port; "" for Direct
	User *url.Userinfo // the credentials for the proxy, nil for none
}

// String is the hop as PAC scripts write it, without credentials: "DIRECT",
// "PROXY host:port", "HTTPS host:port", "SOCKS host:port" (of version 4) or
// "SOCKS5 host:port".
func (h Hop) String() string {
	switch h.Kind {
	case HTTP:
		return "PROXY " + h.Addr
	case HTTPS:
		return "HTTPS " + h.Addr
	case SOCKS4:
		return "SOCKS " + h.Addr
	case SOCKS5:
		return "SOCKS5 " + h.Addr
	}
	return "DIRECT"
}

// key names the hop, whoever logs in to it.
func (h Hop) key() string { return string(h.Kind) + " " + strings.ToLower(h.Addr) }

func (h Hop) equal(other Hop) bool {
	return h.key() == other.key() && h.User.String() == other.User.String()
}

// Route is the hops to a server, in the order in which they are tried.
type Route []Hop

// String is the route as PAC scripts return it, such as
// "PROXY proxy.test:3128;DIRECT".
func (r Route) String() string {
	hops := make([]string, len(r))
	for i, h := range r {
		hops[i] = h.String()
	}
	return strings.Join(hops, ";")
}

func (r Route) equal(other Route) bool { return slices.EqualFunc(r, other, Hop.equal) }

// Resolver decides the route to a URL. An error means that there is none: who
// asks must fail then and never take a way of their own.
type Resolver interface {
	Route(ctx context.Context, u *url.URL) (Route, error)
}
