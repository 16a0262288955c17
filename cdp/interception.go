package cdp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Interception pauses requests of a group of targets for those who ask. It is
// the one user of the domain Fetch: each route names patterns, and a target has
// the domain on, with the patterns of all routes, only while there is a route.
// Being on makes every request of a target about 1.55 times slower, whether a
// pattern matches or not.
//
// Requests of a page's dedicated workers, and the scripts of shared ones,
// arrive on the page. What a service worker fetches arrives on the worker; its
// main script arrives on no target.
type Interception struct {
	life context.Context

	mu      sync.Mutex
	routes  []*Route
	targets map[*Target]*arming // nil for one that has the domain off
	armings uint64
}

// arming is a time in which a target has the domain on.
type arming struct {
	number  uint64
	stop    context.CancelFunc
	pending int // requests that are being handled
}

// Pattern selects requests: the parameters of Fetch.enable.
type Pattern struct {
	// URLPattern has the wildcards * and ?, escaped by \. Empty means all.
	URLPattern string `json:"urlPattern,omitzero"`
	// ResourceType is a Network.ResourceType; empty means all.
	ResourceType string `json:"resourceType,omitzero"`
	// RequestStage is "Request" (the default) or "Response".
	RequestStage string `json:"requestStage,omitzero"`
}

// Route is one who asks for paused requests.
type Route struct {
	// Target, if set, is the one target of the group that the route is for.
	Target *Target
	// Order says who is asked first when several routes are there: the lowest.
	Order int
	// Patterns select the requests that are paused. Others of the group can be
	// handed to the route too: it checks for itself.
	Patterns []Pattern
	// Handle is called in a goroutine of its own for each paused request. It
	// returns false to leave the request to the next route; the last one lets
	// it go on, with PausedRequest.Changes. ctx ends with the target. It must not
	// panic: there is nobody here to be told. Requests that it has when the
	// route is removed stay its.
	Handle func(ctx context.Context, p *PausedRequest) (handled bool)
	// Arrived, if set, is told of each paused request, before any Handle is
	// called, and Observe of the events of the domain Network that tell what
	// becomes of requests, where that domain is on. Both are told in the order
	// of arrival on the target, and must not wait.
	Arrived func(p *PausedRequest)
	Observe func(t *Target, e Event)
	// Auth, if set, is asked for credentials. It returns nil to leave the
	// question to the next route; without an answer Chromium does what it does
	// by default.
	Auth func(ctx context.Context, p *PausedRequest) *AuthResponse
}

// NewInterception returns an interception without targets and routes. It ends
// with life.
func NewInterception(life context.Context) *Interception {
	return &Interception{life: life, targets: map[*Target]*arming{}}
}

// Add puts a route in place, live on every target of the group, and returns
// the function that takes it away.
func (i *Interception) Add(r *Route) (remove func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.insert(r)
	i.update(r)
	return sync.OnceFunc(func() { i.Set(r, nil) })
}

// Set gives a route other patterns: it is put in place with its first ones, and
// taken away with none.
func (i *Interception) Set(r *Route, patterns []Pattern) {
	i.mu.Lock()
	defer i.mu.Unlock()
	r.Patterns = patterns
	there := slices.Contains(i.routes, r)
	switch {
	case len(patterns) == 0 && !there:
		return
	case len(patterns) == 0:
		i.routes = slices.DeleteFunc(slices.Clone(i.routes), func(other *Route) bool { return other == r })
	case !there:
		i.insert(r)
	}
	i.update(r)
}

// insert puts a route behind those of its order.
func (i *Interception) insert(r *Route) {
	at := slices.IndexFunc(i.routes, func(other *Route) bool { return other.Order > r.Order })
	if at < 0 {
		at = len(i.routes)
	}
	i.routes = slices.Insert(slices.Clone(i.routes), at, r)
}

// Join makes a new target part of the group and returns the commands for its
// set-up. Dedicated workers have no domain Fetch: they are only observed.
func (i *Interception) Join(t *Target) []Command {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.targets[t] = nil
	return i.arm(t)
}

// JoinLive is Join for a target that is not being set up.
func (i *Interception) JoinLive(t *Target) { t.Session.conn.Send(i.Join(t)...) }

// Targets are the targets of the group.
func (i *Interception) Targets() []*Target {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Collect(maps.Keys(i.targets))
}

// Leave takes a target that is gone out of the group.
func (i *Interception) Leave(t *Target) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if a := i.targets[t]; a != nil {
		a.stop()
	}
	delete(i.targets, t)
}

// update brings the targets of a route to the present routes.
func (i *Interception) update(r *Route) {
	for t := range i.targets {
		if r.Target == nil || r.Target == t {
			t.Session.conn.Send(i.arm(t)...)
		}
	}
}

// enable are the parameters of Fetch.enable.
type enable struct {
	Patterns           []Pattern `json:"patterns"`
	HandleAuthRequests bool      `json:"handleAuthRequests"`
}

// arm returns the commands that bring a target to the present routes.
func (i *Interception) arm(t *Target) []Command {
	a := i.targets[t]
	routes := i.routesOf(t)
	if len(routes) == 0 && (a == nil || a.pending == 0) {
		return i.disarm(t)
	}
	if a == nil {
		i.targets[t] = i.listen(t)
	}
	if t.Type() == TargetWorker {
		return nil
	}
	e := enable{Patterns: []Pattern{}}
	for _, r := range routes {
		e.Patterns = append(e.Patterns, r.Patterns...)
		e.HandleAuthRequests = e.HandleAuthRequests || r.Auth != nil
	}
	if len(routes) == 0 {
		e.Patterns = []Pattern{nothing()} // none at all would mean all requests
	}
	return []Command{{Session: t.Session, Method: "Fetch.enable", Params: e}}
}

// nothing is a pattern that selects no request.
func nothing() Pattern { return Pattern{URLPattern: "nothing:"} }

// disarm returns the commands that switch the domain off. Chromium then lets
// go on what is paused.
func (i *Interception) disarm(t *Target) []Command {
	a := i.targets[t]
	if a == nil {
		return nil
	}
	a.stop()
	i.targets[t] = nil
	if t.Type() == TargetWorker {
		return nil
	}
	return []Command{{Session: t.Session, Method: "Fetch.disable"}}
}

// listen starts to handle what is paused on a target.
func (i *Interception) listen(t *Target) *arming {
	ctx, stop := context.WithCancel(i.life)
	i.armings++
	a := &arming{number: i.armings, stop: stop}
	events := t.Session.Events(ctx, QueueOptions{}, "Fetch.requestPaused", "Fetch.authRequired",
		"Network.requestWillBeSentExtraInfo", "Network.responseReceived", "Network.loadingFinished", "Network.loadingFailed")
	go func() {
		defer stop()
		for e, err := range events {
			if errors.Is(err, ErrOverflow) {
				i.restart(t)
			}
			if err != nil {
				return
			}
			i.event(ctx, t, a, e)
		}
	}()
	return a
}

// restart lets all go on that is paused on a target, some of which was not
// noted, and begins anew.
func (i *Interception) restart(t *Target) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.targets[t] == nil {
		return
	}
	t.Session.conn.Send(append(i.disarm(t), i.arm(t)...)...)
}

func (i *Interception) event(ctx context.Context, t *Target, a *arming, e Event) {
	if e.Method != "Fetch.requestPaused" && e.Method != "Fetch.authRequired" {
		for _, r := range i.present(t) {
			if r.Observe != nil {
				r.Observe(t, e)
			}
		}
		return
	}
	p := &PausedRequest{Target: t, arming: a.number}
	if err := jsonv2.Unmarshal(e.Params, p, wireOptions); err != nil {
		t.Session.conn.malformed(e.Params) // what can be read of it is enough to let it go on
		p.Release()
		return
	}
	routes := i.begin(t, a)
	if e.Method == "Fetch.authRequired" {
		go func() {
			defer i.end(t, a)
			i.authenticate(ctx, routes, p)
		}()
		return
	}
	for _, r := range routes {
		if r.Arrived != nil {
			r.Arrived(p)
		}
	}
	go func() {
		defer i.end(t, a)
		i.handle(ctx, routes, p)
	}()
}

func (i *Interception) present(t *Target) []*Route {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.routesOf(t)
}

// routesOf are the routes that are for a target.
func (i *Interception) routesOf(t *Target) []*Route {
	return slices.DeleteFunc(slices.Clone(i.routes), func(r *Route) bool { return r.Target != nil && r.Target != t })
}

// begin counts a request that is being handled, and returns by whom.
func (i *Interception) begin(t *Target, a *arming) []*Route {
	i.mu.Lock()
	defer i.mu.Unlock()
	a.pending++
	return i.routesOf(t)
}

// end is told when a request was answered. The last one after the last route
// switches the domain off.
func (i *Interception) end(t *Target, a *arming) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a.pending--
	if a.pending == 0 && len(i.routesOf(t)) == 0 && i.targets[t] == a {
		t.Session.conn.Send(i.disarm(t)...)
	}
}

func (i *Interception) handle(ctx context.Context, routes []*Route, p *PausedRequest) {
	for _, r := range routes {
		if r.Handle != nil && r.Handle(ctx, p) {
			return
		}
	}
	p.goOn(ctx)
}

func (i *Interception) authenticate(ctx context.Context, routes []*Route, p *PausedRequest) {
	answer := &AuthResponse{Response: "Default"}
	for _, r := range routes {
		if r.Auth == nil {
			continue
		}
		if a := r.Auth(ctx, p); a != nil {
			answer = a
			break
		}
	}
	p.send("Fetch.continueWithAuth", map[string]any{"requestId": p.RequestID, "authChallengeResponse": answer})
}

// Header is one header field. Names keep their case, and a name can come more
// than once.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PausedRequest is a request that Chromium holds until it is answered by one of
// the methods: the event Fetch.requestPaused, or Fetch.authRequired.
type PausedRequest struct {
	// Target is where it was paused.
	Target *Target `json:"-"`
	// Changes are what routes that left the request to the next one want
	// changed when it goes on at the Request stage.
	Changes ContinueRequest `json:"-"`
	// RequestID is "interception-job-N.k": N stays the same over redirects, k
	// counts them.
	RequestID string  `json:"requestId"`
	Request   Request `json:"request"`
	// FrameID is the frame, or the target id of a worker.
	FrameID      string `json:"frameId"`
	ResourceType string `json:"resourceType"`
	// ResponseErrorReason, ResponseStatusCode, ResponseStatusText and
	// ResponseHeaders are set at the Response stage. Set-Cookie is not among
	// the headers.
	ResponseErrorReason string   `json:"responseErrorReason"`
	ResponseStatusCode  int      `json:"responseStatusCode"`
	ResponseStatusText  string   `json:"responseStatusText"`
	ResponseHeaders     []Header `json:"responseHeaders"`
	// NetworkID joins with the events of the domain Network, where that is on.
	NetworkID           string         `json:"networkId"`
	RedirectedRequestID string         `json:"redirectedRequestId"`
	AuthChallenge       *AuthChallenge `json:"authChallenge"`

	arming uint64
}

// Job numbers the request: it is the same at both stages and over redirects,
// and no other request of the interception has it.
func (p *PausedRequest) Job() uint64 {
	text, _, _ := strings.Cut(strings.TrimPrefix(p.RequestID, "interception-job-"), ".")
	n, _ := strconv.ParseUint(text, 10, 32)
	return p.arming<<32 | n
}

// Request is the request of a PausedRequest.
type Request struct {
	URL         string `json:"url"`
	URLFragment string `json:"urlFragment"`
	Method      string `json:"method"`
	HasPostData bool   `json:"hasPostData"`
	// RawHeaders and RawPostData are the JSON of the headers and of the parts
	// of the body, which few ask for.
	RawHeaders  jsonv2.Value `json:"headers"`
	RawPostData jsonv2.Value `json:"postDataEntries"`

	headers []Header // in the place of RawHeaders
	body    []byte   // in the place of RawPostData
}

// Headers are the request's headers as far as they are known when it is
// paused: Cookie, Host and what else the network stack adds are not.
func (r *Request) Headers() []Header {
	if r.headers != nil {
		return slices.Clone(r.headers)
	}
	return DecodeHeaders(r.RawHeaders)
}

// ReplaceHeaders changes all headers of the request, for the routes that come
// after and for Chromium. See ContinueRequest.Headers.
func (p *PausedRequest) ReplaceHeaders(headers []Header) {
	p.Request.headers, p.Changes.Headers = headers, headers
}

// ReplaceBody changes the method and the body of the request, for the routes that
// come after and for Chromium.
func (p *PausedRequest) ReplaceBody(method string, body []byte) {
	p.Request.Method, p.Request.HasPostData, p.Request.body = method, true, body
	p.Changes.Method, p.Changes.PostData = method, body
}

// DecodeHeaders reads headers that are an object in the protocol: a member for
// each name, in their order.
func DecodeHeaders(object jsonv2.Value) []Header {
	var d jsonv2.Decoder
	d.Reset(bytes.NewReader(object), wireOptions)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	var headers []Header
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			break
		}
		h := Header{Name: name.String()}
		value, err := d.ReadToken()
		if err != nil {
			break
		}
		h.Value = value.String()
		headers = append(headers, h)
	}
	return headers
}

// Header is the value of a header, empty if there is none. Case does not count.
func (r *Request) Header(name string) string {
	for _, h := range r.Headers() {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// PostData are the parts of the body. That of a file on disk is empty: Chromium
// does not say which file it is.
func (r *Request) PostData() [][]byte {
	var entries []struct {
		Bytes []byte `json:"bytes"`
	}
	if r.body != nil {
		return [][]byte{r.body}
	}
	if len(r.RawPostData) == 0 || jsonv2.Unmarshal(r.RawPostData, &entries, wireOptions) != nil {
		return nil
	}
	parts := make([][]byte, len(entries))
	for i, e := range entries {
		parts[i] = e.Bytes
	}
	return parts
}

// AuthChallenge is who asks for credentials.
type AuthChallenge struct {
	Source string `json:"source"` // Server or Proxy
	Origin string `json:"origin"`
	Scheme string `json:"scheme"`
	Realm  string `json:"realm"`
}

// AuthResponse answers an AuthChallenge.
type AuthResponse struct {
	Response string `json:"response"` // Default, CancelAuth or ProvideCredentials
	Username string `json:"username,omitzero"`
	Password string `json:"password,omitzero"`
}

// AtResponse reports whether the request is paused with its response.
func (p *PausedRequest) AtResponse() bool {
	return p.ResponseStatusCode != 0 || p.ResponseErrorReason != ""
}

// ContinueRequest are the changes of PausedRequest.Continue. Zero fields change
// nothing.
type ContinueRequest struct {
	URL      string `json:"url,omitzero"`
	Method   string `json:"method,omitzero"`
	PostData []byte `json:"postData,omitzero"`
	// Headers replaces all headers. What the network stack adds by itself
	// (Cookie, User-Agent, Referer, Accept-Encoding) cannot be removed.
	Headers []Header `json:"headers,omitzero"`
	// InterceptResponse pauses the request again at the Response stage.
	InterceptResponse bool `json:"interceptResponse,omitzero"`
}

// Continue sends the request on, or the response at the Response stage. A
// header that Chromium does not let be set (such as Host) is left out.
func (p *PausedRequest) Continue(ctx context.Context, c ContinueRequest) error {
	for {
		err := p.call(ctx, "Fetch.continueRequest", struct {
			RequestID string `json:"requestId"`
			ContinueRequest
		}{p.RequestID, c})
		refused := refusedHeader(err, c.Headers)
		if refused < 0 {
			return err
		}
		c.Headers = slices.Delete(slices.Clone(c.Headers), refused, refused+1)
	}
}

// refusedHeader is the index of the header that an error names, or -1.
func refusedHeader(err error, headers []Header) int {
	var refused *Error
	if !errors.As(err, &refused) {
		return -1
	}
	return slices.IndexFunc(headers, func(h Header) bool {
		return strings.HasSuffix(refused.Message, ": "+h.Name) || strings.HasSuffix(refused.Message, ": "+strings.ToLower(h.Name))
	})
}

// Release sends the request, or the response, on as it is, without waiting for
// Chromium to say that it has heard it.
func (p *PausedRequest) Release() {
	p.send("Fetch.continueRequest", struct {
		RequestID string `json:"requestId"`
	}{p.RequestID})
}

// goOn is for what no route has handled.
func (p *PausedRequest) goOn(ctx context.Context) {
	if p.AtResponse() || p.Changes.none() {
		p.Release()
		return
	}
	if p.Continue(ctx, p.Changes) != nil {
		p.Release() // unchanged rather than never
	}
}

func (c *ContinueRequest) none() bool {
	return c.URL == "" && c.Method == "" && c.PostData == nil && c.Headers == nil && !c.InterceptResponse
}

// Response is what PausedRequest.ContinueResponse and Fulfill give the page.
type Response struct {
	Code    int      `json:"responseCode,omitzero"`
	Phrase  string   `json:"responsePhrase,omitzero"`
	Headers []Header `json:"responseHeaders,omitzero"`
	// Body is for Fulfill only, where it must be complete: less than 70 MB.
	Body []byte `json:"body,omitzero"`
}

// ContinueResponse lets a response go on with another status and headers.
func (p *PausedRequest) ContinueResponse(ctx context.Context, r Response) error {
	r.Body = nil
	return p.respond(ctx, "Fetch.continueResponse", r)
}

// Fulfill answers the request.
func (p *PausedRequest) Fulfill(ctx context.Context, r Response) error {
	return p.respond(ctx, "Fetch.fulfillRequest", r)
}

func (p *PausedRequest) respond(ctx context.Context, method string, r Response) error {
	return p.call(ctx, method, struct {
		RequestID string `json:"requestId"`
		Response
	}{p.RequestID, r})
}

// Fail ends the request with a Network.ErrorReason, such as "BlockedByClient".
func (p *PausedRequest) Fail(ctx context.Context, reason string) error {
	return p.call(ctx, "Fetch.failRequest", map[string]string{"requestId": p.RequestID, "errorReason": reason})
}

func (p *PausedRequest) send(method string, params any) {
	p.Target.Session.conn.Send(Command{Session: p.Target.Session, Method: method, Params: params})
}

func (p *PausedRequest) call(ctx context.Context, method string, params any) error {
	err := p.Target.Session.Call(ctx, method, params, nil)
	if err != nil && !errors.Is(err, ErrDetached) {
		return fmt.Errorf("answering the request for %s: %w", p.Request.URL, err)
	}
	return err
}
