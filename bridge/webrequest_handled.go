package bridge

import (
	"context"
	"net/http"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// received takes a response that the program gives to a paused request through
// the listeners of OnHeadersReceived: Chromium does not pause it again. It
// reports whether a listener wants the request ended.
func (t *traffic) received(ctx context.Context, p *cdp.PausedRequest, r *http.Response) (cancel bool) {
	t.mu.Lock()
	x := t.following[p.NetworkID]
	t.mu.Unlock()
	if x != nil {
		wait, leave := x.line.join()
		defer leave()
		<-wait
	} else {
		x = &exchange{target: p.Target}
		x.web, x.ctx, x.life = t.web, ctx, ctx
	}
	x.moveTo(t.details(p))
	x.handled = true
	x.tellSent(nil)
	changed := false
	x.response, changed, cancel = x.headersReceived(responseDetails(r))
	if cancel {
		return true
	}
	if changed {
		r.StatusCode, r.Header = x.response.StatusCode, x.response.ResponseHeaders.header()
	}
	if redirect := redirectURL(x.URL, x.response); redirect != "" {
		x.beforeRedirect(x.response, redirect)
	}
	return false
}

// responseDetails are those of a response that did not come over the network.
func responseDetails(r *http.Response) ResponseDetails {
	d := ResponseDetails{StatusLine: statusLine(r.StatusCode, http.StatusText(r.StatusCode)), StatusCode: r.StatusCode}
	for name, values := range r.Header {
		for _, value := range values {
			d.ResponseHeaders.Add(name, value)
		}
	}
	return d
}

// header is the same as package http has it.
func (h Headers) header() http.Header {
	out := http.Header{}
	for _, one := range h {
		out.Add(one.Name, one.Value)
	}
	return out
}
