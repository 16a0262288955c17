package bridge

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// received takes a response that the program gives to a paused request through
// the listeners of OnHeadersReceived: Chromium does not pause it again. It
// reports whether a listener wants the request ended.
func (t *traffic) received(ctx context.Context, p *cdp.PausedRequest, r *http.Response) (cancel bool) {
	if !t.web.heard() {
		return false
	}
	t.mu.Lock()
	x := t.following[p.NetworkID]
	t.mu.Unlock()
	if x != nil {
		step := x.line.join()
		defer step.leave()
		step.await()
	} else {
		x = &exchange{passage: newPassage(ctx, t.web), target: p.Target}
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
	x.changeHTTPBody(r)
	return false
}

// responseDetails are those of a response that is not Chromium's.
func responseDetails(r *http.Response) ResponseDetails {
	return ResponseDetails{
		StatusLine:      statusLine(r.StatusCode, http.StatusText(r.StatusCode)),
		StatusCode:      r.StatusCode,
		ResponseHeaders: headersOf(r.Header),
	}
}

// headersOf are headers as package http has them, by name.
func headersOf(header http.Header) Headers {
	var h Headers
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			h.Add(name, value)
		}
	}
	return h
}

// header is the same as package http has it.
func (h Headers) header() http.Header {
	out := http.Header{}
	for _, one := range h {
		out.Add(one.Name, one.Value)
	}
	return out
}
