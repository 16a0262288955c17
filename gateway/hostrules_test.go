package gateway

import (
	"errors"
	"net"
	"testing"
)

func TestHostRules(t *testing.T) {
	rules, err := ParseHostRules("MAP *.foo.test 127.0.0.1 , map Bar.test:443 [::1]:8443,MAP gone.test ~NOTFOUND, MAP * other.test,EXCLUDE *.kept.test,, exclude ::2")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"a.foo.test:80":  "127.0.0.1:80",
		"A.FOO.test:80":  "127.0.0.1:80",
		"bar.test:443":   "[::1]:8443",
		"bar.test:80":    "other.test:80",
		"a.kept.test:80": "a.kept.test:80",
		"[::2]:80":       "[::2]:80",
		"[::3]:80":       "other.test:80",
	} {
		if got, err := rules.Map(in); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	_, err = rules.Map("gone.test:80")
	var unknown *net.DNSError
	if !errors.As(err, &unknown) || !unknown.IsNotFound || unknown.Name != "gone.test" {
		t.Errorf("got %v, want a *net.DNSError that is not found", err)
	}
	if _, err := rules.Map("no port"); err == nil {
		t.Error("an address without a port: want an error")
	}
}

func TestHostRules_ZeroValueKeepsAll(t *testing.T) {
	if got, err := (HostRules{}).Map("a.test:80"); got != "a.test:80" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestHostRules_WrongRulesAreErrors(t *testing.T) {
	for _, s := range []string{"MAP", "MAP a", "MAP a b c", "EXCLUDE", "EXCLUDE a b", "NAME a b", "MAP a ::1", "MAP a b:x"} {
		_, err := ParseHostRules("MAP ok ok," + s)
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Part != s {
			t.Errorf("%q: %v, want a *ConfigError of it", s, err)
		}
	}
}
