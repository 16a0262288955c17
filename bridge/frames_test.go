package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// frame is the frame with a name.
func frame(t testing.TB, page *WebContents, name string) *Frame {
	t.Helper()
	for _, f := range page.Frames() {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no frame %s in %s", name, describe(page))
	return nil
}

func describe(page *WebContents) string {
	var b strings.Builder
	for _, f := range page.Frames() {
		fmt.Fprintf(&b, "\n  %q %s of %s in %s: %s", f.Name, f.ID, f.ParentID, f.Origin, f.URL)
	}
	return b.String()
}

// parentsFirst fails the test when a frame comes before its parent.
func parentsFirst(t testing.TB, page *WebContents) {
	t.Helper()
	seen := map[string]bool{"": true}
	for i, f := range page.Frames() {
		if !seen[f.ParentID] || (f.ParentID == "") != (i == 0) {
			t.Errorf("frame %d is out of order in %s", i, describe(page))
		}
		seen[f.ID] = true
	}
}

func framesURL(s *fixture.Server, host string, frames ...string) string {
	q := url.Values{}
	for i := 0; i < len(frames); i += 2 {
		q.Set(frames[i], frames[i+1])
	}
	return s.URL(host, "/frames?"+q.Encode())
}

func TestFrames_OfEveryKindHaveURLOriginAndRunCode(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/iframes"))
	origin := server.URL("a.test", "")
	for name, is := range map[string]struct{ url, origin, title string }{
		"same":      {origin + "/page/same-origin", origin, "same-origin"},
		"nested":    {origin + "/frames?inner=/page/nested", origin, "done"},
		"inner":     {origin + "/page/nested", origin, "nested"},
		"srcdoc":    {"about:srcdoc", origin, "srcdoc"},
		"blank":     {"about:blank", origin, ""},
		"data":      {"data:text/html,<title>data</title><h1>data</h1>", "null", "data"},
		"sandboxed": {origin + "/page/sandboxed", origin, "sandboxed"},
	} {
		f := frame(t, page, name)
		if f.URL != is.url || f.Origin != is.origin || f.Page() != page {
			t.Errorf("%s is at %s in %s, want %s in %s", name, f.URL, f.Origin, is.url, is.origin)
		}
		want(t, f, "document.title", is.title)
		if name == "sandboxed" {
			is.origin = "null"
		}
		want(t, f, "self.origin", is.origin)
	}
	if inner := frame(t, page, "inner"); inner.ParentID != frame(t, page, "nested").ID {
		t.Errorf("inner is in %s", inner.ParentID)
	}
	if main := page.MainFrame(); main.ParentID != "" || main.Origin != origin {
		t.Errorf("the main frame is %+v", main)
	}
	parentsFirst(t, page)
	if n := len(page.Frames()); n != 8 {
		t.Errorf("%d frames: %s", n, describe(page))
	}
}

func TestFrames_OfOtherSites(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	deep := framesURL(server, "b.test", "back", server.URL("a.test", "/page/back"), "third", server.URL("c.test", "/page/third"))
	page := testPage(t, s, framesURL(server, "a.test", "foreign", deep, "own", server.URL("a.test", "/page/own")))
	for name, is := range map[string]struct{ host, title string }{
		"foreign": {"b.test", "done"}, "back": {"a.test", "back"}, "third": {"c.test", "third"}, "own": {"a.test", "own"},
	} {
		f := frame(t, page, name)
		if f.Origin != server.URL(is.host, "") {
			t.Errorf("%s is in %s: %s", name, f.Origin, describe(page))
		}
		want(t, f, "document.title", is.title)
	}
	foreign := frame(t, page, "foreign")
	for _, name := range []string{"back", "third"} {
		if frame(t, page, name).ParentID != foreign.ID {
			t.Errorf("%s is not in foreign: %s", name, describe(page))
		}
	}
	if foreign.ParentID != page.ID() {
		t.Errorf("foreign is not in the page: %s", describe(page))
	}
	parentsFirst(t, page)
}

func TestFrames_KeepTheirIDsWhenTheyMoveBetweenProcesses(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, framesURL(server, "a.test", "moving", server.URL("a.test", "/page/0"), "staying", server.URL("a.test", "/page/stays")))
	moving, staying := frame(t, page, "moving"), frame(t, page, "staying")
	for i, host := range []string{"b.test", "b.test", "c.test", "a.test", "a.test", "b.test", "a.test"} {
		title := fmt.Sprint(i + 1)
		to := framesURL(server, host, "below", server.URL("b.test", "/page/below"))
		if i%2 == 0 {
			to = server.URL(host, "/page/"+title)
		}
		loaded, err := Evaluate[bool](ctx, page, `url => new Promise(done => {
			const frame = document.querySelector('#moving');
			frame.addEventListener('load', () => done(true), {once: true});
			frame.src = url;
		})`, to)
		if err != nil || !loaded {
			t.Fatal(err)
		}
		now := frame(t, page, "moving")
		if now.ID != moving.ID || now.URL != to || now.Origin != server.URL(host, "") {
			t.Errorf("after step %d to %s: %s", i, to, describe(page))
		}
		want(t, moving, "location.href", to)
		want(t, staying, "document.title", "stays")
		if count := 3 + i%2; len(page.Frames()) != count {
			t.Errorf("after step %d: want %d frames: %s", i, count, describe(page))
		}
		if i%2 == 1 {
			want(t, frame(t, page, "below"), "document.title", "below")
		}
		parentsFirst(t, page)
	}
}

func TestFrames_ThatAreRemovedAreGone(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, framesURL(server, "a.test", "own", server.URL("a.test", "/page/own"), "foreign", framesURL(server, "b.test", "deep", server.URL("c.test", "/page/deep"))))
	var frames []*Frame
	var waiting []chan error
	for _, name := range []string{"own", "foreign", "deep"} {
		f, ended := frame(t, page, name), make(chan error, 1)
		frames, waiting = append(frames, f), append(waiting, ended)
		go func() {
			_, err := Evaluate[int](ctx, f, "new Promise(() => {})")
			ended <- err
		}()
		want(t, f, "1", 1)
	}
	if _, err := Evaluate[any](ctx, page, "document.querySelectorAll('iframe').forEach(frame => frame.remove())"); err != nil {
		t.Fatal(err)
	}
	for i, f := range frames {
		if err := <-waiting[i]; !errors.Is(err, ErrNavigated) {
			t.Errorf("%s: an evaluation that ran: %v", f.Name, err)
		}
		if _, err := Evaluate[int](ctx, f, "1"); !errors.Is(err, ErrFrameGone) {
			t.Errorf("%s: an evaluation afterwards: %v", f.Name, err)
		}
		if err := f.Click(ctx, "h1"); !errors.Is(err, ErrFrameGone) {
			t.Errorf("%s: a click afterwards: %v", f.Name, err)
		}
	}
	if n := len(page.Frames()); n != 1 {
		t.Errorf("%d frames are left: %s", n, describe(page))
	}
	stillOpen(t, page)
}

func TestFrames_GoWithTheirDocument(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	start := framesURL(server, "a.test", "own", server.URL("a.test", "/page/own"), "foreign", server.URL("b.test", "/page/foreign"))
	page := testPage(t, s, start)
	own := frame(t, page, "own")
	for _, step := range []func() error{
		func() error { return page.LoadURL(ctx, server.URL("a.test", "/page/plain"), LoadOptions{}) },
		func() error { return page.GoBack(ctx, LoadOptions{}) },
		func() error { return page.LoadURL(ctx, server.URL("c.test", "/page/plain"), LoadOptions{}) },
		func() error { return page.GoBack(ctx, LoadOptions{}) },
		func() error { return page.Reload(ctx, LoadOptions{}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		names := []string{""}
		if page.URL() == start {
			names = []string{"", "foreign", "own"}
		}
		var got []string
		for _, f := range page.Frames() {
			got = append(got, f.Name)
			want(t, f, "location.href", f.URL)
		}
		if slices.Sort(got); !slices.Equal(got, names) {
			t.Errorf("at %s the frames are %s", page.URL(), describe(page))
		}
		parentsFirst(t, page)
	}
	if _, err := Evaluate[int](ctx, own, "1"); err != nil && !errors.Is(err, ErrFrameGone) {
		t.Errorf("a frame of a document that was replaced: %v", err)
	}
}

func TestFrames_RightAfterACrash(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, framesURL(server, "a.test", "own", server.URL("a.test", "/page/own"), "foreign", server.URL("framecrash.test", "/page/foreign")))
	own, foreign := frame(t, page, "own"), frame(t, page, "foreign")
	want(t, foreign, "document.title", "foreign")

	// The process of a frame alone.
	in, err := foreign.world(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := Evaluate[int](ctx, foreign, "new Promise(() => {})")
		ended <- err
	}()
	want(t, foreign, "1", 1)
	go in.target.Session.Call(ctx, "Page.crash", nil, nil)
	if err := <-ended; !errors.Is(err, ErrRendererGone) && !errors.Is(err, ErrNavigated) {
		t.Errorf("an evaluation in a frame that crashes: %v", err)
	}
	if _, err := Evaluate[int](ctx, foreign, "1"); !errors.Is(err, ErrRendererGone) && !errors.Is(err, ErrFrameGone) {
		t.Errorf("an evaluation in a frame that has crashed: %v", err)
	}
	stillOpen(t, page)
	want(t, own, "document.title", "own")

	// The page's.
	gone := events(page.RenderProcessGone(ctx))
	go page.CDP().Call(ctx, "Page.crash", nil, nil)
	next(t, gone)
	if _, err := Evaluate[int](ctx, own, "1"); !errors.Is(err, ErrRendererGone) && !errors.Is(err, ErrFrameGone) {
		t.Errorf("an evaluation in a frame of a crashed page: %v", err)
	}
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(page.Frames()); n != 3 {
		t.Errorf("%d frames after the reload: %s", n, describe(page))
	}
	for _, name := range []string{"own", "foreign"} {
		want(t, frame(t, page, name), "document.title", name)
	}
	parentsFirst(t, page)
}

func TestFrame_ContextThatEndsEndsTheWait(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, framesURL(server, "a.test", "own", server.URL("a.test", "/page/own")))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Evaluate[int](ended, frame(t, page, "own"), "1"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
