package bridge

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// netInternalsPage acts on the network of its own browser context.
const netInternalsPage = "chrome://net-internals/"

// netInternals sends messages of chrome://net-internals for the session's
// network, and returns when the network has taken them.
func (p *place) netInternals(ctx context.Context, messages ...string) error {
	// The messages have no answer. A lookup that needs no network goes the same
	// way after them, and has one.
	const send = `(messages) => import("chrome://resources/js/cr.js").then(cr => {
		for (const message of messages)
			chrome.send(message);
		return cr.sendWithPromise("resolveHost", "127.0.0.1");
	})`
	return p.host.inHidden(ctx, p.param(), netInternalsPage, send, nil, messages)
}

// CloseAllConnections closes all connections of the session, those that are idle
// at once. Requests of documents that are under way fail. It is Electron's
// ses.closeAllConnections.
//
// Limits: Chromium lets requests of workers, WebSockets and downloads that are
// under way finish on their connections, unless the session has a proxy or TLS
// settings.
func (s *Session) CloseAllConnections(ctx context.Context) error {
	at, err := s.place(ctx)
	if err == nil {
		err = s.explain(errors.Join(s.stopLoading(ctx), at.netInternals(ctx, "flushSocketPools")))
	}
	s.outlet.closeConnections()
	return doing("closing all connections", err)
}

// stopLoading ends the requests of all documents.
func (s *Session) stopLoading(ctx context.Context) error {
	var answered sync.WaitGroup
	for _, t := range s.interception.Targets() {
		if t.HasFrames() {
			t.Session.Conn().Send(awaited(&answered, []cdp.Command{{Session: t.Session, Method: "Page.stopLoading"}})...)
		}
	}
	return waitGroup(ctx, &answered)
}

// ClearHostResolverCache forgets what the session knows of host names. It is
// Electron's ses.clearHostResolverCache.
func (s *Session) ClearHostResolverCache(ctx context.Context) error {
	at, err := s.place(ctx)
	if err == nil {
		err = s.explain(at.netInternals(ctx, "clearHostResolverCache"))
	}
	return doing("clearing the host resolver's cache", err)
}

// ResolveHostOptions are the options of Session.ResolveHost.
type ResolveHostOptions struct {
	// QueryType is "A" for IPv4 addresses, "AAAA" for IPv6 ones, and "" for both.
	QueryType string
}

// Address families, as Electron names them.
const (
	familyIPv4 = "ipv4"
	familyIPv6 = "ipv6"
)

// ResolvedEndpoint is an address of a host.
type ResolvedEndpoint struct {
	Address string `json:"address"`
	Family  string `json:"family"` // "ipv4" or "ipv6"
}

// ResolveHost looks a host name up as the session's requests do, by the
// session's own cache. It is Electron's ses.resolveHost, without the options
// source, cacheUsage and secureDnsPolicy, which stock Chromium has no call for.
// The error for a name that has no address is NetError -105,
// net::ERR_NAME_NOT_RESOLVED.
func (s *Session) ResolveHost(ctx context.Context, host string, o ResolveHostOptions) ([]ResolvedEndpoint, error) {
	family, known := map[string]string{"": "", "A": familyIPv4, "AAAA": familyIPv6}[o.QueryType]
	if !known {
		return nil, invalidArgument("Invalid query type: %s", o.QueryType)
	}
	if host == "" || strings.ContainsAny(host, " /") {
		return nil, doing("resolving "+host, netNameNotResolved)
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	at, err := s.place(ctx)
	if err != nil {
		return nil, doing("resolving "+host, err)
	}
	addresses, err := at.resolve(ctx, host)
	if err != nil {
		return nil, doing("resolving "+host, s.explain(err))
	}
	var endpoints []ResolvedEndpoint
	for _, a := range addresses {
		e := ResolvedEndpoint{Address: a.String(), Family: familyIPv6}
		if a.Is4() {
			e.Family = familyIPv4
		}
		if family == "" || e.Family == family {
			endpoints = append(endpoints, e)
		}
	}
	if len(endpoints) == 0 {
		return nil, doing("resolving "+host, netNameNotResolved)
	}
	return endpoints, nil
}

// resolve are the addresses of a host in the place's network.
func (p *place) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	const resolve = `(host) => import("chrome://resources/js/cr.js").then(cr => cr.sendWithPromise("resolveHost", host)).then(r => r.resolved_addresses, () => [])`
	var addresses []netip.Addr
	err := p.host.inHidden(ctx, p.param(), netInternalsPage, resolve, &addresses, host)
	return addresses, err
}
