package bridge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// permissionServer serves documents that consist of what is asked for, at names
// that end in .localhost, which are secure origins.
func permissionServer(t testing.TB) *fixture.Server {
	t.Helper()
	server := fixture.New(t)
	server.Handle("/html", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, r.FormValue("body"))
	})
	server.Handle("/js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, r.FormValue("body"))
	})
	server.Handle("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.FormValue("url"), http.StatusFound)
	})
	return server
}

// html is the address of a document.
func html(server *fixture.Server, host, body string) string {
	return server.URL(host, "/html?body="+url.QueryEscape(body))
}

func script(body string) string { return "<!doctype html><script>" + body + "</script>" }

// checking is a check handler that permits these to some origins.
type checking struct {
	takes   time.Duration
	origins []string // that are permitted all; beginnings
	mu      sync.Mutex
	checks  []PermissionCheck
	closed  atomic.Bool // nobody is permitted anything any more
}

func (c *checking) handle(ctx context.Context, check PermissionCheck) bool {
	c.mu.Lock()
	c.checks = append(c.checks, check)
	c.mu.Unlock()
	select {
	case <-time.After(c.takes): // as long as a handler takes that looks something up
	case <-ctx.Done():
	}
	return !c.closed.Load() && slices.ContainsFunc(c.origins, func(o string) bool { return strings.HasPrefix(check.RequestingOrigin, o) })
}

// of are the checks that fit.
func (c *checking) of(fits func(PermissionCheck) bool) []PermissionCheck {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.checks), func(check PermissionCheck) bool { return !fits(check) })
}

// early is a script that keeps what it is told when it begins.
const early = `self.seen = [Notification.permission]; self.later = Promise.all(["geolocation", "notifications"].map(name => navigator.permissions.query({name}).then(s => s.state))).then(all => [...seen, ...all].join());`

func TestPermissionChecks_TheFirstScriptOfADocumentSeesTheAnswer(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	open, shut := namedSession(t, "open"), namedSession(t, "shut")
	yes, no := &checking{takes: 50 * time.Millisecond, origins: []string{"http://yes."}}, &checking{takes: 50 * time.Millisecond, origins: []string{"http://no."}}
	open.SetPermissionCheckHandler(yes.handle)
	shut.SetPermissionCheckHandler(no.handle)
	const granted, denied = "granted,granted,granted", "denied,denied,denied"
	for _, in := range []struct {
		session   *Session
		host      string
		other     string
		want, not string
	}{{open, "yes.localhost", "no.localhost", granted, denied}, {shut, "yes.localhost", "no.localhost", denied, granted}} {
		t.Run(in.want[:6], func(t *testing.T) {
			load := func(t *testing.T, page *WebContents, address, want string) {
				t.Helper()
				loaded(t, page, address)
				if got := evaluated[string](t, page, "later"); got != want {
					t.Errorf("%s saw %s, want %s", address, got, want)
				}
			}
			page := testPage(t, in.session, "")
			mine, theirs := html(server, in.host, script(early)), html(server, in.other, script(early))
			load(t, page, mine, in.want)
			load(t, page, theirs, in.not)
			t.Run("after redirects to other origins", func(t *testing.T) {
				load(t, page, server.URL(in.other, "/to?url="+url.QueryEscape(server.URL(in.other, "/to?url="+url.QueryEscape(mine)))), in.want)
				load(t, page, server.URL(in.host, "/to?url="+url.QueryEscape(theirs)), in.not)
			})
			t.Run("when the page says debugger", func(t *testing.T) {
				load(t, page, html(server, in.host, script("debugger;"+early+"debugger; setInterval(() => { debugger }, 0)")), in.want)
			})
			t.Run("in pop-ups", func(t *testing.T) {
				popups := events(page.Popups(testContext(t)))
				for _, features := range []string{"", "noopener"} {
					gestured(t, page, fmt.Sprintf("void open(%q, '_blank', %q)", theirs, features))
					popup := next(t, popups)
					eventually(t, popup, "self.later")
					if got := evaluated[string](t, popup, "later"); got != in.not {
						t.Errorf("%s: the pop-up saw %s", features, got)
					}
					popup.Close(testContext(t))
				}
			})
			t.Run("in frames of other sites", func(t *testing.T) {
				const framed = `navigator.permissions.query({name: "geolocation"}).then(s => parent.postMessage(s.state, "*"))`
				loaded(t, page, html(server, in.host, script(`self.told = new Promise(r => onmessage = e => r(e.data))`)+fmt.Sprintf(`<iframe allow="geolocation" src="%s"></iframe>`, html(server, in.other, script(framed)))))
				want(t, page, "told", in.not[:strings.Index(in.not, ",")])
			})
			t.Run("after it comes back from the cache", func(t *testing.T) {
				loaded(t, page, mine+"#kept")
				evaluated[bool](t, page, "(self.kept = true)")
				loaded(t, page, theirs)
				if err := page.GoBack(testContext(t), LoadOptions{}); err != nil {
					t.Fatal(err)
				}
				want(t, page, "kept + ','+ Notification.permission", "true,"+in.want[:strings.Index(in.want, ",")])
				loaded(t, page, "about:blank")
			})
		})
	}
}

func loaded(t testing.TB, page *WebContents, address string) {
	t.Helper()
	if err := page.LoadURL(testContext(t), address, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestPermissionChecks_CX11_NeverYieldPrompt(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	s.SetPermissionCheckHandler(func(context.Context, PermissionCheck) bool { return false })
	page := testPage(t, s, html(permissionServer(t), "a.localhost", script(early)))
	want(t, page, everyState, "denied,denied")
	// Chromium itself denies, too.
	want(t, page, `new Promise(done => { const n = new Notification("x"); n.onshow = () => done("shown"); n.onerror = () => done("error") })`, "error")
	// But nobody is asked for a request: it is granted.
	want(t, page, `navigator.storage.persist()`, true)
	s.SetPermissionCheckHandler(nil)
	want(t, page, everyState, "granted,granted")
	want(t, page, `new Promise(done => { const n = new Notification("x"); n.onshow = () => done("shown"); n.onerror = () => done("error") })`, "shown")
}

func TestPermissionChecks_CX15_AHandlerThatPanicsSaysNo(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	s.SetPermissionCheckHandler(func(context.Context, PermissionCheck) bool { panic("a handler's mistake") })
	page := testPage(t, s, html(permissionServer(t), "a.localhost", script(early)))
	want(t, page, everyState, "denied,denied")
}

func TestPermissionChecks_SES1953_TellWhoAsks(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	c := &checking{origins: []string{"http://a."}}
	s.SetPermissionCheckHandler(c.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, `navigator.permissions.query({name: "clipboard-read"}).then(s => s.state)`, "granted")
	asked := c.of(func(check PermissionCheck) bool {
		return check.Permission == PermissionClipboardRead && check.Frame != nil
	})
	if len(asked) != 1 || asked[0].RequestingURL != page.URL() || asked[0].RequestingOrigin != server.URL("a.localhost", "/") || asked[0].WebContents != page || !asked[0].IsMainFrame || asked[0].EmbeddingOrigin != asked[0].RequestingOrigin {
		t.Errorf("asked %+v", asked)
	}
}

func TestPermissionChecks_SES1992_TellOfFramesOfOtherSites(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	c := &checking{origins: []string{"http://b."}}
	s.SetPermissionCheckHandler(c.handle)
	framed := html(server, "b.localhost", script(`navigator.permissions.query({name: "clipboard-read"}).then(s => parent.postMessage(s.state, "*"))`))
	page := testPage(t, s, html(server, "a.localhost", script(`self.told = new Promise(r => onmessage = e => r(e.data))`)+fmt.Sprintf(`<iframe allow="clipboard-read" src="%s"></iframe>`, framed)))
	want(t, page, "told", "granted")
	asked := c.of(func(check PermissionCheck) bool {
		return check.Permission == PermissionClipboardRead && check.Frame != nil
	})
	if len(asked) != 1 || asked[0].RequestingURL != framed || asked[0].RequestingOrigin != server.URL("b.localhost", "/") || asked[0].EmbeddingOrigin != server.URL("a.localhost", "/") || asked[0].IsMainFrame || asked[0].Frame.ParentID != page.ID() {
		t.Errorf("asked %+v", asked)
	}
}

func TestPermissionChecks_CX21_OfWorkersHaveNoPage(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	c := &checking{origins: []string{"http://a."}}
	s.SetPermissionCheckHandler(c.handle)
	// It is known from Chromium who they are.
	const told = `Object.defineProperty(self, "origin", {value: "https://bank.test"}); const told = () => navigator.permissions.query({name: "geolocation"}).then(s => Notification.permission + "," + s.state);`
	worker := func(body string) string { return "/js?body=" + url.QueryEscape(told+body) }
	const ask = `([dedicated, shared, service]) => {
		const answer = target => new Promise(r => target.onmessage = e => r(e.data));
		const registered = async () => {
			const {installing} = await navigator.serviceWorker.register(service, {scope: "/"});
			const answered = answer(navigator.serviceWorker);
			installing.postMessage("");
			return answered;
		};
		return Promise.all([answer(new Worker(dedicated)), answer(new SharedWorker(shared).port), registered()]).then(all => all.join(" "));
	}`
	for host, state := range map[string]string{"a.localhost": "granted", "b.localhost": "denied"} {
		page := testPage(t, s, html(server, host, ""))
		got := evaluated[string](t, page, ask, []string{worker("told().then(postMessage)"), worker("onconnect = e => told().then(m => e.ports[0].postMessage(m))"), worker("onmessage = e => e.waitUntil(told().then(m => e.source.postMessage(m)))")})
		both := state + "," + state
		if got != both+" "+both+" "+both {
			t.Errorf("%s: %s", host, got)
		}
	}
	asked := c.of(func(check PermissionCheck) bool { return strings.Contains(check.RequestingURL, "/js?body=") })
	if len(asked) != 12 {
		t.Errorf("%d checks of workers", len(asked))
	}
	for _, check := range asked {
		if check.WebContents != nil || check.Frame != nil || check.IsMainFrame || check.EmbeddingOrigin != check.RequestingOrigin || !strings.HasPrefix(check.RequestingOrigin, "http://") {
			t.Errorf("asked %+v", check)
		}
	}
}

func TestPermissionChecks_PagesHearOfAChange(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	c := &checking{origins: []string{"http://a."}}
	s.SetPermissionCheckHandler(c.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, `navigator.permissions.query({name: "geolocation"}).then(s => { self.held = s; self.changes = []; s.onchange = () => changes.push(s.state); return s.state })`, "granted")
	// A request that is granted for a moment is no change.
	want(t, page, settled(`navigator.clipboard.writeText("x")`), "ok")
	c.closed.Store(true)
	s.SetPermissionCheckHandler(c.handle)
	eventually(t, page, `changes.join() === "denied" && Notification.permission === "denied"`)
	s.SetPermissionCheckHandler(nil)
	eventually(t, page, `changes.join() === "denied,granted" && held.state === "granted"`)
}

func TestPermissionChecks_APageThatStandsStillGoesOnWithAnotherHandler(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	asked := make(chan bool, 100)
	s.SetPermissionCheckHandler(func(ctx context.Context, c PermissionCheck) bool {
		if c.Permission == PermissionNotifications {
			asked <- true
			<-ctx.Done()
		}
		return false
	})
	page := testPage(t, s, html(server, "a.localhost", ""))
	for len(asked) > 0 { // for what Chromium itself looks at
		<-asked
	}
	evaluated[bool](t, page, `(setTimeout(() => { self.seen = Notification.permission }), true)`)
	next(t, asked)
	s.SetPermissionCheckHandler(func(context.Context, PermissionCheck) bool { return true })
	eventually(t, page, `self.seen === "granted"`)
}

func TestPermissionChecks_CHR2812_TheIdleDetectorStarts(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	var allowed atomic.Bool
	allowed.Store(true)
	s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool {
		return allowed.Load() && c.Permission == PermissionIdleDetection
	})
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, settled(`new IdleDetector().start()`), "ok")
	allowed.Store(false)
	loaded(t, page, html(server, "b.localhost", ""))
	want(t, page, settled(`new IdleDetector().start()`), "NotAllowedError: Idle detection permission denied")
}

func TestPermissionChecks_CHR2626_CHR2643_CHR2660_StorageAccess(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	var only Permission
	s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool { return c.Permission == only })
	page := testPage(t, s, html(server, "a.localhost", ""))
	const state = `navigator.permissions.query({name: "storage-access"}).then(s => s.state)`
	want(t, page, state, "denied")
	only = PermissionStorageAccess
	want(t, page, state, "granted")
	const topLevel = `navigator.permissions.query({name: "top-level-storage-access", requestedOrigin: "https://b.test"}).then(s => s.state)`
	want(t, page, topLevel, "denied")
	only = PermissionTopLevelStorageAccess
	want(t, page, topLevel, "granted")
}

func TestPermissionChecks_AreForgottenWithTheHandler(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionCheckHandler(func(context.Context, PermissionCheck) bool { return false })
	const shows = `new Promise(done => { const n = new Notification("x"); n.onshow = () => done("shown"); n.onerror = () => done("error") })`
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, shows, "error")
	loaded(t, page, html(server, "b.localhost", ""))
	s.SetPermissionCheckHandler(nil)
	loaded(t, page, html(server, "a.localhost", ""))
	want(t, page, shows, "shown")
}

// Chromium stops no script of a document that is about to go.
func TestPermissionChecks_ADocumentThatGoesIsNotToldMore(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionCheckHandler(func(context.Context, PermissionCheck) bool { return false })
	page := testPage(t, s, "")
	for _, event := range []string{"pagehide", "unload", "visibilitychange", "freeze", "beforeunload"} {
		loaded(t, page, html(server, "a.localhost", ""))
		evaluated[any](t, page, `event => { localStorage.clear(); for (const target of [document, window]) target.addEventListener(event, () => { localStorage[event] = Notification.permission }); }`, event)
		loaded(t, page, html(server, "b.localhost", ""))
		loaded(t, page, html(server, "a.localhost", ""))
		if got := evaluated[string](t, page, `event => localStorage[event] ?? "nothing"`, event); got != "denied" && got != "nothing" {
			t.Errorf("%s: %s", event, got)
		}
	}
	s.SetPermissionCheckHandler(nil)
	want(t, page, "Notification.permission", "granted")
}

// The script in a worker is in the worker's own world, and its stack tells its name.
func TestPermissionChecks_AWorkerLearnsNoNameByWhichItsPageCanAskInTheNameOfOthers(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool {
		return strings.HasPrefix(c.RequestingOrigin, "https://bank.")
	})
	page := testPage(t, s, html(permissionServer(t), "a.localhost", ""))
	name := evaluated[string](t, page, `new Promise(r => {
		const w = new Worker(URL.createObjectURL(new Blob(["let stack = ''; navigator.permissions.query({get name() { stack = new Error().stack; return 'geolocation' }}).catch(() => {}).then(() => postMessage(stack))"])));
		w.onmessage = e => r(e.data.match(/bridge:\w+/)?.[0] ?? "");
	})`)
	if name == "" {
		t.Fatal("the stack tells nothing any more: the test has to find another way")
	}
	want(t, page, fmt.Sprintf(`(0, eval)(%q)`, `(() => {
		const location = {href: "https://bank.test/"}, self = {origin: "https://bank.test"}, question = {permission: "geolocation"}, answer = {state: "none"};
		debugger;
		return answer.state;
	})()
	//# sourceURL=`+name), "none")
}
