package bridge

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// webRequestBodies adds a listener of the bodies of a path.
func webRequestBodies(t testing.TB, w *WebRequest, path string, by func(ctx context.Context, d *ResponseBodyDetails, body io.Reader) io.Reader) {
	t.Helper()
	webRequestAdded(t)(w.OnResponseBody(WebRequestFilter{URLs: []string{"*://*" + path}}, by))
}

func webRequestUpper(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
	return upperReader{body}
}

type upperReader struct{ from io.Reader }

func (r upperReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

func TestWebRequest_OnResponseBodyChangesBodies(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	own := fixture.New(t)
	own.Handle("/gzipped", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		z := gzip.NewWriter(w)
		io.WriteString(z, "zipped")
		z.Close()
	})
	t.Run("of a fetch", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", webRequestUpper)
		want(t, page, "fetch('/small').then(async r => await r.text() + r.status + r.redirected + r.headers.get('Content-Type'))", "SMALL200falsetext/plain; charset=utf-8")
	})
	t.Run("that are compressed", func(t *testing.T) {
		webRequestBodies(t, w, "/gzipped*", webRequestUpper)
		if got := webRequestFetch(t, page, own.URL("c.test", "/gzipped")); got != "ZIPPED" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("with several listeners", func(t *testing.T) {
		for i := range 2 {
			webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
				return io.MultiReader(strings.NewReader(fmt.Sprint(i)), body)
			})
		}
		if got := webRequestFetch(t, page, "/small"); got != "10small" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("of a document", func(t *testing.T) {
		webRequestBodies(t, w, "/page/body", func(_ context.Context, d *ResponseBodyDetails, body io.Reader) io.Reader {
			return io.MultiReader(body, strings.NewReader("<p id=added>"+string(d.ResourceType)))
		})
		other := testPage(t, page.Session(), server.URL("a.test", "/page/body"))
		want(t, other, "added.textContent", "mainFrame")
		want(t, other, "location.pathname", "/page/body")
	})
	t.Run("into nothing", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader { return strings.NewReader("") })
		if got := webRequestFetch(t, page, "/small"); got != "" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("not when they are left alone", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader { return body })
		webRequestBodies(t, w, "/small*", func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader { return nil })
		want(t, page, "fetch('/small').then(async r => await r.text() + r.headers.get('Content-Length'))", "small5")
	})
	t.Run("together with headers", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", webRequestUpper)
		webRequestAdded(t)(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Set("X-Mine", "yes")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders, StatusLine: "HTTP/1.1 203 Changed"}
		}))
		want(t, page, "fetch('/small').then(async r => await r.text() + r.status + r.headers.get('X-Mine'))", "SMALL203yes")
	})
}

func TestWebRequest_OnResponseBodyChangesLargeBodies(t *testing.T) {
	w, page, server := webRequestPage(t)
	const size, smaller = 80 << 20, wholeBody + 1 // more than a command of the protocol takes, and than is given in one piece
	webRequestBodies(t, w, "/download/*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
		return io.MultiReader(strings.NewReader("first"), body)
	})
	ended := make(chan *CompletedDetails, 10)
	webRequestAdded(t)(w.OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) { ended <- d }))
	get := func(from string, size int) string {
		return fmt.Sprintf("fetch('%s/download/range?size=%d').then(r => r.arrayBuffer()).then(b => b.byteLength + new TextDecoder().decode(b.slice(0, 5))).catch(String)", from, size)
	}
	asked := server.Count("/download/range")
	want(t, page, get("", size), fmt.Sprint(size+5, "first"))
	if n := server.Count("/download/range") - asked; n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	if d := next(t, ended); d.StatusCode != 200 || !strings.Contains(d.URL, "/download/range") {
		t.Errorf("the end is told as %+v", d)
	}
	webRequestAdded(t)(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		d.ResponseHeaders.Set("Access-Control-Allow-Origin", "*")
		return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
	}))
	want(t, page, get(server.URL("b.test", ""), smaller), fmt.Sprint(smaller+5, "first"))
}

func TestWebRequest_ABodyWithoutAnEndIsLeftAlone(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	own := fixture.New(t)
	own.Handle("/endless", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: one\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	webRequestBodies(t, w, "/endless", func(_ context.Context, d *ResponseBodyDetails, body io.Reader) io.Reader {
		if d.ResponseHeaders.Get("Content-Type") == "text/event-stream" {
			return body
		}
		return upperReader{body}
	})
	want(t, page, fmt.Sprintf("new Promise(done => { const s = new EventSource(%q); s.onmessage = e => { done(e.data); s.close() } })", own.URL("c.test", "/endless")), "one")
}

func TestWebRequest_ABodyThatCannotBeReadEndsTheRequest(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	t.Run("at once", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
			return io.MultiReader(body, iotest.ErrReader(errors.New("no more")))
		})
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("in the middle of a large one", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader {
			return io.MultiReader(bytes.NewReader(make([]byte, wholeBody+1)), iotest.ErrReader(errors.New("no more")))
		})
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %d bytes", len(got))
		}
	})
	t.Run("since the listener panics when it has read", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
			io.ReadAll(body)
			panic("after reading")
		})
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("whatever the next listener makes of the rest", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
			io.ReadFull(body, make([]byte, 3))
			panic("after reading")
		})
		webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader { return body })
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("when what another listener has given was read", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader {
			return strings.NewReader("replacement")
		})
		webRequestBodies(t, w, "/small*", func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader {
			io.ReadFull(body, make([]byte, 3))
			panic("after reading")
		})
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("not when the listener panics before", func(t *testing.T) {
		webRequestBodies(t, w, "/small*", func(context.Context, *ResponseBodyDetails, io.Reader) io.Reader { panic("before reading") })
		if got := webRequestFetch(t, page, "/small"); got != "small" {
			t.Errorf("it is %q", got)
		}
	})
}

func TestWebRequest_TwoSessionsHaveTheirOwnBodies(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	first, second := namedSession(t, "1"), namedSession(t, "2")
	webRequestBodies(t, first.WebRequest(), "/small*", webRequestUpper)
	page1, page2 := testPage(t, first, server.URL("a.test", "/fetches?n=0")), testPage(t, second, server.URL("a.test", "/fetches?n=0"))
	want(t, page1, "fetch('/small').then(r => r.text())", "SMALL")
	want(t, page2, "fetch('/small').then(r => r.text())", "small")
}

func TestWebRequest_BodiesOfHandlersAndOfFetchAreChangedAsTheyCome(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/bodies"))
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/endless" {
			reader, writer := io.Pipe()
			go io.WriteString(writer, "first")
			return &http.Response{ContentLength: -1, Body: reader}, nil
		}
		return textResponse("text"), nil
	})
	listens(t)(s.WebRequest().OnResponseBody(WebRequestFilter{URLs: []string{"*://a.test/*s"}}, func(_ context.Context, d *ResponseBodyDetails, body io.Reader) io.Reader {
		return io.MultiReader(strings.NewReader("before "), body)
	}))
	want(t, page, `(async () => {
		const body = (await fetch('/endless?changes')).body.getReader()
		let text = ''
		while (text.length < 12) text += new TextDecoder().decode((await body.read()).value)
		return text
	})()`, "before first")
	if got := pageFetch(t, page, "/changes", nil); got.Text != "before text" {
		t.Errorf("the page got %+v", got)
	}
	if got := fetchedText(t, s, strings.Replace(page.URL(), "/page/bodies", "/changes", 1)); got != "before text" {
		t.Errorf("Fetch got %q", got)
	}
}
