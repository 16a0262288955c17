package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// localStreams is a web server on the loopback device that gives Chromium what
// the protocol cannot carry: bodies that are large or have no end. A request
// that is paused is sent on to an address of it (Fetch.continueRequest with a
// URL), which the page does not see.
//
// An address is good for one request and cannot be guessed: nobody else gets
// what it was made for. The server starts with the first Chromium, which has to
// know its port, or with the first address in a browser that was there before.
type localStreams struct {
	mu      sync.Mutex
	server  *http.Server
	address string                  // that it listens on
	suffix  string                  // of all addresses, after the token
	offered map[string]*localStream // by token
	ended   chan struct{}           // closed when the server has
	closed  bool
}

// localStream is what waits for its request.
type localStream struct {
	http.Handler
	stop func() bool // keeps it from being withdrawn
}

func newLocalStreams() *localStreams {
	return &localStreams{offered: map[string]*localStream{}}
}

// offer returns the address at which h serves one request. If nobody has come
// when ctx ends, or withdraw is called, unwanted is called instead.
func (l *localStreams) offer(ctx context.Context, h http.Handler, unwanted func()) (address string, withdraw func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.start(); err != nil {
		return "", nil, err
	}
	token := strings.ToLower(rand.Text())
	withdraw = func() {
		if l.take(token) != nil {
			unwanted()
		}
	}
	l.offered[token] = &localStream{h, context.AfterFunc(ctx, withdraw)}
	// Chromium opens six connections to a host and no more. It finds all names
	// below localhost on the loopback device without asking anybody.
	return "http://" + token + l.suffix, withdraw, nil
}

// letIn returns the arguments of a Chromium that lets every page come to the
// server. To others on this machine a page that is from elsewhere, or from the
// bridge, needs a permission.
func (l *localStreams) letIn(args []string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.start(); err != nil {
		return nil, err
	}
	own := l.address + "=public"
	if _, at := lastSwitch(args, addressSpacesSwitch); at >= 0 {
		args = slices.Clone(args)
		args[at] += "," + own
		return args, nil
	}
	return append(slices.Clip(args), addressSpacesSwitch+own), nil
}

// start opens the server, unless it is open.
func (l *localStreams) start() error {
	if l.closed {
		return errBrowserClosed
	}
	if l.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the local server for bodies: %w", err)
	}
	l.address = listener.Addr().String()
	l.suffix = fmt.Sprintf(".localhost:%d/", listener.Addr().(*net.TCPAddr).Port)
	l.ended = make(chan struct{})
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	l.server.SetKeepAlivesEnabled(false) // nobody comes to an address again
	go func() {
		defer close(l.ended)
		l.server.Serve(listener) // until close
	}()
	return nil
}

// take returns what is offered for a token, once.
func (l *localStreams) take(token string) *localStream {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.offered[token]
	delete(l.offered, token)
	return s
}

func (l *localStreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, _, _ := strings.Cut(r.Host, ".")
	s := l.take(token)
	if s == nil {
		http.NotFound(w, r)
		return
	}
	s.stop()
	s.Handler.ServeHTTP(w, r)
}

// sendResponse writes a response as it comes. Its cookies are left out: they
// would become those of the local server.
func sendResponse(w http.ResponseWriter, r *http.Response) error {
	header := w.Header()
	maps.Copy(header, r.Header)
	for _, name := range []string{"Set-Cookie", "Connection", "Keep-Alive", "Transfer-Encoding"} {
		header.Del(name)
	}
	if header.Get("Cache-Control") == "" { // nobody asks the address again
		header.Set("Cache-Control", "no-store")
	}
	for _, name := range []string{"Date", "Content-Type"} { // the server is not to add its own
		if _, set := header[name]; !set {
			header[name] = nil
		}
	}
	if r.ContentLength >= 0 {
		header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	w.WriteHeader(r.StatusCode)
	flushing := http.NewResponseController(w)
	flushing.Flush()
	_, err := io.Copy(&flushWriter{w, flushing}, r.Body)
	return err
}

// flushWriter holds nothing back.
type flushWriter struct {
	http.ResponseWriter
	flushing *http.ResponseController
}

func (f *flushWriter) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		err = f.flushing.Flush()
	}
	return n, err
}

// has reports whether a URL is an address of the server.
func (l *localStreams) has(url string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server != nil && strings.HasPrefix(url, "http://") && strings.HasSuffix(url, l.suffix)
}

// close ends the server and what it serves.
func (l *localStreams) close() error {
	l.mu.Lock()
	l.closed = true
	server := l.server
	l.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	<-l.ended
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
