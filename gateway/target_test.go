package gateway

import (
	"net/url"
	"testing"
)

func mustTarget(t *testing.T, s string) *target {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := newTarget(u)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTarget_HostsAreCanonical(t *testing.T) {
	for _, c := range []struct {
		url, host, port string
	}{
		{"HTTP://ExAmple.COM/x", "example.com", "80"},
		{"https://example.com:8443", "example.com", "8443"},
		{"wss://bücher.test/", "xn--bcher-kva.test", "443"},
		{"http://127.1/", "127.0.0.1", "80"},
		{"http://0x7f.0.0.1/", "127.0.0.1", "80"},
		{"http://0177.0.0.01/", "127.0.0.1", "80"},
		{"http://2130706433/", "127.0.0.1", "80"},
		{"http://1.2.3.4./", "1.2.3.4", "80"},
		{"http://[0:0::1]:81/", "::1", "81"},
		{"http://[fe80::1%25eth0]/", "fe80::1", "80"},
		{"file:///etc/hosts", "", ""},
		{"gopher://h/", "h", ""},
	} {
		got := mustTarget(t, c.url)
		if got.host != c.host || got.port != c.port {
			t.Errorf("%s: %q %q, want %q %q", c.url, got.host, got.port, c.host, c.port)
		}
	}
}

func TestTarget_WrongURLs(t *testing.T) {
	for _, s := range []string{"", "example.com", "http://", "http:///path", "http://1.2.3.256/", "http://1.2.3.4.5/", "http://08.1/", "http://a:99999/", "http://a%20b/"} {
		u, err := url.Parse(s)
		if err != nil {
			u = &url.URL{Scheme: "http", Host: "a b"}
		}
		if got, err := newTarget(u); err == nil {
			t.Errorf("%q: %+v, want an error", s, got)
		}
	}
	if _, err := newTarget(nil); err == nil {
		t.Error("nil: want an error")
	}
}
