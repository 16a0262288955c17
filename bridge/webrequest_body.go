package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// ResponseBodyDetails are the details of OnResponseBody. FromCache and IP are
// not known.
type ResponseBodyDetails struct {
	RequestDetails
	ResponseDetails
}

// OnResponseBody adds a listener that reads and changes the bodies of responses,
// as streams; remove takes it away. Electron has no such event.
//
// The page gets what can be read from the reader that the listener returns;
// returning body, or nil, passes on what was not read of it, which is all of it
// if nothing was. body is decoded, whatever its Content-Encoding was. It is to
// be read by one goroutine, until it ends or the context does. An error other
// than io.EOF ends the request with an error in the page; so does a panic in the
// listener, once it has read. To look at a body without changing it return
// io.TeeReader(body, w). With several listeners each gets what the one before it
// has returned.
//
// What a handler of Protocol answers, and the response of Session.Fetch, stay
// streams. Of other responses the page gets nothing before the reader has ended:
// Chromium takes the body of a response in one piece. One of more than 8 MiB
// waits in a temporary file and goes to the page through 127.0.0.1, by an address
// that is good for one request; the page is led there over a redirect to the same
// URL, so Response.redirected is true, and a fetch that follows no redirects
// (redirect: "manual" or "error") fails. A body without an end, such as
// text/event-stream, is to be left alone: a listener can tell by the headers.
func (w *WebRequest) OnResponseBody(filter WebRequestFilter, listener func(ctx context.Context, d *ResponseBodyDetails, body io.Reader) io.Reader) (remove func(), err error) {
	return addListener(w, &w.responseBody, filter, listener, listener == nil)
}

// wholeBody is how many bytes are given to the page in one piece.
const wholeBody = 8 << 20

// changeBody is the body as the listeners want it. changed is false if none of
// them has touched it.
func (p *passage) changeBody(response ResponseDetails, body takenReader) (out io.Reader, changed bool) {
	out = body
	broken := false // what is left of the body is not what was meant
	eachListener(p.ctx, p, "OnResponseBody", &p.web.responseBody, func(l func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader) bool {
		given := &notedReader{Reader: out}
		returned := false
		defer func() { broken = broken || !returned && given.taken.Load() }()
		if r := l(p.ctx, &ResponseBodyDetails{p.details(), response.clone()}, given); r != nil && r != io.Reader(given) {
			out, changed = r, true
		}
		returned = true
		return false
	})
	if broken {
		out = errorReader{errors.New("a listener panicked")}
	}
	return out, changed || body.Taken()
}

// takenReader knows whether anybody has read of it.
type takenReader interface {
	io.Reader
	Taken() bool
}

// notedReader is what a listener gets to read.
type notedReader struct {
	io.Reader
	taken atomic.Bool
}

func (r *notedReader) Read(p []byte) (int, error) {
	r.taken.Store(true)
	return r.Reader.Read(p)
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// httpBody is the body of a response that is not Chromium's.
type httpBody struct {
	io.ReadCloser
	taken atomic.Bool
}

func (b *httpBody) Read(p []byte) (int, error) {
	b.taken.Store(true)
	return b.ReadCloser.Read(p)
}

// Taken reports whether anybody has read of the body.
func (b *httpBody) Taken() bool { return b.taken.Load() }

// changeHTTPBody takes the body of a response that is not Chromium's through the
// listeners, as a stream.
func (p *passage) changeHTTPBody(r *http.Response) {
	encoded := r.Header.Get("Content-Encoding") != "" // by a handler, which gave it as it is to arrive
	if encoded || len(p.web.responseBody.present()) == 0 || !hasBody(p.Method, r.StatusCode) || isRedirect(r.StatusCode) {
		return
	}
	body := &httpBody{ReadCloser: r.Body}
	out, changed := p.changeBody(responseDetails(r), body)
	if !changed {
		return
	}
	r.Body = &closingBody{ReadCloser: struct {
		io.Reader
		io.Closer
	}{out, r.Body}, close: func() {}}
	r.ContentLength = -1
	r.Header.Del("Content-Length")
}

// hasBody reports whether a response that leads nowhere else can have a body.
func hasBody(method string, status int) bool {
	return method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// answerBody takes the body of a response through the listeners. It returns when
// the page has it.
func (t *traffic) answerBody(x *exchange, p *cdp.PausedRequest, response ResponseDetails) (handled bool) {
	body := p.Body(x.ctx)
	defer body.Close()
	out, changed := x.changeBody(response, body)
	if !changed {
		return false
	}
	response.ResponseHeaders = slices.DeleteFunc(slices.Clone(response.ResponseHeaders), func(h Header) bool {
		return strings.EqualFold(h.Name, "Content-Length") || strings.EqualFold(h.Name, "Content-Encoding") || strings.EqualFold(h.Name, "Transfer-Encoding")
	})
	content, err := t.readBody(out)
	defer content.remove()
	switch {
	case x.ctx.Err() != nil:
	case err != nil:
		t.web.session.browser.log.Warn("a body could not be read", "url", p.Request.URL, "error", err)
		t.failed(p, p.Fail(x.ctx, requestFailed))
	case content.file != nil:
		t.failed(p, t.serveBody(x, p, response, content))
	default:
		_, phrase, _ := parseStatusLine(response.StatusLine)
		t.failed(p, p.Fulfill(x.ctx, cdp.Response{Code: response.StatusCode, Phrase: phrase, Headers: response.ResponseHeaders, Body: content.start}))
	}
	return true
}

// requestFailed is the error reason of a request whose body cannot be given.
const requestFailed = "Failed"

// failed is answered for a request whose body was taken, which cannot go on.
func (t *traffic) failed(p *cdp.PausedRequest, err error) {
	if err == nil || p.Target.Session.Err() != nil {
		return
	}
	t.refused(p, err)
	p.Fail(t.web.session.life, requestFailed) // there is no more that could be done about an error
}

// bodyContent is a body that was read: in memory, or in a file if it is large.
type bodyContent struct {
	start []byte
	file  *os.File
}

// readBody reads a body to its end. The reader is the user's.
func (t *traffic) readBody(from io.Reader) (c bodyContent, err error) {
	err = errors.New("reading it panicked")
	t.web.safely("OnResponseBody", func() { err = c.read(from) })
	return c, err
}

func (c *bodyContent) read(from io.Reader) (err error) {
	if c.start, err = io.ReadAll(io.LimitReader(from, wholeBody+1)); err != nil || len(c.start) <= wholeBody {
		return err
	}
	if c.file, err = os.CreateTemp("", "bridge-body-"); err != nil {
		return err
	}
	if _, err = io.Copy(c.file, io.MultiReader(bytes.NewReader(c.start), from)); err != nil {
		return err
	}
	c.start = nil
	_, err = c.file.Seek(0, io.SeekStart)
	return err
}

func (c *bodyContent) remove() {
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
	}
}

// serveBody leads a request to the local server. Chromium takes an answer in one
// piece only, but lets a request that is about to be sent go somewhere else
// without the page seeing it: so it is redirected to its own URL, and sent to
// the local server when it comes again.
func (t *traffic) serveBody(x *exchange, p *cdp.PausedRequest, response ResponseDetails, content bodyContent) error {
	info, err := content.file.Stat()
	if err != nil {
		return err
	}
	served := make(chan struct{})
	url, withdraw, err := t.web.session.browser.streams.offer(x.ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(served)
		sendResponse(w, &http.Response{ // an error is that the page has gone
			StatusCode: response.StatusCode, Header: response.ResponseHeaders.header(), ContentLength: info.Size(), Body: content.file,
		})
	}), func() { close(served) })
	if err != nil {
		return err
	}
	defer withdraw()
	seen := t.expectServed(x.ID, url)
	headers := Headers{{Name: "Location", Value: p.Request.URL}}
	for _, h := range response.ResponseHeaders { // who may read the body may follow the redirect
		if strings.HasPrefix(strings.ToLower(h.Name), "access-control-") {
			headers = append(headers, h)
		}
	}
	if err := p.Fulfill(x.ctx, cdp.Response{Code: http.StatusTemporaryRedirect, Headers: headers, Body: []byte{}}); err != nil {
		return err
	}
	x.leave() // what comes of it is told meanwhile
	for _, done := range []<-chan struct{}{served, seen} {
		select {
		case <-done:
		case <-x.ctx.Done():
			t.takeServed(x.ID)
		}
	}
	return nil
}

// servedBody is a request that is led to the local server.
type servedBody struct {
	url  string
	seen chan struct{} // closed when its response has come
}

func (t *traffic) expectServed(id uint64, url string) (seen <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.served[id] = servedBody{url, make(chan struct{})}
	return t.served[id].seen
}

func (t *traffic) takeServed(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.served[id]; ok {
		delete(t.served, id)
		close(s.seen)
	}
}

// handleServed sends a request on to the local server, if it is one that
// serveBody has redirected.
func (t *traffic) handleServed(ctx context.Context, p *cdp.PausedRequest) (handled bool) {
	id := t.id(p)
	t.mu.Lock()
	s, ok := t.served[id]
	t.mu.Unlock()
	switch {
	case !ok:
		return false
	case p.AtResponse():
		t.takeServed(id)
		p.Release()
	default: // its response is to be seen, whoever still listens
		t.answered(p, p.Continue(ctx, cdp.ContinueRequest{URL: s.url, InterceptResponse: true}))
	}
	return true
}
