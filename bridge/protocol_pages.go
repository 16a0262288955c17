package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// protocolOrder puts handlers behind the listeners of WebRequest.
const protocolOrder = 0

// largestAtOnce is the size in bytes of the largest body that Chromium is given
// in one message. A larger one is streamed: the message would be in memory
// several times, and one of 100 MB would end the connection.
const largestAtOnce = 1 << 20

// patterns select the requests of pages that the tables answer.
func (p *Protocol) patterns() []cdp.Pattern {
	var patterns []cdp.Pattern
	for _, scheme := range slices.Sorted(maps.Keys(p.intercepted)) {
		patterns = append(patterns, cdp.Pattern{URLPattern: scheme + ":*"})
	}
	for _, scheme := range slices.Sorted(maps.Keys(p.registered)) {
		patterns = append(patterns,
			cdp.Pattern{URLPattern: scheme + ":*"}, // what Chromium asks for by itself: images, scripts, styles
			wirePattern(scheme),
			cdp.Pattern{URLPattern: "http*://" + schemeEscaper.Replace(scheme) + opaqueLabel + wireSuffix + "/*"},
		)
	}
	if len(p.registered) > 0 {
		// Redirects to a scheme, which Chromium does not follow.
		patterns = append(patterns, cdp.Pattern{URLPattern: "http*", ResourceType: document, RequestStage: "Response"})
	}
	return patterns
}

// wirePattern selects the URLs that stand for those of a scheme.
func wirePattern(scheme string) cdp.Pattern {
	return cdp.Pattern{URLPattern: "http*://*" + schemeEscaper.Replace(scheme) + wireSuffix + "/*"}
}

// wireURL is the URL that stands for one of a registered scheme; any other
// comes back as it is.
func (p *Protocol) wireURL(url string) string {
	scheme, _, _ := strings.Cut(url, ":")
	if scheme = strings.ToLower(scheme); builtIn(scheme) || !p.IsProtocolRegistered(scheme) {
		return url
	}
	return p.session.browser.schemes.wire(url)
}

// handle answers a paused request if its scheme is handled.
func (p *Protocol) handle(ctx context.Context, paused *cdp.PausedRequest) bool {
	if paused.AtResponse() {
		return p.redirectToScheme(ctx, paused)
	}
	url := customURL(paused.Request.URL)
	if url != paused.Request.URL && !p.standsFor(paused.Request.URL, url) {
		return false
	}
	scheme, _, _ := strings.Cut(url, ":")
	h := p.handler(scheme)
	if h == nil {
		return false
	}
	reply := &protocolReply{session: p.session, paused: paused, url: url, scheme: scheme, handler: h}
	if err := reply.send(ctx); err != nil && ctx.Err() == nil {
		p.session.browser.log.Debug("a request could not be answered", "url", url, "error", err)
	}
	return true
}

// standsFor reports whether a URL is the one that stands for another, and not its
// twin without encryption.
func (p *Protocol) standsFor(wire, custom string) bool {
	protocol, _, _ := strings.Cut(wire, ":")
	return strings.HasPrefix(p.wireURL(custom), protocol+":")
}

// redirectToScheme makes Chromium follow a redirect to a registered scheme.
func (p *Protocol) redirectToScheme(ctx context.Context, paused *cdp.PausedRequest) bool {
	if !isRedirect(paused.ResponseStatusCode) {
		return false
	}
	headers := Headers(paused.ResponseHeaders)
	to := headers.Get("Location")
	wire := p.wireURL(to)
	if wire == to {
		return false
	}
	// Without a body Chromium takes the original one, and with it the redirect.
	response := cdp.Response{Code: paused.ResponseStatusCode, Headers: []cdp.Header{{Name: "Location", Value: wire}}, Body: []byte{}}
	return paused.Fulfill(ctx, response) == nil
}

// protocolReply brings a handler's answer to a paused request.
type protocolReply struct {
	session *Session
	paused  *cdp.PausedRequest
	url     string // that the program sees
	scheme  string
	handler ProtocolHandler
}

func (p *protocolReply) send(ctx context.Context) error {
	r, err := p.request(ctx)
	if err != nil {
		return p.fail(ctx, err)
	}
	if p.bodyIsElsewhere() {
		// Chromium gives the body to the network only: it goes through the
		// local server, and the handler is asked there.
		return p.stream(ctx, func(w http.ResponseWriter, local *http.Request) {
			r := r.WithContext(local.Context())
			r.Body, r.ContentLength = upload{local.Body}, local.ContentLength
			response, err := p.ask(ctx, r)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			p.copy(w, local, response)
		}, func() {})
	}
	response, err := p.ask(ctx, r)
	if err != nil {
		return p.fail(ctx, err)
	}
	if p.atOnce(response) {
		return p.fulfill(ctx, response)
	}
	return p.stream(ctx, func(w http.ResponseWriter, local *http.Request) { p.copy(w, local, response) }, func() { response.Body.Close() })
}

// upload is a body that comes through the local server. It ends with
// net::ERR_FAILED when its page does.
type upload struct{ io.ReadCloser }

func (u upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", netFailed, err)
	}
	return n, err
}

// ask asks the handler, and the listeners of WebRequest what they think of its
// response.
func (p *protocolReply) ask(ctx context.Context, r *http.Request) (*http.Response, error) {
	response, err := p.session.protocol.answer(p.handler, r, p.url)
	if err == nil {
		err = p.adapt(response)
	}
	if err == nil && p.session.webRequest.traffic.received(ctx, p.paused, response) {
		response.Body.Close()
		return nil, netBlockedByClient
	}
	return response, err
}

// request is the paused request as the handler gets it.
func (p *protocolReply) request(ctx context.Context) (*http.Request, error) {
	paused := &p.paused.Request
	u, err := url.Parse(p.url)
	if err != nil {
		scheme, rest, _ := strings.Cut(p.url, ":")
		u = &url.URL{Scheme: scheme, Opaque: rest}
	}
	body := bytes.Join(paused.PostData(), nil)
	r, err := http.NewRequestWithContext(ctx, paused.Method, "", bytes.NewReader(body))
	if err != nil {
		return nil, netInvalidURL
	}
	r.URL, r.Host = u, u.Host
	for _, h := range paused.Headers() {
		r.Header.Add(h.Name, customURL(h.Value)) // Origin and Referer of the scheme's own pages
	}
	return r, nil
}

// bodyIsElsewhere reports whether the request has a body that does not come
// with it: of files, which are entries without bytes, or too large.
func (p *protocolReply) bodyIsElsewhere() bool {
	parts := p.paused.Request.PostData()
	return p.paused.Request.HasPostData &&
		(len(parts) == 0 || slices.ContainsFunc(parts, func(part []byte) bool { return len(part) == 0 }))
}

// atOnce reports whether a response is given to Chromium in one message.
func (p *protocolReply) atOnce(r *http.Response) bool {
	switch {
	case p.isFile(): // Chromium sends no file: request to a server
		return true
	case isRedirect(r.StatusCode): // to be resolved against the URL that the page sees
		return true
	case !hasBody(p.paused.Request.Method, r.StatusCode):
		return true
	case r.Header.Get("Content-Encoding") != "": // which is decoded on the way through the network only
		return false
	}
	return r.ContentLength >= 0 && r.ContentLength <= largestAtOnce
}

func (p *protocolReply) isFile() bool { return p.scheme == "file" }

func (p *protocolReply) fail(ctx context.Context, cause error) error {
	code := netFailed
	errors.As(cause, &code)
	p.session.browser.log.Debug("a protocol handler failed", "url", p.url, "error", cause)
	return p.paused.Fail(ctx, code.reason())
}

func (p *protocolReply) fulfill(ctx context.Context, r *http.Response) error {
	defer r.Body.Close()
	defer context.AfterFunc(ctx, func() { r.Body.Close() })() // whatever it waits for
	body := []byte{}
	if hasBody(p.paused.Request.Method, r.StatusCode) {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, largestFulfilled+1)); err != nil {
			return p.fail(ctx, netError(err))
		}
		if int64(len(body)) < r.ContentLength {
			return p.fail(ctx, netLengthMismatch)
		}
	}
	if len(body) > largestFulfilled {
		return p.fail(ctx, fmt.Errorf("%w: a body of more than %d bytes for a file: URL", netFailed, largestFulfilled))
	}
	return p.paused.Fulfill(ctx, cdp.Response{Code: r.StatusCode, Phrase: http.StatusText(r.StatusCode), Headers: headersOf(r.Header), Body: body})
}

// largestFulfilled is the size in bytes of the largest body that fits in a
// message: three bytes are four in it.
const largestFulfilled = 64 << 20

// stream sends the request on to the local server, where h answers it, or to
// nowhere if nobody comes for it.
func (p *protocolReply) stream(ctx context.Context, h http.HandlerFunc, unwanted func()) error {
	address, withdraw, err := p.session.browser.streams.offer(ctx, h, unwanted)
	if err != nil {
		unwanted()
		return p.fail(ctx, err)
	}
	if err := p.paused.Continue(ctx, cdp.ContinueRequest{URL: address}); err != nil {
		withdraw()
		return err
	}
	return nil
}

// copy sends a response through the local server.
func (p *protocolReply) copy(w http.ResponseWriter, local *http.Request, r *http.Response) {
	defer r.Body.Close()
	defer context.AfterFunc(local.Context(), func() { r.Body.Close() })() // the page has gone
	if cookies := r.Header["Set-Cookie"]; cookies != nil {
		p.storeCookies(cookies)
	}
	if isRedirect(r.StatusCode) {
		p.resolveLocation(r.Header)
	}
	if sendResponse(w, r) != nil {
		panic(http.ErrAbortHandler) // the page is to see that something is missing
	}
}

// resolveLocation resolves a redirect against the URL that the page sees, which is
// not that of the local server.
func (p *protocolReply) resolveLocation(h http.Header) {
	from, err := url.Parse(p.paused.Request.URL)
	if err != nil || h.Get("Location") == "" {
		return
	}
	if to, err := from.Parse(h.Get("Location")); err == nil {
		h.Set("Location", to.String())
	}
}

func (p *protocolReply) storeCookies(lines []string) {
	from, err := url.Parse(p.paused.Request.URL)
	if err == nil {
		err = p.session.storeCookies(p.session.life, from, lines)
	}
	if err != nil {
		p.session.browser.log.Warn("storing the cookies of a handler's response", "url", p.url, "error", err)
	}
}
