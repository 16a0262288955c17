package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"

	"golang.org/x/net/http/httpproxy"
)

// environment is ModeSystem: the variables http_proxy, https_proxy, all_proxy
// and no_proxy, in lower or upper case. The settings of desktops, which
// Chromium reads too, are not read.
type environment struct {
	find atomic.Pointer[func(*url.URL) (*url.URL, error)]
}

func newEnvironment() *environment {
	e := &environment{}
	e.read()
	return e
}

// SystemHasProxy reports whether ModeSystem names any proxy.
func SystemHasProxy() bool {
	config := environmentConfig()
	return config.HTTPProxy != "" || config.HTTPSProxy != ""
}

func environmentConfig() *httpproxy.Config {
	config := httpproxy.FromEnvironment()
	all := cmp.Or(os.Getenv("all_proxy"), os.Getenv("ALL_PROXY"))
	config.HTTPProxy = cmp.Or(config.HTTPProxy, all)
	config.HTTPSProxy = cmp.Or(config.HTTPSProxy, all)
	return config
}

func (e *environment) read() {
	find := environmentConfig().ProxyFunc()
	e.find.Store(&find)
}

func (e *environment) route(_ context.Context, t *target) (Route, error) {
	direct := Route{{Kind: Direct}}
	if t.isLocal() {
		return direct, nil
	}
	u := *t.url
	switch t.scheme {
	case "ws", "ftp":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	proxy, err := (*e.find.Load())(&u)
	if proxy == nil && err == nil {
		return direct, nil
	}
	var hop Hop
	if err == nil {
		hop, err = hopOf(proxy)
	}
	if err != nil {
		return nil, fmt.Errorf("the proxy of the environment: %w", err)
	}
	return Route{hop}, nil
}

// hopOf is the hop of a proxy's URL.
func hopOf(proxy *url.URL) (Hop, error) {
	kind, err := kindOfScheme(proxy.Scheme)
	if proxy.Scheme == "socks5h" {
		kind, err = SOCKS5, nil
	}
	if err != nil {
		return Hop{}, err
	}
	hop, err := newHop(kind, proxy.Host)
	hop.User = proxy.User
	return hop, err
}

func (e *environment) reload(context.Context) error {
	e.read()
	return nil
}

func (e *environment) close() {}
