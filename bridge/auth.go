package bridge

import (
	"context"
	"net/url"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// AuthRequest is the question of a server, or of a proxy, who asks for a
// document or a resource. It is what Electron's event login tells.
type AuthRequest struct {
	// URL is what was asked for.
	URL string
	// WebContents is the page for which it was asked, and Frame its frame. Both
	// are nil where there is none: for Session.Fetch, for what service and shared
	// workers ask for, and for most questions of proxies.
	WebContents *WebContents
	Frame       *Frame
	// IsProxy says that it is a proxy who asks.
	IsProxy bool
	// Scheme is "basic", "digest", "ntlm" or "negotiate".
	Scheme string
	// Host and Port are those of the server or proxy who asks.
	Host string
	Port int
	// Realm is what the credentials are for, in the words of who asks.
	Realm string
	// FirstAttempt is false when the request was answered before, and the
	// answer was wrong.
	FirstAttempt bool
}

// Credentials answer an AuthRequest.
type Credentials struct{ Username, Password string }

// AuthHandler answers an AuthRequest; false leaves it without an answer: then the
// page shows what the server sent with its question. The context ends with the
// page. It may take its time.
type AuthHandler func(ctx context.Context, r AuthRequest) (c Credentials, ok bool)

// SetAuthHandler sets who answers servers and proxies that ask requests of the
// session for credentials; nil removes it. It is Electron's event login of
// WebContents and app, for requests of every kind.
//
// Chromium remembers an answer that was right until ClearAuthCache. Without a
// handler headless Chromium does not load a document that it is asked for
// (net::ERR_INVALID_AUTH_CREDENTIALS), and lets what the page fetches wait for
// ever, behind a prompt that nobody sees; with one that answers nothing they get
// what the server sent, as in Electron. With a handler many small requests of
// pages become about one and a half times as slow.
//
// Limit: the main script of a service worker is asked for without credentials.
func (s *Session) SetAuthHandler(handler AuthHandler) { s.auth.set(handler) }

// ClearAuthCache forgets the credentials that servers and proxies were given. It
// is Electron's ses.clearAuthCache.
func (s *Session) ClearAuthCache(ctx context.Context) error {
	s.credentials.clear()
	if g := s.outlet.opened(); g != nil {
		g.ClearCredentials()
	}
	at, err := s.place(ctx)
	if err == nil {
		// Chromium clears them with the cookies, of whichever kind of origins:
		// those of extensions have none here.
		extensions := removalOptions{OriginTypes: map[string]bool{"extension": true}}
		err = s.explain(at.removeBrowsingData(ctx, extensions, "cookies"))
	}
	return doing("clearing the auth cache", err)
}

// authentication asks the handler of a session.
type authentication struct {
	session *Session

	mu      sync.Mutex
	handler AuthHandler
	remove  func()
	asked   []string // the requests that were asked for last, by target and id
}

// webRequests are those that can be asked for credentials. A request that matches
// no pattern hangs when it is: Chromium waits for an answer without asking.
var webRequests = cdp.Pattern{URLPattern: "http*"}

// remembered is of how many requests authentication knows that they were
// answered.
const remembered = 256

func (a *authentication) set(handler AuthHandler) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handler = handler
	switch {
	case handler != nil && a.remove == nil:
		a.remove = a.session.interception.Add(&cdp.Route{Patterns: []cdp.Pattern{webRequests}, Auth: a.answer})
	case handler == nil && a.remove != nil:
		a.remove()
		a.remove = nil
	}
}

// answer asks the handler on behalf of a request of Chromium's.
func (a *authentication) answer(ctx context.Context, p *cdp.PausedRequest) *cdp.AuthResponse {
	r := AuthRequest{URL: p.Request.URL, FirstAttempt: a.isFirst(p.Target.ID() + " " + p.RequestID)}
	challenge := p.AuthChallenge
	r.IsProxy, r.Scheme, r.Realm = challenge.Source == "Proxy", challenge.Scheme, challenge.Realm
	if origin, err := url.Parse(challenge.Origin); err == nil {
		r.Host, r.Port = origin.Hostname(), hostport.Port(origin)
	}
	if page := p.Target.Page(); page != nil {
		r.WebContents = a.session.page(page.ID())
		r.Frame = (&pausedSource{p, r.WebContents}).frame()
	}
	c, ok := a.ask(ctx, r)
	if !ok {
		return &cdp.AuthResponse{Response: "CancelAuth"}
	}
	return &cdp.AuthResponse{Response: "ProvideCredentials", Username: c.Username, Password: c.Password}
}

// ask calls the handler.
func (a *authentication) ask(ctx context.Context, r AuthRequest) (Credentials, bool) {
	a.mu.Lock()
	handler := a.handler
	a.mu.Unlock()
	if handler == nil {
		return Credentials{}, false
	}
	given, err := answered(ctx, a.session.browser, "SetAuthHandler", func() (Credentials, error) {
		c, ok := handler(ctx, r)
		if !ok {
			return Credentials{}, errNoAnswer
		}
		return c, nil
	})
	return given, err == nil
}

// isFirst reports whether a request was not asked for before, and remembers it.
func (a *authentication) isFirst(request string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.asked, request) {
		return false
	}
	if len(a.asked) == remembered {
		a.asked = a.asked[1:]
	}
	a.asked = append(a.asked, request)
	return true
}
