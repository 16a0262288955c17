package bridge

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// schemed is a browser with privileged schemes, which the tests of custom
// schemes share.
var schemed struct {
	once    sync.Once
	browser *Browser
	dir     string
	err     error
}

func schemedSession(t testing.TB, name string) *Session {
	t.Helper()
	server := sharedServer(t)
	schemed.once.Do(func() {
		if schemed.dir, schemed.err = os.MkdirTemp("", "bridge-schemes-"); schemed.err != nil {
			return
		}
		all := SchemePrivileges{Standard: true, Secure: true, SupportFetchAPI: true, CORSEnabled: true, AllowServiceWorkers: true, Stream: true}
		o := testOptions(server, schemed.dir)
		o.Args = append(o.Args, "--allow-file-access-from-files")
		o.PrivilegedSchemes = []PrivilegedScheme{{"app", all}, {"no-cors", SchemePrivileges{Standard: true, Secure: true, SupportFetchAPI: true}}, {"http-no-cors", SchemePrivileges{Standard: true, Secure: true, SupportFetchAPI: true}}, {"insecure", SchemePrivileges{Standard: true}}}
		schemed.browser, schemed.err = Launch(testContext(t), o)
	})
	if schemed.err != nil {
		t.Fatal(schemed.err)
	}
	s, err := schemed.browser.FromPartition(testContext(t), t.Name()+name, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	return s
}

// comesTrue waits for what no event of the page tells.
func comesTrue(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx := testContext(t)
	for !holds() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("it never came true: %s", what)
		}
	}
}

// site is a ProtocolHandler that answers paths with texts, of the type that
// their names say.
func site(texts map[string]string) ProtocolHandler {
	return func(r *http.Request) (*http.Response, error) {
		text, ok := texts[r.URL.Path]
		response := textResponse(text)
		response.Header = http.Header{"Access-Control-Allow-Origin": {"*"}}
		if !ok {
			response.StatusCode = 404
		}
		switch {
		case strings.HasSuffix(r.URL.Path, ".js"):
			response.Header.Set("Content-Type", "text/javascript")
		case strings.HasSuffix(r.URL.Path, ".css"):
			response.Header.Set("Content-Type", "text/css")
		case strings.HasSuffix(r.URL.Path, ".svg"):
			response.Header.Set("Content-Type", "image/svg+xml")
		}
		return response, nil
	}
}

var appSite = map[string]string{
	"/":             `<title>home</title><h1>home</h1><iframe id=frame src="/framed"></iframe>`,
	"/other":        `<title>other</title>`,
	"/framed":       `<title>framed</title>framed`,
	"/script.js":    `globalThis.loaded = (globalThis.loaded ?? 0) + 1`,
	"/style.css":    `h1 { color: rgb(1, 2, 3) }`,
	"/image.svg":    `<svg xmlns="http://www.w3.org/2000/svg" width="7" height="5"></svg>`,
	"/module.js":    `import {half} from './half.js'; import {other} from "app://far/other.js"; export default half + other`,
	"/half.js":      `export const half = 20`,
	"/other.js":     `export const other = 22`,
	"/modules.html": `<title>modules</title><script type="module" src="app://x/main.js"></script>`,
	"/main.js":      `import answer from "app://x/module.js"; document.title = String(answer)`,
	"/worker.js":    `fetch('app://x/half.js').then(async (r) => postMessage([r.url, await r.text()]))`,
	"/sw.js":        `self.onfetch = (e) => { if (e.request.url.endsWith('/of-worker')) e.respondWith(new Response('of the worker')) }; self.onactivate = (e) => e.waitUntil(clients.claim())`,
}

func TestCustomScheme_PRO0976_SES0737_PageHasASecureOriginWithStorage(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", site(appSite))
	page := testPage(t, s, "app://x/")
	if got := page.URL(); got != "app://x/" {
		t.Errorf("the page is at %s", got)
	}
	want(t, page, "document.title", "home")
	want(t, page, "isSecureContext", true)
	want(t, page, "fetch('/half.js').then(r => r.text())", appSite["/half.js"])
	want(t, page, "document.cookie = 'a=1', localStorage.b = '2', document.cookie + localStorage.b", "a=12")
	want(t, page, "caches.open('c').then(() => 'open')", "open") // PRO-1023
	want(t, page, "new Promise((done) => { const open = indexedDB.open('d'); open.onsuccess = () => done('open'); open.onerror = () => done('error') })", "open")
	comesTrue(t, "the frame is there", func() bool {
		frames := page.Frames()
		return len(frames) == 2 && frames[1].URL == "app://x/framed" && frames[1].Origin == "app://x"
	})
	other := testPage(t, s, "app://y/")
	want(t, other, "document.cookie + localStorage.b", "undefined")
	if cookies := getCookies(t, s, CookieFilter{URL: "app://x/"}); len(cookies) != 1 || cookies[0].Value != "1" {
		t.Errorf("the cookies of the URL are %+v", cookies)
	}
	setCookie(t, s, CookieDetails{URL: "app://y/", Name: "of", Value: "go"})
	want(t, other, "document.cookie", "of=go")
}

func TestCustomScheme_NavigationsOfAllKindsArrive(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", func(r *http.Request) (*http.Response, error) {
		response, err := site(appSite)(r)
		if r.Method == "POST" {
			r.ParseMultipartForm(1 << 20)
			r.ParseForm()
			response = textResponse("<title>posted " + r.PostForm.Get("q") + "</title>")
		}
		return response, err
	})
	base := sharedServer(t).URL("a.test", "/page/start")
	page := testPage(t, s, base)
	element := func(kind, set, act string) string {
		return fmt.Sprintf(`(() => { const e = Object.assign(document.createElement(%q), %s); document.body.append(e); %s })(), 1`, kind, set, act)
	}
	for _, c := range []struct{ name, script, title string }{
		{"location", `location.href = 'app://x/other', 1`, "other"},
		{"replace", `location.replace('app://x/other'), 1`, "other"},
		{"a link", element("a", "{href: 'app://x/other'}", "e.click()"), "other"},
		{"a form", element("form", "{action: 'app://x/other', innerHTML: '<input name=q value=1>'}", "e.submit()"), "other"},
		{"a form that posts", element("form", "{action: 'app://x/other', method: 'post', innerHTML: '<input name=q value=1>'}", "e.submit()"), "posted 1"},
		{"a redirect", fmt.Sprintf("location.href = %q, 1", sharedServer(t).URL("a.test", "/redirect?to=app://x/other")), "other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := page.LoadURL(testContext(t), base, LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			want(t, page, c.script, 1)
			comesTrue(t, "the page is there", func() bool { title, _ := page.Title(testContext(t)); return title == c.title })
			if got := page.URL(); !strings.HasPrefix(got, "app://x/other") {
				t.Errorf("the page is at %s", got)
			}
		})
	}
	t.Run("PRO-0277 a frame", func(t *testing.T) {
		if err := page.LoadURL(testContext(t), base, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, element("iframe", "{src: 'app://x/framed'}", ""), 1)
		comesTrue(t, "the frame is there", func() bool { f := page.Frames(); return len(f) == 2 && f[1].URL == "app://x/framed" })
		comesTrue(t, "it has its text", func() bool {
			text, _ := Evaluate[string](testContext(t), page.Frames()[1], "document.body.innerText")
			return text == "framed"
		})
	})
	for name, script := range map[string]string{
		"a window":         `globalThis.opened = open('app://x/other'), 1`,
		"a link to a page": element("a", "{href: 'app://x/other', target: '_blank'}", "e.click()"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := page.LoadURL(testContext(t), base, LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			popups := events(page.Popups(testContext(t)))
			if _, err := EvaluateWithGesture[int](testContext(t), page, script); err != nil {
				t.Fatal(err)
			}
			popup := next(t, popups)
			defer popup.Close(testContext(t))
			comesTrue(t, "the page is there", func() bool {
				title, _ := popup.Title(testContext(t))
				return title == "other" && popup.URL() == "app://x/other"
			})
		})
	}
	t.Run("history shows its URLs", func(t *testing.T) {
		if err := page.LoadURL(testContext(t), "app://x/other#part", LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		entries, at, err := page.History(testContext(t))
		if err != nil || entries[at].URL != "app://x/other#part" {
			t.Errorf("%+v, %v", entries, err)
		}
	})
}

func TestCustomScheme_PagesOfTheWebLoadFromIt(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", site(appSite))
	page := testPage(t, s, sharedServer(t).TLSURL("a.test", "/page/web"))
	loads := func(kind, set string) string {
		return fmt.Sprintf(`new Promise((done) => document.body.append(Object.assign(document.createElement(%q), {onload() { done('loaded') }, onerror() { done('failed') }}, %s)))`, kind, set)
	}
	for name, c := range map[string]struct {
		script string
		want   any
	}{
		"image":           {loads("img", "{src: 'app://x/image.svg'}"), "loaded"},
		"image not there": {loads("img", "{src: 'app://x/none.svg'}"), "failed"},
		"script":          {loads("script", "{src: 'app://x/script.js'}"), "loaded"},
		"style":           {loads("link", "{rel: 'stylesheet', href: 'app://x/style.css'}"), "loaded"},
		"fetch":           {"fetch('app://x/half.js').then(async (r) => [r.url, r.status, await r.text()].join())", "app://x/half.js,200," + appSite["/half.js"]},
		"Request":         {"fetch(new Request('app://x/half.js')).then((r) => r.text())", appSite["/half.js"]},
		"XMLHttpRequest":  {"new Promise((done) => { const x = new XMLHttpRequest(); x.onload = () => done(x.responseURL + x.status); x.open('GET', 'app://x/half.js'); x.send() })", "app://x/half.js200"},
		"nobody sees how": {"[fetch, XMLHttpRequest.prototype.open, Worker, open].map(String).join().replace(/\\s+/g, ' ')", "function fetch() { [native code] },function open() { [native code] },function Worker() { [native code] },function open() { [native code] }"},
	} {
		t.Run(name, func(t *testing.T) { want(t, page, c.script, c.want) })
	}
}

func TestCustomScheme_ModulesAndWorkers(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "app", site(appSite))
	page := testPage(t, s, "app://x/modules.html")
	comesTrue(t, "the modules have run", func() bool { title, _ := page.Title(testContext(t)); return title == "42" })
	want(t, page, "import('/module.js').then((m) => m.default)", 42)
	want(t, page, "new Promise((done) => { new Worker('app://x/worker.js').onmessage = (e) => done(e.data.join()) })", "app://x/half.js,"+appSite["/half.js"])
	want(t, page, "new Promise((done) => { new Worker('/worker.js', {type: 'module'}).onmessage = (e) => done(e.data.join()) })", "app://x/half.js,"+appSite["/half.js"])
}

func TestCustomScheme_OppositeHandlersInTwoSessions(t *testing.T) {
	t.Parallel()
	one, other := schemedSession(t, "one"), schemedSession(t, "other")
	handles(t, one, "app", says("<title>one</title>"))
	handles(t, other, "app", says("<title>other</title>"))
	first, second := testPage(t, one, "app://x/"), testPage(t, other, "app://x/")
	want(t, first, "document.title + (localStorage.a ??= 'one')", "oneone")
	want(t, second, "document.title + (localStorage.a ?? 'nothing')", "othernothing")
	if err := other.Protocol().Unhandle("app"); err != nil {
		t.Fatal(err)
	}
	if err := second.LoadURL(testContext(t), "app://x/", LoadOptions{}); err == nil {
		t.Error("a scheme that nobody handles was loaded")
	}
	if err := first.Reload(testContext(t), LoadOptions{}); err != nil {
		t.Error(err)
	}
	handles(t, other, "app", says("again")) // for the clean-up
}

func TestCustomScheme_CHR3181_WithoutPrivilegesTheOriginIsOpaque(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	handles(t, s, "plain", says("<title>plain</title>"))
	page := testPage(t, s, "plain://x/")
	want(t, page, "document.title + self.origin + isSecureContext", "plainnullfalse")
	want(t, page, "(() => { try { return String(localStorage) } catch (e) { return e.name } })()", "SecurityError")
	want(t, page, "(() => { try { return indexedDB.open('x') && 'open' } catch (e) { return e.name } })()", "SecurityError")
	want(t, page, "(() => { try { document.cookie = 'a=1'; return document.cookie } catch (e) { return e.name } })()", "SecurityError") // CHR-3190
	want(t, page, "fetch('plain://x/').catch((e) => e.name)", "TypeError")
	handles(t, s, "insecure", says("<title>insecure</title>"))
	if err := page.LoadURL(testContext(t), "insecure://x/", LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title + isSecureContext + (localStorage.a ??= 1)", "insecurefalse1")
}

func TestCustomScheme_OtherOriginsAskByTheRulesOfCORS(t *testing.T) {
	t.Parallel()
	s := schemedSession(t, "")
	asked := make(chan string, 9)
	handles(t, s, "no-cors", func(r *http.Request) (*http.Response, error) {
		asked <- r.Method + r.URL.Path
		response := textResponse("<title>body</title>")
		response.Header = http.Header{"Access-Control-Allow-Origin": {"*"}}
		return response, nil
	})
	page := testPage(t, s, fixture.New(t).URL("127.0.0.1", "/page/cors"))
	for name, script := range map[string]string{
		"PRO-1117 XMLHttpRequest": "new Promise((done) => { const x = new XMLHttpRequest(); x.onload = () => done('read'); x.onerror = () => done('failed'); x.open('GET', 'no-cors://x/xhr'); x.send() })",
		"PRO-1132 PUT":            "fetch('no-cors://x/put', {method: 'PUT', headers: {'X-A': 'b'}}).then(() => 'read', () => 'failed')",
	} {
		t.Run(name, func(t *testing.T) { want(t, page, script, "failed") })
	}
	t.Run("PRO-1144 no-cors is opaque", func(t *testing.T) {
		want(t, page, "fetch('no-cors://x/opaque', {mode: 'no-cors'}).then(async (r) => r.type + r.status + await r.text())", "opaque0")
	})
	t.Run("nor round the page-side code", func(t *testing.T) {
		want(t, page, "fetch('https://x.no-hcors.cdpbridge.invalid/direct').then((r) => r.text(), () => 'failed')", "failed")
	})
	if got := next(t, asked); got != "GET/opaque" {
		t.Errorf("the handler was asked for %s", got)
	}
	t.Run("PRO-1173 of another request too", func(t *testing.T) {
		to := sharedServer(t).URL("127.0.0.1", "/small")
		if !s.Protocol().RegisterHTTPProtocol("http-no-cors", func(*http.Request) *HTTPResponse { return &HTTPResponse{URL: to} }) {
			t.Fatal("not registered")
		}
		if err := page.Reload(testContext(t), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, "fetch('http-no-cors://x/opaque', {mode: 'no-cors'}).then(async (r) => r.type + r.status + await r.text())", "opaque0")
	})
	t.Run("PRO-1215 its own origin may", func(t *testing.T) {
		own := testPage(t, s, "no-cors://x/")
		want(t, own, "fetch('/again').then((r) => r.text())", "<title>body</title>")
		t.Run("PRO-1221 and another of its hosts may not", func(t *testing.T) {
			want(t, own, "fetch('no-cors://y/').then(() => 'read', () => 'failed')", "failed")
		})
	})
	t.Run("PRO-1233 where it is enabled all may", func(t *testing.T) {
		handles(t, s, "app", site(appSite))
		if err := page.Reload(testContext(t), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, "fetch('app://x/half.js').then((r) => r.text())", appSite["/half.js"])
	})
}

func TestCustomScheme_ServiceWorkersAnswerItsPages(t *testing.T) {
	t.Parallel()
	one, other := schemedSession(t, "one"), schemedSession(t, "other")
	for s, answer := range map[*Session]string{one: "of one", other: "of the other"} {
		texts := maps.Clone(appSite)
		texts["/sw.js"] = strings.Replace(appSite["/sw.js"], "of the worker", answer, 1)
		handles(t, s, "app", site(texts))
		page := testPage(t, s, "app://x/")
		want(t, page, `navigator.serviceWorker.register('app://x/sw.js').then(() => navigator.serviceWorker.ready).then(() =>
			navigator.serviceWorker.controller || new Promise((done) => { navigator.serviceWorker.oncontrollerchange = done })).then(() => 'controlled')`, "controlled")
		want(t, page, "fetch('/of-worker').then((r) => r.text())", answer)
		if worker, err := s.ServiceWorkers().StartWorkerForScope(testContext(t), "app://x/"); err != nil || worker.ScriptURL() != "app://x/sw.js" || worker.Scope() != "app://x/" {
			t.Errorf("the worker is %+v, %v", worker, err)
		}
	}
	t.Run("where the scheme may have them", func(t *testing.T) {
		handles(t, one, "no-cors", site(appSite))
		page := testPage(t, one, "no-cors://x/")
		want(t, page, "navigator.serviceWorker.register('/sw.js').then(() => 'registered', (e) => e.name)", "TypeError")
	})
}
