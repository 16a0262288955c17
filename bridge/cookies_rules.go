package bridge

import (
	"cmp"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// The rules are those of Chromium's net/cookies, which the protocol does not
// tell: it takes any cookie for any domain, and calls every refusal by one name.

// cookieURL is a URL as the rules see it.
type cookieURL struct {
	scheme string
	host   string // in lower case, an IPv6 address in brackets
	isIP   bool
	path   string // escaped, without dots
}

// parseCookieURL reads a URL; ok is false if it is none that Chromium would
// take.
func parseCookieURL(text string) (c cookieURL, ok bool) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme == "" {
		return cookieURL{}, false
	}
	u = (&url.URL{}).ResolveReference(u) // removes . and .. from its path
	c = cookieURL{scheme: u.Scheme, host: strings.ToLower(u.Hostname()), path: cmp.Or(u.EscapedPath(), "/")}
	if ip, err := netip.ParseAddr(c.host); err == nil {
		c.host, c.isIP = ip.String(), true
		if ip.Is6() {
			c.host = "[" + c.host + "]"
		}
	}
	return c, c.host != "" || !c.cookieable()
}

func (c cookieURL) cookieable() bool {
	return slices.Contains([]string{"http", "https", "ws", "wss"}, c.scheme)
}

func (c cookieURL) encrypted() bool { return c.scheme == "https" || c.scheme == "wss" }

// trusted reports whether the URL gets and sets Secure cookies: Chromium trusts
// the way to its own machine.
func (c cookieURL) trusted() bool {
	host := strings.TrimSuffix(c.host, ".")
	ip, _ := netip.ParseAddr(strings.Trim(c.host, "[]"))
	return c.encrypted() || ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// gets reports whether a cookie would be sent to the URL.
func (c cookieURL) gets(k Cookie) bool {
	return c.cookieable() && domainMatches(k.Domain, c.host) && pathMatches(k.Path, c.path) &&
		(!k.Secure || c.trusted()) && (k.Secure || k.SameSite != "no_restriction")
}

// domainMatches reports whether a host gets the cookies of a domain.
func domainMatches(domain, host string) bool {
	return host == domain || strings.HasPrefix(domain, ".") && (host == domain[1:] || strings.HasSuffix(host, domain))
}

// pathMatches reports whether a URL's path is at or below that of a cookie.
func pathMatches(cookie, path string) bool {
	rest, below := strings.CutPrefix(path, cookie)
	return below && cookie != "" && (rest == "" || rest[0] == '/' || strings.HasSuffix(cookie, "/"))
}

// matcher tells which cookies the filter chooses.
func (f CookieFilter) matcher() func(Cookie) bool {
	from, ok := parseCookieURL(f.URL)
	return func(k Cookie) bool {
		return (f.URL == "" || ok && from.gets(k)) &&
			(f.Name == nil || *f.Name == k.Name) &&
			(f.Domain == "" || domainMatches(k.Domain, f.Domain)) &&
			(f.Path == "" || f.Path == k.Path) &&
			(f.Secure == nil || *f.Secure == k.Secure) &&
			(f.Session == nil || *f.Session == k.Session) &&
			(f.HTTPOnly == nil || *f.HTTPOnly == k.HTTPOnly)
	}
}

// Electron's texts for Chromium's reasons.
const (
	reasonInsecureSecure  = "The cookie was Secure, but the URL was not allowed to access Secure cookies."
	reasonInsecureNone    = "The cookie specified SameSite=None, but it was not Secure."
	reasonMalformed       = "The cookie was malformed and could not be stored"
	reasonScheme          = "Attempted to set a cookie from a scheme that does not support cookies."
	reasonOverwriteSecure = "The cookie would have overwritten a Secure cookie, and was not allowed to do so."
	reasonOverwriteHTTP   = "The cookie would have overwritten an HttpOnly cookie, and was not allowed to do so."
	reasonDomain          = "The cookie was set with an invalid Domain attribute."
	reasonPrefix          = "The cookie was set with an invalid __Host- or __Secure- prefix."
	reasonPairSize        = "The cookie exceeded the name/value pair size limit."
	reasonAttributeSize   = "Cookie exceeded the attribute size limit."
	reasonDomainNonASCII  = "The cookie was set with a Domain attribute containing non ASCII characters."
	reasonCharacter       = "The cookie contains ASCII control characters"
	reasonEmpty           = "The cookie contains no content or only whitespace."
	reasonPath            = "The cookie was set with an invalid Path attribute."
	reasonAmbiguous       = "Cookie was rejected in parsing due to having an ambiguous serialization."
)

// reasons are the reasons to refuse a cookie that hold, in Chromium's order.
type reasons []string

func (r *reasons) add(holds bool, reason string) {
	if holds {
		*r = append(*r, reason)
	}
}

func (r reasons) err() error {
	if len(r) == 0 {
		return nil
	}
	return &CookieError{Reason: strings.Join(r, "")}
}

// cookie is the cookie that the details describe and the URL that sets it.
func (d CookieDetails) cookie() (storedCookie, cookieURL, error) {
	k := Cookie{Name: d.Name, Value: d.Value, HTTPOnly: d.HTTPOnly, Session: d.ExpirationDate == nil, SameSite: cmp.Or(d.SameSite, "lax")}
	known := false
	for _, word := range sameSites {
		known = known || word.electron == k.SameSite
	}
	switch {
	case d.URL == "":
		return storedCookie{}, cookieURL{}, invalidArgument("Missing required option 'url'")
	case !known:
		return storedCookie{}, cookieURL{}, invalidArgument("Failed to convert '%s' to an appropriate cookie same site value", d.SameSite)
	case d.ExpirationDate != nil && math.IsNaN(*d.ExpirationDate):
		return storedCookie{}, cookieURL{}, invalidArgument("expirationDate is not a number")
	case d.ExpirationDate != nil:
		k.ExpirationDate = expiry(*d.ExpirationDate)
	}
	k.Secure = k.SameSite == "no_restriction"
	if d.Secure != nil {
		k.Secure = *d.Secure
	}
	from, ok := parseCookieURL(d.URL)
	if !ok {
		return storedCookie{}, from, &CookieError{Reason: reasonDomain}
	}
	if !isASCII(from.host) {
		return storedCookie{}, from, invalidArgument("the host of %q is not ASCII: write it in Punycode (xn--…)", d.URL)
	}
	domain, domainOK := cookieDomain(from, d.Domain)
	k.Domain, k.HostOnly = domain, !strings.HasPrefix(domain, ".")
	k.Path = cmp.Or(d.Path, directory(from.path))
	if err := malformed(k, from, d, domainOK); err != nil {
		return storedCookie{}, from, err
	}
	var r reasons
	r.add(k.Secure && !from.trusted(), reasonInsecureSecure)
	r.add(k.SameSite == "no_restriction" && !k.Secure, reasonInsecureNone)
	r.add(!from.cookieable(), reasonScheme)
	return storedCookie{Cookie: k}, from, r.err()
}

const (
	maxCookiePair      = 4096
	maxCookieAttribute = 1024
)

// malformed checks what makes a cookie one at all.
func malformed(k Cookie, from cookieURL, d CookieDetails, domainOK bool) error {
	var r reasons
	r.add(!domainOK, reasonDomain)
	r.add(!prefixFits(k, from, d.Domain), reasonPrefix)
	r.add(len(k.Name)+len(k.Value) > maxCookiePair, reasonPairSize)
	r.add(len(d.Domain) > maxCookieAttribute || len(d.Path) > maxCookieAttribute, reasonAttributeSize)
	r.add(!isASCII(d.Domain), reasonDomainNonASCII)
	r.add(!isCookieText(k.Name, "=") || !isCookieText(k.Value, "") || d.Path != "" && !isCookieText(d.Path, ""), reasonCharacter)
	r.add(k.Name == "" && k.Value == "", reasonEmpty)
	r.add(!strings.HasPrefix(k.Path, "/"), reasonPath)
	r.add(k.Name == "" && strings.Contains(k.Value, "="), reasonAmbiguous)
	return r.err()
}

// cookieDomain is the domain of a cookie that the URL sets with the attribute.
func cookieDomain(from cookieURL, attribute string) (domain string, ok bool) {
	name := strings.ToLower(strings.TrimPrefix(attribute, "."))
	switch {
	case strings.HasPrefix(from.host, "."), strings.HasSuffix(from.host, ".."):
		return "", false
	case attribute == "", from.isIP && name == from.host:
		return from.host, true
	case from.isIP, strings.ContainsAny(attribute, "%;") || !isCookieText(attribute, ""), len(attribute) > maxCookieAttribute, name == "":
		return "", false
	}
	site := registrableDomain(from.host)
	if site == "" { // a public suffix or a host of one label sets cookies for itself alone
		return from.host, name == from.host
	}
	return "." + name, registrableDomain(name) == site && domainMatches("."+name, from.host)
}

// registrableDomain is the part of a host that somebody can own, such as
// example.co.uk; it is empty for addresses and public suffixes.
func registrableDomain(host string) string {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	trimmed := strings.TrimSuffix(host, ".")
	site, err := publicsuffix.EffectiveTLDPlusOne(trimmed)
	if err != nil {
		return ""
	}
	return site + host[len(trimmed):]
}

// directory is the path that cookies get from a URL's path.
func directory(path string) string {
	return cmp.Or(path[:max(strings.LastIndexByte(path, '/'), 0)], "/")
}

// isCookieText reports whether a text can stand in a cookie: no control
// characters, no blanks at its ends, nothing that ends it.
func isCookieText(text, ends string) bool {
	return strings.Trim(text, " \t") == text && !strings.ContainsFunc(text, func(c rune) bool {
		return c < ' ' || c == 0x7f || c == ';' || strings.ContainsRune(ends, c)
	})
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c >= 0x80 })
}

// prefixFits checks the promises that some names make. They count without a
// name too, when the value would read as one.
func prefixFits(k Cookie, from cookieURL, domain string) bool {
	name := strings.ToLower(k.Name)
	secure := k.Secure && from.trusted()
	host := secure && k.Path == "/" && (domain == "" || from.isIP)
	switch {
	case k.Name == "":
		value := strings.ToLower(k.Value)
		return !slices.ContainsFunc([]string{"__host-", "__secure-", "__http-", "__host-http-"}, func(p string) bool { return strings.HasPrefix(value, p) })
	case strings.HasPrefix(name, "__host-http-"):
		return host && k.HTTPOnly
	case strings.HasPrefix(name, "__host-"):
		return host
	case strings.HasPrefix(name, "__http-"):
		return secure && k.HTTPOnly
	case strings.HasPrefix(name, "__secure-"):
		return secure
	}
	return true
}

// mayReplace refuses a cookie that would replace one that its URL may not touch.
func mayReplace(k storedCookie, from cookieURL, jar []storedCookie) error {
	secure, httpOnly := false, false
	for _, old := range jar {
		if old.partition != k.partition || old.Name != k.Name {
			continue
		}
		httpOnly = httpOnly || old.key() == k.key() && old.HTTPOnly && !k.HTTPOnly
		secure = secure || old.Secure && !from.trusted() && pathMatches(old.Path, k.Path) && domainsMeet(old.Domain, k.Domain)
	}
	var r reasons
	r.add(secure, reasonOverwriteSecure)
	r.add(httpOnly, reasonOverwriteHTTP)
	return r.err()
}

// domainsMeet reports whether a host can get cookies of both domains.
func domainsMeet(a, b string) bool {
	return domainMatches(a, strings.TrimPrefix(b, ".")) || domainMatches(b, strings.TrimPrefix(a, "."))
}
