package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/cdpbridge/cdpbridge/gateway"
	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// outlet is a session's way out: its gateway, its settings, and what leads
// Chromium to it. It sleeps until a setting needs it, and Chromium then goes to
// the network by itself. Once awake it stays so until the session ends, and
// decides itself what goes directly.
//
// A created context has the gateway as its proxy from the start, with leave to
// go directly where nobody listens, because Chromium cannot change the proxy of
// one later. A default context is led there by the helper extension, without
// that leave.
type outlet struct {
	session  *Session
	changing turn // of who changes settings, and of who places the session
	opening  turn // of who opens it for WebSockets

	mu      sync.Mutex
	gateway *gateway.Gateway // nil until it is needed
	awake   bool
	closed  bool
	proxy   *gateway.Proxy // nil for the system's settings
	decide  ProxyFunc      // in the place of proxy, if it is set
	tls     *tlsSettings   // nil until some are set
	sockets bool           // somebody listens, or listened, to WebSockets

	transport *http.Transport // of Session.Fetch, nil until it is used
}

func newOutlet(s *Session) *outlet {
	o := &outlet{session: s, changing: newTurn(), opening: newTurn()}
	context.AfterFunc(s.life, o.close)
	return o
}

// errNoOutlet is why a session has no gateway.
func (s *Session) errNoOutlet(feature string) error {
	switch {
	case s.opts.NoGateway:
		return &UnsupportedError{Feature: feature, Reason: "the session has no gateway", Instead: "leave PartitionOptions.NoGateway out"}
	case s.browser.remote != nil:
		return &UnsupportedError{Feature: feature, Reason: "the bridge cannot lead a browser that it did not start through itself", Instead: "use Launch"}
	}
	return nil
}

// open returns the gateway, and makes it where there is none yet.
func (o *outlet) open() (*gateway.Gateway, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gateway != nil || o.closed {
		return o.gateway, o.errClosed()
	}
	b := o.session.browser
	authority, err := b.authority()
	if err != nil {
		return nil, err
	}
	g, err := gateway.New(gateway.Options{
		Resolver:    o,
		MapHost:     b.hostRules.Map,
		Allow:       o.allow,
		Credentials: o.credentials,
		Verify:      o.session.verify(nil),
		Upgrades:    o.session.webRequest.sockets,
		Authority:   authority,
		Logger:      b.log,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the gateway: %w", err)
	}
	o.gateway = g
	return g, nil
}

func (o *outlet) errClosed() error {
	if o.closed {
		return ErrSessionClosed
	}
	return nil
}

// opened is the gateway, awake or not, nil while there is none.
func (o *outlet) opened() *gateway.Gateway {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gateway
}

// present is the gateway if it is awake, nil otherwise.
func (o *outlet) present() *gateway.Gateway {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.awake {
		return nil
	}
	return o.gateway
}

func (o *outlet) close() {
	o.mu.Lock()
	g, proxy := o.gateway, o.proxy
	o.closed, o.awake = true, false
	o.mu.Unlock()
	if proxy != nil {
		proxy.Close()
	}
	if g != nil {
		g.Close()
	}
}

// contextProxy are the parameters of Target.createBrowserContext that make the
// gateway the context's proxy, nothing for a session without one.
func (o *outlet) contextProxy() (map[string]any, error) {
	params := map[string]any{"disposeOnDetach": true}
	if o.session.errNoOutlet("") != nil {
		return params, nil
	}
	g, err := o.open()
	if err != nil {
		return nil, err
	}
	if gateway.SystemHasProxy() { // which Chromium itself heeds in default contexts only
		if err := o.wake(g); err != nil {
			return nil, err
		}
	}
	// A proxy of the scheme SOCKS would be left for the direct way when it
	// answers that it cannot reach a server.
	params["proxyServer"] = g.Addr() + ",direct://"
	params["proxyBypassList"] = "<-loopback>"
	return params, nil
}

// change changes a setting and makes the requests from now on heed it: those of
// pages that are open, too.
func (o *outlet) change(ctx context.Context, feature string, set func(context.Context, *gateway.Gateway) error) error {
	if err := o.session.errNoOutlet(feature); err != nil {
		return err
	}
	if err := o.changing.take(ctx); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		o.changing.give()
		return err
	}
	// Once begun it is done to its end, whoever waits: a setting that holds while
	// Chromium is not led to the gateway would be passed by.
	done := make(chan error, 1)
	go func() {
		defer o.changing.give()
		done <- o.changed(o.session.life, set)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o *outlet) changed(ctx context.Context, set func(context.Context, *gateway.Gateway) error) error {
	g, err := o.open()
	if err != nil {
		return err
	}
	if err := set(ctx, g); err != nil {
		return err
	}
	if err := o.wake(g); err != nil {
		return err
	}
	at, err := o.session.present()
	if err != nil || at == nil {
		return err // lead does the rest when the session gets a place
	}
	return o.session.explain(o.lead(ctx, at))
}

func (o *outlet) wake(g *gateway.Gateway) error {
	if err := g.Wake(); err != nil {
		return fmt.Errorf("waking the gateway: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.awake = true
	return o.errClosed()
}

// lead leads Chromium to the gateway, if that is awake, and away from the
// connections that it has without it.
func (o *outlet) lead(ctx context.Context, at *place) error {
	g := o.present()
	if g == nil {
		return nil
	}
	if o.speaksTLS() {
		if err := at.trust(ctx); err != nil {
			return err
		}
	}
	if at.isDefault() {
		const set = `(host, port) => chrome.proxy.settings.set({
			scope: "regular",
			value: {mode: "fixed_servers", rules: {singleProxy: {host, port}, bypassList: ["<-loopback>"]}},
		})`
		host, port := hostport.Split(g.Addr())
		if err := at.inExtension(ctx, helperExtension, set, nil, host, port); err != nil {
			return fmt.Errorf("leading Chromium to the gateway: %w", err)
		}
	}
	// Without the first message Chromium goes on directly for five minutes after
	// it has found nobody listening.
	for _, each := range append(o.session.clientContexts(), at) {
		if err := each.netInternals(ctx, "clearBadProxies", "flushSocketPools"); err != nil {
			return err
		}
	}
	return nil
}

// openForSockets makes the handshakes of WebSockets seen. Chromium has to trust
// the gateway for those of wss, whose TLS it then speaks itself. A session
// without a gateway does without.
func (o *outlet) openForSockets(ctx context.Context) error {
	if o.session.errNoOutlet("") != nil {
		return nil
	}
	if err := o.opening.take(ctx); err != nil {
		return err
	}
	defer o.opening.give()
	set := func(open bool) (was bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		was, o.sockets = o.sockets, open
		return was
	}
	if set(true) {
		return nil
	}
	err := o.change(ctx, "", func(ctx context.Context, _ *gateway.Gateway) error { return o.trust(ctx) })
	if err != nil {
		set(false)
	}
	return err
}

// trust makes Chromium trust the gateway before the first connection needs it.
// A session without a place gets to it with its place.
func (o *outlet) trust(ctx context.Context) error {
	at, err := o.session.present()
	if err != nil || at == nil {
		return err
	}
	return at.trust(ctx)
}

// allow lets the session's own Chromium in, and no other program of the machine,
// where the system tells who comes.
func (o *outlet) allow(p gateway.Peer) error {
	if !p.Known {
		return nil
	}
	at, err := o.session.present()
	if err != nil || at == nil {
		return errors.Join(errors.New("the session has no Chromium"), err)
	}
	return at.host.owns(p)
}

// credentials asks the session's handler on behalf of a proxy.
func (o *outlet) credentials(ctx context.Context, c gateway.ProxyChallenge) (user, password string, ok bool) {
	host, port := hostport.Split(c.Proxy.Addr)
	given, ok := o.session.auth.ask(ctx, AuthRequest{
		URL: proxyURL(c.Proxy), IsProxy: true, Scheme: c.Scheme, Host: host, Port: port, Realm: c.Realm, FirstAttempt: !c.Rejected,
	})
	return given.Username, given.Password, ok
}

func proxyURL(h gateway.Hop) string { return string(h.Kind) + "://" + h.Addr + "/" }

// Route decides how the session reaches a URL. It is the gateway's resolver.
func (o *outlet) Route(ctx context.Context, u *url.URL) (gateway.Route, error) {
	if o.session.browser.streams.has(u.String()) {
		return gateway.Route{{Kind: gateway.Direct}}, nil
	}
	for {
		o.mu.Lock()
		proxy, decide, closed := o.proxy, o.decide, o.closed
		o.mu.Unlock()
		switch {
		case closed:
			return nil, ErrSessionClosed
		case decide != nil:
			return o.ask(ctx, decide, u)
		case proxy == nil:
			proxy = o.session.browser.systemProxy
		}
		route, err := proxy.Route(ctx, u)
		if !errors.Is(err, gateway.ErrProxyClosed) {
			return route, err
		}
	}
}

// ask calls the program's function.
func (o *outlet) ask(ctx context.Context, decide ProxyFunc, u *url.URL) (gateway.Route, error) {
	return answered(ctx, o.session.browser, "SetProxyFunc", func() (gateway.Route, error) {
		return gateway.FuncResolver(decide).Route(ctx, u)
	})
}

// serverIP is the address of the server of a URL, where Chromium names one or its
// proxy: the gateway, which knows the server.
func (o *outlet) serverIP(url, ip string, port int) string {
	g := o.present()
	if g == nil || net.JoinHostPort(ip, strconv.Itoa(port)) != g.Addr() {
		return ip
	}
	addr, _ := g.RemoteAddr(serverOf(url))
	return addressIP(addr)
}

// serverOf is the host:port of a URL, as the gateway names servers.
func serverOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return hostport.Of(u)
}
