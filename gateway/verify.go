package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Chromium's codes for certificates that it refuses.
const (
	certNameInvalid      = -200
	certDateInvalid      = -201
	certAuthorityInvalid = -202
	certInvalid          = -207
	certWeakSignature    = -208
	certNameConstraint   = -212
	certValidityTooLong  = -213
)

// keepResult is the answer that keeps the result of the default verification.
const keepResult = -3

// VerifyRequest is a server's certificate that is to be judged (the request of
// Electron's setCertificateVerifyProc).
type VerifyRequest struct {
	// Hostname is the server that the browser wants to speak with, without its
	// port.
	Hostname string
	// Chain is what the server sent, its own certificate first.
	Chain []*x509.Certificate
	// VerifiedChain goes up to the root that is trusted. It is Chain when
	// there is none.
	VerifiedChain []*x509.Certificate
	// KnownRoot says that the root is one that browsers ship.
	KnownRoot bool
	// Result is what the default verification says: 0, or Chromium's code
	// from -200 downwards. The verification is Go's: it knows no revocation
	// lists and asks for no certificate transparency.
	Result int
}

// CertificateError is a server whose certificate was refused.
type CertificateError struct {
	Host string // without a port
	Code int    // Chromium's, such as -202, or what a Verify function answered
}

func (e *CertificateError) Error() string {
	return fmt.Sprintf("the certificate of %s is refused, code %d", e.Host, e.Code)
}

// examine is the default verification.
func examine(roots *x509.CertPool, host string, chain []*x509.Certificate, now time.Time) VerifyRequest {
	r := VerifyRequest{Hostname: host, Chain: chain, VerifiedChain: chain}
	leaf := chain[0]
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	verified, err := leaf.Verify(options)
	expired := isReason(err, x509.Expired)
	if expired {
		// Whose certificate it is weighs more than its date.
		options.CurrentTime = leaf.NotAfter
		if past, other := leaf.Verify(options); other == nil {
			verified, err = past, nil
		} else if !isReason(other, x509.Expired) {
			err = other
		}
	}
	if len(verified) > 0 {
		r.VerifiedChain = verified[0]
		root := r.VerifiedChain[len(r.VerifiedChain)-1]
		r.KnownRoot = knownRoots()[sha256.Sum256(root.Raw)]
	}
	r.Result = code(r, err, expired)
	return r
}

func isReason(err error, reason x509.InvalidReason) bool {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok && invalid.Reason == reason
}

// code is Chromium's code for a verification, the worst fault first.
func code(r VerifyRequest, err error, expired bool) int {
	leaf := r.Chain[0]
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case isReason(err, x509.CANotAuthorizedForThisName):
		return certNameConstraint
	case isReason(err, x509.NotAuthorizedToSign), isReason(err, x509.TooManyIntermediates), isReason(err, x509.IncompatibleUsage):
		return certInvalid
	case err != nil && weak(leaf.SignatureAlgorithm):
		return certWeakSignature
	case err != nil && !invalid:
		return certAuthorityInvalid
	case leaf.VerifyHostname(r.Hostname) != nil:
		return certNameInvalid
	case expired:
		return certDateInvalid
	case err != nil:
		return certInvalid
	case r.KnownRoot && tooLong(leaf):
		return certValidityTooLong
	}
	return 0
}

func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}

// tooLong reports a life that browsers do not take since September 2020.
func tooLong(c *x509.Certificate) bool {
	since := time.Date(2020, 9, 1, 0, 0, 0, 0, time.UTC)
	return !c.NotBefore.Before(since) && c.NotAfter.Sub(c.NotBefore) > 398*24*time.Hour
}

// knownRoots are the hashes of the roots that browsers ship.
var knownRoots = sync.OnceValue(func() map[[sha256.Size]byte]bool {
	known := map[[sha256.Size]byte]bool{}
	for root := range bundle.Roots() {
		known[sha256.Sum256(root.Certificate)] = true
	}
	return known
})

// verdicts remembers what was answered, by host and chain, and lets those who
// want the same answer wait for one question.
type verdicts struct {
	known *recent[int]

	mu     sync.Mutex
	asking map[string]*question
}

type question struct {
	cancel context.CancelFunc
	askers int
	done   chan struct{}
	answer int
	err    error // why there is no answer
}

// ForgetVerdicts makes Verify be asked again for every certificate.
func (g *Gateway) ForgetVerdicts() { g.verdicts.known.clear() }

// judge is the verdict on a server's certificate: 0, or the code of the
// refusal. A verdict that was remembered holds whoever gave it.
func (g *Gateway) judge(ctx context.Context, o Options, host string, chain []*x509.Certificate) (int, error) {
	key := verdictKey(host, chain)
	if verdict, ok := g.verdicts.known.get(key); ok {
		return verdict, nil
	}
	r := examine(o.Roots, host, chain, time.Now())
	verify := o.Verify
	if o.TLS != nil {
		verify = o.TLS.Verify
	}
	if verify == nil {
		return r.Result, nil
	}
	q, err := g.ask(key, func(ctx context.Context) int {
		if answer := verify(ctx, r); answer != keepResult {
			return answer
		}
		return r.Result
	})
	if err != nil {
		return 0, err
	}
	defer g.leave(key, q)
	select {
	case <-q.done:
		return q.answer, q.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// verify refuses a handshake with a *CertificateError when the verdict is one.
func (g *Gateway) verify(ctx context.Context, o Options, host string, state tls.ConnectionState) error {
	verdict, err := g.judge(ctx, o, host, state.PeerCertificates)
	if err == nil && verdict != 0 {
		err = &CertificateError{Host: host, Code: verdict}
	}
	return err
}

func verdictKey(host string, chain []*x509.Certificate) string {
	h := sha256.New()
	for _, c := range chain {
		sum := sha256.Sum256(c.Raw)
		h.Write(sum[:])
	}
	return strings.ToLower(host) + " " + string(h.Sum(nil))
}

// ask joins a question, or begins it.
func (g *Gateway) ask(key string, verify func(context.Context) int) (*question, error) {
	v := &g.verdicts
	v.mu.Lock()
	defer v.mu.Unlock()
	if q := v.asking[key]; q != nil {
		q.askers++
		return q, nil
	}
	ctx, cancel := context.WithCancel(g.ctx)
	q := &question{cancel: cancel, askers: 1, done: make(chan struct{})}
	err := g.start(cancel, func() {
		defer close(q.done)
		q.answer = verify(ctx)
		v.mu.Lock()
		defer v.mu.Unlock()
		if q.err = ctx.Err(); q.err == nil {
			v.known.put(key, q.answer)
		}
		if v.asking[key] == q {
			delete(v.asking, key)
		}
	})
	if err != nil {
		cancel()
		return nil, err
	}
	v.asking[key] = q
	return q, nil
}

// leave gives up on a question. When nobody waits for it any more it ends, and
// what it answers then counts for nothing.
func (g *Gateway) leave(key string, q *question) {
	v := &g.verdicts
	v.mu.Lock()
	defer v.mu.Unlock()
	if q.askers--; q.askers == 0 {
		q.cancel()
		if v.asking[key] == q {
			delete(v.asking, key)
		}
	}
}

// ServerTLS is what is known of the TLS of a server that a gateway spoke to,
// which the browser does not see itself.
type ServerTLS struct {
	Chain       []*x509.Certificate // what the server sent
	Version     uint16              // such as tls.VersionTLS13
	CipherSuite uint16
	Protocol    string // by ALPN, "" for none
}

// ServerTLS is the TLS that a server last spoke, while TLS settings are set.
func (g *Gateway) ServerTLS(hostport string) (ServerTLS, bool) {
	return g.servers.get(strings.ToLower(hostport))
}

func (g *Gateway) remember(target string, s tls.ConnectionState) {
	g.servers.put(strings.ToLower(target), ServerTLS{
		Chain: s.PeerCertificates, Version: s.Version, CipherSuite: s.CipherSuite, Protocol: s.NegotiatedProtocol,
	})
}
