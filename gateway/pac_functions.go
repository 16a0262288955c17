package gateway

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"golang.org/x/net/idna"
)

// define gives the script the functions of PAC, with Chromium's answers where
// no standard says any.
func (r *pacRuntime) define() {
	for name, f := range map[string]func(goja.FunctionCall) goja.Value{
		"alert":               r.alert,
		"convert_addr":        r.convertAddr,
		"dateRange":           r.dateRange,
		"dnsDomainIs":         r.dnsDomainIs,
		"dnsDomainLevels":     r.dnsDomainLevels,
		"dnsResolve":          r.dnsResolve,
		"dnsResolveEx":        r.dnsResolveEx,
		"getClientVersion":    r.getClientVersion,
		"isInNet":             r.isInNet,
		"isInNetEx":           r.isInNetEx,
		"isPlainHostName":     r.isPlainHostName,
		"isResolvable":        r.isResolvable,
		"isResolvableEx":      r.isResolvableEx,
		"localHostOrDomainIs": r.localHostOrDomainIs,
		"myIpAddress":         r.myIPAddress,
		"myIpAddressEx":       r.myIPAddressEx,
		"shExpMatch":          r.shExpMatch,
		"sortIpAddressList":   r.sortIPAddressList,
		"timeRange":           r.timeRange,
		"weekdayRange":        r.weekdayRange,
	} {
		r.vm.Set(name, f)
	}
}

// text is an argument as a string. undefined and null, which have no methods of
// strings, throw.
func (r *pacRuntime) text(call goja.FunctionCall, i int) string {
	v := call.Argument(i)
	if goja.IsUndefined(v) || goja.IsNull(v) {
		panic(r.vm.NewTypeError("argument %d is %s", i+1, v))
	}
	return v.String()
}

func (r *pacRuntime) alert(call goja.FunctionCall) goja.Value {
	r.log.Debug("a PAC script says", "alert", call.Argument(0).String())
	return goja.Undefined()
}

func (r *pacRuntime) isPlainHostName(call goja.FunctionCall) goja.Value {
	host := r.text(call, 0)
	plain := !strings.Contains(host, ".")
	if plain && strings.Contains(host, ":") {
		_, err := netip.ParseAddr(host)
		plain = err != nil
	}
	return r.vm.ToValue(plain)
}

func (r *pacRuntime) dnsDomainIs(call goja.FunctionCall) goja.Value {
	return r.vm.ToValue(strings.HasSuffix(r.text(call, 0), r.text(call, 1)))
}

func (r *pacRuntime) dnsDomainLevels(call goja.FunctionCall) goja.Value {
	return r.vm.ToValue(strings.Count(r.text(call, 0), "."))
}

func (r *pacRuntime) localHostOrDomainIs(call goja.FunctionCall) goja.Value {
	host, full := r.text(call, 0), r.text(call, 1)
	return r.vm.ToValue(host == full || len(full) > len(host) && full[len(host)] == '.' && full[:len(host)] == host)
}

// shExpMatch takes "*" and "?" for any text and any character. All else of a
// regular expression keeps its meaning, as in Chromium.
func (r *pacRuntime) shExpMatch(call goja.FunctionCall) goja.Value {
	s, pattern := call.Argument(0).String(), r.text(call, 1)
	if isPlainText(s) && isPlainText(pattern) && !strings.ContainsAny(pattern, `\^$+()[]{}|`) {
		return r.vm.ToValue(globMatch(s, pattern))
	}
	pattern = strings.NewReplacer(".", `\.`, "*", ".*", "?", ".").Replace(pattern)
	re, err := r.vm.New(r.regexp, r.vm.ToValue("^"+pattern+"$"))
	if err != nil {
		panic(err)
	}
	test, _ := goja.AssertFunction(re.Get("test"))
	v, err := test(re, r.vm.ToValue(s))
	if err != nil {
		panic(err)
	}
	return v
}

// isPlainText is true for ASCII without line ends.
func isPlainText(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == '\n' || s[i] == '\r' {
			return false
		}
	}
	return true
}

// globMatch matches "*" with any text and "?" with one character.
func globMatch(s, pattern string) bool {
	i, p := 0, 0
	star, resume := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			i++
			p++
		case star >= 0:
			resume++
			i, p = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// hostname is a host to look up. What is no string is none.
func hostname(v goja.Value) (string, bool) {
	if !goja.IsString(v) {
		return "", false
	}
	host := v.String()
	if isPlainText(host) {
		return host, true
	}
	host, err := idna.Lookup.ToASCII(host)
	return host, err == nil
}

// resolve finds the addresses of a host, once in a decision.
func (r *pacRuntime) resolve(host string) []netip.Addr {
	addrs, known := r.found[host]
	if known {
		return addrs
	}
	if addr, err := parseAddr(host); err == nil && addr.IsValid() {
		addrs = []netip.Addr{addr}
	} else if err == nil && host != "" {
		addrs, _ = r.lookup(r.ctx, host)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	r.found[host] = addrs
	return addrs
}

// resolve4 is the first IPv4 address of a host, the invalid one without any.
func (r *pacRuntime) resolve4(v goja.Value) netip.Addr {
	host, ok := hostname(v)
	if !ok {
		return netip.Addr{}
	}
	for _, a := range r.resolve(host) {
		if a.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

func (r *pacRuntime) dnsResolve(call goja.FunctionCall) goja.Value {
	if addr := r.resolve4(call.Argument(0)); addr.IsValid() {
		return r.vm.ToValue(addr.String())
	}
	return goja.Null()
}

func (r *pacRuntime) isResolvable(call goja.FunctionCall) goja.Value {
	return r.vm.ToValue(r.resolve4(call.Argument(0)).IsValid())
}

func (r *pacRuntime) dnsResolveEx(call goja.FunctionCall) goja.Value {
	host, ok := hostname(call.Argument(0))
	if !ok {
		return goja.Undefined()
	}
	return r.vm.ToValue(joinAddrs(r.resolve(host)))
}

func (r *pacRuntime) isResolvableEx(call goja.FunctionCall) goja.Value {
	host, ok := hostname(call.Argument(0))
	return r.vm.ToValue(ok && len(r.resolve(host)) > 0)
}

func joinAddrs(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, ";")
}

// isInNet(host, pattern, mask) is for IPv4.
func (r *pacRuntime) isInNet(call goja.FunctionCall) goja.Value {
	pattern, ok := dottedQuad(r.text(call, 1))
	mask, maskOK := dottedQuad(r.text(call, 2))
	if !ok || !maskOK {
		return r.vm.ToValue(false)
	}
	host := call.Argument(0)
	addr, ok := dottedQuad(host.String())
	if !ok {
		found := r.resolve4(host)
		if !found.IsValid() {
			return r.vm.ToValue(false)
		}
		bytes := found.As4()
		addr = binary.BigEndian.Uint32(bytes[:])
	}
	return r.vm.ToValue(addr&mask == pattern&mask)
}

// dottedQuad reads four decimal numbers.
func dottedQuad(s string) (n uint32, ok bool) {
	part, digits, parts := uint32(0), 0, 1
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' && digits < 3:
			part = part*10 + uint32(c-'0')
			digits++
		case c == '.' && digits > 0 && parts < 4:
			n = n<<8 | part
			part, digits = 0, 0
			parts++
		default:
			return 0, false
		}
		if part > 255 {
			return 0, false
		}
	}
	return n<<8 | part, parts == 4 && digits > 0
}

// convertAddr gives an address as a signed number of 32 bits.
func (r *pacRuntime) convertAddr(call goja.FunctionCall) goja.Value {
	var n uint32
	parts := strings.Split(r.text(call, 0), ".")
	for i := range 4 {
		n <<= 8
		if i < len(parts) {
			n |= uint32(r.vm.ToValue(parts[i]).ToInteger()) & 0xff
		}
	}
	return r.vm.ToValue(int32(n))
}

// isInNetEx(address, prefix) is for IPv4 and IPv6, without lookups.
func (r *pacRuntime) isInNetEx(call goja.FunctionCall) goja.Value {
	if !goja.IsString(call.Argument(0)) || !goja.IsString(call.Argument(1)) {
		return goja.Null()
	}
	addr, err := parseAddr(call.Argument(0).String())
	block, blockErr := parseCIDR(call.Argument(1).String())
	return r.vm.ToValue(err == nil && blockErr == nil && addr.IsValid() && inBlock(addr, block))
}

// sortIPAddressList puts IPv6 before IPv4, each in ascending order, and gives
// false for a list with anything but addresses.
func (r *pacRuntime) sortIPAddressList(call goja.FunctionCall) goja.Value {
	if !goja.IsString(call.Argument(0)) {
		return goja.Null()
	}
	type entry struct {
		text string
		addr netip.Addr
	}
	var entries []entry
	list := strings.NewReplacer(" ", "", "\t", "").Replace(call.Argument(0).String())
	for text := range strings.SplitSeq(list, ";") {
		if text == "" {
			continue
		}
		addr, err := parseAddr(text)
		if err != nil || !addr.IsValid() {
			return r.vm.ToValue(false)
		}
		entries = append(entries, entry{text, addr})
	}
	if len(entries) == 0 {
		return r.vm.ToValue(false)
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if a.addr.BitLen() != b.addr.BitLen() {
			return b.addr.BitLen() - a.addr.BitLen()
		}
		return a.addr.Compare(b.addr)
	})
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = e.text
	}
	return r.vm.ToValue(strings.Join(texts, ";"))
}

func (r *pacRuntime) myIPAddress(goja.FunctionCall) goja.Value {
	addrs := ownAddrs(r.ctx, r.lookup)
	if i := slices.IndexFunc(addrs, netip.Addr.Is4); i >= 0 {
		return r.vm.ToValue(addrs[i].String())
	}
	if len(addrs) > 0 {
		return r.vm.ToValue(addrs[0].String())
	}
	return r.vm.ToValue("127.0.0.1")
}

func (r *pacRuntime) myIPAddressEx(goja.FunctionCall) goja.Value {
	return r.vm.ToValue(joinAddrs(ownAddrs(r.ctx, r.lookup)))
}

// getClientVersion is the version of Microsoft's extensions.
func (r *pacRuntime) getClientVersion(goja.FunctionCall) goja.Value {
	return r.vm.ToValue("1.0")
}
