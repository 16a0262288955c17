package bridge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// traffic drives the passages of the requests that Chromium makes: the domain
// Fetch pauses them before they are sent and when their response has come, and
// the domain Network tells of the rest, where somebody listens to that.
type traffic struct {
	web   *WebRequest
	route *cdp.Route

	// Guarded by WebRequest.mu.
	remove  func() // the route, nil where it is not in place
	release func() // the domain Network, nil where it is not needed
	scripts serviceWorkerScripts

	mu        sync.Mutex
	following map[string]*exchange // by network id, with the domain Network only
	arrived   map[*cdp.PausedRequest]arrival
	served    map[uint64]string // where requests by id find their bodies
}

// webRequestOrder puts the listeners before all who answer requests.
const webRequestOrder = -100

func newTraffic(w *WebRequest) *traffic {
	t := &traffic{web: w, following: map[string]*exchange{}, arrived: map[*cdp.PausedRequest]arrival{}, served: map[uint64]string{}}
	t.route = &cdp.Route{Order: webRequestOrder, Handle: t.handle, Arrived: t.arrive, Observe: t.observe}
	return t
}

// update pauses what the present listeners are for, and nothing else.
func (t *traffic) update() {
	w, i := t.web, t.web.session.interception
	watched := slices.Concat(w.sendHeaders.filters(), w.responseStarted.filters(), w.completed.filters(), w.errorOccurred.filters())
	if len(watched) > 0 && t.release == nil {
		t.release = w.session.network.use()
	}
	patterns := slices.Concat(
		wirePatterns("Request", slices.Concat(w.beforeRequest.filters(), w.beforeSendHeaders.filters(), w.responseBody.filters(), watched)),
		wirePatterns("Response", slices.Concat(w.headersReceived.filters(), w.beforeRedirect.filters(), w.responseBody.filters())),
	)
	switch {
	case len(patterns) == 0:
		if t.remove != nil {
			t.remove()
			t.remove = nil
		}
	case t.remove == nil:
		t.route.Patterns = patterns
		t.remove = i.Add(t.route)
	default:
		i.Update(t.route, patterns)
	}
	if len(watched) == 0 && t.release != nil {
		t.release()
		t.release = nil
	}
	t.scripts.update(t)
}

// manyPatterns is how many patterns Chromium is given to compare each request
// with. The bridge itself finds its way in thousands.
const manyPatterns = 16

// wirePatterns are the patterns of the protocol for a stage. They select at
// least what the filters do.
func wirePatterns(stage string, filters []*requestFilter) []cdp.Pattern {
	var out []cdp.Pattern
	for _, f := range filters {
		for _, p := range f.urls.all {
			one := cdp.Pattern{URLPattern: p.wire(), RequestStage: stage}
			if one.URLPattern == "*" || len(out) == manyPatterns {
				return []cdp.Pattern{{URLPattern: "*", RequestStage: stage}}
			}
			if !slices.Contains(out, one) {
				out = append(out, one)
			}
			if defaultPort(p.scheme) == "" { // of the program: this stands for it
				out = append(out, cdp.Pattern{URLPattern: "http*://*" + schemeEscaper.Replace(p.scheme) + "*" + wireSuffix + "/*", RequestStage: stage})
			}
		}
	}
	return out
}

// exchange is a request that the domain Network tells of too.
type exchange struct {
	passage
	target *cdp.Target
	begun  string // its resource type in the protocol
	line   line
	end    context.CancelFunc
	leave  func() // the line, for the step that is being made

	// Of who is in line.
	unsent   func() Headers // what OnSendHeaders was not told yet
	hops     int            // how often it was sent
	told     int            // how often Chromium told which headers were sent
	response ResponseDetails
	handled  bool // by the program: Chromium tells only how it got the response
}

// arrival is a paused request of an exchange with its place in line.
type arrival struct {
	exchange *exchange
	wait     <-chan struct{}
	leave    func()
}

// line is where the steps of one request wait for each other.
type line struct {
	mu   sync.Mutex
	last <-chan struct{}
}

// join takes the place at the end: wait is closed when those before have left.
func (l *line) join() (wait <-chan struct{}, leave func()) {
	mine := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	wait, l.last = l.last, mine
	if wait == nil {
		wait = closedChan()
	}
	return wait, sync.OnceFunc(func() { close(mine) })
}

func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// arrive gives a paused request of which the domain Network tells its place in
// line. It runs in the order of arrival.
func (t *traffic) arrive(p *cdp.PausedRequest) {
	if p.NetworkID == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.following[p.NetworkID]
	if x == nil {
		if p.AtResponse() || !t.watches() {
			return
		}
		x = &exchange{target: p.Target, begun: p.ResourceType}
		x.web, x.life = t.web, t.web.session.life
		x.ctx, x.end = context.WithCancel(x.life)
		t.following[p.NetworkID] = x
	}
	a := arrival{exchange: x}
	a.wait, a.leave = x.line.join()
	t.arrived[p] = a
}

// watches reports whether anybody wants to know more than what is paused.
func (t *traffic) watches() bool {
	w := t.web
	return len(w.sendHeaders.present())+len(w.responseStarted.present())+len(w.completed.present())+len(w.errorOccurred.present()) > 0
}

// handle takes a paused request through the listeners.
func (t *traffic) handle(ctx context.Context, p *cdp.PausedRequest) (handled bool) {
	t.mu.Lock()
	a, followed := t.arrived[p]
	delete(t.arrived, p)
	t.mu.Unlock()
	if t.handleServed(ctx, p) {
		if followed {
			a.leave()
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
		defer context.AfterFunc(ctx, x.end)()
		defer a.leave()
		<-a.wait
		x.leave = a.leave
	} else {
		x = &exchange{target: p.Target, leave: func() {}}
		x.web, x.ctx, x.life = t.web, ctx, ctx
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
		response := redirectTo(t.web.session.protocol.wireURL(before.RedirectURL), p.Request.Header("Origin"))
		x.beforeRedirect(response, before.RedirectURL)
		t.answered(p, p.Fulfill(x.ctx, cdp.Response{Code: response.StatusCode, Phrase: internalRedirect, Headers: response.ResponseHeaders}))
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
		p.Changes.Headers = send.RequestHeaders
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
	response, changed, cancel := x.headersReceived(ResponseDetails{
		StatusLine:      statusLine(p.ResponseStatusCode, p.ResponseStatusText),
		StatusCode:      p.ResponseStatusCode,
		ResponseHeaders: p.ResponseHeaders,
	})
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
	if redirect == "" && hasBody(x.Method, response) && t.answerBody(x, p, response) {
		return true
	}
	if !changed {
		return false
	}
	_, phrase, _ := parseStatusLine(response.StatusLine)
	answer := cdp.Response{Code: response.StatusCode, Phrase: phrase, Headers: response.ResponseHeaders, Body: []byte{}}
	if redirect != "" || p.ResponseStatusCode/100 == 3 { // a change of the headers alone leads nowhere else
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
	t.web.session.browser.log.Warn("Chromium refused what a listener of a request wants", "url", p.Request.URL, "error", err)
	p.Release()
}

// tellSent tells OnSendHeaders of what was sent, if that is still to be done:
// the headers that Chromium has told, or else those that it was given.
func (x *exchange) tellSent(headers Headers) {
	if x.unsent == nil {
		return
	}
	if headers == nil && len(x.web.sendHeaders.present()) > 0 {
		headers = x.unsent()
	}
	x.unsent = nil
	x.sendHeaders(headers)
}

// networkEvent is what the events of the domain Network that are listened to
// have in them.
type networkEvent struct {
	RequestID string `json:"requestId"`
	ErrorText string `json:"errorText"`
	Response  struct {
		Status            int          `json:"status"`
		StatusText        string       `json:"statusText"`
		Headers           jsonv2.Value `json:"headers"`
		FromDiskCache     bool         `json:"fromDiskCache"`
		FromPrefetchCache bool         `json:"fromPrefetchCache"`
		RemoteIPAddress   string       `json:"remoteIPAddress"`
	} `json:"response"`
	Headers jsonv2.Value `json:"headers"`
}

// observe takes the events of the domain Network in the order of arrival.
func (t *traffic) observe(_ *cdp.Target, e cdp.Event) {
	var ev networkEvent
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	ended := e.Method == "Network.loadingFinished" || e.Method == "Network.loadingFailed"
	t.mu.Lock()
	x := t.following[ev.RequestID]
	if ended {
		delete(t.following, ev.RequestID)
	}
	t.mu.Unlock()
	if x == nil {
		return
	}
	if ended {
		x.end()
	}
	wait, leave := x.line.join()
	go func() {
		defer leave()
		<-wait
		x.observe(e.Method, &ev)
	}()
}

func (x *exchange) observe(method string, ev *networkEvent) {
	switch method {
	case "Network.requestWillBeSentExtraInfo":
		if x.told++; x.told == x.hops {
			x.tellSent(cdp.DecodeHeaders(ev.Headers))
		}
	case "Network.responseReceived":
		x.tellSent(nil)
		if x.handled {
			x.responseStarted(x.response)
			return
		}
		r := ev.Response
		x.response = ResponseDetails{
			StatusLine:      statusLine(r.Status, r.StatusText),
			StatusCode:      r.Status,
			ResponseHeaders: splitLines(cdp.DecodeHeaders(r.Headers)),
			FromCache:       r.FromDiskCache || r.FromPrefetchCache,
			IP:              r.RemoteIPAddress,
		}
		x.responseStarted(x.response)
	case "Network.loadingFinished":
		x.complete(x.response, "net::OK")
	case "Network.loadingFailed":
		x.fail(x.response.FromCache, strings.TrimSuffix(ev.ErrorText, ".Inspector"))
	}
}

// document is the resource type of navigations.
const document = "Document"

// targetGone ends the requests of a target.
func (t *traffic) targetGone(target *cdp.Target) {
	t.abort(func(x *exchange) bool { return x.target == target })
}

// crashed ends the requests of a renderer process that is gone.
func (t *traffic) crashed(target *cdp.Target) {
	t.abort(func(x *exchange) bool { return x.target == target && x.begun != document })
}

// abort ends requests of which Chromium says no more.
func (t *traffic) abort(which func(*exchange) bool) {
	t.mu.Lock()
	var left []*exchange
	for id, x := range t.following {
		if which(x) {
			delete(t.following, id)
			left = append(left, x)
		}
	}
	t.mu.Unlock()
	for _, x := range left {
		x.end()
		wait, leave := x.line.join()
		go func() {
			defer leave()
			<-wait
			x.fail(false, "net::ERR_ABORTED")
		}()
	}
}

// id tells the requests of the two interceptions apart.
func (t *traffic) id(p *cdp.PausedRequest) uint64 {
	if p.Target.Type() == cdp.TargetBrowser {
		return p.Job() | 1<<31
	}
	return p.Job()
}

// details are those of a paused request.
func (t *traffic) details(p *cdp.PausedRequest) RequestDetails {
	d := RequestDetails{ID: t.id(p), URL: customURL(p.Request.URL), Method: p.Request.Method, ResourceType: resourceType(p)}
	if page := p.Target.Page(); page != nil {
		d.WebContents = t.web.session.page(page.ID())
	}
	d.source = &pausedSource{p, d.WebContents}
	return d
}

// resourceType is Electron's word for Chromium's.
func resourceType(p *cdp.PausedRequest) ResourceType {
	if p.Target.Type() == cdp.TargetBrowser {
		return ResourceScript // of a service worker
	}
	switch p.ResourceType {
	case document:
		if page := p.Target.Page(); page != nil && page.ID() == p.FrameID {
			return ResourceMainFrame
		}
		return ResourceSubFrame
	case "Stylesheet":
		return ResourceStylesheet
	case "Script":
		return ResourceScript
	case "Image":
		return ResourceImage
	case "Font":
		return ResourceFont
	case "Media", "TextTrack":
		return ResourceMedia
	case "XHR", "Fetch", "EventSource", "Preflight":
		return ResourceXHR
	case "Ping":
		return ResourcePing
	case "CSPViolationReport":
		return ResourceCSPReport
	}
	return ResourceOther
}

// pausedSource reads details of a paused request.
type pausedSource struct {
	p    *cdp.PausedRequest
	page *WebContents
}

func (s *pausedSource) referrer() string { return customURL(s.p.Request.Header("Referer")) }

func (s *pausedSource) uploadData() []UploadData {
	var out []UploadData
	for _, part := range s.p.Request.PostData() {
		out = append(out, UploadData{Bytes: part})
	}
	return out
}

func (s *pausedSource) frame() *Frame {
	if s.page == nil {
		return nil
	}
	f, ok := s.p.Target.Frame(s.p.FrameID)
	if !ok {
		return nil
	}
	return &Frame{ID: f.ID, ParentID: f.ParentID, Name: f.Name, URL: customURL(f.URL), Origin: customURL(f.Origin), page: s.page}
}

func statusLine(code int, phrase string) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP/1.1 %d %s", code, phrase))
}

// parseStatusLine reads the status and the phrase of a line such as
// "HTTP/1.1 404 Not Found".
func parseStatusLine(line string) (code int, phrase string, ok bool) {
	_, rest, _ := strings.Cut(line, " ")
	number, phrase, _ := strings.Cut(strings.TrimSpace(rest), " ")
	code, err := strconv.Atoi(number)
	return code, phrase, err == nil && code >= 100 && code <= 999
}
