package bridge

import (
	"slices"
	"strconv"
	"strings"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// allURLs is the match pattern of every URL.
const allURLs = "<all_urls>"

// matchPattern is one pattern of a WebRequestFilter: Chromium's match patterns
// of extensions, such as "https://*.example.test/login/*".
type matchPattern struct {
	all        bool   // <all_urls>
	scheme     string // "*" is http, https, ws and wss
	host       string // in lower case; empty with subdomains means every host
	subdomains bool   // of the host too
	port       string // "*" is every port
	path       string // with the query; * is any text
	parts      []string
}

// parseMatchPattern reads a pattern. Its errors are Chromium's words.
func parseMatchPattern(text string) (*matchPattern, string) {
	if text == allURLs {
		return &matchPattern{all: true}, ""
	}
	p := &matchPattern{port: "*"}
	scheme, rest, standard := strings.Cut(text, "://")
	if !standard {
		var found bool
		if scheme, rest, found = strings.Cut(text, ":"); !found {
			return nil, "Missing scheme separator."
		}
	}
	if p.scheme = scheme; knownScheme(scheme, standard) != standard {
		return nil, "Wrong scheme type."
	}
	if rest == "" {
		return nil, "Host can not be empty."
	}
	slash := strings.IndexByte(rest, '/')
	switch {
	case !standard:
		p.setPath(rest)
	case scheme == "file": // whose host does not count
		if slash < 0 {
			rest, slash = "/"+rest, 0
		}
		p.setPath(rest[slash:])
	case slash < 0:
		return nil, "Empty path."
	default:
		if problem := p.setHost(rest[:slash]); problem != "" {
			return nil, problem
		}
		p.setPath(rest[slash:])
	}
	return p, ""
}

// knownScheme reports whether a scheme is written with two slashes. One that
// Chromium does not know is what the pattern takes it for.
func knownScheme(scheme string, standard bool) bool {
	switch scheme {
	case "*", "http", "https", "ws", "wss", "file", "ftp", "filesystem", "chrome", "chrome-extension", "devtools":
		return true
	case "about", "blob", "data", "javascript", "mailto", "urn":
		return false
	}
	return standard
}

func (p *matchPattern) setHost(authority string) (problem string) {
	host, port, hasPort := strings.Cut(authority, ":")
	if strings.HasPrefix(authority, "[") { // an IPv6 address
		address, rest, closed := strings.Cut(authority[1:], "]")
		if host = ""; address != "" {
			host = "[" + address + "]"
		}
		if port, hasPort = strings.CutPrefix(rest, ":"); !closed || !hasPort && rest != "" {
			return "Invalid host."
		}
	}
	if hasPort {
		if p.port = port; !validPort(p.scheme, port) {
			return "Invalid port."
		}
	}
	switch rest, below := strings.CutPrefix(host, "*."); {
	case host == "", below && rest == "":
		return "Host can not be empty."
	case host == "*":
		p.subdomains, host = true, ""
	case below:
		p.subdomains, host = true, rest
	}
	if strings.Contains(host, "*") {
		return "Invalid host wildcard."
	}
	if strings.ContainsFunc(host, forbiddenInHost) {
		return "Invalid host."
	}
	p.host = strings.TrimSuffix(strings.ToLower(host), ".")
	return ""
}

func forbiddenInHost(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"#%/<>?@\^|`+"`{}", r)
}

func validPort(scheme, port string) bool {
	if port == "*" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && hostport.Default(scheme) != "" && strconv.FormatUint(n, 10) == port
}

func (p *matchPattern) setPath(path string) {
	p.path, p.parts = path, strings.Split(path, "*")
}

// matches reports whether the pattern selects a URL. Its host is looked at by
// patternSet.
func (p *matchPattern) matches(u *requestURL) bool {
	return p.all || p.matchesServer(u) && p.matchesPath(u.path)
}

// matchesServer does not look at the path.
func (p *matchPattern) matchesServer(u *requestURL) bool {
	if p.all {
		return true
	}
	return (p.scheme == u.scheme || p.scheme == "*" && u.web()) && (p.port == "*" || p.port == u.port)
}

func (p *matchPattern) matchesPath(path string) bool {
	last := len(p.parts) - 1
	if last == 0 {
		return path == p.path
	}
	if len(path)+2 == len(p.path) && strings.HasPrefix(p.path, path) && strings.HasSuffix(p.path, "/*") {
		return true // /a/* is /a too
	}
	rest, ok := strings.CutPrefix(path, p.parts[0])
	if !ok || len(rest) < len(p.parts[last]) {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, p.parts[last]); !ok {
		return false
	}
	for _, part := range p.parts[1:last] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return true
}

// wire is a pattern of the protocol that selects at least the same http, https
// and file URLs: * is any text there, and ? any character.
func (p *matchPattern) wire() string {
	if p.all {
		return "*"
	}
	escape := strings.NewReplacer(`\`, `\\`, "?", `\?`)
	path, below := strings.CutSuffix(p.path, "/*")
	if below {
		path += "*"
	}
	path = escape.Replace(path)
	switch {
	case p.scheme == "file":
		return "file://*" + path
	case hostport.Default(p.scheme) == "" && p.scheme != "*":
		return p.scheme + ":*"
	}
	return p.scheme + "://*" + p.host + "*" + path // the * are where a user and a port may be
}

// requestURL is a URL, as Chromium writes it, in the parts that patterns look
// at.
type requestURL struct{ scheme, host, port, path string }

func parseRequestURL(url string) (u requestURL) {
	url, _, _ = strings.Cut(url, "#")
	u.scheme, url, _ = strings.Cut(url, ":")
	authority, standard := strings.CutPrefix(url, "//")
	if !standard {
		u.path = url
		return u
	}
	if at := strings.IndexAny(authority, "/?"); at >= 0 {
		authority, u.path = authority[:at], authority[at:]
	}
	if !strings.HasPrefix(u.path, "/") {
		u.path = "/" + u.path
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	u.host, u.port = authority, hostport.Default(u.scheme)
	if at := strings.LastIndexByte(authority, ':'); at >= 0 && !strings.HasSuffix(authority, "]") {
		u.host, u.port = authority[:at], authority[at+1:]
	}
	u.host = strings.TrimSuffix(strings.ToLower(u.host), ".")
	return u
}

func (u *requestURL) web() bool {
	return u.scheme == "http" || u.scheme == "https" || u.scheme == "ws" || u.scheme == "wss"
}

// isAddress reports whether the host is an IP address, of which there are no
// subdomains.
func (u *requestURL) isAddress() bool {
	last := u.host[strings.LastIndexByte(u.host, '.')+1:]
	return strings.HasPrefix(u.host, "[") || last != "" && last[0] >= '0' && last[0] <= '9'
}

// patternSet is any number of patterns. A URL is compared with those of its
// host only.
type patternSet struct {
	byHost map[string][]*matchPattern // "" holds those of every host
	below  map[string][]*matchPattern // that select the subdomains of a host
	all    []*matchPattern
}

// parsePatterns reads patterns. The error names the bad one, as Electron does.
func parsePatterns(texts []string) (*patternSet, error) {
	s := &patternSet{byHost: map[string][]*matchPattern{}, below: map[string][]*matchPattern{}}
	for _, text := range texts {
		p, problem := parseMatchPattern(text)
		if problem != "" {
			return nil, invalidArgument("Invalid url pattern %s: %s", text, problem)
		}
		s.all = append(s.all, p)
		s.byHost[p.host] = append(s.byHost[p.host], p)
		if p.subdomains && p.host != "" {
			s.below[p.host] = append(s.below[p.host], p)
		}
	}
	return s, nil
}

func (s *patternSet) matches(u *requestURL) bool {
	return s.any(u, func(p *matchPattern) bool { return p.matches(u) })
}

// matchServer reports whether there can be a URL that is selected on the server
// of one.
func (s *patternSet) matchServer(u *requestURL) bool {
	return s.any(u, func(p *matchPattern) bool { return p.matchesServer(u) })
}

// any reports whether a pattern for the host of a URL is one of those.
func (s *patternSet) any(u *requestURL, selects func(*matchPattern) bool) bool {
	if slices.ContainsFunc(s.byHost[""], selects) || u.host != "" && slices.ContainsFunc(s.byHost[u.host], selects) {
		return true
	}
	if len(s.below) == 0 || u.isAddress() {
		return false
	}
	for _, host, ok := strings.Cut(u.host, "."); ok; _, host, ok = strings.Cut(host, ".") {
		if slices.ContainsFunc(s.below[host], selects) {
			return true
		}
	}
	return false
}
