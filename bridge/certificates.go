package bridge

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/gateway"
	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// Certificate is a certificate of a server, as Electron describes it.
type Certificate struct {
	// Data is the certificate in PEM.
	Data string `json:"data"`
	// Subject is whose certificate it is, and SubjectName the name of that: the
	// common name, or else the first organization or unit.
	Subject     CertificatePrincipal `json:"subject"`
	SubjectName string               `json:"subjectName"`
	// Issuer is who has signed it, and IssuerName the name of that.
	Issuer     CertificatePrincipal `json:"issuer"`
	IssuerName string               `json:"issuerName"`
	// IssuerCert is the next one of the chain, nil after the last.
	IssuerCert *Certificate `json:"issuerCert,omitempty"`
	// SerialNumber is in hexadecimal, in upper case.
	SerialNumber string `json:"serialNumber"`
	// ValidStart and ValidExpiry are from when until when it is valid.
	ValidStart  time.Time `json:"validStart"`
	ValidExpiry time.Time `json:"validExpiry"`
	// Fingerprint is "sha256/" and the hash of the certificate in base64.
	Fingerprint string `json:"fingerprint"`

	// X509 is the certificate as Go has it. It is beyond Electron.
	X509 *x509.Certificate `json:"-"`
}

// CertificatePrincipal is whom a certificate names. What it does not name is
// empty.
type CertificatePrincipal struct {
	// CommonName is the name itself, of a server or of an authority.
	CommonName        string   `json:"commonName"`
	Organizations     []string `json:"organizations"`
	OrganizationUnits []string `json:"organizationUnits"`
	// Locality, State and Country are the first ones that are named.
	Locality string `json:"locality"`
	State    string `json:"state"`
	Country  string `json:"country"`
}

// ServerCertificate is the certificate of a server, with its chain, by the server's
// URL: the one that it has last shown to the session's gateway, or that it shows
// when it is asked now, the way that the session goes. It is the server's own where
// the gateway shows Chromium another, and it is not judged.
func (s *Session) ServerCertificate(ctx context.Context, address string) (*Certificate, error) {
	chain, err := s.outlet.serverChain(ctx, address)
	if err != nil {
		return nil, doing("asking for the certificate of "+address, err)
	}
	return certificateChain(chain), nil
}

func (o *outlet) serverChain(ctx context.Context, address string) ([]*x509.Certificate, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "wss" {
		return nil, invalidArgument("%q is no URL of a server that speaks TLS", address)
	}
	if g := o.present(); g != nil {
		if server, ok := g.ServerTLS(serverOf(address)); ok {
			return server.Chain, nil
		}
	}
	conn, err := o.dial(ctx, u)
	if err != nil {
		return nil, netError(o.cause(address, err))
	}
	defer conn.Close()
	secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: true})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, netError(err)
	}
	return secure.ConnectionState().PeerCertificates, nil
}

// dial connects to the server of a URL as the session does.
func (o *outlet) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	if o.session.errNoOutlet("") != nil {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", hostport.Of(u))
	}
	g, err := o.open()
	if err != nil {
		return nil, err
	}
	return g.DialContext(ctx, u)
}

// CertificateVerifyRequest is a server's certificate that is to be judged.
type CertificateVerifyRequest struct {
	// Hostname is the server that Chromium wants to reach, without its port.
	Hostname string `json:"hostname"`
	// Certificate is what the server sent, with its chain. ValidatedCertificate
	// goes up to the authority that is trusted, where there is one.
	Certificate          *Certificate `json:"certificate"`
	ValidatedCertificate *Certificate `json:"validatedCertificate"`
	// IsIssuedByKnownRoot says that the authority is one that browsers ship.
	IsIssuedByKnownRoot bool `json:"isIssuedByKnownRoot"`
	// VerificationResult is "net::OK" or a name such as
	// "net::ERR_CERT_DATE_INVALID", and ErrorCode its code.
	VerificationResult string   `json:"verificationResult"`
	ErrorCode          NetError `json:"errorCode"`
}

// CertificateVerdict is the answer to a CertificateVerifyRequest: one of the
// constants, or the code of another network error, such as -201. What is no code
// rejects.
type CertificateVerdict int

// The verdicts.
const (
	// AcceptCertificate accepts the certificate, whatever its fault.
	AcceptCertificate CertificateVerdict = 0
	// RejectCertificate refuses it with net::ERR_FAILED.
	RejectCertificate CertificateVerdict = -2
	// UseDefaultVerdict keeps the result of the verification before.
	UseDefaultVerdict CertificateVerdict = -3
)

// CertificateVerifyProc judges certificates. It may take its time: the
// connection waits, and the context ends when nobody waits any more.
type CertificateVerifyProc func(ctx context.Context, r CertificateVerifyRequest) CertificateVerdict

// SetCertificateVerifyProc sets who judges the certificates of all servers that
// the session talks TLS with, good ones too, after they were verified; nil
// removes it. It is Electron's ses.setCertificateVerifyProc. A verdict is
// remembered by host and certificate, also when the proc is replaced or removed.
// A proc that panics rejects.
//
// The session's TLS is then the gateway's: Chromium sees certificates of the
// bridge's own, which it is made to trust, and the verification before the proc
// is Go's, by the authorities of the system, without revocation lists and
// certificate transparency. Pages see net::ERR_CERT_AUTHORITY_INVALID for the
// codes that Chromium itself does not find, LoadURL and WebRequest the code of the
// verdict. A session without a proc, SSL configuration and client certificates has
// Chromium's own TLS.
func (s *Session) SetCertificateVerifyProc(ctx context.Context, proc CertificateVerifyProc) error {
	return doing("setting the certificate verify proc", s.outlet.changeTLS(ctx, "a certificate verify proc", func(t *tlsSettings) (fresh bool) {
		fresh = t.proc == nil && !t.judged
		t.proc, t.judged = proc, t.judged || proc != nil
		return fresh
	}))
}

// SSLConfig limits the TLS of a session. The zero value is Chromium's.
type SSLConfig struct {
	// MinVersion and MaxVersion are "tls1.2" or "tls1.3", and "" for Chromium's.
	// The names "tls1" and "tls1.1" of earlier Electrons are taken as "tls1.2",
	// the oldest version that there is.
	MinVersion, MaxVersion string
	// DisabledCipherSuites are not offered, such as 0x009c. Those of TLS 1.3
	// cannot be disabled.
	DisabledCipherSuites []uint16
}

// SetSSLConfig limits the TLS of the session's connections from now on:
// Electron's ses.setSSLConfig. Each call replaces the whole configuration. The
// session's TLS is then the gateway's, as SetCertificateVerifyProc says.
func (s *Session) SetSSLConfig(ctx context.Context, c SSLConfig) error {
	versions := map[string]uint16{"": 0, "tls1": tls.VersionTLS12, "tls1.1": tls.VersionTLS12, "tls1.2": tls.VersionTLS12, "tls1.3": tls.VersionTLS13}
	low, knowsLow := versions[c.MinVersion]
	high, knowsHigh := versions[c.MaxVersion]
	switch {
	case !knowsLow:
		return invalidArgument("Error processing argument: %q is not an SSL version for minVersion", c.MinVersion)
	case !knowsHigh:
		return invalidArgument("Error processing argument: %q is not an SSL version for maxVersion", c.MaxVersion)
	case low > high && high != 0:
		return invalidArgument("minVersion %s is above maxVersion %s", c.MinVersion, c.MaxVersion)
	}
	return doing("setting the SSL configuration", s.outlet.changeTLS(ctx, "an SSL configuration", func(t *tlsSettings) bool {
		t.config.MinVersion, t.config.MaxVersion = low, high
		t.config.DisabledCipherSuites = slices.Clone(c.DisabledCipherSuites)
		return false
	}))
}

// ClientCertificateRequest is a server that asks for a certificate of the client.
type ClientCertificateRequest struct {
	// Host is the server's host:port.
	Host string
	// AcceptableCAs are the authorities that it takes, as DER of their names;
	// empty for any.
	AcceptableCAs [][]byte
	// SignatureSchemes are those that it takes.
	SignatureSchemes []tls.SignatureScheme
}

// SetClientCertificateHandler sets who chooses the certificate for servers that
// ask for one; nil for the certificate, or no handler, sends none. An error fails
// the connection. It is Electron's event select-client-certificate, for requests
// of every kind. The session's TLS is then the gateway's, as
// SetCertificateVerifyProc says.
func (s *Session) SetClientCertificateHandler(ctx context.Context, handler func(ctx context.Context, r ClientCertificateRequest) (*tls.Certificate, error)) error {
	return doing("setting the client certificate handler", s.outlet.changeTLS(ctx, "a client certificate", func(t *tlsSettings) bool {
		t.config.ClientCertificate = nil
		if handler != nil {
			t.config.ClientCertificate = s.clientCertificate(handler)
		}
		return false
	}))
}

func (s *Session) clientCertificate(handler func(context.Context, ClientCertificateRequest) (*tls.Certificate, error)) func(context.Context, gateway.CertificateRequest) (*tls.Certificate, error) {
	return func(ctx context.Context, r gateway.CertificateRequest) (*tls.Certificate, error) {
		return answered(ctx, s.browser, "SetClientCertificateHandler", func() (*tls.Certificate, error) {
			return handler(ctx, ClientCertificateRequest(r))
		})
	}
}

// tlsSettings are a session's.
type tlsSettings struct {
	config gateway.TLSConfig
	proc   CertificateVerifyProc
	judged bool // by a proc, now or before
}

// changeTLS changes the TLS settings. set reports whether verdicts that are
// remembered are to be asked for again.
func (o *outlet) changeTLS(ctx context.Context, feature string, set func(*tlsSettings) (fresh bool)) error {
	return o.change(ctx, feature, func(ctx context.Context, g *gateway.Gateway) error {
		if err := o.trust(ctx); err != nil {
			return err
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		next := tlsSettings{}
		if o.tls != nil {
			next = *o.tls
		}
		if set(&next) {
			g.ForgetVerdicts()
		}
		next.config.Verify = o.session.verify(next.proc)
		o.tls = &next
		g.SetTLS(&next.config)
		return nil
	})
}

func (o *outlet) speaksTLS() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tls != nil || o.sockets
}

// trust makes the place's Chromium trust what gateways show it in the place of
// the servers' certificates. The policy holds for the whole process; the
// authority's key is nowhere but in the memory of the bridge.
func (p *place) trust(ctx context.Context) error {
	authority, err := p.host.browser.authority()
	if err != nil {
		return err
	}
	return p.host.setPolicy(ctx, "CACertificates", []string{base64.StdEncoding.EncodeToString(authority.Certificate())})
}

// verify judges by a proc, and by what Chromium was told at start to trust.
func (s *Session) verify(proc CertificateVerifyProc) func(context.Context, gateway.VerifyRequest) int {
	return func(ctx context.Context, r gateway.VerifyRequest) int {
		if s.browser.trustsKey(r.Chain) {
			r.Result = 0
		}
		if proc == nil {
			return r.Result
		}
		verdict, err := answered(ctx, s.browser, "SetCertificateVerifyProc", func() (CertificateVerdict, error) {
			return proc(ctx, verifyRequest(r)), nil
		})
		switch {
		case err != nil:
			return int(RejectCertificate)
		case verdict == UseDefaultVerdict:
			return r.Result
		case verdict != AcceptCertificate && !NetError(verdict).failure():
			return int(RejectCertificate)
		}
		return int(verdict)
	}
}

func verifyRequest(r gateway.VerifyRequest) CertificateVerifyRequest {
	result := "net::OK"
	if r.Result != 0 {
		result = NetError(r.Result).Error()
	}
	return CertificateVerifyRequest{
		Hostname:             r.Hostname,
		Certificate:          certificateChain(r.Chain),
		ValidatedCertificate: certificateChain(r.VerifiedChain),
		IsIssuedByKnownRoot:  r.KnownRoot,
		VerificationResult:   result,
		ErrorCode:            NetError(r.Result),
	}
}

// certificateChain is a chain as Electron describes it, from the server's own
// certificate up.
func certificateChain(chain []*x509.Certificate) *Certificate {
	if len(chain) == 0 {
		return nil
	}
	c := chain[0]
	hash := sha256.Sum256(c.Raw)
	return &Certificate{
		Data:         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})),
		Subject:      principal(c.Subject),
		SubjectName:  displayName(c.Subject),
		Issuer:       principal(c.Issuer),
		IssuerName:   displayName(c.Issuer),
		IssuerCert:   certificateChain(chain[1:]),
		SerialNumber: strings.ToUpper(c.SerialNumber.Text(16)),
		ValidStart:   c.NotBefore,
		ValidExpiry:  c.NotAfter,
		Fingerprint:  "sha256/" + base64.StdEncoding.EncodeToString(hash[:]),
		X509:         c,
	}
}

func principal(n pkix.Name) CertificatePrincipal {
	return CertificatePrincipal{
		CommonName:        n.CommonName,
		Organizations:     n.Organization,
		OrganizationUnits: n.OrganizationalUnit,
		Locality:          first(n.Locality),
		State:             first(n.Province),
		Country:           first(n.Country),
	}
}

// displayName is the name of a principal as Chromium shows it.
func displayName(n pkix.Name) string {
	for _, name := range []string{n.CommonName, first(n.Organization), first(n.OrganizationalUnit)} {
		if name != "" {
			return name
		}
	}
	return ""
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// trustedKeys are the keys whose certificates Chromium was started to accept.
func (o Options) trustedKeys() []string {
	list, _ := lastSwitch(o.Args, trustedKeysSwitch)
	return strings.Split(list, ",")
}

// trustsKey reports whether Chromium was started to trust a key of a chain.
func (b *Browser) trustsKey(chain []*x509.Certificate) bool {
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		hash := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		return slices.Contains(b.trustedKeys, base64.StdEncoding.EncodeToString(hash[:]))
	})
}
