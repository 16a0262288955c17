package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pacHosts answers the lookups of scripts in tests.
func pacHosts(_ context.Context, host string) ([]netip.Addr, error) {
	switch host {
	case "v4.test":
		return []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.1.2.4")}, nil
	case "v6.test":
		return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
	case "both.test":
		return []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.168.7.8")}, nil
	case "xn--bcher-kva.test":
		return []netip.Addr{netip.MustParseAddr("10.9.9.9")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func pacOf(t testing.TB, source string) *pacScript {
	t.Helper()
	s, err := compilePAC(t.Context(), source, pacHosts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func found(t *testing.T, s *pacScript, url string) string {
	t.Helper()
	result, err := s.find(t.Context(), mustTarget(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestPAC_FunctionsAnswerAsChromium(t *testing.T) {
	for _, c := range []struct{ js, want string }{
		{"isPlainHostName('foo')", "true"},
		{"isPlainHostName('foo.bar')", "false"},
		{"isPlainHostName('::1')", "false"},
		{"isPlainHostName('')", "true"},
		{"dnsDomainIs('www.foo.test', '.foo.test')", "true"},
		{"dnsDomainIs('foo.test', '.foo.test')", "false"},
		{"dnsDomainIs('WWW.foo.test', 'www.foo.test')", "false"},
		{"localHostOrDomainIs('www.foo.test', 'www.foo.test')", "true"},
		{"localHostOrDomainIs('www', 'www.foo.test')", "true"},
		{"localHostOrDomainIs('www.mcom', 'www.foo.test')", "false"},
		{"localHostOrDomainIs('ww', 'www.foo.test')", "false"},
		{"dnsDomainLevels('www')", "0"},
		{"dnsDomainLevels('a.b.c')", "2"},
		{"dnsResolve('v4.test')", "10.1.2.3"},
		{"dnsResolve('both.test')", "192.168.7.8"},
		{"dnsResolve('v6.test')", "null"},
		{"dnsResolve('no.test')", "null"},
		{"dnsResolve('1.2.3.4')", "1.2.3.4"},
		{"dnsResolve('bücher.test')", "10.9.9.9"},
		{"dnsResolve()", "null"},
		{"dnsResolve(5)", "null"},
		{"isResolvable('v4.test')", "true"},
		{"isResolvable('v6.test')", "false"},
		{"isResolvable('no.test')", "false"},
		{"isInNet('10.1.2.3', '10.1.0.0', '255.255.0.0')", "true"},
		{"isInNet('10.2.2.3', '10.1.0.0', '255.255.0.0')", "false"},
		{"isInNet('v4.test', '10.1.0.0', '255.255.0.0')", "true"},
		{"isInNet('no.test', '0.0.0.0', '0.0.0.0')", "false"},
		{"isInNet('10.1.2.3', '10.1.0', '255.255.0.0')", "false"},
		{"isInNet('10.1.2.3', '10.1.0.0', '256.255.0.0')", "false"},
		{"isInNet('10.1.2.3', '10.1.0.0', 'x')", "false"},
		{"convert_addr('104.16.41.2')", "1745889538"},
		{"convert_addr('255.0.0.1')", "-16777215"},
		{"convert_addr('1')", "16777216"},
		{"shExpMatch('http://home.test/people/ari/index.html', '*/ari/*')", "true"},
		{"shExpMatch('http://home.test/people/montulli/index.html', '*/ari/*')", "false"},
		{"shExpMatch('abc', 'a?c')", "true"},
		{"shExpMatch('ac', 'a?c')", "false"},
		{"shExpMatch('axc', 'a.c')", "false"},
		{"shExpMatch('a.c', 'a.c')", "true"},
		{"shExpMatch('', '*')", "true"},
		{"shExpMatch('aXbXc', '*X*X*')", "true"},
		{"shExpMatch('abab', '*ab')", "true"},
		{"shExpMatch('foo.test', '(foo|bar).test')", "true"},
		{"shExpMatch('baz.test', '(foo|bar).test')", "false"},
		{"shExpMatch('foo1.test', 'foo[0-9].test')", "true"},
		{"(function(){try{shExpMatch('a','(')}catch(e){return e.name}})()", "SyntaxError"},
		{"(function(){try{dnsDomainIs('a')}catch(e){return e.name}})()", "TypeError"},
		{"isResolvableEx('v6.test')", "true"},
		{"isResolvableEx('no.test')", "false"},
		{"dnsResolveEx('both.test')", "2001:db8::1;192.168.7.8"},
		{"dnsResolveEx('no.test') === ''", "true"},
		{"dnsResolveEx('::1')", "::1"},
		{"dnsResolveEx()", "undefined"},
		{"isInNetEx('10.1.2.3', '10.1.0.0/16')", "true"},
		{"isInNetEx('10.2.2.3', '10.1.0.0/16')", "false"},
		{"isInNetEx('2001:db8::5', '2001:db8::/32')", "true"},
		{"isInNetEx('::ffff:10.1.2.3', '10.1.0.0/16')", "true"},
		{"isInNetEx('v4.test', '10.1.0.0/16')", "false"},
		{"isInNetEx('10.1.2.3', '10.1.0.0')", "false"},
		{"isInNetEx('10.1.2.3')", "null"},
		{"sortIpAddressList('10.2.3.9;2001:4898:28:3:201:2ff:feea:fc14;::1;127.0.0.1;::9')", "::1;::9;2001:4898:28:3:201:2ff:feea:fc14;10.2.3.9;127.0.0.1"},
		{"sortIpAddressList(' 10.2.3.9 ; 1.2.3.4')", "1.2.3.4;10.2.3.9"},
		{"sortIpAddressList(';')", "false"},
		{"sortIpAddressList('1.2.3.4;x')", "false"},
		{"sortIpAddressList(1)", "null"},
		{"getClientVersion()", "1.0"},
		{"alert('x')", "undefined"},
		{"weekdayRange('SUN', 'SAT')", "true"},
		{"weekdayRange('SUN', 'SAT', 'GMT')", "true"},
		{"weekdayRange('NODAY')", "false"},
		{"weekdayRange()", "false"},
		{"dateRange('JAN', 'DEC')", "true"},
		{"dateRange(1, 31, 'GMT')", "true"},
		{"timeRange(0, 23)", "true"},
		{"timeRange(0, 0, 23, 59)", "true"},
		{"timeRange(0, 0, 0, 23, 59, 59, 'GMT')", "true"},
		{"(function(){try{timeRange(1,2,3)}catch(e){return e}})()", "timeRange: bad number of arguments"},
		{"typeof require + typeof process + typeof console", "undefinedundefinedundefined"},
		{"(function(){return this})() === this", "true"},
	} {
		s := pacOf(t, "function FindProxyForURL(url, host) { return String("+c.js+") }")
		if got := found(t, s, "http://x.test/"); got != c.want {
			t.Errorf("%s is %s, want %s", c.js, got, c.want)
		}
	}
}

func TestPAC_OwnAddressesAreAddresses(t *testing.T) {
	s := pacOf(t, "function FindProxyForURL(url, host) { return myIpAddress() + ' ' + (myIpAddressEx() || '127.0.0.1') }")
	one, all, _ := strings.Cut(found(t, s, "http://x.test/"), " ")
	if _, err := netip.ParseAddr(one); err != nil {
		t.Errorf("myIpAddress is %q", one)
	}
	for a := range strings.SplitSeq(all, ";") {
		if _, err := netip.ParseAddr(a); err != nil {
			t.Errorf("myIpAddressEx is %q", all)
		}
	}
}

func TestPAC_URLsOfScripts(t *testing.T) {
	s := pacOf(t, "function FindProxyForURL(url, host) { return url + ' ' + host }")
	for in, want := range map[string]string{
		"https://www.google.com/Foo":                 "https://www.google.com/ www.google.com",
		"https://[dead::beef]/foo?bar":               "https://[dead::beef]/ dead::beef",
		"https://www.example.com:8080#search":        "https://www.example.com:8080/ www.example.com",
		"https://user:password@www.example.com:443":  "https://www.example.com/ www.example.com",
		"wss://a.test/secret?x":                      "wss://a.test/ a.test",
		"http://u:p@A.test:80/a%20b?q=%C3%A9 é#frag": "http://a.test/a%20b?q=%C3%A9%20%C3%A9 a.test",
		"ws://a.test:81/x?":                          "ws://a.test:81/x? a.test",
		"http://bücher.test/ä":                       "http://xn--bcher-kva.test/%C3%A4 xn--bcher-kva.test",
	} {
		if got := found(t, s, in); got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
	}
}

func TestPAC_DecisionLooksUpAHostOnce(t *testing.T) {
	var lookups atomic.Int32
	lookup := func(ctx context.Context, host string) ([]netip.Addr, error) {
		lookups.Add(1)
		return pacHosts(ctx, host)
	}
	s, err := compilePAC(t.Context(), `function FindProxyForURL(url, host) {
		for (var i = 0; i < 20; i++) { isInNet(host, '10.0.0.0', '255.0.0.0'); isResolvable('no.test') }
		return 'DIRECT' }`, lookup, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		found(t, s, "http://v4.test/")
	}
	if n := lookups.Load(); n != 4 {
		t.Errorf("%d lookups in two decisions, want 4", n)
	}
}

func TestPAC_MicrosoftsEntryPointAlone(t *testing.T) {
	s := pacOf(t, "function FindProxyForURLEx(url, host) { return 'PROXY ex:1' }")
	if got := found(t, s, "http://x.test/"); got != "PROXY ex:1" {
		t.Errorf("got %s", got)
	}
}

func TestPAC_ScriptsThatCannotDecide(t *testing.T) {
	for name, source := range map[string]string{
		"empty":          "",
		"wrong syntax":   "function FindProxyForURL(",
		"no function":    "var FindProxyForURL = 'DIRECT'",
		"throws at once": "throw new Error('x'); function FindProxyForURL(u, h) { return 'DIRECT' }",
		"nests too deep": "function FindProxyForURL(u, h) { return " + strings.Repeat("(", 500_000) + "1" + strings.Repeat(")", 500_000) + "}",
	} {
		if _, err := compilePAC(t.Context(), source, pacHosts, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	for name, body := range map[string]string{
		"throws":                      "throw 'x'",
		"throws when it is looked at": "Object.defineProperty(globalThis, 'FindProxyForURL', {get: function() { throw 'x' }}); throw 'x'",
		"returns nothing":             "",
		"returns a number":            "return 5",
		"returns null":                "return null",
		"returns no ASCII":            "return 'PROXY bücher:80'",
		"calls itself":                "return FindProxyForURL(u, h)",
		"calls itself hidden":         "return [1].map(function() { return FindProxyForURL(u, h) })[0]",
	} {
		s := pacOf(t, "function FindProxyForURL(u, h) { "+body+" }")
		for range 2 {
			if got, err := s.find(t.Context(), mustTarget(t, "http://x.test/")); err == nil {
				t.Errorf("%s: got %q, want an error", name, got)
			}
		}
	}
}

func TestPAC_SourceMapsAreNotRead(t *testing.T) {
	s := pacOf(t, "function FindProxyForURL(u, h) { return eval('5\\n//# sourceMappingURL=/no/such/file') + '' }\n//# sourceMappingURL=/no/such/file")
	if got := found(t, s, "http://x.test/"); got != "5" {
		t.Errorf("got %s", got)
	}
}

func TestPAC_EndlessScriptIsInterruptedAndTheNextDecisionWorks(t *testing.T) {
	s := pacOf(t, "function FindProxyForURL(u, h) { if (h == 'loop.test') for (;;) try { for (;;); } catch (e) {} return 'DIRECT' }")
	s.limit = 50 * time.Millisecond
	for range pacRuntimes + 1 {
		if _, err := s.find(t.Context(), mustTarget(t, "http://loop.test/")); !errors.Is(err, errPACSlow) {
			t.Fatalf("got %v", err)
		}
	}
	if got := found(t, s, "http://x.test/"); got != "DIRECT" {
		t.Errorf("got %s", got)
	}
}

func TestPAC_ScriptThatTakesLongToReadIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	source := "var x = " + strings.Repeat("1+", 5_000) + "1"
	if _, err := compilePAC(ctx, source, pacHosts, slog.New(slog.DiscardHandler)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestPAC_EndlessAtTheTopIsInterruptedByTheCaller(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := compilePAC(ctx, "for (;;);", pacHosts, slog.New(slog.DiscardHandler)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestPAC_SlowDecisionsDoNotHoldUpOthers(t *testing.T) {
	inLookup, release := make(chan struct{}), make(chan struct{})
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		inLookup <- struct{}{}
		<-release
		return nil, errors.New("late")
	}
	s, err := compilePAC(t.Context(), "function FindProxyForURL(u, h) { if (h == 'slow.test') dnsResolve(h); return 'PROXY ' + h }", lookup, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var slow sync.WaitGroup
	for range pacRuntimes - 1 {
		slow.Go(func() { s.find(t.Context(), mustTarget(t, "http://slow.test/")) })
		<-inLookup
	}
	if got := found(t, s, "http://fast.test/"); got != "PROXY fast.test" {
		t.Errorf("got %s", got)
	}
	// With every runtime taken, a caller who gives up is not held.
	slow.Go(func() { s.find(t.Context(), mustTarget(t, "http://slow.test/")) })
	<-inLookup
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := s.find(ctx, mustTarget(t, "http://fast.test/")); err != gone {
		t.Errorf("got %v", err)
	}
	close(release)
	slow.Wait()
}

func TestPAC_ManyCallersAtOnce(t *testing.T) {
	s := pacOf(t, "var n = 0; function FindProxyForURL(u, h) { n++; return 'PROXY ' + h + ':' + (n > 0 ? 1 : 0) }")
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range 20 {
				host := fmt.Sprintf("h%d-%d.test", i, j)
				if got := found(t, s, "http://"+host+"/"); got != "PROXY "+host+":1" {
					t.Errorf("%s: %s", host, got)
				}
			}
		})
	}
	all.Wait()
}

func TestPAC_Results(t *testing.T) {
	for in, want := range map[string]string{
		"DIRECT":                       "DIRECT",
		"":                             "DIRECT",
		" ; ;":                         "DIRECT",
		"PROXY a:1; SOCKS b; SOCKS5 c": "PROXY a:1;SOCKS b:1080;SOCKS5 c:1080",
		"HTTPS d:443; DIRECT":          "HTTPS d:443;DIRECT",
		"proxy\ta":                     "PROXY a:80",
		"SOCKS4 a;":                    "SOCKS a:1080",
		"HTTPS a":                      "HTTPS a:443",
		"PROXY [::1]:3128":             "PROXY [::1]:3128",
		"HTTP a:1; PROXY b":            "PROXY b:80",
		"PROXY; PROXY a:x; foo":        "DIRECT",
		"DIRECT a; PROXY b":            "PROXY b:80",
		"QUIC a:1; PROXY b":            "PROXY b:80",
		"PROXY u:p@a:1":                "PROXY a:1",
		"a:1":                          "DIRECT",
	} {
		route, err := parsePACResult(in)
		if err != nil || route.String() != want {
			t.Errorf("%q is %s, %v, want %s", in, route, err, want)
		}
	}
	if route, err := parsePACResult("QUIC a:1"); err == nil {
		t.Errorf("QUIC alone is %s, want an error", route)
	}
}

func TestPAC_WeekdaysAndDatesAndTimes(t *testing.T) {
	zone := time.FixedZone("east", 2*3600)
	// A Wednesday.
	now := time.Date(2026, time.July, 15, 14, 30, 20, 0, zone)
	for _, c := range []struct {
		args string
		want bool
	}{
		{"WED", true}, {"THU", false}, {"MON WED", true}, {"THU FRI", false}, {"FRI WED", true}, {"FRI TUE", false}, {"SAT MON", false},
	} {
		if got := inWeekdays(now, strings.Fields(c.args)); got != c.want {
			t.Errorf("weekdayRange(%s) is %v", c.args, got)
		}
	}
	for _, c := range []struct {
		args string
		want bool
	}{
		{"15", true}, {"16", false}, {"JUL", true}, {"JUN", false}, {"2026", true}, {"2025", false}, {"jul", false},
		{"1 15", true}, {"1 14", false}, {"16 31", false}, {"JUN AUG", true}, {"AUG JUN", false}, {"NOV AUG", true},
		{"2025 2027", true}, {"2027 2028", false},
		{"1 JUN 15 AUG", true}, {"16 JUL 15 AUG", false}, {"24 DEC 16 JUL", true},
		{"JUL 2026 DEC 2026", true}, {"OCT 1995 MAR 1996", false},
		{"1 JUN 1995 15 AUG 2027", true}, {"1 JUN 1995 15 AUG 1995", false},
	} {
		if got := inDates(now, strings.Fields(c.args)); got != c.want {
			t.Errorf("dateRange(%s) is %v", c.args, got)
		}
	}
	for _, c := range []struct {
		args []int
		want bool
	}{
		{[]int{14}, true}, {[]int{13}, false}, {[]int{9, 17}, true}, {[]int{15, 17}, false}, {[]int{17, 9}, false},
		{[]int{14, 30, 14, 30}, true}, {[]int{14, 31, 15, 0}, false}, {[]int{22, 0, 15, 0}, true}, {[]int{22, 0, 6, 0}, false},
		{[]int{14, 30, 20, 14, 30, 20}, true}, {[]int{14, 30, 21, 14, 31, 0}, false}, {nil, false},
	} {
		if got := inTimes(now, c.args); got != c.want {
			t.Errorf("timeRange(%v) is %v", c.args, got)
		}
	}
}

func FuzzPACResult(f *testing.F) {
	for _, seed := range []string{"", "DIRECT", "PROXY a:1; SOCKS b; SOCKS5 c; HTTPS d:443; DIRECT", "QUIC x", "PROXY u:p@[::1]", "PROXY [", "proxy \t a ;;", "SOCKS4 1.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		route, err := parsePACResult(s)
		if err == nil && len(route) == 0 {
			t.Fatalf("%q: neither a route nor an error", s)
		}
		for _, hop := range route {
			checkHop(t, hop)
		}
	})
}
