package bridge

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// bodyServer hands large bodies to Chromium, which takes them from the network only. It
// listens on 127.0.0.1 from the first body on until its session ends. Each body
// has an address that cannot be guessed and is good for one request.
type bodyServer struct {
	life context.Context

	mu      sync.Mutex
	address string // empty before the first body
	offers  map[string]*offeredBody
}

type offeredBody struct {
	response ResponseDetails
	body     *os.File
	size     int64
	served   chan struct{}
}

func newBodyServer(life context.Context) *bodyServer {
	return &bodyServer{life: life, offers: map[string]*offeredBody{}}
}

// offer returns the URL of a body. served is closed when somebody has had it.
// The offer ends with ctx.
func (s *bodyServer) offer(ctx context.Context, r ResponseDetails, body *os.File) (url string, served <-chan struct{}, err error) {
	info, err := body.Stat()
	if err != nil {
		return "", nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" {
		if err := s.start(); err != nil {
			return "", nil, err
		}
	}
	token := "/" + rand.Text()
	o := &offeredBody{r, body, info.Size(), make(chan struct{})}
	s.offers[token] = o
	context.AfterFunc(ctx, func() { s.take(token) })
	return "http://" + s.address + token, o.served, nil
}

func (s *bodyServer) start() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.address = listener.Addr().String()
	server := &http.Server{Handler: s}
	context.AfterFunc(s.life, func() { server.Close() })
	go server.Serve(listener)
	return nil
}

func (s *bodyServer) take(token string) *offeredBody {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.offers[token]
	delete(s.offers, token)
	return o
}

func (s *bodyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o := s.take(r.URL.Path)
	if o == nil {
		http.NotFound(w, r)
		return
	}
	defer close(o.served)
	h := w.Header()
	h["Date"], h["Content-Type"] = nil, nil // not the server's own
	for _, f := range o.response.ResponseHeaders {
		if !strings.EqualFold(f.Name, "Connection") && !strings.EqualFold(f.Name, "Keep-Alive") {
			h.Add(f.Name, f.Value)
		}
	}
	h.Set("Content-Length", strconv.FormatInt(o.size, 10))
	w.WriteHeader(o.response.StatusCode)
	io.Copy(w, o.body) // an error is that the page has gone
}
