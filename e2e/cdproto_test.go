package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/cdpbridge/cdpbridge/bridge"
)

func TestCdproto_TypedCommandsAndEventsWorkOnThePagesOwnSession(t *testing.T) {
	b := launch(t, bridge.Options{})
	web := newPage(t, session(t, b, "typed"), "")
	ctx := testContext(t, 30*time.Second)
	var s cdp.Session = web.CDP()
	loads := cdp.Events(ctx, s, page.LoadEventFired)
	if _, err := cdp.Call(ctx, s, page.Navigate, page.NavigateParams{URL: "data:text/html,<title>typed</title>"}); err != nil {
		t.Fatal(err)
	}
	for event, err := range loads {
		if err != nil || event.Timestamp <= 0 {
			t.Fatal(err)
		}
		break
	}
	result, err := cdp.Call(ctx, s, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.title"})
	if err != nil || string(result.Result.Value) != `"typed"` {
		t.Errorf("%s, %v", result.Result.Value, err)
	}
	// The browser's own session is one as well.
	if version, err := cdp.Call(ctx, web.CDP().Conn().Root(), browser.GetVersion, cdp.Empty{}); err != nil || version.Product == "" {
		t.Errorf("%+v, %v", version, err)
	}
}
