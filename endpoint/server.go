package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// Options are the options of New. The zero value is right for one machine.
type Options struct {
	// Token opens everything. Empty makes one up, which Server.Token tells.
	Token string
	// ScopedTokens open one partition each.
	ScopedTokens []ScopedToken
	// AllowHosts are further names, with or without a port, that requests may call
	// the server by. Others are refused, which keeps pages out that have their name
	// point to this machine.
	AllowHosts []string
	// MaxClients is how many connections of clients there may be at once; 0 means
	// 1,000.
	MaxClients int
	// Logger gets what the server has to say; nil discards it.
	Logger *slog.Logger
}

// Server serves the sessions of a browser.
type Server struct {
	browser *bridge.Browser
	opts    Options
	tokens  tokens
	log     *slog.Logger
	http    *http.Server
	metrics *metrics
	life    context.Context // of the clients' connections
	end     context.CancelFunc
	clients sync.WaitGroup
	places  chan struct{} // one for each client that may connect

	commands    map[string]sessionCommand // of the domain Session
	questions   *questions
	description description // of the protocol
}

// New makes a server. The browser stays the caller's, who closes it after Shutdown.
func New(b *bridge.Browser, o Options) (*Server, error) {
	if o.Token == "" {
		o.Token = newToken()
	}
	if o.MaxClients <= 0 {
		o.MaxClients = 1000
	}
	known := []string{o.Token}
	for _, scoped := range o.ScopedTokens {
		if scoped.Token == "" || slices.Contains(known, scoped.Token) {
			return nil, fmt.Errorf("the token of partition %q is empty or that of something else", scoped.Partition)
		}
		known = append(known, scoped.Token)
	}
	s := &Server{browser: b, opts: o, tokens: newTokens(o.Token, o.ScopedTokens), log: o.Logger, places: make(chan struct{}, o.MaxClients)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.metrics = newMetrics(b)
	s.questions = newQuestions()
	s.commands = sessionCommands()
	maps.Copy(s.commands, questionCommands())
	maps.Copy(s.commands, protocolCommands())
	maps.Copy(s.commands, deviceCommands())
	maps.Copy(s.commands, downloadCommands())
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Token is the token that opens everything.
func (s *Server) Token() string { return s.opts.Token }

// Serve answers what comes in on l until Shutdown, and returns nil then.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops listening, answers what was asked, and ends the clients'
// connections. When ctx ends first it does not wait any longer.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	s.end()
	ended := make(chan struct{})
	go func() {
		s.clients.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, s.http.Close(), context.Cause(ctx))
	}
}

// request is what came in: who asks, and for which partition.
type request struct {
	*http.Request
	access    access
	partition string
	path      []string // of the address, unescaped
	prefix    string   // in front of the path: /t/TOKEN/p/PARTITION
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if !s.knownHost(r) {
		http.Error(w, "the server is not known by this name: see --allow-host", http.StatusForbidden)
		return
	}
	if !sameOrigin(r) {
		http.Error(w, "pages of other sites have no access", http.StatusForbidden)
		return
	}
	in, token, err := parse(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if len(in.path) == 1 && in.path[0] == "healthz" {
		s.healthz(w, in)
		return
	}
	var ok bool
	if in.access, ok = s.tokens.check(tokenOf(r, token)); !ok {
		s.refuse(w)
		return
	}
	if in.partition == "" {
		in.partition = in.access.partition()
	}
	if !in.access.opens(in.partition) {
		s.refuse(w)
		return
	}
	s.route(w, in)
}

func (s *Server) refuse(w http.ResponseWriter) {
	s.metrics.refused.Inc()
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, "a valid token is needed: ?token=… or Authorization: Bearer …", http.StatusUnauthorized)
}

// parse takes an address apart. Segments are unescaped after they are told apart, so
// that a partition may hold a slash.
func parse(r *http.Request) (in *request, token string, err error) {
	in = &request{Request: r, partition: r.URL.Query().Get("partition")}
	for segment := range strings.SplitSeq(strings.Trim(r.URL.EscapedPath(), "/"), "/") {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, "", err
		}
		in.path = append(in.path, text)
	}
	if len(in.path) >= 4 && in.path[0] == "t" && in.path[2] == "p" {
		token, in.partition = in.path[1], in.path[3]
		in.prefix = "/t/" + url.PathEscape(token) + "/p/" + escapePartition(in.partition)
		in.path = in.path[4:]
		if in.partition == "" {
			in.partition = defaultPartition
		}
	}
	if len(in.path) >= 2 && in.path[0] == "devtools" && in.path[1] == "browser" {
		in.partition = defaultPartition
		if len(in.path) > 2 && in.path[2] != "" {
			in.partition = in.path[2]
		}
	}
	return in, token, checkPartition(in.partition)
}

// checkPartition refuses names that nobody can mean.
func checkPartition(name string) error {
	if len(name) > 1024 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == '\uFFFD' }) {
		return errors.New("the partition is too long or holds control characters")
	}
	return nil
}

// escapePartition is a partition as a segment of an address.
func escapePartition(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), ":", "%3A")
}

func (s *Server) route(w http.ResponseWriter, r *request) {
	switch path := strings.Join(r.path[:min(len(r.path), 2)], "/"); {
	case path == "devtools/browser" && len(r.path) <= 3:
		s.serveBrowser(w, r)
	case path == "devtools/page" && len(r.path) == 3:
		s.servePage(w, r)
	case path == "json" || path == "json/list" && len(r.path) == 2:
		s.list(w, r)
	case path == "json/version" && len(r.path) == 2:
		s.version(w, r)
	case path == "json/protocol" && len(r.path) == 2:
		s.protocol(w, r)
	case path == "json/new" && len(r.path) == 2:
		s.newPage(w, r)
	case path == "json/close" && len(r.path) == 3:
		s.closePage(w, r)
	case path == "metrics":
		if r.access.scope != nil {
			s.refuse(w) // they tell of all partitions
			return
		}
		promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r.Request)
	default:
		http.NotFound(w, r.Request)
	}
}

// knownHost reports whether the request calls the server by a name of its own. A page
// whose name was made to point to this machine calls it by that name.
func (s *Server) knownHost(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(r.Host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local != nil && local.Network() == "unix" {
		return true // which no page reaches
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	for _, allowed := range s.opts.AllowHosts {
		if strings.EqualFold(allowed, host) || strings.EqualFold(allowed, r.Host) {
			return true
		}
	}
	tcp, ok := local.(*net.TCPAddr)
	return ok && tcp.IP.Equal(net.ParseIP(host))
}

// sameOrigin reports whether a request is not of a page of another site.
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return len(origins) == 1 && strings.EqualFold(origins[0], scheme+r.Host)
}
