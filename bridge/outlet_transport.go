package bridge

import (
	"context"
	"net/http"
	"time"
)

// roundTrip makes a request of the bridge's own the way that Chromium's go.
func (o *outlet) roundTrip(r *http.Request) (*http.Response, error) {
	t, err := o.client()
	if err != nil {
		return nil, err
	}
	return t.RoundTrip(r)
}

func (o *outlet) client() (*http.Transport, error) {
	if o.session.errNoOutlet("") != nil {
		return o.transportOf(func() *http.Transport {
			return &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}), nil
	}
	g, err := o.open()
	if err != nil {
		return nil, err
	}
	return o.transportOf(g.Transport), nil
}

// transportOf is the session's transport, which is made once.
func (o *outlet) transportOf(make func() *http.Transport) *http.Transport {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.transport == nil {
		t := make()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 6 // the latter is Chromium's
		t.IdleConnTimeout, t.TLSHandshakeTimeout = 90*time.Second, 30*time.Second
		context.AfterFunc(o.session.life, t.CloseIdleConnections)
		o.transport = t
	}
	return o.transport
}

// closeConnections closes those that the bridge has in the place of Chromium.
func (o *outlet) closeConnections() {
	o.mu.Lock()
	t, g := o.transport, o.gateway
	o.mu.Unlock()
	if t != nil {
		t.CloseIdleConnections()
	}
	if g != nil {
		g.CloseConnections()
	}
}
