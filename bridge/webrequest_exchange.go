package bridge

import (
	"context"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// exchange is a request that the domain Network tells of too.
type exchange struct {
	passage
	target *cdp.Target
	begun  string // its resource type in the protocol
	line   line
	end    context.CancelFunc
	leave  func() // the line, for the step that is being made

	// Guarded by traffic.mu.
	paused int  // how many pauses are being handled
	left   bool // nobody follows it any more

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
	step
}

// line is where the steps of one request wait for each other.
type line struct {
	mu   sync.Mutex
	last <-chan struct{}
}

// step is a place in line.
type step struct {
	before <-chan struct{} // closed when those before have left, nil if there were none
	leave  func()
}

// join takes the place at the end.
func (l *line) join() step {
	mine := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	s := step{l.last, sync.OnceFunc(func() { close(mine) })}
	l.last = mine
	return s
}

// await waits for those before.
func (s step) await() {
	if s.before != nil {
		<-s.before
	}
}

// then makes a step of the request when those that are in line have been made.
func (l *line) then(do func()) {
	s := l.join()
	go func() {
		defer s.leave()
		s.await()
		do()
	}()
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
		if p.AtResponse() || !t.watching.Load() {
			return
		}
		ctx, end := context.WithCancel(t.web.session.life)
		x = &exchange{passage: newPassage(ctx, t.web), end: end, target: p.Target, begun: p.ResourceType}
		t.following[p.NetworkID] = x
	}
	x.paused++
	t.arrived[p] = arrival{x, x.line.join()}
}

// handled is told that a pause of a request was handled.
func (t *traffic) handled(x *exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.paused--; x.paused == 0 && x.left {
		x.end()
	}
}

// unfollow forgets what the domain Network will say no more of. Who handles a
// pause goes on.
func (t *traffic) unfollow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.following {
		if x.left = true; x.paused == 0 {
			x.end()
		}
	}
	clear(t.following)
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
		RemotePort        int          `json:"remotePort"`
	} `json:"response"`
	Headers jsonv2.Value `json:"headers"`
}

// observe takes the events of the domain Network in the order of arrival.
func (t *traffic) observe(_ *cdp.Target, e cdp.Event) {
	t.mu.Lock()
	none := len(t.following) == 0
	t.mu.Unlock()
	var ev networkEvent
	if none || jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
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
	x.line.then(func() { x.observe(e.Method, &ev) })
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
			IP:              x.web.session.outlet.serverIP(x.URL, r.RemoteIPAddress, r.RemotePort),
		}
		x.responseStarted(x.response)
	case "Network.loadingFinished":
		x.completed(x.response, "net::OK")
	case "Network.loadingFailed":
		code := x.web.session.outlet.code(x.life, x.URL, strings.TrimSuffix(ev.ErrorText, ".Inspector"))
		x.errorOccurred(x.response.FromCache, code)
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
		x.line.then(func() { x.errorOccurred(false, "net::ERR_ABORTED") })
	}
}
