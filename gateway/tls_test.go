package gateway

import (
	"bufio"
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
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// authorities are the browser's (shown) and the server's (real), as two
// Authority: the second signs the servers' certificates.
func authority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func pool(t testing.TB, a *Authority) *x509.CertPool {
	c, err := x509.ParseCertificate(a.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AddCert(c)
	return p
}

// site is an https server with a certificate of an authority, for a fault.
func site(t testing.TB, real *Authority, fault int, config *tls.Config) *httptest.Server {
	t.Helper()
	leaf, err := real.Mint("127.0.0.1", fault)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %x %v", r.Proto, r.TLS.Version, len(r.TLS.PeerCertificates))
	}))
	s.EnableHTTP2 = true
	if config != nil {
		s.TLS = config
	} else {
		s.TLS = &tls.Config{}
	}
	s.TLS.Certificates = []tls.Certificate{*leaf}
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// secureBrowser trusts what an authority shows.
func secureBrowser(t testing.TB, g *Gateway, shown *Authority) *http.Client {
	c := browser(t, g)
	tr := c.Transport.(*http.Transport)
	tr.TLSClientConfig = &tls.Config{RootCAs: pool(t, shown)}
	tr.ForceAttemptHTTP2 = true
	return c
}

func TestTLS_BridgesAsTheServerSpeaks(t *testing.T) {
	real, shown := authority(t), authority(t)
	s := site(t, real, 0, nil)
	old := site(t, real, 0, &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &TLSConfig{}})
	if b := got(t, secureBrowser(t, g, shown), s.URL); b != "HTTP/2.0 304 0" {
		t.Errorf("got %q", b)
	}
	if b := got(t, secureBrowser(t, g, shown), old.URL); b != "HTTP/1.1 303 0" {
		t.Errorf("got %q", b)
	}
	info, ok := g.ServerTLS(s.Listener.Addr().String())
	if !ok || info.Protocol != "h2" || info.Version != tls.VersionTLS13 || !info.Chain[0].Equal(s.Certificate()) {
		t.Errorf("the server's TLS: %+v %v", info, ok)
	}
	g.SetTLS(&TLSConfig{MaxVersion: tls.VersionTLS12})
	if b := got(t, secureBrowser(t, g, shown), s.URL); b != "HTTP/2.0 303 0" {
		t.Errorf("limited: got %q", b)
	}
	g.SetTLS(nil)
	if b := got(t, secureBrowser(t, g, real), s.URL); b != "HTTP/2.0 304 0" {
		t.Errorf("not bridged: got %q", b)
	}
}

func TestTLS_ForwardsTheReasonOfAFailure(t *testing.T) {
	real, shown := authority(t), authority(t)
	old := site(t, real, 0, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}})
	garbage := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		c.Read(make([]byte, 9999))
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	resets := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { c.Read(make([]byte, 1)); reset(c) })
	closes := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { c.Read(make([]byte, 9999)) })
	for _, test := range []struct {
		name, to string
		config   TLSConfig
		want     string
	}{
		{"version", old.Listener.Addr().String(), TLSConfig{MinVersion: tls.VersionTLS13}, "protocol version"},
		{"suite", old.Listener.Addr().String(), TLSConfig{DisabledCipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, "handshake failure"},
		{"no TLS", garbage, TLSConfig{}, "unexpected message"},
		{"reset", resets, TLSConfig{}, syscall.ECONNRESET.Error()},
		{"closed", closes, TLSConfig{}, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &test.config})
			c, _ := connected(t, g, test.to)
			err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the browser got %v, want %s", err, test.want)
			}
			if _, ok := errors.AsType[*TLSError](g.Failure(test.to)); !ok {
				t.Errorf("failure %v", g.Failure(test.to))
			}
		})
	}
}

func TestTLS_JudgesByDefault(t *testing.T) {
	real, shown := authority(t), authority(t)
	for _, fault := range []int{0, certNameInvalid, certDateInvalid, certAuthorityInvalid} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			requests := atomic.Int32{}
			s := site(t, real, fault, nil)
			s.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) })
			var request VerifyRequest
			g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &TLSConfig{Verify: func(_ context.Context, r VerifyRequest) int {
				request = r
				return keepResult
			}}})
			// A browser that accepts everything gets nothing either.
			c := secureBrowser(t, g, shown)
			c.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
			r, err := c.Get(s.URL)
			if err == nil {
				r.Body.Close()
			}
			if (err == nil) != (fault == 0) || requests.Load() > 0 != (fault == 0) {
				t.Errorf("%v, %d requests", err, requests.Load())
			}
			if request.Result != fault || request.Hostname != "127.0.0.1" || !request.Chain[0].Equal(s.Certificate()) || request.KnownRoot {
				t.Errorf("asked %+v", request)
			}
			if n := len(request.VerifiedChain); (n == 2) != (fault != certAuthorityInvalid) {
				t.Errorf("a verified chain of %d", n)
			}
			// What the browser is shown has the same fault.
			conn, _ := connected(t, g, s.Listener.Addr().String())
			client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			leaf := client.ConnectionState().PeerCertificates
			if code := examine(pool(t, shown), "127.0.0.1", leaf, time.Now()).Result; code != fault {
				t.Errorf("the browser is shown %d", code)
			}
			if fault == 0 {
				return
			}
			if e, ok := errors.AsType[*CertificateError](g.Failure(s.Listener.Addr().String())); !ok || e.Code != fault {
				t.Errorf("failure %v", g.Failure(s.Listener.Addr().String()))
			}
			if b, err := io.ReadAll(client); len(b) > 0 {
				t.Errorf("read %q %v", b, err)
			}
		})
	}
}

func TestTLS_AsksOnceForAHostAndItsCertificate(t *testing.T) {
	real, shown := authority(t), authority(t)
	var asked atomic.Int32
	verdict := func(code int) func(context.Context, VerifyRequest) int {
		return func(context.Context, VerifyRequest) int {
			asked.Add(1)
			time.Sleep(20 * time.Millisecond)
			return code
		}
	}
	var leaf atomic.Pointer[tls.Certificate]
	swap := func() {
		other, err := authority(t).Mint("127.0.0.1", 0)
		if err != nil {
			t.Fatal(err)
		}
		leaf.Store(other)
	}
	swap()
	s := site(t, real, 0, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		// A session that is resumed shows no certificate.
		return &tls.Config{Certificates: []tls.Certificate{*leaf.Load()}, SessionTicketsDisabled: true}, nil
	}})
	g := awake(t, Options{Authority: shown, TLS: &TLSConfig{Verify: verdict(0)}})
	ok := func() bool {
		c := secureBrowser(t, g, shown)
		defer c.CloseIdleConnections()
		r, err := c.Get(s.URL)
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	}
	var work sync.WaitGroup
	for range 10 {
		work.Go(func() {
			if !ok() {
				t.Error("an accepted certificate failed")
			}
		})
	}
	work.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for ten connections", n)
	}
	g.SetTLS(&TLSConfig{Verify: verdict(-2)})
	if !ok() || asked.Load() != 1 {
		t.Error("another function forgot the verdict")
	}
	swap()
	if ok() || asked.Load() != 2 {
		t.Errorf("another certificate of the server: asked %d times", asked.Load())
	}
	g.SetTLS(&TLSConfig{Verify: verdict(0)})
	g.ForgetVerdicts()
	if !ok() || asked.Load() != 3 {
		t.Errorf("after forgetting: asked %d times", asked.Load())
	}
}

func TestTLS_AQuestionEndsWithThoseWhoWait(t *testing.T) {
	real, shown := authority(t), authority(t)
	s := site(t, real, 0, nil)
	asked, ended := make(chan bool, 8), make(chan bool, 8)
	g := awake(t, Options{Authority: shown, TLS: &TLSConfig{Verify: func(ctx context.Context, _ VerifyRequest) int {
		asked <- true
		<-ctx.Done()
		ended <- true
		return 0
	}}})
	hello := func() *net.TCPConn {
		c, _ := connected(t, g, s.Listener.Addr().String())
		go tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
		return c
	}
	one := hello()
	<-asked
	two := hello()
	eventually(t, "two who wait", func() bool {
		g.verdicts.mu.Lock()
		defer g.verdicts.mu.Unlock()
		for _, q := range g.verdicts.asking {
			return q.askers == 2
		}
		return false
	})
	one.Close()
	select {
	case <-ended:
		t.Fatal("the question ended while one waits")
	case <-time.After(50 * time.Millisecond):
	}
	two.Close()
	<-ended
	hello()
	<-asked // nothing was remembered
	g.CloseConnections()
	<-ended
	hello()
	<-asked // nor was what was answered then
	g.Close()
	<-ended
}

func TestTLS_ShowsACertificateOfTheClient(t *testing.T) {
	real, shown := authority(t), authority(t)
	s := site(t, real, 0, &tls.Config{ClientAuth: tls.RequestClientCert})
	own, err := real.Mint("client", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, certificate := range []*tls.Certificate{own, nil} {
		g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &TLSConfig{ClientCertificate: func(_ context.Context, r CertificateRequest) (*tls.Certificate, error) {
			if r.Host != s.Listener.Addr().String() || len(r.SignatureSchemes) == 0 {
				t.Errorf("asked %+v", r)
			}
			return certificate, nil
		}}})
		want := "HTTP/2.0 304 0"
		if certificate != nil {
			want = "HTTP/2.0 304 1"
		}
		if b := got(t, secureBrowser(t, g, shown), s.URL); b != want {
			t.Errorf("got %q, want %q", b, want)
		}
	}
}

func TestTLS_LetsPlainTunnelsPassAndNoTLSUnjudged(t *testing.T) {
	real, shown := authority(t), authority(t)
	plain := tcpServer(t, "127.0.0.1:0", echo)
	greets := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { io.WriteString(c, "hello "); echo(c) })
	early := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		c.Write([]byte{recordHandshake})
		if n, _ := c.Read(make([]byte, 10)); n > 0 {
			t.Error("TLS went past the gateway")
		}
	})
	g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &TLSConfig{}})
	c, r := connected(t, g, plain)
	io.WriteString(c, "GET")
	c.CloseWrite()
	if b, err := io.ReadAll(r); string(b) != "GET" {
		t.Errorf("plain: %q %v", b, err)
	}
	c, r = connected(t, g, greets)
	b := make([]byte, 6)
	io.ReadFull(r, b)
	io.WriteString(c, "you")
	c.CloseWrite()
	if rest, err := io.ReadAll(r); string(b)+string(rest) != "hello you" {
		t.Errorf("a server that speaks first: %q %q %v", b, rest, err)
	}
	c, r = connected(t, g, early)
	r.ReadByte()
	c.Write([]byte{recordHandshake, 3, 1, 0, 1, 0})
	if b, err := io.ReadAll(r); len(b) > 0 || err != nil {
		t.Errorf("TLS after the server: %q %v", b, err)
	}
}

func TestTunnel_GoesByWhatIsSpoken(t *testing.T) {
	real := authority(t)
	s := site(t, real, 0, nil)
	plain := tcpServer(t, "127.0.0.1:0", echo)
	proxies := map[string]*httpProxy{"https": newHTTPProxy(t), "wss": newHTTPProxy(t), "ws": newHTTPProxy(t)}
	g := awake(t, Options{Resolver: resolverFunc(func(u *url.URL) (Route, error) { return Route{proxies[u.Scheme].hop()}, nil })})
	got(t, secureBrowser(t, g, real), s.URL)
	c, _ := connected(t, g, s.Listener.Addr().String())
	if err := tls.Client(c, &tls.Config{RootCAs: pool(t, real), ServerName: "127.0.0.1", NextProtos: []string{"http/1.1"}}).Handshake(); err != nil {
		t.Error(err)
	}
	c, r := connected(t, g, plain)
	io.WriteString(c, "x")
	if b, err := r.ReadByte(); b != 'x' {
		t.Error(b, err)
	}
	for scheme, p := range proxies {
		if n := p.connects.Load(); n != 1 {
			t.Errorf("the proxy for %s saw %d tunnels", scheme, n)
		}
	}
}

func TestTLS_EndsAsTheOtherSideEnds(t *testing.T) {
	real, shown := authority(t), authority(t)
	leaf, _ := real.Mint("127.0.0.1", 0)
	for _, said := range []bool{true, false} {
		server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{*leaf}})
			io.WriteString(s, "bye")
			if said {
				s.CloseWrite()
			} else {
				halfClose(c)
			}
			io.Copy(io.Discard, c)
		})
		g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &TLSConfig{}})
		c, _ := connected(t, g, server)
		client := tls.Client(c, &tls.Config{RootCAs: pool(t, shown), ServerName: "127.0.0.1"})
		b, err := io.ReadAll(client)
		if string(b) != "bye" || err != nil {
			t.Errorf("said %v: %q %v", said, b, err)
		}
	}
}

func TestTLS_CarriesMuchInLittleMemory(t *testing.T) {
	size := int64(200 << 20)
	if testing.Short() || raceEnabled {
		size = 32 << 20
	}
	if os.Getenv("BRIDGE_FULL") != "" {
		size = 1 << 30
	}
	real, shown := authority(t), authority(t)
	s := site(t, real, 0, nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, zeros{}, size) })
	g := awake(t, Options{Roots: pool(t, real), Authority: shown, TLS: &TLSConfig{}})
	r, err := secureBrowser(t, g, shown).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	before := heap()
	n, err := io.CopyN(io.Discard, r.Body, size/2)
	half := heap()
	rest, err2 := io.Copy(io.Discard, r.Body)
	if n+rest != size || err != nil || err2 != nil {
		t.Fatal(n, rest, err, err2)
	}
	if grown := int64(half) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if s := g.Stats(); s.BytesReceived < size {
		t.Errorf("counted %d of %d bytes", s.BytesReceived, size)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestTransport_GoesTheSameWay(t *testing.T) {
	real, shown := authority(t), authority(t)
	secure := site(t, real, 0, nil)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	defer plain.Close()
	proxy := newHTTPProxy(t)
	hosts := make(chan string, 2)
	g := awake(t, Options{Roots: pool(t, real), Resolver: fixed{proxy.hop()}, Authority: shown, TLS: &TLSConfig{Verify: func(_ context.Context, r VerifyRequest) int {
		hosts <- r.Hostname
		return -3
	}}})
	g.Sleep()
	tr := g.Transport()
	c := &http.Client{Transport: tr}
	if b := got(t, c, plain.URL); b != "HTTP/1.1" || proxy.requests.Load() != 1 {
		t.Errorf("plain: %q, %d requests at the proxy", b, proxy.requests.Load())
	}
	if b := got(t, c, secure.URL); b != "HTTP/2.0 304 0" || proxy.connects.Load() != 1 {
		t.Errorf("secure: %q, %d tunnels at the proxy", b, proxy.connects.Load())
	}
	if host := <-hosts; host != "127.0.0.1" {
		t.Errorf("asked for %q", host)
	}
	g.SetTLS(&TLSConfig{Verify: func(context.Context, VerifyRequest) int { return -2 }})
	g.ForgetVerdicts()
	tr.CloseIdleConnections()
	_, err := c.Get(secure.URL)
	if e, ok := errors.AsType[*CertificateError](err); !ok || e.Code != -2 {
		t.Errorf("refused: %v", err)
	}
	g.Close()
	if _, err := c.Get(plain.URL); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestPeer_IsKnown(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	peers := make(chan Peer, 2)
	var refuse atomic.Bool
	g := awake(t, Options{Allow: func(p Peer) error {
		peers <- p
		if refuse.Load() {
			return errors.New("not you")
		}
		return nil
	}})
	raw(t, g)
	p := <-peers
	mine, err := p.OwnedBy(os.Getpid())
	if !p.Known || p.UID != uint32(os.Getuid()) || p.Inode == 0 || !mine || err != nil {
		t.Errorf("%+v, mine %v, %v", p, mine, err)
	}
	if other, err := p.OwnedBy(os.Getppid()); other {
		t.Error("the parent owns it as well", err)
	}
	refuse.Store(true)
	c := raw(t, g)
	io.WriteString(c, "GET http://h/ HTTP/1.1\r\n\r\n")
	if b, err := bufio.NewReader(c).ReadString(0); b != "" || err != io.EOF {
		t.Errorf("a refused peer got %q, %v", b, err)
	}
}
