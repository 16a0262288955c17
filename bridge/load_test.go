package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func htmlHandler(html string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		io.WriteString(w, html)
	}
}

func isLoadError(err error, code string) bool {
	var failed *LoadError
	return errors.As(err, &failed) && failed.Code == code
}

// unusedPort is a port of this machine that refuses connections.
func unusedPort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

func TestLoadURL_ErrorsNameTheAddressAndChromiumsCode(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, "")
	for url, code := range map[string]string{
		"no url":                  "net::ERR_INVALID_URL",
		"":                        "net::ERR_INVALID_URL",
		"http://nowhere.invalid/": "net::ERR_NAME_NOT_RESOLVED",
		"http://127.0.0.1:" + unusedPort(t) + "/":       "net::ERR_CONNECTION_REFUSED",
		"http://127.0.0.1:1/":                           "net::ERR_UNSAFE_PORT",
		server.URL("a.test", "/drop"):                   "net::ERR_EMPTY_RESPONSE",
		server.URL("a.test", "/redirect/loop"):          "net::ERR_TOO_MANY_REDIRECTS",
		server.URL("a.test", "/download/range?size=10"): "net::ERR_ABORTED",
		server.URL("a.test", "/respond?status=204"):     "net::ERR_ABORTED",
		server.URL("a.test", "/respond?status=404"):     "net::ERR_HTTP_RESPONSE_CODE_FAILURE",
		server.TLSURL("expired.test", "/"):              "net::ERR_CERT_AUTHORITY_INVALID",
		"file:///does/not/exist":                        "net::ERR_FILE_NOT_FOUND",
		"unknown-scheme:x":                              "net::ERR_ABORTED",
	} {
		err := page.LoadURL(ctx, url, LoadOptions{})
		var failed *LoadError
		if !errors.As(err, &failed) || failed.Code != code || failed.URL != url {
			t.Errorf("%q: %v, want %s", url, err, code)
		}
	}
	// What came before is no obstacle.
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/fine"), LoadOptions{}); err != nil {
		t.Error(err)
	}
}

func TestLoadURL_DocumentsThatAreNoErrors(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, "")
	for path, end := range map[string]string{
		"/respond?status=404&body=missing":  "",
		"/respond?status=500&body=broken":   "",
		"/cutoff?length=1000&send=100":      "",
		"/redirect?to=/page/target":         "/page/target",
		"/redirect/chain?n=10&to=/page/end": "/page/end",
		"/image.png":                        "",
		"/page/with%20space?q=ü#part":       "/page/with%20space?q=%C3%BC#part",
		"/respond?body=none&type=text/html": "",
	} {
		if end == "" {
			end = path
		}
		if err := page.LoadURL(ctx, server.URL("a.test", path), LoadOptions{}); err != nil && !strings.HasPrefix(path, "/cutoff") {
			t.Errorf("%s: %v", path, err)
		}
		if page.URL() != server.URL("a.test", end) {
			t.Errorf("%s ends at %s, want %s", path, page.URL(), end)
		}
	}
	for _, url := range []string{"about:blank", "data:text/html,<title>data</title>", "about:blank#x"} {
		if err := page.LoadURL(ctx, url, LoadOptions{}); err != nil || page.URL() != url {
			t.Errorf("%s: %v, at %s", url, err, page.URL())
		}
	}
}

func TestLoadURL_FollowsWhereTheDocumentGoesWhileItLoads(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	documents := map[string]string{
		"/replace": `<script>location.replace('/page/end')</script><p>body`,
		"/href":    `<body><script>location.href = '/page/end'</script>`,
		"/onload":  `<script>onload = () => { location.href = '/page/end' }</script>`,
		"/away":    `<script>location.replace('` + server.URL("b.test", "/page/end") + `')</script>`,
		"/twice":   `<script>location.replace('/replace')</script>`,
		"/submit":  `<form action="/page/end"></form><script>document.forms[0].submit()</script>`,
	}
	for path, html := range documents {
		serveHTML(server, path, html)
	}
	for path := range documents {
		page := testPage(t, s, "")
		if err := page.LoadURL(ctx, server.URL("a.test", path), LoadOptions{}); err != nil || !strings.Contains(page.URL(), "/page/end") {
			t.Errorf("%s: %v, at %s", path, err, page.URL())
		}
		want(t, page, "document.title", "end")
		page.Close(ctx)
	}
}

func TestLoadURL_DocumentsThatTryToGoWhereNothingIs(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, "")
	for to, code := range map[string]string{
		"/respond?status=204":     "net::ERR_ABORTED", // the script ended the load of its own document
		"mailto:nobody@a.test":    "net::ERR_ABORTED",
		"/drop":                   "net::ERR_EMPTY_RESPONSE",
		"http://nowhere.invalid/": "net::ERR_NAME_NOT_RESOLVED",
	} {
		path := "/goes-" + fmt.Sprintf("%x", to)
		serveHTML(server, path, `<title>stays</title><script>location.href = '`+to+`'</script><p>body`)
		if err := page.LoadURL(ctx, server.URL("a.test", path), LoadOptions{}); !isLoadError(err, code) {
			t.Errorf("to %s: %v, want %s", to, err, code)
		}
		stillOpen(t, page)
	}
	// When the document is complete, where it goes is its own affair.
	serveHTML(server, "/refresh", `<meta http-equiv="refresh" content="0;url=/page/refreshed"><title>refresh</title>`)
	if err := page.LoadURL(ctx, server.URL("a.test", "/refresh"), LoadOptions{}); err != nil {
		t.Error(err)
	}
	for range 100 {
		if _, err := Evaluate[int](ctx, page, "new Promise(done => setTimeout(done, 50, 1))"); err == nil && strings.HasSuffix(page.URL(), "/page/refreshed") {
			return
		}
	}
	t.Errorf("the refresh has not gone to its end: %s", page.URL())
}

func TestLoadURL_WaitsUntilWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	release := server.Hold("/held")
	defer release()
	serveHTML(server, "/slow-image", `<title>slow</title><img src="/held">`)
	serveHTML(server, "/slow-script", `<title>slow</title><script src="/held"></script>`)
	page := testPage(t, s, "")
	if err := page.LoadURL(ctx, server.URL("a.test", "/slow-image"), LoadOptions{WaitUntil: WaitDOMContentLoaded}); err != nil {
		t.Errorf("DOMContentLoaded does not wait for images: %v", err)
	}
	want(t, page, "document.readyState", "interactive")
	if err := page.LoadURL(ctx, server.URL("a.test", "/slow-script"), LoadOptions{WaitUntil: WaitCommit}); err != nil {
		t.Errorf("a commit does not wait for scripts: %v", err)
	}
	want(t, page, "document.readyState", "loading")
	for _, until := range []WaitUntil{WaitLoad, WaitNetworkIdle} {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		err := page.LoadURL(short, server.URL("a.test", "/slow-image"), LoadOptions{WaitUntil: until})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "/slow-image") {
			t.Errorf("%v of a page whose image does not come: %v", until, err)
		}
	}
	release()
	for _, until := range []WaitUntil{WaitLoad, WaitNetworkIdle, WaitDOMContentLoaded, WaitCommit} {
		if err := page.LoadURL(ctx, server.URL("a.test", "/slow-image"), LoadOptions{WaitUntil: until}); err != nil {
			t.Errorf("%v: %v", until, err)
		}
	}
	var invalid *InvalidArgumentError
	if err := page.LoadURL(ctx, server.URL("a.test", "/"), LoadOptions{WaitUntil: 17}); !errors.As(err, &invalid) {
		t.Errorf("a WaitUntil that does not exist: %v", err)
	}
}

func TestLoadURL_SendsTheReferrer(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, "")
	for referrer, sent := range map[string]string{"": "", server.URL("b.test", "/from"): server.URL("b.test", "/")} {
		if err := page.LoadURL(ctx, server.URL("a.test", "/echo"), LoadOptions{Referrer: referrer}); err != nil {
			t.Fatal(err)
		}
		r, err := server.WaitRequest(ctx, "/echo")
		if err != nil || r.Header.Get("Referer") != sent {
			t.Errorf("referrer %q: the server got %q, %v", referrer, r.Header.Get("Referer"), err)
		}
	}
}

func TestLoadURL_WithinTheDocument(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	url := server.URL("a.test", "/page/doc")
	page := testPage(t, s, url)
	if _, err := Evaluate[any](ctx, page, "window.kept = true"); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"#one", "#one", "#two"} {
		if err := page.LoadURL(ctx, url+part, LoadOptions{}); err != nil || page.URL() != url+part {
			t.Errorf("%s: %v, at %s", part, err, page.URL())
		}
	}
	want(t, page, "kept", true)
	if err := page.GoBack(ctx, LoadOptions{}); err != nil || page.URL() != url+"#one" {
		t.Errorf("back within the document: %v, at %s", err, page.URL())
	}
	if _, err := Evaluate[any](ctx, page, "history.pushState({}, '', '/pushed')"); err != nil {
		t.Fatal(err)
	}
	if page.URL() != server.URL("a.test", "/pushed") {
		t.Errorf("pushState leads to %s", page.URL())
	}
	if err := page.GoBack(ctx, LoadOptions{}); err != nil || page.URL() != url+"#one" {
		t.Errorf("back from pushState: %v, at %s", err, page.URL())
	}
	want(t, page, "kept", true)
	// The same address without a part is a new document.
	if err := page.LoadURL(ctx, url, LoadOptions{}); err != nil || page.URL() != url {
		t.Errorf("the same document: %v, at %s", err, page.URL())
	}
	if err := page.LoadURL(ctx, url, LoadOptions{}); err != nil || page.URL() != url {
		t.Errorf("the same address again: %v, at %s", err, page.URL())
	}
	want(t, page, "typeof kept", "undefined")
}

func TestLoadURL_AnotherLoadTakesItsPlace(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	defer server.Hold("/held")()
	serveHTML(server, "/slow", `<title>slow</title><img src="/held">`)
	for _, path := range []string{"/held", "/slow"} { // before and after its document has come
		page := testPage(t, s, "")
		first := make(chan error, 1)
		go func() { first <- page.LoadURL(ctx, server.URL("a.test", path), LoadOptions{}) }()
		if _, err := server.WaitRequest(ctx, "/held"); err != nil {
			t.Fatal(err)
		}
		if err := page.LoadURL(ctx, server.URL("a.test", "/page/second"), LoadOptions{}); err != nil {
			t.Errorf("the second load: %v", err)
		}
		if err := <-first; !isLoadError(err, "net::ERR_ABORTED") {
			t.Errorf("the first load of %s: %v", path, err)
		}
		want(t, page, "document.title", "second")
		page.Close(ctx)
	}
}

func TestStop_EndsALoad(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	release := server.Hold("/held")
	defer release()
	serveHTML(server, "/slow", `<title>slow</title><img src="/held">`)
	page := testPage(t, s, server.URL("a.test", "/page/before"))
	if err := page.Stop(ctx); err != nil {
		t.Errorf("stopping a page that does not load: %v", err)
	}
	loads := map[string]func() error{
		"/held": func() error { return page.LoadURL(ctx, server.URL("a.test", "/held"), LoadOptions{}) },
		"/slow": func() error { return page.LoadURL(ctx, server.URL("a.test", "/slow"), LoadOptions{}) },
	}
	for name, load := range loads {
		ended := make(chan error, 1)
		go func() { ended <- load() }()
		if _, err := server.WaitRequest(ctx, "/held"); err != nil {
			t.Fatal(err)
		}
		if err := page.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !isLoadError(err, "net::ERR_ABORTED") {
			t.Errorf("%s: %v", name, err)
		}
		stillOpen(t, page)
	}
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/kept"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	defer server.Hold("/page/kept")()
	ended := make(chan error, 1)
	go func() { ended <- page.Reload(ctx, LoadOptions{}) }()
	server.WaitRequest(ctx, "/page/kept")
	server.WaitRequest(ctx, "/page/kept")
	if err := page.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !isLoadError(err, "net::ERR_ABORTED") {
		t.Errorf("a reload that was stopped: %v", err)
	}
	want(t, page, "document.title", "kept")
}

func TestReload_LoadsTheDocumentAgain(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	var answer atomic.Pointer[http.HandlerFunc]
	set := func(h http.HandlerFunc) { answer.Store(&h) }
	server.Handle("/changing", func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) })
	set(htmlHandler("<title>first</title>"))
	page := testPage(t, s, server.URL("a.test", "/changing"))

	set(htmlHandler("<title>second</title>"))
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title", "second")

	set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if err := page.Reload(ctx, LoadOptions{}); !isLoadError(err, "net::ERR_ABORTED") {
		t.Errorf("an answer without a document: %v", err)
	}
	set(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Disposition", "attachment") })
	if err := page.Reload(ctx, LoadOptions{}); !isLoadError(err, "net::ERR_ABORTED") {
		t.Errorf("a download: %v", err)
	}
	want(t, page, "document.title", "second")

	set(htmlHandler(`<title>third</title><script>location.replace('/page/end')</script>`))
	if err := page.Reload(ctx, LoadOptions{}); err != nil || page.URL() != server.URL("a.test", "/page/end") {
		t.Errorf("a document that goes elsewhere: %v, at %s", err, page.URL())
	}
}

func TestReload_IgnoreCacheAsksForEverythingAgain(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	serveHTML(server, "/uses-cached", `<script>fetch('/cached').then(r => r.text()).then(n => { document.title = n })</script><script src="/cached?js"></script>`)
	page := testPage(t, s, server.URL("a.test", "/uses-cached"))
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	before := server.Count("/cached")
	if err := page.Reload(ctx, LoadOptions{IgnoreCache: true}); err != nil {
		t.Fatal(err)
	}
	if after := server.Count("/cached"); after == before {
		t.Errorf("%d requests before and after", before)
	}
}

func TestReload_PostsAgain(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/form"))
	if err := page.Type(ctx, "#name", "someone"); err != nil {
		t.Fatal(err)
	}
	if err := page.Click(ctx, "#submit"); err != nil {
		t.Fatal(err)
	}
	if _, err := server.WaitRequest(ctx, "/echo"); err != nil {
		t.Fatal(err)
	}
	eventuallyAt(t, page, "/echo")
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := server.WaitRequest(ctx, "/echo")
	if err != nil || r.Method != http.MethodPost {
		t.Errorf("the reload sent %+v, %v", r, err)
	}
	want(t, page, "document.body.innerText.includes('name=someone')", true)
}

// eventuallyAt waits until the page has loaded a path.
func eventuallyAt(t testing.TB, page *WebContents, path string) {
	t.Helper()
	ctx := testContext(t)
	for ctx.Err() == nil {
		complete, err := Evaluate[bool](ctx, page, "path => location.pathname === path && document.readyState === 'complete'", path)
		if err == nil && complete {
			return
		}
	}
	t.Fatalf("the page is at %s, not at %s", page.URL(), path)
}

func TestReload_WhenTheServerIsGone(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	server, err := fixture.Start()
	if err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, server.URL("a.test", "/page/one"))
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/two"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	url := page.URL()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := page.Reload(ctx, LoadOptions{})
		var failed *LoadError
		if !errors.As(err, &failed) || failed.Code != "net::ERR_CONNECTION_REFUSED" || failed.URL != url {
			t.Errorf("reloading: %v", err)
		}
	}
}

func TestReload_TellsTheCodeOfACertificate(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, "")
	if err := page.LoadURL(ctx, server.TLSURL("good.test", "/"), LoadOptions{}); !isLoadError(err, "net::ERR_CERT_AUTHORITY_INVALID") {
		t.Fatal(err)
	}
	if err := page.Reload(ctx, LoadOptions{}); !isLoadError(err, "net::ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("reloading: %v", err)
	}
}

func TestHistory_GoesBackAndForward(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, "")
	for _, path := range []string{"/page/one", "/page/two", "/page/three"} {
		if err := page.LoadURL(ctx, server.URL("a.test", path), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		go_  func() error
		path string
	}{
		{func() error { return page.GoBack(ctx, LoadOptions{}) }, "/page/two"},
		{func() error { return page.GoBack(ctx, LoadOptions{}) }, "/page/one"},
		{func() error { return page.GoForward(ctx, LoadOptions{}) }, "/page/two"},
		{func() error { return page.GoToOffset(ctx, 1, LoadOptions{WaitUntil: WaitNetworkIdle}) }, "/page/three"},
		{func() error { return page.GoToOffset(ctx, -2, LoadOptions{WaitUntil: WaitCommit}) }, "/page/one"},
		{func() error { return page.GoToOffset(ctx, 0, LoadOptions{}) }, "/page/one"},
	}
	for i, step := range steps {
		if err := step.go_(); err != nil || page.URL() != server.URL("a.test", step.path) {
			t.Errorf("step %d: %v, at %s, want %s", i, err, page.URL(), step.path)
		}
		want(t, page, "location.pathname", step.path)
	}
	entries, current, err := page.History(ctx)
	if err != nil || len(entries) != 4 || current != 1 || entries[3].URL != server.URL("a.test", "/page/three") || entries[3].Title != "three" {
		t.Errorf("the history is %+v, at %d, %v", entries, current, err)
	}
	var invalid *InvalidArgumentError
	if err := page.GoToOffset(ctx, 9, LoadOptions{}); !errors.As(err, &invalid) {
		t.Errorf("an offset that does not exist: %v", err)
	}
	if err := page.GoToOffset(ctx, -9, LoadOptions{}); !errors.As(err, &invalid) {
		t.Errorf("an offset that does not exist: %v", err)
	}
}

func TestGoBack_WithAndWithoutTheBackForwardCache(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	serveHTML(server, "/kept", `<title>kept</title><script>onpageshow = e => { document.title = 'persisted ' + e.persisted }</script>`)
	// An unload handler keeps a page out of the cache.
	serveHTML(server, "/not-kept", `<title>not kept</title><script>onunload = () => {}; onpageshow = e => { document.title = 'persisted ' + e.persisted }</script>`)
	for _, path := range []string{"/kept", "/not-kept"} {
		page := testPage(t, s, server.URL("a.test", path))
		if err := page.LoadURL(ctx, server.URL("b.test", "/page/elsewhere"), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := page.GoBack(ctx, LoadOptions{}); err != nil || page.URL() != server.URL("a.test", path) {
			t.Errorf("%s: %v, at %s", path, err, page.URL())
		}
		eventually(t, page, "document.title.startsWith('persisted')")
		title, _ := page.Title(ctx)
		t.Logf("%s: %s", path, title)
		if got := page.MainFrame().Origin; got != server.URL("a.test", "") {
			t.Errorf("%s: the origin is %s", path, got)
		}
		page.Close(ctx)
	}
}

func TestGoBack_ToAServerThatIsGone(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	var gone atomic.Bool
	server.Handle("/leaves", func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			panic(http.ErrAbortHandler)
		}
		htmlHandler(`<script>onunload = () => {}</script>`)(w, r)
	})
	page := testPage(t, s, server.URL("a.test", "/leaves"))
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/next"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	if err := page.GoBack(ctx, LoadOptions{}); err != nil && !isLoadError(err, "net::ERR_EMPTY_RESPONSE") {
		t.Errorf("going back: %v", err)
	}
}

func TestLoadHTML_RunsTheDocumentAndWaits(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	url := server.URL("a.test", "/page/origin")
	page := testPage(t, s, url)
	html := `<!doctype html><title>written ü</title><script>window.ran = 'yes'</script><img src="/image.png" onload="window.image = true"><iframe src="/page/inner"></iframe>`
	for range 2 {
		if err := page.LoadHTML(ctx, html, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, "[document.title, ran, image, document.readyState, document.compatMode, frames.length, location.href].join()",
			"written ü,yes,true,complete,CSS1Compat,1,"+url)
	}
	for _, until := range []WaitUntil{WaitCommit, WaitDOMContentLoaded, WaitNetworkIdle} {
		if err := page.LoadHTML(ctx, "<title>short</title>", LoadOptions{WaitUntil: until}); err != nil {
			t.Errorf("%v: %v", until, err)
		}
	}
	if err := page.LoadHTML(ctx, "", LoadOptions{}); err != nil {
		t.Errorf("an empty document: %v", err)
	}
	release := server.Hold("/held")
	defer release()
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := page.LoadHTML(short, `<img src="/held">`, LoadOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an image that does not come: %v", err)
	}
	if err := page.LoadHTML(ctx, `<script>location.replace('/page/end')</script>`, LoadOptions{}); err != nil || page.URL() != server.URL("a.test", "/page/end") {
		t.Errorf("a document that goes elsewhere: %v, at %s", err, page.URL())
	}
	blank := testPage(t, s, "")
	if err := blank.LoadHTML(ctx, "<title>on blank</title>", LoadOptions{}); err != nil {
		t.Error(err)
	}
	want(t, blank, "document.title + ' ' + location.href", "on blank about:blank")
}

func TestLoadHTML_WaitsUntilNoRequestIsOpen(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	idle := LoadOptions{WaitUntil: WaitNetworkIdle}
	page := testPage(t, s, "")
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/first"), idle); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := page.LoadHTML(ctx, `<script>window.late = 0; setTimeout(async () => { await fetch("/page/late"); late = 1 }, 300)</script>`, idle); err != nil {
			t.Fatal(err)
		}
		want(t, page, "late", 1)
	}
	release := server.Hold("/held")
	defer release()
	written := make(chan error, 1)
	go func() {
		written <- page.LoadHTML(ctx, `<title>held</title><script>fetch("/held").then(r => r.text())</script>`, idle)
	}()
	if _, err := server.WaitRequest(ctx, "/held"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-written:
		t.Errorf("with a request open: %v", err)
	case <-time.After(2 * idleTime):
	}
	release()
	if err := <-written; err != nil {
		t.Error(err)
	}
	if err := page.LoadHTML(ctx, `<script>location.replace("/page/end")</script>`, idle); err != nil || page.URL() != server.URL("a.test", "/page/end") {
		t.Errorf("a document that goes elsewhere: %v, at %s", err, page.URL())
	}
}

func TestLoadFile_OpensWhatChromiumMayRead(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	dir := publicTempDir(t)
	path := filepath.Join(dir, "ä #1 100%.html")
	if err := os.WriteFile(path, []byte(`<meta charset="utf-8"><title>Datei ä</title>`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := page.LoadFile(ctx, path, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title + location.protocol", "Datei äfile:")
	if err := page.LoadFile(ctx, filepath.Join(dir, "missing.html"), LoadOptions{}); !isLoadError(err, "net::ERR_FILE_NOT_FOUND") {
		t.Errorf("a missing file: %v", err)
	}
	if os.Getuid() != 0 {
		return // then Chromium has the rights of this test
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := page.LoadFile(ctx, path, LoadOptions{}); !isLoadError(err, "net::ERR_ACCESS_DENIED") {
		t.Errorf("a file that Chromium's user may not read: %v", err)
	}
}

func TestLoad_ContextThatEndsEndsEachWait(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	release := server.Hold("/held")
	defer release()
	page := testPage(t, s, server.URL("a.test", "/page/one"))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range map[string]func(context.Context) error{
		"LoadURL": func(ctx context.Context) error {
			return page.LoadURL(ctx, server.URL("a.test", "/held"), LoadOptions{})
		},
		"Reload":   func(ctx context.Context) error { return page.Reload(ctx, LoadOptions{}) },
		"GoBack":   func(ctx context.Context) error { return page.GoBack(ctx, LoadOptions{}) },
		"LoadHTML": func(ctx context.Context) error { return page.LoadHTML(ctx, "x", LoadOptions{}) },
		"Stop":     page.Stop,
	} {
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	during, giveUp := context.WithCancelCause(ctx)
	why := errors.New("why")
	go func() {
		server.WaitRequest(ctx, "/held")
		giveUp(why)
	}()
	if err := page.LoadURL(during, server.URL("a.test", "/held"), LoadOptions{}); !errors.Is(err, why) {
		t.Errorf("LoadURL: %v", err)
	}
	release()
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/two"), LoadOptions{}); err != nil {
		t.Errorf("a load after one that was given up: %v", err)
	}
	want(t, page, "document.title", "two")
}

func TestLoadURL_PostsAndAddsHeaders(t *testing.T) {
	t.Parallel()
	ctx, server := testContext(t), sharedServer(t)
	page := testPage(t, memorySession(t), "")
	type echo struct {
		Method, Body string
		Headers      []struct{ Name, Value string }
	}
	load := func(o LoadOptions) (got echo, headers http.Header) {
		t.Helper()
		if err := page.LoadURL(ctx, server.URL("a.test", "/echo"), o); err != nil {
			t.Fatal(err)
		}
		got = evaluated[echo](t, page, "(({method, body, headers}) => ({Method: method, Body: body, Headers: headers.map(({name, value}) => ({Name: name, Value: value}))}))(JSON.parse(document.body.innerText))")
		headers = http.Header{}
		for _, h := range got.Headers {
			headers.Add(h.Name, h.Value)
		}
		return got, headers
	}
	got, headers := load(LoadOptions{PostData: []byte("q=1"), Headers: http.Header{"X-Mine": {"yes"}}})
	if got.Method != "POST" || got.Body != "q=1" || headers.Get("Content-Type") != "application/x-www-form-urlencoded" || headers.Get("X-Mine") != "yes" {
		t.Errorf("the server got %+v", got)
	}
	if got, headers = load(LoadOptions{}); got.Method != "GET" || headers.Get("X-Mine") != "" {
		t.Errorf("then the server got %+v", got)
	}
}
