package gateway

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// bypassRules are ProxyConfig.ProxyBypassRules in their order.
type bypassRules []bypassRule

// verdict is what one rule says of a URL.
type verdict int

const (
	noMatch verdict = iota
	bypass
	useProxy
)

type bypassRule interface {
	judge(*target) verdict
}

// match says whether a URL goes direct. The last rule that says anything wins;
// local hosts that no rule speaks of go direct.
func (rules bypassRules) match(t *target) bool {
	for i := len(rules) - 1; i >= 0; i-- {
		if v := rules[i].judge(t); v != noMatch {
			return v == bypass
		}
	}
	return t.isLocal()
}

func parseBypassRules(s string) (bypassRules, error) {
	var rules bypassRules
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ';' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		rule, err := parseBypassRule(part)
		if err != nil {
			return nil, wrongPart("ProxyBypassRules", part, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func parseBypassRule(s string) (bypassRule, error) {
	switch strings.ToLower(s) {
	case "<local>":
		return simpleNames{}, nil
	case "<-loopback>":
		return notLocal{}, nil
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "", s
	} else if scheme == "" {
		return nil, errors.New("the scheme is missing")
	}
	scheme = strings.ToLower(scheme)
	if rest == "" {
		return nil, errors.New("the host is missing")
	}
	if strings.Contains(rest, "/") {
		block, err := parseCIDR(rest)
		return addrBlock{scheme: scheme, block: block}, err
	}
	if rule, ok := parseAddrRule(scheme, rest); ok {
		return rule, nil
	}
	return parseNameRule(scheme, rest)
}

// parseCIDR reads an address block such as 192.168.1.1/16 or fefe::/40.
func parseCIDR(s string) (netip.Prefix, error) {
	wrong := errors.New("not an address block, such as 10.0.0.0/8 or fe80::/10; URLs with paths are not rules")
	host, length, _ := strings.Cut(s, "/")
	addr, err := parseAddr(host)
	if err != nil || !addr.IsValid() {
		return netip.Prefix{}, wrong
	}
	bits, err := strconv.ParseUint(length, 10, 8)
	if err != nil {
		return netip.Prefix{}, wrong
	}
	block, err := addr.Prefix(int(bits))
	if err != nil {
		return netip.Prefix{}, wrong
	}
	return block, nil
}

// inBlock compares IPv4 and IPv6 as if IPv4 were mapped into IPv6.
func inBlock(addr netip.Addr, block netip.Prefix) bool {
	switch {
	case addr.Is4() == block.Addr().Is4():
		return block.Contains(addr)
	case addr.Is4():
		return block.Contains(netip.AddrFrom16(addr.As16()))
	default:
		return addr.Is4In6() && block.Contains(addr.Unmap())
	}
}

func parseAddrRule(scheme, s string) (rule hostRule, ok bool) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		s = "[" + s + "]"
	}
	host, port, err := splitHostPort(s)
	if err != nil {
		return hostRule{}, false
	}
	addr, err := parseAddr(host)
	if err != nil || !addr.IsValid() {
		return hostRule{}, false
	}
	return hostRule{scheme: scheme, addr: addr, port: port}, true
}

func parseNameRule(scheme, s string) (bypassRule, error) {
	rule := hostRule{scheme: scheme}
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 {
		var err error
		if rule.port, err = parsePort(s[colon+1:]); err != nil {
			return nil, err
		}
		s = s[:colon]
	}
	if strings.ContainsAny(s, "<> \t@[]:") {
		return nil, errors.New("not a host pattern")
	}
	if !isPlainText(s) {
		return nil, errors.New("names beyond ASCII are written in punycode")
	}
	if strings.HasPrefix(s, ".") {
		s = "*" + s
	}
	rule.pattern = strings.ToLower(s)
	return rule, nil
}

// hostRule is [scheme://]host[:port] with an address, or a pattern of names.
type hostRule struct {
	scheme  string // "" for any
	addr    netip.Addr
	pattern string
	port    string // "" for any
}

func (r hostRule) judge(t *target) verdict {
	if r.scheme != "" && r.scheme != t.scheme || r.port != "" && r.port != t.port {
		return noMatch
	}
	if r.addr.IsValid() && r.addr == t.addr || !r.addr.IsValid() && matchPattern(t.urlHost(), r.pattern) {
		return bypass
	}
	return noMatch
}

// addrBlock is a block of addresses. Names are not looked up for it.
type addrBlock struct {
	scheme string // "" for any
	block  netip.Prefix
}

func (r addrBlock) judge(t *target) verdict {
	if r.scheme != "" && r.scheme != t.scheme || !t.addr.IsValid() || !inBlock(t.addr, r.block) {
		return noMatch
	}
	return bypass
}

// simpleNames is <local>: names without a dot anywhere.
type simpleNames struct{}

func (simpleNames) judge(t *target) verdict {
	if t.addr.IsValid() || strings.Contains(t.host, ".") {
		return noMatch
	}
	return bypass
}

// notLocal is <-loopback>.
type notLocal struct{}

func (notLocal) judge(t *target) verdict {
	if t.isLocal() {
		return useProxy
	}
	return noMatch
}

// matchPattern matches as Chromium does: "*" is any text, "?" at most one
// character, and a backslash takes the special meaning from the next one.
func matchPattern(s, pattern string) bool {
	if !strings.ContainsAny(pattern, `*?\`) {
		return s == pattern
	}
	if rest := pattern[1:]; pattern[0] == '*' && !strings.ContainsAny(rest, `*?\`) {
		return strings.HasSuffix(s, rest)
	}
	// at[i] says that s so far matches the first i bytes of the pattern.
	at := make([]bool, len(pattern)+1)
	at[0] = true
	skipWildcards(at, pattern)
	for i := range len(s) {
		next := make([]bool, len(at))
		for p := range at {
			if at[p] {
				step(next, pattern, p, s[i])
			}
		}
		skipWildcards(next, pattern)
		at = next
	}
	return at[len(pattern)]
}

// step takes one character of the text at position p of the pattern.
func step(next []bool, pattern string, p int, c byte) {
	switch {
	case p == len(pattern):
	case pattern[p] == '*':
		next[p] = true
	case pattern[p] == '?':
		next[p+1] = true
	case pattern[p] == '\\' && p+1 < len(pattern):
		if pattern[p+1] == c {
			next[p+2] = true
		}
	case pattern[p] == c:
		next[p+1] = true
	}
}

// skipWildcards lets wildcards match nothing.
func skipWildcards(at []bool, pattern string) {
	for p := range len(pattern) {
		if at[p] && (pattern[p] == '*' || pattern[p] == '?') {
			at[p+1] = true
		}
	}
}
