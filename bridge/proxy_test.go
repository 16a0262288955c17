package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/cdpbridge/cdpbridge/gateway"
)

// httpProxy is an HTTP proxy that leads all hosts to this machine and counts what
// it is asked for.
type httpProxy struct {
	*httptest.Server
	password string // that it asks for, "" for none

	mu    sync.Mutex
	asked []string // method and host
}

func newHTTPProxy(t *testing.T, password string) *httpProxy {
	t.Helper()
	p := &httpProxy{password: password}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *httpProxy) addr() string { return p.Listener.Addr().String() }

// requests are the hosts that it was asked for.
func (p *httpProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.asked...)
}

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.password != "" {
		login := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if _, password, _ := login.BasicAuth(); password != p.password {
			w.Header().Set("Proxy-Authenticate", `Basic realm="the proxy"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
	}
	host, port, _ := net.SplitHostPort(r.Host)
	if !strings.HasSuffix(host, ".test") { // what Chromium asks for on its own account
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	here := "127.0.0.1:" + port
	if r.Method != http.MethodConnect {
		forward := httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", here }}
		forward.ServeHTTP(w, r)
		return
	}
	server, err := net.Dial("tcp", here)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go io.Copy(server, client)
	io.Copy(client, server)
}

// setProxy sets a session's proxy.
func setProxy(t *testing.T, s *Session, c ProxyConfig) {
	t.Helper()
	if err := s.SetProxy(testContext(t), c); err != nil {
		t.Fatal(err)
	}
}

func TestSetProxy_LeadsTheRequestsOfItsSessionOnly(t *testing.T) {
	server := fixture.New(t)
	o := testOptions(server, "")
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, kind := range []string{"default", "memory", "own process"} {
		t.Run(kind, func(t *testing.T) {
			proxy := newHTTPProxy(t, "")
			s, other := b.DefaultSession(), sessionOf(t, b, kind+" other", PartitionOptions{})
			if kind != "default" {
				s = sessionOf(t, b, kind, PartitionOptions{OwnProcess: kind == "own process"})
			}
			page, control := testPage(t, s, server.URL("a.test", "/")), testPage(t, other, server.URL("a.test", "/"))
			live := `fetch("/small?" + Math.random()).then(r => r.status)`
			want(t, page, live, 200)
			if n := len(proxy.requests()); n != 0 {
				t.Fatalf("the proxy was asked before it was set: %v", proxy.requests())
			}
			setProxy(t, s, ProxyConfig{ProxyRules: proxy.addr()})
			want(t, page, live, 200)
			if got := proxy.requests(); len(got) != 1 || !strings.HasPrefix(got[0], "GET a.test:") {
				t.Errorf("of the live page the proxy has %q", got)
			}
			testPage(t, s, server.TLSURL("good.test", "/"))
			if got := proxy.requests(); len(got) < 2 || !strings.HasPrefix(got[len(got)-1], "CONNECT good.test:") {
				t.Errorf("of https the proxy has %q", got)
			}
			fetchedText(t, s, server.URL("fetched.test", "/small"))
			if got := proxy.requests(); got[len(got)-1] != "GET "+hostOf(server.URL("fetched.test", "/")) {
				t.Errorf("of Fetch the proxy has %q", got)
			}
			before := len(proxy.requests())
			want(t, control, live, 200)
			setProxy(t, s, ProxyConfig{Mode: ProxyDirect})
			want(t, page, live, 200)
			if got := proxy.requests(); len(got) != before {
				t.Errorf("without a proxy it has %q", got[before:])
			}
			if stats := s.NetworkStats(); stats.Connections < 3 || stats.BytesReceived == 0 {
				t.Errorf("%+v", stats)
			}
			if stats := other.NetworkStats(); stats != (NetworkStats{}) {
				t.Errorf("of the other session %+v", stats)
			}
		})
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Host
}

// sessionOf is a session of a browser that ends with the test.
func sessionOf(t *testing.T, b *Browser, name string, o PartitionOptions) *Session {
	t.Helper()
	s, err := b.FromPartition(testContext(t), t.Name()+name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSetProxy_ADeadProxyIsNeverLeftForTheDirectWay(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	s := memorySession(t)
	page := testPage(t, s, server.URL("a.test", "/"))
	dead := closedPort(t)
	setProxy(t, s, ProxyConfig{ProxyRules: dead})
	count := len(server.Requests())
	for _, address := range []string{server.URL("a.test", "/small"), server.TLSURL("good.test", "/small")} {
		err := page.LoadURL(testContext(t), address, LoadOptions{})
		var failed *LoadError
		if !errors.As(err, &failed) || failed.Code != "net::ERR_PROXY_CONNECTION_FAILED" {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := s.Fetch(fetchRequest(t, "GET", address, nil), FetchOptions{}); !errors.Is(err, netProxyConnectionFailed) {
			t.Errorf("fetching %s: %v", address, err)
		}
	}
	if n := len(server.Requests()); n != count {
		t.Errorf("the server was asked %d times", n-count)
	}
	setProxy(t, s, ProxyConfig{ProxyRules: dead + ",direct://"})
	if err := page.LoadURL(testContext(t), server.URL("a.test", "/small"), LoadOptions{}); err != nil {
		t.Errorf("with leave to go directly: %v", err)
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSetProxy_WCO4668_ProxiesThatAskForCredentialsAreAnswered(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	proxy := newHTTPProxy(t, "open sesame")
	asking, knowing, without := namedSession(t, "asking"), namedSession(t, "knowing"), namedSession(t, "without")
	asked := make(chan AuthRequest, 10)
	asking.SetAuthHandler(func(_ context.Context, r AuthRequest) (Credentials, bool) {
		asked <- r
		return Credentials{"user", "open sesame"}, true
	})
	setProxy(t, asking, ProxyConfig{ProxyRules: proxy.addr()})
	setProxy(t, knowing, ProxyConfig{ProxyRules: "http://user:open%20sesame@" + proxy.addr()})
	setProxy(t, without, ProxyConfig{ProxyRules: proxy.addr()})
	testPage(t, asking, server.URL("a.test", "/"))
	r := next(t, asked)
	if !r.IsProxy || r.Scheme != "basic" || net.JoinHostPort(r.Host, fmt.Sprint(r.Port)) != proxy.addr() || r.Realm != "the proxy" || !r.FirstAttempt {
		t.Errorf("%+v", r)
	}
	testPage(t, asking, server.TLSURL("good.test", "/"))
	if len(asked) != 0 {
		t.Errorf("asked once more: %+v", <-asked)
	}
	t.Run("NSE-0060 Fetch has what a page was asked for", func(t *testing.T) {
		if text := fetchedText(t, asking, server.URL("a.test", "/small")); text == "" || len(asked) != 0 {
			t.Errorf("%q, asked %d times more", text, len(asked))
		}
	})
	t.Run("ClearAuthCache makes the proxy ask again", func(t *testing.T) {
		if err := asking.ClearAuthCache(testContext(t)); err != nil {
			t.Fatal(err)
		}
		testPage(t, asking, server.URL("a.test", "/small"))
		if r := next(t, asked); !r.IsProxy || !r.FirstAttempt {
			t.Errorf("%+v", r)
		}
	})
	testPage(t, knowing, server.TLSURL("good.test", "/"))
	_, err := without.NewPage(testContext(t), server.TLSURL("good.test", "/"))
	var failed *LoadError
	if !errors.As(err, &failed) || failed.Code != netInvalidAuthCredentials.Error() {
		t.Errorf("without credentials: %v", err)
	}
}

func TestResolveProxy_APP2388_TellsTheWay(t *testing.T) {
	for _, kind := range []string{"default", "memory"} {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			if kind == "default" {
				defer setProxy(t, s, ProxyConfig{Mode: ProxyDirect})
			}
			resolvesProxies(t, s)
		})
	}
}

func resolvesProxies(t *testing.T, s *Session) {
	for _, test := range []struct {
		name   string
		config ProxyConfig
		url    string
		want   string
	}{
		{"nothing set", ProxyConfig{}, "http://example.com/", "DIRECT"},
		{"SES-0775 rules", ProxyConfig{ProxyRules: "http=myproxy:80"}, "http://example.com/", "PROXY myproxy:80"},
		{"SES-0782 loopback hosts", ProxyConfig{ProxyRules: "http=myproxy:80", ProxyBypassRules: "<-loopback>"}, "http://localhost", "PROXY myproxy:80"},
		{"SES-0820 local hosts", ProxyConfig{ProxyRules: "http=myproxy:80", ProxyBypassRules: "<local>"}, "http://example/", "DIRECT"},
		{"SES-0830 mode direct", ProxyConfig{Mode: "direct", ProxyRules: "http=myproxy:80"}, "http://example.com/", "DIRECT"},
		{"SES-0837 mode auto_detect", ProxyConfig{Mode: "auto_detect"}, "http://localhost/", "DIRECT"},
		{"SES-0849 mode fixed_servers", ProxyConfig{Mode: "fixed_servers", ProxyRules: "http=myproxy:80"}, "http://example.com/", "PROXY myproxy:80"},
		{"SES-0856 mode system", ProxyConfig{Mode: "system"}, "http://localhost/", "DIRECT"},
		{"CX93 lists", ProxyConfig{ProxyRules: "foopy:80,bar,direct://"}, "http://x.test/", "PROXY foopy:80;PROXY bar:80;DIRECT"},
		{"CX93 SOCKS4", ProxyConfig{ProxyRules: "socks4://foopy"}, "http://x.test/", "SOCKS foopy:1080"},
		{"CX93 SOCKS5", ProxyConfig{ProxyRules: "socks5://bar.com"}, "http://x.test/", "SOCKS5 bar.com:1080"},
		{"CX93 HTTPS", ProxyConfig{ProxyRules: "https://p:443"}, "http://x.test/", "HTTPS p:443"},
	} {
		t.Run(test.name, func(t *testing.T) {
			setProxy(t, s, test.config)
			got, err := s.ResolveProxy(testContext(t), test.url)
			if err != nil || got != test.want {
				t.Errorf("%q, %v, want %q", got, err, test.want)
			}
		})
	}
	t.Run("SES-0861 mode invalid", func(t *testing.T) {
		err := s.SetProxy(testContext(t), ProxyConfig{Mode: "invalid"})
		if err == nil || !strings.Contains(err.Error(), "Invalid mode, must be one of direct, auto_detect, pac_script, fixed_servers or system") {
			t.Error(err)
		}
	})
	if _, err := s.ResolveProxy(testContext(t), "no URL"); !errors.As(err, new(*InvalidArgumentError)) {
		t.Error(err)
	}
}

func TestSetProxy_CX92_AfterCloseAllConnectionsNothingGoesByTheOldProxy(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	s := memorySession(t)
	first, second := newHTTPProxy(t, ""), newHTTPProxy(t, "")
	const live = `fetch("/small?" + Math.random()).then(r => r.status)`
	setProxy(t, s, ProxyConfig{ProxyRules: first.addr()})
	page := testPage(t, s, server.URL("a.test", "/"))
	want(t, page, live, 200)
	setProxy(t, s, ProxyConfig{ProxyRules: second.addr()})
	if err := s.CloseAllConnections(testContext(t)); err != nil {
		t.Fatal(err)
	}
	before := len(first.requests())
	want(t, page, live, 200)
	if len(first.requests()) != before || len(second.requests()) == 0 {
		t.Errorf("the old proxy has %q, the new one %q", first.requests()[before:], second.requests())
	}
}

func TestForceReloadProxyConfig_SES0866_FetchesThePACScriptAgain(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	var mu sync.Mutex
	port := 8132
	server.Handle("/pac", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, `function FindProxyForURL(url, host) { return "PROXY myproxy:%d"; }`, port)
	})
	s := memorySession(t)
	setProxy(t, s, ProxyConfig{Mode: "pac_script", PACScript: server.URL("127.0.0.1", "/pac")})
	resolves := func(want string) {
		t.Helper()
		if got, err := s.ResolveProxy(testContext(t), "http://example.com/"); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	resolves("PROXY myproxy:8132")
	mu.Lock()
	port = 8133
	mu.Unlock()
	resolves("PROXY myproxy:8132")
	if err := s.ForceReloadProxyConfig(testContext(t)); err != nil {
		t.Fatal(err)
	}
	resolves("PROXY myproxy:8133")
}

func TestSetProxy_APACScriptThatIsMissingLetsNothingThrough(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	s := memorySession(t)
	setProxy(t, s, ProxyConfig{PACScript: server.URL("127.0.0.1", "/nowhere.pac")})
	_, err := s.NewPage(testContext(t), server.TLSURL("good.test", "/"))
	var failed *LoadError
	if !errors.As(err, &failed) || failed.Code != "net::ERR_MANDATORY_PROXY_CONFIGURATION_FAILED" {
		t.Error(err)
	}
}

func TestSetProxyFunc_DecidesEachRequest(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	one, two := newHTTPProxy(t, ""), newHTTPProxy(t, "")
	s := memorySession(t)
	err := s.SetProxyFunc(testContext(t), func(_ context.Context, u *url.URL) (string, error) {
		switch u.Hostname() {
		case "one.test":
			return "PROXY " + one.addr(), nil
		case "two.test":
			return "PROXY " + two.addr(), nil
		case "panic.test":
			panic("of the function")
		}
		return "", errors.New("nowhere")
	})
	if err != nil {
		t.Fatal(err)
	}
	testPage(t, s, server.URL("one.test", "/small"))
	testPage(t, s, server.URL("two.test", "/small"))
	for proxy, host := range map[*httpProxy]string{one: "one.test", two: "two.test"} {
		for _, asked := range proxy.requests() {
			if !strings.HasPrefix(asked, "GET "+host+":") {
				t.Errorf("the proxy for %s was asked %s", host, asked)
			}
		}
		if len(proxy.requests()) == 0 {
			t.Errorf("the proxy for %s was not asked", host)
		}
	}
	secure := sharedServer(t)
	if err := s.SetProxyFunc(testContext(t), func(_ context.Context, u *url.URL) (string, error) {
		if u.Scheme != "https" {
			return "", errors.New("only https")
		}
		return "DIRECT", nil
	}); err != nil {
		t.Fatal(err)
	}
	testPage(t, s, secure.TLSURL("good.test", "/"))
	for _, host := range []string{"three.test", "panic.test"} {
		if _, err := s.NewPage(testContext(t), server.URL(host, "/small")); err == nil {
			t.Errorf("%s was reached", host)
		}
	}
}

func TestSetProxy_HoldsAfterACrash(t *testing.T) {
	b, server := ownBrowser(t)
	for name, o := range map[string]PartitionOptions{"shared": {}, "own": {OwnProcess: true}} {
		proxy := newHTTPProxy(t, "")
		s := sessionOf(t, b, name, o)
		setProxy(t, s, ProxyConfig{ProxyRules: proxy.addr()})
		kill(t, s)
		testPage(t, s, server.URL("a.test", "/small"))
		if len(proxy.requests()) == 0 {
			t.Errorf("%s: nothing went through the proxy", name)
		}
	}
}

func TestProxy_TheSystemsHoldsWithoutSettings(t *testing.T) {
	server := fixture.New(t)
	proxy := newHTTPProxy(t, "")
	t.Setenv("http_proxy", proxy.URL)
	b, err := Launch(testContext(t), testOptions(server, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for host, s := range map[string]*Session{"default.test": b.DefaultSession(), "created.test": sessionOf(t, b, "created", PartitionOptions{})} {
		testPage(t, s, server.URL(host, "/small"))
		if !slices.Contains(proxy.requests(), "GET "+hostOf(server.URL(host, "/"))) {
			t.Errorf("for %s the proxy has %q", host, proxy.requests())
		}
		if got, err := s.ResolveProxy(testContext(t), "http://x.test/"); err != nil || got != "PROXY "+proxy.addr() {
			t.Errorf("%s: %q, %v", host, got, err)
		}
	}
}

func TestSetProxy_WrongSettingsChangeNothing(t *testing.T) {
	t.Parallel()
	s := namedSession(t, "wrong")
	setProxy(t, s, ProxyConfig{ProxyRules: "kept.test:3128"})
	for _, c := range []ProxyConfig{
		{Mode: "sideways"},
		{ProxyRules: "gopher://proxy.test"},
		{ProxyRules: "proxy.test", ProxyBypassRules: "http://"},
		{PACScript: "ftp://pac.test/proxy.pac"},
	} {
		if err := s.SetProxy(testContext(t), c); !errors.As(err, new(*gateway.ConfigError)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if got, err := s.ResolveProxy(testContext(t), "http://x.test/"); err != nil || got != "PROXY kept.test:3128" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSetProxy_IsDoneToItsEndWhoeverWaits(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	for name, patience := range map[string]time.Duration{"none": 0, "little": 3 * time.Millisecond} {
		s := namedSession(t, name)
		proxy := newHTTPProxy(t, "")
		page := testPage(t, s, server.URL("a.test", "/"))
		ctx, cancel := context.WithTimeout(testContext(t), patience)
		if err := s.SetProxy(ctx, ProxyConfig{ProxyRules: proxy.addr()}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s: %v", name, err)
		}
		cancel()
		if err := s.outlet.changing.take(testContext(t)); err != nil { // who is changing it has ended
			t.Fatal(err)
		}
		s.outlet.changing.give()
		way, err := s.ResolveProxy(testContext(t), server.URL("a.test", "/"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, page, `fetch("/small?" + Math.random()).then(r => r.status)`, 200)
		if went := len(proxy.requests()) > 0; went != (way != "DIRECT") {
			t.Errorf("%s: the way is %s, and the proxy has %q", name, way, proxy.requests())
		}
	}
}

func TestSetProxy_FindsTheProxyByTheHostRules(t *testing.T) {
	t.Parallel()
	server, proxy := fixture.New(t), newHTTPProxy(t, "")
	s := memorySession(t)
	_, port, _ := net.SplitHostPort(proxy.addr())
	setProxy(t, s, ProxyConfig{ProxyRules: "proxy.test:" + port})
	testPage(t, s, server.URL("a.test", "/small"))
	if len(proxy.requests()) == 0 {
		t.Error("the proxy was not asked")
	}
}
