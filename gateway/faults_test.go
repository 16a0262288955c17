package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProxy_ThatIsBrokenIsTold(t *testing.T) {
	for name, serve := range map[string]func(net.Conn){
		"answers garbage":    func(c net.Conn) { c.Read(make([]byte, 999)); io.WriteString(c, "\x00\x01garbage\r\n\r\n") },
		"closes at once":     func(net.Conn) {},
		"closes in the head": func(c net.Conn) { c.Read(make([]byte, 999)); io.WriteString(c, "HTTP/1.1 200 OK\r\nA: b") },
		"resets":             func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) },
	} {
		for _, kind := range []HopKind{HTTP, HTTPS, SOCKS4, SOCKS5} {
			t.Run(name+" as "+string(kind), func(t *testing.T) {
				g := awake(t, Options{Resolver: fixed{{Kind: kind, Addr: tcpServer(t, "127.0.0.1:0", serve)}}})
				c := raw(t, g)
				io.WriteString(c, "CONNECT 127.0.0.1:9 HTTP/1.1\r\n\r\n")
				if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 502 ") {
					t.Errorf("got %q, %v", b, err)
				}
				if _, ok := errors.AsType[*ProxyError](g.Failure("127.0.0.1:9")); !ok {
					t.Errorf("failure %v", g.Failure("127.0.0.1:9"))
				}
			})
		}
	}
}

func TestProxy_ThatBreaksInAResponseBreaksIt(t *testing.T) {
	proxy := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 999))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	})
	g := awake(t, Options{Resolver: fixed{{Kind: HTTP, Addr: proxy}}})
	r, err := browser(t, g).Get("http://a.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); string(b) != "half" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q %v", b, err)
	}
}

func TestProxy_ThatFailedIsTriedAgainAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad badHops
		first, second := Hop{Kind: HTTP, Addr: "a:1"}, Hop{Kind: Direct}
		route := Route{first, second}
		bad.add(route)
		if r := bad.order(route); r[0] != second {
			t.Errorf("just failed: %v", r)
		}
		time.Sleep(badTime + time.Second)
		if r := bad.order(route); r[0] != first {
			t.Errorf("five minutes later: %v", r)
		}
	})
}

func TestDial_EndsWhenTheBrowserHangsUp(t *testing.T) {
	asked, ended := make(chan bool), make(chan bool)
	g := awake(t, Options{Resolver: contextResolver(func(ctx context.Context) (Route, error) {
		asked <- true
		<-ctx.Done()
		ended <- true
		return nil, ctx.Err()
	})})
	c := raw(t, g)
	io.WriteString(c, "CONNECT a.test:443 HTTP/1.1\r\n\r\n")
	<-asked
	c.Close()
	<-ended
}

func TestProxyLogin_AQuestionEndsWithTheBrowser(t *testing.T) {
	proxy := newHTTPProxy(t)
	proxy.authorized = func(*http.Request) string { return `Basic realm="r"` }
	asked, ended := make(chan bool), make(chan bool)
	g := awake(t, Options{Resolver: fixed{proxy.hop()}, Credentials: func(ctx context.Context, _ ProxyChallenge) (string, string, bool) {
		asked <- true
		<-ctx.Done()
		ended <- true
		return "", "", false
	}})
	for _, request := range []string{"CONNECT a.test:443 HTTP/1.1\r\n\r\n", "GET http://a.test/ HTTP/1.1\r\n\r\n"} {
		c := raw(t, g)
		io.WriteString(c, request)
		<-asked
		c.Close()
		<-ended
	}
}

type contextResolver func(context.Context) (Route, error)

func (f contextResolver) Route(ctx context.Context, _ *url.URL) (Route, error) { return f(ctx) }

func TestDial_MapsTheHostsThatItLooksUpItself(t *testing.T) {
	server := tcpServer(t, "[::1]:0", func(c net.Conn) { io.WriteString(c, "here") })
	unknown := errors.New("not to be found")
	o := Options{MapHost: func(hostport string) (string, error) {
		switch hostport {
		case "a.test:443":
			return server, nil
		case "b.test:443":
			return "", unknown
		}
		return hostport, nil
	}}
	g := awake(t, o)
	_, r := connected(t, g, "a.test:443")
	if b, err := io.ReadAll(r); string(b) != "here" {
		t.Errorf("%q %v", b, err)
	}
	c := raw(t, g)
	io.WriteString(c, "CONNECT b.test:443 HTTP/1.1\r\n\r\n")
	io.ReadAll(c)
	if err := g.Failure("B.test:443"); !errors.Is(err, unknown) {
		t.Errorf("failure %v", err)
	}
	saw := make(chan string, 1)
	o.Resolver = fixed{{Kind: SOCKS5, Addr: socksProxy(t, "", "", func(s string) { saw <- s })}}
	c = raw(t, awake(t, o))
	io.WriteString(c, "CONNECT a.test:443 HTTP/1.1\r\n\r\n")
	if s := <-saw; s != "5 a.test:443" {
		t.Errorf("the proxy saw %q", s)
	}
}

func TestSOCKS4_LeavesNamesThatAreNotKnownHereToTheProxy(t *testing.T) {
	saw := make(chan string, 1)
	g := awake(t, Options{Resolver: fixed{{Kind: SOCKS4, Addr: socksProxy(t, "", "", func(s string) { saw <- s })}}})
	c := raw(t, g)
	io.WriteString(c, "CONNECT no-such-host.invalid:80 HTTP/1.1\r\n\r\n")
	if s := <-saw; s != "4 no-such-host.invalid:80" {
		t.Errorf("the proxy saw %q", s)
	}
}

func TestForward_UpgradesGoByATunnelOfTheProxy(t *testing.T) {
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		b := make([]byte, 999)
		n, _ := c.Read(b)
		c.Write(b[:n])
	})
	proxy := newHTTPProxy(t)
	g := awake(t, Options{Resolver: fixed{proxy.hop()}})
	c := raw(t, g)
	fmt.Fprintf(c, "GET http://%s/x HTTP/1.1\r\nUpgrade: y\r\nConnection: Upgrade\r\n\r\n", server)
	if b, err := io.ReadAll(c); string(b) != "GET /x HTTP/1.1\r\nUpgrade: y\r\nConnection: Upgrade\r\n\r\n" || proxy.connects.Load() != 1 {
		t.Errorf("%q %v, %d tunnels", b, err, proxy.connects.Load())
	}
}

// The suites with RSA key exchange are Chromium's and not Go's default.
func TestTLS_OffersTheSuitesOfChromium(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	shown := authority(t)
	g := awake(t, Options{Authority: shown, Roots: roots, TLS: &TLSConfig{}})
	got(t, secureBrowser(t, g, shown), s.URL)
	info, _ := g.ServerTLS(s.Listener.Addr().String())
	if info.CipherSuite != tls.TLS_RSA_WITH_AES_128_GCM_SHA256 {
		t.Errorf("spoke %x", info.CipherSuite)
	}
	g.SetTLS(&TLSConfig{DisabledCipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}})
	if _, err := secureBrowser(t, g, shown).Get(s.URL); err == nil || !strings.Contains(err.Error(), "handshake failure") {
		t.Errorf("a suite that is disabled: %v", err)
	}
}

func FuzzHead(f *testing.F) {
	f.Add("POST http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nb\r\n0\r\n\r\n")
	f.Add("CONNECT h:1 HTTP/1.1\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		h, err := readHead(r)
		if err != nil {
			return
		}
		if again, err := readHead(bufio.NewReader(bytes.NewReader(h.bytes()))); err != nil || string(again.bytes()) != string(h.bytes()) {
			t.Errorf("%q is read back as %+v, %v", h.bytes(), again, err)
		}
		if q, err := parseRequest(h); err == nil {
			q.url()
			q.body.copy(io.Discard, r)
			q.rewrite(Hop{Kind: Direct})
		}
	})
}
