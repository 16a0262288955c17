package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
	"golang.org/x/net/idna"
)

// target is what a decision looks at: the parts of a URL in the form in which
// Chromium has them.
type target struct {
	scheme string
	host   string     // without brackets, in lower case, as punycode
	addr   netip.Addr // the host as an address, invalid for a name
	port   string     // the effective port, "" if the scheme has none
	url    *url.URL
}

// newTarget fails for a URL that Chromium would not call valid.
func newTarget(u *url.URL) (*target, error) {
	if u == nil || u.Scheme == "" {
		return nil, errors.New("the URL has no scheme")
	}
	t := &target{scheme: strings.ToLower(u.Scheme), url: u}
	var err error
	if t.host, t.addr, err = canonicalHost(u.Hostname()); err != nil {
		return nil, fmt.Errorf("the URL's host %q: %w", u.Hostname(), err)
	}
	t.port = hostport.Default(t.scheme)
	if t.host == "" && t.port != "" {
		return nil, errors.New("the URL has no host")
	}
	if p := u.Port(); p != "" {
		if t.port, err = parsePort(p); err != nil {
			return nil, fmt.Errorf("the URL's port %q: %w", p, err)
		}
	}
	return t, nil
}

// urlHost is the host as it stands in a URL, with the brackets of IPv6.
func (t *target) urlHost() string {
	if t.addr.Is6() {
		return "[" + t.host + "]"
	}
	return t.host
}

// parsePort checks a port and gives it without leading zeros.
func parsePort(s string) (string, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return "", errors.New("a port is a number up to 65535")
	}
	return strconv.FormatUint(n, 10), nil
}

// canonicalHost is a host without brackets as Chromium writes it, and its
// address if it is one. The empty host is fine.
func canonicalHost(host string) (string, netip.Addr, error) {
	addr, err := parseAddr(host)
	if err != nil {
		return "", addr, err
	}
	if addr.IsValid() {
		return addr.String(), addr, nil
	}
	if i := strings.IndexFunc(host, func(r rune) bool { return r >= 0x80 }); i >= 0 {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", addr, err
		}
	}
	if i := strings.IndexFunc(host, forbiddenInHost); i >= 0 {
		return "", addr, fmt.Errorf("a host has no %q", host[i])
	}
	return strings.ToLower(host), addr, nil
}

func forbiddenInHost(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("#%/:<>?@[\\]^|\"`{}", r)
}

// parseAddr reads an address without brackets. A name gives the invalid
// address, a host that can be nothing but a wrong address an error.
func parseAddr(host string) (netip.Addr, error) {
	if strings.Contains(host, ":") {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return netip.Addr{}, errors.New("not an IPv6 address")
		}
		return addr.WithZone(""), nil
	}
	return parseIPv4(host)
}

// parseIPv4 reads the forms of IPv4 that URLs know: one to four numbers, which
// may be octal or hexadecimal, the last of which fills the remaining bytes.
func parseIPv4(host string) (netip.Addr, error) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if _, ok := ipv4Number(parts[len(parts)-1]); !ok {
		return netip.Addr{}, nil
	}
	wrong := errors.New("not an IPv4 address")
	if len(parts) > 4 {
		return netip.Addr{}, wrong
	}
	var all uint64
	for i, part := range parts {
		n, ok := ipv4Number(part)
		bytes := 1
		if i == len(parts)-1 {
			bytes = 5 - len(parts)
		}
		if !ok || n >= 1<<(8*bytes) {
			return netip.Addr{}, wrong
		}
		all = all<<(8*bytes) | n
	}
	return netip.AddrFrom4([4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}), nil
}

func ipv4Number(s string) (n uint64, ok bool) {
	if s == "" {
		return 0, false
	}
	digits, base := s, 10
	switch {
	case len(s) > 1 && (s[:2] == "0x" || s[:2] == "0X"):
		digits, base = s[2:], 16
	case s[0] == '0':
		base = 8
	}
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		// A number too large or with wrong digits is still no name.
		allDigits := !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < '0' || c > '9' })
		return 1 << 63, allDigits
	}
	return n, true
}

// isLocal tells the hosts that no proxy is asked for unless a rule says so:
// localhost and its subdomains, loopback and link-local addresses.
func (t *target) isLocal() bool {
	if t.addr.IsValid() {
		addr := t.addr.Unmap()
		return addr.IsLoopback() || addr.IsLinkLocalUnicast()
	}
	name := strings.TrimSuffix(t.host, ".")
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
