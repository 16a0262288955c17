package bridge

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// xhrJS makes a request as old pages do.
const xhrJS = `(method, url, body, headers) => new Promise((done) => {
	const x = new XMLHttpRequest()
	x.onload = () => done({Status: x.status, Text: x.responseText, Type: x.getResponseHeader('content-type') ?? ''})
	x.onerror = () => done({Failed: true})
	x.open(method, url)
	for (const [name, value] of Object.entries(headers ?? {})) x.setRequestHeader(name, value)
	x.send(body)
})`

func pageXHR(t testing.TB, page *WebContents, method, url string) xhr {
	t.Helper()
	return evaluated[xhr](t, page, xhrJS, method, url, nil, nil)
}

func TestRegisteredProtocols_AnswerThePagesOfTheWeb(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	server := sharedServer(t)
	page := testPage(t, s, server.URL("a.test", "/page/registered"))
	p := s.Protocol()
	file := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(file, []byte("content of the file"), 0o600); err != nil {
		t.Fatal(err)
	}
	megabytes := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	run := func(name string, registered bool, want xhr) {
		t.Run(name, func(t *testing.T) {
			defer p.UnregisterProtocol("app")
			if !registered {
				t.Fatal("not registered")
			}
			if err := page.Reload(testContext(t), LoadOptions{}); err != nil { // registered schemes are for documents loaded afterwards
				t.Fatal(err)
			}
			got := pageXHR(t, page, "GET", "app://fake-host")
			if got.Failed != want.Failed || got.Status != want.Status || got.Text != want.Text {
				t.Errorf("the page got %.200v, not %.200v", got, want)
			}
		})
	}
	failed := xhr{Failed: true}
	run("PRO-0218 a buffer", p.RegisterBufferProtocol("app", func(*http.Request) *BufferResponse {
		return &BufferResponse{ProtocolResponse{MimeType: "text/html"}, []byte("bytes")}
	}), xhr{Status: 200, Text: "bytes"})
	run("PRO-0230 nothing that is a response", p.RegisterBufferProtocol("app", func(*http.Request) *BufferResponse { return nil }), failed)
	run("PRO-0258 PRO-0303 a file, which every page may read", p.RegisterFileProtocol("app", func(*http.Request) *FileResponse { return &FileResponse{Path: file} }), xhr{Status: 200, Text: "content of the file"})
	run("PRO-0297 a file with a type", p.RegisterFileProtocol("app", func(*http.Request) *FileResponse {
		return &FileResponse{ProtocolResponse{MimeType: "text/html"}, file}
	}), xhr{Status: 200, Text: "content of the file"})
	run("PRO-0315 PRO-0345 PRO-0191 an error", p.RegisterFileProtocol("app", func(*http.Request) *FileResponse {
		return &FileResponse{ProtocolResponse: ProtocolResponse{Error: -2}}
	}), failed)
	run("PRO-0434 a stream", p.RegisterStreamProtocol("app", func(*http.Request) *StreamResponse {
		return &StreamResponse{ProtocolResponse{Headers: http.Header{"Access-Control-Allow-Origin": {"*"}}}, strings.NewReader("streamed")}
	}), xhr{Status: 200, Text: "streamed"})
	for name, size := range map[string]int{"PRO-0499 a larger stream": 128 << 10, "PRO-0508 a large stream": 2 << 20} {
		run(name, p.RegisterStreamProtocol("app", func(*http.Request) *StreamResponse {
			return &StreamResponse{ProtocolResponse{Headers: http.Header{"Access-Control-Allow-Origin": {"*"}}}, bytes.NewReader(megabytes[:size])}
		}), xhr{Status: 200, Text: string(megabytes[:size])})
	}
	run("PRO-0527 a stream that comes later", p.RegisterStreamProtocol("app", func(*http.Request) *StreamResponse {
		reader, writer := io.Pipe()
		go func() {
			for _, text := range []string{"one ", "two ", "three"} {
				time.Sleep(5 * time.Millisecond)
				io.WriteString(writer, text)
			}
			writer.Close()
		}()
		return &StreamResponse{ProtocolResponse{Headers: http.Header{"Access-Control-Allow-Origin": {"*"}}}, reader}
	}), xhr{Status: 200, Text: "one two three"})
	run("PRO-0129 PRO-0111 PRO-0691 one answer that takes its time", p.RegisterStringProtocol("app", func(*http.Request) *StringResponse {
		time.Sleep(20 * time.Millisecond)
		return &StringResponse{Data: "late"}
	}), xhr{Status: 200, Text: "late"})
	run("PRO-0137 a redirect to the scheme itself", p.RegisterStringProtocol("app", func(r *http.Request) *StringResponse {
		if r.URL.Path != "/redirected" {
			return &StringResponse{ProtocolResponse: ProtocolResponse{StatusCode: 302, Headers: http.Header{"Location": {"app://fake-host/redirected"}}}}
		}
		return &StringResponse{Data: "redirected"}
	}), xhr{Status: 200, Text: "redirected"})
	run("PRO-0350 another request, redirects included", p.RegisterHTTPProtocol("app", func(*http.Request) *HTTPResponse {
		return &HTTPResponse{ProtocolResponse: ProtocolResponse{}, URL: server.URL("127.0.0.1", "/redirect?to=/respond%3Fbody%3Dfar%26header%3DAccess-Control-Allow-Origin:*")}
	}), xhr{Status: 200, Text: "far"})
	t.Run("PRO-0385 whose listeners are those of the session", func(t *testing.T) {
		seen := make(chan string, 9)
		listens(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: []string{"*://127.0.0.1/*"}}, func(_ context.Context, d *BeforeRequestDetails) (none BeforeRequestResult) {
			seen <- d.URL
			return none
		}))
		other := schemedSession(t, "other")
		listens(t)(other.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) (none BeforeRequestResult) {
			t.Errorf("another session saw %s", d.URL)
			return none
		}))
		to := server.URL("127.0.0.1", "/small")
		run("request", p.RegisterHTTPProtocol("app", func(*http.Request) *HTTPResponse { return &HTTPResponse{URL: to} }), failed) // the server allows no other origin
		if got := next(t, seen); got != to {
			t.Errorf("seen was %s", got)
		}
	})
}

func TestProtocol_WhatIsInterceptedReachesXMLHttpRequest(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/xhr"))
	p := s.Protocol()
	check := func(name string, intercepted bool) {
		t.Run(name, func(t *testing.T) {
			if !intercepted {
				t.Fatal("not intercepted")
			}
			defer p.UninterceptProtocol("http")
			if got := pageXHR(t, page, "GET", "/"); got.Text != "text" || got.Status != 200 {
				t.Errorf("the page got %+v", got)
			}
		})
	}
	check("PRO-0750 bytes", p.InterceptBufferProtocol("http", func(*http.Request) *BufferResponse { return &BufferResponse{Data: []byte("text")} }))
	check("PRO-0830 a stream", p.InterceptStreamProtocol("http", func(*http.Request) *StreamResponse { return &StreamResponse{Data: strings.NewReader("text")} }))
}

func TestProtocol_PRO1046_FilesFetchFilesWhereChromiumIsTold(t *testing.T) {
	t.Parallel()
	s, dir := schemedSession(t, ""), testDir(t)
	for name, text := range map[string]string{"page.html": "<title>file</title>", "other.txt": "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, "")
	if err := page.LoadFile(testContext(t), filepath.Join(dir, "page.html"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "fetch('other.txt').then((r) => r.text())", "other")
}

func TestCustomScheme_PRO1596_StandardURLsAreNormal(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", repeats)
	for _, u := range []string{"app://foo", "app:///foo", "app://foo:1234"} {
		if got := fetchedText(t, s, u); got != "app://foo/ " {
			t.Errorf("the handler of %s got %q", u, got)
		}
	}
	wantNetError(t, fetchError(t, s, "app://", FetchOptions{}), netInvalidURL)
	page := testPage(t, s, "app://start/")
	for _, u := range []string{"app://foo", "app:///foo", "app://foo:1234"} {
		want(t, page, fmt.Sprintf("fetch(%q, {mode: 'no-cors'}).then(() => 'answered')", u), "answered")
	}
}

func TestCustomScheme_PagesUseThePrivileges(t *testing.T) {
	t.Parallel()
	s, server := schemedSession(t, ""), sharedServer(t)
	handles(t, s, "app", site(appSite))
	page := testPage(t, s, "app://x/other")
	t.Run("PRO-0987 absolute paths", func(t *testing.T) {
		want(t, page, "new Promise((done) => document.body.append(Object.assign(new Image(), {src: '/image.svg', onload() { done(this.naturalWidth) }})))", 7)
	})
	t.Run("PRO-1001 fetch of the web", func(t *testing.T) {
		// The server is on this machine, for which Chromium wants a permission.
		at, err := s.place(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"local-network-access", "loopback-network"} {
			params := map[string]any{"permission": map[string]string{"name": name}, "setting": "granted", "browserContextId": at.contextID}
			if err := at.host.root().Call(testContext(t), "Browser.setPermission", params, nil); err != nil {
				t.Fatal(err)
			}
		}
		want(t, page, fmt.Sprintf("fetch(%q).then((r) => r.status)", server.TLSURL("b.test", "/cors/allowed")), 200)
	})
	t.Run("PRO-1015 files of the origin", func(t *testing.T) {
		want(t, page, `(async () => {
			const file = await (await navigator.storage.getDirectory()).getFileHandle('f', {create: true})
			const to = await file.createWritable()
			await to.write('written')
			await to.close()
			return (await file.getFile()).text()
		})()`, "written")
	})
	t.Run("PRO-1241 Fetch asks for no permission", func(t *testing.T) {
		handles(t, s, "no-cors", says("body"))
		r := fetchRequest(t, "GET", "no-cors://x/", nil)
		r.Header.Set("Origin", "http://elsewhere.test")
		if _, got := fetched(t, s, r, FetchOptions{}); got != "body" {
			t.Errorf("got %q", got)
		}
	})
}

func TestCustomScheme_HandlersGetWhatPagesUpload(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		return textResponse(fmt.Sprintf("%d %.11s", len(body), body)), err
	})
	page := testPage(t, s, "app://x/")
	stream := `(chunk, n, fails) => fetch('app://x/up', {method: 'POST', duplex: 'half', body: new ReadableStream({
		async pull(to) {
			if (n-- > 0) { await new Promise((done) => setTimeout(done, 1)); to.enqueue(new TextEncoder().encode(chunk)); return }
			fails ? to.error(new Error('source')) : to.close()
		}
	})}).then((r) => r.text(), (e) => 'failed')`
	for _, c := range []struct {
		name   string
		chunk  string
		n      int
		fails  bool
		answer string
	}{
		{"PRO-1933 PRO-2092 a stream", "hello world", 1, false, "11 hello world"},
		{"PRO-1806 a large stream", strings.Repeat("x", 13_000), 100, false, "1300000 xxxxxxxxxxx"},
		{"PRO-1962 a stream that fails", "x", 2, true, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := evaluated[string](t, page, stream, c.chunk, c.n, c.fails); got != c.answer {
				t.Errorf("the page got %q", got)
			}
		})
	}
	t.Run("PRO-2193 a blob", func(t *testing.T) {
		want(t, page, "fetch('/up', {method: 'POST', body: new Blob(['hello', ' ', 'world'])}).then((r) => r.text())", "11 hello world")
	})
}

func TestCustomScheme_DocumentsOfHandlersGetStreams(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	file := filepath.Join(testDir(t), "disk.txt")
	if err := os.WriteFile(file, []byte("of the disk"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"app://x/", "https://x.test/", "http://x.test/"} {
		scheme, _, _ := strings.Cut(from, ":")
		handles(t, s, scheme, func(r *http.Request) (*http.Response, error) {
			response, err := repeats(r)
			if r.URL.Path != "/" {
				response.ContentLength = -1
			}
			return response, err
		})
		page := testPage(t, s, from)
		want(t, page, "fetch('/stream').then((r) => r.text())", from+"stream ")
		protocolFileInput(t, page, file)
		got := evaluated[string](t, page, `(() => {
			const form = new FormData()
			form.append('file', f.files[0])
			return fetch('/upload', {method: 'POST', body: form}).then((r) => r.text())
		})()`)
		if !strings.HasPrefix(got, from+"upload ") || !strings.Contains(got, "of the disk") {
			t.Errorf("of the upload of %s came %q", from, got)
		}
	}
}

func TestCustomScheme_PRO1979_AnUploadEndsWithItsPage(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	file := filepath.Join(testDir(t), "large")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 64<<20); err != nil { // more than waits between Chromium and the handler
		t.Fatal(err)
	}
	for name, end := range map[string]func(*WebContents) error{
		"closed": func(page *WebContents) error { return page.Close(testContext(t)) },
		"crashed": func(page *WebContents) error {
			page.CDP().Call(testContext(t), "Page.crash", nil, nil) // nobody is left to answer well
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			uploading, ended, outcome := make(chan bool, 1), make(chan bool), make(chan error, 1)
			handles(t, s, "app", func(r *http.Request) (*http.Response, error) {
				if r.Method != "POST" {
					return textResponse(""), nil
				}
				if _, err := io.ReadFull(r.Body, make([]byte, 1)); err != nil {
					t.Error(err)
				}
				uploading <- true
				<-ended
				_, err := io.Copy(io.Discard, r.Body)
				outcome <- err
				return nil, err
			})
			page := testPage(t, s, "app://x/")
			protocolFileInput(t, page, file)
			want(t, page, `{
				const form = new FormData()
				form.append('file', f.files[0])
				fetch('/up', {method: 'POST', body: form}).catch(() => {})
				1
			}`, 1)
			next(t, uploading)
			if err := end(page); err != nil {
				t.Error(err)
			}
			close(ended)
			wantNetError(t, next(t, outcome), netFailed)
		})
	}
}

func TestProtocol_PRO2220_ForwardingALargePageIsFast(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	spaces := bytes.Repeat([]byte(" "), 1<<20)
	server.Handle("/spaces", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for range 128 {
			w.Write(spaces)
		}
	})
	page := testPage(t, s, "")
	fastest := func(before time.Duration) time.Duration {
		begin := time.Now()
		if err := page.LoadURL(testContext(t), server.URL("127.0.0.1", "/spaces"), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		return min(before, time.Since(begin))
	}
	direct, forwarded := time.Hour, time.Hour
	for range 5 { // the machine has other work
		direct = fastest(direct)
		if err := s.Protocol().Handle("http", func(r *http.Request) (*http.Response, error) {
			return s.Fetch(r, FetchOptions{BypassCustomProtocolHandlers: true})
		}); err != nil {
			t.Fatal(err)
		}
		forwarded = fastest(forwarded)
		s.Protocol().Unhandle("http")
		if forwarded < direct*16/10 {
			return
		}
	}
	t.Errorf("a page of 128 MB takes %v directly and %v forwarded", direct, forwarded)
}

// recordVideo makes a page record a video of two seconds.
const recordVideo = `new Promise((done) => {
	const canvas = Object.assign(document.createElement('canvas'), {width: 32, height: 32})
	const pen = canvas.getContext('2d')
	const recorder = new MediaRecorder(canvas.captureStream(25), {mimeType: 'video/webm;codecs=vp8'})
	let frames = 0
	recorder.ondataavailable = (e) => {
		const reader = new FileReader()
		reader.onload = () => done(reader.result.split(',')[1])
		reader.readAsDataURL(e.data)
	}
	recorder.start()
	const draw = () => {
		pen.fillStyle = 'rgb(' + frames * 5 % 255 + ',0,0)'
		pen.fillRect(0, 0, 32, 32)
		frames++ < 30 ? setTimeout(draw, 20) : recorder.stop()
	}
	draw()
})`

func TestCustomScheme_PRO1360_VideosPlay(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	video, err := base64.StdEncoding.DecodeString(evaluated[string](t, testPage(t, s, sharedServer(t).URL("a.test", "/page/recorder")), recordVideo))
	if err != nil || len(video) == 0 {
		t.Fatalf("a video of %d bytes, %v", len(video), err)
	}
	for name, handler := range map[string]ProtocolHandler{
		"PRO-1360 at once": func(*http.Request) (*http.Response, error) {
			return &http.Response{Header: http.Header{"Content-Type": {"video/webm"}}, ContentLength: int64(len(video)), Body: io.NopCloser(bytes.NewReader(video))}, nil
		},
		"PRO-1364 streamed in ranges": HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "video/webm")
			http.ServeContent(w, r, "video.webm", time.Time{}, bytes.NewReader(video))
		})),
	} {
		t.Run(name, func(t *testing.T) {
			handles(t, s, "app", handler)
			page := testPage(t, s, sharedServer(t).TLSURL("a.test", "/page/video"))
			want(t, page, `new Promise((done) => {
				const video = Object.assign(document.createElement('video'), {muted: true, src: 'app://x/video.webm'})
				video.onended = () => done('played')
				video.onerror = () => done(video.error.message)
				document.body.append(video)
				video.play()
			})`, "played")
		})
	}
}

func TestCustomScheme_ListenersOfWebRequestSeeItsURLs(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/redirect" {
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"app://x/echo"}}}, nil
		}
		return textResponse("<title>echo</title>" + r.Header.Get("X-Of-Listener")), nil
	})
	w := s.WebRequest()
	web := make(chan string, 9)
	listens(t)(w.OnBeforeRequest(WebRequestFilter{URLs: []string{"http://*/*", "https://*/*"}}, func(_ context.Context, d *BeforeRequestDetails) (none BeforeRequestResult) {
		web <- d.URL
		return none
	}))
	seen := make(chan string, 9)
	listens(t)(w.OnBeforeSendHeaders(WebRequestFilter{URLs: []string{"app://*/*"}}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		if !strings.HasSuffix(d.URL, "favicon.ico") {
			seen <- string(d.ResourceType) + " " + d.URL
		}
		d.RequestHeaders.Set("X-Of-Listener", "changed")
		return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
	}))
	page := testPage(t, s, "app://x/")
	want(t, page, "document.body.innerText", "changed")
	if got := next(t, seen); got != "mainFrame app://x/" {
		t.Errorf("seen was %s", got)
	}
	t.Run("WRQ-0497 over redirects", func(t *testing.T) {
		if got := pageXHR(t, page, "GET", "app://x/redirect"); got.Text != "<title>echo</title>changed" {
			t.Errorf("the page got %+v", got)
		}
		for _, url := range []string{"xhr app://x/redirect", "xhr app://x/echo"} {
			if got := next(t, seen); got != url {
				t.Errorf("seen was %s, not %s", got, url)
			}
		}
	})
	t.Run("WRQ-0280 filters of the web do not match them", func(t *testing.T) {
		fetchedText(t, s, "app://x/")
		select {
		case url := <-web:
			t.Errorf("a listener of the web saw %s", url)
		default:
		}
	})
	t.Run("a listener redirects to the scheme", func(t *testing.T) {
		listens(t)(w.OnBeforeRequest(WebRequestFilter{URLs: []string{"*://a.test/moved"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
			return BeforeRequestResult{RedirectURL: "app://x/moved"}
		}))
		if err := page.LoadURL(testContext(t), sharedServer(t).URL("a.test", "/moved"), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := page.URL(); got != "app://x/moved" {
			t.Errorf("the page is at %s", got)
		}
	})
}
