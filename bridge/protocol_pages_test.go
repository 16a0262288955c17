package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// xhr is what a page gets for a request: status, text, a header, or an error.
type xhr struct {
	Status  int
	Text    string
	Type    string
	Failed  bool
	Address string
}

// pageFetch makes a page fetch a URL.
func pageFetch(t testing.TB, page *WebContents, url string, init map[string]any) xhr {
	t.Helper()
	return evaluated[xhr](t, page, `async (url, init) => {
		try {
			const r = await fetch(url, init)
			return {Status: r.status, Text: await r.text(), Type: r.headers.get('content-type') ?? '', Address: r.url}
		} catch (e) {
			return {Failed: true}
		}
	}`, url, init)
}

func TestProtocol_PRO0711_PagesGetWhatIsIntercepted(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	one, other := namedSession(t, "one"), namedSession(t, "other")
	base := server.URL("a.test", "/page/protocol")
	pages := map[*Session]*WebContents{one: testPage(t, one, base), other: testPage(t, other, base)}
	if !one.Protocol().InterceptStringProtocol("http", func(r *http.Request) *StringResponse { return &StringResponse{Data: "of one"} }) {
		t.Fatal("not intercepted")
	}
	for s, want := range map[*Session]string{one: "of one", other: "fixture"} {
		if got := pageFetch(t, pages[s], "/", nil); !strings.Contains(got.Text, want) {
			t.Errorf("the page got %+v, not %q", got, want)
		}
	}
	t.Run("no server is needed", func(t *testing.T) {
		if got := pageFetch(t, pages[one], "http://fake-host/x", nil); got.Text != "of one" || got.Address != "http://fake-host/x" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("opposite handlers at once", func(t *testing.T) {
		other.Protocol().InterceptStringProtocol("http", func(r *http.Request) *StringResponse { return &StringResponse{Data: "of the other"} })
		for s, want := range map[*Session]string{one: "of one", other: "of the other"} {
			if got := pageFetch(t, pages[s], "/", nil); got.Text != want {
				t.Errorf("the page got %+v, not %q", got, want)
			}
		}
	})
	t.Run("until it is unintercepted", func(t *testing.T) {
		if !one.Protocol().UninterceptProtocol("http") {
			t.Error("it was not intercepted")
		}
		for s, want := range map[*Session]string{one: "fixture", other: "of the other"} {
			if got := pageFetch(t, pages[s], "/", nil); !strings.Contains(got.Text, want) {
				t.Errorf("the page got %+v, not %q", got, want)
			}
		}
	})
}

func TestProtocol_PagesSendAndGetBodies(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/bodies"))
	server.Handle("/back", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s ", r.Method, r.Header.Get("Content-Type"))
		io.Copy(w, r.Body)
	})
	post := map[string]any{"method": "POST", "body": "some text"}
	p := s.Protocol()
	run := func(name string, set bool, url string, init map[string]any, want xhr) {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { p.UninterceptProtocol("http") })
			if !set {
				t.Fatal("not intercepted")
			}
			got := pageFetch(t, page, url, init)
			if got.Status != want.Status || got.Text != want.Text || got.Failed != want.Failed || want.Type != "" && got.Type != want.Type {
				t.Errorf("the page got %+v, not %+v", got, want)
			}
		})
	}
	body := func(r *http.Request) []byte {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	run("PRO-0704 nothing is an error", p.InterceptStringProtocol("http", func(*http.Request) *StringResponse { return nil }), "http://fake-host", nil, xhr{Failed: true})
	run("PRO-0728 a type with a character set", p.InterceptStringProtocol("http", func(*http.Request) *StringResponse {
		return &StringResponse{ProtocolResponse: ProtocolResponse{MimeType: "application/json; charset=UTF-8"}, Data: "{}"}
	}), "/json", nil, xhr{Status: 200, Text: "{}", Type: "application/json; charset=UTF-8"})
	run("PRO-0739 what a page posts", p.InterceptStringProtocol("http", func(r *http.Request) *StringResponse {
		return &StringResponse{Data: r.Method + " " + string(body(r))}
	}), "/post", post, xhr{Status: 200, Text: "POST some text"})
	run("PRO-0756 bytes", p.InterceptBufferProtocol("http", func(r *http.Request) *BufferResponse { return &BufferResponse{Data: body(r)} }), "/post", post, xhr{Status: 200, Text: "some text"})
	run("PRO-0836 a stream", p.InterceptStreamProtocol("http", func(r *http.Request) *StreamResponse {
		return &StreamResponse{Data: bytes.NewReader(body(r))}
	}), "/post", post, xhr{Status: 200, Text: "some text"})
	run("PRO-0770 another request", p.InterceptHTTPProtocol("http", func(r *http.Request) *HTTPResponse {
		return &HTTPResponse{URL: server.URL("127.0.0.1", "/back"), Method: "POST", UploadData: body(r), ContentType: "text/x"}
	}), "/post", post, xhr{Status: 200, Text: "POST text/x some text"})
	run("PRO-0865 a redirect discards what was posted", p.InterceptStreamProtocol("http", func(r *http.Request) *StreamResponse {
		if r.Method == "POST" {
			return &StreamResponse{ProtocolResponse: ProtocolResponse{StatusCode: 302, Headers: http.Header{"Location": {"/next"}}}}
		}
		return &StreamResponse{Data: strings.NewReader(r.Method + r.URL.Path)}
	}), "/post", post, xhr{Status: 200, Text: "GET/next"})
	run("PRO-0816 headers", p.InterceptStringProtocol("http", func(r *http.Request) *StringResponse {
		return &StringResponse{Data: r.Header.Get("X-Of-Page")}
	}), "/", map[string]any{"headers": map[string]string{"X-Of-Page": "yes"}}, xhr{Status: 200, Text: "yes"})
	run("a status without a body", p.InterceptStreamProtocol("http", func(r *http.Request) *StreamResponse {
		return &StreamResponse{ProtocolResponse: ProtocolResponse{StatusCode: 204}, Data: strings.NewReader("nobody sees this")}
	}), "/", nil, xhr{Status: 204})
	run("PRO-0468 a status of its own", p.InterceptStreamProtocol("http", func(r *http.Request) *StreamResponse {
		return &StreamResponse{ProtocolResponse: ProtocolResponse{StatusCode: 404}, Data: strings.NewReader("gone")}
	}), "/", nil, xhr{Status: 404, Text: "gone"})

	t.Run("files of a form", func(t *testing.T) {
		handles(t, s, "http", repeats)
		got := evaluated[string](t, page, `(async () => {
			const form = new FormData()
			form.append('file', new File(['x'.repeat(3e6)], 'name.txt'))
			return (await (await fetch('/upload', {method: 'POST', body: form})).text())
		})()`)
		if len(got) < 3_000_000 || !strings.Contains(got, `filename="name.txt"`) {
			t.Errorf("the handler got %d bytes", len(got))
		}
	})
	t.Run("a file of the disk", func(t *testing.T) {
		handles(t, s, "http", repeats)
		file := filepath.Join(testDir(t), "disk.txt")
		if err := os.WriteFile(file, []byte("of the disk"), 0o644); err != nil {
			t.Fatal(err)
		}
		protocolFileInput(t, page, file)
		got := evaluated[string](t, page, `fetch('/upload', {method: 'POST', body: f.files[0]}).then(r => r.text())`)
		if !strings.HasSuffix(got, "/upload of the disk") {
			t.Errorf("the handler got %q", got)
		}
	})
}

func TestProtocol_PRO2048_NavigationsAreAnsweredAndForwarded(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	page := testPage(t, s, "")
	ctx := testContext(t)
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "made-up.test" {
			return textResponse("<title>made up</title>" + r.RequestURI), nil
		}
		r.URL.Host = strings.Replace(r.URL.Host, "real.test", "127.0.0.1", 1)
		return s.Fetch(r, FetchOptions{BypassCustomProtocolHandlers: true})
	})
	if err := page.LoadURL(ctx, "http://made-up.test/x?y", LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title + document.body.innerText", "made uphttp://made-up.test/x?y")
	want(t, page, "location.href", "http://made-up.test/x?y")
	if err := page.LoadURL(ctx, server.URL("real.test", "/page/real"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title", "real")
	t.Run("PRO-1855 PRO-1869 with a body", func(t *testing.T) {
		handles(t, s, "https", repeats)
		if err := page.LoadURL(ctx, "https://made-up.test/", LoadOptions{PostData: []byte("ab"), Headers: http.Header{"X-Mine": {"yes"}}}); err != nil {
			t.Fatal(err)
		}
		want(t, page, "document.body.innerText.trim()", "https://made-up.test/ ab")
	})
	t.Run("PRO-1618 a user name is refused", func(t *testing.T) {
		wantError(t, page.LoadURL(ctx, "http://x@foo:1234", LoadOptions{}), "net::ERR_")
	})
	t.Run("PRO-1489 files", func(t *testing.T) {
		handles(t, s, "file", repeats)
		if err := page.LoadURL(ctx, "file:///fake/file.html", LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, "document.body.innerText.trim()", "file:///fake/file.html")
	})
}

func TestProtocol_LargeAndEndlessBodiesAreStreamed(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/streams"))
	const size = 40 << 20
	var endless atomic.Int32
	closed := make(chan struct{}, 32)
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/large":
			return &http.Response{ContentLength: size, Body: io.NopCloser(&countingReader{left: size})}, nil
		case "/cut":
			return &http.Response{ContentLength: size, Body: io.NopCloser(io.MultiReader(&countingReader{left: 2 << 20}, failingReader{}))}, nil
		case "/endless":
			endless.Add(1)
			reader, writer := io.Pipe()
			go io.WriteString(writer, "first")
			context.AfterFunc(r.Context(), func() { closed <- struct{}{} })
			return &http.Response{ContentLength: -1, Body: reader}, nil
		}
		return textResponse("small"), nil
	})
	got := evaluated[[]int](t, page, `(async () => {
		const r = await fetch('/large')
		const bytes = new Uint8Array(await r.arrayBuffer())
		let wrong = 0
		for (let i = 0; i < bytes.length; i++) if (bytes[i] !== i % 256) wrong++
		return [bytes.length, wrong, +r.headers.get('content-length'), r.url.endsWith('.test:' + location.port + '/large') ? 1 : 0]
	})()`)
	if fmt.Sprint(got) != fmt.Sprint([]int{size, 0, size, 1}) {
		t.Errorf("the page got %v", got)
	}
	if got := pageFetch(t, page, "/cut", nil); !got.Failed {
		t.Errorf("a body that fails in the middle came as %+v", got)
	}
	// Chromium opens six connections to a host; these are more.
	firsts := evaluated[[]string](t, page, `(async () => {
		globalThis.stop = new AbortController()
		return Promise.all([...Array(20).keys()].map(async i => {
			const r = await fetch('/endless?' + i, {signal: stop.signal})
			const {value} = await r.body.getReader().read()
			return new TextDecoder().decode(value)
		}))
	})()`)
	if strings.Join(firsts, "") != strings.Repeat("first", 20) {
		t.Errorf("first came %q", firsts)
	}
	if got := pageFetch(t, page, "/", nil); got.Text != "small" {
		t.Errorf("meanwhile came %+v", got)
	}
	t.Run("PRO-0636 until nobody wants them", func(t *testing.T) {
		want(t, page, "stop.abort(), 1", 1)
		for range 20 {
			next(t, closed)
		}
	})
}

// failingReader is a source that breaks.
type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, fmt.Errorf("the source broke") }

func TestProtocol_RequestOfAPageThatIsGoneEndsItsHandler(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/gone"))
	asked, ended := make(chan struct{}, 9), make(chan struct{}, 9)
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		asked <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
		return textResponse("late"), nil
	})
	want(t, page, "fetch('/never'), 1", 1)
	next(t, asked)
	if err := page.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	next(t, ended)
}

func TestProtocol_SetCookieOfAResponseIsThePages(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/cookies"))
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		response := textResponse("x")
		if r.URL.Path == "/favicon.ico" {
			return response, nil
		}
		response.Header = http.Header{"Set-Cookie": {r.URL.Path[1:] + "=1"}}
		if r.URL.Path == "/streamed" {
			response.ContentLength = -1
		}
		return response, nil
	})
	pageFetch(t, page, "/atonce", nil)
	pageFetch(t, page, "/streamed", nil)
	want(t, page, "document.cookie.split('; ').sort().join()", "atonce=1,streamed=1")
}

func TestLocalStreams_ServeOnlyTheRequestThatTheyAreFor(t *testing.T) {
	t.Parallel()
	streams := newLocalStreams()
	unwanted := make(chan string, 3)
	offer := func(ctx context.Context, name string) string {
		t.Helper()
		address, _, err := streams.offer(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name) }), func() { unwanted <- name })
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(address string) string {
		t.Helper()
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(testContext(t), "GET", "http://127.0.0.1:"+u.Port()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = u.Host
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		b, _ := io.ReadAll(response.Body)
		return fmt.Sprintf("%d %s", response.StatusCode, b)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	once, late := offer(testContext(t), "once"), offer(ctx, "late")
	if got := get(once); got != "200 once" {
		t.Errorf("got %q", got)
	}
	if got := get(once); !strings.HasPrefix(got, "404") {
		t.Errorf("again came %q", got)
	}
	cancel()
	if got := next(t, unwanted); got != "late" {
		t.Errorf("unwanted is %q", got)
	}
	if got := get(late); !strings.HasPrefix(got, "404") {
		t.Errorf("after its end came %q", got)
	}
	if got := get("http://guess.localhost:" + strings.Split(once, ":")[2]); !strings.HasPrefix(got, "404") {
		t.Errorf("a guess gave %q", got)
	}
	if err := streams.close(); err != nil {
		t.Error(err)
	}
	if _, _, err := streams.offer(testContext(t), nil, nil); err == nil {
		t.Error("a closed server takes offers")
	}
}

func TestProtocol_NSE0708_ListenersComeBeforeHandlers(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/order"))
	ctx := testContext(t)
	var handled atomic.Int32
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/favicon.ico" {
			return textResponse(""), nil
		}
		handled.Add(1)
		response := textResponse(r.Header.Get("X-Of-Listener"))
		if r.URL.Path == "/streamed" {
			response.ContentLength = -1
		}
		response.Header = http.Header{"X-Of-Handler": {"yes"}}
		return response, nil
	})
	received := make(chan string, 9)
	completed := make(chan string, 9)
	web := s.WebRequest()
	for _, err := range []error{
		second(web.OnBeforeRequest(WebRequestFilter{URLs: []string{"*://*/cancelled"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
			return BeforeRequestResult{Cancel: true}
		})),
		second(web.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			d.RequestHeaders.Set("X-Of-Listener", "changed")
			return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
		})),
		second(web.OnHeadersReceived(WebRequestFilter{URLs: []string{"*://a.test/*ed"}}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
			received <- d.URL + " " + d.StatusLine + " " + d.ResponseHeaders.Get("X-Of-Handler")
			d.ResponseHeaders.Set("Content-Type", "text/of-listener")
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		})),
		second(web.OnCompleted(WebRequestFilter{URLs: []string{"*://a.test/*ed"}}, func(_ context.Context, d *CompletedDetails) {
			completed <- d.URL + " " + d.StatusLine + " " + d.IP + d.ResponseHeaders.Get("X-Of-Handler")
		})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/answered", "/streamed"} {
		got := pageFetch(t, page, path, nil)
		if got.Text != "changed" || got.Type != "text/of-listener" {
			t.Errorf("the page got %+v", got)
		}
		url := strings.Replace(page.URL(), "/page/order", path, 1)
		if got := next(t, received); got != url+" HTTP/1.1 200 OK yes" {
			t.Errorf("received was %q", got)
		}
		if got := next(t, completed); got != url+" HTTP/1.1 200 OK yes" {
			t.Errorf("completed was %q", got)
		}
	}
	before := handled.Load()
	if got := pageFetch(t, page, "/cancelled", nil); !got.Failed || handled.Load() != before {
		t.Errorf("the page got %+v, and the handler %d requests", got, handled.Load()-before)
	}
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}

// second is the error of a call that gives something else first.
func second[T any](_ T, err error) error { return err }

// panicking is a body that panics.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("body") }

// panickingAtLast is a body that panics when it is closed.
type panickingAtLast struct{ io.Reader }

func (panickingAtLast) Close() error { panic("closing") }

func TestProtocol_HandlersThatMisbehaveEndTheirRequestAlone(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/misbehave"))
	release := make(chan struct{})
	defer close(release)
	blocked := &watched{blockedReader{release}, make(chan struct{})}
	asked := make(chan struct{}, 9)
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/code":
			return nil, NetError(5)
		case "/none":
			return nil, NetError(0)
		case "/panic":
			return &http.Response{ContentLength: 5, Body: io.NopCloser(panicking{})}, nil
		case "/panic/streamed":
			return &http.Response{ContentLength: -1, Body: io.NopCloser(panicking{})}, nil
		case "/close":
			return &http.Response{ContentLength: 4, Body: panickingAtLast{strings.NewReader("read")}}, nil
		case "/close/streamed":
			return &http.Response{ContentLength: -1, Body: panickingAtLast{strings.NewReader("read")}}, nil
		case "/short":
			return &http.Response{ContentLength: 10, Body: io.NopCloser(strings.NewReader("abc"))}, nil
		case "/blocks":
			asked <- struct{}{}
			return &http.Response{ContentLength: 5, Body: blocked}, nil
		}
		return textResponse("well"), nil
	})
	for _, path := range []string{"/code", "/none", "/panic", "/panic/streamed", "/short"} {
		if got := pageFetch(t, page, path, nil); !got.Failed {
			t.Errorf("%s: the page got %+v", path, got)
		}
	}
	for path, text := range map[string]string{"/close": "read", "/close/streamed": "read", "/well": "well"} {
		if got := pageFetch(t, page, path, nil); got.Text != text {
			t.Errorf("%s: the page got %+v", path, got)
		}
	}
	want(t, page, "fetch('/blocks'), 1", 1)
	next(t, asked)
	if err := page.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-blocked.closed:
	case <-testContext(t).Done():
		t.Error("a body that blocks was not closed with its page")
	}
}

// blockedReader is a body that never comes.
type blockedReader struct{ never chan struct{} }

func (b blockedReader) Read([]byte) (int, error) {
	<-b.never
	return 0, io.EOF
}

func TestProtocol_NoHostStandsForWhatIsNotTheProgramsOwn(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/other"))
	secret := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !s.Protocol().InterceptFileProtocol("file", func(r *http.Request) *FileResponse { return &FileResponse{Path: filePath(r.URL)} }) {
		t.Fatal("not intercepted")
	}
	listens(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) (none BeforeRequestResult) { return none }))
	for _, protocol := range []string{"http", "https"} {
		if got := pageFetch(t, page, protocol+"://file.cdpbridge.invalid"+filepath.ToSlash(secret), nil); !got.Failed {
			t.Errorf("a page of the web has read %q", got.Text)
		}
	}
}

func TestProtocol_ARedirectAfterAnUploadStaysWithThePage(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	handles(t, s, "http", func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/upload" {
			return textResponse("thanks"), err
		}
		if !bytes.Contains(body, []byte("of the disk")) {
			return textResponse("nothing came"), nil
		}
		return &http.Response{StatusCode: http.StatusSeeOther, Header: http.Header{"Location": {"/thanks"}}}, nil
	})
	page := testPage(t, s, "http://a.test/form")
	file := filepath.Join(testDir(t), "disk.txt")
	if err := os.WriteFile(file, []byte("of the disk"), 0o644); err != nil {
		t.Fatal(err)
	}
	protocolFileInput(t, page, file)
	want(t, page, `fetch("/upload", {method: "POST", body: f.files[0]}).then(async r => [r.url, r.redirected, await r.text()].join())`, "http://a.test/thanks,true,thanks")
	evaluated[any](t, page, `void (() => {
		const input = f, form = document.createElement("form");
		Object.assign(form, {method: "post", enctype: "multipart/form-data", action: "/upload"});
		input.name = "f"; input.replaceWith(form); form.append(input); form.submit();
	})()`)
	waitUntil(t, "the page is where the handler has led it", func() bool { return page.URL() == "http://a.test/thanks" })
}

// protocolFileInput gives a page an input, f, with a file of the disk.
func protocolFileInput(t testing.TB, page *WebContents, file string) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, page, `document.body.innerHTML = '<input type=file id=f>', 1`, 1)
	ctx := testContext(t)
	var document struct {
		Root struct {
			NodeID int `json:"nodeId"`
		} `json:"root"`
	}
	if err := page.CDP().Call(ctx, "DOM.getDocument", nil, &document); err != nil {
		t.Fatal(err)
	}
	var node struct {
		NodeID int `json:"nodeId"`
	}
	if err := page.CDP().Call(ctx, "DOM.querySelector", map[string]any{"nodeId": document.Root.NodeID, "selector": "#f"}, &node); err != nil {
		t.Fatal(err)
	}
	if err := page.CDP().Call(ctx, "DOM.setFileInputFiles", map[string]any{"nodeId": node.NodeID, "files": []string{file}}, nil); err != nil {
		t.Fatal(err)
	}
}
