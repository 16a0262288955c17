package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// ErrProxyClosed is the error of a Proxy that was closed.
var ErrProxyClosed = errors.New("the proxy settings are closed")

// ProxyOptions are what a Proxy needs to look up hosts and to fetch PAC
// scripts. The zero value is right for most.
type ProxyOptions struct {
	// HostRules map the hosts that PAC scripts and their fetches look up.
	HostRules HostRules
	// Logger takes alert() and the failures of PAC scripts, nil for none.
	Logger *slog.Logger

	system lookupFunc // the system's resolver, if nil
}

// Proxy is the evaluator of a session's proxy settings: the routes that it
// decides are those that traffic takes and those that resolveProxy tells. It
// is safe for concurrent use.
type Proxy struct {
	decide evaluator
	closed atomic.Bool
}

// evaluator is one mode of proxy settings.
type evaluator interface {
	route(ctx context.Context, t *target) (Route, error)
	reload(ctx context.Context) error
	close()
}

// NewProxy is Electron's ses.setProxy: the settings hold, or are wrong, which
// is a *ConfigError. Nothing is fetched before the first route is asked for.
// Close ends what it runs.
func NewProxy(config ProxyConfig, options ProxyOptions) (*Proxy, error) {
	decide, err := newEvaluator(config, options.withDefaults())
	if err != nil {
		return nil, err
	}
	return &Proxy{decide: decide}, nil
}

func newEvaluator(config ProxyConfig, options ProxyOptions) (evaluator, error) {
	mode, err := config.mode()
	if err != nil {
		return nil, err
	}
	switch {
	case mode == ModeDirect, mode == ModePACScript && config.PACScript == "":
		return &fixedServers{rules: &proxyRules{}}, nil
	case mode == ModePACScript:
		return newPACEvaluator(config.PACScript, true, options)
	case mode == ModeAutoDetect:
		return newPACEvaluator(wpadURL, false, options)
	case mode == ModeSystem:
		return newEnvironment(), nil
	}
	rules, err := parseProxyRules(config.ProxyRules)
	if err != nil {
		return nil, err
	}
	bypass, err := parseBypassRules(config.ProxyBypassRules)
	if err != nil {
		return nil, err
	}
	return &fixedServers{rules: rules, bypass: bypass}, nil
}

// Route decides how a URL is reached. It waits for a PAC script that is not
// fetched yet, as long as ctx allows. Route.String of the result is the answer
// of Electron's ses.resolveProxy, which turns errors into "". A PAC script that
// cannot be had, or fails, is a *PACError, unless it was only detected.
func (p *Proxy) Route(ctx context.Context, u *url.URL) (Route, error) {
	if p.closed.Load() {
		return nil, ErrProxyClosed
	}
	t, err := newTarget(u)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve a proxy: %w", err)
	}
	return p.decide.route(ctx, t)
}

// Reload is Electron's ses.forceReloadProxyConfig: the PAC script is fetched
// again, and the environment read again. Routes that are asked for meanwhile
// wait for it. Electron's promise does not wait for the fetch; this does, and
// tells its failure.
func (p *Proxy) Reload(ctx context.Context) error {
	if p.closed.Load() {
		return ErrProxyClosed
	}
	return p.decide.reload(ctx)
}

// Close ends a fetch that is under way. Routes that wait for it, and all later
// ones, are ErrProxyClosed.
func (p *Proxy) Close() {
	if !p.closed.Swap(true) {
		p.decide.close()
	}
}

func (o ProxyOptions) withDefaults() ProxyOptions {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.system == nil {
		o.system = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return o
}

// lookup finds the addresses of a host by the host rules.
func (o ProxyOptions) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	mapped, err := o.HostRules.Map(net.JoinHostPort(host, "80"))
	if err != nil {
		return nil, err
	}
	if host, _, err = net.SplitHostPort(mapped); err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return o.system(ctx, host)
}

// dial is for the fetches of PAC scripts, which never take a proxy.
func (o ProxyOptions) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	addr, err := o.HostRules.Map(addr)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// fixedServers is ModeFixedServers, and ModeDirect without rules.
type fixedServers struct {
	rules  *proxyRules
	bypass bypassRules
}

func (f *fixedServers) route(_ context.Context, t *target) (Route, error) {
	list := f.rules.list(t.scheme)
	if list == nil || f.bypass.match(t) {
		return Route{{Kind: Direct}}, nil
	}
	return slices.Clone(list), nil
}

func (f *fixedServers) reload(context.Context) error { return nil }
func (f *fixedServers) close()                       {}

// ProxyFunc decides the route to a URL in Go. It returns what FindProxyForURL
// of a PAC script would, such as "PROXY user:password@proxy:8080; DIRECT".
type ProxyFunc func(ctx context.Context, u *url.URL) (string, error)

// FuncResolver is a Resolver that asks a ProxyFunc for every URL, those of
// local hosts included. Unlike a PAC script the function may not return
// anything unknown, nor nothing: that is an error, never the direct way.
type FuncResolver ProxyFunc

// Route asks the function.
func (f FuncResolver) Route(ctx context.Context, u *url.URL) (Route, error) {
	if _, err := newTarget(u); err != nil {
		return nil, fmt.Errorf("cannot resolve a proxy: %w", err)
	}
	result, err := f(ctx, u)
	if err != nil {
		return nil, err
	}
	var route Route
	for entry := range strings.SplitSeq(result, ";") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		hop, err := parsePACEntry(entry)
		if err != nil {
			return nil, wrongPart("ProxyFunc", entry, err)
		}
		route = append(route, hop)
	}
	if len(route) == 0 {
		return nil, errors.New(`the ProxyFunc returned no route; "DIRECT" is the direct one`)
	}
	return route, nil
}
