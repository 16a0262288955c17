package bridge

import "testing"

func TestSchemes_URLsGoToTheWireAndBack(t *testing.T) {
	s := newSchemes([]PrivilegedScheme{{"app", SchemePrivileges{Secure: true}}, {"x-y+z.1", SchemePrivileges{Secure: true}}})
	for _, c := range []struct{ custom, wire, back string }{
		{"app://host/a/b?c#d", "https://host.app.cdpbridge.invalid/a/b?c#d", ""},
		{"app://a.b.c/", "https://a.b.c.app.cdpbridge.invalid/", ""},
		{"APP://host/", "https://host.app.cdpbridge.invalid/", "app://host/"},
		{"app://host", "https://host.app.cdpbridge.invalid/", "app://host/"},
		{"app://host?q", "https://host.app.cdpbridge.invalid/?q", "app://host/?q"},
		{"app://host:1234/p", "https://host.app.cdpbridge.invalid/p", "app://host/p"},
		{"app:///path", "https://app.cdpbridge.invalid/path", ""},
		{"app://", "https://app.cdpbridge.invalid/", "app:///"},
		{"app:a/b?c%20d#e", "https://app._.cdpbridge.invalid/a%2Fb%3Fc%2520d#e", ""},
		{"plain://host/", "http://host.plain.cdpbridge.invalid/", ""},
		{"x-y+z.1://h/", "https://h.x-hy-pz-d1.cdpbridge.invalid/", ""},
	} {
		if got := s.wire(c.custom); got != c.wire {
			t.Errorf("%s goes as %s, not %s", c.custom, got, c.wire)
		}
		if c.back == "" {
			c.back = c.custom
		}
		if got := customURL(c.wire); got != c.back {
			t.Errorf("%s comes back as %s, not %s", c.wire, got, c.back)
		}
	}
	for _, other := range []string{"https://etc.file.cdpbridge.invalid/passwd", "https://bank.test.https.cdpbridge.invalid/", "http://x.chrome.cdpbridge.invalid/",
		"", "https://a.test/", "about:blank", "https://cdpbridge.invalid/", "https://x.cdpbridge.invalid.test/", "file:///x", "data:,https://a.app.cdpbridge.invalid/"} {
		if got := customURL(other); got != other {
			t.Errorf("%s becomes %s", other, got)
		}
	}
	if got := customURL("https://a.app.cdpbridge.invalid"); got != "app://a" {
		t.Errorf("the origin is %s", got)
	}
}
