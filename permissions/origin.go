package permissions

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// OriginError is a text that is not an origin, or not a pattern of origins.
type OriginError struct {
	Text    string
	Problem string
}

func (e *OriginError) Error() string { return fmt.Sprintf("%q: %s", e.Text, e.Problem) }

// origin is an origin in the one spelling that Chromium has for it. Only that of
// files has no host.
type origin struct {
	scheme, host string
	port         string // empty for the scheme's own
}

func (o origin) String() string {
	if o.port == "" {
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + o.host + ":" + o.port
}

// ParseOrigin returns an origin as Chromium writes it. It takes one with or without
// a slash at its end, and refuses the opaque ones. Its error is an *OriginError.
func ParseOrigin(text string) (string, error) {
	o, err := parseOrigin(text)
	if err != nil {
		return "", err
	}
	return o.String(), nil
}

// parseOrigin reads an origin, with or without a slash at its end. It refuses
// "null", which stands for all the opaque ones.
func parseOrigin(text string) (origin, error) {
	o, problem := readOrigin(text)
	if problem != "" {
		return origin{}, &OriginError{text, problem}
	}
	return o, nil
}

func readOrigin(text string) (o origin, problem string) {
	if text == "null" {
		return o, "an opaque origin is a different one each time"
	}
	var rest string
	if o.scheme, rest, problem = cutScheme(text); problem != "" {
		return o, problem
	}
	if o.scheme == "file" {
		return o, checkFile(rest)
	}
	host, port, problem := cutPort(rest)
	if problem != "" {
		return o, problem
	}
	if o.host, problem = readHost(host); problem != "" {
		return o, problem
	}
	o.port, problem = readPort(port, o.scheme)
	return o, problem
}

// cutScheme takes the scheme from an origin.
func cutScheme(text string) (scheme, rest, problem string) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return "", "", "an origin begins with a scheme, as https://example.test does"
	}
	scheme = strings.ToLower(scheme)
	for i, c := range scheme {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", c)) {
			return "", "", fmt.Sprintf("%q is not a scheme", scheme)
		}
	}
	if scheme == "" || len(scheme) > 63 {
		return "", "", "the scheme is missing, or has more than 63 letters"
	}
	return scheme, rest, ""
}

// checkFile looks at what follows "file://".
func checkFile(rest string) string {
	if strings.Trim(rest, "/") != "" || len(rest) > 1 {
		return "all files are of the one origin file://"
	}
	return ""
}

// cutPort parts host and port, which is empty if there is none.
func cutPort(rest string) (host, port, problem string) {
	rest = strings.TrimSuffix(rest, "/")
	if i := strings.IndexAny(rest, `/\?#@`); i >= 0 {
		return "", "", fmt.Sprintf("an origin is a scheme, a host and a port, and has no %q", rest[i])
	}
	colon := strings.LastIndexByte(rest, ':')
	if colon < 0 || strings.HasSuffix(rest, "]") {
		return rest, "", ""
	}
	if colon == len(rest)-1 {
		return "", "", "there is no port after the colon"
	}
	return rest[:colon], rest[colon+1:], ""
}

// readHost gives a name or an address the spelling that Chromium has for it.
func readHost(text string) (host, problem string) {
	if text == "" {
		return "", "the host is missing"
	}
	if text[0] == '[' && text[len(text)-1] == ']' {
		return readIPv6(text[1 : len(text)-1])
	}
	host = strings.ToLower(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(text)
		if err != nil {
			return "", fmt.Sprintf("the host is not a name: %v", err)
		}
		host = ascii
	}
	return host, checkHost(host)
}

func readIPv6(text string) (host, problem string) {
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is6() || address.Zone() != "" {
		return "", "what stands in brackets is not an IPv6 address"
	}
	if address.Is4In6() { // which netip writes with dots
		b := address.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", int(b[12])<<8|int(b[13]), int(b[14])<<8|int(b[15])), ""
	}
	return "[" + address.String() + "]", ""
}

// checkHost says what is wrong with a host in lower case.
func checkHost(host string) string {
	for _, c := range host {
		if c == '*' {
			return "a * stands for all subdomains, as in *.example.test, for the whole host, or for the port"
		}
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("-._", c) {
			return fmt.Sprintf("the host has %q in it", c)
		}
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 {
			return "the host has an empty part, or one of more than 63 letters"
		}
	}
	if len(host) > 254 {
		return "the host has more than 253 letters"
	}
	if endsInNumber(labels) {
		if _, err := netip.ParseAddr(host); err != nil {
			return "the host is neither a name nor an IPv4 address of four numbers"
		}
	}
	return ""
}

// endsInNumber says whether Chromium takes a host for an IPv4 address.
func endsInNumber(labels []string) bool {
	last := labels[len(labels)-1]
	digits := "0123456789"
	if hex, found := strings.CutPrefix(last, "0x"); found {
		last, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(last, digits) == ""
}

// readPort returns a port, or nothing for the scheme's own.
func readPort(text, scheme string) (port, problem string) {
	if text == "" {
		return "", ""
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", fmt.Sprintf("%q is not a port", text)
	}
	if port = strconv.FormatUint(n, 10); port == ownPort(scheme) {
		return "", ""
	}
	return port, ""
}

// ownPort is the port of a scheme's URLs that name none.
func ownPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}
