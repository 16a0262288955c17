package bridge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
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
// what it was made for. The server starts with the first one.
type localStreams struct {
	mu       sync.Mutex
	server   *http.Server
	base     string // of the addresses
	handlers map[string]http.Handler
	ended    chan struct{} // closed when the server has
	closed   bool
}

func newLocalStreams() *localStreams {
	return &localStreams{handlers: map[string]http.Handler{}}
}

var errStreamsClosed = errors.New("the browser is closed")

// offer returns the address at which h serves one request. withdraw takes it
// back if nobody came.
func (l *localStreams) offer(h http.Handler) (url string, withdraw func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return "", nil, errStreamsClosed
	}
	if l.server == nil {
		if err := l.start(); err != nil {
			return "", nil, fmt.Errorf("opening the local server for bodies: %w", err)
		}
	}
	token := rand.Text()
	l.handlers[token] = h
	return l.base + token, func() { l.take(token) }, nil
}

func (l *localStreams) start() error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.base = fmt.Sprintf("http://%s/", listener.Addr())
	l.ended = make(chan struct{})
	l.server = &http.Server{Handler: l, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(l.ended)
		l.server.Serve(listener) // until close
	}()
	return nil
}

// take returns the handler of a token, once.
func (l *localStreams) take(token string) http.Handler {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.handlers[token]
	delete(l.handlers, token)
	return h
}

func (l *localStreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := l.take(strings.TrimPrefix(r.URL.Path, "/"))
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h.ServeHTTP(w, r)
}

// close ends the server and what it serves.
func (l *localStreams) close() error {
	l.mu.Lock()
	l.closed = true
	server := l.server
	clear(l.handlers)
	l.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Close()
	<-l.ended
	return err
}
