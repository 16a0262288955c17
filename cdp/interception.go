package cdp

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	targets map[*Target]context.CancelFunc // armed ones have a cancel function
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
	// it go on unchanged. ctx ends with the target. It must not panic: there is
	// nobody here to be told.
	Handle func(ctx context.Context, p *PausedRequest) (handled bool)
	// Auth, if set, is asked for credentials. It returns nil to leave the
	// question to the next route; without an answer Chromium does what it does
	// by default.
	Auth func(ctx context.Context, p *PausedRequest) *AuthResponse
}

// NewInterception returns an interception without targets and routes. It ends
// with life.
func NewInterception(life context.Context) *Interception {
	return &Interception{life: life, targets: map[*Target]context.CancelFunc{}}
}

// Add puts a route in place, live on every target of the group, and returns
// the function that takes it away.
func (i *Interception) Add(r *Route) (remove func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := len(i.routes)
	for n, other := range i.routes {
		if other.Order > r.Order {
			at = n
			break
		}
	}
	i.routes = slices.Insert(slices.Clone(i.routes), at, r)
	i.update(r)
	return sync.OnceFunc(func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.routes = slices.DeleteFunc(slices.Clone(i.routes), func(other *Route) bool { return other == r })
		i.update(r)
	})
}

// Join makes a new target part of the group and returns the commands for its
// set-up. Dedicated workers have no domain Fetch and stay outside.
func (i *Interception) Join(t *Target) []Command {
	if t.Type() == TargetWorker {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.targets[t] = nil
	return i.arm(t)
}

// Leave takes a target that is gone out of the group.
func (i *Interception) Leave(t *Target) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if stop := i.targets[t]; stop != nil {
		stop()
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

// arm returns the commands that bring a target to the present routes.
func (i *Interception) arm(t *Target) []Command {
	stop := i.targets[t]
	routes := i.routesOf(t)
	if len(routes) == 0 {
		if stop == nil {
			return nil
		}
		// Whatever is paused now goes on: Chromium continues it at the end of
		// the domain.
		stop()
		i.targets[t] = nil
		return []Command{{Session: t.Session, Method: "Fetch.disable"}}
	}
	if stop == nil {
		i.targets[t] = i.listen(t)
	}
	var enable struct {
		Patterns           []Pattern `json:"patterns"`
		HandleAuthRequests bool      `json:"handleAuthRequests"`
	}
	for _, r := range routes {
		enable.Patterns = append(enable.Patterns, r.Patterns...)
		enable.HandleAuthRequests = enable.HandleAuthRequests || r.Auth != nil
	}
	return []Command{{Session: t.Session, Method: "Fetch.enable", Params: enable}}
}

// listen starts to handle what is paused on a target and returns the function
// that ends it.
func (i *Interception) listen(t *Target) context.CancelFunc {
	ctx, stop := context.WithCancel(i.life)
	events := t.Session.Events(ctx, QueueOptions{}, "Fetch.requestPaused", "Fetch.authRequired")
	go func() {
		defer stop()
		for e, err := range events {
			if errors.Is(err, ErrOverflow) {
				i.restart(t)
			}
			if err != nil {
				return
			}
			go i.paused(ctx, t, e)
		}
	}()
	return stop
}

// restart lets all go on that is paused on a target, some of which was not
// noted, and begins anew.
func (i *Interception) restart(t *Target) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.targets[t] == nil {
		return
	}
	i.targets[t] = nil
	t.Session.conn.Send(append([]Command{{Session: t.Session, Method: "Fetch.disable"}}, i.arm(t)...)...)
}

func (i *Interception) paused(ctx context.Context, t *Target, e Event) {
	p := &PausedRequest{Target: t}
	err := jsonv2.Unmarshal(e.Params, p, wireOptions)
	switch {
	case err != nil: // what can be read of it is enough to let it go on
		t.Session.conn.malformed(e.Params)
		p.Continue(ctx, ContinueRequest{})
	case e.Method == "Fetch.authRequired":
		i.authenticate(ctx, p)
	default:
		i.handle(ctx, p)
	}
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

func (i *Interception) handle(ctx context.Context, p *PausedRequest) {
	for _, r := range i.present(p.Target) {
		if r.Handle != nil && r.Handle(ctx, p) {
			return
		}
	}
	p.Continue(ctx, ContinueRequest{})
}

func (i *Interception) authenticate(ctx context.Context, p *PausedRequest) {
	answer := &AuthResponse{Response: "Default"}
	for _, r := range i.present(p.Target) {
		if r.Auth == nil {
			continue
		}
		if a := r.Auth(ctx, p); a != nil {
			answer = a
			break
		}
	}
	p.call(ctx, "Fetch.continueWithAuth", map[string]any{"requestId": p.RequestID, "authChallengeResponse": answer})
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
}

// Request is the request of a PausedRequest.
type Request struct {
	URL             string            `json:"url"`
	URLFragment     string            `json:"urlFragment"`
	Method          string            `json:"method"`
	Headers         map[string]string `json:"headers"`
	HasPostData     bool              `json:"hasPostData"`
	PostDataEntries []struct {
		Bytes []byte `json:"bytes"`
	} `json:"postDataEntries"`
	ReferrerPolicy string `json:"referrerPolicy"`
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

// Continue sends the request on, or the response at the Response stage.
func (p *PausedRequest) Continue(ctx context.Context, c ContinueRequest) error {
	return p.call(ctx, "Fetch.continueRequest", struct {
		RequestID string `json:"requestId"`
		ContinueRequest
	}{p.RequestID, c})
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

func (p *PausedRequest) call(ctx context.Context, method string, params any) error {
	err := p.Target.Session.Call(ctx, method, params, nil)
	if err != nil && !errors.Is(err, ErrDetached) {
		return fmt.Errorf("answering the request for %s: %w", p.Request.URL, err)
	}
	return err
}
