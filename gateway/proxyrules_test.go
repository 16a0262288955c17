package gateway

import (
	"errors"
	"strings"
	"testing"
)

func TestProxyRules_ListsAndSchemes(t *testing.T) {
	for _, c := range []struct{ rules, scheme, want string }{
		{"", "http", ""},
		{"foopy", "http", "PROXY foopy:80"},
		{"foopy:80,bar,direct://", "https", "PROXY foopy:80;PROXY bar:80;DIRECT"},
		{" foopy:80 , , bar ", "ws", "PROXY foopy:80;PROXY bar:80"},
		{"socks4://foopy", "http", "SOCKS foopy:1080"},
		{"socks://foopy", "http", "SOCKS5 foopy:1080"},
		{"SOCKS5://bar.com", "http", "SOCKS5 bar.com:1080"},
		{"https://p", "http", "HTTPS p:443"},
		{"HTTP://P.test", "http", "PROXY p.test:80"},
		{"[::1]:8080", "http", "PROXY [::1]:8080"},
		{"socks5://[FE80:0::1]", "http", "SOCKS5 [fe80::1]:1080"},
		{"user:pa%3Bss@p:1", "http", "PROXY p:1"},
		{"direct://", "http", "DIRECT"},
		{"http=a", "http", "PROXY a:80"},
		{"http=a", "https", ""},
		{"http=a", "ftp", ""},
		{"http=a;https=b;ftp=c", "https", "PROXY b:80"},
		{"http=a;https=b;ftp=c", "ftp", "PROXY c:80"},
		{"http=a,direct://;socks=b", "http", "PROXY a:80;DIRECT"},
		{"http=a;socks=b", "https", "SOCKS b:1080"},
		{"http=a;socks=socks5://b", "file", "SOCKS5 b:1080"},
		{"http = a ; socks = b:9", "gopher", "SOCKS b:9"},
		{"http=https://foo:443;socks=http://mysocks:90", "https", "PROXY mysocks:90"},
		{"http=a;http=b", "http", "PROXY a:80;PROXY b:80"},
		// WebSockets: socks=, then https=, then http=.
		{"http=a;https=b;socks=c", "ws", "SOCKS c:1080"},
		{"http=a;https=b", "ws", "PROXY b:80"},
		{"http=a;https=b", "wss", "PROXY b:80"},
		{"http=a", "wss", "PROXY a:80"},
		{"ftp=a", "wss", ""},
	} {
		r, err := parseProxyRules(c.rules)
		if err != nil {
			t.Errorf("%q: %v", c.rules, err)
			continue
		}
		got := ""
		if l := r.list(c.scheme); l != nil {
			got = l.String()
		}
		if got != c.want {
			t.Errorf("%q for %s: %q, want %q", c.rules, c.scheme, got, c.want)
		}
	}
}

func TestProxyRules_CredentialsBelongToTheHop(t *testing.T) {
	r, err := parseProxyRules("http://us%40er:p%2Ca:ss%3D@p:1,bare@q")
	if err != nil {
		t.Fatal(err)
	}
	hops := r.list("http")
	password, _ := hops[0].User.Password()
	if hops[0].User.Username() != "us@er" || password != "p,a:ss=" || hops[0].Addr != "p:1" {
		t.Errorf("got %+v %v", hops[0], hops[0].User)
	}
	if _, set := hops[1].User.Password(); set || hops[1].User.Username() != "bare" || hops[1].Addr != "q:80" {
		t.Errorf("got %+v", hops[1])
	}
	if s := hops.String(); strings.Contains(s, "ss") || s != "PROXY p:1;PROXY q:80" {
		t.Errorf("the string is %q", s)
	}
}

func TestProxyRules_WrongPartsAreErrorsThatShowThem(t *testing.T) {
	for _, c := range []struct{ rules, part string }{
		{"foo:", "foo:"},
		{"ok,foo:bar", "foo:bar"},
		{"foo:70000", "foo:70000"},
		{"quic://p:1", "quic://p:1"},
		{"ftp://p", "ftp://p"},
		{"direct://p", "direct://p"},
		{"http://", "http://"},
		{"http://p/path", "http://p/path"},
		{"htps=p", "htps=p"},
		{"http=", "http="},
		{"http=a;b", "b"},
		{"b;http=a", "http=a"},
		{"a b", "a b"},
		{"::1", "::1"},
		{"[::1", "[::1"},
		{"[p]:80", "[p]:80"},
		{"[::1]80", "[::1]80"},
		{"1.2.3.400", "1.2.3.400"},
		{"u:secret@p:x", "…@p:x"},
		{"u:%zz@p", "…@p"},
		{",", ","},
	} {
		_, err := parseProxyRules(c.rules)
		var wrong *ConfigError
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v, want a *ConfigError", c.rules, err)
			continue
		}
		if wrong.Part != c.part || wrong.Field != "ProxyRules" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: part %q of %s (%v), want %q", c.rules, wrong.Part, wrong.Field, err, c.part)
		}
	}
}

func FuzzProxyRules(f *testing.F) {
	for _, seed := range []string{"", "foopy:80,bar,direct://", "http=a,b;https=socks5://[::1]:1;socks=d", "u:p@h:1", "=", "a=;=b", "[::1]", "http://@", "::", "socks=quic://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseProxyRules(s)
		if err != nil {
			return
		}
		for _, scheme := range []string{"http", "https", "ftp", "ws", "file"} {
			for _, hop := range r.list(scheme) {
				checkHop(t, hop)
			}
		}
	})
}

// checkHop wants a hop that reads back as what it is.
func checkHop(t *testing.T, hop Hop) {
	t.Helper()
	hop.User = nil
	again, err := parsePACEntry(hop.String())
	if err != nil || again != hop {
		t.Fatalf("%q reads back as %+v, %v", hop, again, err)
	}
}
