package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newTestProxy(t *testing.T, config ProxyConfig, options ProxyOptions) *Proxy {
	t.Helper()
	p, err := NewProxy(config, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func routeOf(t *testing.T, r Resolver, address string) (Route, error) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return r.Route(t.Context(), u)
}

func wantRoute(t *testing.T, r Resolver, address, want string) {
	t.Helper()
	route, err := routeOf(t, r, address)
	if err != nil || route.String() != want {
		t.Errorf("%s: %s, %v, want %s", address, route, err, want)
	}
}

// pacServer serves a script that may change, and counts its fetches.
type pacServer struct {
	*httptest.Server
	script  atomic.Value
	fetches atomic.Int32
}

func newPACServer(t *testing.T, script string) *pacServer {
	s := &pacServer{}
	s.script.Store(script)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		io.WriteString(w, s.script.Load().(string))
	}))
	t.Cleanup(s.Close)
	return s
}

// always is a script with one answer.
func always(result string) string {
	return fmt.Sprintf("function FindProxyForURL(url, host) { return %q }", result)
}

func TestSetProxy(t *testing.T) {
	for _, c := range []struct {
		name   string
		config ProxyConfig
		url    string
		want   string
	}{
		{"SES-0775 rules for http", ProxyConfig{ProxyRules: "http=myproxy:80"}, "http://example.com/", "PROXY myproxy:80"},
		{"SES-0782 <-loopback> takes the implicit bypass away", ProxyConfig{ProxyRules: "http=myproxy:80", ProxyBypassRules: "<-loopback>"}, "http://localhost", "PROXY myproxy:80"},
		{"localhost is bypassed else", ProxyConfig{ProxyRules: "http=myproxy:80"}, "http://localhost", "DIRECT"},
		{"SES-0820 <local> bypasses dotless hosts", ProxyConfig{ProxyRules: "http=myproxy:80", ProxyBypassRules: "<local>"}, "http://example/", "DIRECT"},
		{"SES-0830 mode direct ignores rules", ProxyConfig{Mode: ModeDirect, ProxyRules: "http=myproxy:80"}, "http://example.com/", "DIRECT"},
		{"SES-0849 mode fixed_servers", ProxyConfig{Mode: ModeFixedServers, ProxyRules: "http=myproxy:80"}, "http://example.com/", "PROXY myproxy:80"},
		{"CX93 a list", ProxyConfig{ProxyRules: "foopy:80,bar,direct://"}, "http://example.com/", "PROXY foopy:80;PROXY bar:80;DIRECT"},
		{"CX93 SOCKS4", ProxyConfig{ProxyRules: "socks4://foopy"}, "http://example.com/", "SOCKS foopy:1080"},
		{"CX93 SOCKS5", ProxyConfig{ProxyRules: "socks5://bar.com"}, "http://example.com/", "SOCKS5 bar.com:1080"},
		{"CX93 HTTPS", ProxyConfig{ProxyRules: "https://p:443"}, "http://example.com/", "HTTPS p:443"},
		{"the zero value", ProxyConfig{}, "http://example.com/", "DIRECT"},
		{"bypass alone", ProxyConfig{ProxyBypassRules: "<-loopback>"}, "http://localhost/", "DIRECT"},
		{"pac_script without a script", ProxyConfig{Mode: ModePACScript, ProxyRules: "p"}, "http://example.com/", "DIRECT"},
		{"the script wins over rules", ProxyConfig{PACScript: "data:," + always("PROXY pac:1"), ProxyRules: "p"}, "http://example.com/", "PROXY pac:1"},
		{"the mode wins over the script", ProxyConfig{Mode: ModeFixedServers, PACScript: "data:," + always("PROXY pac:1"), ProxyRules: "p"}, "http://example.com/", "PROXY p:80"},
		{"what the mode does not use is not read", ProxyConfig{Mode: ModeDirect, ProxyRules: "::", ProxyBypassRules: "/", PACScript: "x"}, "http://example.com/", "DIRECT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantRoute(t, newTestProxy(t, c.config, ProxyOptions{}), c.url, c.want)
		})
	}
}

func TestSetProxy_WrongSettings(t *testing.T) {
	t.Run("SES-0861 an invalid mode", func(t *testing.T) {
		_, err := NewProxy(ProxyConfig{Mode: "invalid"}, ProxyOptions{})
		var wrong *ConfigError
		if !errors.As(err, &wrong) || err.Error() != "Invalid mode, must be one of direct, auto_detect, pac_script, fixed_servers or system" {
			t.Errorf("got %v", err)
		}
	})
	for _, config := range []ProxyConfig{
		{ProxyRules: "http=a:b"},
		{ProxyRules: "a", ProxyBypassRules: "b/c"},
		{PACScript: "ftp://a/b"},
		{PACScript: "proxy.pac"},
		{PACScript: "http:///x"},
		{PACScript: "http://a b/"},
		{PACScript: "file://host/x"},
	} {
		_, err := NewProxy(config, ProxyOptions{})
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Part == "" {
			t.Errorf("%+v: %v, want a *ConfigError", config, err)
		}
	}
}

func TestPACScript_ErrorsShowNoPasswords(t *testing.T) {
	for _, address := range []string{"http://user:secret@127.0.0.1:1/", "http://user:secret@a b/", "http://user:" + strings.Repeat("secret", 50) + "@127.0.0.1:1/"} {
		p, err := NewProxy(ProxyConfig{PACScript: address}, ProxyOptions{})
		if err == nil {
			_, err = routeOf(t, p, "http://example.com/")
		}
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}

func TestResolveProxy_CX93_WrongURLsHaveNoRoute(t *testing.T) {
	p := newTestProxy(t, ProxyConfig{}, ProxyOptions{})
	for _, u := range []*url.URL{nil, {}, {Path: "example.com"}, {Scheme: "http"}, {Scheme: "http", Host: "a b"}} {
		if route, err := p.Route(t.Context(), u); err == nil || route.String() != "" {
			t.Errorf("%v: %s", u, route)
		}
	}
}

func TestRoute_CallersMayChangeIt(t *testing.T) {
	p := newTestProxy(t, ProxyConfig{ProxyRules: "a,b"}, ProxyOptions{})
	route, _ := routeOf(t, p, "http://x.test/")
	route[0].Addr = "changed"
	wantRoute(t, p, "http://x.test/", "PROXY a:80;PROXY b:80")
}

func TestForceReloadProxyConfig_SES0866_FetchesTheScriptAgain(t *testing.T) {
	s := newPACServer(t, always("PROXY one:1"))
	p := newTestProxy(t, ProxyConfig{PACScript: s.URL + "/proxy.pac"}, ProxyOptions{})
	wantRoute(t, p, "http://example.com/", "PROXY one:1")
	s.script.Store(always("PROXY two:2"))
	wantRoute(t, p, "http://example.com/", "PROXY one:1")
	if err := p.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRoute(t, p, "http://example.com/", "PROXY two:2")
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestPACScript_IsFetchedOnceForAll(t *testing.T) {
	asked, release := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release
		io.WriteString(w, always("PROXY a:1"))
	}))
	defer server.Close()
	p := newTestProxy(t, ProxyConfig{PACScript: server.URL}, ProxyOptions{})
	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() { wantRoute(t, p, "http://example.com/", "PROXY a:1") })
	}
	<-asked
	// One who gives up leaves the fetch to the others; local hosts do not wait.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Route(ctx, &url.URL{Scheme: "http", Host: "x.test"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantRoute(t, p, "http://127.0.0.1/", "DIRECT")
	close(release)
	callers.Wait()
	if len(asked) != 0 {
		t.Errorf("%d more fetches", len(asked))
	}
}

func TestPACScript_ReloadReplacesAFetchUnderWay(t *testing.T) {
	first := make(chan struct{})
	var fetches atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fetches.Add(1) == 1 {
			close(first)
			<-r.Context().Done()
			return
		}
		io.WriteString(w, always("PROXY second:1"))
	}))
	defer server.Close()
	p := newTestProxy(t, ProxyConfig{PACScript: server.URL}, ProxyOptions{})
	var early sync.WaitGroup
	early.Go(func() { wantRoute(t, p, "http://example.com/", "PROXY second:1") })
	<-first
	if err := p.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	early.Wait()
}

func TestPACScript_CloseEndsWhoWaits(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer server.Close()
	p := newTestProxy(t, ProxyConfig{PACScript: server.URL}, ProxyOptions{})
	go func() {
		<-asked
		p.Close()
	}()
	if _, err := routeOf(t, p, "http://example.com/"); !errors.Is(err, ErrProxyClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := routeOf(t, p, "http://127.0.0.1/"); !errors.Is(err, ErrProxyClosed) {
		t.Errorf("got %v", err)
	}
	if err := p.Reload(t.Context()); !errors.Is(err, ErrProxyClosed) {
		t.Errorf("got %v", err)
	}
}

func TestPACScript_FailuresAreNeverDirect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/long":
			io.WriteString(w, always("DIRECT")+strings.Repeat(" ", 5<<20))
		case "/charset":
			w.Header().Set("Content-Type", "text/plain; charset=klingon")
			io.WriteString(w, always("DIRECT"))
		case "/html":
			io.WriteString(w, "<html>")
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, always("DIRECT"))
		case "/throws":
			io.WriteString(w, "function FindProxyForURL() { throw 'x' }")
		}
	}))
	defer server.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, address := range []string{
		server.URL + "/missing", server.URL + "/empty", server.URL + "/long", server.URL + "/charset", server.URL + "/html",
		server.URL + "/file", server.URL + "/round", server.URL + "/cut", server.URL + "/throws",
		closed.URL, "http://gone.test/", "file:///no/such/file.pac", "data:text/plain", "data:;base64,!", "data:,",
	} {
		rules, err := ParseHostRules("MAP gone.test ~NOTFOUND")
		if err != nil {
			t.Fatal(err)
		}
		p := newTestProxy(t, ProxyConfig{PACScript: address}, ProxyOptions{HostRules: rules})
		route, err := routeOf(t, p, "http://example.com/")
		var failed *PACError
		if !errors.As(err, &failed) || route != nil {
			t.Errorf("%s: %s, %v, want a *PACError", address, route, err)
		}
		wantRoute(t, p, "http://localhost/", "DIRECT")
	}
}

func TestPACScript_FailureIsTriedAgainLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy.pac")
	synctest.Test(t, func(t *testing.T) {
		p := newTestProxy(t, ProxyConfig{PACScript: "file://" + path}, ProxyOptions{})
		fails := func() {
			t.Helper()
			if route, err := routeOf(t, p, "http://example.com/"); err == nil {
				t.Errorf("got %s, want an error", route)
			}
		}
		fails()
		time.Sleep(8 * time.Second)
		fails()
		if err := os.WriteFile(path, []byte(always("PROXY a:1")), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Second)
		fails()
		time.Sleep(time.Second)
		wantRoute(t, p, "http://example.com/", "PROXY a:1")
	})
}

func TestPACScript_IsFetchedAgainMuchLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "proxy.pac")
	write := func(script string) {
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := newTestProxy(t, ProxyConfig{PACScript: "file://" + path}, ProxyOptions{})
		write(always("PROXY old:1"))
		wantRoute(t, p, "http://example.com/", "PROXY old:1")
		write(always("PROXY new:1"))
		time.Sleep(12*time.Hour - time.Second)
		wantRoute(t, p, "http://example.com/", "PROXY old:1")
		synctest.Wait()
		wantRoute(t, p, "http://example.com/", "PROXY old:1")
		time.Sleep(time.Second)
		wantRoute(t, p, "http://example.com/", "PROXY old:1")
		synctest.Wait()
		wantRoute(t, p, "http://example.com/", "PROXY new:1")
		write("wrong(")
		time.Sleep(12 * time.Hour)
		wantRoute(t, p, "http://example.com/", "PROXY new:1")
		synctest.Wait()
		wantRoute(t, p, "http://example.com/", "PROXY new:1")
	})
}

func TestPACScript_ReloadTellsTheFailure(t *testing.T) {
	s := newPACServer(t, always("PROXY a:1"))
	p := newTestProxy(t, ProxyConfig{PACScript: s.URL}, ProxyOptions{})
	wantRoute(t, p, "http://example.com/", "PROXY a:1")
	s.script.Store("wrong(")
	var failed *PACError
	if err := p.Reload(t.Context()); !errors.As(err, &failed) {
		t.Errorf("got %v", err)
	}
	if _, err := routeOf(t, p, "http://example.com/"); !errors.As(err, &failed) {
		t.Errorf("got %v", err)
	}
	s.script.Store(always("PROXY b:1"))
	if err := p.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	wantRoute(t, p, "http://example.com/", "PROXY b:1")
}

func TestPACScript_DataURLs(t *testing.T) {
	script := always("PROXY a:1")
	for name, address := range map[string]string{
		"plain":            "data:application/x-ns-proxy-autoconfig," + script,
		"percent":          "data:," + url.PathEscape(script),
		"base64":           "data:application/x-ns-proxy-autoconfig;base64," + base64.StdEncoding.EncodeToString([]byte(script)),
		"base64 unpadded":  "DATA:;base64," + base64.RawStdEncoding.EncodeToString([]byte(script)),
		"base64 percent":   "data:;charset=utf-8;base64," + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(script))),
		"what URLs forbid": "data:,function FindProxyForURL(url, host) {\n var n = 5 % 3; // #?\n return n == 2 ? 'PROXY a:1' : '' }",
	} {
		t.Run(name, func(t *testing.T) {
			wantRoute(t, newTestProxy(t, ProxyConfig{PACScript: address}, ProxyOptions{}), "http://example.com/", "PROXY a:1")
		})
	}
}

func TestPACScript_Charsets(t *testing.T) {
	utf16 := func(s string, mark bool) string {
		var b strings.Builder
		if mark {
			b.WriteString("\xfe\xff")
		}
		for _, r := range s {
			b.WriteByte(byte(r >> 8))
			b.WriteByte(byte(r))
		}
		return b.String()
	}
	script := "function FindProxyForURL(u, h) { return 'é'.length == 1 && 'é' == '\\u00e9' ? 'PROXY good:1' : 'PROXY bad:1' }"
	latin := strings.ReplaceAll(script, "é", "\xe9")
	for name, c := range map[string]struct{ contentType, body string }{
		"utf-8 said":      {"text/plain; charset=UTF-8", script},
		"utf-8 not said":  {"text/plain", script},
		"utf-8 mark":      {"", "\ufeff" + script},
		"latin1 said":     {"text/plain; charset=iso-8859-1", latin},
		"latin1 not said": {"", latin},
		"utf-16 mark":     {"", utf16(script, true)},
		"utf-16be said":   {"text/plain; charset=utf-16be", utf16(script, false)},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				io.WriteString(w, c.body)
			}))
			defer server.Close()
			wantRoute(t, newTestProxy(t, ProxyConfig{PACScript: server.URL}, ProxyOptions{}), "http://example.com/", "PROXY good:1")
		})
	}
}

func TestPACScript_FetchIsDirectAndFollowsHostRules(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	s := newPACServer(t, "function FindProxyForURL(u, h) { return 'PROXY ' + dnsResolve('inner.test') + ':1' }")
	rules, err := ParseHostRules("MAP pac.test " + s.Listener.Addr().String() + ",MAP inner.test 10.0.0.7")
	if err != nil {
		t.Fatal(err)
	}
	p := newTestProxy(t, ProxyConfig{PACScript: "http://pac.test/"}, ProxyOptions{HostRules: rules})
	wantRoute(t, p, "http://example.com/", "PROXY 10.0.0.7:1")
}

func TestAutoDetect(t *testing.T) {
	s := newPACServer(t, always("PROXY wpad:1"))
	detect := func(t *testing.T, hosts string) *Proxy {
		rules, err := ParseHostRules(hosts)
		if err != nil {
			t.Fatal(err)
		}
		return newTestProxy(t, ProxyConfig{Mode: ModeAutoDetect}, ProxyOptions{HostRules: rules})
	}
	t.Run("SES-0837 found by DNS", func(t *testing.T) {
		wantRoute(t, detect(t, "MAP wpad "+s.Listener.Addr().String()), "http://example.com/", "PROXY wpad:1")
	})
	t.Run("direct without one", func(t *testing.T) {
		wantRoute(t, detect(t, "MAP wpad ~NOTFOUND"), "http://example.com/", "DIRECT")
	})
	t.Run("direct with a wrong one", func(t *testing.T) {
		s.script.Store("wrong(")
		p := detect(t, "MAP wpad "+s.Listener.Addr().String())
		wantRoute(t, p, "http://example.com/", "DIRECT")
		if err := p.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestSystem_SES0856_Environment(t *testing.T) {
	for _, name := range []string{"http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"} {
		t.Setenv(name, "")
	}
	t.Setenv("http_proxy", "http://user:pw@web.test:3128")
	t.Setenv("all_proxy", "socks5://all.test")
	t.Setenv("no_proxy", ".skip.test,10.0.0.0/8")
	p := newTestProxy(t, ProxyConfig{Mode: ModeSystem}, ProxyOptions{})
	wantRoute(t, p, "http://example.com/", "PROXY web.test:3128")
	wantRoute(t, p, "https://example.com/", "SOCKS5 all.test:1080")
	wantRoute(t, p, "wss://example.com/", "SOCKS5 all.test:1080")
	wantRoute(t, p, "ws://example.com/", "PROXY web.test:3128")
	wantRoute(t, p, "http://a.skip.test/", "DIRECT")
	wantRoute(t, p, "http://10.2.3.4/", "DIRECT")
	wantRoute(t, p, "http://localhost/", "DIRECT")
	route, _ := routeOf(t, p, "http://example.com/")
	if password, _ := route[0].User.Password(); password != "pw" {
		t.Errorf("the credentials are %v", route[0].User)
	}
	t.Setenv("http_proxy", "https://new.test")
	wantRoute(t, p, "http://example.com/", "PROXY web.test:3128")
	if err := p.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantRoute(t, p, "http://example.com/", "HTTPS new.test:443")
}

func TestFuncResolver(t *testing.T) {
	f := FuncResolver(func(_ context.Context, u *url.URL) (string, error) {
		switch u.Hostname() {
		case "proxied.test":
			return "PROXY user:pw@p:8080; DIRECT", nil
		case "wrong.test":
			return "HTTP p:8080; DIRECT", nil
		case "fails.test":
			return "", net.ErrClosed
		}
		return "", nil
	})
	wantRoute(t, f, "http://proxied.test/", "PROXY p:8080;DIRECT")
	route, _ := routeOf(t, f, "http://proxied.test/")
	if route[0].User.String() != "user:pw" {
		t.Errorf("the credentials are %v", route[0].User)
	}
	for _, address := range []string{"http://wrong.test/", "http://fails.test/", "http://nothing.test/", "http://1.2.3.400/"} {
		if route, err := routeOf(t, f, address); err == nil {
			t.Errorf("%s: %s, want an error", address, route)
		}
	}
	if _, err := routeOf(t, f, "http://fails.test/"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
