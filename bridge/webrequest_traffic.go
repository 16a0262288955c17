package bridge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// traffic drives the passages of the requests that Chromium makes: the domain
// Fetch pauses them before they are sent and when their response has come, and
// the domain Network tells of the rest, where somebody listens to that.
type traffic struct {
	web   *WebRequest
	route *cdp.Route

	// Guarded by WebRequest.mu.
	release func() // the domain Network, nil where it is not needed
	scripts *scriptRoute

	watching atomic.Bool // somebody wants to know more than what is paused

	mu        sync.Mutex
	following map[string]*exchange // by network id, with the domain Network only
	arrived   map[*cdp.PausedRequest]arrival
	served    map[uint64]servedBody // by the request's id
}

// webRequestOrder puts the listeners before all who answer requests.
const webRequestOrder = -100

func newTraffic(w *WebRequest) *traffic {
	t := &traffic{web: w, following: map[string]*exchange{}, arrived: map[*cdp.PausedRequest]arrival{}, served: map[uint64]servedBody{}}
	t.route = &cdp.Route{Order: webRequestOrder, Handle: t.handle, Arrived: t.arrive, Observe: t.observe}
	t.scripts = newScriptRoute(webRequestOrder, t.handle)
	return t
}

// update pauses what the present listeners are for, and nothing else.
func (t *traffic) update() {
	w := t.web
	watched := slices.DeleteFunc(slices.Concat(w.sendHeaders.filters(), w.responseStarted.filters(), w.completed.filters(), w.errorOccurred.filters()),
		(*requestFilter).onlyWebSockets)
	t.watching.Store(len(watched) > 0)
	if len(watched) > 0 && t.release == nil {
		t.release = w.session.network.use()
	}
	w.session.interception.Set(t.route, slices.Concat(
		wirePatterns("Request", slices.Concat(w.beforeRequest.filters(), w.beforeSendHeaders.filters(), w.responseBody.filters(), watched)),
		wirePatterns("Response", slices.Concat(w.headersReceived.filters(), w.beforeRedirect.filters(), w.responseBody.filters())),
	))
	if len(watched) == 0 && t.release != nil {
		t.release()
		t.release = nil
		t.unfollow()
	}
	t.updateScripts()
}

// manyPatterns is how many patterns Chromium is given to compare each request
// with. The bridge itself finds its way in thousands.
const manyPatterns = 16

// wirePatterns are the patterns of the protocol for a stage. They select at
// least what the filters do.
func wirePatterns(stage string, filters []*requestFilter) []cdp.Pattern {
	var out []cdp.Pattern
	for _, f := range filters {
		if f.onlyWebSockets() {
			continue
		}
		for _, p := range f.urls.all {
			one := cdp.Pattern{URLPattern: p.wire(), RequestStage: stage}
			if one.URLPattern == "*" || len(out) == manyPatterns {
				return []cdp.Pattern{{URLPattern: "*", RequestStage: stage}}
			}
			if !slices.Contains(out, one) {
				out = append(out, one)
			}
			if hostport.Default(p.scheme) == "" { // of the program: this stands for it
				out = append(out, cdp.Pattern{URLPattern: "http*://*" + schemeEscaper.Replace(p.scheme) + "*" + wireSuffix + "/*", RequestStage: stage})
			}
		}
	}
	return out
}

// handle takes a paused request through the listeners.
func (t *traffic) handle(ctx context.Context, p *cdp.PausedRequest) (handled bool) {
	t.mu.Lock()
	a, followed := t.arrived[p]
	delete(t.arrived, p)
	t.mu.Unlock()
	if t.handleServed(ctx, p) {
		if followed {
			a.await()
			a.leave()
			t.handled(a.exchange)
		}
		return true
	}
	if p.ResourceType != document { // a crash ends what the page asks for, but for a new document
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(p.Target.Renderer(), cancel)()
	}
	x := a.exchange
	if followed {
		defer t.handled(x)
		defer context.AfterFunc(ctx, x.end)()
		defer a.leave()
		a.await()
		x.leave = a.leave
	} else {
		x = &exchange{passage: newPassage(ctx, t.web), target: p.Target, leave: func() {}}
	}
	if t.web.session.browser.streams.has(p.Request.URL) {
		return false // the response went through received
	}
	x.moveTo(t.details(p))
	if followed { // a listener that waits is not waited for when the request is over
		defer context.AfterFunc(x.ctx, a.leave)()
	}
	if p.AtResponse() {
		return t.atResponse(x, p)
	}
	handled = t.atRequest(x, p)
	if !handled && !followed {
		x.tellSent(nil)
	}
	return handled
}

// atRequest is the stage before a request is sent.
func (t *traffic) atRequest(x *exchange, p *cdp.PausedRequest) (handled bool) {
	x.tellSent(nil) // of the hop before
	before := x.beforeRequest()
	switch {
	case x.ctx.Err() != nil: // there is nobody to answer
		return true
	case before.Cancel:
		t.answered(p, p.Fail(x.ctx, blocked))
		return true
	case before.RedirectURL != "":
		if err := before.checkRedirect(); err != nil {
			t.failed(p, err) // it does not go where it was going
			return true
		}
		response := redirectTo(t.web.session.protocol.wireURL(before.RedirectURL), p.Request.Header("Origin"))
		x.beforeRedirect(response, before.RedirectURL)
		t.failed(p, p.Fulfill(x.ctx, cdp.Response{Code: response.StatusCode, Phrase: internalRedirect, Headers: response.ResponseHeaders}))
		return true
	}
	headers := sync.OnceValue(func() Headers { return p.Request.Headers() })
	send := x.beforeSendHeaders(headers)
	if x.ctx.Err() != nil {
		return true
	}
	if send.Cancel {
		t.answered(p, p.Fail(x.ctx, blocked))
		return true
	}
	if send.RequestHeaders != nil {
		p.ReplaceHeaders(send.RequestHeaders)
		headers = func() Headers { return send.RequestHeaders }
	}
	x.unsent = headers
	x.hops++
	return false
}

const (
	blocked          = "BlockedByClient"
	internalRedirect = "Internal Redirect"
)

// checkRedirect is an error where a listener redirects to what is no absolute
// URL.
func (r BeforeRequestResult) checkRedirect() error {
	if to, err := url.Parse(r.RedirectURL); err != nil || !to.IsAbs() {
		return fmt.Errorf("%q is no absolute URL to redirect to", r.RedirectURL)
	}
	return nil
}

// redirectTo is the response that sends a request elsewhere. A page of another
// origin may follow it.
func redirectTo(url, origin string) ResponseDetails {
	headers := Headers{{Name: "Location", Value: url}, {Name: "Non-Authoritative-Reason", Value: "WebRequest API"}}
	if origin != "" {
		headers.Add("Access-Control-Allow-Origin", origin)
		headers.Add("Access-Control-Allow-Credentials", "true")
	}
	return ResponseDetails{
		StatusLine:      statusLine(http.StatusTemporaryRedirect, internalRedirect),
		StatusCode:      http.StatusTemporaryRedirect,
		ResponseHeaders: headers,
	}
}

// atResponse is the stage at which a response has come.
func (t *traffic) atResponse(x *exchange, p *cdp.PausedRequest) (handled bool) {
	x.tellSent(nil)
	if p.ResponseErrorReason != "" {
		return false
	}
	came := ResponseDetails{
		StatusLine:      statusLine(p.ResponseStatusCode, p.ResponseStatusText),
		StatusCode:      p.ResponseStatusCode,
		ResponseHeaders: p.ResponseHeaders,
	}
	response, changed, cancel := x.headersReceived(came)
	if x.ctx.Err() != nil {
		return true
	}
	if cancel {
		t.answered(p, p.Fail(x.ctx, blocked))
		return true
	}
	redirect := redirectURL(p.Request.URL, response)
	if redirect != "" {
		x.beforeRedirect(response, redirect)
	}
	if redirect == "" && hasBody(x.Method, response.StatusCode) && t.answerBody(x, p, response) {
		return true
	}
	if !changed {
		return false
	}
	_, phrase, _ := parseStatusLine(response.StatusLine)
	answer := cdp.Response{Code: response.StatusCode, Phrase: phrase, Headers: response.ResponseHeaders, Body: []byte{}}
	if redirect != "" || redirectURL(p.Request.URL, came) != "" { // a change of the headers alone leads nowhere else
		t.answered(p, p.Fulfill(x.ctx, answer))
		return true
	}
	t.answered(p, p.ContinueResponse(x.ctx, answer))
	return true
}

// answered keeps a request from standing still when Chromium has refused the
// answer.
func (t *traffic) answered(p *cdp.PausedRequest, err error) {
	if err == nil || p.Target.Session.Err() != nil {
		return
	}
	t.refused(p, err)
	p.Release()
}

func (t *traffic) refused(p *cdp.PausedRequest, err error) {
	t.web.session.browser.log.Warn("Chromium refused what a listener of a request wants", "url", p.Request.URL, "error", err)
}
