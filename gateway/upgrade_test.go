package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// sockets are servers that echo, and tell the headers they got.
func sockets(t *testing.T, real *Authority, name string) (plain, secure string) {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Server", name)
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.MessageText, []byte(name+" "+r.URL.String()+" "+r.Host+" "+r.Header.Get("X-Added")))
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			c.Write(r.Context(), kind, b)
		}
	})
	p := httptest.NewServer(handler)
	t.Cleanup(p.Close)
	s := site(t, real, 0, nil)
	s.Config.Handler = handler
	return p.Listener.Addr().String(), s.Listener.Addr().String()
}

// opened is a WebSocket as Chromium opens it: by a tunnel.
func opened(t *testing.T, g *Gateway, shown *Authority, scheme, address string) (*websocket.Conn, *http.Response, error) {
	tr := &http.Transport{
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			c, _ := connected(t, g, address)
			return c, nil
		},
		DialTLSContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			c, _ := connected(t, g, address)
			s := tls.Client(c, &tls.Config{RootCAs: pool(t, shown), ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}})
			return s, s.HandshakeContext(ctx)
		},
	}
	c, r, err := websocket.Dial(t.Context(), scheme+"://"+address+"/path?q", &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}})
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, r, err
}

// watcher is an Upgrader by functions.
type watcher struct {
	request  func(context.Context, *UpgradeRequest) error
	response func(*UpgradeResponse) error
	closed   chan [2]int64
	failed   chan error
	asked    atomic.Int32
}

func (w *watcher) Wants(hostport string, secure bool) bool { return true }

func (w *watcher) Upgrade(ctx context.Context, r *UpgradeRequest) (Upgrade, error) {
	w.asked.Add(1)
	return w, w.request(ctx, r)
}

func (w *watcher) Response(_ context.Context, r *UpgradeResponse) error { return w.response(r) }

func (w *watcher) Closed(sent, received int64, err error) {
	if err != nil {
		w.failed <- err
		return
	}
	w.closed <- [2]int64{sent, received}
}

func TestUpgrade_TheHandshakeIsSeenAndChanged(t *testing.T) {
	real, shown := authority(t), authority(t)
	plain, secure := sockets(t, real, "one")
	plain2, secure2 := sockets(t, real, "two")
	for scheme, address := range map[string]string{"ws": plain, "wss": secure} {
		other := map[string]string{"ws": plain2, "wss": secure2}[scheme]
		t.Run(scheme, func(t *testing.T) {
			w := &watcher{closed: make(chan [2]int64, 9), failed: make(chan error, 9)}
			w.request = func(_ context.Context, r *UpgradeRequest) error {
				if r.Method != "GET" || r.URL.String() != scheme+"://"+address+"/path?q" || len(r.Header) < 5 {
					t.Errorf("asked %+v", r)
				}
				r.Header = append(r.Header, HeaderLine{"X-Added", "yes"})
				return nil
			}
			w.response = func(r *UpgradeResponse) error {
				if !strings.Contains(r.StatusLine, " 101 ") {
					t.Errorf("answered %+v", r)
				}
				r.Header = append(r.Header, HeaderLine{"X-More", "much"})
				return nil
			}
			g := awake(t, Options{Roots: pool(t, real), Authority: shown, Upgrades: w})
			talk := func(want string) {
				t.Helper()
				c, r, err := opened(t, g, shown, scheme, address)
				if err != nil {
					t.Fatal(err)
				}
				if r.Header.Get("X-More") != "much" {
					t.Errorf("headers %v", r.Header)
				}
				if _, b, err := c.Read(t.Context()); string(b) != want {
					t.Errorf("got %q %v, want %q", b, err, want)
				}
				c.Write(t.Context(), websocket.MessageText, []byte("there"))
				if _, b, err := c.Read(t.Context()); string(b) != "there" {
					t.Errorf("got %q %v", b, err)
				}
				c.Close(websocket.StatusNormalClosure, "")
				if n := <-w.closed; n[0] == 0 || n[1] == 0 {
					t.Errorf("closed after %v", n)
				}
			}
			talk("one /path?q " + address + " yes")

			w.request = func(_ context.Context, r *UpgradeRequest) error {
				r.URL.Host, r.URL.Path = other, "/elsewhere"
				return nil
			}
			talk("two /elsewhere?q " + other + " ")

			cancelled := errors.New("cancelled")
			w.request = func(context.Context, *UpgradeRequest) error { return cancelled }
			if _, _, err := opened(t, g, shown, scheme, address); err == nil || <-w.failed != cancelled {
				t.Errorf("cancelled: %v", err)
			}
			w.request = func(context.Context, *UpgradeRequest) error { return nil }
			w.response = func(*UpgradeResponse) error { return cancelled }
			if _, _, err := opened(t, g, shown, scheme, address); err == nil || <-w.failed != cancelled {
				t.Errorf("cancelled response: %v", err)
			}
			w.response = func(r *UpgradeResponse) error { r.StatusLine = "HTTP/1.1 403 No"; return nil }
			if _, r, err := opened(t, g, shown, scheme, address); err == nil || r == nil || r.StatusCode != 403 || <-w.failed == nil {
				t.Errorf("another status: %v %v", r, err)
			}
		})
	}
}

func TestUpgrade_OtherTunnelsPass(t *testing.T) {
	real, shown := authority(t), authority(t)
	w := &watcher{request: func(context.Context, *UpgradeRequest) error { return nil }}
	g := awake(t, Options{Roots: pool(t, real), Authority: shown, Upgrades: w})
	// A page's TLS is not touched: the browser sees the server's certificate.
	if b := got(t, secureBrowser(t, g, real), site(t, real, 0, nil).URL); b != "HTTP/2.0 304 0" {
		t.Errorf("got %q", b)
	}
	server := tcpServer(t, "127.0.0.1:0", echo)
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: h\r\n\r\nbody", "GEThsemane", "x"} {
		c, r := connected(t, g, server)
		c.Write([]byte(text))
		b := make([]byte, len(text))
		if n, err := r.Read(b); string(b[:n]) != text {
			t.Errorf("%q came back as %q, %v", text, b[:n], err)
		}
	}
	if n := w.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestUpgrade_AQuestionEndsWithTheBrowser(t *testing.T) {
	ended := make(chan error, 1)
	w := &watcher{failed: make(chan error, 1), request: func(ctx context.Context, _ *UpgradeRequest) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}}
	g := awake(t, Options{Upgrades: w})
	c, _ := connected(t, g, tcpServer(t, "127.0.0.1:0", echo))
	c.Write([]byte("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
	eventually(t, "a question", func() bool { return w.asked.Load() == 1 })
	c.Close()
	<-ended
}

func TestUpgrade_TheServerIsReachedOnlyWhenTheHandshakeWasAskedFor(t *testing.T) {
	real, shown := authority(t), authority(t)
	var connections atomic.Int32
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { connections.Add(1); c.Close() })
	cancelled := errors.New("cancelled")
	w := &watcher{failed: make(chan error, 9), request: func(context.Context, *UpgradeRequest) error { return cancelled }}
	g := awake(t, Options{Roots: pool(t, real), Authority: shown, Upgrades: w})
	for _, scheme := range []string{"ws", "wss"} {
		if _, _, err := opened(t, g, shown, scheme, server); err == nil || <-w.failed != cancelled {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if n := connections.Load(); n != 0 || g.Failure(server) != nil {
		t.Errorf("%d connections, failure %v", n, g.Failure(server))
	}
	w.request = func(context.Context, *UpgradeRequest) error { return nil }
	for _, scheme := range []string{"ws", "wss"} {
		_, _, err := opened(t, g, shown, scheme, "127.0.0.1:1")
		if failed := <-w.failed; err == nil || !errors.Is(failed, syscall.ECONNREFUSED) {
			t.Errorf("%s to nobody: %v, told %v", scheme, err, failed)
		}
	}
	// A page's TLS gets an alert, because a plain end would send it directly.
	c, _ := connected(t, g, "127.0.0.1:1")
	s := tls.Client(c, &tls.Config{ServerName: "127.0.0.1", NextProtos: []string{"h2", "http/1.1"}})
	if err := s.Handshake(); err == nil || !strings.Contains(err.Error(), "handshake failure") {
		t.Errorf("a page sees %v", err)
	}
	if !errors.Is(g.Failure("127.0.0.1:1"), syscall.ECONNREFUSED) {
		t.Errorf("the failure is %v", g.Failure("127.0.0.1:1"))
	}
}

func TestUpgrade_CertificatesAreJudgedWithoutTLSSettings(t *testing.T) {
	_, secure := sockets(t, authority(t), "one") // of an authority that nobody knows
	shown := authority(t)
	for verdict, opens := range map[int]bool{0: true, keepResult: false} {
		w := &watcher{
			closed: make(chan [2]int64, 9), failed: make(chan error, 9),
			request: func(context.Context, *UpgradeRequest) error { return nil },
			response: func(r *UpgradeResponse) error {
				if r.RemoteAddr.String() != secure {
					t.Errorf("answered by %v", r.RemoteAddr)
				}
				return nil
			},
		}
		g := awake(t, Options{Authority: shown, Upgrades: w, Verify: func(context.Context, VerifyRequest) int { return verdict }})
		if _, _, err := opened(t, g, shown, "wss", secure); (err == nil) != opens {
			t.Errorf("verdict %d: %v", verdict, err)
		}
		if opens {
			continue
		}
		if refused, ok := errors.AsType[*CertificateError](<-w.failed); !ok || refused.Code != certAuthorityInvalid {
			t.Errorf("told %v", refused)
		}
	}
}

func TestDial_NamesBelowLocalhostAreTheLoopbackDevice(t *testing.T) {
	g := awake(t, Options{})
	_, port, _ := net.SplitHostPort(tcpServer(t, "127.0.0.1:0", echo))
	for _, host := range []string{"some.localhost", "some.LOCALHOST."} {
		c, r := connected(t, g, host+":"+port)
		c.Write([]byte("x"))
		if b, err := r.ReadByte(); b != 'x' {
			t.Errorf("%s: %v", host, err)
		}
	}
}
