package bridge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/google/go-cmp/cmp"
)

const (
	agentChrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
	agentOther  = "foobar"
)

// agentServer serves /page/… and workers that tell what they see, and notes the
// headers of every request.
func agentServer(t testing.TB) *fixture.Server {
	server := fixture.New(t)
	for path, script := range map[string]string{
		"/agent/dedicated.js": "onmessage = () => fetch('/echo?dedicated').then(() => postMessage(" + agentSeen + "))",
		"/agent/shared.js":    "onconnect = (e) => fetch('/echo?shared').then(() => e.ports[0].postMessage(" + agentSeen + "))",
		"/agent/service.js":   "oninstall = () => skipWaiting(); onmessage = (e) => fetch('/echo?service').then(() => e.source.postMessage(" + agentSeen + "))",
	} {
		server.Handle(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Service-Worker-Allowed", "/")
			io.WriteString(w, script)
		})
	}
	return server
}

// agentSeen is what scripts see of the user agent.
const agentSeen = "[navigator.userAgent, navigator.appVersion, navigator.userAgentData.platform, navigator.userAgentData.brands.map(b => b.brand + b.version).join(), navigator.languages.join()].join('|')"

// agentHeaders are the headers of the last request of a URI.
func agentHeaders(t testing.TB, server *fixture.Server, uri string) http.Header {
	t.Helper()
	var last http.Header
	for _, r := range server.Requests() {
		if r.URI == uri {
			last = r.Header
		}
	}
	if last == nil {
		t.Errorf("nobody asked for %s", uri)
	}
	return last
}

// agentSet sets a user agent.
func agentSet(t testing.TB, s *Session, userAgent, acceptLanguages string) {
	t.Helper()
	if err := s.SetUserAgent(testContext(t), userAgent, acceptLanguages); err != nil {
		t.Fatal(err)
	}
}

func TestUserAgent_SES2123_CanBeReadBack(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	own, err := s.GetUserAgent(ctx)
	if err != nil || own == "" {
		t.Fatalf("%q, %v", own, err)
	}
	want(t, testPage(t, s, ""), "navigator.userAgent", own)
	agentSet(t, s, "test-agent", "")
	if got, err := s.GetUserAgent(ctx); got != "test-agent" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	agentSet(t, s, "", "")
	if got, err := s.GetUserAgent(ctx); got != own || err != nil {
		t.Errorf("%q, %v, want %q again", got, err, own)
	}
	var invalid *InvalidArgumentError
	if err := s.SetUserAgent(ctx, "a\r\nb: c", ""); !errors.As(err, &invalid) {
		t.Errorf("a user agent of two lines: %v", err)
	}
	if err := s.SetUserAgent(ctx, "a", "en\r\nb: c"); !errors.As(err, &invalid) {
		t.Errorf("a language of two lines: %v", err)
	}
}

func TestUserAgent_SES2130_CX96_AcceptLanguagesChangeTheHeaderOnly(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), agentServer(t)
	languages := evaluated[string](t, testPage(t, s, ""), "navigator.languages.join()")
	agentSet(t, s, "test-agent", "en-US,fr,de")
	page := testPage(t, s, server.URL("localhost", "/page/first"))
	if _, err := Evaluate[any](ctx, page, "fetch('/echo?fetch')"); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"/page/first", "/echo?fetch"} {
		h := agentHeaders(t, server, uri)
		if h.Get("User-Agent") != "test-agent" || h.Get("Accept-Language") != "en-US,fr;q=0.9,de;q=0.8" {
			t.Errorf("%s: %q, %q", uri, h.Get("User-Agent"), h.Get("Accept-Language"))
		}
	}
	want(t, page, "navigator.languages.join()", languages)
	agentSet(t, s, "", "fr")
	other := testPage(t, s, server.URL("localhost", "/page/second"))
	if h := agentHeaders(t, server, "/page/second"); h.Get("Accept-Language") != "fr" || h.Get("User-Agent") == "test-agent" {
		t.Errorf("only languages: %q, %q", h.Get("User-Agent"), h.Get("Accept-Language"))
	}
	want(t, other, "navigator.languages.join()", languages)
}

func TestUserAgent_CX95_OpenPagesKeepTheirs(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), agentServer(t)
	agentSet(t, s, "first", "")
	a := testPage(t, s, "")
	agentSet(t, s, "second", "")
	b := testPage(t, s, "")
	for page, agent := range map[*WebContents]string{a: "first", b: "second"} {
		if err := page.LoadURL(ctx, server.URL("localhost", "/frames?a="+server.URL("127.0.0.1", "/page/frame-"+agent)), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, in := range page.Frames() {
			want(t, in, "navigator.userAgent", agent)
		}
		if got, err := page.UserAgent(ctx); got != agent || err != nil {
			t.Errorf("%q, %v, want %q", got, err, agent)
		}
	}
}

func TestUserAgent_IsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	server := agentServer(t)
	for _, c := range []struct {
		session                       *Session
		agent, platform, hint, brands string
	}{
		{namedSession(t, "chrome"), agentChrome, `"Windows"`, "Chromium", "150"},
		{namedSession(t, "other"), agentOther, `"Linux"`, "Chromium", ""},
	} {
		t.Run(c.agent, func(t *testing.T) {
			ctx, s := testContext(t), c.session
			agentSet(t, s, c.agent, "fr,de")
			page := testPage(t, s, server.URL("localhost", "/page/top"))
			expected := evaluated[string](t, page, agentSeen)
			run := func(name, code string) {
				t.Helper()
				got, err := Evaluate[string](ctx, page, code)
				if err != nil || got != expected {
					t.Errorf("%s sees %q, %v, want %q", name, got, err, expected)
				}
			}
			run("a dedicated worker", "new Promise(done => { const w = new Worker('/agent/dedicated.js'); w.onmessage = e => done(e.data); w.postMessage(0) })")
			run("a shared worker", "new Promise(done => { new SharedWorker('/agent/shared.js').port.onmessage = e => done(e.data) })")
			run("a service worker", `navigator.serviceWorker.register('/agent/service.js', {scope: '/'}).then(() => navigator.serviceWorker.ready).then(r => new Promise(done => {
				navigator.serviceWorker.onmessage = e => done(e.data);
				r.active.postMessage(0);
			}))`)
			run("a frame", fmt.Sprintf(`new Promise(done => {
				const frame = document.body.appendChild(document.createElement('iframe'));
				frame.onload = () => done();
				frame.src = %q;
			}).then(() => %s)`, server.URL("127.0.0.1", "/page/frame"), agentSeen))
			for _, uri := range []string{"/page/top", "/page/frame", "/agent/dedicated.js", "/agent/shared.js", "/echo?dedicated", "/echo?shared", "/echo?service"} {
				h := agentHeaders(t, server, uri)
				if h.Get("User-Agent") != c.agent || h.Get("Accept-Language") != "fr,de;q=0.9" {
					t.Errorf("%s: %q, %q", uri, h.Get("User-Agent"), h.Get("Accept-Language"))
				}
				if platform := h.Get("Sec-Ch-Ua-Platform"); platform != "" && platform != c.platform {
					t.Errorf("%s: platform %s, want %s", uri, platform, c.platform)
				}
			}
		})
	}
}

func TestUserAgent_HintsAreNeverEmpty(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), agentServer(t)
	const hints = `navigator.userAgentData.getHighEntropyValues(['architecture', 'bitness', 'model', 'platformVersion', 'fullVersionList', 'formFactors'])`
	url := server.URL("localhost", "/page/hints")
	plain := testPage(t, s, url)
	own := evaluated[map[string]any](t, plain, hints)
	t.Run("CHR-3523 Chromium is among the brands", func(t *testing.T) {
		want(t, plain, "navigator.userAgentData.brands.some(b => b.brand === 'Chromium')", true)
	})
	t.Run("CHR-3495 of a session", func(t *testing.T) {
		agentSet(t, s, "foobar", "")
		page := testPage(t, s, url)
		want(t, page, "navigator.userAgentData.platform !== ''", true)
		if diff := cmp.Diff(own, evaluated[map[string]any](t, page, hints)); diff != "" {
			t.Errorf("they are not Chromium's own (-own +here):\n%s", diff)
		}
	})
	t.Run("CHR-3504 CHR-3512 WCO-2382 WCO-2393 of a page", func(t *testing.T) {
		page := testPage(t, s, "")
		if err := page.SetUserAgent(ctx, agentChrome); err != nil {
			t.Fatal(err)
		}
		if err := page.LoadURL(ctx, url, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, "[navigator.userAgent, navigator.userAgentData.platform].join()", agentChrome+",Windows")
		if got, err := page.UserAgent(ctx); got != agentChrome || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if h := agentHeaders(t, server, "/page/hints"); h.Get("User-Agent") != agentChrome || h.Get("Sec-Ch-Ua-Platform") != `"Windows"` {
			t.Errorf("%v", h)
		}
		if err := page.SetUserAgent(ctx, ""); err != nil {
			t.Fatal(err)
		}
		if err := page.Reload(ctx, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(own, evaluated[map[string]any](t, page, hints)); diff != "" {
			t.Errorf("afterwards they are not Chromium's own (-own +here):\n%s", diff)
		}
	})
	t.Run("WCO-2376 a page has one by default", func(t *testing.T) {
		if got, err := testPage(t, namedSession(t, "by default"), "").UserAgent(ctx); got == "" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestUserAgent_WCO1179_IsKeptInTheHistoryAndOverACrash(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), agentServer(t)
	agentSet(t, s, "test-agent", "")
	page := testPage(t, s, server.URL("localhost", "/page/one"))
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/two"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := page.GoBack(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "navigator.userAgent", "test-agent")
	gone := events(page.RenderProcessGone(ctx))
	go page.CDP().Call(ctx, "Page.crash", nil, nil)
	next(t, gone)
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "navigator.userAgent", "test-agent")
	go page.CDP().Call(ctx, "Page.crash", nil, nil)
	next(t, gone)
	if err := page.SetUserAgent(ctx, "set-while-crashed"); err != nil {
		t.Fatal(err)
	}
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "navigator.userAgent", "set-while-crashed")
}

func TestUserAgent_CHR3609_IsSentByWebSockets(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), agentServer(t)
	agentSet(t, s, "test-agent", "")
	page := testPage(t, s, server.URL("a.test", "/page/socket"))
	want(t, page, fmt.Sprintf("new Promise(done => { const s = new WebSocket(%q); s.onopen = () => { s.close(); done(true) }; s.onerror = () => done(false) })", server.WSURL("a.test", "/ws?agent")), true)
	if h := agentHeaders(t, server, "/ws?agent"); h.Get("User-Agent") != "test-agent" {
		t.Errorf("%v", h)
	}
}

func TestUserAgent_PopupsHaveItFromTheirFirstRequest(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), agentServer(t)
	agentSet(t, s, agentChrome, "fr")
	page := testPage(t, s, "")
	for i, way := range []string{"#open", "#noopener", "#blank-noopener", "#blank"} {
		path := fmt.Sprint("/page/popup-", i)
		if err := page.LoadURL(ctx, server.URL("localhost", "/popups?to="+path), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		popups := events(page.Popups(ctx))
		if err := page.Click(ctx, way); err != nil {
			t.Fatal(err)
		}
		popup := next(t, popups)
		eventually(t, popup, fmt.Sprintf("location.pathname === %q", path))
		h := agentHeaders(t, server, path)
		if h.Get("User-Agent") != agentChrome || h.Get("Accept-Language") != "fr" || h.Get("Sec-Ch-Ua-Platform") != `"Windows"` || h.Get("Sec-Ch-Ua") != s.agents.of(popup.target).hints.headers()["sec-ch-ua"] {
			t.Errorf("%s: %v", way, h)
		}
		popup.Close(ctx)
	}
}

func TestUserAgent_OfTheMainScriptOfAServiceWorker(t *testing.T) {
	t.Parallel()
	s, server := webRequestAlone(t), agentServer(t)
	register := func(expected, languages string) {
		t.Helper()
		page := testPage(t, s, server.URL("localhost", "/page/top"))
		want(t, page, "navigator.serviceWorker.register('/agent/service.js?"+languages+"', {scope: '/'}).then(() => navigator.serviceWorker.ready).then(() => 'ready')", "ready")
		h := agentHeaders(t, server, "/agent/service.js?"+languages)
		if h.Get("User-Agent") != expected || languages != "" && h.Get("Accept-Language") != languages {
			t.Errorf("the script was asked for by %q, in %q", h.Get("User-Agent"), h.Get("Accept-Language"))
		}
		page.Close(testContext(t))
	}
	agentSet(t, s, agentOther, "fr")
	register(agentOther, "fr")
	agentSet(t, s, "", "")
	own, err := s.GetUserAgent(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	register(own, "")
}
