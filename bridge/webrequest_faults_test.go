package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// webRequestHolds is a listener that holds requests until release is called.
func webRequestHolds(t testing.TB, w *WebRequest) (held chan *BeforeRequestDetails, ended chan error, remove func(), release func()) {
	held, ended = make(chan *BeforeRequestDetails, 10), make(chan error, 10)
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	remove = webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{URLs: []string{"*://*/small*"}}, func(ctx context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		held <- d
		select {
		case <-gate:
		case <-ctx.Done():
			ended <- context.Cause(ctx)
			return BeforeRequestResult{Cancel: true} // too late to count
		}
		return BeforeRequestResult{}
	}))
	return held, ended, remove, release
}

// webRequestDomains says which domains are on in a page.
func webRequestDomains(t testing.TB, page *WebContents) string {
	t.Helper()
	ctx := testContext(t)
	var on []string
	err := page.CDP().Call(ctx, "Fetch.continueRequest", map[string]string{"requestId": "none"}, nil)
	if err == nil || !strings.Contains(err.Error(), "not enabled") {
		on = append(on, "Fetch")
	}
	told, stop := page.CDP().Subscribe("Network.requestWillBeSent")
	defer stop()
	webRequestFetch(t, page, "/respond?body=domains")
	if err := page.CDP().Call(ctx, "Page.getNavigationHistory", nil, nil); err != nil { // comes after the event
		t.Fatal(err)
	}
	if len(told) > 0 {
		on = append(on, "Network")
	}
	return strings.Join(on, " ")
}

func TestWebRequest_CX38_AnAnswerIsAReturnValue(t *testing.T) {
	t.Parallel()
	// There is no callback to call twice: a listener that runs again has another request.
	w, page, _ := webRequestPage(t)
	var calls atomic.Int32
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
		calls.Add(1)
		return BeforeRequestResult{}
	}))
	if got := webRequestFetch(t, page, "/small"); got != "small" || calls.Load() != 1 {
		t.Errorf("it is %q after %d calls", got, calls.Load())
	}
}

func TestWebRequest_CX39_AListenerThatNeverAnswersHoldsTheRequestUntilItIsAborted(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	failed := make(chan *ErrorOccurredDetails, 10)
	webRequestAdded(t)(w.OnErrorOccurred(WebRequestFilter{}, func(_ context.Context, d *ErrorOccurredDetails) { failed <- d }))
	held, ended, _, _ := webRequestHolds(t, w)
	evaluated[bool](t, page, "(window.abort = new AbortController(), window.got = fetch('/small?hangs', {signal: abort.signal}).catch(e => e.name), true)")
	d := next(t, held)
	evaluated[bool](t, page, "(abort.abort(), true)")
	want(t, page, "got", "AbortError")
	next(t, ended)
	if got := next(t, failed); got.Error != "net::ERR_ABORTED" || got.ID != d.ID {
		t.Errorf("OnErrorOccurred was told %+v", got)
	}
	if n := len(server.Requests()); strings.Contains(server.Requests()[n-1].URI, "hangs") {
		t.Error("the request reached the server")
	}
}

func TestWebRequest_AListenerThatNeverAnswersEndsWithThePage(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	held, ended, _, _ := webRequestHolds(t, w)
	evaluated[bool](t, page, "(fetch('/small'), true)")
	next(t, held)
	if err := page.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	next(t, ended)
}

func TestWebRequest_CX40_ARemovedListenerKeepsTheRequestsThatWaitInIt(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	held, _, remove, release := webRequestHolds(t, w)
	evaluated[bool](t, page, "(window.got = fetch('/small').then(r => r.text()), true)")
	next(t, held)
	remove()
	if got := webRequestFetch(t, page, "/small?new"); got != "small" {
		t.Errorf("a new request gets %q", got)
	}
	if len(held) != 0 {
		t.Error("the removed listener was asked again")
	}
	want(t, page, "Promise.race([got, 'waits'])", "waits")
	release()
	want(t, page, "got", "small")
}

func TestWebRequest_SeveralListenersSeeWhatTheOnesBeforeHaveChanged(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	added := webRequestAdded(t)
	for i := range 3 {
		added(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			d.RequestHeaders.Set("X-Way", d.RequestHeaders.Get("X-Way")+fmt.Sprint(i))
			return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
		}))
		added(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Set("X-Back", d.ResponseHeaders.Get("X-Back")+fmt.Sprint(i))
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		}))
	}
	if got := webRequestSent(webRequestEcho(t, page, "/echo"), "X-Way"); got != "012" {
		t.Errorf("the server got %q", got)
	}
	want(t, page, "fetch('/small').then(r => r.headers.get('X-Back'))", "012")
	var asked atomic.Bool
	added(w.OnBeforeRequest(WebRequestFilter{}, webRequestCancel))
	added(w.OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
		asked.Store(true)
		return BeforeRequestResult{}
	}))
	if got := webRequestFetch(t, page, "/small"); got != "failed" || asked.Load() {
		t.Errorf("it is %q, and the one after was asked: %v", got, asked.Load())
	}
}

func TestWebRequest_AListenerThatPanicsChangesNothing(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	added := webRequestAdded(t)
	added(w.OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult { panic("before") }))
	added(w.OnBeforeSendHeaders(WebRequestFilter{}, func(context.Context, *BeforeSendHeadersDetails) BeforeSendHeadersResult { panic("send") }))
	added(w.OnHeadersReceived(WebRequestFilter{}, func(context.Context, *HeadersReceivedDetails) HeadersReceivedResult { panic("received") }))
	completed := make(chan bool, 10)
	added(w.OnCompleted(WebRequestFilter{}, func(context.Context, *CompletedDetails) { completed <- true; panic("completed") }))
	for range 2 {
		if got := webRequestFetch(t, page, "/small"); got != "small" {
			t.Errorf("it is %q", got)
		}
		next(t, completed)
	}
}

func TestWebRequest_NSE0545_TwoSessionsDoOppositeThings(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	first, second := namedSession(t, "1"), namedSession(t, "2")
	page1, page2 := testPage(t, first, server.URL("a.test", "/fetches?n=0")), testPage(t, second, server.URL("a.test", "/fetches?n=0"))
	webRequestAdded(t)(first.WebRequest().OnBeforeRequest(WebRequestFilter{}, webRequestCancel))
	webRequestAdded(t)(second.WebRequest().OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		d.ResponseHeaders.Set("X-Second", "yes")
		return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
	}))
	for range 3 {
		if got := webRequestFetch(t, page1, "/small"); got != "failed" {
			t.Errorf("the first gets %q", got)
		}
		want(t, page2, "fetch('/small').then(r => r.headers.get('X-Second'))", "yes")
	}
}

func TestWebRequest_AfterTheLastListenerAPageIsAsItWas(t *testing.T) {
	t.Parallel()
	w, page, _ := webRequestPage(t)
	if on := webRequestDomains(t, page); on != "" {
		t.Fatalf("at first %s is on", on)
	}
	for range 2 {
		before, err := w.OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult { return BeforeRequestResult{} })
		if err != nil {
			t.Fatal(err)
		}
		if on := webRequestDomains(t, page); on != "Fetch" {
			t.Errorf("with a listener of OnBeforeRequest %q is on", on)
		}
		ended := make(chan bool, 10)
		completed, err := w.OnCompleted(WebRequestFilter{}, func(context.Context, *CompletedDetails) { ended <- true })
		if err != nil {
			t.Fatal(err)
		}
		if on := webRequestDomains(t, page); on != "Fetch Network" {
			t.Errorf("with a listener of OnCompleted too %q is on", on)
		}
		next(t, ended)
		before()
		completed()
		if on := webRequestDomains(t, page); on != "" {
			t.Errorf("after the last one %s is on", on)
		}
		if n := len(w.traffic.following) + len(w.traffic.arrived); n != 0 {
			t.Errorf("%d requests are still followed", n)
		}
	}
}

func TestWebRequest_FileURLs(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	w := s.WebRequest()
	dir := testDir(t)
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, []byte("<!doctype html><title>from a file</title>"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, "file://"+file)
	t.Run("WRQ-0599 have header events", func(t *testing.T) {
		order := make(chan string, 10)
		webRequestAdded(t)(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			order <- "before " + d.URL
			return BeforeSendHeadersResult{}
		}))
		webRequestAdded(t)(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { order <- "sent " + d.URL }))
		if err := page.LoadURL(testContext(t), "file://"+file+"?again", LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if before, sent := next(t, order), next(t, order); before != "before file://"+file+"?again" || sent != "sent file://"+file+"?again" {
			t.Errorf("told of %s, then of %s", before, sent)
		}
	})
	t.Run("WRQ-0370 can be cancelled", func(t *testing.T) {
		webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{URLs: []string{"file:///*"}}, webRequestCancel))
		if err := page.LoadURL(testContext(t), "file://"+file+"?cancelled", LoadOptions{}); !isLoadError(err, "net::ERR_BLOCKED_BY_CLIENT") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestWebRequest_WRQ0382_AStreamedUploadPasses(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	page := testPage(t, s, server.TLSURL("good.test", "/fetches?n=0"))
	uploads := make(chan []UploadData, 10)
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		uploads <- d.UploadData()
		return BeforeRequestResult{}
	}))
	want(t, page, `fetch('/echo', {method: 'POST', duplex: 'half', body: new ReadableStream({start(c) {
		c.enqueue(new TextEncoder().encode('hello ')); c.enqueue(new TextEncoder().encode('world')); c.close();
	}})}).then(r => r.json()).then(r => r.body).catch(String)`, "hello world")
	if got := next(t, uploads); len(got) != 1 || len(got[0].Bytes) != 0 {
		t.Errorf("the body of a stream is %v", got)
	}
}

func TestWebRequest_CX51_Preflights(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	seen := make(chan string, 10)
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		seen <- d.Method
		return BeforeRequestResult{}
	}))
	if got := webRequestEcho(t, page, server.URL("b.test", "/cors/allowed"), "{headers: {'X-Custom': '1'}}"); webRequestSent(got, "X-Custom") != "1" {
		t.Errorf("the server got %v", got)
	}
	var methods []string
	for len(seen) > 0 {
		methods = append(methods, <-seen)
	}
	if got := strings.Join(methods, " "); got != "OPTIONS GET" {
		t.Errorf("the listener saw %q", got)
	}
}

func TestWebRequest_ARedirectLoopEnds(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	failed := make(chan *ErrorOccurredDetails, 10)
	webRequestAdded(t)(w.OnErrorOccurred(WebRequestFilter{}, func(_ context.Context, d *ErrorOccurredDetails) { failed <- d }))
	t.Run("of the server", func(t *testing.T) {
		if got := webRequestFetch(t, page, "/redirect/loop"); got != "failed" {
			t.Errorf("it is %q", got)
		}
		if d := next(t, failed); d.Error != "net::ERR_TOO_MANY_REDIRECTS" {
			t.Errorf("the error is %s", d.Error)
		}
	})
	t.Run("of a listener", func(t *testing.T) {
		webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
			return BeforeRequestResult{RedirectURL: server.URL("a.test", "/small")}
		}))
		if got := webRequestFetch(t, page, "/small"); got != "failed" {
			t.Errorf("it is %q", got)
		}
		if d := next(t, failed); d.Error != "net::ERR_TOO_MANY_REDIRECTS" {
			t.Errorf("the error is %s", d.Error)
		}
	})
}

// Chromium fails a part of a page's requests when more than a thousand of them
// are under way, so these come from several pages.
func TestWebRequest_ThousandsOfRequestsAtOnce(t *testing.T) {
	const perPage = 500
	n := 2000
	if os.Getenv("BRIDGE_FULL") != "" {
		n = 10_000
	}
	s, server := memorySession(t), sharedServer(t)
	small := WebRequestFilter{URLs: []string{"*://*/small*"}}
	var inside atomic.Int32
	all := make(chan struct{})
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(small, func(ctx context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		if int(inside.Add(1)) == n {
			close(all)
		}
		select {
		case <-all: // held until all are there
		case <-ctx.Done():
		}
		return BeforeRequestResult{Cancel: strings.HasSuffix(d.URL, "7")}
	}))
	ended := make(chan string, n)
	webRequestAdded(t)(s.WebRequest().OnCompleted(small, func(_ context.Context, d *CompletedDetails) { ended <- d.Error }))
	webRequestAdded(t)(s.WebRequest().OnErrorOccurred(small, func(_ context.Context, d *ErrorOccurredDetails) { ended <- d.Error }))
	var pages []*WebContents
	for range n / perPage {
		pages = append(pages, testPage(t, s, server.URL("a.test", fmt.Sprintf("/fetches?n=%d&parallel=%d", perPage, perPage))))
	}
	for _, page := range pages {
		eventually(t, page, "window.result")
		want(t, page, "result.ok", perPage-perPage/10)
		want(t, page, "result.failed", perPage/10)
	}
	told := map[string]int{}
	for range n {
		told[next(t, ended)]++
	}
	if told["net::OK"] != n-n/10 || told["net::ERR_BLOCKED_BY_CLIENT"] != n/10 {
		t.Errorf("the listeners were told of %v", told)
	}
}

func TestWebRequest_ThousandsOfPatterns(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	var urls []string
	for i := range 5000 {
		urls = append(urls, fmt.Sprintf("*://*.host%d.test/ads/*", i))
	}
	urls = append(urls, server.URL("a.test", "/small"))
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{URLs: urls}, webRequestCancel))
	for url, want := range map[string]string{"/small": "failed", "/respond?body=x": "x", server.URL("x.host77.test", "/ads/1"): "failed"} {
		if got := webRequestFetch(t, page, url); got != want {
			t.Errorf("%s is %q, want %q", url, got, want)
		}
	}
}

func TestWebRequest_SeesTheRequestsOfWorkers(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	page := testPage(t, s, server.URL("localhost", "/fetches?n=0"))
	var mu sync.Mutex
	seen := map[string]bool{}
	ended := make(chan string, 100)
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		mu.Lock()
		defer mu.Unlock()
		seen[strings.TrimPrefix(d.URL, server.URL("localhost", ""))] = true
		return BeforeRequestResult{}
	}))
	webRequestAdded(t)(s.WebRequest().OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) {
		ended <- strings.TrimPrefix(d.URL, server.URL("localhost", ""))
	}))
	if err := page.LoadURL(testContext(t), server.URL("localhost", "/workers"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, page, "document.title === 'done'")
	all := map[string]bool{}
	for _, url := range []string{"/workers", "/worker.js", "/worker-module.js", "/worker-module-part.js", "/worker-shared.js", "/small?from=dedicated", "/small?from=module", "/small?from=shared"} {
		all[url] = true
	}
	mu.Lock()
	for url := range all {
		if !seen[url] {
			t.Errorf("%s was not seen", url)
		}
	}
	mu.Unlock()
	for len(all) > 0 { // each is told of once, in some order
		url := next(t, ended)
		if !all[url] {
			t.Errorf("told of the end of %s, waiting for %v", url, all)
		}
		delete(all, url)
	}
	w := s.WebRequest().traffic
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.following) != 0 {
		t.Errorf("%d requests are still followed", len(w.following))
	}
}

func TestWebRequest_AListenerThatNeverAnswersEndsWithACrash(t *testing.T) {
	t.Parallel()
	w, page, server := webRequestPage(t)
	failed := make(chan *ErrorOccurredDetails, 10)
	webRequestAdded(t)(w.OnErrorOccurred(WebRequestFilter{}, func(_ context.Context, d *ErrorOccurredDetails) { failed <- d }))
	held, ended, _, _ := webRequestHolds(t, w)
	evaluated[bool](t, page, "(fetch('/small'), true)")
	next(t, held)
	page.CDP().Conn().Send(cdp.Command{Session: page.CDP(), Method: "Page.crash"})
	next(t, ended)
	if d := next(t, failed); d.Error != "net::ERR_ABORTED" {
		t.Errorf("the error is %s", d.Error)
	}
	if err := page.LoadURL(testContext(t), server.URL("a.test", "/fetches?n=0"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := webRequestFetch(t, page, "/respond?body=again"); got != "again" {
		t.Errorf("after it a fetch gets %q", got)
	}
}

func TestWebRequest_OfAClosedSession(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WebRequest().OnBeforeRequest(WebRequestFilter{}, webRequestCancel); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("the error is %v", err)
	}
}

// Whatever way a request takes, it ends for the listeners too: nothing is kept
// of it.
func TestWebRequest_EveryRequestEnds(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	w := s.WebRequest()
	page := testPage(t, s, "")
	var mu sync.Mutex
	open := map[uint64]string{}
	changed := make(chan bool, 1)
	note := func(d *RequestDetails, ended bool) {
		mu.Lock()
		defer mu.Unlock()
		if open[d.ID] = d.URL + " " + string(d.ResourceType); ended {
			delete(open, d.ID)
		}
		select {
		case changed <- true:
		default:
		}
	}
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		note(&d.RequestDetails, false)
		return BeforeRequestResult{}
	}))
	webRequestAdded(t)(w.OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) { note(&d.RequestDetails, true) }))
	webRequestAdded(t)(w.OnErrorOccurred(WebRequestFilter{}, func(_ context.Context, d *ErrorOccurredDetails) { note(&d.RequestDetails, true) }))
	release := server.Hold("/held")
	defer release()
	ctx := testContext(t)
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/all-kinds"), LoadOptions{}); err != nil { // with an icon
		t.Fatal(err)
	}
	evaluated[bool](t, page, fmt.Sprintf(`(async () => {
		const other = %q, add = (tag, more) => document.head.append(Object.assign(document.createElement(tag), more));
		navigator.sendBeacon('/echo?beacon', 'x');
		fetch('/echo?keepalive', {method: 'POST', body: 'x', keepalive: true});
		add('link', {rel: 'prefetch', href: '/respond?body=prefetch'});
		add('link', {rel: 'preload', as: 'script', href: '/respond?body=preload'});
		add('script', {src: other + '/respond?body=1'});
		add('img', {src: '/image.png?1'}); add('img', {src: '/image.png?1'}); add('img', {src: '/nothing.png'});
		add('iframe', {src: other + '/page/framed'}); add('iframe', {src: '/respond?status=204'}); add('object', {data: '/page/object'});
		add('video', {src: '/respond?type=video/mp4&body=x', preload: 'auto'});
		add('a', {href: '/page/pinged', ping: '/echo?ping'}); 
		await fetch('/drop').catch(() => 0); await fetch(other + '/cors/refused').catch(() => 0); await fetch('/cutoff').then(r => r.text()).catch(() => 0);
		const a = new AbortController(), held = fetch('/held?aborted', {signal: a.signal}).catch(() => 0); setTimeout(() => a.abort(), 20); await held;
		fetch('/held?left'); add('img', {src: '/held?image'}); add('iframe', {src: '/held?frame'});
		await fetch('/echo');
		return true;
	})()`, server.URL("b.test", "")))
	for _, url := range []string{"/download/range?size=1000&name=x.bin", "/respond?status=204"} { // no documents
		page.LoadURL(ctx, server.URL("a.test", url), LoadOptions{})
	}
	if err := page.LoadURL(ctx, server.URL("c.test", "/fetches?n=1"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	evaluated[bool](t, page, "(navigator.sendBeacon('/echo?last', 'x'), fetch('/held?closed'), true)")
	if _, err := server.WaitRequest(ctx, "/held"); err != nil {
		t.Fatal(err)
	}
	if err := page.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for {
		mu.Lock()
		left := len(open)
		mu.Unlock()
		if left == 0 {
			break
		}
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
			mu.Lock()
			t.Fatalf("no end of %v", open)
		}
	}
	w.traffic.mu.Lock()
	defer w.traffic.mu.Unlock()
	if n := len(w.traffic.following) + len(w.traffic.arrived); n != 0 {
		t.Errorf("%d requests are still followed", n)
	}
}

func TestWebRequest_ListenersOutliveTheirProcess(t *testing.T) {
	s, server := webRequestAlone(t), fixture.New(t)
	webRequestAdded(t)(s.WebRequest().OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		d.ResponseHeaders.Set("X-Mine", "yes")
		return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
	}))
	ended := make(chan string, 100)
	webRequestAdded(t)(s.WebRequest().OnErrorOccurred(WebRequestFilter{URLs: []string{"*://*/held"}}, func(_ context.Context, d *ErrorOccurredDetails) { ended <- d.Error }))
	release := server.Hold("/held")
	defer release()
	page := testPage(t, s, server.URL("a.test", "/fetches?n=0"))
	evaluated[bool](t, page, "(fetch('/held'), true)")
	if _, err := server.WaitRequest(testContext(t), "/held"); err != nil {
		t.Fatal(err)
	}
	kill(t, s)
	if got := next(t, ended); got != "net::ERR_ABORTED" {
		t.Errorf("the error is %s", got)
	}
	again := testPage(t, s, server.URL("a.test", "/fetches?n=0"))
	want(t, again, "fetch('/small').then(r => r.headers.get('X-Mine'))", "yes")
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	if n := len(s.network.targets); n != 1 {
		t.Errorf("%d targets are known", n)
	}
}

func TestWebRequest_RequestsUnderWayAreForgottenWithTheLastListener(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	w, page := s.WebRequest(), testPage(t, s, server.URL("a.test", "/fetches?n=0"))
	held, _, removeHolding, release := webRequestHolds(t, w)
	remove := webRequestAdded(t)(w.OnCompleted(WebRequestFilter{}, func(context.Context, *CompletedDetails) {}))
	open := server.Hold("/held")
	defer open()
	evaluated[bool](t, page, "(window.got = Promise.all(['/small', '/held'].map(u => fetch(u).then(r => r.text()))).then(String), true)")
	if _, err := server.WaitRequest(testContext(t), "/held"); err != nil {
		t.Fatal(err)
	}
	next(t, held)
	remove()
	removeHolding()
	w.traffic.mu.Lock()
	n := len(w.traffic.following)
	w.traffic.mu.Unlock()
	if n != 0 {
		t.Errorf("%d requests are still followed", n)
	}
	release()
	open()
	want(t, page, "got", "small,small")
}

func TestWebRequest_RedirectToWhatIsNoURLGoesNowhere(t *testing.T) {
	s, server := memorySession(t), fixture.New(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/redirects"))
	for _, to := range []string{"http://a.test:1/\r\nX: 1", "\x00", "/relative", "a.test"} {
		remove, err := s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: []string{"*://*/cors/allowed"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
			return BeforeRequestResult{RedirectURL: to}
		})
		if err != nil {
			t.Fatal(err)
		}
		want(t, page, "fetch('"+server.URL("b.test", "/cors/allowed")+"').then(() => 'answered', () => 'failed')", "failed")
		wantNetError(t, fetchError(t, s, server.URL("127.0.0.1", "/cors/allowed"), FetchOptions{}), netFailed)
		remove()
	}
	if n := server.Count("/cors/allowed"); n != 0 {
		t.Errorf("%d requests went where they were going", n)
	}
}
