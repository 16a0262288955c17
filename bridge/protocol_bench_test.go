package bridge

import (
	"io"
	"net/http"
	"testing"
)

// zeros is a source without an end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// BenchmarkProtocol400MB is a page that reads a body of 400 MB from a handler
// that does not say how long it is.
func BenchmarkProtocol400MB(b *testing.B) {
	const size = 400_000_000
	s := memorySession(b)
	page := testPage(b, s, sharedServer(b).URL("a.test", "/page/streams"))
	handles(b, s, "http", func(*http.Request) (*http.Response, error) {
		return &http.Response{ContentLength: -1, Body: io.NopCloser(io.LimitReader(zeros{}, size))}, nil
	})
	b.SetBytes(size)
	for b.Loop() {
		want(b, page, `(async () => {
			const body = (await fetch('/large')).body.getReader()
			for (let n = 0; ;) {
				const {value, done} = await body.read()
				if (done) return n
				n += value.length
			}
		})()`, size)
	}
}
