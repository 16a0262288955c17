package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// FetchOptions are the options of Session.Fetch. The zero value follows
// redirects and sends and stores the session's cookies.
type FetchOptions struct {
	// Redirect is "follow" (the default), "error", or "manual" for the response
	// that redirects.
	Redirect string
	// Credentials is "include" (the default); "omit", for a request without
	// cookies that stores none; or "same-origin", which is "omit" for a request
	// whose header Origin names another origin.
	Credentials string
	// Cache is "default", "no-store", "reload" or "no-cache": what caches on the
	// way to the server are told. The bridge has no cache of its own, so that
	// "force-cache" and "only-if-cached" are an *UnsupportedError.
	Cache string
	// BypassCustomProtocolHandlers leaves out Session.Protocol: what is
	// intercepted goes to the network, and a registered scheme is unknown.
	BypassCustomProtocolHandlers bool
}

func (o FetchOptions) check() error {
	if !slices.Contains([]string{"", "follow", "error", "manual"}, o.Redirect) {
		return invalidArgument("Invalid redirect mode: %s", o.Redirect)
	}
	if !slices.Contains([]string{"", "include", "omit", "same-origin"}, o.Credentials) {
		return invalidArgument("Invalid credentials mode: %s", o.Credentials)
	}
	switch o.Cache {
	case "", "default", "no-store", "reload", "no-cache":
	case "force-cache", "only-if-cached":
		return &UnsupportedError{Feature: "Fetch with the cache mode " + o.Cache, Reason: "it has no cache", Instead: "fetch in a page"}
	default:
		return invalidArgument("Invalid cache mode: %s", o.Cache)
	}
	return nil
}

// maxRedirects is how often Chromium follows.
const maxRedirects = 20

// Fetch makes a request on behalf of the session: with its cookies, user agent
// and protocol handlers. The URL's scheme is http, https, file, or one that is
// registered. Bodies are streamed both ways; the caller closes that of the
// response, whose Request is the last one after redirects. A body that has to
// be sent again to where the response redirects comes from GetBody.
//
// It is Electron's ses.fetch. The request is the bridge's own, not Chromium's:
// it does not see Chromium's HTTP cache. Errors are NetErrors, such as
// net::ERR_NAME_NOT_RESOLVED, and *InvalidArgumentError.
func (s *Session) Fetch(r *http.Request, o FetchOptions) (*http.Response, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if r == nil || r.URL == nil {
		return nil, invalidArgument("Fetch takes a request with a URL")
	}
	if scheme := r.URL.Scheme; scheme == "data" || scheme == "blob" {
		return nil, invalidArgument("Fetch takes no %s: URL", scheme)
	}
	if normal, err := s.normalURL(r.URL); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", r.URL.Redacted(), err)
	} else if normal != r.URL {
		r = r.Clone(r.Context())
		r.URL = normal
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(s.life, func() { cancel(ErrSessionClosed) })
	end := func() {
		stop()
		cancel(context.Canceled)
		if r.Body != nil {
			r.Body.Close() // as package http does, whoever has read it
		}
	}
	f := newFetch(s, o, ctx)
	response, err := f.within(ctx, r.Clone(ctx))
	if err != nil {
		// within has told the listeners, or will when they have all returned.
		err = fmt.Errorf("fetching %s: %w", r.URL.Redacted(), err)
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		end()
		return nil, s.explain(err) // its end is told to the network and to ctx at the same time
	}
	body := &fetchedBody{ReadCloser: response.Body, chunked: len(response.TransferEncoding) > 0, empty: response.ContentLength == 0}
	response.Body = &closingBody{ReadCloser: body, close: func() {
		f.ended(body.outcome())
		end()
	}}
	return response, nil
}

// normalURL is a URL of a standard scheme as pages write it: with a host, a
// path, and no port.
func (s *Session) normalURL(u *url.URL) (*url.URL, error) {
	if !s.browser.schemes[u.Scheme].Standard || u.User != nil {
		return u, nil
	}
	normal, err := url.Parse(customURL(s.browser.schemes.wire(u.String())))
	if err != nil || normal.Host == "" {
		return nil, netInvalidURL
	}
	return normal, nil
}

// fetch is one call of Session.Fetch.
type fetch struct {
	session  *Session
	options  FetchOptions
	passage  passage         // through the listeners of WebRequest
	response ResponseDetails // the last one
	unsent   bool            // it came of a listener, before anything was sent
}

func newFetch(s *Session, o FetchOptions, ctx context.Context) *fetch {
	f := &fetch{session: s, options: o, passage: newPassage(ctx, s.webRequest)}
	f.passage.ID = 1<<63 | s.fetches.Add(1) // no request of a page has it
	return f
}

// within is follow for as long as ctx lasts, whatever a listener waits for. It
// tells how a request without a response ended.
func (f *fetch) within(ctx context.Context, r *http.Request) (*http.Response, error) {
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	var response *http.Response
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err = f.follow(r); err != nil {
			f.ended(err)
		}
	}()
	select {
	case <-done:
		return response, err
	case <-ctx.Done():
	}
	go func() {
		<-done
		if response != nil {
			response.Body.Close()
			f.ended(context.Cause(ctx))
		}
	}()
	return nil, context.Cause(ctx)
}

// follow makes the request and those that its responses redirect to.
func (f *fetch) follow(r *http.Request) (*http.Response, error) {
	for range maxRedirects + 1 {
		response, err := f.once(r)
		if err != nil {
			return nil, err
		}
		location := response.Header.Get("Location")
		if !isRedirect(response.StatusCode) || location == "" || f.options.Redirect == "manual" {
			f.passage.responseStarted(f.response)
			return response, nil
		}
		response.Body.Close()
		if f.options.Redirect == "error" {
			return nil, fmt.Errorf("%w: Attempted to redirect, but redirect policy was 'error'", netFailed)
		}
		next, err := redirected(r, response.StatusCode, location, f.unsent)
		if err != nil {
			return nil, err
		}
		f.passage.beforeRedirect(f.response, next.URL.String())
		r = next
	}
	return nil, netTooManyRedirects
}

// once makes one request, and takes it and its response through the listeners.
func (f *fetch) once(r *http.Request) (*http.Response, error) {
	shown := *r.URL
	shown.Fragment = ""
	d := RequestDetails{ID: f.passage.ID, URL: shown.String(), Method: r.Method, ResourceType: ResourceXHR, source: fetchSource{r}}
	f.passage.moveTo(d)
	before := f.passage.beforeRequest()
	f.unsent = before.RedirectURL != ""
	switch {
	case before.Cancel:
		return nil, netBlockedByClient
	case before.RedirectURL != "":
		if err := before.checkRedirect(); err != nil {
			return nil, fmt.Errorf("%w: %w", netFailed, err)
		}
		return f.received(&http.Response{
			StatusCode: http.StatusTemporaryRedirect,
			Header:     redirectTo(before.RedirectURL, "").ResponseHeaders.header(),
			Body:       http.NoBody,
		}), nil
	}
	r = r.Clone(r.Context()) // the next hop has headers of its own
	if err := f.addHeaders(r.Context(), r); err != nil {
		return nil, err
	}
	send := f.passage.beforeSendHeaders(func() Headers { return headersOf(r.Header) })
	if send.Cancel {
		return nil, netBlockedByClient
	}
	if send.RequestHeaders != nil {
		agent := r.Header.Values("User-Agent")
		if r.Header = send.RequestHeaders.header(); r.Header.Get("User-Agent") == "" {
			r.Header["User-Agent"] = agent // package net/http would send its own
		}
	}
	f.passage.sendHeaders(headersOf(r.Header))
	response, err := f.answer(r)
	if err != nil || !f.passage.heard {
		return response, err
	}
	now, changed, cancel := f.passage.headersReceived(responseDetails(response))
	if cancel {
		response.Body.Close()
		return nil, netBlockedByClient
	}
	if changed {
		response.StatusCode, response.Header = now.StatusCode, now.ResponseHeaders.header()
		response.Status = strings.TrimPrefix(now.StatusLine, "HTTP/1.1 ")
	}
	f.passage.changeHTTPBody(response)
	return f.received(response), nil
}

// received notes the response that there is now.
func (f *fetch) received(r *http.Response) *http.Response {
	f.response = responseDetails(r)
	return r
}

// ended tells how the request ended.
func (f *fetch) ended(err error) {
	code := netAborted
	switch {
	case err == nil:
		f.passage.completed(f.response, "net::OK")
		return
	case !errors.As(err, &code) && context.Cause(f.passage.ctx) == nil:
		code = netFailed
	}
	f.passage.errorOccurred(false, code.Error())
}

// fetchSource knows the details of a request of Fetch.
type fetchSource struct{ r *http.Request }

func (s fetchSource) referrer() string { return s.r.Header.Get("Referer") }
func (fetchSource) frame() *Frame      { return nil }

// uploadData is the body where it can be read twice, and else one part without
// bytes.
func (s fetchSource) uploadData() []UploadData {
	switch {
	case s.r.Body == nil || s.r.Body == http.NoBody:
		return nil
	case s.r.GetBody == nil:
		return []UploadData{{}}
	}
	body, err := s.r.GetBody()
	if err != nil {
		return []UploadData{{}}
	}
	defer body.Close()
	data, _ := io.ReadAll(body) // as far as it can be read
	return []UploadData{{Bytes: data}}
}

// answer is the response of who handles the scheme, or of the network.
func (f *fetch) answer(r *http.Request) (*http.Response, error) {
	if !f.options.BypassCustomProtocolHandlers {
		if h := f.session.protocol.handler(r.URL.Scheme); h != nil {
			return f.session.protocol.answer(h, r, "")
		}
	}
	switch r.URL.Scheme {
	case "http", "https":
		return f.network(r)
	case "file":
		return fetchFile(r)
	}
	return nil, netUnknownURLScheme
}

// network makes a request of the network, with the session's cookies.
func (f *fetch) network(r *http.Request) (*http.Response, error) {
	ctx, s := r.Context(), f.session
	response, err := f.authenticated(r)
	if err != nil {
		return nil, netError(s.outlet.cause(r.URL.String(), err))
	}
	if f.withCookies(r) {
		if err := s.storeCookies(ctx, r.URL, response.Header["Set-Cookie"]); err != nil {
			response.Body.Close()
			return nil, err
		}
	}
	return response, nil
}

// addHeaders adds what a browser adds, where the caller has said nothing else.
func (f *fetch) addHeaders(ctx context.Context, r *http.Request) error {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return nil
	}
	r.Host = "" // that of a handler's request names the handler
	agent, err := f.session.GetUserAgent(ctx)
	if err != nil {
		return err
	}
	own := map[string]string{"User-Agent": agent, "Accept": "*/*", "Accept-Language": f.session.agents.languages()}
	switch f.options.Cache {
	case "no-store", "reload":
		own["Cache-Control"], own["Pragma"] = "no-cache", "no-cache"
	case "no-cache":
		own["Cache-Control"] = "max-age=0"
	}
	for name, value := range own {
		if _, set := r.Header[name]; !set && value != "" {
			r.Header.Set(name, value)
		}
	}
	if _, set := r.Header["Cookie"]; set || !f.withCookies(r) {
		return nil
	}
	cookies, err := f.session.cookies.Get(ctx, CookieFilter{URL: r.URL.String()})
	if err != nil || len(cookies) == 0 {
		return err
	}
	pairs := make([]string, len(cookies))
	for i, c := range cookies {
		pairs[i] = c.pair()
	}
	r.Header.Set("Cookie", strings.Join(pairs, "; "))
	return nil
}

// pair is the cookie as a request carries it.
func (c Cookie) pair() string {
	if c.Name == "" {
		return c.Value
	}
	return c.Name + "=" + c.Value
}

// withCookies reports whether a request carries cookies and its response sets
// them.
func (f *fetch) withCookies(r *http.Request) bool {
	switch f.options.Credentials {
	case "omit":
		return false
	case "same-origin":
		origin := r.Header.Get("Origin")
		return origin == "" || origin == r.URL.Scheme+"://"+r.URL.Host
	}
	return true
}

// storeCookies stores what a response sets. What the rules for cookies refuse
// is left out, as browsers do.
func (s *Session) storeCookies(ctx context.Context, from *url.URL, lines []string) error {
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			continue
		}
		err = s.cookies.Set(ctx, detailsOf(c, from))
		var refused *CookieError
		var invalid *InvalidArgumentError
		if err != nil && !errors.As(err, &refused) && !errors.As(err, &invalid) {
			return err
		}
	}
	return nil
}

// detailsOf is a cookie of a response as Cookies.Set takes it.
func detailsOf(c *http.Cookie, from *url.URL) CookieDetails {
	d := CookieDetails{
		URL: from.String(), Name: c.Name, Value: c.Value, Domain: c.Domain, Path: c.Path,
		Secure: &c.Secure, HTTPOnly: c.HttpOnly, SameSite: "unspecified",
	}
	switch c.SameSite {
	case http.SameSiteLaxMode:
		d.SameSite = "lax"
	case http.SameSiteStrictMode:
		d.SameSite = "strict"
	case http.SameSiteNoneMode:
		d.SameSite = "no_restriction"
	}
	switch {
	case c.MaxAge < 0:
		d.ExpirationDate = new(float64)
	case c.MaxAge > 0:
		date := float64(time.Now().Unix()) + float64(c.MaxAge)
		d.ExpirationDate = &date
	case !c.Expires.IsZero():
		date := float64(c.Expires.Unix())
		d.ExpirationDate = &date
	}
	return d
}

// filePath is the path of a file: URL.
func filePath(u *url.URL) string {
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // of /C:/…
	}
	return filepath.FromSlash(path)
}

// fetchFile answers a request for a file: URL.
func fetchFile(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "" && r.URL.Host != "localhost" {
		return nil, netInvalidURL
	}
	file := &FileResponse{Path: filePath(r.URL)}
	response, err := file.answer(nil, r)
	return complete(response, err, r)
}

func isRedirect(status int) bool {
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308
}

// redirected is the request that follows a response that redirects. What was not
// sent yet has its body still.
func redirected(r *http.Request, status int, location string, unsent bool) (*http.Request, error) {
	to, err := r.URL.Parse(location)
	if err != nil {
		return nil, netInvalidURL
	}
	if to.Fragment == "" {
		to.Fragment = r.URL.Fragment
	}
	if !safeRedirect(r.URL.Scheme, to.Scheme) {
		return nil, netUnsafeRedirect
	}
	next := r.Clone(r.Context())
	next.URL, next.Host, next.RequestURI = to, "", ""
	if to.Host != r.URL.Host || to.Scheme != r.URL.Scheme {
		next.Header.Del("Authorization")
		next.Header.Del("Cookie")
	}
	if status == 303 && r.Method != http.MethodHead || status < 303 && r.Method == http.MethodPost {
		next.Method, next.Body, next.GetBody, next.ContentLength = http.MethodGet, nil, nil, 0
		maps.DeleteFunc(next.Header, func(name string, _ []string) bool { return strings.HasPrefix(name, "Content-") })
		return next, nil
	}
	if r.Body == nil || r.Body == http.NoBody || unsent {
		return next, nil
	}
	if r.GetBody == nil {
		return nil, fmt.Errorf("%w: the body has to be sent again to %s: set GetBody", netFailed, to.Redacted())
	}
	next.Body, err = r.GetBody()
	return next, err
}

// safeRedirect reports whether a response of one scheme may redirect to
// another.
func safeRedirect(from, to string) bool {
	switch to {
	case "data", "about", "blob", "javascript":
		return false
	case "file":
		return from != "http" && from != "https"
	}
	return true
}

// fetchedBody gives errors Chromium's names, and remembers how the body ended.
type fetchedBody struct {
	io.ReadCloser
	chunked bool
	empty   bool
	last    atomic.Pointer[error] // of Read
}

func (b *fetchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil || err == io.EOF:
	case errors.Is(err, io.ErrUnexpectedEOF) && b.chunked:
		err = fmt.Errorf("%w: %w", netIncompleteChunked, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%w: %w", netLengthMismatch, err)
	default:
		err = netError(err)
	}
	b.last.Store(&err)
	return n, err
}

// outcome is nil for a body that was read to its end.
func (b *fetchedBody) outcome() error {
	last := b.last.Load()
	switch {
	case last != nil && *last == io.EOF, last == nil && b.empty:
		return nil
	case last == nil || *last == nil:
		return netAborted
	}
	return *last
}
