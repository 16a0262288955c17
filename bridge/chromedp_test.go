package bridge

import (
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestChromedp_ActionsRunOnThePage(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), fixture.New(t)
	page, other := testPage(t, s, server.URL("a.test", "/form")), testPage(t, namedSession(t, "other"), server.URL("a.test", "/page/other"))
	c := page.Chromedp()
	if page.Chromedp() != c {
		t.Error("another context the second time")
	}
	title, err := chromedp.Run(c, chromedp.Title())
	if err != nil || title != "form" {
		t.Fatalf("the title is %q, %v", title, err)
	}
	if err := chromedp.Do(c, chromedp.SendKeys("#name", "typed"), chromedp.Click("#button")); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.querySelector('#name').value + document.querySelector('#log').textContent.includes('click:button')", "typedtrue")
	if err := chromedp.Do(c, chromedp.Navigate(server.URL("a.test", "/page/navigated"))); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.title", "navigated")
	targets, err := chromedp.Targets(c)
	if err != nil || len(targets) != 1 || string(targets[0].TargetID) != page.ID() {
		t.Errorf("it sees %v, %v", targets, err)
	}
	// Two contexts at once.
	var wg sync.WaitGroup
	for page, title := range map[*WebContents]string{page: "navigated", other: "other"} {
		wg.Go(func() {
			for range 10 {
				if got, err := chromedp.Run(page.Chromedp(), chromedp.Title()); err != nil || got != title {
					t.Errorf("%q, %v, want %q", got, err, title)
				}
			}
		})
	}
	wg.Wait()
}

func TestChromedp_EndsWithThePage(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	c := page.Chromedp()
	if _, err := chromedp.Run(c, chromedp.Title()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		// An element that never comes.
		err := chromedp.Do(c, chromedp.Click("#missing"))
		ended <- err
	}()
	stillOpen(t, page)
	if err := page.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("an action on a closed page returned")
	}
	<-c.Done()
	if _, err := chromedp.Run(page.Chromedp(), chromedp.Title()); err == nil {
		t.Error("an action after the end")
	}
}
