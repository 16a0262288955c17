package bridge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// verdictOn sets a proc that always gives the same verdict and tells what it was
// asked.
func verdictOn(t *testing.T, s *Session, verdict CertificateVerdict) <-chan CertificateVerifyRequest {
	t.Helper()
	asked := make(chan CertificateVerifyRequest, 100)
	proc := func(_ context.Context, r CertificateVerifyRequest) CertificateVerdict {
		if strings.HasSuffix(r.Hostname, ".test") { // Chromium has hosts of its own
			asked <- r
		}
		return verdict
	}
	if err := s.SetCertificateVerifyProc(testContext(t), proc); err != nil {
		t.Fatal(err)
	}
	return asked
}

func loadCode(err error) string {
	var failed *LoadError
	if errors.As(err, &failed) {
		return failed.Code
	}
	return fmt.Sprint(err)
}

func TestCertificateVerifyProc_SES1168_AcceptsWhatWouldBeRefused(t *testing.T) {
	server := sharedServer(t)
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			asked := verdictOn(t, s, AcceptCertificate)
			page := testPage(t, s, server.TLSURL(fixture.SelfSignedHost, "/page/accepted"))
			want(t, page, `document.title`, "accepted")
			r := next(t, asked)
			if r.Hostname != fixture.SelfSignedHost || r.VerificationResult != "net::ERR_CERT_AUTHORITY_INVALID" || r.ErrorCode != netCertAuthority {
				t.Errorf("%+v", r)
			}
			want(t, page, `new Promise(done => { const ws = new WebSocket("`+server.WSSURL(fixture.SelfSignedHost, "/ws")+`"); ws.onopen = () => done("open"); ws.onerror = () => done("error") })`, "open")
			if text := fetchedText(t, s, server.TLSURL(fixture.SelfSignedHost, "/small")); text == "" {
				t.Error("Fetch got nothing")
			}
		})
	}
}

// chainServer speaks TLS with a chain of three certificates that it sends whole.
func chainServer(t *testing.T) (address string) {
	t.Helper()
	type signer struct {
		certificate *x509.Certificate
		key         *ecdsa.PrivateKey
	}
	issue := func(name string, by *signer, isCA bool) *signer {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"chain.test"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: isCA,
		}
		if by == nil {
			by = &signer{template, key}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, &key.PublicKey, by.key)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &signer{certificate, key}
	}
	root := issue("Root CA", nil, true)
	intermediate := issue("Intermediate CA", root, true)
	leaf := issue("chain.test", intermediate, false)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<title>chain</title>") }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{
		Certificate: [][]byte{leaf.certificate.Raw, intermediate.certificate.Raw, root.certificate.Raw}, PrivateKey: leaf.key,
	}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	return "https://chain.test:" + port + "/"
}

func TestCertificateVerifyProc_SES1190_RejectsAndDescribesTheChain(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	asked := verdictOn(t, s, RejectCertificate)
	_, err := s.NewPage(testContext(t), chainServer(t))
	if code := loadCode(err); code != "net::ERR_FAILED" {
		t.Error(code)
	}
	r := next(t, asked)
	c := r.Certificate
	if r.IsIssuedByKnownRoot || c.IssuerName != "Intermediate CA" || c.SubjectName != "chain.test" || c.Issuer.CommonName != "Intermediate CA" {
		t.Errorf("%+v", c)
	}
	if i := c.IssuerCert; i == nil || i.IssuerName != "Root CA" || i.SubjectName != "Intermediate CA" {
		t.Errorf("the issuer is %+v", i)
	} else if root := i.IssuerCert; root == nil || root.IssuerName != "Root CA" || root.SubjectName != "Root CA" || root.IssuerCert != nil {
		t.Errorf("the root is %+v", root)
	}
}

func TestCertificateVerifyProc_SES1220_AVerdictIsRemembered(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := memorySession(t)
	asked := verdictOn(t, s, RejectCertificate)
	page := testPage(t, s, server.URL("a.test", "/"))
	for _, path := range []string{"/one", "/two"} {
		want(t, page, `fetch("`+server.TLSURL("good.test", path)+`", {mode: "no-cors"}).then(() => "answered", e => e.name)`, "TypeError")
	}
	next(t, asked)
	if len(asked) > 0 {
		t.Errorf("asked again for %s", (<-asked).Hostname)
	}
}

func TestCertificateVerifyProc_SES1236_LeavesRequestsOfOtherSessionsAlone(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	one, two := namedSession(t, "one"), namedSession(t, "two")
	page := testPage(t, one, server.TLSURL("good.test", "/"))
	release := server.Hold("/held")
	defer release()
	if _, err := Evaluate[any](testContext(t), page, `window.held = fetch("/held").then(r => r.status, e => e.name); 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := server.WaitRequest(testContext(t), "/held"); err != nil {
		t.Fatal(err)
	}
	verdictOn(t, two, RejectCertificate)
	want(t, testPage(t, two, server.URL("a.test", "/")), `fetch("`+server.TLSURL("good.test", "/small")+`", {mode: "no-cors"}).then(() => "answered", e => e.name)`, "TypeError")
	release()
	want(t, page, `held`, 200)
}

func TestCertificateVerifyProc_CX75_IsAskedForGoodCertificatesToo(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := memorySession(t)
	asked := verdictOn(t, s, RejectCertificate)
	_, err := s.NewPage(testContext(t), server.TLSURL("good.test", "/"))
	if code := loadCode(err); code != "net::ERR_FAILED" {
		t.Error(code)
	}
	if r := next(t, asked); r.VerificationResult != "net::OK" || r.ErrorCode != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := s.Fetch(fetchRequest(t, "GET", server.TLSURL("good.test", "/"), nil), FetchOptions{}); err == nil {
		t.Error("Fetch was let through")
	}
}

func TestCertificateVerifyProc_CX76_AVerdictHoldsWhenTheProcIsGone(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := memorySession(t)
	verdictOn(t, s, AcceptCertificate)
	page := testPage(t, s, server.TLSURL(fixture.SelfSignedHost, "/"))
	if err := s.SetCertificateVerifyProc(testContext(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := page.LoadURL(testContext(t), server.TLSURL(fixture.SelfSignedHost, "/small"), LoadOptions{}); err != nil {
		t.Error(err)
	}
	if err := page.LoadURL(testContext(t), server.TLSURL(fixture.ExpiredHost, "/"), LoadOptions{}); loadCode(err) != "net::ERR_CERT_AUTHORITY_INVALID" {
		t.Error(err)
	}
}

func TestCertificateVerifyProc_VerdictsAreSeenAsTheyAre(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	for verdict, code := range map[CertificateVerdict]string{
		-201:              "net::ERR_CERT_DATE_INVALID",
		-207:              "net::ERR_CERT_INVALID",
		5:                 "net::ERR_FAILED",
		-1:                "net::ERR_FAILED",
		UseDefaultVerdict: "<nil>",
	} {
		s := namedSession(t, fmt.Sprint(verdict))
		verdictOn(t, s, verdict)
		_, err := s.NewPage(testContext(t), server.TLSURL("good.test", "/"))
		if got := loadCode(err); got != code {
			t.Errorf("%d: %s, want %s", verdict, got, code)
		}
	}
	s := namedSession(t, "panics")
	err := s.SetCertificateVerifyProc(testContext(t), func(context.Context, CertificateVerifyRequest) CertificateVerdict { panic("of the proc") })
	if err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, server.URL("a.test", "/"))
	want(t, page, `fetch("`+server.TLSURL("good.test", "/small")+`", {mode: "no-cors"}).then(() => "answered", e => e.name)`, "TypeError")
}

func TestCertificateVerifyProc_ThatWaitsHoldsTheConnectionOnly(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := memorySession(t)
	waiting, ended := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	err := s.SetCertificateVerifyProc(testContext(t), func(ctx context.Context, r CertificateVerifyRequest) CertificateVerdict {
		if r.Hostname != "never.test" || !once.CompareAndSwap(false, true) {
			return UseDefaultVerdict
		}
		close(waiting)
		<-ctx.Done()
		close(ended)
		return AcceptCertificate
	})
	if err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, server.TLSURL("good.test", "/"))
	if _, err := Evaluate[any](testContext(t), page, `window.never = new AbortController(); fetch("`+server.TLSURL("never.test", "/small")+`", {mode: "no-cors", signal: never.signal}).catch(() => {}); 1`); err != nil {
		t.Fatal(err)
	}
	next(t, closedChannel(waiting))
	want(t, page, `fetch("/small").then(r => r.status)`, 200)
	if err := s.CloseAllConnections(testContext(t)); err != nil {
		t.Fatal(err)
	}
	next(t, closedChannel(ended))
}

// closedChannel gives a value when a channel is closed.
func closedChannel(closed <-chan struct{}) <-chan bool {
	out := make(chan bool, 1)
	go func() {
		<-closed
		out <- true
	}()
	return out
}

func TestCertificateVerifyProc_HoldsInFramesAndWorkers(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	server.Handle("/asks/{kind}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		ask := `fetch("` + server.TLSURL("other-"+r.PathValue("kind")+".test", "/small") + `", {mode: "no-cors"}).then(() => "answered", e => e.name)`
		io.WriteString(w, map[string]string{
			"worker":  ask + ".then(postMessage)",
			"shared":  "onconnect = e => " + ask + ".then(m => e.ports[0].postMessage(m))",
			"service": "onmessage = e => e.waitUntil(" + ask + ".then(m => e.source.postMessage(m)))",
		}[r.PathValue("kind")])
	})
	accepts, rejects := namedSession(t, "accepts"), namedSession(t, "rejects")
	for s, answer := range map[*Session]string{accepts: "answered", rejects: "TypeError"} {
		verdict := AcceptCertificate
		if s == rejects {
			verdict = RejectCertificate
		}
		verdictOn(t, s, verdict)
		page := testPage(t, s, server.URL("localhost", "/"))
		for kind, expression := range map[string]string{
			"page":    `fetch("` + server.TLSURL("other-page.test", "/small") + `", {mode: "no-cors"}).then(() => "answered", e => e.name)`,
			"worker":  `new Promise(done => new Worker("/asks/worker").onmessage = e => done(e.data))`,
			"shared":  `new Promise(done => new SharedWorker("/asks/shared").port.onmessage = e => done(e.data))`,
			"service": `navigator.serviceWorker.register("/asks/service").then(r => new Promise(done => { navigator.serviceWorker.onmessage = e => done(e.data); (r.installing || r.active).postMessage("") }))`,
		} {
			t.Run(answer+" "+kind, func(t *testing.T) { want(t, page, expression, answer) })
		}
	}
}

func TestSetSSLConfig_SES2192_DisablesCipherSuites(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"suite.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MaxVersion:   tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s := memorySession(t)
	ask := func() error {
		_, err := s.Fetch(fetchRequest(t, "GET", "https://suite.test:"+port+"/", nil), FetchOptions{})
		return err
	}
	load := func() string {
		_, err := s.NewPage(testContext(t), "https://suite.test:"+port+"/")
		return loadCode(err)
	}
	if err := s.SetSSLConfig(testContext(t), SSLConfig{}); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, netCertAuthority) {
		t.Errorf("before: %v", err)
	}
	if err := s.SetSSLConfig(testContext(t), SSLConfig{DisabledCipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, netSSLMismatch) {
		t.Errorf("without the suite: %v", err)
	}
	if code := load(); code != "net::ERR_SSL_VERSION_OR_CIPHER_MISMATCH" {
		t.Errorf("without the suite a page has %s", code)
	}
}

func TestSetSSLConfig_LimitsVersionsInItsSessionOnly(t *testing.T) {
	t.Parallel()
	b, server := ownBrowser(t)
	old, new := sessionOf(t, b, "old", PartitionOptions{}), sessionOf(t, b, "new", PartitionOptions{})
	if err := old.SetSSLConfig(testContext(t), SSLConfig{MaxVersion: "tls1.2"}); err != nil {
		t.Fatal(err)
	}
	if err := new.SetSSLConfig(testContext(t), SSLConfig{MinVersion: "tls1.3"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		s    *Session
		host string
		code string
	}{
		{old, "good.test", "<nil>"},
		{old, fixture.TLS12Host, "<nil>"},
		{old, fixture.TLS13Host, "net::ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		{new, fixture.TLS12Host, "net::ERR_SSL_VERSION_OR_CIPHER_MISMATCH"},
		{new, fixture.TLS13Host, "<nil>"},
	} {
		_, err := test.s.NewPage(testContext(t), server.TLSURL(test.host, "/"))
		if got := loadCode(err); got != test.code {
			t.Errorf("%s, %s: %s, want %s", test.s.Partition(), test.host, got, test.code)
		}
	}
	if h, err := server.WaitHandshake(testContext(t), "good.test"); err != nil || h.State.Version != tls.VersionTLS12 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestSetSSLConfig_CX72_TakesOldNamesAndRefusesWrongOnes(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	for _, c := range []SSLConfig{{MinVersion: "tls1"}, {MaxVersion: "tls1.1"}} {
		if err := s.SetSSLConfig(testContext(t), c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []SSLConfig{{MinVersion: "ssl3"}, {MaxVersion: "1.3"}, {MinVersion: "tls1.3", MaxVersion: "tls1.2"}} {
		if err := s.SetSSLConfig(testContext(t), c); !errors.As(err, new(*InvalidArgumentError)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestTLS_IsChromiumsOwnWithoutSettings(t *testing.T) {
	b, server := ownBrowser(t)
	proxied := sessionOf(t, b, "proxied", PartitionOptions{})
	setProxy(t, proxied, ProxyConfig{ProxyRules: newHTTPProxy(t, "").addr()})
	configured := sessionOf(t, b, "configured", PartitionOptions{})
	if err := configured.SetSSLConfig(testContext(t), SSLConfig{}); err != nil {
		t.Fatal(err)
	}
	for host, s := range map[string]*Session{"plain.test": b.DefaultSession(), "created.test": sessionOf(t, b, "created", PartitionOptions{}), "proxied.test": proxied, "configured.test": configured} {
		testPage(t, s, server.TLSURL(host, "/"))
		h, err := server.WaitHandshake(testContext(t), host)
		if err != nil {
			t.Fatal(err)
		}
		own := false // Chromium offers a suite that there is not (RFC 8701)
		for _, suite := range h.Hello.CipherSuites {
			own = own || suite&0x0f0f == 0x0a0a
		}
		if own != (s != configured) {
			t.Errorf("%s: the suites of Chromium: %v", host, own)
		}
	}
}

func TestClientCertificates_AreChosenByAHandler(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	with, without := namedSession(t, "with"), namedSession(t, "without")
	asked := make(chan ClientCertificateRequest, 10)
	err := with.SetClientCertificateHandler(testContext(t), func(_ context.Context, r ClientCertificateRequest) (*tls.Certificate, error) {
		asked <- r
		c := server.ClientCertificate()
		return &c, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := without.SetClientCertificateHandler(testContext(t), func(context.Context, ClientCertificateRequest) (*tls.Certificate, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	testPage(t, with, server.TLSURL(fixture.ClientRequiredHost, "/"))
	if r := next(t, asked); r.Host != hostOf(server.TLSURL(fixture.ClientRequiredHost, "/")) || len(r.AcceptableCAs) == 0 {
		t.Errorf("%+v", r)
	}
	t.Run("APP-1405 none", func(t *testing.T) {
		testPage(t, without, server.TLSURL(fixture.ClientCertHost, "/"))
		if _, err := without.NewPage(testContext(t), server.TLSURL(fixture.ClientRequiredHost, "/")); err == nil {
			t.Error("it was let in without a certificate")
		}
	})
	t.Run("NET-1904 of Fetch", func(t *testing.T) {
		fetchedText(t, with, server.TLSURL(fixture.ClientRequiredHost, "/small"))
	})
}

func TestServerCertificate_IsTheServersOwn(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	plain, bridged := namedSession(t, "plain"), namedSession(t, "bridged")
	if err := bridged.SetSSLConfig(testContext(t), SSLConfig{}); err != nil {
		t.Fatal(err)
	}
	wanted, err := server.Certificate("good.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Session{plain, bridged} {
		testPage(t, s, server.TLSURL("good.test", "/"))
		got, err := s.ServerCertificate(testContext(t), server.TLSURL("good.test", "/"))
		if err != nil || !got.X509.Equal(wanted[0]) || got.IssuerCert == nil || !got.IssuerCert.X509.Equal(wanted[1]) {
			t.Errorf("%s: %+v, %v", s.title(), got, err)
		}
		if _, err := s.ServerCertificate(testContext(t), server.URL("a.test", "/")); !errors.As(err, new(*InvalidArgumentError)) {
			t.Errorf("of a server without TLS: %v", err)
		}
	}
}

func TestCertificateVerifyProc_IsAskedAnewWhenAServerHasAnotherCertificate(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	var renewed atomic.Bool
	certificates := server.TLSConfig()
	certificates.SessionTicketsDisabled = true // a session that is resumed shows none
	before := certificates.GetCertificate
	certificates.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if renewed.Load() {
			hello.ServerName = fixture.SelfSignedHost
		}
		return before(hello)
	}
	changing := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
	}))
	changing.TLS = certificates
	changing.StartTLS()
	t.Cleanup(changing.Close)
	_, port, _ := net.SplitHostPort(changing.Listener.Addr().String())

	s := memorySession(t)
	asked := verdictOn(t, s, UseDefaultVerdict)
	page := testPage(t, s, server.URL("a.test", "/"))
	fetch := `fetch("https://changing.test:` + port + `/", {mode: "no-cors"}).then(() => "answered", e => e.name)`
	want(t, page, fetch, "answered")
	first := next(t, asked)
	renewed.Store(true)
	want(t, page, fetch, "TypeError")
	if second := next(t, asked); second.Certificate.Fingerprint == first.Certificate.Fingerprint || second.VerificationResult == "net::OK" {
		t.Errorf("asked %+v", second)
	}
	renewed.Store(false)
	want(t, page, fetch, "answered")
	if len(asked) > 0 {
		t.Errorf("asked again for %s", (<-asked).Hostname)
	}
}
