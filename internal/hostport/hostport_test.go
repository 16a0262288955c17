package hostport

import (
	"net/url"
	"testing"
)

func TestHostport_NamesTheServerOfAURL(t *testing.T) {
	for text, want := range map[string]struct {
		server string
		port   int
	}{
		"http://A.test/path":       {"a.test:80", 80},
		"wss://a.test":             {"a.test:443", 443},
		"https://user@a.test:8443": {"a.test:8443", 8443},
		"ftp://a.test":             {"a.test:21", 21},
		"http://[::1]:8080/":       {"[::1]:8080", 8080},
		"custom://a.test":          {"a.test:", 0},
		"data:,text":               {"", 0},
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Of(u); got != want.server {
			t.Errorf("the server of %s is %q, want %q", text, got, want.server)
		}
		if got := Port(u); got != want.port {
			t.Errorf("the port of %s is %d, want %d", text, got, want.port)
		}
	}
}

func TestHostport_Splits(t *testing.T) {
	for addr, want := range map[string]struct {
		host string
		port int
	}{
		"proxy.test:3128": {"proxy.test", 3128},
		"[::1]:80":        {"::1", 80},
		"proxy.test":      {"proxy.test", 0},
	} {
		if host, port := Split(addr); host != want.host || port != want.port {
			t.Errorf("%s is split into %q and %d", addr, host, port)
		}
	}
}
