package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// BenchmarkPermissions has what permission handlers cost pages: in a session
// without any, with a request handler, and with a check handler too.
func BenchmarkPermissions(b *testing.B) {
	server := fixture.New(b)
	server.Handle("/twenty", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html>", strings.Repeat(`<iframe src="/"></iframe>`, 20))
	})
	browser, err := bridge.Launch(b.Context(), bridge.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := browser.Close(); err != nil {
			b.Error(err)
		}
	})
	url := server.URL("localhost", "/")
	for _, with := range []string{"no handler", "request handler", "both handlers"} {
		b.Run(strings.ReplaceAll(with, " ", "-"), func(b *testing.B) {
			s := permissionSession(b, browser, with)
			b.Run("new-page", func(b *testing.B) {
				for b.Loop() {
					page := permissionPage(b, s, url)
					if err := page.Close(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("navigation", func(b *testing.B) {
				page := permissionPage(b, s, url)
				defer page.Close(b.Context())
				for b.Loop() {
					if err := page.LoadURL(b.Context(), url, bridge.LoadOptions{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("request", func(b *testing.B) { benchmarkRequests(b, permissionPage(b, s, url)) })
			b.Run("20-frames-of-1000-requests", func(b *testing.B) { benchmarkFrames(b, permissionPage(b, s, server.URL("localhost", "/twenty"))) })
		})
	}
}

// permissionSession is a session with handlers that say no. What a page asks for
// then goes to the handler and back, and no further.
func permissionSession(b *testing.B, browser *bridge.Browser, with string) *bridge.Session {
	s, err := browser.FromPartition(b.Context(), with, bridge.PartitionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close(context.WithoutCancel(b.Context())) })
	if with != "no handler" {
		s.SetPermissionRequestHandler(func(context.Context, bridge.PermissionRequest) bool { return false })
	}
	if with == "both handlers" {
		s.SetPermissionCheckHandler(func(context.Context, bridge.PermissionCheck) bool { return true })
	}
	return s
}

func permissionPage(b *testing.B, s *bridge.Session, url string) *bridge.WebContents {
	page, err := s.NewPage(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	return page
}

// requestMedian asks n times, one after the other, and is the median time of one in
// milliseconds.
const requestMedian = `async n => {
	const times = [];
	for (let i = 0; i < n; i++) {
		const start = performance.now();
		await navigator.storage.persist();
		times.push(performance.now() - start);
	}
	return times.sort((a, b) => a - b)[n >> 1];
}`

func benchmarkRequests(b *testing.B, page *bridge.WebContents) {
	defer page.Close(b.Context())
	median, err := bridge.Evaluate[float64](b.Context(), page, requestMedian, b.N)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(median, "ms/request,median")
}

// benchmarkFrames has each of the page's frames ask 50 times, all at once.
func benchmarkFrames(b *testing.B, page *bridge.WebContents) {
	defer page.Close(b.Context())
	frames := page.Frames()[1:]
	for range b.N {
		var all sync.WaitGroup
		for _, frame := range frames {
			all.Go(func() {
				if _, err := bridge.Evaluate[float64](b.Context(), frame, requestMedian, 1000/len(frames)); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
}
