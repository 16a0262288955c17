package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// ErrClosed is the error of what a closed gateway is asked for.
var ErrClosed = errors.New("the gateway is closed")

// errCut ends connections of CloseConnections and Sleep.
var errCut = errors.New("the connections were closed")

const (
	// remembered is how many servers' failures and certificates are kept.
	remembered = 512
	// bufferSize is what is copied at once.
	bufferSize = 32 << 10
)

// Options are the settings of a gateway. The zero value reaches every server
// directly and leaves TLS alone. A function is called from any goroutine and
// must not panic.
type Options struct {
	// Resolver decides the route to each server. Nil is the direct one.
	Resolver Resolver
	// MapHost gives the host:port that is dialled for one that is reached
	// directly. Nil is the same.
	MapHost func(hostport string) (string, error)
	// Allow decides who may use the listener, by an error who may not. Nil
	// allows everybody who reaches a loopback port.
	Allow func(Peer) error
	// Credentials answers proxies that ask for them (Electron's login event).
	// It may wait, as long as its context. Not ok fails the connection. Nil
	// never has any.
	Credentials func(ctx context.Context, c ProxyChallenge) (user, password string, ok bool)
	// Roots are the authorities that HTTPS proxies and servers are verified
	// by. Nil is the system's.
	Roots *x509.CertPool
	// TLS judges certificates and limits TLS. Nil leaves it to Chromium.
	TLS *TLSConfig
	// Verify judges certificates as TLSConfig.Verify does where the gateway
	// speaks TLS without TLS settings: for WebSockets that are seen, and for
	// its transport.
	Verify func(ctx context.Context, r VerifyRequest) int
	// Upgrades sees and changes the handshakes of WebSockets. Nil lets them
	// pass.
	Upgrades Upgrader
	// Authority mints what the browser is shown where the gateway speaks TLS
	// with the server itself. The browser must trust it. A listener with TLS
	// or Upgrades needs one.
	Authority *Authority
	// Logger takes what goes wrong outside of a request. Nil drops it.
	Logger *slog.Logger

	sessions tls.ClientSessionCache // begun anew with TLS
}

// Gateway is the way out of one session: an HTTP proxy on a loopback port that
// Chromium uses, and a dialer that goes the same way. Its methods may be used
// from any goroutine.
//
// It sleeps at first: its port is held, who connects to it is refused, and
// Chromium, told to use this proxy or else none, goes directly.
type Gateway struct {
	port   *port
	log    *slog.Logger
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	options   Options // those for the next connection or request
	listener  net.Listener
	accepting chan struct{} // closed when the accepting goroutine has ended
	closed    bool
	ends      map[*end]struct{} // what CloseConnections ends

	turnedAway  int // peers that were refused
	toldRefusal time.Time

	counters counters
	failures *recent[error]
	reached  *recent[net.Addr]
	bad      badHops
	logins   logins
	verdicts verdicts
	spares   spares
	servers  *recent[ServerTLS]
	buffers  sync.Pool
}

// end ends a connection or an attempt at one.
type end struct{ run func() }

// New reserves the port. The gateway must be closed.
func New(options Options) (*Gateway, error) {
	p, err := reservePort()
	if err != nil {
		return nil, err
	}
	log := options.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	options.sessions = tls.NewLRUClientSessionCache(remembered)
	ctx, cancel := context.WithCancel(context.Background())
	return &Gateway{
		port:     p,
		log:      log,
		ctx:      ctx,
		cancel:   cancel,
		options:  options,
		ends:     map[*end]struct{}{},
		failures: newRecent[error](remembered),
		reached:  newRecent[net.Addr](remembered),
		verdicts: verdicts{known: newRecent[int](remembered), asking: map[string]*question{}},
		servers:  newRecent[ServerTLS](remembered),
		buffers:  sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
	}, nil
}

// Addr is the gateway's 127.0.0.1:port. It stays the same.
func (g *Gateway) Addr() string { return g.port.addr.String() }

// Wake starts to listen. A gateway that is awake stays so.
func (g *Gateway) Wake() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	if g.listener != nil {
		return nil
	}
	l, err := g.port.listen()
	if err != nil {
		return err
	}
	g.listener, g.accepting = l, make(chan struct{})
	go g.accept(l, g.accepting)
	return nil
}

// Sleep stops listening and closes every connection. The port stays reserved.
func (g *Gateway) Sleep() {
	g.rest()
	g.CloseConnections()
}

// rest stops listening.
func (g *Gateway) rest() {
	g.mu.Lock()
	l, accepting := g.listener, g.accepting
	g.listener = nil
	if l != nil {
		if err := g.port.rest(l); err != nil && !errors.Is(err, net.ErrClosed) {
			g.log.Warn("gateway: stopping to listen", "error", err)
		}
	}
	g.mu.Unlock()
	if l != nil {
		<-accepting
	}
}

// Close ends the listener, every connection and every goroutine, and waits for
// them. It gives the port back.
func (g *Gateway) Close() error {
	g.mu.Lock()
	closed := g.closed
	g.closed = true
	g.mu.Unlock()
	g.rest()
	g.cancel()
	g.CloseConnections()
	g.work.Wait()
	if closed {
		return nil
	}
	return g.port.release()
}

// CloseConnections closes the connections of now, idle or not, among them
// those of DialContext and Transport. Requests in flight fail.
func (g *Gateway) CloseConnections() {
	g.mu.Lock()
	all := make([]*end, 0, len(g.ends))
	for e := range g.ends {
		all = append(all, e)
	}
	g.mu.Unlock()
	for _, e := range all {
		e.run()
	}
}

// track lets CloseConnections and Close run a function, until it is forgotten.
func (g *Gateway) track(run func()) (forget func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, ErrClosed
	}
	return g.trackLocked(run), nil
}

func (g *Gateway) trackLocked(run func()) (forget func()) {
	e := &end{run}
	g.ends[e] = struct{}{}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.ends, e)
	}
}

// start runs a goroutine that Close waits for and CloseConnections ends.
func (g *Gateway) start(end func(), body func()) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	forget := g.trackLocked(end)
	g.work.Go(func() {
		defer forget()
		body()
	})
	return nil
}

// settings are the options for what begins now.
func (g *Gateway) settings() Options {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.options
}

// SetTLS takes other TLS settings, nil for none, for the connections that
// begin from now on. Verdicts stay remembered: see ForgetVerdicts.
func (g *Gateway) SetTLS(c *TLSConfig) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.options.TLS, g.options.sessions = c, tls.NewLRUClientSessionCache(remembered)
}

// Failure is why a server could last not be reached, nil when it could or
// nobody tried. Chromium itself only learns that the proxy failed. It is one
// of *RouteError, *ProxyError, *CertificateError, *TLSError, *net.DNSError and
// *net.OpError, or wraps them.
func (g *Gateway) Failure(hostport string) error {
	err, _ := g.failures.get(strings.ToLower(hostport))
	return err
}

// tell remembers how reaching a server went.
func (g *Gateway) tell(hostport string, err error) {
	if err == nil {
		g.failures.forget(strings.ToLower(hostport))
	} else {
		g.failures.put(strings.ToLower(hostport), err)
	}
}

func (g *Gateway) accept(l net.Listener, done chan struct{}) {
	defer close(done)
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			g.welcome(conn, false)
		case errors.Is(err, errTooManyFiles):
			// Who waits in the backlog is served when files are free again.
			time.Sleep(10 * time.Millisecond)
		default:
			g.mu.Lock()
			awake := g.listener == l
			g.mu.Unlock()
			if !awake {
				return
			}
			g.log.Warn("gateway: accepting a connection", "error", err)
			time.Sleep(10 * time.Millisecond)
		}
	}
}
