package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// memorySession is a session in memory of the shared browser that ends with the
// test.
func memorySession(t testing.TB) *Session {
	t.Helper()
	ctx := testContext(t)
	s, err := sharedBrowser(t).FromPartition(ctx, t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(ctx)) })
	return s
}

// serveHTML makes the fixture answer a path with a document.
func serveHTML(s *fixture.Server, path, html string) {
	s.Handle(path, htmlHandler(html))
}

// want fails the test unless an expression has a value in a page or frame.
func want[T comparable](t testing.TB, in Evaluator, expression string, value T) {
	t.Helper()
	got, err := Evaluate[T](testContext(t), in, expression)
	if err != nil || got != value {
		t.Errorf("%s is %v, %v, want %v", expression, got, err, value)
	}
}

// eventually fails the test unless an expression becomes true.
func eventually(t testing.TB, in Evaluator, expression string) {
	t.Helper()
	ctx, err := testContext(t), ErrNavigated
	for errors.Is(err, ErrNavigated) {
		_, err = Evaluate[bool](ctx, in, fmt.Sprintf(`new Promise(done => {
			const look = () => (%s) ? done(true) : setTimeout(look, 10);
			look();
		})`, expression))
	}
	if err != nil {
		t.Fatalf("waiting for %s: %v", expression, err)
	}
}

// events collects what an iterator yields, on a channel.
func events[T any](seq iter.Seq[T]) <-chan T {
	out := make(chan T, 100)
	go func() {
		defer close(out)
		for v := range seq {
			out <- v
		}
	}()
	return out
}

// next is the next event.
func next[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-from:
		if !ok {
			t.Fatal("the events have ended")
		}
		return v
	case <-testContext(t).Done():
		t.Fatal("no event came")
	}
	panic("unreachable")
}

// stillOpen fails the test unless the page answers.
func stillOpen(t testing.TB, page *WebContents) {
	t.Helper()
	want(t, page, "1 + 1", 2)
}

func TestNewPage_LoadsTheURLAndSaysWhereItIs(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	url := server.URL("a.test", "/page/hello")
	page := testPage(t, s, url)
	if page.URL() != url {
		t.Errorf("URL is %q, want %q", page.URL(), url)
	}
	if title, err := page.Title(ctx); title != "hello" || err != nil {
		t.Errorf("the title is %q, %v", title, err)
	}
	if page.Session() != s || page.Opener() != nil || page.IsCrashed() || page.Err() != nil {
		t.Errorf("session %v, opener %v, crashed %v, error %v", page.Session() == s, page.Opener(), page.IsCrashed(), page.Err())
	}
	if pages := s.Pages(); len(pages) != 1 || pages[0] != page {
		t.Errorf("the pages of the session are %v", pages)
	}
	if page.MainFrame().ID != page.ID() {
		t.Errorf("the main frame is %q, the page %q", page.MainFrame().ID, page.ID())
	}
}

func TestNewPage_LeavesNoPageWhenItFails(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	opened := events(s.NewPages(ctx))

	if _, err := s.NewPage(ctx, server.URL("a.test", "/drop")); !isLoadError(err, "net::ERR_EMPTY_RESPONSE") {
		t.Errorf("a page that cannot be loaded: %v", err)
	}
	<-next(t, opened).Done()

	release := server.Hold("/page/held")
	defer release()
	during, cancel := context.WithCancel(ctx)
	go func() {
		server.WaitRequest(ctx, "/page/held")
		cancel()
	}()
	if _, err := s.NewPage(during, server.URL("a.test", "/page/held")); !errors.Is(err, context.Canceled) {
		t.Errorf("a page whose context ends while it loads: %v", err)
	}
	<-next(t, opened).Done()

	if _, err := s.NewPage(during, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a page whose context has ended: %v", err)
	}
	// Contexts that end at any moment of the opening.
	for i := range 8 {
		during, cancel := context.WithTimeout(ctx, time.Duration(i*15)*time.Millisecond)
		page, err := s.NewPage(during, "")
		if err == nil {
			page.Close(ctx)
		}
		cancel()
	}
	last := testPage(t, s, "")
	for page := range opened {
		if page == last {
			break
		}
		<-page.Done()
	}
	if pages := s.Pages(); len(pages) != 1 {
		t.Errorf("%d pages are left, want the last one", len(pages))
	}
}

func TestClose_EndsThePageAndWhatWaitsOnIt(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	defer server.Hold("/held")()
	url := server.URL("a.test", "/form")
	for name, call := range map[string]func(context.Context, *WebContents) error{
		"evaluate": func(ctx context.Context, w *WebContents) error {
			_, err := Evaluate[int](ctx, w, "new Promise(() => {})")
			return err
		},
		"load": func(ctx context.Context, w *WebContents) error {
			return w.LoadURL(ctx, server.URL("a.test", "/held"), LoadOptions{})
		},
		"click": func(ctx context.Context, w *WebContents) error { return w.Click(ctx, "#missing") },
		"reload": func(ctx context.Context, w *WebContents) error {
			if err := w.LoadURL(ctx, server.URL("a.test", "/page/again"), LoadOptions{}); err != nil {
				return err
			}
			defer server.Hold("/page/again")()
			return w.Reload(ctx, LoadOptions{})
		},
		"html": func(ctx context.Context, w *WebContents) error {
			return w.LoadHTML(ctx, `<img src="/held">`, LoadOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			page := testPage(t, memorySession(t), url)
			ended := make(chan error, 1)
			go func() { ended <- call(ctx, page) }()
			begun(t, page, name, server)
			if err := page.Close(ctx); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, ErrPageClosed) {
				t.Errorf("the call that waited: %v", err)
			}
			if !errors.Is(page.Err(), ErrPageClosed) {
				t.Errorf("the page says %v", page.Err())
			}
			if err := call(ctx, page); !errors.Is(err, ErrPageClosed) {
				t.Errorf("a call afterwards: %v", err)
			}
			if err := page.Close(ctx); err != nil {
				t.Errorf("closing again: %v", err)
			}
		})
	}
}

// begun waits until the browser has a call of TestClose in hand.
func begun(t *testing.T, page *WebContents, name string, server *fixture.Server) {
	t.Helper()
	requests := map[string][]string{"load": {"/held"}, "html": {"/held"}, "reload": {"/page/again", "/page/again"}}[name]
	for _, path := range requests {
		if _, err := server.WaitRequest(testContext(t), path); err != nil {
			t.Fatal(err)
		}
	}
	if requests == nil {
		stillOpen(t, page)
	}
}

func TestClose_DoesNotAskThePage(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/dialogs"))
	asked := make(chan Dialog, 1)
	page.SetDialogHandler(func(ctx context.Context, d Dialog) DialogAnswer { asked <- d; return DialogAnswer{} })
	if err := page.Click(ctx, "#beforeunload"); err != nil {
		t.Fatal(err)
	}
	if err := page.Close(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-asked:
		t.Errorf("the page was asked: %+v", d)
	default:
	}
}

func TestClose_EndsABusyPageAndOneWithADialog(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	busy := testPage(t, s, server.URL("busy.test", "/busy?ms=60000"))
	if err := busy.Close(ctx); err != nil {
		t.Errorf("closing a busy page: %v", err)
	}
	asking := testPage(t, s, server.URL("a.test", "/dialogs"))
	open, ended := make(chan struct{}), make(chan struct{})
	asking.SetDialogHandler(func(ctx context.Context, d Dialog) DialogAnswer {
		close(open)
		<-ctx.Done()
		close(ended)
		return DialogAnswer{Accept: true}
	})
	go asking.Click(ctx, "#confirm")
	<-open
	if err := asking.Close(ctx); err != nil {
		t.Errorf("closing a page with a dialog: %v", err)
	}
	<-ended
}

func TestClose_EndsTheIterators(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	titles, popups, crashes, console := events(page.Titles(ctx)), events(page.Popups(ctx)), events(page.RenderProcessGone(ctx)), events(page.Console(ctx))
	responsive := events(page.Responsiveness(ctx, 0))
	page.Close(ctx)
	for range titles {
	}
	for range popups {
	}
	for range crashes {
	}
	for range console {
	}
	for range responsive {
	}
}

func TestTitles_TellsEachTitle(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/page/first"))
	titles := events(page.Titles(ctx))
	for _, title := range []string{"second", "Ünï \U0001F600", "third"} {
		if _, err := Evaluate[any](ctx, page, "title => { document.title = title }", title); err != nil {
			t.Fatal(err)
		}
		if got := next(t, titles); got != title {
			t.Errorf("told of %q, want %q", got, title)
		}
	}
}

func TestPopups_BelongToTheSessionAndHaveAnOpener(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	other := namedSession(t, "other")
	foreign := events(other.NewPages(ctx))
	for _, to := range []string{server.URL("a.test", "/page/popup"), server.URL("b.test", "/page/popup")} {
		page := testPage(t, s, server.URL("a.test", "/popups?to=")+to)
		popups, pages := events(page.Popups(ctx)), events(s.NewPages(ctx))
		for _, way := range []string{"#open", "#features", "#named", "#blank", "#form-submit"} {
			if err := page.Click(ctx, way); err != nil {
				t.Fatal(err)
			}
			popup := next(t, popups)
			if also := next(t, pages); also != popup {
				t.Errorf("%s: NewPages tells of another page", way)
			}
			if popup.Opener() != page || popup.Session() != s {
				t.Errorf("%s: the opener is %v, the session %v", way, popup.Opener(), popup.Session().Partition())
			}
			if way != "#form-submit" {
				eventually(t, popup, "document.title === 'popup'")
			}
			if err := popup.Close(ctx); err != nil {
				t.Error(err)
			}
		}
		page.Close(ctx)
	}
	select {
	case page := <-foreign:
		t.Errorf("another session got the page %s", page.URL())
	default:
	}
}

func TestPopups_WithNoopenerAreSetUpEveryTime(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/popups"))
	pages := events(page.Popups(ctx))
	for i := range 10 {
		if err := page.Click(ctx, []string{"#noopener", "#blank-noopener"}[i%2]); err != nil {
			t.Fatal(err)
		}
		popup := next(t, pages)
		eventually(t, popup, "document.title === 'popup' && document.visibilityState === 'visible' && document.hasFocus()")
		if popup.Opener() != page {
			t.Errorf("number %d: the opener is %v", i, popup.Opener())
		}
		want(t, popup, "window.opener === null", true)
		if err := popup.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestPopups_CanBeWrittenToByTheirOpener(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/popups"))
	popups := events(page.Popups(ctx))
	if err := page.Click(ctx, "#empty"); err != nil {
		t.Fatal(err)
	}
	popup := next(t, popups)
	eventually(t, popup, "document.title === 'written'")
	if _, err := Evaluate[any](ctx, page, "opened.close()"); err != nil {
		t.Fatal(err)
	}
	<-popup.Done()
	if !errors.Is(popup.Err(), ErrPageClosed) {
		t.Errorf("a pop-up that its opener has closed: %v", popup.Err())
	}
}

func TestPages_OfASessionAreAllVisibleAndFocused(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	var pages []*WebContents
	for _, host := range []string{"a.test", "a.test", "b.test"} {
		pages = append(pages, testPage(t, s, server.URL(host, "/page/x")))
	}
	for i, page := range pages {
		got, err := Evaluate[string](testContext(t), page, `new Promise(done => {
			let frames = 0;
			const frame = () => ++frames < 5 ? requestAnimationFrame(frame) : done(document.visibilityState + ' ' + document.hasFocus());
			frame();
		})`)
		if err != nil || got != "visible true" {
			t.Errorf("page %d is %q, %v", i, got, err)
		}
	}
}

func TestRenderProcessGone_TellsOfTheCrashAndReloadBringsThePageBack(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("crash.test", "/page/crashing"))
	sibling := testPage(t, s, server.URL("other.test", "/page/sibling"))
	gone, console := events(page.RenderProcessGone(ctx)), events(page.Console(ctx))
	for round := range 2 {
		ended := make(chan error, 1)
		go func() {
			_, err := Evaluate[int](ctx, page, "new Promise(() => {})")
			ended <- err
		}()
		stillOpen(t, page)
		go page.CDP().Call(ctx, "Page.crash", nil, nil)
		if r := next(t, gone); r.Reason != "crashed" {
			t.Errorf("round %d: the reason is %+v", round, r)
		}
		if err := <-ended; !errors.Is(err, ErrRendererGone) {
			t.Errorf("round %d: the evaluation that ran: %v", round, err)
		}
		if !page.IsCrashed() || page.Err() != nil {
			t.Errorf("round %d: crashed %v, error %v", round, page.IsCrashed(), page.Err())
		}
		for name, call := range map[string]func() error{
			"Title":      func() error { _, err := page.Title(ctx); return err },
			"Click":      func() error { return page.Click(ctx, "h1") },
			"TypeKeys":   func() error { return page.TypeKeys(ctx, "x") },
			"Screenshot": func() error { _, err := page.Screenshot(ctx, ScreenshotOptions{}); return err },
			"PDF":        func() error { _, err := page.PDF(ctx, PDFOptions{}); return err },
			"LoadHTML":   func() error { return page.LoadHTML(ctx, "x", LoadOptions{}) },
		} {
			if err := call(); !errors.Is(err, ErrRendererGone) {
				t.Errorf("round %d: %s on a crashed page: %v", round, name, err)
			}
		}
		stillOpen(t, sibling)
		var err error
		if round == 0 {
			err = page.Reload(ctx, LoadOptions{})
		} else {
			err = page.LoadURL(ctx, server.URL("a.test", "/page/again"), LoadOptions{})
		}
		if err != nil || page.IsCrashed() {
			t.Fatalf("round %d: loading again: %v, crashed %v", round, err, page.IsCrashed())
		}
		want(t, page, "console.log('back'), document.visibilityState + document.hasFocus()", "visibletrue")
		if m := next(t, console); m.Text != "back" {
			t.Errorf("the console says %+v", m)
		}
	}
}

func TestRenderProcessGone_EndsALoadThatWaits(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	defer server.Hold("/held")()
	serveHTML(server, "/waits", `<title>waits</title><img src="/held">`)
	page := testPage(t, s, "")
	ended := make(chan error, 1)
	go func() { ended <- page.LoadURL(ctx, server.URL("a.test", "/waits"), LoadOptions{}) }()
	if _, err := server.WaitRequest(ctx, "/held"); err != nil {
		t.Fatal(err)
	}
	go page.CDP().Call(ctx, "Page.crash", nil, nil)
	if err := <-ended; !errors.Is(err, ErrRendererGone) {
		t.Errorf("a load whose renderer crashes: %v", err)
	}
}

func TestCDP_TypedCommandsAndErrorsOfTheBrowser(t *testing.T) {
	t.Parallel()
	ctx, page := testContext(t), testPage(t, memorySession(t), "")
	var refused *cdp.Error
	if err := page.CDP().Call(ctx, "Page.doesNotExist", nil, nil); !errors.As(err, &refused) || refused.Code != -32601 {
		t.Errorf("an unknown command: %v", err)
	}
	if err := page.CDP().Call(ctx, "Page.navigate", map[string]int{"url": 1}, nil); !errors.As(err, &refused) || !strings.Contains(refused.Error(), "url") {
		t.Errorf("a wrong parameter: %v", err)
	}
}

// namedSession is a further session of a test.
func namedSession(t testing.TB, name string) *Session {
	t.Helper()
	ctx := testContext(t)
	s, err := sharedBrowser(t).FromPartition(ctx, t.Name()+"/"+name, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(ctx)) })
	return s
}

// settings that two sessions have at once stay apart: their pages do opposite
// things at the same time.
func TestPages_OfTwoSessionsDoOppositeThings(t *testing.T) {
	t.Parallel()
	ctx, server := testContext(t), fixture.New(t)
	first, second := testPage(t, namedSession(t, "1"), server.URL("a.test", "/dialogs")), testPage(t, namedSession(t, "2"), server.URL("a.test", "/dialogs"))
	first.SetDialogHandler(func(context.Context, Dialog) DialogAnswer { return DialogAnswer{Accept: true} })
	second.SetDialogHandler(func(context.Context, Dialog) DialogAnswer { return DialogAnswer{} })
	answers := make(chan error, 2)
	for page, accepted := range map[*WebContents]string{first: "confirm: true", second: "confirm: false"} {
		go func() {
			var errs []error
			for range 5 {
				err := page.Click(ctx, "#confirm")
				got, err2 := Evaluate[string](ctx, page, "document.querySelector('#result').textContent")
				if errs = append(errs, err, err2); got != accepted {
					errs = append(errs, fmt.Errorf("the page says %q, want %q", got, accepted))
				}
			}
			answers <- errors.Join(errs...)
		}()
	}
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if slices.Contains(first.Session().Pages(), second) {
		t.Error("a session lists another's page")
	}
}

func TestClose_WhileADocumentArrives(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	release := server.Hold("/held")
	defer release()
	serveHTML(server, "/arrives", `<script src="/held"></script>`)
	for range 10 {
		page := testPage(t, s, "")
		if err := page.LoadURL(ctx, server.URL("a.test", "/arrives"), LoadOptions{WaitUntil: WaitCommit}); err != nil {
			t.Fatal(err)
		}
		if err := page.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
