package bridge

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestConsole_TellsWhatIsWrittenAndWhere(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	serveHTML(server, "/writes", "<script>\nconsole.log('at', 1);\nsetTimeout(() => { throw new TypeError('nobody caught it') });\n</script>")
	page := testPage(t, s, "")
	if _, err := Evaluate[any](ctx, page, "console.log('before anybody listens')"); err != nil {
		t.Fatal(err)
	}
	messages, second := events(page.Console(ctx)), events(page.Console(ctx))
	for code, m := range map[string]ConsoleMessage{
		"console.log('a', 1, true, null, undefined, -0, 5n)": {Level: "log", Text: "a 1 true null undefined -0 5n"},
		"console.warn('w')":                           {Level: "warning", Text: "w"},
		"console.error(new Error('e').message)":       {Level: "error", Text: "e"},
		"console.debug('ü\\u0000\U0001F600')":         {Level: "debug", Text: "ü\x00\U0001F600"},
		"console.info({a: 1}, [1, 2], document.body)": {Level: "info", Text: "Object Array(2) body"},
	} {
		if _, err := Evaluate[any](ctx, page, code); err != nil {
			t.Fatal(err)
		}
		for _, listener := range []<-chan ConsoleMessage{messages, second} {
			if got := next(t, listener); got.Level != m.Level || got.Text != m.Text {
				t.Errorf("%s: %+v, want %+v", code, got, m)
			}
		}
	}
	url := server.URL("a.test", "/writes")
	if err := page.LoadURL(ctx, url, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, messages), (ConsoleMessage{"log", "at 1", url, 2, 9}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	got := next(t, messages)
	if got.Level != "exception" || !strings.HasPrefix(got.Text, "TypeError: nobody caught it") || got.URL != url || got.Line != 3 {
		t.Errorf("an exception: %+v", got)
	}
}

func TestConsole_OfACrashedPageIsAtItsEnd(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("consolecrash.test", "/page/x"))
	gone := events(page.RenderProcessGone(ctx))
	go page.CDP().Call(ctx, "Page.crash", nil, nil)
	next(t, gone)
	for m := range page.Console(ctx) {
		t.Errorf("%+v", m)
	}
	if err := page.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	messages := events(page.Console(ctx))
	want(t, page, "console.log('again'), 1", 1)
	if m := next(t, messages); m.Text != "again" {
		t.Errorf("%+v", m)
	}
}

func TestConsole_FloodStallsNobodyAndTakesLittleMemory(t *testing.T) { // alone: it measures
	n, limit := 30_000, time.Minute
	if os.Getenv("BRIDGE_FULL") == "1" {
		n, limit = 1_000_000, 5*time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	server := fixture.New(t)
	flooding := testPage(t, namedSession(t, "flooding"), "")
	quiet := testPage(t, namedSession(t, "quiet"), server.URL("quiet.test", "/page/quiet"))
	messages := flooding.Console(ctx) // whose reader does not read
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	loaded := make(chan error, 1)
	go func() {
		loaded <- flooding.LoadURL(ctx, server.URL("flood.test", fmt.Sprint("/flood?n=", n)), LoadOptions{})
	}()
	var slowest time.Duration
	answers := 0
	for done := false; !done; answers++ {
		start := time.Now()
		stillOpen(t, quiet)
		slowest = max(slowest, time.Since(start))
		select {
		case err := <-loaded:
			if done = true; err != nil {
				t.Error(err)
			}
		default:
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d messages; another session answered %d times, in %v at most; %d KiB are held", n, answers, slowest, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10)
	if slowest > 20*time.Second { // alone it is milliseconds; machines that run tests are busy
		t.Errorf("another session waited %v", slowest)
	}
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 48<<20 {
		t.Errorf("%d MiB are held", held>>20)
	}
	// The newest are there, in order.
	read := 0
	for m := range messages {
		if read++; m.Text == fmt.Sprint("flood ", n-1) {
			break
		}
	}
	if read > 10_000 {
		t.Errorf("%d messages were kept", read)
	}
}
