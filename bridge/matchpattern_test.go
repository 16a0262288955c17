package bridge

import (
	"fmt"
	"strings"
	"testing"
)

func TestMatchPattern_SelectsAsChromiumDoes(t *testing.T) {
	for _, c := range []struct{ pattern, url, want string }{
		{"<all_urls>", "http://a.test/", "yes"},
		{"<all_urls>", "file:///etc/hostname", "yes"},
		{"*://*/*", "https://a.test/x?y", "yes"},
		{"*://*/*", "wss://a.test/", "yes"},
		{"*://*/*", "file:///x", "no"},
		{"http://a.test/*", "http://a.test/", "yes"},
		{"http://a.test/*", "http://a.test", "yes"},
		{"http://a.test/*", "https://a.test/", "no"},
		{"http://a.test/*", "http://a.test:8080/", "yes"},
		{"http://a.test:80/*", "http://a.test/", "yes"},
		{"http://a.test:8080/*", "http://a.test/", "no"},
		{"http://a.test:*/*", "http://a.test:1/", "yes"},
		{"http://A.test/*", "http://a.test/", "yes"},
		{"http://a.test./*", "http://a.test/", "yes"},
		{"http://*.a.test/*", "http://a.test/", "yes"},
		{"http://*.a.test/*", "http://b.c.a.test/", "yes"},
		{"http://*.a.test/*", "http://ba.test/", "no"},
		{"http://*.0.0.1/*", "http://127.0.0.1/", "no"},
		{"http://[::1]:8080/*", "http://[::1]:8080/x", "yes"},
		{"http://[::1]/*", "http://[::1]:8080/x", "yes"},
		{"http://user.test/*", "http://name:word@user.test/", "yes"},
		{"*://a.test/filter/*", "http://a.test/filter/x", "yes"},
		{"*://a.test/filter/*", "http://a.test/filter", "yes"},
		{"*://a.test/filter/*", "http://a.test/filters", "no"},
		{"*://a.test/filter", "http://a.test/filter?x", "no"},
		{"*://a.test/*.js", "http://a.test/x/y.js", "yes"},
		{"*://a.test/*.js", "http://a.test/y.js?x", "no"},
		{"*://a.test/*a*b", "http://a.test/xaxb", "yes"},
		{"*://a.test/a*a", "http://a.test/a", "no"},
		{"*://a.test/?x=*", "http://a.test/?x=1", "yes"},
		{"*://a.test/?x=*", "http://a.test/yx=1", "no"},
		{`*://a.test/\*`, `http://a.test/\x`, "yes"},
		{"*://a.test/x", "http://a.test/x#y", "yes"},
		{"file:///tmp/*", "file:///tmp/x", "yes"},
		{"file://*", "file:///tmp/x", "yes"},
		{"file://host/tmp/*", "file:///tmp/x", "yes"},
		{"data:image/*", "data:image/png,x", "yes"},
		{"atom://x/*", "atom://x/y", "yes"},

		{"", "", "Missing scheme separator."},
		{"nothing", "", "Missing scheme separator."},
		{"http:a.test/", "", "Wrong scheme type."},
		{"data://x/*", "", "Wrong scheme type."},
		{"http://", "", "Host can not be empty."},
		{"http:///x", "", "Host can not be empty."},
		{"http://:80/x", "", "Host can not be empty."},
		{"http://*./x", "", "Host can not be empty."},
		{"http://a.test", "", "Empty path."},
		{"http://a*/x", "", "Invalid host wildcard."},
		{"http://*a.test/x", "", "Invalid host wildcard."},
		{"http://a.*.test/x", "", "Invalid host wildcard."},
		{"http://a.test:x/", "", "Invalid port."},
		{"http://a.test:65536/", "", "Invalid port."},
		{"*://a.test:80/", "", "Invalid port."},
		{"http://a b/", "", "Invalid host."},
		{"http://a:b:80/", "", "Invalid port."},
		{"http://[::1/", "", "Invalid host."},
		{"http://[::1]x/", "", "Invalid host."},
		{"http://[::1]:x/", "", "Invalid port."},
		{"http://[]/", "", "Host can not be empty."},
	} {
		t.Run(c.pattern+" "+c.url, func(t *testing.T) {
			p, problem := parseMatchPattern(c.pattern)
			if problem != "" {
				if problem != c.want {
					t.Errorf("the problem is %q, want %q", problem, c.want)
				}
				return
			}
			set, err := parsePatterns([]string{c.pattern})
			if err != nil {
				t.Fatal(err)
			}
			u := parseRequestURL(c.url)
			got := map[bool]string{true: "yes", false: "no"}[set.matches(&u)]
			if got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
			if got == "yes" && !wireMatches(p.wire(), strings.TrimSuffix(c.url, "#y")) {
				t.Errorf("Chromium would not pause it for %s", p.wire())
			}
		})
	}
}

// wireMatches is what Chromium does with a pattern of the protocol.
func wireMatches(pattern, url string) bool {
	switch {
	case pattern == "":
		return url == ""
	case pattern[0] == '*':
		return wireMatches(pattern[1:], url) || url != "" && wireMatches(pattern, url[1:])
	case url == "":
		return false
	case pattern[0] == '\\' && len(pattern) > 1:
		return pattern[1] == url[0] && wireMatches(pattern[2:], url[1:])
	}
	return (pattern[0] == '?' || pattern[0] == url[0]) && wireMatches(pattern[1:], url[1:])
}

// BenchmarkFilters matches URLs with one pattern and with many: the time is to
// be about the same.
func BenchmarkFilters(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var texts []string
			for i := range n {
				texts = append(texts, fmt.Sprintf("*://*.host%d.test/ads/*", i))
			}
			set, err := parsePatterns(texts)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				u := parseRequestURL("http://www.shop.example.test:8080/path/of/some/length.js?and=query")
				if set.matches(&u) {
					b.Fatal("matched")
				}
			}
		})
	}
}
