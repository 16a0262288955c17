package bench

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

var downloadSize = flag.Int64("download.size", 256<<20, "bytes of a download of BenchmarkDownloads")

// BenchmarkDownloads downloads a large file with Chromium alone and with the
// bridge, and tells the largest memory of this process, which has the server too.
func BenchmarkDownloads(b *testing.B) {
	server := fixture.New(b)
	chunk := make([]byte, 1<<20)
	server.Handle("/large.bin", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "no-store")
		for sent := int64(0); sent < *downloadSize; sent += int64(len(chunk)) {
			w.Write(chunk)
		}
	})
	b.Run("native", func(b *testing.B) { benchmarkNativeDownload(b, server.URL("127.0.0.1", "/large.bin")) })
	b.Run("bridge", func(b *testing.B) { benchmarkBridgeDownload(b, server.URL("127.0.0.1", "/large.bin")) })
}

func benchmarkNativeDownload(b *testing.B, url string) {
	dir, err := os.MkdirTemp("", "bench-downloads-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		b.Fatal(err)
	}
	p, err := chromium.Start(b.Context(), chromium.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close(context.Background())
	r, w := p.Pipe()
	conn := cdp.NewConn(cdp.NewPipe(r, w), cdp.ConnOptions{})
	defer conn.Close()
	call := func(s *cdp.Session, method string, params, result any) {
		if err := s.Call(b.Context(), method, params, result); err != nil {
			b.Fatal(err)
		}
	}
	call(conn.Root(), "Browser.setDownloadBehavior", map[string]any{"behavior": "allowAndName", "downloadPath": dir, "eventsEnabled": true}, nil)
	var target struct {
		TargetID string `json:"targetId"`
	}
	call(conn.Root(), "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	call(conn.Root(), "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	measureDownloads(b, func() {
		progress, stop := conn.Root().Subscribe("Browser.downloadProgress")
		defer stop()
		call(conn.Session(attached.SessionID), "Page.navigate", map[string]any{"url": url}, nil)
		for p := range progress {
			if bytes.Contains(p, []byte(`"completed"`)) {
				return
			}
		}
		b.Fatal("the download did not end")
	})
}

func benchmarkBridgeDownload(b *testing.B, url string) {
	browser, err := bridge.Launch(b.Context(), bridge.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer browser.Close()
	s, dir := browser.DefaultSession(), b.TempDir()
	items := make(chan *bridge.DownloadItem, 1)
	s.OnWillDownload(func(e *bridge.WillDownloadEvent) {
		if err := e.Item.SetSavePath(filepath.Join(dir, "large.bin")); err != nil {
			b.Error(err)
		}
		items <- e.Item
	})
	measureDownloads(b, func() {
		if err := s.DownloadURL(b.Context(), url, bridge.DownloadURLOptions{}); err != nil {
			b.Fatal(err)
		}
		if state, err := (<-items).Wait(b.Context()); err != nil || state != bridge.DownloadCompleted {
			b.Fatal(state, err)
		}
	})
}

func measureDownloads(b *testing.B, download func()) {
	floor, err := resetPeak(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	start, n := time.Now(), 0
	for b.Loop() {
		download()
		n++
	}
	b.ReportMetric(float64(int64(n)**downloadSize)/1e6/time.Since(start).Seconds(), "MB/s")
	peak, err := peakResident(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(peak-floor)/1e6, "grown-MB")
}
