package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// webRequestPage is a page of a new session in memory, on which the tests make
// requests.
func webRequestPage(t testing.TB) (*WebRequest, *WebContents, *fixture.Server) {
	t.Helper()
	s, server := memorySession(t), sharedServer(t)
	return s.WebRequest(), testPage(t, s, server.URL("a.test", "/fetches?n=0")), server
}

// webRequestRemove adds a listener that is taken away with the test.
func webRequestAdded(t testing.TB) func(remove func(), err error) func() {
	return func(remove func(), err error) func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(remove)
		return remove
	}
}

// webRequestFetch is the text of what a fetch in the page gets, or "failed".
func webRequestFetch(t testing.TB, page *WebContents, url string, init ...string) string {
	t.Helper()
	return evaluated[string](t, page, fmt.Sprintf("fetch(%q, %s).then(r => r.text()).catch(e => 'failed')", url, strings.Join(append(init, "{}")[:1], "")))
}

// webRequestEcho is what the server got of a fetch in the page.
func webRequestEcho(t testing.TB, page *WebContents, url string, init ...string) fixture.Echo {
	t.Helper()
	var echo fixture.Echo
	if text := webRequestFetch(t, page, url, init...); json.Unmarshal([]byte(text), &echo) != nil {
		t.Fatalf("%s answered %q", url, text)
	}
	return echo
}

func webRequestSent(echo fixture.Echo, name string) string {
	var values []string
	for _, h := range echo.Headers {
		if strings.EqualFold(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return strings.Join(values, "|")
}

func webRequestCancel(context.Context, *BeforeRequestDetails) BeforeRequestResult {
	return BeforeRequestResult{Cancel: true}
}

func TestWebRequest_FiltersAreRefusedWithElectronsText(t *testing.T) {
	t.Parallel()
	w := memorySession(t).WebRequest()
	for _, c := range []struct {
		name   string
		filter WebRequestFilter
		want   string
	}{
		{"NSE-0483 no path", WebRequestFilter{URLs: []string{"*://www.googleapis.com"}}, "Invalid url pattern *://www.googleapis.com: Empty path."},
		{"NSE-0483 the second is bad", WebRequestFilter{URLs: []string{"https://www.googleapis.com/*", "*://*.googleapis.com"}}, "Invalid url pattern *://*.googleapis.com: Empty path."},
		{"CX42 no urls", WebRequestFilter{Types: []ResourceType{ResourceXHR}}, "Parameter 'filter' must have property 'urls'."},
		{"CX42 an unknown type", WebRequestFilter{URLs: []string{allURLs}, Types: []ResourceType{"bogus"}}, "Invalid type bogus"},
		{"CX42 the type other", WebRequestFilter{URLs: []string{allURLs}, Types: []ResourceType{ResourceOther}}, "Invalid type other"},
		{"a bad pattern to exclude", WebRequestFilter{URLs: []string{allURLs}, ExcludeURLs: []string{"nonsense"}}, "Invalid url pattern nonsense: Missing scheme separator."},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := w.OnBeforeRequest(c.filter, webRequestCancel)
			var invalid *InvalidArgumentError
			if !errors.As(err, &invalid) || err.Error() != c.want {
				t.Errorf("the error is %v, want %s", err, c.want)
			}
		})
	}
	t.Run("CX42 no listener", func(t *testing.T) {
		if _, err := w.OnCompleted(WebRequestFilter{}, nil); err == nil || err.Error() != "Must pass null or a Function" {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestWebRequest_OnBeforeRequestCancels(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	base := server.URL("a.test", "")
	for _, c := range []struct {
		name   string
		filter WebRequestFilter
		fetch  map[string]string
	}{
		{"WRQ-0102 all", WebRequestFilter{}, map[string]string{"/small": "failed"}},
		{"WRQ-0113 by URL", WebRequestFilter{URLs: []string{base + "/filter/*"}}, map[string]string{"/small": "small", "/filter/test": "failed"}},
		{"WRQ-0121 all URLs", WebRequestFilter{URLs: []string{"<all_urls>"}}, map[string]string{"/small": "failed", "/filter/test": "failed"}},
		{"CX43 an empty list", WebRequestFilter{URLs: []string{}}, map[string]string{"/small": "failed"}},
		{"WRQ-0128 excluded", WebRequestFilter{URLs: []string{"<all_urls>"}, ExcludeURLs: []string{base + "/small"}}, map[string]string{"/small": "small", "/respond?body=x": "failed"}},
		{"WRQ-0136 two excluded", WebRequestFilter{URLs: []string{base + "/*"}, ExcludeURLs: []string{base + "/small", base + "/respond*"}}, map[string]string{"/small": "small", "/respond?body=x": "x", "/echo": "failed"}},
		{"WRQ-0148 none excluded", WebRequestFilter{URLs: []string{base + "/small"}, ExcludeURLs: []string{}}, map[string]string{"/small": "failed"}},
		{"WRQ-0154 of a type", WebRequestFilter{URLs: []string{base + "/*"}, Types: []ResourceType{ResourceXHR}}, map[string]string{"/small": "failed"}},
		{"WRQ-0154 of another type", WebRequestFilter{URLs: []string{base + "/*"}, Types: []ResourceType{ResourceStylesheet}}, map[string]string{"/small": "small"}},
		{"WRQ-0167 by all", WebRequestFilter{URLs: []string{base + "/*"}, ExcludeURLs: []string{base + "/respond*"}, Types: []ResourceType{ResourceXHR}}, map[string]string{"/small": "failed", "/respond?body=x": "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			webRequestAdded(t)(w.OnBeforeRequest(c.filter, webRequestCancel))
			for path, want := range c.fetch {
				if got := webRequestFetch(t, page, path); got != want {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
		})
	}
	t.Run("CX41 a removed one does nothing", func(t *testing.T) {
		remove := webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, webRequestCancel))
		remove()
		remove()
		if got := webRequestFetch(t, page, "/small"); got != "small" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("CX45 cancel beats redirect", func(t *testing.T) {
		webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
			return BeforeRequestResult{Cancel: true, RedirectURL: server.URL("a.test", "/respond?body=redirected")}
		}))
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("CX44 the zero answer changes nothing", func(t *testing.T) {
		webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult { return BeforeRequestResult{} }))
		if got := webRequestFetch(t, page, "/small"); got != "small" {
			t.Errorf("it is %q", got)
		}
	})
}

func TestWebRequest_OnBeforeRequestTellsOfTheRequest(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	seen := make(chan *BeforeRequestDetails, 10)
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		seen <- d
		return BeforeRequestResult{}
	}))
	t.Run("WRQ-0329 with its body", func(t *testing.T) {
		webRequestFetch(t, page, "/echo", "{method: 'POST', body: new URLSearchParams({name: 'post test', type: 'string'})}")
		d := next(t, seen)
		if d.Method != "POST" || d.ResourceType != ResourceXHR || d.WebContents != page || d.Frame().ID != page.ID() || d.Referrer() != page.URL() && !strings.HasPrefix(page.URL(), d.Referrer()) || d.ID == 0 || d.Timestamp.IsZero() {
			t.Errorf("the details are %+v, referrer %q", d, d.Referrer())
		}
		if data := d.UploadData(); len(data) != 1 || string(data[0].Bytes) != "name=post+test&type=string" {
			t.Errorf("the body is %q", data)
		}
	})
	t.Run("WRQ-0362 over redirects", func(t *testing.T) {
		for range 2 {
			if got := webRequestFetch(t, page, "/redirect?to=/small&status=301"); got != "small" {
				t.Errorf("it is %q", got)
			}
			if first, second := next(t, seen), next(t, seen); first.ID != second.ID || !strings.HasSuffix(second.URL, "/small") {
				t.Errorf("the requests are %+v and %+v", first, second)
			}
		}
	})
	t.Run("of a frame and its parts", func(t *testing.T) {
		_, err := Evaluate[bool](testContext(t), page, `new Promise(done => {
			const frame = document.createElement('iframe');
			frame.src = '/page/framed'; frame.onload = () => done(true); document.body.append(frame);
		})`)
		if err != nil {
			t.Fatal(err)
		}
		d := next(t, seen)
		if d.ResourceType != ResourceSubFrame || d.Frame() == nil || d.Frame().ParentID != page.ID() {
			t.Errorf("the details are %+v, frame %+v", d, d.Frame())
		}
	})
	t.Run("of a navigation", func(t *testing.T) {
		if err := page.LoadURL(testContext(t), sharedServer(t).URL("b.test", "/page/other"), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if d := next(t, seen); d.ResourceType != ResourceMainFrame || d.WebContents != page {
			t.Errorf("the details are %+v", d)
		}
	})
}

func TestWebRequest_OnBeforeSendHeadersChangesHeaders(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	answer := func(t *testing.T, change func(h *Headers)) {
		webRequestAdded(t)(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			change(&d.RequestHeaders)
			return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
		}))
	}
	t.Run("WRQ-0477 names keep their case", func(t *testing.T) {
		seen := make(chan Headers, 10)
		answer(t, func(h *Headers) { seen <- slices.Clone(*h) })
		webRequestFetch(t, page, "/small", "{headers: {'Foo.Bar': 'baz'}}")
		if got := next(t, seen); !slices.Contains(got, Header{Name: "Foo.Bar", Value: "baz"}) {
			t.Errorf("the headers are %v", got)
		}
	})
	t.Run("WRQ-0487 a header", func(t *testing.T) {
		answer(t, func(h *Headers) { h.Set("Accept", "*/*;test/header") })
		if got := webRequestSent(webRequestEcho(t, page, "/echo"), "Accept"); got != "*/*;test/header" {
			t.Errorf("the server got %q", got)
		}
	})
	t.Run("UTL-1370 a new header", func(t *testing.T) {
		answer(t, func(h *Headers) { h.Add("X-Added", "yes") })
		if got := webRequestSent(webRequestEcho(t, page, "/echo"), "X-Added"); got != "yes" {
			t.Errorf("the server got %q", got)
		}
	})
	t.Run("WRQ-0533 the origin", func(t *testing.T) {
		answer(t, func(h *Headers) { h.Set("Origin", "http://new-origin") })
		if got := webRequestSent(webRequestEcho(t, page, "/echo"), "Origin"); got != "http://new-origin" {
			t.Errorf("the server got %q", got)
		}
	})
	t.Run("WRQ-0543 of requests to other origins", func(t *testing.T) {
		answer(t, func(h *Headers) { h.Set("Accept", "other/origin") })
		if got := webRequestSent(webRequestEcho(t, page, server.URL("b.test", "/cors/allowed")), "Accept"); got != "other/origin" {
			t.Errorf("the server got %q", got)
		}
	})
	t.Run("WRQ-0553 invalid ones are left out", func(t *testing.T) {
		sent := make(chan Headers, 10)
		webRequestAdded(t)(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { sent <- d.RequestHeaders }))
		answer(t, func(h *Headers) {
			h.Add("X-Valid", "good")
			h.Add("X Invalid", "name")
			h.Add("", "empty")
			h.Add("X-Value", "with\r\nX-Injected: yes")
		})
		echo := webRequestEcho(t, page, "/echo")
		if webRequestSent(echo, "X-Valid") != "good" || webRequestSent(echo, "X-Value")+webRequestSent(echo, "X-Injected") != "" {
			t.Errorf("the server got %v", echo.Headers)
		}
		if got := next(t, sent); got.Get("X-Valid") != "good" || got.Get("X-Value") != "" || got.Get("Host") == "" {
			t.Errorf("OnSendHeaders was told %v", got)
		}
	})
	t.Run("a forbidden one is left out and the request goes on", func(t *testing.T) {
		answer(t, func(h *Headers) { h.Add("Host", "other.test"); h.Add("Trailer", "x"); h.Add("X-Valid", "good") })
		echo := webRequestEcho(t, page, "/echo")
		if webRequestSent(echo, "X-Valid") != "good" || strings.HasPrefix(echo.Host, "other") {
			t.Errorf("the server got %v", echo)
		}
	})
	t.Run("CX49 several of a name are one list", func(t *testing.T) {
		answer(t, func(h *Headers) { h.Add("X-A", "1"); h.Add("X-A", "2"); h.Add("X-B", "b") })
		echo := webRequestEcho(t, page, "/echo")
		if webRequestSent(echo, "X-A") != "1, 2" || webRequestSent(echo, "X-B") != "b" {
			t.Errorf("the server got %v", echo.Headers)
		}
	})
	t.Run("WRQ-0587 the zero answer leaves them", func(t *testing.T) {
		sent := make(chan Headers, 10)
		webRequestAdded(t)(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { sent <- d.RequestHeaders }))
		before := make(chan Headers, 10)
		webRequestAdded(t)(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			before <- d.RequestHeaders
			return BeforeSendHeadersResult{}
		}))
		webRequestFetch(t, page, "/small", "{headers: {'X-Mine': 'kept'}}")
		was, is := next(t, before), next(t, sent)
		for _, h := range was {
			if is.Get(h.Name) != h.Value {
				t.Errorf("%s was %q, is %q", h.Name, h.Value, is.Get(h.Name))
			}
		}
	})
	t.Run("cancel", func(t *testing.T) {
		webRequestAdded(t)(w.OnBeforeSendHeaders(WebRequestFilter{}, func(context.Context, *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			return BeforeSendHeadersResult{Cancel: true}
		}))
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
	})
}

func TestWebRequest_OnHeadersReceivedChangesTheResponse(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	custom := "/respond?body=x&header=Custom:Header"
	header := func(t *testing.T, url, name string) string {
		t.Helper()
		return evaluated[string](t, page, fmt.Sprintf("fetch(%q).then(r => r.status + ' ' + r.headers.get(%q)).catch(() => 'failed')", url, name))
	}
	answer := func(t *testing.T, by func(*HeadersReceivedDetails) HeadersReceivedResult) {
		t.Helper()
		webRequestAdded(t)(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult { return by(d) }))
	}
	t.Run("WRQ-0670 and tells of it", func(t *testing.T) {
		seen := make(chan *HeadersReceivedDetails, 10)
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult { seen <- d; return HeadersReceivedResult{} })
		header(t, custom, "Custom")
		if d := next(t, seen); d.StatusLine != "HTTP/1.1 200 OK" || d.StatusCode != 200 || !slices.Contains(d.ResponseHeaders, Header{Name: "Custom", Value: "Header"}) {
			t.Errorf("the details are %+v", d)
		}
	})
	t.Run("WRQ-0681 a header", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Set("Custom", "Changed")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		})
		if got := header(t, custom, "Custom"); got != "200 Changed" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("WRQ-0691 who may read it", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Set("Access-Control-Allow-Origin", "*")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		})
		if got := webRequestEcho(t, page, server.URL("b.test", "/cors/refused")); got.Method != "GET" {
			t.Errorf("the page sees %v", got)
		}
	})
	t.Run("WRQ-0701 of another origin", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Set("X-Exposed", "Changed")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		})
		if got := header(t, server.URL("b.test", "/cors/allowed"), "X-Exposed"); got != "200 Changed" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("WRQ-0711 the zero answer leaves it", func(t *testing.T) {
		answer(t, func(*HeadersReceivedDetails) HeadersReceivedResult { return HeadersReceivedResult{} })
		if got := header(t, custom, "Custom"); got != "200 Header" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("WRQ-0731 redirects are followed", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		})
		if got := webRequestFetch(t, page, "/redirect?to=/small&status=301"); got != "small" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("CX48 a status line alone is ignored", func(t *testing.T) {
		answer(t, func(*HeadersReceivedDetails) HeadersReceivedResult {
			return HeadersReceivedResult{StatusLine: "HTTP/1.1 404 Not Found"}
		})
		if got := header(t, custom, "Custom"); got != "200 Header" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("the status", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders, StatusLine: "HTTP/1.1 404 Gone Fishing"}
		})
		if got := evaluated[string](t, page, "fetch('/small').then(async r => r.status + r.statusText + await r.text())"); got != "404Gone Fishingsmall" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("CX50 an invalid header ends the list", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			return HeadersReceivedResult{ResponseHeaders: Headers{{Name: "X-First", Value: "1"}, {Name: "X-Bad", Value: "a\nb"}, {Name: "X-Last", Value: "2"}}}
		})
		if got := evaluated[string](t, page, "fetch('/small').then(r => r.headers.get('X-First') + r.headers.get('X-Last'))"); got != "1null" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("into a redirect", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			if strings.HasSuffix(d.URL, "/small") {
				return HeadersReceivedResult{}
			}
			d.ResponseHeaders.Set("Location", "/small")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders, StatusLine: "HTTP/1.1 302 Found"}
		})
		if got := webRequestFetch(t, page, custom); got != "small" {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("out of a redirect", func(t *testing.T) {
		answer(t, func(d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Del("Location")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders, StatusLine: "HTTP/1.1 200 OK"}
		})
		if got := evaluated[string](t, page, "fetch('/redirect?to=/small').then(r => r.status + r.url)"); !strings.Contains(got, "200") || !strings.Contains(got, "/redirect") {
			t.Errorf("the page sees %q", got)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		answer(t, func(*HeadersReceivedDetails) HeadersReceivedResult { return HeadersReceivedResult{Cancel: true} })
		if got := header(t, custom, "Custom"); got != "failed" {
			t.Errorf("the page sees %q", got)
		}
	})
}

// webRequestLog records the events of requests.
type webRequestLog struct {
	mu     sync.Mutex
	events []string
	ids    map[uint64]bool
	ended  chan string // the URLs of those that are over
}

func (l *webRequestLog) add(d *RequestDetails, event string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event)
	l.ids[d.ID] = true
}

// have compares the events of one request, and forgets them.
func (l *webRequestLog) have(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.events, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(l.events, "\n"), strings.Join(want, "\n"))
	}
	if len(l.ids) != 1 {
		t.Errorf("the ids are %v", l.ids)
	}
	l.events, l.ids = nil, map[uint64]bool{}
}

func newWebRequestLog(t testing.TB, w *WebRequest, redirect map[string]string) *webRequestLog {
	l := &webRequestLog{ids: map[uint64]bool{}, ended: make(chan string, 100)}
	add := func(event string, d *RequestDetails, extra ...any) {
		_, path, _ := strings.Cut(strings.TrimPrefix(d.URL, "http://"), "/")
		l.add(d, strings.TrimSpace(fmt.Sprintln(append([]any{event, "/" + path}, extra...)...)))
	}
	added := webRequestAdded(t)
	added(w.OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		add("request", &d.RequestDetails)
		for suffix, to := range redirect {
			if strings.HasSuffix(d.URL, suffix) {
				return BeforeRequestResult{RedirectURL: to}
			}
		}
		return BeforeRequestResult{}
	}))
	added(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		add("send", &d.RequestDetails)
		return BeforeSendHeadersResult{}
	}))
	added(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { add("sent", &d.RequestDetails) }))
	added(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		add("received", &d.RequestDetails, d.StatusCode)
		return HeadersReceivedResult{}
	}))
	added(w.OnBeforeRedirect(WebRequestFilter{}, func(_ context.Context, d *BeforeRedirectDetails) {
		add("redirect", &d.RequestDetails, d.StatusLine, d.ResponseHeaders.Get("Non-Authoritative-Reason"))
	}))
	added(w.OnResponseStarted(WebRequestFilter{}, func(_ context.Context, d *ResponseStartedDetails) {
		add("started", &d.RequestDetails, d.StatusCode)
	}))
	added(w.OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) {
		add("completed", &d.RequestDetails, d.Error)
		l.ended <- d.URL
	}))
	added(w.OnErrorOccurred(WebRequestFilter{}, func(_ context.Context, d *ErrorOccurredDetails) {
		add("error", &d.RequestDetails, d.Error)
		l.ended <- d.URL
	}))
	return l
}

// want waits for the end of a request and compares its events.
func (l *webRequestLog) want(t *testing.T, want ...string) {
	t.Helper()
	next(t, l.ended)
	l.have(t, want...)
}

func TestWebRequest_EventsComeInElectronsOrderWithOneID(t *testing.T) {
	w, page, server := webRequestPage(t)
	t.Run("CX46 over redirects", func(t *testing.T) {
		l := newWebRequestLog(t, w, nil)
		webRequestFetch(t, page, "/redirect?to=/small")
		l.want(t, "request /redirect?to=/small", "send /redirect?to=/small", "sent /redirect?to=/small", "received /redirect?to=/small 302",
			"redirect /redirect?to=/small HTTP/1.1 302 Found", "request /small", "send /small", "sent /small", "received /small 200", "started /small 200", "completed /small net::OK")
	})
	t.Run("CX47 WRQ-0777 NSE-0514 over a redirect of a listener", func(t *testing.T) {
		l := newWebRequestLog(t, w, map[string]string{"/never/asked": server.URL("a.test", "/small")})
		if got := evaluated[string](t, page, "fetch('/never/asked').then(async r => await r.text() + r.redirected)"); got != "smalltrue" {
			t.Errorf("the page sees %q", got)
		}
		l.want(t, "request /never/asked", "redirect /never/asked HTTP/1.1 307 Internal Redirect WebRequest API",
			"request /small", "send /small", "sent /small", "received /small 200", "started /small 200", "completed /small net::OK")
		if n := server.Count("/never/asked"); n != 0 {
			t.Errorf("%d requests reached the server", n)
		}
	})
	t.Run("WRQ-0819 of a request that is cancelled", func(t *testing.T) {
		l := newWebRequestLog(t, w, nil)
		webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, webRequestCancel))
		webRequestFetch(t, page, "/small")
		l.want(t, "request /small", "error /small net::ERR_BLOCKED_BY_CLIENT")
	})
	t.Run("of one that the server drops", func(t *testing.T) {
		l := newWebRequestLog(t, w, nil)
		webRequestFetch(t, page, "/drop")
		l.want(t, "request /drop", "send /drop", "sent /drop", "error /drop net::ERR_EMPTY_RESPONSE")
	})
	t.Run("of another origin to a third one", func(t *testing.T) {
		l := newWebRequestLog(t, w, map[string]string{"/elsewhere": server.URL("c.test", "/cors/allowed")})
		if got := webRequestEcho(t, page, server.URL("b.test", "/elsewhere")); !strings.HasPrefix(got.Host, "c.test") {
			t.Errorf("the server says %v", got)
		}
		next(t, l.ended)
	})
	t.Run("to another origin", func(t *testing.T) {
		l := newWebRequestLog(t, w, map[string]string{"/elsewhere": server.URL("b.test", "/cors/allowed")})
		if got := webRequestEcho(t, page, "/elsewhere"); !strings.HasPrefix(got.Host, "b.test") {
			t.Errorf("the server says %v", got)
		}
		next(t, l.ended)
	})
}

func TestWebRequest_TellsOfResponses(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	started, completed, sent := make(chan *ResponseStartedDetails, 10), make(chan *CompletedDetails, 10), make(chan *SendHeadersDetails, 10)
	added := webRequestAdded(t)
	added(w.OnResponseStarted(WebRequestFilter{}, func(_ context.Context, d *ResponseStartedDetails) { started <- d }))
	added(w.OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) { completed <- d }))
	added(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { sent <- d }))
	path := "/respond?body=x&header=Custom:Header&header=Cache-Control:max-age=3600"
	for _, cached := range []bool{false, true} {
		webRequestFetch(t, page, path)
		t.Run(fmt.Sprintf("WRQ-0758 when they start, cached %v", cached), func(t *testing.T) {
			d := next(t, started)
			if d.StatusLine != "HTTP/1.1 200 OK" || d.StatusCode != 200 || d.FromCache != cached || !slices.Equal(d.ResponseHeaders.Values("Custom"), []string{"Header"}) || !cached && d.IP != "127.0.0.1" {
				t.Errorf("the details are %+v", d)
			}
		})
		t.Run(fmt.Sprintf("WRQ-0802 when they end, cached %v", cached), func(t *testing.T) {
			if d := next(t, completed); d.StatusLine != "HTTP/1.1 200 OK" || d.StatusCode != 200 || d.FromCache != cached || d.Error != "net::OK" {
				t.Errorf("the details are %+v", d)
			}
		})
		t.Run(fmt.Sprintf("WRQ-0656 and of what was sent, cached %v", cached), func(t *testing.T) {
			if d := next(t, sent); len(d.RequestHeaders) == 0 || !cached && d.RequestHeaders.Get("Host") == "" {
				t.Errorf("the details are %+v", d)
			}
		})
	}
}

func TestWebRequest_CookiesPassListenersThatChangeHeaders(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	added := webRequestAdded(t)
	sent := make(chan Headers, 10)
	added(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { sent <- d.RequestHeaders }))
	added(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		d.RequestHeaders.Set("X-Mine", "yes")
		return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
	}))
	added(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		d.ResponseHeaders.Set("X-Mine", "yes")
		return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
	}))
	webRequestFetch(t, page, "/set-cookie?sid=1")
	next(t, sent)
	if got := webRequestFetch(t, page, "/cookies"); got != "sid=1" {
		t.Errorf("the server got the cookies %q", got)
	}
	if got := next(t, sent); got.Get("Cookie") != "sid=1" || got.Get("X-Mine") != "yes" {
		t.Errorf("OnSendHeaders was told %v", got)
	}
}

// What no listener has changed reaches the page byte for byte, with headers that
// look odd too.
func TestWebRequest_AnUnchangedResponseIsTheServersOwn(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	path := "/respond?status=299&body=%FF%00x&type=text/odd&header=X-Many:1&header=X-Many:2&header=x-lower:%C3%A9"
	look := fmt.Sprintf("fetch(%q).then(async r => JSON.stringify([r.status, r.statusText, [...r.headers].filter(h => h[0] != 'date'), [...new Uint8Array(await r.arrayBuffer())]]))", path)
	before := evaluated[string](t, page, look)
	webRequestAdded(t)(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders, StatusLine: d.StatusLine}
	}))
	webRequestAdded(t)(w.OnResponseBody(WebRequestFilter{}, func(_ context.Context, _ *ResponseBodyDetails, body io.Reader) io.Reader { return body }))
	want(t, page, look, before)
}
