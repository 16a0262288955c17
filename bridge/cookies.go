package bridge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Cookies are the cookies of a session: Electron's Cookies. It is safe for use
// by several goroutines.
//
// Hosts are ASCII, as Chromium keeps them: write xn--bcher-kva.example.
type Cookies struct {
	session *Session

	turn    turn         // held while cookies are compared or written
	watch   *cookieWatch // nil while nobody listens; guarded by turn
	changes listeners[CookieChange]
}

func newCookies(s *Session) *Cookies {
	return &Cookies{session: s, turn: newTurn()}
}

// Cookie is a cookie as it is stored: Electron's Cookie.
type Cookie struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Domain is the host of the cookie. It begins with a dot if hosts below it
	// get the cookie too.
	Domain string `json:"domain"`
	// HostOnly is set for a cookie that one host alone gets.
	HostOnly bool   `json:"hostOnly"`
	Path     string `json:"path"`
	Secure   bool   `json:"secure"`
	HTTPOnly bool   `json:"httpOnly"`
	// Session is set for a cookie that ends with the browser.
	Session bool `json:"session"`
	// ExpirationDate is in seconds since 1970; 0 for a session cookie.
	ExpirationDate float64 `json:"expirationDate,omitzero"`
	// SameSite is "unspecified", "no_restriction", "lax" or "strict".
	SameSite string `json:"sameSite"`
}

// CookieFilter chooses cookies. The zero value chooses all; what is set must
// hold, all of it.
type CookieFilter struct {
	// URL chooses the cookies that would be sent to it from its own site,
	// HttpOnly and SameSite=Strict ones included. Ports do not count.
	URL string `json:"url,omitzero"`
	// Name is the name; nil means any, as a name can be empty.
	Name *string `json:"name,omitzero"`
	// Domain is a host that the cookie must be for: "a.example.test" finds its
	// own cookies and those of ".example.test", not the other way round.
	Domain string `json:"domain,omitzero"`
	// Path is the cookie's path, exactly.
	Path string `json:"path,omitzero"`
	// Secure, Session and HTTPOnly are attributes; nil means any.
	Secure   *bool `json:"secure,omitzero"`
	Session  *bool `json:"session,omitzero"`
	HTTPOnly *bool `json:"httpOnly,omitzero"`
}

// CookieDetails are what Set makes a cookie of. Everything but URL can be left
// out.
type CookieDetails struct {
	// URL is where the cookie comes from: its host and path are the defaults,
	// and the cookie must be one that it may set.
	URL   string `json:"url"`
	Name  string `json:"name,omitzero"`
	Value string `json:"value,omitzero"`
	// Domain makes the cookie one for a domain and all hosts below it, with or
	// without a dot in front. Empty means the URL's host alone.
	Domain string `json:"domain,omitzero"`
	// Path is "/…"; empty means the directory of the URL's path.
	Path string `json:"path,omitzero"`
	// Secure is false by default, and true with SameSite "no_restriction".
	Secure   *bool `json:"secure,omitzero"`
	HTTPOnly bool  `json:"httpOnly,omitzero"`
	// ExpirationDate is in seconds since 1970; what is past, 0 included,
	// deletes the cookie. nil means a session cookie. Chromium keeps no cookie
	// for longer than 400 days.
	ExpirationDate *float64 `json:"expirationDate,omitzero"`
	// SameSite is "unspecified", "no_restriction", "lax" (the default) or
	// "strict".
	SameSite string `json:"sameSite,omitzero"`
}

// CookieError refuses to set a cookie.
type CookieError struct {
	// Reason is Electron's text for Chromium's reason; several follow one
	// another.
	Reason string
	// Cause is what Chromium said, nil if it was not asked.
	Cause error
}

func (e *CookieError) Error() string { return "Failed to set cookie - " + e.Reason }

// Unwrap gives the cause.
func (e *CookieError) Unwrap() error { return e.Cause }

// Get returns the cookies that the filter chooses, in Chromium's order: longer
// paths first, then older cookies. A URL that is none chooses nothing.
func (c *Cookies) Get(ctx context.Context, filter CookieFilter) ([]Cookie, error) {
	filter.URL = c.session.protocol.wireURL(filter.URL)
	jar, err := c.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("getting cookies: %w", err)
	}
	chosen, matches := []Cookie{}, filter.matcher()
	for _, stored := range jar {
		if matches(stored.Cookie) {
			chosen = append(chosen, stored.Cookie)
		}
	}
	return chosen, nil
}

// Set stores a cookie, in the place of one with the same name, domain and path.
// It returns an *InvalidArgumentError for details that make no sense, and a
// *CookieError for a cookie that Chromium would not take from the URL: texts
// are Electron's. A cookie that is HttpOnly is not replaced without HTTPOnly.
func (c *Cookies) Set(ctx context.Context, details CookieDetails) error {
	details.URL = c.session.protocol.wireURL(details.URL)
	cookie, from, err := details.cookie()
	if err != nil {
		return err
	}
	return c.write(ctx, "setting a cookie", func(at *place, jar []storedCookie) (author, error) {
		if err := mayReplace(cookie, from, jar); err != nil {
			return author{}, err
		}
		by := author{removal: "expired-overwrite", wrote: true, owns: cookie.key()}
		return by, at.setCookies(ctx, cookie)
	})
}

// Remove deletes every cookie with the name that would be sent to the URL. That
// there is none is no error.
func (c *Cookies) Remove(ctx context.Context, url, name string) error {
	filter := CookieFilter{URL: c.session.protocol.wireURL(url), Name: &name}
	if url == "" {
		return nil // unlike in a filter, no URL is no place
	}
	return c.remove(ctx, "removing a cookie", filter.matcher())
}

// remove deletes the cookies that are chosen.
func (c *Cookies) remove(ctx context.Context, what string, chosen func(Cookie) bool) error {
	return c.write(ctx, what, func(at *place, jar []storedCookie) (author, error) {
		by := author{removal: "explicit"}
		unwanted := slices.DeleteFunc(slices.Clone(jar), func(s storedCookie) bool { return !chosen(s.Cookie) })
		if len(unwanted) == 0 {
			return by, nil
		}
		c.watch.removing(unwanted)
		if err := at.deleteCookies(ctx, unwanted); err != nil {
			return by, err
		}
		return by, c.removeStubborn(ctx, at, unwanted)
	})
}

// removeStubborn deletes those of the cookies that are still there: pages can
// give paths that a cookie of the protocol cannot have.
func (c *Cookies) removeStubborn(ctx context.Context, at *place, unwanted []storedCookie) error {
	jar, err := at.cookies(ctx)
	if err != nil {
		return err
	}
	now := byKey(jar)
	for _, s := range unwanted {
		if _, stays := now[s.key()]; !stays || s.partition.opaque {
			continue
		}
		err := c.session.onPage(ctx, at, func(ctx context.Context, page *cdp.Session) error {
			return page.Call(ctx, "Network.deleteCookies", s.wire(), nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// write runs a function that writes cookies. It gets the cookies that there
// are, and says what those who listen are to be told of its doing.
func (c *Cookies) write(ctx context.Context, what string, do func(at *place, jar []storedCookie) (author, error)) error {
	err := func() error {
		at, err := c.session.place(ctx)
		if err != nil {
			return err
		}
		if err := c.turn.take(ctx); err != nil {
			return err
		}
		defer c.turn.give()
		before, err := at.cookies(ctx)
		if err != nil {
			return c.session.explain(err)
		}
		c.watch.see(before, author{})
		by, err := do(at, before)
		if err != nil || !c.watch.looks() {
			return c.session.explain(err)
		}
		after, err := at.cookies(ctx)
		if err != nil {
			return c.session.explain(err)
		}
		c.watch.see(after, by)
		return nil
	}()
	return doing(what, err)
}

// doing says what failed, before errors that have no text of Electron's.
func doing(what string, err error) error {
	var refused *CookieError
	var invalid *InvalidArgumentError
	if err == nil || errors.As(err, &refused) || errors.As(err, &invalid) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// list is all cookies of the session.
func (c *Cookies) list(ctx context.Context) ([]storedCookie, error) {
	at, err := c.session.place(ctx)
	if err != nil {
		return nil, err
	}
	jar, err := at.cookies(ctx)
	return jar, c.session.explain(err)
}

// storedCookie is a cookie with what tells it from others.
type storedCookie struct {
	Cookie
	partition cookiePartition
}

// cookiePartition is the key of a cookie that only frames below one top-level
// site see; the zero value is that of others.
type cookiePartition struct {
	TopLevelSite         string `json:"topLevelSite"`
	HasCrossSiteAncestor bool   `json:"hasCrossSiteAncestor"`
	opaque               bool   // of a frame without an origin: nobody can name it
}

type cookieKey struct {
	name, domain, path string
	partition          cookiePartition
}

func (s storedCookie) key() cookieKey { return cookieKey{s.Name, s.Domain, s.Path, s.partition} }

// wireCookie is a cookie in the protocol, read and written.
type wireCookie struct {
	Name               string           `json:"name"`
	Value              string           `json:"value"`
	Domain             string           `json:"domain"`
	Path               string           `json:"path"`
	Expires            *float64         `json:"expires,omitzero"`
	Secure             bool             `json:"secure"`
	HTTPOnly           bool             `json:"httpOnly"`
	Session            bool             `json:"session,omitzero"`
	SameSite           string           `json:"sameSite,omitzero"`
	PartitionKey       *cookiePartition `json:"partitionKey,omitzero"`
	PartitionKeyOpaque bool             `json:"partitionKeyOpaque,omitzero"`
}

// sameSites are Electron's words and the protocol's.
var sameSites = []struct{ electron, protocol string }{
	{"unspecified", ""}, {"no_restriction", "None"}, {"lax", "Lax"}, {"strict", "Strict"},
}

func (w wireCookie) stored() storedCookie {
	s := storedCookie{Cookie: Cookie{
		Name: w.Name, Value: w.Value, Domain: w.Domain, HostOnly: w.Domain == "" || w.Domain[0] != '.', Path: w.Path,
		Secure: w.Secure, HTTPOnly: w.HTTPOnly, Session: w.Session,
	}}
	if !w.Session && w.Expires != nil {
		s.ExpirationDate = *w.Expires
	}
	for _, word := range sameSites {
		if word.protocol == w.SameSite {
			s.SameSite = word.electron
		}
	}
	if w.PartitionKey != nil {
		s.partition = *w.PartitionKey
	}
	s.partition.opaque = w.PartitionKeyOpaque
	return s
}

func (s storedCookie) wire() wireCookie {
	w := wireCookie{Name: s.Name, Value: s.Value, Domain: s.Domain, Path: s.Path, Secure: s.Secure, HTTPOnly: s.HTTPOnly}
	if !s.Session {
		w.Expires = &s.ExpirationDate
	}
	for _, word := range sameSites {
		if word.electron == s.SameSite {
			w.SameSite = word.protocol
		}
	}
	if s.partition != (cookiePartition{}) {
		w.PartitionKey = &s.partition
	}
	return w
}

// cookies are those of the context, in Chromium's order.
func (p *place) cookies(ctx context.Context) ([]storedCookie, error) {
	wire, err := p.wireCookies(ctx)
	if err != nil {
		return nil, err
	}
	return readCookies(wire)
}

func (p *place) wireCookies(ctx context.Context) (jsonv2.Value, error) {
	return p.host.root().CallRaw(ctx, "Storage.getCookies", cookieParams{BrowserContextID: p.param()})
}

func readCookies(wire jsonv2.Value) ([]storedCookie, error) {
	var r struct {
		Cookies []wireCookie `json:"cookies"`
	}
	if err := jsonv2.Unmarshal(wire, &r, jsonv2.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("decoding the result of Storage.getCookies: %w", err)
	}
	jar := make([]storedCookie, 0, len(r.Cookies))
	for _, w := range r.Cookies {
		if !isFlushMark(w.Domain) {
			jar = append(jar, w.stored())
		}
	}
	return jar, nil
}

type cookieParams struct {
	Cookies          []wireCookie `json:"cookies,omitzero"`
	BrowserContextID string       `json:"browserContextId,omitzero"`
}

// setCookies stores the cookies, whatever they replace.
func (p *place) setCookies(ctx context.Context, cookies ...storedCookie) error {
	return p.writeCookies(ctx, p.written(cookies...))
}

// deleteCookies deletes cookies by writing them anew with an end that is past:
// the browser's own session has no command for it.
func (p *place) deleteCookies(ctx context.Context, cookies []storedCookie) error {
	return p.writeCookies(ctx, p.expired(cookies...))
}

func (p *place) writeCookies(ctx context.Context, params cookieParams) error {
	err := p.host.root().Call(ctx, "Storage.setCookies", params, nil)
	if refused := (*cdp.Error)(nil); errors.As(err, &refused) {
		return &CookieError{Reason: reasonMalformed, Cause: err}
	}
	return err
}

func (p *place) written(cookies ...storedCookie) cookieParams {
	params := cookieParams{BrowserContextID: p.param(), Cookies: []wireCookie{}}
	for _, s := range cookies {
		if !s.partition.opaque {
			params.Cookies = append(params.Cookies, s.wire())
		}
	}
	return params
}

func (p *place) expired(cookies ...storedCookie) cookieParams {
	params := p.written(cookies...)
	for i := range params.Cookies {
		params.Cookies[i].Expires = new(1.0)
	}
	return params
}

// expiry makes an expiration date one that the protocol takes: it means a
// session cookie by a negative one, and JSON has no infinity.
func expiry(date float64) float64 { return min(max(date, 0), math.MaxInt32*100) }
