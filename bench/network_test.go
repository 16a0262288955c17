package bench

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// ways are how a session can go to the network.
var ways = []struct {
	name string
	set  func(context.Context, *bridge.Session) error // nil leaves the gateway asleep
}{
	{"asleep", nil},
	{"gateway", func(ctx context.Context, s *bridge.Session) error {
		return s.SetProxy(ctx, bridge.ProxyConfig{Mode: bridge.ProxyDirect})
	}},
	{"TLS-bridge", func(ctx context.Context, s *bridge.Session) error {
		return s.SetSSLConfig(ctx, bridge.SSLConfig{})
	}},
	{"verify-proc", func(ctx context.Context, s *bridge.Session) error {
		return s.SetCertificateVerifyProc(ctx, func(context.Context, bridge.CertificateVerifyRequest) bridge.CertificateVerdict {
			return bridge.UseDefaultVerdict
		})
	}},
}

// BenchmarkNetwork has what pages do on the network, directly (in the default
// session) and by each way through a gateway. CPU is that of this process: the
// gateway, and the server, which is in it too.
func BenchmarkNetwork(b *testing.B) {
	server := fixture.New(b)
	const size = 150 << 20
	chunk := make([]byte, 1<<20)
	server.Handle("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		for sent := 0; sent < size; sent += len(chunk) {
			w.Write(chunk)
		}
	})
	browser, err := bridge.Launch(b.Context(), bridge.Options{Args: []string{
		"--host-resolver-rules=" + server.ResolverRules(), "--ignore-certificate-errors-spki-list=" + server.SPKI(),
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := browser.Close(); err != nil {
			b.Error(err)
		}
	})
	sessions := map[string]*bridge.Session{"direct": browser.DefaultSession()}
	names := []string{"direct"}
	for _, way := range ways {
		s, err := browser.FromPartition(b.Context(), way.name, bridge.PartitionOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if way.set != nil {
			if err := way.set(b.Context(), s); err != nil {
				b.Fatal(err)
			}
		}
		sessions[way.name] = s
		names = append(names, way.name)
	}
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			page, err := sessions[name].NewPage(b.Context(), server.TLSURL("page.test", "/"))
			if err != nil {
				b.Fatal(err)
			}
			defer page.Close(b.Context())
			b.Run("download", func(b *testing.B) { benchmarkDownload(b, page, size) })
			b.Run("fetches", func(b *testing.B) { benchmarkFetches(b, page) })
			b.Run("connections", func(b *testing.B) { benchmarkConnections(b, page, server, name) })
		})
	}
}

// benchmarkDownload reads a large body over HTTP/2.
func benchmarkDownload(b *testing.B, page *bridge.WebContents, size int) {
	const read = `async () => {
		const reader = (await fetch("/large")).body.getReader();
		let n = 0;
		for (let chunk; !(chunk = await reader.read()).done; )
			n += chunk.value.length;
		return n;
	}`
	before, err := processCPU()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	n := 0
	for b.Loop() {
		got, err := bridge.Evaluate[int](b.Context(), page, "("+read+")()")
		if err != nil || got != size {
			b.Fatalf("%d bytes, %v", got, err)
		}
		n += got
	}
	took := time.Since(start)
	after, err := processCPU()
	if err != nil {
		b.Fatal(err)
	}
	mega := float64(n) / 1e6
	b.ReportMetric(mega/took.Seconds(), "MB/s")
	b.ReportMetric((after-before).Seconds()*1000/mega, "cpu-ms/MB")
}

// benchmarkFetches makes 200 small requests, one after the other.
func benchmarkFetches(b *testing.B, page *bridge.WebContents) {
	const fetches = `(async () => {
		const start = performance.now();
		for (let i = 0; i < 200; i++)
			await (await fetch("/small?" + Math.random())).text();
		return (performance.now() - start) / 200;
	})()`
	total, rounds := 0.0, 0
	for b.Loop() {
		each, err := bridge.Evaluate[float64](b.Context(), page, fetches)
		if err != nil {
			b.Fatal(err)
		}
		total, rounds = total+each, rounds+1
	}
	b.ReportMetric(total/float64(rounds), "ms/fetch")
}

// benchmarkConnections goes to servers that were never gone to, one after the
// other.
func benchmarkConnections(b *testing.B, page *bridge.WebContents, server *fixture.Server, name string) {
	total, rounds := 0.0, 0
	for b.Loop() {
		address := server.TLSURL(fmt.Sprintf("c%d.%s.test", rounds, name), "/small")
		took, err := bridge.Evaluate[float64](b.Context(), page, `async (address) => {
			const start = performance.now();
			await fetch(address, {mode: "no-cors"});
			return performance.now() - start;
		}`, address)
		if err != nil {
			b.Fatal(err)
		}
		total, rounds = total+took, rounds+1
	}
	b.ReportMetric(total/float64(rounds), "ms/connection")
}
