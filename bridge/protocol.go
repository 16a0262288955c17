package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"golang.org/x/net/http/httpguts"
)

// Protocol answers requests of a session's pages, and of Session.Fetch, by
// functions of the program: Electron's Protocol. It is safe for use by several
// goroutines.
//
// There are two tables: registered protocols are schemes of the program's own,
// intercepted ones are http, https and file. WebRequest listeners come before
// both.
type Protocol struct {
	session *Session

	mu          sync.Mutex
	registered  map[string]ProtocolHandler
	intercepted map[string]ProtocolHandler
	route       *cdp.Route // of the pages' requests to the tables
	workers     *scriptRoute
}

func newProtocol(s *Session) *Protocol {
	p := &Protocol{session: s, registered: map[string]ProtocolHandler{}, intercepted: map[string]ProtocolHandler{}}
	p.route = &cdp.Route{Order: protocolOrder, Handle: p.handle}
	p.workers = newScriptRoute(protocolOrder, p.handleWorkerScript)
	return p
}

// ProtocolHandler answers one request. Its URL is also in RequestURI, as the page
// wrote it but for the fragment. The request's context ends with who asks, and
// the body of the response is closed when it is not needed any more.
//
// An error that is a NetError ends the request with it, any other with
// net::ERR_UNEXPECTED, as does a panic. A response without a Content-Type is
// text/html. The status text is that of the code.
//
// A body with a ContentLength of at most a megabyte is given to Chromium at
// once; every other one is streamed. The body of a request is in memory when the
// handler is called, but for files of the disk.
type ProtocolHandler func(*http.Request) (*http.Response, error)

// schemeName is what a URL can begin with.
var schemeName = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// builtIn reports whether Chromium answers a scheme by itself, so that handling
// it is to intercept it.
func builtIn(scheme string) bool { return scheme == "http" || scheme == "https" || scheme == "file" }

// Handle answers requests for a scheme: http, https and file are intercepted,
// any other is registered. It returns an *InvalidArgumentError when the scheme
// is handled already, or is Chromium's own (ws, data, chrome and the like).
func (p *Protocol) Handle(scheme string, handler ProtocolHandler) error {
	if p.session.life.Err() != nil {
		return ErrSessionClosed
	}
	if !p.add(p.table(scheme), scheme, handler) {
		return invalidArgument("Failed to register protocol: %s", scheme)
	}
	return nil
}

// Unhandle takes a handler away. It returns an *InvalidArgumentError when there
// is none.
func (p *Protocol) Unhandle(scheme string) error {
	if !p.remove(p.table(scheme), scheme) {
		return invalidArgument("Failed to unhandle protocol: %s", scheme)
	}
	return nil
}

// IsProtocolHandled reports whether requests for the scheme are answered by the
// program.
func (p *Protocol) IsProtocolHandled(scheme string) bool { return p.has(p.table(scheme), scheme) }

// UnregisterProtocol takes a registered protocol away. It reports whether there
// was one.
func (p *Protocol) UnregisterProtocol(scheme string) bool { return p.remove(p.registered, scheme) }

// IsProtocolRegistered reports whether the protocol is registered.
func (p *Protocol) IsProtocolRegistered(scheme string) bool { return p.has(p.registered, scheme) }

// UninterceptProtocol takes an interception away. It reports whether there was
// one.
func (p *Protocol) UninterceptProtocol(scheme string) bool { return p.remove(p.intercepted, scheme) }

// IsProtocolIntercepted reports whether the protocol is intercepted.
func (p *Protocol) IsProtocolIntercepted(scheme string) bool { return p.has(p.intercepted, scheme) }

// table is where Handle puts a scheme.
func (p *Protocol) table(scheme string) map[string]ProtocolHandler {
	if builtIn(scheme) {
		return p.intercepted
	}
	return p.registered
}

func (p *Protocol) register(scheme string, h ProtocolHandler) bool {
	return p.add(p.registered, scheme, h)
}

func (p *Protocol) intercept(scheme string, h ProtocolHandler) bool {
	return p.add(p.intercepted, scheme, h)
}

func (p *Protocol) add(table map[string]ProtocolHandler, scheme string, h ProtocolHandler) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session.life.Err() != nil || h == nil || table[scheme] != nil || !schemeName.MatchString(scheme) || reservedScheme(scheme) {
		return false
	}
	table[scheme] = h
	p.changed(scheme)
	return true
}

// reservedScheme reports whether a scheme is one that neither a page nor the
// program can be given: Chromium answers it before anybody is asked.
func reservedScheme(scheme string) bool {
	switch scheme {
	case "ws", "wss", "data", "blob", "about", "javascript", "filesystem", "view-source", "devtools":
		return true
	}
	return strings.HasPrefix(scheme, "chrome")
}

func (p *Protocol) remove(table map[string]ProtocolHandler, scheme string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if table[scheme] == nil {
		return false
	}
	delete(table, scheme)
	p.changed(scheme)
	return true
}

func (p *Protocol) has(table map[string]ProtocolHandler, scheme string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return table[scheme] != nil
}

// changed brings pages to the present tables. It is called with mu held.
func (p *Protocol) changed(scheme string) {
	if !builtIn(scheme) {
		p.session.schemePages.update(slices.Sorted(maps.Keys(p.registered)))
	}
	p.session.interception.Set(p.route, p.patterns())
	p.workers.set(p.workerPatterns())
}

// handler is who answers requests for a scheme, nil for nobody.
func (p *Protocol) handler(scheme string) ProtocolHandler {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.intercepted[scheme]; h != nil {
		return h
	}
	return p.registered[scheme]
}

// answer asks a handler. The response is complete: it has a code, a header and
// a body. Errors are NetErrors, or the end of the request's context.
func (p *Protocol) answer(h ProtocolHandler, r *http.Request, exact string) (*http.Response, error) {
	if r.URL.User != nil { // Electron makes a Request of it, which cannot have one
		return nil, fmt.Errorf("%w: a URL with a user name", netUnexpected)
	}
	r = request(r, exact)
	ctx, cancel := context.WithCancel(r.Context())
	done := asked(p.session.browser, "protocol "+r.URL.Scheme, func() (*http.Response, error) { return h(r.WithContext(ctx)) })
	select {
	case o := <-done:
		response, err := complete(o.answer, o.err, r)
		if err != nil {
			cancel()
			return nil, err
		}
		response.Body = &closingBody{ReadCloser: response.Body, close: cancel}
		return response, nil
	case <-ctx.Done():
		cancel()
		go func() { // the handler may still come with a body
			if o := <-done; o.answer != nil && o.answer.Body != nil {
				(&closingBody{ReadCloser: o.answer.Body, close: func() {}}).Close()
			}
		}()
		return nil, context.Cause(r.Context())
	}
}

// request is a request as handlers get it. exact is its URL where the text is
// known.
func request(r *http.Request, exact string) *http.Request {
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if r.Header.Get("Origin") == "null" { // of Chromium's making: it means nothing to the program
		r.Header.Del("Origin")
	}
	if builtIn(r.URL.Scheme) && r.URL.Path == "" {
		r.URL.Path = "/"
	}
	if exact != "" {
		r.RequestURI = exact
	} else {
		r.RequestURI, _, _ = strings.Cut(r.URL.String(), "#")
	}
	return r
}

// complete checks what a handler gave and fills in what it left out.
func complete(response *http.Response, err error, r *http.Request) (*http.Response, error) {
	var code NetError
	switch {
	case errors.As(err, &code):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", netUnexpected, err)
	case response == nil:
		return nil, fmt.Errorf("%w: the handler gave no response", netUnexpected)
	}
	if response.Header == nil {
		response.Header = http.Header{}
	}
	if response.Body == nil {
		response.Body, response.ContentLength = http.NoBody, 0
	}
	if response.StatusCode == 0 {
		response.StatusCode = http.StatusOK
	}
	if err := validResponse(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	if _, set := response.Header["Content-Type"]; !set {
		response.Header.Set("Content-Type", "text/html")
	}
	response.Status = fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))
	response.Proto, response.ProtoMajor, response.ProtoMinor = "HTTP/1.1", 1, 1
	response.Request = r
	return response, nil
}

func validResponse(response *http.Response) error {
	if response.StatusCode < 200 || response.StatusCode > 599 {
		return fmt.Errorf("%w: the status code %d", netUnexpected, response.StatusCode)
	}
	for name, values := range response.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%w: the header name %q", netUnexpected, name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("%w: the value %q of the header %s", netUnexpected, value, name)
			}
		}
	}
	return nil
}

// closingBody tells when a body is closed, once. A body that panics ends with an
// error.
type closingBody struct {
	io.ReadCloser
	close func()
	once  sync.Once
}

func (b *closingBody) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("%w: reading the body panicked: %v", netUnexpected, r)
		}
	}()
	return b.ReadCloser.Read(p)
}

func (b *closingBody) Close() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: closing the body panicked: %v", netUnexpected, r)
		}
	}()
	b.once.Do(func() {
		b.close()
		err = b.ReadCloser.Close()
	})
	return err
}
