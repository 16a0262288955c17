package gateway

import (
	"errors"
	"net/url"
	"testing"
)

func TestBypassRules(t *testing.T) {
	for _, c := range []struct {
		rules, url string
		want       bool
	}{
		{"", "http://foo.test/", false},
		{"foobar.com", "https://foobar.com:99/", true},
		{"FooBar.com", "http://FOOBAR.com/", true},
		{"foobar.com", "http://www.foobar.com/", false},
		{"*foobar.com", "http://blahfoobar.com/", true},
		{"*foobar.com", "http://foo.foobar.com/", true},
		{".google.com", "http://calendar.google.com/", true},
		{".google.com", "http://google.com/", false},
		{"http://.google.com", "https://a.google.com/", false},
		{"HTTP://.google.com", "http://a.google.com/", true},
		{"*.org:443", "https://a.org/", true},
		{"*.org:443", "http://a.org/", false},
		{"*.org:443", "wss://a.org/", true},
		{"https://x.*.y.com:99", "https://x.a.b.y.com:99/", true},
		{"https://x.*.y.com:99", "https://x.a.y.com/", false},
		{"x?.test", "http://xy.test/", true},
		{"x?.test", "http://x.test/", true},
		{"x?.test", "http://xyz.test/", false},
		{"*", "http://anything/", true},
		{"*", "http://[::2]/", true},
		{"a.test , b.test;c.test", "http://c.test/", true},
		{"a.test , b.test;c.test", "http://b.test/", true},
		{"10.1.1.1", "http://10.1.1.1:5/", true},
		{"10.1.1.1:6", "http://10.1.1.1:5/", false},
		{"http://10.0x1.1.1", "http://10.1.1.1/", true},
		{"[0:0:0::2]", "http://[::2]/", true},
		{"::2", "http://[::2]/", true},
		{"http://[::2]:99", "http://[::2]:99/", true},
		{"http://[::2]:99", "http://[::2]/", false},
		{"192.168.1.1/16", "http://192.168.99.1/", true},
		{"192.168.1.1/16", "http://192.169.0.1/", false},
		{"192.168.1.1/16", "http://name.test/", false},
		{"https://192.168.1.1/16", "http://192.168.0.1/", false},
		{"192.168.0.0/16", "http://[::ffff:192.168.1.1]/", true},
		{"::ffff:192.168.0.0/112", "http://192.168.1.1/", true},
		{"fefe:13::abc/33", "http://[fefe:13::1]/", true},
		{"fefe:13::abc/33", "http://[fefe:13:8000::1]/", false},
		{"0.0.0.0/0", "http://8.8.8.8/", true},
		{"0.0.0.0/0", "http://[2001::1]/", false},
		{"<local>", "http://intranet/", true},
		{"<LOCAL>", "http://intranet./", false},
		{"<local>", "http://[::2]/", false},
		{"<local>", "http://a.b/", false},
		// The local hosts.
		{"", "http://localhost/", true},
		{"", "http://localhost./", true},
		{"", "http://a.localhost:9/", true},
		{"", "http://notlocalhost/", false},
		{"", "http://127.9.9.9/", true},
		{"", "http://[::1]/", true},
		{"", "http://[::ffff:127.0.0.1]/", true},
		{"", "http://169.254.1.1/", true},
		{"", "http://[fe80::1]/", true},
		{"", "http://[febf::1]/", true},
		{"", "http://[fec0::1]/", false},
		{"<-loopback>", "http://localhost/", false},
		{"<-loopback>", "http://127.0.0.1/", false},
		{"<-loopback>", "http://169.254.1.1/", false},
		{"<-loopback>", "http://foo.test/", false},
		{"<-loopback>;127.0.0.1", "http://127.0.0.1/", true},
		{"<-loopback>;127.0.0.1", "http://localhost/", false},
		{"127.0.0.1;<-loopback>", "http://127.0.0.1/", false},
		{"foo.test;<-loopback>", "http://foo.test/", true},
		{"<-loopback>,<local>", "http://localhost/", true},
	} {
		rules, err := parseBypassRules(c.rules)
		if err != nil {
			t.Errorf("%q: %v", c.rules, err)
			continue
		}
		if got := rules.match(mustTarget(t, c.url)); got != c.want {
			t.Errorf("%q for %s: %v, want %v", c.rules, c.url, got, c.want)
		}
	}
}

func TestBypassRules_WrongPartsAreErrors(t *testing.T) {
	for _, s := range []string{"://foo", "http://", "foo:port", "foo:-1", "[fefe::]/40", "1.2.3.4/33", "foo/8", "http://foo/*", "<lokal>", "a b", "[::1", "*.bücher.test"} {
		_, err := parseBypassRules("ok.test," + s)
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Part != s || wrong.Field != "ProxyBypassRules" {
			t.Errorf("%q: %v, want a *ConfigError of it", s, err)
		}
	}
}

func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		s, pattern string
		want       bool
	}{
		{"", "", true}, {"", "*", true}, {"", "?", true}, {"a", "", false},
		{"abc", "a*c", true}, {"ac", "a*c", true}, {"abcc", "a*c", true}, {"abcd", "a*c", false},
		{"abc", "a?c", true}, {"ac", "a?c", true}, {"abbc", "a?c", false}, {"abbc", "a??c", true},
		{"a*c", `a\*c`, true}, {"abc", `a\*c`, false}, {"aXbXc", "*X*X*", true}, {"aXb", "*X*X*", false},
	} {
		if got := matchPattern(c.s, c.pattern); got != c.want {
			t.Errorf("%q in %q: %v", c.s, c.pattern, got)
		}
	}
}

func FuzzBypass(f *testing.F) {
	for _, seed := range []string{"<local>;<-loopback>", "*.a.test:443,http://.b", "10.0.0.0/8", "fe80::/10", "[::1]:8", `a\`, "?*?*", "http://[::ffff:1.2.3.4]/96"} {
		f.Add(seed, "http://a.test:8080/x")
		f.Add(seed, "https://[::1]/")
	}
	f.Fuzz(func(t *testing.T, s, address string) {
		rules, err := parseBypassRules(s)
		if err != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil {
			return
		}
		target, err := newTarget(u)
		if err != nil {
			return
		}
		if len(rules) == 0 && rules.match(target) != target.isLocal() {
			t.Fatalf("%s without rules", address)
		}
		rules = append(rules, notLocal{})
		if target.isLocal() && rules.match(target) {
			t.Fatalf("%q: %s is bypassed against <-loopback>", s, address)
		}
	})
}
