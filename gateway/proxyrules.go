package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// proxyRules are proxies by the scheme of URLs. Either all is set, or some of
// the others, or nothing, which means direct.
type proxyRules struct {
	all   Route
	http  Route
	https Route
	ftp   Route
	other Route // of socks=: for the schemes without their own
}

// list is the proxies for a scheme, nil for direct. WebSockets have no list of
// their own and prefer socks=, then https=, then http=.
func (r *proxyRules) list(scheme string) Route {
	var own Route
	switch scheme {
	case "http":
		own = r.http
	case "https":
		own = r.https
	case "ftp":
		own = r.ftp
	case "ws", "wss":
		return firstList(r.all, r.other, r.https, r.http)
	}
	return firstList(r.all, own, r.other)
}

func firstList(lists ...Route) Route {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// parseProxyRules reads ProxyConfig.ProxyRules. Where Chromium drops what it
// does not understand, and so may go direct, this is an error.
func parseProxyRules(s string) (*proxyRules, error) {
	r := &proxyRules{}
	for part := range strings.SplitSeq(s, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if err := r.add(part); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// add takes one part between semicolons.
func (r *proxyRules) add(part string) error {
	scheme, list, perScheme := cutScheme(part)
	if len(r.all) > 0 || !perScheme && r.hasSchemes() {
		return wrongPart("ProxyRules", part, errors.New("a list for all URLs stands alone"))
	}
	kind := HTTP
	var dest *Route
	switch {
	case !perScheme:
		list, dest = part, &r.all
	case scheme == "http":
		dest = &r.http
	case scheme == "https":
		dest = &r.https
	case scheme == "ftp":
		dest = &r.ftp
	case scheme == "socks":
		kind, dest = SOCKS4, &r.other
	default:
		return wrongPart("ProxyRules", part, fmt.Errorf("no proxies for %q, only for http, https, ftp and socks", scheme))
	}
	before := len(*dest)
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		hop, err := parseProxyURI(entry, kind)
		if err != nil {
			return wrongPart("ProxyRules", entry, err)
		}
		*dest = append(*dest, hop)
	}
	if len(*dest) == before {
		return wrongPart("ProxyRules", part, errors.New("no proxy is named"))
	}
	return nil
}

func (r *proxyRules) hasSchemes() bool {
	return firstList(r.http, r.https, r.ftp, r.other) != nil
}

// cutScheme parts "http=list". An "=" inside of a proxy does not count.
func cutScheme(part string) (scheme, list string, found bool) {
	scheme, list, found = strings.Cut(part, "=")
	if !found || strings.ContainsAny(scheme, ":/@,") {
		return "", "", false
	}
	return strings.TrimSpace(scheme), list, true
}

// parseProxyURI reads a proxy as [scheme://][user:password@]host[:port].
func parseProxyURI(s string, kind HopKind) (Hop, error) {
	if scheme, rest, found := strings.Cut(s, "://"); found {
		var err error
		if kind, err = kindOfScheme(scheme); err != nil {
			return Hop{}, err
		}
		s = rest
	}
	return newHop(kind, s)
}

func kindOfScheme(scheme string) (HopKind, error) {
	switch strings.ToLower(scheme) {
	case "direct":
		return Direct, nil
	case "http":
		return HTTP, nil
	case "https":
		return HTTPS, nil
	case "socks4":
		return SOCKS4, nil
	case "socks", "socks5":
		return SOCKS5, nil
	case "quic":
		return "", errQUIC
	}
	return "", fmt.Errorf("unknown proxy scheme %q, must be one of http, https, socks, socks4, socks5 or direct", scheme)
}

var errQUIC = errors.New("QUIC proxies are not supported")

// newHop reads [user:password@]host[:port], where user and password are
// percent-encoded and IPv6 stands in brackets.
func newHop(kind HopKind, server string) (Hop, error) {
	if kind == Direct {
		if server != "" {
			return Hop{}, errors.New("direct has no host")
		}
		return Hop{Kind: Direct}, nil
	}
	hop := Hop{Kind: kind}
	if at := strings.LastIndexByte(server, '@'); at >= 0 {
		var err error
		if hop.User, err = parseUser(server[:at]); err != nil {
			return Hop{}, err
		}
		server = server[at+1:]
	}
	host, port, err := splitHostPort(server)
	if err != nil {
		return Hop{}, err
	}
	hop.Addr = net.JoinHostPort(host, cmp.Or(port, defaultProxyPort(kind)))
	return hop, nil
}

func parseUser(s string) (*url.Userinfo, error) {
	user, password, hasPassword := strings.Cut(s, ":")
	user, err := url.PathUnescape(user)
	if err != nil {
		return nil, errors.New("the user is not percent-encoded")
	}
	if !hasPassword {
		return url.User(user), nil
	}
	if password, err = url.PathUnescape(password); err != nil {
		return nil, errors.New("the password is not percent-encoded")
	}
	return url.UserPassword(user, password), nil
}

// splitHostPort parts host[:port] and gives the host in its canonical form,
// without brackets. A port that is not there is "".
func splitHostPort(s string) (host, port string, err error) {
	host = s
	bracketed := strings.HasPrefix(s, "[")
	end := strings.LastIndexByte(s, ']')
	if colon := strings.LastIndexByte(s, ':'); colon > end {
		if port, err = parsePort(s[colon+1:]); err != nil {
			return "", "", err
		}
		host = s[:colon]
	}
	if bracketed {
		if !strings.HasSuffix(host, "]") {
			return "", "", errors.New("the bracket is not closed")
		}
		host = host[1 : len(host)-1]
	} else if strings.Contains(host, ":") {
		return "", "", errors.New("IPv6 addresses stand in brackets")
	}
	host, addr, err := canonicalHost(host)
	switch {
	case err != nil:
		return "", "", err
	case host == "":
		return "", "", errors.New("no host is named")
	case bracketed && !addr.Is6():
		return "", "", errors.New("brackets are for IPv6 addresses")
	}
	return host, port, nil
}

func defaultProxyPort(kind HopKind) string {
	switch kind {
	case HTTP:
		return "80"
	case HTTPS:
		return "443"
	}
	return "1080"
}
