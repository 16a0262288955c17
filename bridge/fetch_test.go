package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// fetched is the response to a request of the session, and its body.
func fetched(t testing.TB, s *Session, r *http.Request, o FetchOptions) (*http.Response, string) {
	t.Helper()
	response, err := s.Fetch(r, o)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func fetchRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(testContext(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fetchedText is the body of a GET.
func fetchedText(t testing.TB, s *Session, url string) string {
	t.Helper()
	_, body := fetched(t, s, fetchRequest(t, "GET", url, nil), FetchOptions{})
	return body
}

// fetchError is what a GET ends with, before the body or in it.
func fetchError(t testing.TB, s *Session, url string, o FetchOptions) error {
	t.Helper()
	response, err := s.Fetch(fetchRequest(t, "GET", url, nil), o)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	return err
}

func wantError(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v, not %q", err, text)
	}
}

// wantNetError checks the code and its name.
func wantNetError(t testing.TB, err error, code NetError) {
	t.Helper()
	var got NetError
	if !errors.As(err, &got) || got != code {
		t.Errorf("the error is %v, not %v", err, code)
	}
}

func TestFetch_NET1667_UploadsAndReadsBodies(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	server.Handle("/back", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	_, body := fetched(t, s, fetchRequest(t, "POST", server.URL("127.0.0.1", "/back"), strings.NewReader("anyone there?")), FetchOptions{})
	if body != "anyone there?" {
		t.Errorf("the server got %q", body)
	}
	t.Run("NET-1679 bytes", func(t *testing.T) {
		data := []byte{0, 1, 0xff, 0xfe, '\r', '\n'}
		_, body := fetched(t, s, fetchRequest(t, "POST", server.URL("127.0.0.1", "/back"), bytes.NewReader(data)), FetchOptions{})
		if body != string(data) {
			t.Errorf("got %q", body)
		}
	})
}

// countingReader makes text as it is read, and tells how much was.
type countingReader struct {
	left, made int
}

func (c *countingReader) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), c.left, 32<<10)
	for i := range n {
		b[i] = byte(c.made + i)
	}
	c.left, c.made = c.left-n, c.made+n
	return n, nil
}

func TestFetch_StreamsBothWays(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	const size = 64 << 20
	server.Handle("/hash", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%x", sum.Sum(nil))
	})
	sum := sha256.New()
	io.Copy(sum, &countingReader{left: size})
	_, got := fetched(t, s, fetchRequest(t, "POST", server.URL("127.0.0.1", "/hash"), &countingReader{left: size}), FetchOptions{})
	if want := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
		t.Errorf("the server got a body of the hash %s, not %s", got, want)
	}

	more := make(chan struct{})
	server.Handle("/endless", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		select {
		case <-more:
		case <-r.Context().Done():
		}
	})
	response, err := s.Fetch(fetchRequest(t, "GET", server.URL("127.0.0.1", "/endless"), nil), FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "first" {
		t.Errorf("the first bytes are %q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		t.Errorf("then come %q, %v", rest, err)
	}
}

func TestFetch_NET1706_FollowsRedirects(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	elsewhere := server.URL("localhost", "/small")
	redirect := func(to, status string) string {
		return server.URL("127.0.0.1", "/redirect?status="+status+"&to="+url.QueryEscape(to))
	}
	response, _ := fetched(t, s, fetchRequest(t, "GET", redirect(elsewhere, "302"), nil), FetchOptions{})
	if got := response.Request.URL.String(); response.StatusCode != 200 || got != elsewhere {
		t.Errorf("%d from %s", response.StatusCode, got)
	}
	for id, to := range map[string]string{
		"NET-1720": "file:///etc/hostname", "NET-1729": "data:text/plain,x", "NET-1738": "about:blank", "NET-1747": "blob:http://a.test/x",
	} {
		t.Run(id+" refuses "+to, func(t *testing.T) {
			err := fetchError(t, s, redirect(to, "302"), FetchOptions{})
			wantNetError(t, err, netUnsafeRedirect)
			wantError(t, err, "net::ERR_UNSAFE_REDIRECT")
		})
	}
	t.Run("a loop ends", func(t *testing.T) {
		wantNetError(t, fetchError(t, s, server.URL("127.0.0.1", "/redirect/loop"), FetchOptions{}), netTooManyRedirects)
	})
	t.Run("manual", func(t *testing.T) {
		response, _ := fetched(t, s, fetchRequest(t, "GET", redirect(elsewhere, "301"), nil), FetchOptions{Redirect: "manual"})
		if response.StatusCode != 301 || response.Header.Get("Location") != elsewhere {
			t.Errorf("%d to %s", response.StatusCode, response.Header.Get("Location"))
		}
	})
	t.Run("a body is sent again where the status says so", func(t *testing.T) {
		for status, want := range map[string]string{"307": "POST text", "308": "POST text", "301": "GET ", "302": "GET ", "303": "GET "} {
			server := fixture.New(t)
			server.Handle("/what", func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %s", r.Method, body)
			})
			_, got := fetched(t, s, fetchRequest(t, "POST", server.URL("127.0.0.1", "/redirect?to=/what&status="+status), strings.NewReader("text")), FetchOptions{})
			if got != want {
				t.Errorf("after %s came %q, not %q", status, got, want)
			}
		}
	})
}

func TestFetch_NET1756_BodyThatIsCutOffIsAnError(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	server.Handle("/cut", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "chunk")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	wantError(t, fetchError(t, s, server.URL("127.0.0.1", "/cut"), FetchOptions{}), "net::ERR_INCOMPLETE_CHUNKED_ENCODING")
	wantError(t, fetchError(t, s, server.URL("127.0.0.1", "/cutoff"), FetchOptions{}), "net::ERR_CONTENT_LENGTH_MISMATCH")
}

func TestFetch_ErrorsHaveChromiumsNames(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	for url, code := range map[string]NetError{
		"http://name.invalid/":                          netNameNotResolved,
		"http://127.0.0.1:1/":                           netConnectionRefused,
		server.URL("127.0.0.1", "/drop"):                netEmptyResponse,
		server.TLSURL(fixture.SelfSignedHost, "/small"): netCertAuthority,
		"nobody-handles-this://x/":                      netUnknownURLScheme,
		"file:///there/is/no/such/file":                 netFileNotFound,
		"file:///etc":                                   netFileNotFound,
		strings.Replace(server.URL("127.0.0.1", "/"), "http:", "https:", 1): netSSLProtocolError,
	} {
		t.Run(url, func(t *testing.T) { wantNetError(t, fetchError(t, s, url, FetchOptions{}), code) })
	}
}

func TestFetch_CX99_LimitsOfFetch(t *testing.T) {
	s := memorySession(t)
	for _, url := range []string{"data:text/plain,x", "blob:http://a.test/0"} {
		var invalid *InvalidArgumentError
		if err := fetchError(t, s, url, FetchOptions{}); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", url, err)
		}
	}
	why := errors.New("no longer needed")
	ctx, cancel := context.WithCancelCause(testContext(t))
	cancel(why)
	server := fixture.New(t)
	_, err := s.Fetch(fetchRequest(t, "GET", server.URL("127.0.0.1", "/small"), nil).WithContext(ctx), FetchOptions{})
	if !errors.Is(err, why) {
		t.Errorf("the error is %v", err)
	}
	if n := server.Count("/small"); n != 0 {
		t.Errorf("%d requests came", n)
	}
	for _, o := range []FetchOptions{{Redirect: "sometimes"}, {Credentials: "some"}} {
		var invalid *InvalidArgumentError
		if err := fetchError(t, s, "http://127.0.0.1/", o); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestFetch_EndsWithItsContextAndItsSession(t *testing.T) {
	b, server := sharedBrowser(t), fixture.New(t)
	s, err := b.FromPartition(testContext(t), t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	ctx, cancel := context.WithCancel(testContext(t))
	for _, ctx := range []context.Context{ctx, testContext(t)} {
		r := fetchRequest(t, "GET", server.URL("127.0.0.1", "/never"), nil).WithContext(ctx)
		go func() {
			_, err := s.Fetch(r, FetchOptions{})
			ended <- err
		}()
		if _, err := server.WaitRequest(ctx, "/never"); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrSessionClosed) {
		t.Errorf("the error is %v", err)
	}
}

func TestFetch_NSE0675_HasTheCookiesOfItsSession(t *testing.T) {
	server, with, without := sharedServer(t), memorySession(t), namedSession(t, t.Name()+"-other")
	setCookie(t, with, CookieDetails{URL: server.URL("127.0.0.1", "/"), Name: "in", Value: "session"})
	cookies := server.URL("127.0.0.1", "/cookies")
	if got := fetchedText(t, with, cookies); !strings.Contains(got, "session") {
		t.Errorf("the server saw %q", got)
	}
	t.Run("UTL-1309 of whoever asks", func(t *testing.T) {
		same, err := with.browser.FromPartition(testContext(t), with.Partition(), PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fetchedText(t, same, cookies); !strings.Contains(got, "session") {
			t.Errorf("the server saw %q", got)
		}
	})
	t.Run("UTL-1262 and no other session's", func(t *testing.T) {
		if got := fetchedText(t, without, cookies); strings.Contains(got, "session") {
			t.Errorf("the server saw %q", got)
		}
	})
	t.Run("NSE-0187 omitted", func(t *testing.T) {
		if _, got := fetched(t, with, fetchRequest(t, "GET", cookies, nil), FetchOptions{Credentials: "omit"}); strings.Contains(got, "session") {
			t.Errorf("the server saw %q", got)
		}
	})
	t.Run("NSE-0159 a header of the caller's own wins", func(t *testing.T) {
		r := fetchRequest(t, "GET", server.URL("127.0.0.1", "/headers"), nil)
		r.Header.Set("Cookie", "of=header")
		if _, got := fetched(t, with, r, FetchOptions{}); strings.Contains(got, "session") || !strings.Contains(got, "of=header") {
			t.Errorf("the server saw %q", got)
		}
	})
	t.Run("NSE-0269 stores what is set, whatever its SameSite", func(t *testing.T) {
		server := fixture.New(t)
		server.Handle("/set", func(w http.ResponseWriter, r *http.Request) {
			for _, mode := range []string{"Lax", "Strict"} {
				w.Header().Add("Set-Cookie", mode+"=1; Path=/; SameSite="+mode)
			}
		})
		fetchedText(t, with, server.URL("localhost", "/set"))
		got := fetchedText(t, with, server.URL("localhost", "/cookies"))
		if !strings.Contains(got, "Lax") || !strings.Contains(got, "Strict") {
			t.Errorf("the server saw %q", got)
		}
		for _, mode := range []string{"Lax", "Strict"} {
			if c := getCookies(t, with, CookieFilter{Name: &mode}); len(c) != 1 || c[0].SameSite != strings.ToLower(mode) {
				t.Errorf("stored is %+v", c)
			}
		}
	})
}

func TestFetch_NSE0311_EachHopOfARedirectHasItsOwnCookies(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		setCookie(t, s, CookieDetails{URL: server.URL(host, "/"), Name: "host", Value: host})
	}
	_, got := fetched(t, s, fetchRequest(t, "GET", server.URL("127.0.0.1", "/redirect?to="+url.QueryEscape(server.URL("localhost", "/cookies"))), nil), FetchOptions{})
	if !strings.Contains(got, "localhost") || strings.Contains(got, "127.0.0.1") {
		t.Errorf("the last server saw %q", got)
	}
}

func TestFetch_UTL1102_CacheModesReachTheServer(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	for _, c := range []struct{ id, mode, header string }{
		{"UTL-1102", "no-store", "no-cache"}, {"UTL-1142", "no-cache", "max-age=0"}, {"UTL-1222", "reload", "no-cache"}, {"the default", "", ""},
	} {
		t.Run(c.id+" "+c.mode, func(t *testing.T) {
			server := fixture.New(t)
			for range 2 {
				fetched(t, s, fetchRequest(t, "GET", server.URL("127.0.0.1", "/cached"), nil), FetchOptions{Cache: c.mode})
			}
			requests := server.Requests()
			if len(requests) != 2 {
				t.Fatalf("%d requests came", len(requests))
			}
			if got := requests[1].Header.Get("Cache-Control"); got != c.header {
				t.Errorf("the server saw %q", got)
			}
		})
	}
	t.Run("UTL-1182 not that of a cache that there is not", func(t *testing.T) {
		var unsupported *UnsupportedError
		if err := fetchError(t, s, "http://127.0.0.1/", FetchOptions{Cache: "force-cache"}); !errors.As(err, &unsupported) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestFetch_PagesAndFetchShareCookies(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	fetchedText(t, s, server.URL("127.0.0.1", "/set-cookie?made=byfetch"))
	page := testPage(t, s, server.URL("127.0.0.1", "/"))
	if got := evaluated[string](t, page, "document.cookie"); !strings.Contains(got, "byfetch") {
		t.Errorf("the page has the cookies %q", got)
	}
}

func TestFetch_NCP0011_ReadsFiles(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	path := filepath.Join(t.TempDir(), "a file.txt")
	if err := os.WriteFile(path, []byte("of the disk"), 0o600); err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "file", Path: path}
	response, body := fetched(t, s, fetchRequest(t, "GET", u.String(), nil), FetchOptions{})
	if body != "of the disk" || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%q of the type %q", body, response.Header.Get("Content-Type"))
	}
}

// listens fails the test if a listener could not be added, and removes it at
// the end.
func listens(t testing.TB) func(remove func(), err error) {
	return func(remove func(), err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(remove)
	}
}

func TestFetch_NET1938_WorksAfterChromiumHasCrashed(t *testing.T) {
	b, server := sharedBrowser(t), sharedServer(t)
	s, err := b.FromPartition(testContext(t), t.Name(), PartitionOptions{OwnProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	fetchedText(t, s, server.URL("127.0.0.1", "/small"))
	kill(t, s)
	fetchedText(t, s, server.URL("127.0.0.1", "/small"))
}

func TestFetch_NSE0700_PassesTheListenersOfWebRequest(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	cancel := func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
		return BeforeRequestResult{Cancel: true}
	}
	var handled int
	count := func(*http.Request) (*http.Response, error) {
		handled++
		return textResponse("handled"), nil
	}
	for _, c := range []struct{ name, url, scheme string }{
		{"NSE-0700 https", "https://foo/", ""},
		{"NSE-0708 https that is intercepted", "https://foo/", "https"},
		{"NSE-0729 file that is intercepted", "file:///foo", "file"},
		{"NSE-0742 a registered protocol", "app://foo/", "app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			listens(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, cancel))
			if c.scheme != "" {
				handles(t, s, c.scheme, count)
			}
			err := fetchError(t, s, c.url, FetchOptions{})
			wantNetError(t, err, netBlockedByClient)
			wantError(t, err, "net::ERR_BLOCKED_BY_CLIENT")
			if handled != 0 {
				t.Error("the handler was called")
			}
		})
	}
	t.Run("NSE-0514 which redirect", func(t *testing.T) {
		to := server.URL("127.0.0.1", "/cookies?here")
		listens(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: []string{"*://127.0.0.1/small"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
			return BeforeRequestResult{RedirectURL: to}
		}))
		response, _ := fetched(t, s, fetchRequest(t, "GET", server.URL("127.0.0.1", "/small"), nil), FetchOptions{})
		if got := response.Request.URL.String(); got != to {
			t.Errorf("the response is from %s", got)
		}
	})
	t.Run("NSE-0545 of its own session alone", func(t *testing.T) {
		other := namedSession(t, "other")
		listens(t)(other.WebRequest().OnBeforeRequest(WebRequestFilter{}, cancel))
		fetchedText(t, s, server.URL("127.0.0.1", "/small"))
	})
	t.Run("UTL-1370 which change headers", func(t *testing.T) {
		listens(t)(s.WebRequest().OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			d.RequestHeaders.Set("X-Of-Listener", "yes")
			return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
		}))
		listens(t)(s.WebRequest().OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
			d.ResponseHeaders.Set("X-Seen", d.StatusLine)
			return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
		}))
		response, got := fetched(t, s, fetchRequest(t, "GET", server.URL("127.0.0.1", "/headers"), nil), FetchOptions{})
		if !strings.Contains(got, "X-Of-Listener") || response.Header.Get("X-Seen") != "HTTP/1.1 200 OK" {
			t.Errorf("the server saw %q, the caller %v", got, response.Header)
		}
	})
	t.Run("CX46 in the order of a page's requests", func(t *testing.T) {
		var told []string
		var id uint64
		note := func(event string, d *RequestDetails) {
			told = append(told, event+" "+d.URL[strings.LastIndexByte(d.URL, '/'):])
			if id == 0 {
				id = d.ID
			}
			if d.ID != id || d.ResourceType != ResourceXHR || d.Method != "GET" {
				t.Errorf("%s: %+v", event, d)
			}
		}
		w, all := s.WebRequest(), WebRequestFilter{}
		listens(t)(w.OnBeforeRequest(all, func(_ context.Context, d *BeforeRequestDetails) (none BeforeRequestResult) {
			note("before", &d.RequestDetails)
			return none
		}))
		listens(t)(w.OnBeforeSendHeaders(all, func(_ context.Context, d *BeforeSendHeadersDetails) (none BeforeSendHeadersResult) {
			note("headers", &d.RequestDetails)
			return none
		}))
		listens(t)(w.OnSendHeaders(all, func(_ context.Context, d *SendHeadersDetails) { note("sent", &d.RequestDetails) }))
		listens(t)(w.OnHeadersReceived(all, func(_ context.Context, d *HeadersReceivedDetails) (none HeadersReceivedResult) {
			note("received", &d.RequestDetails)
			return none
		}))
		listens(t)(w.OnBeforeRedirect(all, func(_ context.Context, d *BeforeRedirectDetails) { note("redirect", &d.RequestDetails) }))
		listens(t)(w.OnResponseStarted(all, func(_ context.Context, d *ResponseStartedDetails) { note("started", &d.RequestDetails) }))
		listens(t)(w.OnCompleted(all, func(_ context.Context, d *CompletedDetails) { note("completed "+d.Error, &d.RequestDetails) }))
		listens(t)(w.OnErrorOccurred(all, func(_ context.Context, d *ErrorOccurredDetails) { note("error "+d.Error, &d.RequestDetails) }))
		fetchedText(t, s, server.URL("127.0.0.1", "/redirect?to=small"))
		want := "before /redirect?to=small,headers /redirect?to=small,sent /redirect?to=small,received /redirect?to=small,redirect /redirect?to=small," +
			"before /small,headers /small,sent /small,received /small,started /small,completed net::OK /small"
		if got := strings.Join(told, ","); got != want {
			t.Errorf("told was\n%s, not\n%s", got, want)
		}
		told, id = nil, 0
		fetchError(t, s, "http://127.0.0.1:1/none", FetchOptions{})
		if got := strings.Join(told, ","); got != "before /none,headers /none,sent /none,error net::ERR_CONNECTION_REFUSED /none" {
			t.Errorf("told was %s", got)
		}
	})
}

func TestFetch_ListenersSeeTheBodyAndCannotTakeTheUserAgent(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	agents := make(chan string, 3)
	server.Handle("/agent", func(_ http.ResponseWriter, r *http.Request) { agents <- r.UserAgent() })
	var seen []UploadData
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		seen = d.UploadData()
		return BeforeRequestResult{}
	}))
	webRequestAdded(t)(s.WebRequest().OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		d.RequestHeaders.Del("User-Agent")
		return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
	}))
	agent, err := s.GetUserAgent(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body io.Reader
		want []UploadData
	}{
		"none":     {nil, nil},
		"a text":   {strings.NewReader("sent"), []UploadData{{Bytes: []byte("sent")}}},
		"a stream": {io.MultiReader(strings.NewReader("sent")), []UploadData{{}}},
	} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL("a.test", "/agent"), c.body)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.Fetch(r, FetchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		wantEqual(t, name+": the body", seen, c.want)
		wantEqual(t, name+": the user agent", <-agents, agent)
	}
}

func TestFetch_CookiesThatAHopSetsAreThoseOfTheNext(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	server.Handle("/login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "sid=new; Path=/")
		w.Header().Add("Set-Cookie", "old=; Path=/; Max-Age=0")
		http.Redirect(w, r, "/cookies", http.StatusFound)
	})
	setCookie(t, s, CookieDetails{URL: server.URL("127.0.0.1", "/"), Name: "old", Value: "1"})
	setCookie(t, s, CookieDetails{URL: server.URL("127.0.0.1", "/login"), Name: "below", Value: "1", Path: "/login"})
	if got := fetchedText(t, s, server.URL("127.0.0.1", "/login")); got != "sid=new" {
		t.Errorf("the second hop had the cookies %q", got)
	}
}

func TestFetch_ListenerThatWaitsHoldsNobody(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	release, asked := make(chan struct{}), make(chan struct{}, 1)
	defer close(release)
	listens(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) (none BeforeRequestResult) {
		asked <- struct{}{}
		<-release
		return none
	}))
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-asked
		cancel()
	}()
	if _, err := s.Fetch(fetchRequest(t, "GET", "http://127.0.0.1:1/", nil).WithContext(ctx), FetchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestFetch_RedirectOfAListenerKeepsAStreamedBody(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	server.Handle("/back", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	listens(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: []string{"*://*/first"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
		return BeforeRequestResult{RedirectURL: server.URL("127.0.0.1", "/back")}
	}))
	if _, got := fetched(t, s, fetchRequest(t, "POST", server.URL("127.0.0.1", "/first"), &countingReader{left: 3}), FetchOptions{}); got != "\x00\x01\x02" {
		t.Errorf("got %q", got)
	}
}

func TestFetch_RefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	var invalid *InvalidArgumentError
	for _, r := range []*http.Request{nil, {}} {
		if _, err := s.Fetch(r, FetchOptions{}); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
