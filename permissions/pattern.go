package permissions

import (
	"net/netip"
	"strings"
)

// Pattern is a set of origins, written as
//
//	https://shop.example.test       one origin
//	https://shop.example.test:8443  with a port
//	http://localhost:*              with any port
//	https://*.example.test          example.test and all below it
//	https://*                       every host
//	*.example.test                  without a scheme: http and https
//	file://                         the pages of files
//	*, <all>                        everything, opaque origins too
//
// A pattern without a port means the scheme's own. The zero value matches
// nothing.
type Pattern struct {
	text       string
	all        bool
	scheme     string // empty for http and https
	host       string // empty with subdomains for every host
	subdomains bool   // of the host too
	port       string // empty for the scheme's own, * for every one
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// ParsePattern reads a pattern. Its error is an *OriginError.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	if problem := p.read(); problem != "" {
		return Pattern{}, &OriginError{text, problem}
	}
	return p, nil
}

func (p *Pattern) read() (problem string) {
	rest := p.text
	switch p.text {
	case "*", "<all>":
		p.all = true
		return ""
	case "":
		return "a pattern is missing; * is every origin"
	case "null":
		return "only * matches opaque origins"
	}
	if strings.Contains(rest, "://") {
		if p.scheme, rest, problem = cutScheme(rest); problem != "" {
			return problem
		}
	}
	if p.scheme == "file" {
		return checkFile(rest)
	}
	host, port, problem := cutPort(rest)
	if problem != "" {
		return problem
	}
	if p.port = port; port != "*" {
		if p.port, problem = readPort(port, p.scheme); problem != "" {
			return problem
		}
	}
	return p.readHost(host)
}

func (p *Pattern) readHost(host string) (problem string) {
	if host == "*" {
		p.subdomains = true
		return ""
	}
	host, p.subdomains = strings.CutPrefix(host, "*.")
	if p.host, problem = readHost(host); problem != "" {
		return problem
	}
	if p.subdomains && isAddress(p.host) {
		return "an address has no subdomains"
	}
	return ""
}

// isAddress tells an address that readHost has read from a name.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return host[0] == '[' || err == nil
}

// Match says whether an origin, with or without a slash at its end, is in the
// set. "null", and what is no origin, is in the set of everything only.
func (p Pattern) Match(text string) bool {
	o, err := parseOrigin(text)
	return p.all || err == nil && p.matches(o)
}

func (p Pattern) matches(o origin) bool {
	return p.all || p.matchesScheme(o.scheme) && p.matchesHost(o.host) && p.matchesPort(o)
}

func (p Pattern) matchesScheme(scheme string) bool {
	if p.scheme == "" && p.text != "" {
		return scheme == "http" || scheme == "https"
	}
	return p.scheme == scheme
}

func (p Pattern) matchesHost(host string) bool {
	if p.subdomains {
		return p.host == "" || host == p.host || strings.HasSuffix(host, "."+p.host)
	}
	return host == p.host
}

func (p Pattern) matchesPort(o origin) bool {
	return p.port == "*" || p.port == o.port || p.port == ownPort(o.scheme) && o.port == ""
}
