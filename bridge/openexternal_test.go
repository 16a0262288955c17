package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/permissions"
)

// externalDesk is a program with a request handler and an opener that tell what
// they get.
type externalDesk struct {
	asked  chan PermissionRequest
	opened chan string
}

// externalDeskOf has the session's pages ask, and be answered.
func externalDeskOf(s *Session, answer bool) *externalDesk {
	d := &externalDesk{asked: make(chan PermissionRequest, 2000), opened: make(chan string, 2000)}
	s.SetPermissionRequestHandler(func(_ context.Context, r PermissionRequest) bool {
		d.asked <- r
		return answer
	})
	s.SetExternalOpener(func(_ context.Context, url string) error {
		d.opened <- url
		return nil
	})
	return d
}

// externalPage is a page of the fixture with some HTML in it.
func externalPage(t testing.TB, s *Session, html string) *WebContents {
	t.Helper()
	path := "/external/" + rand.Text()
	serveHTML(sharedServer(t), path, "<!doctype html><body>"+html+"</body>")
	return testPage(t, s, sharedServer(t).URL("external.test", path))
}

var externalWays = map[string]string{
	"script":               `location = 'URL'`,
	"replace":              `location.replace('URL')`,
	"link":                 `{const a = document.createElement('a'); a.href = 'URL'; document.body.append(a); a.click()}`,
	"link to a new window": `{const a = document.createElement('a'); a.href = 'URL'; a.target = '_blank'; document.body.append(a); a.click()}`,
	"link with opener":     `{const a = document.createElement('a'); a.href = 'URL'; a.target = '_blank'; a.rel = 'opener'; document.body.append(a); a.click()}`,
	"form":                 `{const f = document.createElement('form'); f.action = 'URL'; document.body.append(f); f.submit()}`,
	"posted form":          `{const f = document.createElement('form'); f.method = 'POST'; f.action = 'URL'; document.body.append(f); f.submit()}`,
	"frame":                `{const f = document.createElement('iframe'); f.src = 'URL'; document.body.append(f)}`,
	"meta refresh":         `{const m = document.createElement('meta'); m.httpEquiv = 'refresh'; m.content = '0;url=URL'; document.head.append(m)}`,
	"window.open":          `window.open('URL')`,
	"noopener":             `window.open('URL', '', 'noopener')`,
}

func TestOpenExternal_EachWayOfNavigatingIsAskedForAndOpened(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			desk := externalDeskOf(s, true)
			defer func() { s.SetPermissionRequestHandler(nil); s.SetExternalOpener(nil) }()
			page := externalPage(t, s, "")
			pages := len(s.Pages())
			open := func(t *testing.T, way, url, asked string) {
				t.Helper()
				gestured(t, page, strings.ReplaceAll(way, "URL", url)+"; 1")
				r := next(t, desk.asked)
				if r.Permission != PermissionOpenExternal || r.ExternalURL != asked || r.WebContents != page || r.Frame.ID != page.ID() || !r.IsMainFrame {
					t.Errorf("%s: the handler was asked %+v", url, r)
				}
				if origin := originOfPage(t, page) + "/"; r.RequestingURL != page.URL() || r.RequestingOrigin != origin || r.EmbeddingOrigin != origin {
					t.Errorf("%s: the handler was asked for %s of %s in %s", url, r.RequestingURL, r.RequestingOrigin, r.EmbeddingOrigin)
				}
				if got := next(t, desk.opened); got != asked {
					t.Errorf("%s: %s was opened", url, got)
				}
			}
			for name, way := range externalWays {
				url := "bridge-test:" + strings.ReplaceAll(name, " ", "-")
				asked := url
				if name == "form" {
					asked += "?" // of its fields
				}
				t.Run(name, func(t *testing.T) { open(t, way, url, asked) })
			}
			for _, url := range []string{"mailto:a@b.test", "tel:123", "sms:1", "magnet:?xt=x"} {
				t.Run(url, func(t *testing.T) { open(t, externalWays["script"], url, url) })
			}
			for _, popup := range s.Pages() {
				if popup.Opener() == page { // a pop-up that was made for the URL closes itself
					select {
					case <-popup.Done():
					case <-testContext(t).Done():
						t.Error("a pop-up stays open")
					}
				}
			}
			if n := len(s.Pages()); n != pages {
				t.Errorf("%d pages are open, want %d", n, pages)
			}
			want(t, page, "document.body !== null", true)
		})
	}
}

func TestOpenExternal_TheDocumentThatNavigatesAsks(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, true)
	server := sharedServer(t)
	inner := server.URL("other.test", "/page/inner")
	page := externalPage(t, s, "<iframe src='"+inner+"'></iframe>")
	frame := page.Frames()[1]
	go Evaluate[any](testContext(t), frame, "location = 'mailto:inner@b.test', 1")
	r := next(t, desk.asked)
	if r.IsMainFrame || r.Frame.ID != frame.ID || r.RequestingURL != inner || !strings.HasPrefix(r.RequestingOrigin, "http://other.test:") || r.EmbeddingOrigin != originOfPage(t, page)+"/" {
		t.Errorf("the handler was asked %+v", r)
	}
	next(t, desk.opened)

	// A window that was opened for something else stays.
	popups := events(page.Popups(testContext(t)))
	gestured(t, page, "window.w = open(''), w.document.body.textContent = 'stays', w.location = 'mailto:later@b.test', 1")
	popup := next(t, popups)
	if r := next(t, desk.asked); r.ExternalURL != "mailto:later@b.test" || r.WebContents != page {
		t.Errorf("the handler was asked %+v", r)
	}
	next(t, desk.opened)
	want(t, popup, "document.body.textContent", "stays")
}

// Chromium does not say who makes a frame navigate: a policy that trusts its document
// trusts no other.
func TestOpenExternal_ATrustedDocumentIsNotAskedForAnother(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := sharedServer(t)
	serveHTML(server, "/trusted", "<!doctype html>trusted")
	trusted := server.URL("trusted.test", "/trusted")
	rules := &permissions.Policy{Default: permissions.Deny, Allow: []permissions.Rule{{Origin: server.URL("trusted.test", ""), Permissions: []Permission{PermissionOpenExternal}}}}
	if err := s.SetPermissionPolicy(rules); err != nil {
		t.Fatal(err)
	}
	decisions := events(s.PermissionDecisions(testContext(t)))
	decided := func(url string, granted bool) {
		t.Helper()
		d := next(t, decisions)
		for d.Permission != PermissionOpenExternal {
			d = next(t, decisions)
		}
		if d.ExternalURL != url || d.Granted != granted {
			t.Errorf("decided %+v, want %s %t", d, url, granted)
		}
	}
	page := externalPage(t, s, `<iframe src="`+trusted+`"></iframe>`)
	gestured(t, page, `document.querySelector("iframe").src = "bridge-test:frame"; 1`)
	decided("bridge-test:frame", false)
	popups := events(page.Popups(testContext(t)))
	gestured(t, page, `self.w = open("`+trusted+`"); 1`)
	popup := next(t, popups)
	eventually(t, popup, `location.hostname === "trusted.test" && document.readyState === "complete"`)
	gestured(t, page, `w.location = "bridge-test:popup"; 1`)
	decided("bridge-test:popup", false)
	alone := testPage(t, s, trusted)
	gestured(t, alone, `location = "bridge-test:own"; 1`)
	decided("bridge-test:own", true)
}

func TestOpenExternal_WVW1020_APageThatNavigatesAsks(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, false)
	page := externalPage(t, s, "")
	err := page.LoadURL(testContext(t), "magnet:test", LoadOptions{})
	var failed *LoadError
	if !errors.As(err, &failed) || failed.Code != "net::ERR_ABORTED" {
		t.Errorf("loading it: %v", err)
	}
	if r := next(t, desk.asked); r.Permission != PermissionOpenExternal || r.ExternalURL != "magnet:test" || r.WebContents != page {
		t.Errorf("the handler was asked %+v", r)
	}
}

// externalSandboxed is a frame in a sandbox, which navigates itself.
func externalSandboxed(sandbox string) string {
	return `<iframe id="f" sandbox="` + sandbox + `" srcdoc="<script>onmessage = () => { location = 'magnet:sandbox-test' }</script>"></iframe>`
}

func TestOpenExternal_CHR5194_ASandboxedFrameIsBlocked(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, true)
	server, around := sharedServer(t), "/external/"+rand.Text()
	serveHTML(server, around, `<iframe id="f" sandbox="allow-scripts" srcdoc="<script>onmessage = () => { location = 'magnet:nested' }</script>"></iframe><script>onmessage = () => f.contentWindow.postMessage(1, '*')</script>`)
	page := externalPage(t, s, externalSandboxed("allow-scripts")+`<iframe id="g" src="`+server.URL("around.test", around)+`"></iframe>`)
	messages := events(page.Console(testContext(t)))
	for _, navigate := range []string{
		`f.contentWindow.postMessage(1, '*'), 1`,
		`document.body.insertAdjacentHTML('beforeend', '<iframe sandbox src="magnet:src"></iframe>'), 1`,
		`f.contentWindow.postMessage(1, '*'), 1`,
		`g.contentWindow.postMessage(1, '*'), 1`, // of another site
	} {
		gestured(t, page, navigate)
		for m := next(t, messages); ; m = next(t, messages) {
			if strings.Contains(m.Text, "external protocol blocked by sandbox") {
				if m.Level != "error" || m.URL != page.URL() {
					t.Errorf("%+v", m)
				}
				break
			}
		}
	}
	externalSettled(t, s)
	if len(desk.asked)+len(desk.opened) > 0 {
		t.Errorf("the handler was asked %d times, and %d URLs were opened", len(desk.asked), len(desk.opened))
	}
	// A frame beside them may.
	gestured(t, page, `document.body.insertAdjacentHTML('beforeend', '<iframe src="magnet:beside"></iframe>'), 1`)
	if r := next(t, desk.asked); r.ExternalURL != "magnet:beside" {
		t.Errorf("the handler was asked %+v", r)
	}
	if url := next(t, desk.opened); url != "magnet:beside" {
		t.Errorf("%s was opened", url)
	}
}

// externalSettled returns when nothing that has been asked for is under way.
func externalSettled(t testing.TB, s *Session) {
	t.Helper()
	for ctx := testContext(t); ctx.Err() == nil; {
		s.externals.mu.Lock()
		n := len(s.externals.pending)
		s.externals.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("something is still asked for")
}

func TestOpenExternal_CHR5194_WithoutAListenerToTheConsole(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, true)
	page := externalPage(t, s, "")
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	navigating := page.CDP().Events(ctx, cdp.QueueOptions{}, "Page.frameStartedNavigating")
	for range 3 {
		gestured(t, page, `document.body.insertAdjacentHTML('beforeend', '<iframe sandbox src="magnet:blocked"></iframe>'), 1`)
		for range navigating {
			break
		}
		navigating = page.CDP().Events(ctx, cdp.QueueOptions{}, "Page.frameStartedNavigating")
		externalSettled(t, s)
	}
	gestured(t, page, `document.body.insertAdjacentHTML('beforeend', '<iframe src="magnet:allowed"></iframe>'), 1`)
	if r := next(t, desk.asked); r.ExternalURL != "magnet:allowed" {
		t.Errorf("the handler was asked %+v", r)
	}
	next(t, desk.opened)
}

func TestOpenExternal_PagesThatDoNotNavigateSoAreNotListenedTo(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, true)
	page := externalPage(t, s, `<iframe src="/page/inner"></iframe>`)
	gestured(t, page, "location = 'tel:1', 1") // the page itself needs no more
	next(t, desk.opened)
	if n := externalListeners(s); n != 0 {
		t.Errorf("the log of %d pages is on", n)
	}
	messages := make(chan ConsoleMessage)
	go func() {
		defer close(messages)
		for m := range page.Console(testContext(t)) {
			messages <- m
			break
		}
	}()
	for missing := true; missing; {
		gestured(t, page, "fetch('/no-such-file').then(() => 1)")
		select {
		case m := <-messages:
			if m.Level != "error" || !strings.Contains(m.Text, "404") || !strings.HasSuffix(m.URL, "/no-such-file") {
				t.Errorf("%+v", m)
			}
			missing = false
		default:
		}
	}
	<-messages
	if n := externalListeners(s); n != 0 {
		t.Errorf("the log of %d pages is on, and nobody reads the console", n)
	}
}

// externalListeners is in how many pages and frames the domain Log is on.
func externalListeners(s *Session) int {
	s.logs.mu.Lock()
	defer s.logs.mu.Unlock()
	return len(s.logs.users)
}

func TestOpenExternal_CHR5202_CHR5219_ASandboxedFrameThatMayAsks(t *testing.T) {
	t.Parallel()
	for _, allow := range []string{"allow-top-navigation-to-custom-protocols", "allow-popups", "allow-top-navigation"} {
		t.Run(map[string]string{"allow-popups": "CHR-5219 ", "allow-top-navigation-to-custom-protocols": "CHR-5202 "}[allow]+allow, func(t *testing.T) {
			s := memorySession(t)
			desk := externalDeskOf(s, true)
			page := externalPage(t, s, externalSandboxed("allow-scripts "+allow))
			gestured(t, page, `f.contentWindow.postMessage(1, '*'), 1`)
			if r := next(t, desk.asked); r.Permission != PermissionOpenExternal || r.ExternalURL != "magnet:sandbox-test" || r.IsMainFrame || r.WebContents != page {
				t.Errorf("the handler was asked %+v", r)
			}
			if url := next(t, desk.opened); url != "magnet:sandbox-test" {
				t.Errorf("%s was opened", url)
			}
		})
	}
}

func TestOpenExternal_TwoSessionsAnswerOpposite(t *testing.T) {
	t.Parallel()
	yes, no := namedSession(t, "yes"), namedSession(t, "no")
	granting, refusing := externalDeskOf(yes, true), externalDeskOf(no, false)
	open, shut := externalPage(t, yes, ""), externalPage(t, no, "")
	for i := range 5 {
		url := fmt.Sprint("tel:", i)
		gestured(t, open, "location = '"+url+"', 1")
		gestured(t, shut, "location = '"+url+"', 1")
		if next(t, granting.asked).WebContents != open || next(t, refusing.asked).WebContents != shut || next(t, granting.opened) != url {
			t.Error("the sessions are mixed up")
		}
	}
	externalSettled(t, no)
	if len(refusing.opened) > 0 {
		t.Errorf("%s was opened without permission", <-refusing.opened)
	}
}

func TestOpenExternal_WithoutAHandlerItIsGrantedAndAPolicyDecidesByOrigin(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	decisions := events(s.PermissionDecisions(testContext(t)))
	page := externalPage(t, s, "")
	decided := func(granted bool, rule string) {
		t.Helper()
		gestured(t, page, "location = 'tel:1', 1")
		if d := next(t, decisions); d.Granted != granted || d.Rule != rule || d.ExternalURL != "tel:1" || d.Permission != PermissionOpenExternal || d.WebContents != page {
			t.Errorf("%+v", d)
		}
	}
	decided(true, "default") // and nobody opens it
	opened := make(chan string, 10)
	s.SetExternalOpener(func(_ context.Context, url string) error { opened <- url; return nil })
	decided(true, "default")
	if url := next(t, opened); url != "tel:1" {
		t.Errorf("%s was opened", url)
	}
	for _, p := range []*permissions.Policy{
		{Default: permissions.Allow, Deny: []permissions.Rule{{Origin: "*", Permissions: []Permission{PermissionOpenExternal}}}},
		{Allow: []permissions.Rule{{Origin: "*", Permissions: []Permission{PermissionOpenExternal}}}},
	} {
		if err := s.SetPermissionPolicy(p); err != nil {
			t.Fatal(err)
		}
		decided(p.Default == permissions.Deny, map[bool]string{true: "policy allow[0]", false: "policy deny[0]"}[p.Default == permissions.Deny])
	}
	next(t, opened)
	externalSettled(t, s)
	if len(opened) > 0 {
		t.Error("what the policy denies was opened")
	}
}

// externalLog is a logger's handler that hands on what is logged.
type externalLog struct {
	slog.Handler
	lines chan string
}

func (h externalLog) Enabled(context.Context, slog.Level) bool { return true }

func (h externalLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	h.lines <- text
	return nil
}

func TestOpenExternal_HandlersThatFailEndNothing(t *testing.T) {
	server := sharedServer(t)
	lines := make(chan string, 1000)
	o := testOptions(server, "")
	o.Logger = slog.New(externalLog{slog.DiscardHandler, lines})
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s := b.DefaultSession()
	logged := func(text string) {
		t.Helper()
		for line := next(t, lines); !strings.Contains(line, text); {
			line = next(t, lines)
		}
	}
	page := externalPage(t, s, "")
	s.SetExternalOpener(func(context.Context, string) error { return errors.New("no telephone here") })
	gestured(t, page, "location = 'tel:1', 1")
	logged("no telephone here")
	s.SetExternalOpener(func(context.Context, string) error { panic("the opener broke") })
	gestured(t, page, "location = 'tel:2', 1")
	logged("the opener broke")

	opened := make(chan string, 10)
	s.SetExternalOpener(func(_ context.Context, url string) error { opened <- url; return nil })
	s.SetPermissionRequestHandler(func(context.Context, PermissionRequest) bool { panic("the handler broke") })
	gestured(t, page, "location = 'tel:3', 1")
	logged("the handler broke")
	s.SetPermissionRequestHandler(func(context.Context, PermissionRequest) bool { return true })
	gestured(t, page, "location = 'tel:4', 1")
	if url := next(t, opened); url != "tel:4" {
		t.Errorf("%s was opened", url)
	}
}

func TestOpenExternal_ARequestDiesWithItsPage(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	asked, ended := make(chan PermissionRequest, 1), make(chan error, 1)
	s.SetPermissionRequestHandler(func(ctx context.Context, r PermissionRequest) bool {
		asked <- r
		<-ctx.Done()
		ended <- ctx.Err()
		return true
	})
	opened := make(chan string, 10)
	s.SetExternalOpener(func(_ context.Context, url string) error { opened <- url; return nil })
	page := externalPage(t, s, "")
	gestured(t, page, "location = 'tel:1', 1")
	next(t, asked)
	if err := page.LoadURL(testContext(t), page.URL()+"?again", LoadOptions{}); err != nil { // it does not die with the document
		t.Fatal(err)
	}
	if len(ended) > 0 {
		t.Error("the request ended with the document")
	}
	if err := page.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	next(t, ended)
	externalSettled(t, s)
	if len(opened) > 0 {
		t.Errorf("%s was opened for a page that is gone", <-opened)
	}
}

func TestOpenExternal_AFloodIsBounded(t *testing.T) {
	n := 100
	if os.Getenv("BRIDGE_FULL") == "1" {
		n = 1000
	}
	s := memorySession(t)
	decisions := s.PermissionDecisions(testContext(t))
	asked, release := make(chan string, n), make(chan struct{})
	s.SetPermissionRequestHandler(func(_ context.Context, r PermissionRequest) bool {
		asked <- r.ExternalURL
		<-release
		return true
	})
	opened := make(chan string, n)
	s.SetExternalOpener(func(_ context.Context, url string) error { opened <- url; return nil })
	page := externalPage(t, s, "")
	before := runtime.NumGoroutine()
	gestured(t, page, `for (let i = 0; i < `+fmt.Sprint(n)+`; i++) {
		const f = document.createElement('iframe');
		f.src = 'bridge-test:' + i;
		document.body.append(f);
	}`)
	most, refused := 0, 0
	for d := range decisions {
		if d.Rule != "too many" || d.Granted {
			t.Errorf("%+v", d)
		}
		most = max(most, runtime.NumGoroutine()-before)
		if refused++; refused == n-externalLimit {
			break
		}
	}
	externalAsked := make([]string, 0, externalLimit)
	for range externalLimit {
		externalAsked = append(externalAsked, next(t, asked))
	}
	t.Logf("%d refused, asked for %v; %d goroutines more", refused, externalAsked, most)
	if len(asked) > 0 || refused != n-externalLimit || most > 100 {
		t.Errorf("the handler was asked %d times more, %d were refused, %d goroutines were there", len(asked), refused, most)
	}
	close(release)
	for range externalLimit {
		next(t, opened)
	}
	externalSettled(t, s)
	gestured(t, page, "location = 'tel:1', 1")
	if url := next(t, opened); url != "tel:1" {
		t.Errorf("%s was opened", url)
	}
}

func TestOpenExternal_ALongURLArrivesWhole(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, true)
	page := externalPage(t, s, "")
	gestured(t, page, "location = 'mailto:a@b.test?body=' + 'x'.repeat(100_000) + '|\"`é', 1")
	head := "mailto:a@b.test?body=" + strings.Repeat("x", 100_000)
	if r := next(t, desk.asked); !strings.HasPrefix(r.ExternalURL, head) {
		t.Errorf("the handler was asked for %d bytes", len(r.ExternalURL))
	}
	if url := next(t, desk.opened); url != head+"%7C%22%60%C3%A9" {
		t.Errorf("opened were %d bytes, at the end %s", len(url), url[max(0, len(url)-30):])
	}
}

func TestOpenExternal_WhatIsNotForOtherProgramsIsNeverAskedFor(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	desk := externalDeskOf(s, true)
	if err := s.Protocol().Handle("registered", func(*http.Request) (*http.Response, error) { return nil, errors.New("none") }); err != nil {
		t.Fatal(err)
	}
	page := externalPage(t, s, "")
	for _, url := range []string{
		"javascript:void 0", "data:text/html,x", "blob:http://external.test/x", "vbscript:x", "view-source:http://external.test/", "file:///etc/passwd", "about:blank#x",
		"filesystem:http://external.test/x", "chrome://version", "devtools://x", "c:/windows", "shell:x", "afp://x", "registered:x", "HTTP://external.test/none", "ws://external.test/",
	} {
		gestured(t, page, "{const f = document.createElement('iframe'); f.src = '"+url+"'; document.body.append(f)}; 1")
		gestured(t, page, "{const a = document.createElement('a'); a.href = '"+url+"'; a.target = '_blank'; document.body.append(a); a.click()}; 1")
	}
	gestured(t, page, "location = 'javascript:void 0', 1")
	gestured(t, page, "open('tel:last'), 1")
	if r := next(t, desk.asked); r.ExternalURL != "tel:last" {
		t.Errorf("the handler was asked for %s", r.ExternalURL)
	}
	next(t, desk.opened)
	externalSettled(t, s)
	if len(desk.asked)+len(desk.opened) > 0 {
		t.Errorf("the handler was asked %d times more, and %d were opened", len(desk.asked), len(desk.opened))
	}
}

func TestOpenWithDesktop_RefusesWhatIsNotForOtherPrograms(t *testing.T) {
	t.Setenv("PATH", testDir(t)) // nothing can be started
	for _, url := range []string{"", "x", "-x", "--help", "-a:x", "/bin/sh", "http://a.test", "HTTPS://a.test", "file:///bin/sh", "File:/bin/sh", "javascript:x", "data:x", "vbscript:x", "view-source:x", "blob:x", "shell:x", "c:/x", " mailto:x", "chrome://x"} {
		var invalid *InvalidArgumentError
		if err := OpenWithDesktop(t.Context(), url); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if err := OpenWithDesktop(t.Context(), "mailto:a@b.test"); err == nil || !strings.Contains(err.Error(), "mailto") {
		t.Errorf("without a desktop: %v", err)
	}
}
