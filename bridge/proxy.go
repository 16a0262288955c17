package bridge

import (
	"cmp"
	"context"
	"net/url"

	"github.com/cdpbridge/cdpbridge/gateway"
)

// ProxyConfig are the proxy settings of a session: the argument of Electron's
// ses.setProxy. The zero value is no proxy.
type ProxyConfig = gateway.ProxyConfig

// ProxyConfigError refuses a ProxyConfig, with Electron's text where Electron has one.
type ProxyConfigError = gateway.ConfigError

// The modes of ProxyConfig.
const (
	ProxyDirect       = gateway.ModeDirect
	ProxyAutoDetect   = gateway.ModeAutoDetect
	ProxyPACScript    = gateway.ModePACScript
	ProxyFixedServers = gateway.ModeFixedServers
	ProxySystem       = gateway.ModeSystem
)

// ProxyFunc decides by which proxies a URL is reached: of http each request, of
// https and wss each connection, for which the URL has the path / and which can
// carry many requests. It is asked for all that a connection can be for, also for
// ws and wss where a page asks for https.
//
// It answers as a PAC script does: "PROXY host:port; DIRECT". An error, a panic,
// an empty answer or one that is not understood fails the request: nothing goes
// directly that was not told to. It is called from several goroutines at once.
type ProxyFunc func(ctx context.Context, u *url.URL) (string, error)

// SetProxy sets the session's proxies: Electron's ses.setProxy. Requests from now
// on heed it, those of pages that are open included; what is under way goes on
// as it began. Settings that are wrong are a *gateway.ConfigError, and change
// nothing.
//
// A session that was given no settings has the system's, which on Linux are the
// variables http_proxy, https_proxy, all_proxy and no_proxy; the settings of
// desktops are not read. A proxy that fails is never replaced by the direct way,
// unless the settings say so. Proxies that ask for credentials get those of the
// rules (http://user:password@host:port), or those of SetAuthHandler.
//
// Limits: through a proxy Chromium tells an unreachable proxy and an unreachable
// server to pages with other codes than without; the bridge tells the true one.
// Loopback hosts are reached directly unless the bypass rules have <-loopback>.
func (s *Session) SetProxy(ctx context.Context, c ProxyConfig) error {
	return doing("setting the proxy", s.outlet.change(ctx, "a proxy", func(context.Context, *gateway.Gateway) error {
		proxy, err := gateway.NewProxy(c, s.browser.proxyOptions())
		if err != nil {
			return err
		}
		s.outlet.decideBy(proxy, nil)
		return nil
	}))
}

// SetProxyFunc makes a function decide by which proxies requests go, in the place
// of SetProxy; nil is the system's settings. It has no counterpart in Electron.
func (s *Session) SetProxyFunc(ctx context.Context, decide ProxyFunc) error {
	return doing("setting the proxy", s.outlet.change(ctx, "a proxy", func(context.Context, *gateway.Gateway) error {
		s.outlet.decideBy(nil, decide)
		return nil
	}))
}

// decideBy replaces who decides the routes.
func (o *outlet) decideBy(proxy *gateway.Proxy, decide ProxyFunc) {
	o.mu.Lock()
	before, g, closed := o.proxy, o.gateway, o.closed
	o.proxy, o.decide = proxy, decide
	o.mu.Unlock()
	if before != nil {
		before.Close()
	}
	if closed && proxy != nil {
		proxy.Close()
	}
	g.ClearBad()
}

// ResolveProxy tells by which proxies a URL would be reached, in the words of PAC
// scripts, such as "PROXY proxy.test:3128;DIRECT". It waits for a PAC script that
// has to be fetched. It is Electron's ses.resolveProxy, whose answer to a failure
// is an empty string without a reason.
func (s *Session) ResolveProxy(ctx context.Context, address string) (string, error) {
	if _, err := s.present(); err != nil {
		return "", doing("resolving the proxy", err)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "", doing("resolving the proxy", invalidArgument("%q is no URL with a host", address))
	}
	route, err := s.outlet.Route(ctx, u)
	return route.String(), doing("resolving the proxy of "+u.Redacted(), err)
}

// ForceReloadProxyConfig fetches the PAC script again and forgets which proxies
// have failed: Electron's ses.forceReloadProxyConfig. It returns when the script
// is there.
func (s *Session) ForceReloadProxyConfig(ctx context.Context) error {
	if _, err := s.present(); err != nil {
		return doing("reloading the proxy settings", err)
	}
	if g := s.outlet.opened(); g != nil {
		g.ClearBad()
	}
	s.outlet.mu.Lock()
	proxy := cmp.Or(s.outlet.proxy, s.browser.systemProxy)
	s.outlet.mu.Unlock()
	return doing("reloading the proxy settings", proxy.Reload(ctx))
}

// NetworkStats counts what went through a session's gateway.
type NetworkStats = gateway.Stats

// NetworkStats tells how many bytes and connections the session has had through
// its gateway: nothing while it has neither proxy nor TLS settings.
func (s *Session) NetworkStats() NetworkStats {
	if g := s.outlet.present(); g != nil {
		return g.Stats()
	}
	return NetworkStats{}
}

// proxyOptions are those of the proxies of all sessions.
func (b *Browser) proxyOptions() gateway.ProxyOptions {
	return gateway.ProxyOptions{HostRules: b.hostRules, Logger: b.log}
}

// systemProxy are the system's settings, which cannot be wrong.
func systemProxy(o gateway.ProxyOptions) *gateway.Proxy {
	proxy, err := gateway.NewProxy(gateway.ProxyConfig{Mode: gateway.ModeSystem}, o)
	if err != nil {
		panic(err)
	}
	return proxy
}

func (o Options) hostRules() (gateway.HostRules, error) {
	text, _ := lastSwitch(o.Args, hostRulesSwitch)
	rules, err := gateway.ParseHostRules(text)
	if err != nil {
		return rules, invalidArgument("%s%s: %v", hostRulesSwitch, text, err)
	}
	return rules, nil
}
