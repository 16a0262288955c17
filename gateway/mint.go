package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	leafLife = 90 * 24 * time.Hour
	caLife   = 10 * 365 * 24 * time.Hour
	// leavesKept is how many certificates are kept to be used again.
	leavesKept = 1024
)

// Authority mints the certificates that gateways show to the browser instead
// of those of the servers. One serves all gateways of a process. Its keys are
// in memory only.
type Authority struct {
	good, bad *issuer
	key       *ecdsa.PrivateKey // of all leaves
	leaves    *recent[*tls.Certificate]
}

type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes the keys.
func NewAuthority() (*Authority, error) {
	good, err := newIssuer("Bridge session authority")
	if err != nil {
		return nil, err
	}
	bad, err := newIssuer("Not trusted")
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return &Authority{good: good, bad: bad, key: key, leaves: newRecent[*tls.Certificate](leavesKept)}, nil
}

// Certificate is the authority's own certificate in DER. A browser that trusts
// it shows the true reason for a server that is refused by its name or date.
func (a *Authority) Certificate() []byte { return a.good.certificate.Raw }

// Mint makes a certificate for a host: a good one for the verdict 0, one that
// has the fault for -200 (the name) and -201 (the date), and one of an
// authority that nobody trusts for everything else.
func (a *Authority) Mint(host string, verdict int) (*tls.Certificate, error) {
	key := fmt.Sprint(verdict, " ", host)
	if leaf, ok := a.leaves.get(key); ok && (verdict == certDateInvalid || time.Until(leaf.Leaf.NotAfter) > leafLife/2) {
		return leaf, nil
	}
	now := time.Now()
	from, until := now.Add(-time.Hour), now.Add(leafLife)
	by := a.bad
	switch verdict {
	case 0:
		by = a.good
	case certNameInvalid:
		by, host = a.good, "another-name.invalid"
	case certDateInvalid:
		by, from, until = a.good, now.Add(-leafLife), now.Add(-time.Hour)
	}
	leaf, err := by.leaf(host, a.key, from, until)
	if err != nil {
		return nil, err
	}
	a.leaves.put(key, leaf)
	return leaf, nil
}

func newIssuer(name string) (*issuer, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &issuer{certificate, key}, err
}

func (i *issuer) leaf(host string, key *ecdsa.PrivateKey, from, until time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: commonName(host)},
		NotBefore:    from,
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.certificate, &key.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// commonName leaves out what is too long for one.
func commonName(host string) string {
	if len(host) > 64 {
		return ""
	}
	return host
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] = b[0]&0x7f | 1
	return new(big.Int).SetBytes(b[:])
}
