package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/go-rod/rod"
	rodcdp "github.com/go-rod/rod/lib/cdp"
)

// runNode runs a program of clients/ and returns the steps that went well.
func runNode(t *testing.T, s *testServer, program, partition string) []string {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("there is no npm to install Puppeteer and Playwright with")
	}
	if err := installClients(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Second)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "clients/"+program)
	node.Env = append(node.Environ(),
		"HTTP="+s.http(partition, ""), "SITE="+shared.site.TLSURL("a.test", ""), "OTHER="+shared.site.TLSURL("b.test", ""), "TITLE="+program)
	out, err := node.CombinedOutput()
	var steps []string
	for line := range strings.Lines(string(out)) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			steps = append(steps, step)
		}
	}
	if err != nil || len(steps) == 0 || steps[len(steps)-1] != "close" {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
	return steps
}

func TestClients_PuppeteerUsesASessionAsABrowser(t *testing.T) {
	s := serve(t, Options{})
	runNode(t, s, "puppeteer.js", s.partition("puppeteer"))
}

func TestClients_PlaywrightUsesASessionAsABrowser(t *testing.T) {
	s := serve(t, Options{})
	runNode(t, s, "playwright.js", s.partition("playwright"))
}

func TestClients_ChromedpUsesASessionAsABrowser(t *testing.T) {
	s := serve(t, Options{})
	runChromedp(t, s, s.partition("chromedp"), "chromedp")
}

func runChromedp(t *testing.T, s *testServer, partition, title string) {
	t.Helper()
	allocator, cancel := remote.NewAllocator(testContext(t), s.ws(partition), remote.NoModifyURL)
	defer cancel()
	ctx, end := chromedp.NewContext(allocator)
	defer end()
	if err := chromedp.Do(ctx, chromedp.Navigate(shared.site.URL("a.test", "/page/"+title))); err != nil {
		t.Error(err)
		return
	}
	if got, err := chromedp.Run(ctx, chromedp.Title()); err != nil || got != title {
		t.Errorf("the title is %q: %v", got, err)
	}
	if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err != nil || len(png) < 1000 {
		t.Errorf("%d bytes of a screenshot: %v", len(png), err)
	}
}

func TestClients_RodUsesASessionAsABrowser(t *testing.T) {
	s := serve(t, Options{})
	runRod(t, s, s.partition("rod"), "rod")
}

func runRod(t *testing.T, s *testServer, partition, title string) {
	t.Helper()
	ws := &rodcdp.WebSocket{}
	if err := ws.Connect(testContext(t), s.ws(partition), http.Header{}); err != nil {
		t.Error(err)
		return
	}
	defer ws.Close()
	browser := rod.New().Context(testContext(t)).Client(rodcdp.New().Start(ws))
	err := rod.Try(func() {
		browser = browser.MustConnect()
		page := browser.MustPage(shared.site.URL("a.test", "/page/"+title)).MustWaitLoad()
		if got := page.MustInfo().Title; got != title {
			panic(fmt.Errorf("the title is %q", got))
		}
		if sum := page.MustEval("() => 20 + 22").Int(); sum != 42 {
			panic(fmt.Errorf("the sum is %d", sum))
		}
		page.MustClose()
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClients_ThreeInThreeSessionsAtOnce(t *testing.T) {
	s := serve(t, Options{})
	partitions := []string{s.partition("1"), s.partition("2"), s.partition("3")}
	var all sync.WaitGroup
	all.Go(func() { runNode(t, s, "puppeteer.js", partitions[0]) })
	all.Go(func() { runChromedp(t, s, partitions[1], "second") })
	all.Go(func() { runRod(t, s, partitions[2], "third") })
	all.Wait()
}

func TestClients_TwoInOneSession(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("both")
	one, two := dial(t, s.ws(partition)), dial(t, s.ws(partition))
	two.call("", "Target.setDiscoverTargets", map[string]any{"discover": true})
	id, session := one.page(shared.site.URL("a.test", "/page/shared"))
	two.event("Target.targetCreated")
	other := two.call("", "Target.attachToTarget", map[string]any{"targetId": id, "flatten": true})["sessionId"].(string)
	two.evaluate(other, "window.mark = 'two'")
	if mark := one.evaluate(session, "window.mark"); mark != "two" {
		t.Errorf("the mark is %v", mark)
	}
	one.ws.CloseNow()
	two.event("Target.targetDestroyed")
}
