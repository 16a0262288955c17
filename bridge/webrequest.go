package bridge

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// WebRequest are the listeners of a session's requests: Electron's WebRequest.
// Get it with Session.WebRequest. It is safe for use by several goroutines.
//
// Each event can have any number of listeners. They are called one after the
// other in the order in which they were added, and each sees what those before
// it have changed; one that cancels or redirects the request ends the round.
// The events of one request come one after the other and hold up that request
// alone: a listener can take its time, and nothing times out by itself. What a
// listener returns is its answer, so there is no answering twice or too late;
// its context ends when the request needs no answer any more: with its page,
// with its session, and, where there is a listener of OnSendHeaders,
// OnResponseStarted, OnCompleted or OnErrorOccurred, when the page gives it up.
// A listener that panics is logged and changes nothing.
//
// A listener sees requests that begin, or are redirected, after it was added.
// Removing it leaves it the requests that it has at that moment.
//
// It sees the requests of pages, frames, workers and extensions over http and
// https, of file URLs, and the handshakes of WebSockets. It does not see data and
// blob URLs, what a service worker answers a page by itself, and what Chromium
// loads ahead by speculation rules. The main script of a service worker is seen where the
// session has a Chromium process to itself: a persistent one other than the
// default session, and one with PartitionOptions.OwnProcess.
//
// A session without listeners pays nothing. With one, many small requests are
// about one and a half times as slow, and more so with OnSendHeaders,
// OnResponseStarted, OnCompleted and OnErrorOccurred. A listener that is for
// WebSockets only costs other requests next to nothing.
//
// A handshake of a WebSocket has the type ResourceWebSocket and the events of
// Electron: OnBeforeRequest, OnBeforeSendHeaders, OnSendHeaders,
// OnHeadersReceived, OnResponseStarted, and OnCompleted with the error
// "net::ERR_WS_UPGRADE", or OnErrorOccurred with the cause (Electron has
// "net::ERR_FAILED" for all but what is cancelled). The server is reached only
// after OnSendHeaders. Its headers are shown as they are on the wire, Cookie and
// Set-Cookie included, and can be changed, but for Host, Connection, Upgrade and
// Sec-WebSocket-* of the request. A RedirectURL is ignored, as in Electron. Which
// page or worker it is of is not known: WebContents and Frame are nil.
//
// The session's gateway sees them. The first listener whose filter can match a ws
// or wss URL (<all_urls>, no filter, the scheme *) wakes it, which takes up to
// half a second, and all requests of the session go by it from then on, until the
// session ends. The TLS of wss is the gateway's then, as
// Session.SetCertificateVerifyProc says; that of pages stays Chromium's own. A
// filter for http and https wakes nothing. In sessions that have no gateway
// (PartitionOptions.NoGateway, Connect) WebSockets are not seen.
type WebRequest struct {
	session *Session
	traffic *traffic
	sockets *webSockets

	listeners atomic.Int64 // of all events

	mu                sync.Mutex // of changes
	beforeRequest     requestListeners[func(context.Context, *BeforeRequestDetails) BeforeRequestResult]
	beforeSendHeaders requestListeners[func(context.Context, *BeforeSendHeadersDetails) BeforeSendHeadersResult]
	sendHeaders       requestListeners[func(context.Context, *SendHeadersDetails)]
	headersReceived   requestListeners[func(context.Context, *HeadersReceivedDetails) HeadersReceivedResult]
	beforeRedirect    requestListeners[func(context.Context, *BeforeRedirectDetails)]
	responseStarted   requestListeners[func(context.Context, *ResponseStartedDetails)]
	completed         requestListeners[func(context.Context, *CompletedDetails)]
	errorOccurred     requestListeners[func(context.Context, *ErrorOccurredDetails)]
	responseBody      requestListeners[func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader]
}

func newWebRequest(s *Session) *WebRequest {
	w := &WebRequest{session: s}
	w.traffic = newTraffic(w)
	w.sockets = &webSockets{web: w}
	w.beforeRedirect.withoutSockets, w.responseBody.withoutSockets = true, true
	return w
}

// WebRequestFilter selects requests. The zero value selects all.
type WebRequestFilter struct {
	// URLs are match patterns, of which one has to match: "<all_urls>", or
	// scheme://host/path, where the scheme can be * (http, https, ws and wss),
	// the host * or *.name, and * stands for any text in the path, which includes
	// the query. The host can have a port. Hosts that are not ASCII are to be
	// written in Punycode.
	URLs []string
	// ExcludeURLs are match patterns of which none may match.
	ExcludeURLs []string
	// Types are the types of requests; none means all. ResourceOther cannot be
	// selected.
	Types []ResourceType
}

// ResourceType says what a request is for.
type ResourceType string

// The types of requests.
const (
	ResourceMainFrame  ResourceType = "mainFrame"
	ResourceSubFrame   ResourceType = "subFrame"
	ResourceStylesheet ResourceType = "stylesheet"
	ResourceScript     ResourceType = "script"
	ResourceImage      ResourceType = "image"
	ResourceFont       ResourceType = "font"
	ResourceObject     ResourceType = "object" // which Chromium counts as subFrame
	ResourceXHR        ResourceType = "xhr"    // fetch too
	ResourcePing       ResourceType = "ping"
	ResourceCSPReport  ResourceType = "cspReport"
	ResourceMedia      ResourceType = "media"
	ResourceWebSocket  ResourceType = "webSocket"
	// ResourceOther is the rest. Chromium counts the main scripts of workers and
	// the icons of pages among it.
	ResourceOther ResourceType = "other"
)

// RequestDetails tell of a request. They are part of the details of each event.
type RequestDetails struct {
	// ID is the same in all events of a request, over redirects too.
	ID uint64
	// URL is without a fragment.
	URL string
	// Method is the HTTP method.
	Method string
	// ResourceType says what the request is for.
	ResourceType ResourceType
	// Timestamp is when the event came.
	Timestamp time.Time
	// WebContents is the page, nil for shared workers, service workers and
	// WebSockets.
	WebContents *WebContents

	source requestSource
}

// requestSource knows the details of a request that few ask for.
type requestSource interface {
	referrer() string
	uploadData() []UploadData
	frame() *Frame
}

// Referrer is the URL of the header Referer, empty if there is none.
func (d *RequestDetails) Referrer() string { return d.source.referrer() }

// UploadData is the body of the request in its parts, nil if there is none. That
// of a body that the page streams is one empty part.
func (d *RequestDetails) UploadData() []UploadData { return d.source.uploadData() }

// Frame is the frame that asked, or that navigates; nil for workers and for a
// frame that is gone.
func (d *RequestDetails) Frame() *Frame { return d.source.frame() }

// UploadData is a part of the body of a request.
type UploadData struct {
	// Bytes is the content; of blobs and of files in memory too. That of a file
	// on disk is empty: Chromium does not say which file it is.
	Bytes []byte
}

// ResponseDetails tell of a response.
type ResponseDetails struct {
	// StatusLine is such as "HTTP/1.1 200 OK", whatever the version.
	StatusLine string
	// StatusCode is the HTTP status.
	StatusCode int
	// ResponseHeaders are without Set-Cookie, but for WebSockets.
	ResponseHeaders Headers
	// FromCache reports whether it came from the HTTP cache.
	FromCache bool
	// IP is the address of the server, empty if there was none.
	IP string
}

// BeforeRequestDetails are the details of OnBeforeRequest.
type BeforeRequestDetails struct{ RequestDetails }

// BeforeRequestResult is the answer of a listener of OnBeforeRequest. The zero
// value changes nothing.
type BeforeRequestResult struct {
	// Cancel ends the request with net::ERR_BLOCKED_BY_CLIENT. It beats
	// RedirectURL.
	Cancel bool
	// RedirectURL sends the request to another URL, with its method and body. It
	// is ignored for WebSockets.
	// The page sees a redirect (307). What is no absolute URL ends the request
	// with net::ERR_FAILED.
	RedirectURL string
}

// BeforeSendHeadersDetails are the details of OnBeforeSendHeaders.
type BeforeSendHeadersDetails struct {
	RequestDetails
	// RequestHeaders are what the page sends. What the network adds later is
	// not there: Host, Cookie, Accept-Encoding, Accept-Language and Sec-Fetch-*;
	// but those of WebSockets are all.
	RequestHeaders Headers
}

// BeforeSendHeadersResult is the answer of a listener of OnBeforeSendHeaders.
// The zero value changes nothing.
type BeforeSendHeadersResult struct {
	// Cancel ends the request with net::ERR_BLOCKED_BY_CLIENT.
	Cancel bool
	// RequestHeaders replaces all headers, unless it is nil. Invalid names and
	// values are left out, and so is what Chromium does not let be set, such as
	// Host. A name that comes twice is sent as one with a list (Electron drops
	// it). User-Agent, Referer, Cookie and Accept-Encoding can be replaced, but
	// leaving them out does not take them away.
	RequestHeaders Headers
}

// SendHeadersDetails are the details of OnSendHeaders.
type SendHeadersDetails struct {
	RequestDetails
	// RequestHeaders are what went to the server, Cookie and Host included. For
	// what did not go to a server (file URLs, the cache), and for the few
	// requests that Chromium reports no more of, they are what was to be sent.
	RequestHeaders Headers
}

// HeadersReceivedDetails are the details of OnHeadersReceived. FromCache and IP
// are not known yet, but for the IP of a WebSocket.
type HeadersReceivedDetails struct {
	RequestDetails
	ResponseDetails
}

// HeadersReceivedResult is the answer of a listener of OnHeadersReceived. The
// zero value changes nothing.
type HeadersReceivedResult struct {
	// Cancel ends the request with net::ERR_BLOCKED_BY_CLIENT.
	Cancel bool
	// ResponseHeaders replaces all headers, unless it is nil. The first invalid
	// one, and what comes after it, is left out. Cookies cannot be set or taken
	// away like this, but for WebSockets: Chromium has stored those of the server
	// already.
	ResponseHeaders Headers
	// StatusLine is such as "HTTP/1.1 404 Not Found". It counts only together
	// with ResponseHeaders. 301, 302, 303, 307 or 308 with a header Location
	// makes a redirect.
	StatusLine string
}

// BeforeRedirectDetails are the details of OnBeforeRedirect. FromCache and IP
// are not known.
type BeforeRedirectDetails struct {
	RequestDetails
	ResponseDetails
	// RedirectURL is where the request goes next.
	RedirectURL string
}

// ResponseStartedDetails are the details of OnResponseStarted.
type ResponseStartedDetails struct {
	RequestDetails
	ResponseDetails
}

// CompletedDetails are the details of OnCompleted.
type CompletedDetails struct {
	RequestDetails
	ResponseDetails
	// Error is "net::OK", and "net::ERR_WS_UPGRADE" for a WebSocket.
	Error string
}

// ErrorOccurredDetails are the details of OnErrorOccurred.
type ErrorOccurredDetails struct {
	RequestDetails
	// FromCache reports whether a response had come, from the HTTP cache.
	FromCache bool
	// Error is Chromium's name, such as "net::ERR_ABORTED".
	Error string
}

// OnBeforeRequest adds a listener that is asked before a request is made; remove
// takes it away. The error is an *InvalidArgumentError with Electron's text.
func (w *WebRequest) OnBeforeRequest(filter WebRequestFilter, listener func(context.Context, *BeforeRequestDetails) BeforeRequestResult) (remove func(), err error) {
	return addListener(w, &w.beforeRequest, filter, listener, listener == nil)
}

// OnBeforeSendHeaders adds a listener that is asked before the headers of a
// request are sent, for file URLs too; remove takes it away.
func (w *WebRequest) OnBeforeSendHeaders(filter WebRequestFilter, listener func(context.Context, *BeforeSendHeadersDetails) BeforeSendHeadersResult) (remove func(), err error) {
	return addListener(w, &w.beforeSendHeaders, filter, listener, listener == nil)
}

// OnSendHeaders adds a listener that is told which headers were sent; remove
// takes it away.
func (w *WebRequest) OnSendHeaders(filter WebRequestFilter, listener func(context.Context, *SendHeadersDetails)) (remove func(), err error) {
	return addListener(w, &w.sendHeaders, filter, listener, listener == nil)
}

// OnHeadersReceived adds a listener that is asked when the headers of a response
// have come, of a redirect too; remove takes it away.
func (w *WebRequest) OnHeadersReceived(filter WebRequestFilter, listener func(context.Context, *HeadersReceivedDetails) HeadersReceivedResult) (remove func(), err error) {
	return addListener(w, &w.headersReceived, filter, listener, listener == nil)
}

// OnBeforeRedirect adds a listener that is told when a request is about to be
// redirected; remove takes it away.
func (w *WebRequest) OnBeforeRedirect(filter WebRequestFilter, listener func(context.Context, *BeforeRedirectDetails)) (remove func(), err error) {
	return addListener(w, &w.beforeRedirect, filter, listener, listener == nil)
}

// OnResponseStarted adds a listener that is told when the page gets a response;
// remove takes it away.
func (w *WebRequest) OnResponseStarted(filter WebRequestFilter, listener func(context.Context, *ResponseStartedDetails)) (remove func(), err error) {
	return addListener(w, &w.responseStarted, filter, listener, listener == nil)
}

// OnCompleted adds a listener that is told when a request is over; remove takes
// it away.
func (w *WebRequest) OnCompleted(filter WebRequestFilter, listener func(context.Context, *CompletedDetails)) (remove func(), err error) {
	return addListener(w, &w.completed, filter, listener, listener == nil)
}

// OnErrorOccurred adds a listener that is told when a request has failed; remove
// takes it away.
func (w *WebRequest) OnErrorOccurred(filter WebRequestFilter, listener func(context.Context, *ErrorOccurredDetails)) (remove func(), err error) {
	return addListener(w, &w.errorOccurred, filter, listener, listener == nil)
}

// requestFilter is a WebRequestFilter that was read.
type requestFilter struct {
	urls, exclude *patternSet
	types         []ResourceType // none means all
}

func (w *WebRequest) readFilter(f WebRequestFilter) (*requestFilter, error) {
	urls := f.URLs
	if urls == nil && (f.ExcludeURLs != nil || f.Types != nil) {
		return nil, invalidArgument("Parameter 'filter' must have property 'urls'.")
	}
	if len(urls) == 0 {
		if urls != nil {
			w.session.browser.log.Warn("an empty list of URLs in a WebRequestFilter is deprecated, use " + allURLs)
		}
		urls = []string{allURLs}
	}
	out := &requestFilter{types: slices.Clone(f.Types)}
	for _, t := range f.Types {
		if !t.selectable() {
			return nil, invalidArgument("Invalid type %s", t)
		}
	}
	var err error
	if out.urls, err = parsePatterns(urls); err != nil {
		return nil, err
	}
	out.exclude, err = parsePatterns(f.ExcludeURLs)
	return out, err
}

func (t ResourceType) selectable() bool {
	switch t {
	case ResourceMainFrame, ResourceSubFrame, ResourceStylesheet, ResourceScript, ResourceImage, ResourceFont,
		ResourceObject, ResourceXHR, ResourcePing, ResourceCSPReport, ResourceMedia, ResourceWebSocket:
		return true
	}
	return false
}

func (f *requestFilter) takes(t ResourceType) bool {
	return len(f.types) == 0 || slices.Contains(f.types, t)
}

func (f *requestFilter) matches(u *requestURL, t ResourceType) bool {
	return f.takes(t) && f.urls.matches(u) && !f.exclude.matches(u)
}

// requestListeners are the listeners of one event.
type requestListeners[L any] struct {
	withoutSockets bool // WebSockets do not have the event

	mu  sync.Mutex
	all []*requestListener[L] // replaced with each change
}

type requestListener[L any] struct {
	filter *requestFilter
	call   L
}

func (l *requestListeners[L]) present() []*requestListener[L] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}

func (l *requestListeners[L]) change(by func([]*requestListener[L]) []*requestListener[L]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = by(slices.Clone(l.all))
}

// filters are those of the listeners.
func (l *requestListeners[L]) filters() []*requestFilter {
	var out []*requestFilter
	for _, one := range l.present() {
		out = append(out, one.filter)
	}
	return out
}

// addListener puts a listener in place and brings the traffic to it.
func addListener[L any](w *WebRequest, to *requestListeners[L], filter WebRequestFilter, listener L, missing bool) (remove func(), err error) {
	if missing {
		return nil, invalidArgument("Must pass null or a Function")
	}
	if _, err := w.session.present(); err != nil {
		return nil, err
	}
	f, err := w.readFilter(filter)
	if err != nil {
		return nil, err
	}
	if f.webSockets() && !to.withoutSockets {
		if err := w.session.outlet.openForSockets(w.session.life); err != nil {
			return nil, fmt.Errorf("listening to WebSockets: %w", err)
		}
	}
	added := &requestListener[L]{f, listener}
	w.change(func() {
		to.change(func(all []*requestListener[L]) []*requestListener[L] { return append(all, added) })
		w.listeners.Add(1)
	})
	return sync.OnceFunc(func() {
		w.change(func() {
			to.change(func(all []*requestListener[L]) []*requestListener[L] {
				return slices.DeleteFunc(all, func(one *requestListener[L]) bool { return one == added })
			})
			w.listeners.Add(-1)
		})
	}), nil
}

// heard reports whether there is a listener of any event.
func (w *WebRequest) heard() bool { return w.listeners.Load() > 0 }

func (w *WebRequest) change(by func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	by()
	w.traffic.update()
}

func (w *WebRequest) safely(what string, f func()) { w.session.browser.safely(what, f) }
