package cdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// startChromium starts a real Chromium that ends with the test and returns the
// transport to it.
func startChromium(t testing.TB) Transport {
	t.Helper()
	browser, err := chromium.Start(t.Context(), chromium.Options{Args: []string{"--host-resolver-rules=MAP *.test 127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := browser.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return NewPipe(browser.Pipe())
}

// chromiumTree is a tree on a real Chromium that watches already.
func chromiumTree(t testing.TB, o TreeOptions) *Tree {
	t.Helper()
	tree := NewTree(startChromium(t), ConnOptions{Malformed: func(head []byte) { t.Errorf("not understood: %s", head) }}, o)
	t.Cleanup(func() { tree.Conn().Close() })
	if err := tree.Watch(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return tree
}

// journal notes what a tree tells, so that tests can wait for it.
type journal struct {
	mu      sync.Mutex
	entries []string
	changed chan struct{}
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
	close(j.changed)
	j.changed = make(chan struct{})
}

// await waits until an entry holds the text.
func (j *journal) await(t testing.TB, text string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		j.mu.Lock()
		at := slices.IndexFunc(j.entries, func(e string) bool { return strings.Contains(e, text) })
		changed, entries := j.changed, j.entries
		j.mu.Unlock()
		if at >= 0 {
			return entries[at]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain for %q among\n%s", text, strings.Join(entries, "\n"))
		}
	}
}

// options are tree options that put mark before the first script of every
// target and note what happens.
func (j *journal) options() TreeOptions {
	return TreeOptions{
		Adopt: func(t *Target) ([]Command, bool) {
			if t.HasFrames() {
				return []Command{{Method: "Page.addScriptToEvaluateOnNewDocument", Params: map[string]string{"source": "globalThis.mark = 'set'"}}}, true
			}
			return []Command{{Method: "Runtime.evaluate", Params: map[string]string{"expression": "globalThis.mark = 'set'"}}}, true
		},
		Attached: func(t *Target) { j.note("attached %s %s", t.Type(), t.Info().URL) },
		Gone:     func(t *Target) { j.note("gone %s %s", t.Type(), t.ID()) },
		Crashed:  func(t *Target, status string, code int) { j.note("crashed %s %s", t.ID(), status) },
	}
}

// site serves pages under every name that ends with .test. Each script of a
// page or worker reports the mark that it finds.
type site struct {
	*httptest.Server
	journal *journal
	port    string
	pages   map[string]string
}

func newSite(t testing.TB, j *journal, pages map[string]string) *site {
	s := &site{journal: j, pages: pages}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.URL.Path == "/report" {
			s.journal.note("report %s", r.URL.Query().Get("is"))
			return
		}
		body, ok := s.pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		} else {
			w.Header().Set("Content-Type", "text/html")
		}
		io.WriteString(w, strings.ReplaceAll(body, "PORT", s.port))
	}))
	s.port = s.URL[strings.LastIndex(s.URL, ":")+1:]
	t.Cleanup(s.Close)
	return s
}

func (s *site) url(host, path string) string { return "http://" + host + ".test:" + s.port + path }

// report is a script that tells which mark it found before it ran.
func report(who string) string {
	return "fetch('/report?is=' + encodeURIComponent('" + who + " ' + globalThis.mark));\n"
}

func newPage(t testing.TB, tree *Tree, url string) *Target {
	t.Helper()
	page, err := tree.CreateTarget(testContext(t), CreateTarget{})
	if err != nil {
		t.Fatal(err)
	}
	if url != "" {
		navigate(t, page, url)
	}
	return page
}

// navigate loads a page and waits until it is complete.
func navigate(t testing.TB, page *Target, url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	loads := page.Session.Events(ctx, QueueOptions{}, "Page.loadEventFired")
	var r struct {
		ErrorText string `json:"errorText"`
	}
	if err := page.Session.Call(ctx, "Page.navigate", map[string]string{"url": url}, &r); err != nil || r.ErrorText != "" {
		t.Fatalf("navigating to %s: %v %s", url, err, r.ErrorText)
	}
	for _, err := range loads {
		if err != nil {
			t.Fatalf("loading %s: %v", url, err)
		}
		break
	}
}

func evaluate(ctx context.Context, s *Session, expression string) (string, error) {
	var r struct {
		Result struct {
			Value jsonv2.Value `json:"value"`
		} `json:"result"`
		ExceptionDetails jsonv2.Value `json:"exceptionDetails"`
	}
	err := s.Call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true}, &r)
	if err == nil && r.ExceptionDetails != nil {
		err = fmt.Errorf("%s threw: %s", expression, r.ExceptionDetails)
	}
	return string(r.Result.Value), err
}

func mustEvaluate(t testing.TB, s *Session, expression string) string {
	t.Helper()
	v, err := evaluate(testContext(t), s, expression)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryTargetIsSetUpBeforeItsFirstScript(t *testing.T) {
	j := newJournal()
	tree := chromiumTree(t, j.options())
	s := newSite(t, j, map[string]string{
		"/page": "<script>" + report("page") + `new Worker('/worker.js'); new SharedWorker('/shared.js').port.start();
			navigator.serviceWorker && navigator.serviceWorker.register('/service.js')</script><iframe src="http://cross.test:PORT/frame"></iframe>`,
		"/frame":     "<script>" + report("frame") + "</script>",
		"/worker.js": report("worker") + "new Worker('/nested.js');",
		"/nested.js": report("nested"), "/shared.js": report("shared"),
		"/service.js": report("service"),
		"/popup":      "<script>" + "fetch('/report?is=' + encodeURIComponent('popup' + location.hash + ' ' + globalThis.mark))" + "</script>",
	})
	page := newPage(t, tree, "http://127.0.0.1:"+s.port+"/page") // a secure origin, for the service worker
	for _, who := range []string{"page", "frame", "worker", "nested", "shared", "service"} {
		if got := j.await(t, "report "+who+" "); got != "report "+who+" set" {
			t.Errorf("%s", got)
		}
	}
	for _, kind := range []string{"page", "iframe", "worker", "shared_worker", "service_worker"} {
		j.await(t, "attached "+kind)
	}

	for i := range 10 {
		mustEvaluate(t, page.Session, fmt.Sprintf("window.open('/popup#plain-%d'); 1", i))
		mustEvaluate(t, page.Session, fmt.Sprintf("window.open('/popup#noopener-%d', '', 'noopener'); 1", i))
		mustEvaluate(t, page.Session, fmt.Sprintf("{const a = document.createElement('a'); a.href = '/popup#blank-%d'; a.target = '_blank'; document.body.append(a); a.click()}", i))
		mustEvaluate(t, page.Session, fmt.Sprintf("window.open('%s#cross-%d'); 1", s.url("other", "/popup"), i))
		for _, kind := range []string{"plain", "noopener", "blank", "cross"} {
			if got := j.await(t, fmt.Sprintf("report popup#%s-%d ", kind, i)); !strings.HasSuffix(got, " set") {
				t.Error(got)
			}
		}
	}

	for _, target := range tree.Targets() {
		switch target.Type() {
		case TargetIFrame, TargetWorker:
			if target.Page() != page {
				t.Errorf("%s %s does not belong to its page", target.Type(), target.Info().URL)
			}
		case TargetSharedWorker, TargetServiceWorker:
			if target.Page() != nil || target.Frames() != nil {
				t.Errorf("%s belongs to a page", target.Type())
			}
		}
		if target.BrowserContextID() == "" {
			t.Errorf("%s has no context", target.Type())
		}
		await(t, "the answers to the set-up of "+target.Type(), target.Ready())
	}
}

func frameURLs(page *Target) string {
	var urls []string
	for _, f := range page.Frames() {
		u := strings.TrimPrefix(f.URL, "http://")
		parent := ""
		if p, ok := page.Frame(f.ParentID); ok {
			parent = " in " + strings.TrimPrefix(p.URL, "http://")
		}
		urls = append(urls, u+parent+" @"+f.Target.Type())
	}
	slices.Sort(urls)
	return strings.Join(urls, "\n")
}

func TestTheFramesOfAPageAreKnownAcrossProcesses(t *testing.T) {
	j := newJournal()
	tree := chromiumTree(t, j.options())
	s := newSite(t, j, map[string]string{
		"/page":  `<iframe name=same src="/leaf"></iframe><iframe name=cross src="http://b.test:PORT/inner"></iframe>`,
		"/inner": `<iframe src="http://a.test:PORT/leaf"></iframe><iframe src="/leaf"></iframe><script>` + report("inner") + `</script>`,
		"/leaf":  `<p>leaf</p>`,
		"/other": `<iframe src="/leaf"></iframe>`,
	})
	at := func(host, path string) string { return host + ".test:" + s.port + path }
	page := newPage(t, tree, s.url("a", "/page"))
	want := strings.Join([]string{
		at("a", "/leaf") + " in " + at("a", "/page") + " @page",
		at("a", "/leaf") + " in " + at("b", "/inner") + " @iframe", // in the process of a, but not in the page's target
		at("a", "/page") + " @page",
		at("b", "/inner") + " in " + at("a", "/page") + " @iframe",
		at("b", "/leaf") + " in " + at("b", "/inner") + " @iframe",
	}, "\n")
	settled(t, func() string { return frameURLs(page) }, want)

	// A frame that moves to another site and back keeps its place.
	mustEvaluate(t, page.Session, "document.querySelector('[name=cross]').src = '/leaf'; 1")
	want = strings.Join([]string{
		at("a", "/leaf") + " in " + at("a", "/page") + " @page",
		at("a", "/leaf") + " in " + at("a", "/page") + " @page",
		at("a", "/page") + " @page",
	}, "\n")
	settled(t, func() string { return frameURLs(page) }, want)
	mustEvaluate(t, page.Session, "document.querySelector('[name=same]').src = '"+s.url("c", "/leaf")+"'; 1")
	want = strings.Join([]string{
		at("a", "/leaf") + " in " + at("a", "/page") + " @page",
		at("a", "/page") + " @page",
		at("c", "/leaf") + " in " + at("a", "/page") + " @iframe",
	}, "\n")
	settled(t, func() string { return frameURLs(page) }, want)

	// A removed frame is gone.
	mustEvaluate(t, page.Session, "document.querySelectorAll('iframe').forEach(f => f.remove()); 1")
	settled(t, func() string { return frameURLs(page) }, at("a", "/page")+" @page")

	// Another site in the same page leaves nothing of the old one.
	navigate(t, page, s.url("a", "/page"))
	navigate(t, page, s.url("d", "/other"))
	settled(t, func() string { return frameURLs(page) }, at("d", "/leaf")+" in "+at("d", "/other")+" @page\n"+at("d", "/other")+" @page")

	// A closed page leaves no target and no session.
	navigate(t, page, s.url("a", "/page"))
	j.await(t, "report inner")
	if err := tree.Conn().Root().Call(testContext(t), "Target.closeTarget", map[string]string{"targetId": page.ID()}, nil); err != nil {
		t.Fatal(err)
	}
	settled(t, func() string { return fmt.Sprint(len(tree.Targets()), " targets") }, "1 targets") // the start page
	settled(t, func() string {
		tree.conn.mu.Lock()
		defer tree.conn.mu.Unlock()
		return fmt.Sprint(len(tree.conn.sessions), " sessions")
	}, "1 sessions")
}

// settled waits until what is seen is what is wanted.
func settled(t testing.TB, see func() string, want string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for see() != want {
		if time.Now().After(deadline) {
			t.Fatalf("it is\n%s\nwant\n%s", see(), want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestACrashedPageTellsAndCanBeLoadedAgain(t *testing.T) {
	j := newJournal()
	tree := chromiumTree(t, j.options())
	s := newSite(t, j, map[string]string{"/page": "<title>alive</title>"})
	page := newPage(t, tree, s.url("a", "/page"))
	waiting := make(chan error, 1)
	go func() {
		_, err := evaluate(testContext(t), page.Session, "new Promise(() => {})")
		waiting <- err
	}()
	if err := page.Session.Call(testContext(t), "Page.crash", nil, nil); !errors.Is(err, ErrCrashed) {
		t.Errorf("Page.crash ended with %v", err)
	}
	if err := await(t, "the call that waited", waiting); !errors.Is(err, ErrCrashed) {
		t.Errorf("the call that waited ended with %v", err)
	}
	j.await(t, "crashed "+page.ID())
	loads := page.Session.Events(testContext(t), QueueOptions{}, "Page.loadEventFired")
	if err := page.Session.Call(testContext(t), "Page.reload", nil, nil); err != nil {
		t.Fatal(err)
	}
	for range loads {
		break
	}
	if got := mustEvaluate(t, page.Session, "document.title + mark"); got != `"aliveset"` {
		t.Errorf("after the reload the page says %s", got)
	}
}

func TestACommandOfNinetySixMebibytesArrivesAndALargerOneIsRefused(t *testing.T) {
	tree := chromiumTree(t, newJournal().options())
	page := newPage(t, tree, "")
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	// A member that the browser does not know costs it less than a script.
	for _, size := range []int{96 << 20, MaxCommandSize} {
		params := `{"padding":""}`
		params = `{"padding":"` + strings.Repeat("x", size-len(params)-len("Browser.getVersion")-96) + `"}`
		if err := tree.Conn().Root().Call(ctx, "Browser.getVersion", jsonv2.Value(params), nil); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	params := jsonv2.Value(`{"padding":"` + strings.Repeat("x", MaxCommandSize) + `"}`)
	var large *FrameTooLargeError
	if err := tree.Conn().Root().Call(ctx, "Browser.getVersion", params, nil); !errors.As(err, &large) {
		t.Errorf("a larger one: %v", err)
	}
	if got := mustEvaluate(t, page.Session, "6*7"); got != "42" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestAPageThatFloodsDoesNotStopAnother(t *testing.T) {
	tree := chromiumTree(t, newJournal().options())
	loud, quiet := newPage(t, tree, ""), newPage(t, tree, "")
	ctx, cancel := context.WithTimeout(context.Background(), 20*patience)
	defer cancel()
	n := 20_000
	if full {
		n = 1_000_000
	}
	unread := loud.Session.Events(ctx, QueueOptions{Limit: 1000}, "Runtime.consoleAPICalled")
	counted := loud.Session.Events(ctx, QueueOptions{Limit: n + 1, Bytes: 4 << 30}, "Runtime.consoleAPICalled")
	if err := loud.Session.Call(ctx, "Runtime.enable", nil, nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := evaluate(ctx, loud.Session, fmt.Sprintf("for (let i = 0; i < %d; i++) console.log('message', i); 1", n))
		done <- err
	}()
	finished := make(chan int)
	go func() {
		seen := 0
		for _, err := range counted {
			if err != nil {
				break
			}
			if seen++; seen == n {
				break
			}
		}
		finished <- seen
	}()
	answers := 0
	for {
		if got, err := evaluate(ctx, quiet.Session, "6*7"); err != nil || got != "42" {
			t.Fatalf("the quiet page: %s, %v", got, err)
		}
		answers++
		select {
		case seen := <-finished:
			if seen != n {
				t.Errorf("the reader got %d of %d messages", seen, n)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if answers < 2 { // the last one may have come after the flood
				t.Errorf("the quiet page was answered %d times only", answers)
			}
			var last error
			for _, err := range unread {
				last = err
			}
			if !errors.Is(last, ErrOverflow) {
				t.Errorf("who did not read ended with %v", last)
			}
			return
		default:
		}
	}
}

func listTargets(t testing.TB, s *Session) []TargetInfo {
	t.Helper()
	var r struct {
		TargetInfos []TargetInfo `json:"targetInfos"`
	}
	if err := s.Call(testContext(t), "Target.getTargets", nil, &r); err != nil {
		t.Fatal(err)
	}
	return r.TargetInfos
}

func TestAHiddenPageIsSharedUnlistedAndClosesWhenIdle(t *testing.T) {
	j := newJournal()
	tree := chromiumTree(t, j.options())
	s := newSite(t, j, map[string]string{"/page": "<title>page</title>"})
	page := newPage(t, tree, s.url("a", "/page"))
	hidden := NewHiddenPages(context.Background(), tree)
	hidden.idle = 200 * time.Millisecond
	const url = "chrome://net-internals"

	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			err := hidden.Use(testContext(t), "", url, func(ctx context.Context, s *Session) error {
				href, err := evaluate(ctx, s, "location.href + ' ' + document.readyState")
				if err != nil || href != `"chrome://net-internals/ complete"` && !strings.HasPrefix(href, `"chrome://net-internals/#`) {
					t.Errorf("the hidden page is %s, %v", href, err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[s.ID()]++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d pages were opened: %v", len(ids), ids)
	}
	if got := mustEvaluate(t, page.Session, "document.visibilityState"); got != `"visible"` {
		t.Errorf("the user's page is %s", got)
	}
	for _, target := range tree.Targets() {
		if strings.HasPrefix(target.Info().URL, "chrome:") {
			t.Errorf("%s is listed", target.Info().URL)
		}
	}
	settled(t, func() string {
		for _, info := range listTargets(t, tree.Conn().Root()) {
			if strings.HasPrefix(info.URL, "chrome://net-internals") {
				return "open"
			}
		}
		return "closed"
	}, "closed")
	if len(tree.Targets()) != 1 {
		t.Errorf("there are %d targets", len(tree.Targets()))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if strings.Contains(e, "chrome://") {
			t.Errorf("the tree told: %s", e)
		}
	}
}
