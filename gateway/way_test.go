package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/icholy/digest"
)

func TestGateway_RefusesWhileAsleepAndKeepsItsPort(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }))
	defer server.Close()
	g, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for range 3 {
		if c, err := net.Dial("tcp", g.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("asleep: %v %v, want a refusal", c, err)
		}
		if l, err := net.Listen("tcp", g.Addr()); err == nil {
			l.Close()
			t.Fatal("another listener could take the port")
		}
		if err := errors.Join(g.Wake(), g.Wake()); err != nil {
			t.Fatal(err)
		}
		if s := got(t, browser(t, g), server.URL); s != "here" {
			t.Errorf("awake: %q", s)
		}
		g.Sleep()
	}
	g.Close()
	if err := g.Wake(); !errors.Is(err, ErrClosed) {
		t.Errorf("waking a closed gateway: %v", err)
	}
}

func TestGateway_SleepsAndWakesUnderLoad(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }))
	defer server.Close()
	g := awake(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var good atomic.Int32
	for range 8 {
		c := browser(t, g)
		work.Go(func() {
			for ctx.Err() == nil {
				if r, err := c.Get(server.URL); err == nil {
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
					good.Add(1)
				}
			}
		})
	}
	for range 10 {
		before := good.Load()
		eventually(t, "an answer while awake", func() bool { return good.Load() > before })
		g.Sleep()
		if err := g.Wake(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	work.Wait()
	g.Close()
	if n := g.Stats().Open; n != 0 {
		t.Errorf("%d connections are open after Close", n)
	}
}

func TestTunnel_CopiesBothWaysAndHalfCloses(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		server := tcpServer(t, address, func(c net.Conn) {
			b, _ := io.ReadAll(c)
			fmt.Fprintf(c, "got %d", len(b))
		})
		g := awake(t, Options{})
		c, r := connected(t, g, server)
		data := bytes.Repeat([]byte("x"), 3<<20)
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		c.CloseWrite()
		if b, err := io.ReadAll(r); err != nil || string(b) != fmt.Sprintf("got %d", len(data)) {
			t.Errorf("%s: %q %v", address, b, err)
		}
		if s := g.Stats(); s.BytesSent != int64(len(data)) || s.Connections != 1 {
			t.Errorf("%s: %+v", address, s)
		}
	}
}

func TestTunnel_AnswersAFailureAndRemembersWhy(t *testing.T) {
	proxy := newHTTPProxy(t)
	proxy.status.Store(403)
	refused := dead(t)
	for _, test := range []struct {
		name  string
		o     Options
		to    string
		check func(error) bool
	}{
		{"refused", Options{}, refused, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"no such host", Options{}, "no-such-host.invalid:443", func(err error) bool {
			_, ok := errors.AsType[*net.DNSError](err)
			return ok
		}},
		{"no route", Options{Resolver: resolverFunc(func(*url.URL) (Route, error) { return nil, io.ErrNoProgress })}, "a.test:443", func(err error) bool {
			_, ok := errors.AsType[*RouteError](err)
			return ok && errors.Is(err, io.ErrNoProgress)
		}},
		{"dead proxy", Options{Resolver: fixed{{Kind: HTTP, Addr: refused}}}, "a.test:443", func(err error) bool {
			e, ok := errors.AsType[*ProxyError](err)
			return ok && e.Status == 0 && errors.Is(err, syscall.ECONNREFUSED)
		}},
		{"proxy that refuses", Options{Resolver: fixed{proxy.hop(), {Kind: Direct}}}, refused, func(err error) bool {
			e, ok := errors.AsType[*ProxyError](err)
			return ok && e.Status == 403
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := awake(t, test.o)
			c := raw(t, g)
			fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\n\r\nbytes that nobody reads", test.to)
			b, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 502 ") {
				t.Errorf("answer %q, %v", b, err)
			}
			if err := g.Failure(test.to); !test.check(err) {
				t.Errorf("failure %v (%[1]T)", err)
			}
		})
	}
}

func TestTunnel_GoesTheNextHopWhenOneFails(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", echo)
	proxy := newHTTPProxy(t)
	g := awake(t, Options{Resolver: fixed{{Kind: HTTP, Addr: dead(t)}, {Kind: SOCKS5, Addr: dead(t)}, proxy.hop()}})
	connected(t, g, server)
	if n := proxy.connects.Load(); n != 1 {
		t.Errorf("the last proxy saw %d tunnels", n)
	}
	route := g.bad.order(fixedRoute(g))
	if route[0].Addr != proxy.addr {
		t.Errorf("what failed is not tried last: %v", route)
	}
	g.ClearBad()
	if route := g.bad.order(fixedRoute(g)); route[0].Addr == proxy.addr {
		t.Errorf("what failed is not forgotten: %v", route)
	}
}

func fixedRoute(g *Gateway) Route { return Route(g.settings().Resolver.(fixed)) }

func TestTunnel_GoesByEachKindOfProxy(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { io.WriteString(c, "hello") })
	_, port, _ := net.SplitHostPort(server)
	saw := make(chan string, 10)
	socks := socksProxy(t, "", "", func(s string) { saw <- s })
	secret := socksProxy(t, "me", "pass", func(s string) { saw <- s })
	http1 := newHTTPProxy(t)
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS()
	defer secure.Close()
	tlsProxy := &httpProxy{}
	tlsAddr := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { tlsProxy.serve(tls.Server(c, secure.TLS)) })
	for _, test := range []struct {
		hop       Hop
		host, saw string
	}{
		{Hop{Kind: SOCKS4, Addr: socks}, "127.0.0.1", "4 127.0.0.1:" + port},
		{Hop{Kind: SOCKS4, Addr: socks}, "localhost", "4 127.0.0.1:" + port},
		{Hop{Kind: SOCKS5, Addr: socks}, "localhost", "5 localhost:" + port},
		{Hop{Kind: SOCKS5, Addr: secret, User: url.UserPassword("me", "pass")}, "127.0.0.1", "5 127.0.0.1:" + port},
		{http1.hop(), "127.0.0.1", ""},
		{Hop{Kind: HTTPS, Addr: tlsAddr}, "127.0.0.1", ""},
	} {
		roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		g := awake(t, Options{Resolver: fixed{test.hop}, Roots: roots})
		_, r := connected(t, g, test.host+":"+port)
		if b, err := io.ReadAll(r); err != nil || string(b) != "hello" {
			t.Errorf("%v: %q %v", test.hop, b, err)
		}
		if test.saw != "" {
			if s := <-saw; s != test.saw {
				t.Errorf("%v: the proxy saw %q, want %q", test.hop, s, test.saw)
			}
		}
	}
}

func TestForward_LeavesTheBytesOfTheResponseAlone(t *testing.T) {
	for name, response := range map[string]string{
		"chunked":       "HTTP/1.1 200 Fine\r\nx-ODD: 1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
		"interim":       "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
		"until the end": "HTTP/1.0 200 OK\r\n\r\nall of it",
		"no HTTP":       "ICY 200 OK\n\nmusic",
		"short":         "HT",
		"nothing":       "",
		"407 of direct": "HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				want := "GET /p?q=1 HTTP/1.1\r\nhOST: h\r\nConnection: keep-alive\r\nX-a:  b \r\n\r\n"
				if string(b[:n]) != want {
					t.Errorf("the server got %q", b[:n])
				}
				io.WriteString(c, response)
			})
			g := awake(t, Options{})
			c := raw(t, g)
			fmt.Fprintf(c, "GET http://%s/p?q=1 HTTP/1.1\r\nhOST: h\r\nProxy-Connection: keep-alive\r\nX-a:  b \r\n\r\n", server)
			if b, err := io.ReadAll(c); err != nil || string(b) != response {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
}

func TestForward_BreaksWhereTheServerBreaks(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhalf")
		c.Read(make([]byte, 1))
		reset(c)
	})
	g := awake(t, Options{})
	c := raw(t, g)
	fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nContent-Length: 1000\r\n\r\n", server)
	b := make([]byte, len("HTTP/1.1 200 OK\r\n\r\nhalf"))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "x")
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a response that broke ended with %v", err)
	}
}

func TestForward_ClosesInOrderWhatHasNoAnswer(t *testing.T) {
	resets := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 1))
		reset(c)
	})
	for _, server := range []string{resets, dead(t)} {
		g := awake(t, Options{})
		c := raw(t, g)
		fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nContent-Length: 70000\r\n\r\n%s", server, strings.Repeat("x", 70000))
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("%q %v, want a clean end", b, err)
		}
		if g.Failure(server) == nil {
			t.Error("no failure is remembered")
		}
	}
}

func TestForward_RefusesWhatTwoReadersUnderstandDifferently(t *testing.T) {
	g := awake(t, Options{})
	for _, request := range []string{
		"POST http://h/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST http://h/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"POST http://h/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST http://h/ HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
		"POST http://h/ HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
		"POST http://h/ HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"GET http://h/ HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
		"GET http://h/ HTTP/1.1\r\nA : b\r\n\r\n",
		"GET http://h/ HTTP/1.1\nA: b\n\n",
		"GET http://h/ HTTP/1.1\r\nA: b\rc\r\n\r\n",
		"GET http://h/ HTTP/1.1\r\nA: " + strings.Repeat("x", headLimit) + "\r\n\r\n",
		"GET http://u:p@h/ HTTP/1.1\r\n\r\n",
		"GET ftp://h/ HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"\x16\x03\x01\r\n\r\n",
		"CONNECT h HTTP/1.1\r\n\r\n",
	} {
		c := raw(t, g)
		io.WriteString(c, request)
		b, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400 ") {
			t.Errorf("%.60q: %q %v", request, b, err)
		}
	}
}

func TestForward_NothingFollowsABodyThatIsBroken(t *testing.T) {
	requests := make(chan string, 4)
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		b, _ := io.ReadAll(c)
		requests <- string(b)
	})
	g := awake(t, Options{})
	c := raw(t, g)
	fmt.Fprintf(c, "POST http://%s/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET http://%[1]s/secret HTTP/1.1\r\n\r\n", server)
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if q := <-requests; strings.Contains(q, "secret") {
		t.Errorf("the server got %q", q)
	}
	if n := g.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestForward_KeepsTheConnectionAndFollowsTheRoute(t *testing.T) {
	var connections atomic.Int32
	serve := func(name string) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s%s %s", name, r.URL.Path, b)
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	one, two := serve("one"), serve("two")
	proxy := newHTTPProxy(t)
	var route atomic.Pointer[Route]
	route.Store(&Route{{Kind: Direct}})
	g := awake(t, Options{Resolver: resolverFunc(func(*url.URL) (Route, error) { return *route.Load(), nil })})
	var dials atomic.Int32
	c := browser(t, g)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	post := func(s *httptest.Server, body io.Reader) string {
		t.Helper()
		r, err := c.Post(s.URL+"/x", "", body)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
	chunked := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for _, body := range []io.Reader{strings.NewReader("a"), chunked("a"), strings.NewReader("a")} {
		if s := post(one, body); s != "one/x a" {
			t.Errorf("got %q", s)
		}
	}
	if s := post(two, chunked("b")); s != "two/x b" {
		t.Errorf("got %q", s)
	}
	if n := connections.Load(); n != 2 || dials.Load() != 1 {
		t.Errorf("%d connections to servers, %d to the gateway", n, dials.Load())
	}
	route.Store(&Route{proxy.hop()})
	if s := post(two, chunked("c")); s != "two/x c" || proxy.requests.Load() != 1 || dials.Load() != 1 {
		t.Errorf("got %q, the proxy saw %d requests, %d connections", s, proxy.requests.Load(), dials.Load())
	}
}

func TestForward_PassesAnUpgradeOn(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
		echo(c)
	})
	g := awake(t, Options{})
	c := raw(t, g)
	fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", server)
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
	io.ReadFull(c, make([]byte, len(want)))
	io.WriteString(c, "GET http://not-for-you/ HTTP/1.1\r\n\r\n")
	c.CloseWrite()
	if b, _ := io.ReadAll(c); string(b) != "GET http://not-for-you/ HTTP/1.1\r\n\r\n" {
		t.Errorf("got %q", b)
	}
}

func TestProxyLogin(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q", b, r.Header["Proxy-Authorization"])
	}))
	defer server.Close()
	basic := func(r *http.Request) string {
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if u, p, _ := r.BasicAuth(); u == "me" && p == "secret" {
			r.Header.Del("Proxy-Authorization")
			r.Header.Del("Authorization")
			return ""
		}
		return `Basic realm="the realm"`
	}
	digested := func(r *http.Request) string {
		const challenge = `Digest realm="the realm", nonce="abc", qop="auth", algorithm=MD5`
		c, err := digest.ParseCredentials(r.Header.Get("Proxy-Authorization"))
		if err != nil {
			return challenge
		}
		parsed, _ := digest.ParseChallenge(challenge)
		want, _ := digest.Digest(parsed, digest.Options{Method: r.Method, URI: c.URI, Username: "me", Password: "secret", Cnonce: c.Cnonce, Count: c.Nc})
		if want.Response != c.Response {
			return challenge
		}
		r.Header.Del("Proxy-Authorization")
		return ""
	}
	for scheme, check := range map[string]func(*http.Request) string{"basic": basic, "digest": digested} {
		t.Run(scheme, func(t *testing.T) {
			proxy := newHTTPProxy(t)
			proxy.authorized = check
			var asked atomic.Int32
			g := awake(t, Options{Resolver: fixed{proxy.hop()}, Credentials: func(_ context.Context, c ProxyChallenge) (string, string, bool) {
				if c.Scheme != scheme || c.Realm != "the realm" || c.Proxy != proxy.hop() {
					t.Errorf("asked for %+v", c)
				}
				if n := asked.Add(1); c.Rejected != (n == 2) {
					t.Errorf("question %d says rejected %v", n, c.Rejected)
				} else if n == 1 {
					return "me", "wrong", true
				}
				return "me", "secret", true
			}})
			// The first request has a body, which is sent again.
			r, err := browser(t, g).Post(server.URL, "", io.MultiReader(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			if b, _ := io.ReadAll(r.Body); string(b) != "body []" {
				t.Errorf("got %q", b)
			}
			got(t, browser(t, g), server.URL)
			connected(t, g, server.Listener.Addr().String())
			if n := asked.Load(); n != 2 {
				t.Errorf("asked %d times", n)
			}
			g.ClearCredentials()
			connected(t, g, server.Listener.Addr().String())
			if n := asked.Load(); n != 3 {
				t.Errorf("asked %d times after forgetting", n)
			}
		})
	}
	t.Run("of the hop, and many at once ask once", func(t *testing.T) {
		proxy := newHTTPProxy(t)
		proxy.authorized = basic
		var asked atomic.Int32
		o := Options{Resolver: fixed{{Kind: HTTP, Addr: proxy.addr, User: url.UserPassword("me", "secret")}}}
		connected(t, awake(t, o), server.Listener.Addr().String())
		o = Options{Resolver: fixed{proxy.hop()}, Credentials: func(context.Context, ProxyChallenge) (string, string, bool) {
			asked.Add(1)
			return "me", "secret", true
		}}
		g := awake(t, o)
		var work sync.WaitGroup
		for range 10 {
			work.Go(func() { got(t, browser(t, g), server.URL) })
		}
		work.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("refused", func(t *testing.T) {
		proxy := newHTTPProxy(t)
		proxy.authorized = basic
		g := awake(t, Options{Resolver: fixed{proxy.hop(), {Kind: Direct}}})
		c := raw(t, g)
		fmt.Fprintf(c, "GET %s/ HTTP/1.1\r\n\r\n", server.URL)
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("%q %v", b, err)
		}
		if e, ok := errors.AsType[*ProxyError](g.Failure(server.Listener.Addr().String())); !ok || e.Status != 407 {
			t.Errorf("failure %v", e)
		}
	})
}

func TestGateway_ClosesConnectionsAtOnce(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { io.Copy(io.Discard, c) })
	g := awake(t, Options{})
	idle := raw(t, g)
	tunnel, _ := connected(t, g, server)
	hanging := raw(t, g)
	fmt.Fprintf(hanging, "GET http://%s/ HTTP/1.1\r\n\r\n", server)
	own, err := g.DialContext(t.Context(), &url.URL{Scheme: "http", Host: server})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "three connections", func() bool { return g.Stats().Open == 3 })
	g.CloseConnections()
	for name, c := range map[string]net.Conn{"idle": idle, "tunnel": tunnel, "hanging": hanging} {
		if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if _, err := own.Read(make([]byte, 1)); err == nil {
		t.Error("the bridge's own connection is open")
	}
	own.Close()
	eventually(t, "no connection", func() bool { return g.Stats().Open == 0 })
	connected(t, g, server)
}

func TestGateway_EndsWhatHangsAtClose(t *testing.T) {
	silent := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { io.Copy(io.Discard, c) })
	asked := make(chan bool)
	waits := newHTTPProxy(t)
	waits.authorized = func(*http.Request) string { return `Basic realm="r"` }
	routes := map[string]Route{
		"a": {{Kind: HTTP, Addr: silent}}, "b": {{Kind: SOCKS5, Addr: silent}}, "c": {{Kind: SOCKS4, Addr: silent}},
		"d": {{Kind: HTTPS, Addr: silent}}, "e": {waits.hop()},
	}
	g, err := New(Options{
		Resolver: resolverFunc(func(u *url.URL) (Route, error) { return routes[u.Hostname()], nil }),
		MapHost: func(hostport string) (string, error) {
			if strings.HasPrefix(hostport, "127.") { // a proxy
				return hostport, nil
			}
			return silent, nil
		},
		Credentials: func(ctx context.Context, _ ProxyChallenge) (string, string, bool) {
			asked <- true
			<-ctx.Done()
			return "", "", false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Wake(); err != nil {
		t.Fatal(err)
	}
	for host := range routes {
		c := raw(t, g)
		fmt.Fprintf(c, "CONNECT %s:443 HTTP/1.1\r\n\r\n", host)
	}
	<-asked
	start := time.Now()
	g.Close()
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("closing took %v", d)
	}
}

func TestGateway_CarriesAThousandConnectionsAtOnce(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", echo)
	g := awake(t, Options{})
	var work sync.WaitGroup
	for i := range 1000 {
		work.Go(func() {
			c, err := net.Dial("tcp", g.Addr())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(15 * time.Second))
			text := fmt.Sprint("number ", i)
			fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\n\r\n%s", server, text)
			want := "HTTP/1.1 200 OK\r\n\r\n" + text
			b := make([]byte, len(want))
			if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
				t.Errorf("%q %v", b, err)
			}
		})
	}
	work.Wait()
	eventually(t, "all closed", func() bool { return g.Stats().Open == 0 })
	if n := g.Stats().Connections; n != 1000 {
		t.Errorf("%d connections", n)
	}
}
