package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// handles sets a handler until the test ends.
func handles(t testing.TB, s *Session, scheme string, h ProtocolHandler) {
	t.Helper()
	if err := s.Protocol().Handle(scheme, h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Protocol().Unhandle(scheme) })
}

// says is a handler that answers with a text.
func says(text string) ProtocolHandler {
	return func(*http.Request) (*http.Response, error) { return textResponse(text), nil }
}

func textResponse(text string) *http.Response {
	return &http.Response{ContentLength: int64(len(text)), Body: io.NopCloser(strings.NewReader(text))}
}

// repeats answers with the URL and the body of the request.
func repeats(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	return textResponse(r.RequestURI + " " + string(body)), err
}

func TestProtocol_PRO1454_HandlerAnswersACustomScheme(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	handles(t, s, "app", repeats)
	response, body := fetched(t, s, fetchRequest(t, "GET", "app://foo", nil), FetchOptions{})
	if response.StatusCode != 200 || body != "app://foo " || response.Header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %q %v", response.StatusCode, body, response.Header)
	}
	if !s.Protocol().IsProtocolHandled("app") || !s.Protocol().IsProtocolRegistered("app") || s.Protocol().IsProtocolIntercepted("app") {
		t.Error("the tables are not as they should be")
	}
	t.Run("PRO-1463 until it is unhandled", func(t *testing.T) {
		if err := s.Protocol().Unhandle("app"); err != nil {
			t.Fatal(err)
		}
		wantNetError(t, fetchError(t, s, "app://foo", FetchOptions{}), netUnknownURLScheme)
	})
}

func TestProtocol_SES0729_HandlersBelongToOneSession(t *testing.T) {
	one, other := namedSession(t, "one"), namedSession(t, "other")
	handles(t, one, "app", says("one"))
	if other.Protocol().IsProtocolRegistered("app") || one.browser.DefaultSession().Protocol().IsProtocolRegistered("app") {
		t.Error("another session has the protocol")
	}
	handles(t, other, "app", says("the other"))
	if a, b := fetchedText(t, one, "app://foo"), fetchedText(t, other, "app://foo"); a != "one" || b != "the other" {
		t.Errorf("the sessions answer %q and %q", a, b)
	}
}

func TestProtocol_PRO1480_HandlerInterceptsWhatChromiumKnows(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	for _, scheme := range []string{"http", "https", "file"} {
		handles(t, s, scheme, repeats)
		if !s.Protocol().IsProtocolHandled(scheme) || !s.Protocol().IsProtocolIntercepted(scheme) || s.Protocol().IsProtocolRegistered(scheme) {
			t.Errorf("the tables are not as they should be with %s", scheme)
		}
	}
	for id, c := range map[string]struct{ url, want string }{
		"PRO-1480": {"https://foo", "https://foo/ "},
		"PRO-1627": {"http://foo", "http://foo/ "},
		"NCP-0029": {"http://foo", "http://foo/ "},
		"NCP-0040": {"file://foo", "file://foo/ "},
		"PRO-1489": {"file:///a/b%20c.txt", "file:///a/b%20c.txt "},
	} {
		t.Run(id, func(t *testing.T) {
			if got := fetchedText(t, s, c.url); got != c.want {
				t.Errorf("the handler of %s got %q", c.url, got)
			}
		})
	}
	t.Run("PRO-2007 PRO-2020 and can be bypassed", func(t *testing.T) {
		r := fetchRequest(t, "GET", server.URL("127.0.0.1", "/small"), nil)
		if _, got := fetched(t, s, r, FetchOptions{BypassCustomProtocolHandlers: true}); strings.HasPrefix(got, "http:") {
			t.Errorf("got %q", got)
		}
		handles(t, s, "app", repeats)
		t.Run("PRO-2038 also where it is the only one", func(t *testing.T) {
			wantNetError(t, fetchError(t, s, "app://foo/", FetchOptions{BypassCustomProtocolHandlers: true}), netUnknownURLScheme)
		})
	})
}

func TestProtocol_CX86_WhoComesFirstHandles(t *testing.T) {
	t.Parallel()
	p := memorySession(t).Protocol()
	var invalid *InvalidArgumentError
	if err := p.Handle("one", says("")); err != nil {
		t.Fatal(err)
	}
	if err := p.Handle("one", says("")); !errors.As(err, &invalid) || err.Error() != "Failed to register protocol: one" {
		t.Errorf("handling twice: %v", err)
	}
	if err := p.Unhandle("other"); !errors.As(err, &invalid) || err.Error() != "Failed to unhandle protocol: other" {
		t.Errorf("unhandling what is not: %v", err)
	}
	for _, scheme := range []string{"", "UPPER", "a b", "1a", "data", "blob", "ws", "javascript", "chrome", "chrome-extension"} {
		if err := p.Handle(scheme, says("")); !errors.As(err, &invalid) {
			t.Errorf("handling %q: %v", scheme, err)
		}
	}
	str := func(*http.Request) *StringResponse { return nil }
	buffer := func(*http.Request) *BufferResponse { return nil }
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"PRO-0663 nothing is registered", p.IsProtocolRegistered("x"), false},
		{"register", p.RegisterStringProtocol("x", str), true},
		{"PRO-0668 registered", p.IsProtocolRegistered("x"), true},
		{"PRO-0106 register again", p.RegisterBufferProtocol("x", buffer), false},
		{"PRO-0157 unregister another", p.UnregisterProtocol("y"), false},
		{"uninterception does not unregister", p.UninterceptProtocol("x"), false},
		{"unregister", p.UnregisterProtocol("x"), true},
		{"unregister again", p.UnregisterProtocol("x"), false},
		{"intercept", p.InterceptStringProtocol("http", str), true},
		{"PRO-0676 intercepted", p.IsProtocolIntercepted("http"), true},
		{"PRO-0684 intercept again", p.InterceptBufferProtocol("http", buffer), false},
		{"unregistering does not unintercept", p.UnregisterProtocol("http"), false},
		{"PRO-0887 unintercept what does not exist", p.UninterceptProtocol("y"), false},
		{"PRO-0891 unintercept what is not intercepted", p.UninterceptProtocol("https"), false},
		{"unintercept", p.UninterceptProtocol("http"), true},
		{"no handler", p.RegisterStringProtocol("nil", nil), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.name, c.got)
		}
	}
}

func TestProtocol_OfAClosedSession(t *testing.T) {
	s, err := sharedBrowser(t).FromPartition(testContext(t), t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.Protocol().Handle("app", says("")); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("handling: %v", err)
	}
	if s.Protocol().RegisterStringProtocol("app", func(*http.Request) *StringResponse { return nil }) {
		t.Error("a protocol was registered")
	}
	if err := fetchError(t, s, "http://127.0.0.1:1/", FetchOptions{}); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("fetching: %v", err)
	}
}

func TestProtocol_HandlersAnswerWithAnything(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	answer := func(t *testing.T, h ProtocolHandler) (*http.Response, string) {
		handles(t, s, "any", h)
		return fetched(t, s, fetchRequest(t, "GET", "any://thing/", nil), FetchOptions{})
	}
	for _, c := range []struct {
		name     string
		response *http.Response
		status   int
		kind     string
		body     string
	}{
		{"PRO-1522 bytes", textResponse("\x00\xff"), 200, "text/html", "\x00\xff"},
		{"PRO-1531 a stream", &http.Response{ContentLength: -1, Body: io.NopCloser(&countingReader{left: 3})}, 200, "text/html", "\x00\x01\x02"},
		{"PRO-1708 a status and no body", &http.Response{StatusCode: 201}, 201, "text/html", ""},
		{"PRO-1717 a type", &http.Response{Header: http.Header{"Content-Type": {"text/html; charset=testcharset"}}}, 200, "text/html; charset=testcharset", ""},
		{"the text of the status is the code's", &http.Response{StatusCode: 404, Status: "299 whatever"}, 404, "text/html", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body := answer(t, func(*http.Request) (*http.Response, error) { return c.response, nil })
			if response.StatusCode != c.status || response.Header.Get("Content-Type") != c.kind || body != c.body {
				t.Errorf("%d %v %q", response.StatusCode, response.Header, body)
			}
			if want := fmt.Sprintf("%d %s", c.status, http.StatusText(c.status)); response.Status != want {
				t.Errorf("the status is %q", response.Status)
			}
		})
	}
	for _, c := range []struct {
		name string
		h    ProtocolHandler
		code NetError
	}{
		{"PRO-1638 an error of its own", func(*http.Request) (*http.Response, error) { return nil, NetError(-2) }, netFailed},
		{"PRO-1700 another error", func(*http.Request) (*http.Response, error) { return nil, errors.New("asynchronous") }, netUnexpected},
		{"a panic", func(*http.Request) (*http.Response, error) { panic("handler") }, netUnexpected},
		{"PRO-1657 a status that is none", func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 99}, nil }, netUnexpected},
		{"PRO-1668 a header that is none", func(*http.Request) (*http.Response, error) {
			return &http.Response{Header: http.Header{"X": {"a\r\nb"}}}, nil
		}, netUnexpected},
		{"PRO-1679 nothing", func(*http.Request) (*http.Response, error) { return nil, nil }, netUnexpected},
	} {
		t.Run(c.name, func(t *testing.T) {
			handles(t, s, "any", c.h)
			wantNetError(t, fetchError(t, s, "any://thing/", FetchOptions{}), c.code)
		})
	}
}

func TestProtocol_PRO1566_URLsOfCustomSchemesComeAsTheyAre(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	handles(t, s, "foo", repeats)
	for _, u := range []string{"foo:foo/", "foo:///foo", "foo://a-b_c/%20d?e#f", "foo:a:1234/b" /* PRO-1585 */, "foo://a:1234/b"} {
		want, _, _ := strings.Cut(u, "#")
		if got := fetchedText(t, s, u); got != want+" " {
			t.Errorf("the handler of %s got %q", u, got)
		}
	}
	t.Run("PRO-1618 a user name is refused", func(t *testing.T) {
		wantNetError(t, fetchError(t, s, "foo://x@foo:1234", FetchOptions{}), netUnexpected)
	})
}

// watched tells when a body is closed.
type watched struct {
	io.Reader
	closed chan struct{}
}

func (w *watched) Close() error {
	close(w.closed)
	return nil
}

func TestProtocol_PRO1540_BodyThatNobodyWantsIsClosed(t *testing.T) {
	t.Parallel()
	s, body := memorySession(t), &watched{&countingReader{left: 1 << 40}, make(chan struct{})}
	handlerEnded := make(chan struct{})
	handles(t, s, "app", func(r *http.Request) (*http.Response, error) {
		context.AfterFunc(r.Context(), func() { close(handlerEnded) })
		return &http.Response{ContentLength: -1, Body: body}, nil
	})
	response, err := s.Fetch(fetchRequest(t, "GET", "app://x/", nil), FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	response.Body.Close()
	for what, ended := range map[string]chan struct{}{"the body": body.closed, "the request's context": handlerEnded} {
		select {
		case <-ended:
		case <-testContext(t).Done():
			t.Errorf("%s did not end", what)
		}
	}
}

func TestProtocol_HandlersForward(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte("file content"), 0o600); err != nil {
		t.Fatal(err)
	}
	forward := func(to string) ProtocolHandler {
		return func(r *http.Request) (*http.Response, error) {
			next := r.Clone(r.Context())
			var err error
			if next.URL, err = url.Parse(to); err != nil {
				return nil, err
			}
			return s.Fetch(next, FetchOptions{})
		}
	}
	t.Run("PRO-1746 to http with headers", func(t *testing.T) {
		handles(t, s, "app", forward(server.URL("127.0.0.1", "/respond?body=far&header=X-Far:away")))
		response, body := fetched(t, s, fetchRequest(t, "GET", "app://x", nil), FetchOptions{})
		if body != "far" || response.Header.Get("X-Far") != "away" {
			t.Errorf("%q %v", body, response.Header)
		}
	})
	t.Run("PRO-1765 to a file", func(t *testing.T) {
		handles(t, s, "app", forward((&url.URL{Scheme: "file", Path: file}).String()))
		if got := fetchedText(t, s, "app://x"); got != "file content" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("PRO-1777 with the body", func(t *testing.T) {
		handles(t, s, "app", repeats)
		if _, got := fetched(t, s, fetchRequest(t, "POST", "app://x", strings.NewReader("foobar")), FetchOptions{}); got != "app://x foobar" {
			t.Errorf("got %q", got)
		}
	})
}

func TestProtocol_RedirectsBetweenHandlers(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	redirect := func(status int, to string) ProtocolHandler {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Location": {to}}}, nil
		}
	}
	for _, c := range []struct{ name, scheme, from, to string }{
		{"NCP-0051 file to custom", "file", "file://foo", "custom://far/"},
		{"NCP-0068 http to custom", "http", "http://foo", "custom://far/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			handles(t, s, c.scheme, redirect(302, c.to))
			handles(t, s, "custom", repeats)
			if got := fetchedText(t, s, c.from); got != c.to+" " {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("NCP-0085 file to file", func(t *testing.T) {
		handles(t, s, "file", func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "foo" {
				return redirect(302, "file://bar")(r)
			}
			return repeats(r)
		})
		if got := fetchedText(t, s, "file://foo"); got != "file://bar/ " {
			t.Errorf("got %q", got)
		}
	})
	t.Run("NCP-0097 not when it is an error", func(t *testing.T) {
		handles(t, s, "custom", redirect(302, "custom://far/"))
		wantError(t, fetchError(t, s, "custom://x", FetchOptions{Redirect: "error"}), "Attempted to redirect, but redirect policy was 'error'")
	})
	t.Run("NCP-0110 with the body", func(t *testing.T) {
		handles(t, s, "custom", func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "x" {
				return redirect(307, "custom://far/")(r)
			}
			return repeats(r)
		})
		if _, got := fetched(t, s, fetchRequest(t, "POST", "custom://x", strings.NewReader("kept")), FetchOptions{}); got != "custom://far/ kept" {
			t.Errorf("got %q", got)
		}
	})
}

func TestProtocol_KindsOfResponses(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	p := s.Protocol()
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	get := func(t *testing.T, headers ...string) (*http.Response, string) {
		r := fetchRequest(t, "GET", "kind://x/", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return fetched(t, s, r, FetchOptions{})
	}
	register := func(t *testing.T, registered bool) {
		if !registered {
			t.Fatal("not registered")
		}
		t.Cleanup(func() { p.UnregisterProtocol("kind") })
	}
	check := func(t *testing.T, status int, kind, body string, shared bool, headers ...string) {
		t.Helper()
		response, got := get(t, headers...)
		if response.StatusCode != status || response.Header.Get("Content-Type") != kind || got != body || (response.Header.Get("Access-Control-Allow-Origin") == "*") != shared {
			t.Errorf("%d %v %q", response.StatusCode, response.Header, got)
		}
	}
	t.Run("PRO-0167 string", func(t *testing.T) {
		register(t, p.RegisterStringProtocol("kind", func(*http.Request) *StringResponse { return &StringResponse{Data: "text"} }))
		check(t, 200, "text/html; charset=utf-8", "text", true)
	})
	t.Run("PRO-0180 string with a type", func(t *testing.T) {
		register(t, p.RegisterStringProtocol("kind", func(*http.Request) *StringResponse {
			return &StringResponse{ProtocolResponse: ProtocolResponse{MimeType: "text/plain", Charset: "utf-16", StatusCode: 203}, Data: "text"}
		}))
		check(t, 203, "text/plain; charset=utf-16", "text", true)
	})
	t.Run("PRO-0205 buffer", func(t *testing.T) {
		register(t, p.RegisterBufferProtocol("kind", func(*http.Request) *BufferResponse { return &BufferResponse{Data: []byte{0, 255}} }))
		check(t, 200, "text/html", "\x00\xff", true)
	})
	t.Run("PRO-0251 file", func(t *testing.T) {
		register(t, p.RegisterFileProtocol("kind", func(*http.Request) *FileResponse { return &FileResponse{Path: file} }))
		check(t, 200, "text/html; charset=utf-8", "0123456789", true)
		check(t, 206, "text/html; charset=utf-8", "234", true, "Range", "bytes=2-4")
	})
	t.Run("PRO-0265 file with headers", func(t *testing.T) {
		register(t, p.RegisterFileProtocol("kind", func(*http.Request) *FileResponse {
			return &FileResponse{ProtocolResponse: ProtocolResponse{Headers: http.Header{"X-Great-Header": {"sogreat"}}}, Path: file}
		}))
		if response, _ := get(t); response.Header.Get("X-Great-Header") != "sogreat" {
			t.Errorf("%v", response.Header)
		}
	})
	for name, path := range map[string]string{"PRO-0309 file that is not there": file + "x", "directory": dir, "relative path": "page.html"} {
		t.Run(name, func(t *testing.T) {
			register(t, p.RegisterFileProtocol("kind", func(*http.Request) *FileResponse { return &FileResponse{Path: path} }))
			wantNetError(t, fetchError(t, s, "kind://x/", FetchOptions{}), netFileNotFound)
		})
	}
	t.Run("PRO-0327 http", func(t *testing.T) {
		register(t, p.RegisterHTTPProtocol("kind", func(*http.Request) *HTTPResponse {
			return &HTTPResponse{URL: server.URL("127.0.0.1", "/redirect?to=/headers")}
		}))
		if _, got := get(t); !strings.Contains(got, "Accept") { // PRO-0350: redirects are followed inside
			t.Errorf("the server saw %q", got)
		}
	})
	t.Run("PRO-0340 http of a URL that is none", func(t *testing.T) {
		register(t, p.RegisterHTTPProtocol("kind", func(*http.Request) *HTTPResponse { return &HTTPResponse{URL: "url"} }))
		wantNetError(t, fetchError(t, s, "kind://x/", FetchOptions{}), netInvalidURL)
	})
	t.Run("PRO-0799 http of another session", func(t *testing.T) {
		other := namedSession(t, "other")
		setCookie(t, other, CookieDetails{URL: server.URL("127.0.0.1", "/"), Name: "of", Value: "another"})
		register(t, p.RegisterHTTPProtocol("kind", func(*http.Request) *HTTPResponse {
			return &HTTPResponse{URL: server.URL("127.0.0.1", "/cookies"), Session: other}
		}))
		if _, got := get(t); got != "of=another" {
			t.Errorf("the server saw %q", got)
		}
	})
	t.Run("PRO-0428 stream", func(t *testing.T) {
		register(t, p.RegisterStreamProtocol("kind", func(*http.Request) *StreamResponse { return &StreamResponse{Data: strings.NewReader("text")} }))
		check(t, 200, "text/html", "text", false) // CX87
	})
	t.Run("PRO-0456 stream without data", func(t *testing.T) {
		register(t, p.RegisterStreamProtocol("kind", func(*http.Request) *StreamResponse {
			return &StreamResponse{ProtocolResponse: ProtocolResponse{StatusCode: 204}}
		}))
		check(t, 204, "text/html", "", false)
	})
	t.Run("PRO-0481 stream with several headers of a name", func(t *testing.T) {
		register(t, p.RegisterStreamProtocol("kind", func(*http.Request) *StreamResponse {
			return &StreamResponse{ProtocolResponse: ProtocolResponse{Headers: http.Header{"Header1": {"value1", "value2"}, "Header2": {"value3"}}}}
		}))
		if response, _ := get(t); fmt.Sprint(response.Header["Header1"], response.Header["Header2"]) != "[value1 value2] [value3]" {
			t.Errorf("%v", response.Header)
		}
	})
	t.Run("PRO-0124 nothing", func(t *testing.T) {
		register(t, p.RegisterBufferProtocol("kind", func(*http.Request) *BufferResponse { return nil }))
		wantNetError(t, fetchError(t, s, "kind://x/", FetchOptions{}), netNotImplemented)
	})
	t.Run("an error of any code", func(t *testing.T) {
		register(t, p.RegisterStringProtocol("kind", func(*http.Request) *StringResponse {
			return &StringResponse{ProtocolResponse: ProtocolResponse{Error: -109}}
		}))
		wantError(t, fetchError(t, s, "kind://x/", FetchOptions{}), "net::ERR_ADDRESS_UNREACHABLE")
	})
}

func TestHTTPHandler_ServesADirectoryAndNothingAboveIt(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	files := fstest.MapFS{"index.html": {Data: []byte("<p>index")}, "a.txt": {Data: []byte("0123456789")}}
	handles(t, s, "app", HTTPHandler(http.FileServerFS(files)))
	if got := fetchedText(t, s, "app://x/"); got != "<p>index" {
		t.Errorf("the index is %q", got)
	}
	r := fetchRequest(t, "GET", "app://x/a.txt", nil)
	r.Header.Set("Range", "bytes=7-")
	response, got := fetched(t, s, r, FetchOptions{})
	if response.StatusCode != 206 || got != "789" || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v %q", response.StatusCode, response.Header, got)
	}
	for _, path := range []string{"../etc/passwd", "%2e%2e/etc/passwd", "a.txt/../../x", "none"} {
		if response, _ := fetched(t, s, fetchRequest(t, "GET", "app://x/"+path, nil), FetchOptions{}); response.StatusCode != 404 {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	t.Run("a handler that panics", func(t *testing.T) {
		handles(t, s, "bad", HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				io.WriteString(w, "some")
			}
			panic("handler")
		})))
		wantNetError(t, fetchError(t, s, "bad://x/", FetchOptions{}), netFailed)
		wantNetError(t, fetchError(t, s, "bad://x/late", FetchOptions{}), netFailed)
	})
}
