package permissions

import (
	"errors"
	"strings"
	"testing"
)

func TestPattern_MatchesTheOriginsThatItNames(t *testing.T) {
	for _, c := range []struct{ pattern, in, out string }{
		{"https://shop.example.test",
			"https://shop.example.test https://shop.example.test/ https://shop.example.test:443 HTTPS://SHOP.example.TEST",
			"http://shop.example.test https://shop.example.test:8443 https://a.shop.example.test https://shop.example.test/path https://shop.example.test.evil.test"},
		{"https://shop.example.test:8443/", "https://shop.example.test:8443", "https://shop.example.test"},
		{"https://*.example.test", "https://example.test https://a.example.test https://a.b.example.test",
			"http://a.example.test https://a.example.test:444 https://evilexample.test https://example.test.evil.test"},
		{"*.example.test", "https://a.example.test http://example.test", "ws://a.example.test https://a.example.test:444 app://example.test"},
		{"*.example.test:*", "https://a.example.test:444 http://a.example.test", "https://other.test"},
		{"localhost:8080", "http://localhost:8080 https://localhost:8080", "http://localhost https://localhost:8081"},
		{"localhost:80", "http://localhost https://localhost:80", "https://localhost"},
		{"http://localhost:*", "http://localhost http://localhost:3000", "https://localhost:3000 http://localhost.test:3000"},
		{"https://*", "https://a.test https://[::1]", "http://a.test https://a.test:1"},
		{"https://*:*", "https://a.test:1", "http://a.test:1"},
		{"http://[0:0::1]:80", "http://[::1]", "http://[::2]"},
		{"http://127.0.0.1", "http://127.0.0.1:80/", "http://127.0.0.2"},
		{"https://münchen.test", "https://xn--mnchen-3ya.test", "https://munchen.test"},
		{"http://my_app", "http://my_app", "http://my-app"},
		{"app://main", "app://main app://main/", "app://other https://main"},
		{"file://", "file:// file:///", "https://a.test file://host/ null"},
		{"*", "https://a.test null file:// nonsense", ""},
		{"<all>", "https://a.test null data:", ""},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil || p.String() != c.pattern {
			t.Errorf("%s: %q, %v", c.pattern, p, err)
		}
		for _, o := range strings.Fields(c.in) {
			if !p.Match(o) {
				t.Errorf("%s does not match %s", c.pattern, o)
			}
		}
		for _, o := range append(strings.Fields(c.out), "", "https://") {
			if p.Match(o) && !p.all {
				t.Errorf("%s matches %s", c.pattern, o)
			}
		}
		if p.Match("null") != p.all {
			t.Errorf("%s and an opaque origin: %v", c.pattern, p.Match("null"))
		}
	}
	if (Pattern{}).Match("https://a.test") || (Pattern{}).Match("") {
		t.Error("a pattern that was never parsed matches")
	}
}

func TestPattern_ErrorsSayWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "missing",
		"null":                     "opaque",
		"https://":                 "host is missing",
		"://a.test":                "scheme is missing",
		"ht tp://a.test":           "not a scheme",
		"*://a.test":               `"*" is not a scheme`,
		"https://a.test/path":      `no '/'`,
		"https://a.test?":          `no '?'`,
		"https://user@a.test":      `no '@'`,
		"https://a.test:":          "no port after",
		"https://a.test:https":     "not a port",
		"https://a.test:65536":     "not a port",
		"https://a*.test":          "all subdomains",
		"https://a.*.test":         "all subdomains",
		"https://*.":               "host is missing",
		"https://*.127.0.0.1":      "no subdomains",
		"https://*.[::1]":          "no subdomains",
		"https://127.1":            "four numbers",
		"https://0x7f000001":       "four numbers",
		"https://[::1%eth0]":       "IPv6",
		"https://[1.2.3.4]":        "IPv6",
		"https://a..test":          "empty part",
		"https://a b.test":         `' '`,
		"https://\u00adxn--\u0301": "not a name",
		"file://host/":             "file://",
		"file:///home":             "file://",
		"https://" + strings.Repeat("a.", 130) + "test": "253",
	} {
		_, err := ParsePattern(text)
		var wrong *OriginError
		if !errors.As(err, &wrong) || wrong.Text != text || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"*", "https://*.example.test:*", "http://[::ffff:1.2.3.4]:80/", "file:///", "localhost:1", "https://MÜNCHEN.test", "null"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		if p, err := ParsePattern(text); err == nil {
			p.Match(other)
		} else if (p != Pattern{}) {
			t.Errorf("%q is refused and gives %+v", text, p)
		}
		o, err := parseOrigin(text)
		if err != nil {
			return
		}
		if again, err := parseOrigin(o.String()); err != nil || again != o {
			t.Errorf("%q is %q, which is %q, %v", text, o, again, err)
		}
		if p, err := ParsePattern(text); err != nil || !p.Match(o.String()) || !p.Match(text) || p.Match("null") {
			t.Errorf("the origin %q as a pattern: %+v, %v", text, p, err)
		}
	})
}
