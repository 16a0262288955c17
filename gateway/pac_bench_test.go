package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// hundredLines is a script of a hundred lines such as companies have, of which
// the last line decides.
func hundredLines() string {
	var b strings.Builder
	b.WriteString("function FindProxyForURL(url, host) {\n  host = host.toLowerCase();\n  if (isPlainHostName(host)) return 'DIRECT';\n")
	for i := range 32 {
		fmt.Fprintf(&b, "  if (dnsDomainIs(host, '.corp%d.test')) return 'DIRECT';\n", i)
		fmt.Fprintf(&b, "  if (shExpMatch(host, '*.site%d.*')) return 'PROXY p%d.test:8080';\n", i, i)
		fmt.Fprintf(&b, "  if (isInNet(host, '10.%d.0.0', '255.255.0.0')) return 'DIRECT';\n", i)
	}
	b.WriteString("  return 'PROXY proxy.test:3128; DIRECT';\n}\n")
	return b.String()
}

func benchScript(b *testing.B) *pacScript {
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	s, err := compilePAC(b.Context(), hundredLines(), lookup, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkPAC_HundredLines(b *testing.B) {
	s := benchScript(b)
	t, err := newTarget(&url.URL{Scheme: "https", Host: "www.example.com", Path: "/"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.find(b.Context(), t); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

func BenchmarkProxyRules_TenBypassRules(b *testing.B) {
	p, err := NewProxy(ProxyConfig{
		ProxyRules:       "http=a,b;https=c,direct://;socks=d",
		ProxyBypassRules: "<local>;*.a.test;.b.test;c.test:443;https://*.d.test;10.0.0.0/8;192.168.0.0/16;fe80::/10;*.e.*.test;f?.test",
	}, ProxyOptions{})
	if err != nil {
		b.Fatal(err)
	}
	u := &url.URL{Scheme: "https", Host: "www.example.com", Path: "/"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Route(b.Context(), u); err != nil {
			b.Fatal(err)
		}
	}
}
