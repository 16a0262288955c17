package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// preloadFile writes a script to a file and returns its path.
func preloadFile(t testing.TB, source string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "preload.js")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// preloadRegistered registers a script.
func preloadRegistered(t testing.TB, s *Session, script PreloadScript) (id string) {
	t.Helper()
	id, err := s.RegisterPreloadScript(testContext(t), script)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// preloadMark is a script that leaves a word in the document for the page to
// see, before there is an element.
func preloadMark(word string) string {
	return fmt.Sprintf(`globalThis.mark = '%[1]s';
		new MutationObserver((_, o) => {
			if (!document.documentElement) return;
			o.disconnect();
			document.documentElement.dataset.preloads = (document.documentElement.dataset.preloads ?? '') + '%[1]s';
		}).observe(document, {childList: true});`, word)
}

// preloadMarks reads the words that scripts have left, as the page's first script
// saw them.
const preloadMarks = "seen"

// preloadServer serves /marks, whose first script notes what it finds.
func preloadServer(t testing.TB) *fixture.Server {
	server := fixture.New(t)
	serveHTML(server, "/marks", "<html><script>window.seen = document.documentElement.dataset.preloads ?? ''</script><p>marks")
	serveHTML(server, "/framed", `<html><script>window.seen = document.documentElement.dataset.preloads ?? ''</script>
		<iframe name="same" src="/marks"></iframe>`)
	return server
}

func TestPreloads_BRW4110_AreListedAsTheyWereSet(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	if got := s.GetPreloads(); len(got) != 0 || got == nil {
		t.Errorf("a new session has %v", got)
	}
	paths := []string{preloadFile(t, ""), "relative.js", preloadFile(t, "")}
	if err := s.SetPreloads(ctx, paths); err != nil {
		t.Fatal(err)
	}
	if got := s.GetPreloads(); !reflect.DeepEqual(got, paths) {
		t.Errorf("%q, want %q", got, paths)
	}
	if err := s.SetPreloads(ctx, nil); err != nil || len(s.GetPreloads()) != 0 {
		t.Errorf("%q, %v after setting none", s.GetPreloads(), err)
	}
}

func TestPreloads_BRW4116_RunBeforeThePageInOrder(t *testing.T) {
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	relative := "relative.js"
	t.Chdir(t.TempDir())
	if err := os.WriteFile(relative, []byte(preloadMark("relative")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPreloads(ctx, []string{preloadFile(t, preloadMark("a")), relative, preloadFile(t, preloadMark("b"))}); err != nil {
		t.Fatal(err)
	}
	preloadRegistered(t, s, PreloadScript{Source: preloadMark("c")})
	page := testPage(t, s, server.URL("a.test", "/marks"))
	want(t, page, preloadMarks, "abc")
	if err := page.LoadURL(ctx, server.URL("b.test", "/marks"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, preloadMarks, "abc")
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, preloadMarks, "abc")
}

func TestPreloads_CX73_RefuseWhatIsNoScript(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	preloadRegistered(t, s, PreloadScript{ID: "x", Source: "0"})
	for text, script := range map[string]PreloadScript{
		"Cannot register preload script with existing ID 'x'":       {ID: "x", Source: "1"},
		"Preload script must have absolute path: p.js":              {FilePath: "p.js"},
		"Preload script must have either a file path or a source":   {ID: "nothing"},
		"Preload script has no type 'worker'":                       {Type: "worker", Source: "0"},
		"Preload script has no world 'other'":                       {World: "other", Source: "0"},
		"Preload script must have either a file path or a source\n": {FilePath: "/p.js", Source: "0"},
		"Preload script of service workers has no frames":           {Type: PreloadServiceWorker, AllFrames: true, Source: "0"},
	} {
		_, err := s.RegisterPreloadScript(ctx, script)
		var invalid *InvalidArgumentError
		if !errors.As(err, &invalid) || invalid.Message != strings.TrimSpace(text) {
			t.Errorf("%+v: %v, want %s", script, err, text)
		}
	}
	var unsupported *UnsupportedError
	if _, err := s.RegisterPreloadScript(ctx, PreloadScript{Type: PreloadServiceWorker, World: IsolatedWorld, Source: "0"}); !errors.As(err, &unsupported) {
		t.Errorf("an isolated world of a service worker: %v", err)
	}
	if err := s.UnregisterPreloadScript(ctx, "y"); err == nil || err.Error() != "Cannot unregister preload script with non-existing ID 'y'" {
		t.Errorf("unregistering an unknown id: %v", err)
	}
	if scripts := s.GetPreloadScripts(); len(scripts) != 1 || scripts[0].ID != "x" || scripts[0].Type != PreloadFrame {
		t.Errorf("the scripts are %+v", scripts)
	}
}

func TestPreloads_CX74_SetPreloadsReplacesThoseOfFramesOnly(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	old, worker, path := preloadFile(t, ""), preloadFile(t, ""), preloadFile(t, "")
	preloadRegistered(t, s, PreloadScript{FilePath: old})
	id := preloadRegistered(t, s, PreloadScript{Type: PreloadServiceWorker, FilePath: worker})
	if err := s.SetPreloads(ctx, []string{path}); err != nil {
		t.Fatal(err)
	}
	if got := s.GetPreloads(); !reflect.DeepEqual(got, []string{path}) {
		t.Errorf("%q", got)
	}
	scripts := s.GetPreloadScripts()
	if len(scripts) != 2 || scripts[0].ID != id || scripts[0].FilePath != worker || scripts[1].FilePath != path {
		t.Errorf("%+v", scripts)
	}
}

func TestPreloads_HoldLiveInOpenPagesAndForDocumentsAfterwards(t *testing.T) {
	t.Parallel()
	ctx, s, other, server := testContext(t), memorySession(t), namedSession(t, "without preloads"), preloadServer(t)
	url := server.URL("a.test", "/marks")
	page, control := testPage(t, s, url), testPage(t, other, url)
	id := preloadRegistered(t, s, PreloadScript{Source: preloadMark("x")})
	want(t, page, "document.documentElement.dataset.preloads ?? 'none'", "none")
	for step, expected := range []string{"x", ""} {
		for _, to := range []string{server.URL("a.test", "/marks"), server.URL("b.test", "/marks")} {
			for _, p := range []*WebContents{page, control} {
				if err := p.LoadURL(ctx, to, LoadOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			want(t, page, preloadMarks, expected)
			want(t, control, preloadMarks, "")
		}
		want(t, testPage(t, s, url), preloadMarks, expected)
		if step == 0 {
			if err := s.UnregisterPreloadScript(ctx, id); err != nil {
				t.Fatal(err)
			}
			want(t, page, "document.documentElement.dataset.preloads", "x")
		}
	}
}

func TestPreloads_SUB0115_LeaveNothingInThePagesWorldUnlessAsked(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), preloadServer(t)
	preloadRegistered(t, s, PreloadScript{Source: "globalThis.isolated = 1; const mine = 1; document.addEventListener('x', () => {})"})
	preloadRegistered(t, s, PreloadScript{Source: "globalThis.inMain = [typeof isolated, typeof mine, typeof bridge].join()", World: MainWorld})
	page := testPage(t, s, server.URL("a.test", "/marks"))
	want(t, page, "typeof isolated + typeof bridge + typeof bridgeDeliver + typeof bridgeCall + typeof mine", strings.Repeat("undefined", 5))
	want(t, page, "inMain", "undefined,undefined,undefined")
}

// preloadRuns counts the frames of a page in which a script has run.
func preloadRuns(t testing.TB, page *WebContents) (n int) {
	t.Helper()
	for _, f := range page.Frames() {
		ran, err := Evaluate[bool](testContext(t), f, "globalThis.ran === true")
		if err != nil {
			t.Fatal(err)
		}
		if ran {
			n++
		}
	}
	return n
}

func TestPreloads_RunInSubFramesWhenAsked(t *testing.T) {
	t.Parallel()
	server := preloadServer(t)
	serveHTML(server, "/nested", `<iframe src="/framed"></iframe>`)
	serveHTML(server, "/cross", fmt.Sprintf(`<iframe src=%q></iframe><iframe srcdoc="<p>srcdoc"></iframe><iframe></iframe>`, server.URL("b.test", "/marks")))
	for _, c := range []struct {
		name, path string
		all        bool
		runs       int
	}{
		{"SUB-0034 frames of a page", "/framed", true, 2},
		{"SUB-0043 nested frames", "/nested", true, 3},
		{"frames of other sites, srcdoc and blank ones", "/cross", true, 4},
		{"only the top frame by default", "/nested", false, 1},
		{"only the top frame by default, with other sites", "/cross", false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := memorySession(t)
			preloadRegistered(t, s, PreloadScript{Source: "globalThis.ran = true", World: MainWorld, AllFrames: c.all})
			page := testPage(t, s, server.URL("a.test", c.path))
			if n := preloadRuns(t, page); n != c.runs {
				t.Errorf("it ran in %d frames, want %d", n, c.runs)
			}
		})
	}
}

func TestPreloads_RunInPopupsAndBlankPages(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	preloadRegistered(t, s, PreloadScript{Source: "globalThis.ran = true", World: MainWorld})
	page := testPage(t, s, server.URL("a.test", "/popups?to="+server.URL("b.test", "/marks")))
	for _, way := range []string{"#open", "#noopener", "#blank", "#form-submit"} {
		popups := events(page.Popups(ctx))
		if err := page.Click(ctx, way); err != nil {
			t.Fatal(err)
		}
		popup := next(t, popups)
		eventually(t, popup, "location.pathname === '/marks' && document.readyState === 'complete'")
		want(t, popup, "globalThis.ran === true", true)
		popup.Close(ctx)
	}
	ran, err := EvaluateWithGesture[bool](ctx, page, "window.open('').ran === true")
	if err != nil || !ran {
		t.Errorf("in a blank page, at once: %v, %v", ran, err)
	}
}

func TestPreloads_LogAFileThatCannotBeReadAndGoOn(t *testing.T) {
	var log strings.Builder
	server := preloadServer(t)
	o := testOptions(sharedServer(t), "")
	o.Args = []string{"--host-resolver-rules=" + server.ResolverRules()}
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	ctx := testContext(t)
	b, err := Launch(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	s, missing := b.DefaultSession(), filepath.Join(t.TempDir(), "missing.js")
	if err := s.SetPreloads(ctx, []string{missing, t.TempDir(), preloadFile(t, "this is no script"), preloadFile(t, "throw new Error('thrown')"), preloadFile(t, preloadMark("x"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RegisterPreloadScript(ctx, PreloadScript{FilePath: missing}); err != nil {
		t.Error(err)
	}
	large := preloadRegistered(t, s, PreloadScript{Source: strings.Repeat(" ", cdp.MaxCommandSize)})
	want(t, testPage(t, s, server.URL("a.test", "/marks")), preloadMarks, "x")
	if err := s.UnregisterPreloadScript(ctx, large); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "unable to load preload script"); n != 3 {
		t.Errorf("%d files are logged, want 3:\n%s", n, log.String())
	}
	if !strings.Contains(log.String(), "a preload script is too large") {
		t.Errorf("nothing is logged of a script that is too large:\n%s", log.String())
	}
}

func TestPreloads_AHundredRunInOrder(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), preloadServer(t)
	page := testPage(t, s, "")
	expected := ""
	for i := range 100 {
		preloadRegistered(t, s, PreloadScript{Source: preloadMark(fmt.Sprint(i, ","))})
		expected += fmt.Sprint(i, ",")
	}
	for _, page := range []*WebContents{page, testPage(t, s, "")} {
		if err := page.LoadURL(testContext(t), server.URL("a.test", "/marks"), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, page, preloadMarks, expected)
	}
}

func TestPreloads_AreBackAfterACrash(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	before := preloadRegistered(t, s, PreloadScript{Source: preloadMark("before")})
	page := testPage(t, s, server.URL("a.test", "/marks"))
	gone := events(page.RenderProcessGone(ctx))
	go page.CDP().Call(ctx, "Page.crash", nil, nil)
	next(t, gone)
	preloadRegistered(t, s, PreloadScript{Source: preloadMark("during")})
	if err := s.UnregisterPreloadScript(ctx, before); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := page.Reload(ctx, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, page, preloadMarks, "during")
}

func TestPreloads_RegisterWaitsForABusyPageNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	page := testPage(t, s, server.URL("a.test", "/marks"))
	began := events(page.Console(ctx))
	busy := make(chan error, 1)
	go func() {
		_, err := Evaluate[any](ctx, page, "console.log('busy'); for (const end = Date.now() + 1500; Date.now() < end;);")
		busy <- err
	}()
	next(t, began)
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.RegisterPreloadScript(short, PreloadScript{Source: "0"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	preloadRegistered(t, s, PreloadScript{Source: preloadMark("x")})
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, preloadMarks, "x")
	if err := <-busy; err != nil && !errors.Is(err, ErrNavigated) {
		t.Error(err)
	}
}

func TestPreloads_OutliveTheProcessOfTheSession(t *testing.T) {
	ctx, server := testContext(t), preloadServer(t)
	b, err := Launch(ctx, testOptions(sharedServer(t), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := b.DefaultSession()
	preloadRegistered(t, s, PreloadScript{Source: preloadMark("x")})
	testPage(t, s, server.URL("127.0.0.1", "/marks"))
	kill(t, s)
	want(t, testPage(t, s, server.URL("127.0.0.1", "/marks")), preloadMarks, "x")
	s.preloads.mu.Lock()
	defer s.preloads.mu.Unlock()
	if n := len(s.preloads.targets); n != 1 {
		t.Errorf("%d pages are remembered, want 1", n)
	}
}

func TestExpose_AnswersThePreloadAndNobodyElse(t *testing.T) {
	t.Parallel()
	ctx, s, other, server := testContext(t), memorySession(t), namedSession(t, "opposite"), preloadServer(t)
	type point struct{ X, Y int }
	var from Caller
	if err := Expose(ctx, s, "swap", func(_ context.Context, c Caller, p point) (point, error) {
		from = c
		return point{p.Y, p.X}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := Expose(ctx, other, "swap", func(_ context.Context, _ Caller, p point) (string, error) {
		return "the other session", nil
	}); err != nil {
		t.Fatal(err)
	}
	source := `bridge.invoke('swap', {X: 1, Y: 2}).then(v => { document.title = JSON.stringify(v); }, e => { document.title = e.message; })`
	for session, title := range map[*Session]string{s: `{"X":2,"Y":1}`, other: `"the other session"`} {
		preloadRegistered(t, session, PreloadScript{Source: "addEventListener('DOMContentLoaded', () => {" + source + "})"})
		page := testPage(t, session, server.URL("a.test", "/marks"))
		for _, host := range []string{"a.test", "b.test"} {
			if err := page.LoadURL(ctx, server.URL(host, "/marks"), LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, page, "document.title")
			want(t, page, "document.title", title)
			want(t, page, "typeof bridge + typeof bridgeCall", "undefinedundefined")
		}
		if session == s && (from.Frame == nil || from.Frame.Page() != page || from.Frame.ID != page.ID() || from.ServiceWorker != nil) {
			t.Errorf("it was called by %+v", from)
		}
		// A page that makes a function of that name calls nobody.
		want(t, page, "globalThis.bridgeCall = () => {}; 1", 1)
	}
}

// preloadTalk is a preload script that lets a test talk by it: what the page says
// in the event say is called, and the result is in the title.
const preloadTalk = `
	addEventListener('say', async ({detail: [name, argument]}) => {
		try { document.title = 'ok ' + JSON.stringify(await bridge.invoke(name, argument)); } catch (error) { document.title = error.message; }
	});
	bridge.on('told', (...values) => { document.title = 'told ' + JSON.stringify(values); });`

// preloadSay lets a preload call and returns what came of it.
func preloadSay(t testing.TB, in Evaluator, name string, argument any) string {
	t.Helper()
	title, err := Evaluate[string](testContext(t), in, `(name, argument) => new Promise(done => {
		document.title = '';
		dispatchEvent(new CustomEvent('say', {detail: [name, argument]}));
		const look = () => document.title ? done(document.title) : setTimeout(look, 5);
		look();
	})`, name, argument)
	if err != nil {
		t.Fatal(err)
	}
	return title
}

func TestExpose_TellsThePreloadWhatGoesWrong(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	preloadRegistered(t, s, PreloadScript{Source: preloadTalk, AllFrames: true})
	page := testPage(t, s, server.URL("a.test", "/marks"))
	if got := preloadSay(t, page, "early", nil); got != "No handler registered for 'early'" {
		t.Errorf("before anything is exposed: %s", got)
	}
	for name, f := range map[string]func(context.Context, Caller, int) (any, error){
		"fails":  func(context.Context, Caller, int) (any, error) { return nil, errors.New("it went wrong") },
		"panics": func(context.Context, Caller, int) (any, error) { panic("a handler that panics") },
		"chan":   func(context.Context, Caller, int) (any, error) { return make(chan int), nil },
		"large":  func(context.Context, Caller, int) (any, error) { return strings.Repeat("x", 120<<20), nil },
		"twice":  func(_ context.Context, _ Caller, n int) (any, error) { return 2 * n, nil },
	} {
		if err := Expose(ctx, s, name, f); err != nil {
			t.Fatal(err)
		}
	}
	for name, expected := range map[string]string{
		"fails": "it went wrong", "panics": `the handler of "panics" panicked`, "chan": "chan int", "large": "over the browser's limit",
		"twice": "ok 42", "nothing": "No handler registered for 'nothing'",
	} {
		if got := preloadSay(t, page, name, 21); !strings.Contains(got, expected) {
			t.Errorf("%s: %q, want %q", name, got, expected)
		}
	}
	if got := preloadSay(t, page, "twice", "a string"); !strings.Contains(got, "the argument is no int") {
		t.Errorf("a wrong argument: %s", got)
	}
	if got := preloadSay(t, page, "twice", nil); got != "ok 0" {
		t.Errorf("no argument: %s", got)
	}
	for _, name := range []string{"fails", "panics", "chan", "large", "twice"} {
		if err := s.Unexpose(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if got := preloadSay(t, page, "twice", 1); got != "No handler registered for 'twice'" {
		t.Errorf("after it was taken back: %s", got)
	}
}

func TestExpose_ACallEndsWithItsDocument(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	preloadRegistered(t, s, PreloadScript{Source: preloadTalk, AllFrames: true})
	called, ended := make(chan Caller), make(chan error)
	if err := Expose(ctx, s, "wait", func(ctx context.Context, from Caller, _ any) (any, error) {
		called <- from
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	say := func(in Evaluator) {
		if _, err := Evaluate[any](ctx, in, "void dispatchEvent(new CustomEvent('say', {detail: ['wait']}))"); err != nil {
			t.Fatal(err)
		}
	}
	for name, leave := range map[string]func(page *WebContents) error{
		"navigation": func(page *WebContents) error { return page.LoadURL(ctx, server.URL("a.test", "/marks"), LoadOptions{}) },
		"other site": func(page *WebContents) error { return page.LoadURL(ctx, server.URL("b.test", "/marks"), LoadOptions{}) },
		"frame gone": func(page *WebContents) error {
			_, err := Evaluate[any](ctx, page, "document.querySelector('iframe').remove()")
			return err
		},
		"page closed": func(page *WebContents) error { return page.Close(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			page := testPage(t, s, server.URL("a.test", "/framed"))
			frame := page.Frames()[1]
			say(frame)
			if from := <-called; from.Frame.ID != frame.ID {
				t.Errorf("it was called by frame %s, want %s", from.Frame.ID, frame.ID)
			}
			if err := leave(page); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-ctx.Done():
				t.Fatal("the call goes on")
			}
		})
	}
}

func TestSend_ReachesThePreloadOfTheFrame(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	serveHTML(server, "/cross", fmt.Sprintf(`<iframe src=%q></iframe>`, server.URL("b.test", "/marks")))
	page := testPage(t, s, server.URL("a.test", "/cross"))
	if err := page.Send(ctx, "told", 1); err != nil {
		t.Errorf("a frame without a preload: %v", err)
	}
	preloadRegistered(t, s, PreloadScript{Source: preloadTalk, AllFrames: true})
	if err := Expose(ctx, s, "who", func(_ context.Context, from Caller, _ any) (string, error) { return from.Frame.ID, nil }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := page.Reload(ctx, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		for i, f := range page.Frames() {
			if err := f.Send(ctx, "told", i, map[string]any{"__proto__": "x"}, nil); err != nil {
				t.Fatal(err)
			}
			want(t, f, "document.title", fmt.Sprintf(`told [%d,{"__proto__":"x"},null]`, i))
			if got := preloadSay(t, f, "who", nil); got != fmt.Sprintf("ok %q", f.ID) {
				t.Errorf("frame %s is taken for %s", f.ID, got)
			}
		}
	}
	if err := page.Send(ctx, "told"); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title", "told []")
	frame := page.Frames()[1]
	if _, err := Evaluate[any](ctx, page, "document.querySelector('iframe').remove()"); err != nil {
		t.Fatal(err)
	}
	if err := frame.Send(ctx, "told"); !errors.Is(err, ErrFrameGone) && !errors.Is(err, ErrNavigated) {
		t.Errorf("a frame that is gone: %v", err)
	}
}

func TestExpose_TakesJSONAsItIs(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), preloadServer(t)
	preloadRegistered(t, s, PreloadScript{Source: preloadTalk})
	if err := Expose(ctx, s, "echo", func(_ context.Context, _ Caller, v jsonv2.Value) (jsonv2.Value, error) { return v, nil }); err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, server.URL("a.test", "/marks"))
	if got := preloadSay(t, page, "echo", map[string]any{"a": []any{1, "ü", nil}}); got != `ok {"a":[1,"ü",null]}` {
		t.Errorf("%s", got)
	}
}

// unencodable is a result that panics on its way.
type unencodable struct{}

func (unencodable) MarshalJSON() ([]byte, error) { panic("encoding") }

// nilError is an error that panics when it is read.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

func TestExpose_ResultsAndErrorsThatPanicEndTheCallAlone(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	if err := Expose(ctx, s, "result", func(context.Context, Caller, any) (unencodable, error) { return unencodable{}, nil }); err != nil {
		t.Fatal(err)
	}
	if err := Expose(ctx, s, "error", func(context.Context, Caller, any) (any, error) {
		var none *nilError
		return nil, none
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RegisterPreloadScript(ctx, PreloadScript{Source: `
		Promise.allSettled(['result', 'error'].map((name) => bridge.invoke(name))).then((all) => {
			const told = all.map((one) => one.status).join();
			addEventListener('DOMContentLoaded', () => { document.title = told });
			document.title = told;
		})`}); err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, sharedServer(t).URL("a.test", "/page/expose"))
	eventually(t, page, "document.title === 'rejected,rejected'")
}
