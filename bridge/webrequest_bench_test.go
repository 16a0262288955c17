package bridge

import (
	"context"
	"testing"
)

// BenchmarkWebRequest_Fetches measures 2,000 small fetches of a page, ten at a
// time, with listeners that wake the session's gateway and such that do not.
func BenchmarkWebRequest_Fetches(b *testing.B) {
	const fetches = 2000
	for _, c := range []struct {
		name  string
		urls  []string
		proxy bool
	}{
		{name: "no listener"},
		{name: "no listener, gateway awake", proxy: true},
		{name: "listener of http", urls: []string{"http://*/*"}},
		{name: "listener of ws", urls: []string{"ws://*/*"}},
		{name: "listener of all URLs", urls: []string{allURLs}},
	} {
		b.Run(c.name, func(b *testing.B) {
			server, s := sharedServer(b), memorySession(b)
			page := testPage(b, s, server.URL("a.test", "/fetches?n=0"))
			if c.proxy {
				if err := s.SetProxy(testContext(b), ProxyConfig{Mode: "direct"}); err != nil {
					b.Fatal(err)
				}
			}
			if c.urls != nil {
				webRequestAdded(b)(s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: c.urls}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
					return BeforeRequestResult{}
				}))
			}
			fetch := func() {
				evaluated[any](b, page, `async n => {
					const one = async () => { while (n-- > 0) await (await fetch("/small")).text() }
					await Promise.all(Array.from({length: 10}, one))
				}`, fetches)
			}
			fetch() // the first opens connections
			for b.Loop() {
				fetch()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*fetches), "µs/fetch")
		})
	}
}
