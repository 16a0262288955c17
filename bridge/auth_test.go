package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// authenticates answers all questions with the fixture's credentials and notes
// them.
func authenticates(s *Session) <-chan AuthRequest {
	asked := make(chan AuthRequest, 100)
	s.SetAuthHandler(func(_ context.Context, r AuthRequest) (Credentials, bool) {
		asked <- r
		return Credentials{fixture.User, fixture.Password}, true
	})
	return asked
}

// status asks for a path in a page.
func status(path string) string {
	return `fetch("` + path + `").then(r => r.status)`
}

func TestAuth_WCO4646_AHandlerIsAskedForANavigation(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s, other := namedSession(t, "asked"), namedSession(t, "not asked")
	asked := authenticates(s)
	page := testPage(t, s, server.URL("a.test", "/auth/basic?realm=Foo"))
	want(t, page, `document.body.innerText`, "welcome")
	r := next(t, asked)
	host, number, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(server.URL("a.test", "/"), "http://"), "/"), ":")
	wanted, _ := strconv.Atoi(number)
	if r.URL != server.URL("a.test", "/auth/basic?realm=Foo") || r.IsProxy || r.Scheme != "basic" || r.Host != host || r.Port != wanted || r.Realm != "Foo" || !r.FirstAttempt {
		t.Errorf("%+v", r)
	}
	if r.WebContents != page || r.Frame == nil || r.Frame.ID != page.ID() {
		t.Errorf("of %v, %v", r.WebContents, r.Frame)
	}
	_, err := other.NewPage(testContext(t), server.URL("a.test", "/auth/basic"))
	var failed *LoadError
	if !errors.As(err, &failed) || failed.Code != "net::ERR_INVALID_AUTH_CREDENTIALS" {
		t.Errorf("without a handler: %v", err)
	}
}

func TestAuth_WCO4692_WithoutAnAnswerThePageShowsWhatTheServerSent(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	s.SetAuthHandler(func(context.Context, AuthRequest) (Credentials, bool) { return Credentials{}, false })
	page := testPage(t, s, sharedServer(t).URL("a.test", "/auth/basic"))
	want(t, page, `document.body.innerText`, "who are you?")
	s.SetAuthHandler(func(context.Context, AuthRequest) (Credentials, bool) { panic("of the handler") })
	want(t, page, status("/auth/basic?realm=other"), 401)
}

func TestAuth_AWrongAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/"))
	s.SetAuthHandler(func(_ context.Context, r AuthRequest) (Credentials, bool) {
		if r.FirstAttempt {
			return Credentials{"nobody", "knows"}, true
		}
		return Credentials{fixture.User, fixture.Password}, true
	})
	want(t, page, status("/auth/digest"), 200)
	want(t, page, status("/auth/basic?realm=b"), 200)
}

func TestAuth_APP2614_RequestsOfEveryKindAreAnswered(t *testing.T) {
	server := fixture.New(t)
	server.Handle("/ask/{realm}/", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != fixture.Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="`+r.PathValue("realm")+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for name, script := range map[string]string{
		"worker":  `fetch("/ask/worker/").then(r => postMessage(r.status))`,
		"shared":  `onconnect = e => fetch("/ask/shared/").then(r => e.ports[0].postMessage(r.status))`,
		"service": `onmessage = e => e.waitUntil(fetch("/ask/service/").then(r => e.source.postMessage(r.status)))`,
	} {
		server.Handle("/asking/"+name+".js", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			io.WriteString(w, script)
		})
	}
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			asked := authenticates(s)
			defer s.SetAuthHandler(nil)
			page := testPage(t, s, server.URL("localhost", "/"))
			for realm, expression := range map[string]string{
				"fetch":   status("/ask/fetch/"),
				"xhr":     `new Promise(done => { const x = new XMLHttpRequest(); x.open("GET", "/ask/xhr/"); x.onload = () => done(x.status); x.send() })`,
				"frame":   `new Promise(done => { const f = document.createElement("iframe"); f.src = "/ask/frame/"; f.onload = () => done(f.contentWindow.performance.getEntriesByType("navigation")[0].responseStatus); document.body.append(f) })`,
				"worker":  `new Promise(done => new Worker("/asking/worker.js").onmessage = e => done(e.data))`,
				"shared":  `new Promise(done => new SharedWorker("/asking/shared.js").port.onmessage = e => done(e.data))`,
				"service": `navigator.serviceWorker.register("/asking/service.js").then(r => new Promise(done => { navigator.serviceWorker.onmessage = e => done(e.data); (r.installing || r.active).postMessage("") }))`,
			} {
				want(t, page, expression, 200)
				if r := next(t, asked); r.Realm != realm {
					t.Errorf("asked for the realm %q, want %q", r.Realm, realm)
				}
			}
			if err := s.ClearAuthCache(testContext(t)); err != nil {
				t.Error(err)
			}
			if err := s.ClearStorageData(testContext(t), ClearStorageOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClearAuthCache_ForgetsTheCredentialsOfItsSessionOnly(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	sessions := map[string]*Session{"one": namedSession(t, "one"), "two": namedSession(t, "two")}
	pages := map[string]*WebContents{}
	for name, s := range sessions {
		authenticates(s)
		pages[name] = testPage(t, s, server.URL("a.test", "/set-cookie?kept=1"))
		want(t, pages[name], status("/auth/basic"), 200)
		s.SetAuthHandler(func(context.Context, AuthRequest) (Credentials, bool) { return Credentials{}, false })
		want(t, pages[name], status("/auth/basic"), 200)
	}
	if err := sessions["one"].ClearAuthCache(testContext(t)); err != nil {
		t.Fatal(err)
	}
	want(t, pages["one"], status("/auth/basic"), 401)
	want(t, pages["two"], status("/auth/basic"), 200)
	want(t, pages["one"], `document.cookie`, "kept=1")
}

func TestClearAuthCache_SES1260_OfFetch(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	plain := sharedServer(t).URL("127.0.0.1", "/auth/basic")
	withPassword := strings.Replace(plain, "://", "://"+fixture.User+":"+strings.ReplaceAll(fixture.Password, " ", "%20")+"@", 1)
	for i, step := range []struct {
		url    string
		status int
	}{{plain, 401}, {withPassword, 200}, {plain, 200}} {
		if got := fetchedStatus(t, s, step.url); got != step.status {
			t.Errorf("%d: %d, want %d", i, got, step.status)
		}
	}
	if err := s.ClearAuthCache(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := fetchedStatus(t, s, plain); got != 401 {
		t.Errorf("afterwards: %d", got)
	}
}

func TestAuth_FetchAsksTheHandler(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	asked := authenticates(s)
	server := sharedServer(t)
	for _, path := range []string{"/auth/basic?realm=b", "/auth/digest?realm=d", "/auth/digest?realm=d"} {
		if got := fetchedStatus(t, s, server.URL("127.0.0.1", path)); got != 200 {
			t.Errorf("%s: %d", path, got)
		}
	}
	for _, scheme := range []string{"basic", "digest"} {
		if r := next(t, asked); r.Scheme != scheme || r.WebContents != nil || !r.FirstAttempt {
			t.Errorf("%+v", r)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked once more: %+v", <-asked)
	}
}

func fetchedStatus(t *testing.T, s *Session, url string) int {
	t.Helper()
	response, _ := fetched(t, s, fetchRequest(t, "GET", url, nil), FetchOptions{})
	return response.StatusCode
}
