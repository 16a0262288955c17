package bridge

import (
	"context"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestResponsiveness_TellsOfABusyPageAndItsReturn(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("responsive.test", "/page/x"))
	states := events(page.Responsiveness(ctx, 250*time.Millisecond))
	if err := page.LoadURL(ctx, server.URL("responsive.test", "/busy?ms=1500"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if next(t, states) {
		t.Error("the first state is responsive")
	}
	if !next(t, states) {
		t.Error("the second state is unresponsive")
	}
	stillOpen(t, page)
	page.SetDialogHandler(func(ctx context.Context, d Dialog) DialogAnswer {
		if next(t, states) {
			t.Error("a page with a dialog is responsive")
		}
		return DialogAnswer{}
	})
	if _, err := Evaluate[any](ctx, page, "alert(1)"); err != nil {
		t.Fatal(err)
	}
	if !next(t, states) {
		t.Error("a page whose dialog is answered is unresponsive")
	}
}

func TestResponsiveness_EndsWithItsLoop(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("busyloop.test", "/busy?ms=60000"))
	for responsive := range page.Responsiveness(ctx, 100*time.Millisecond) {
		if responsive {
			t.Error("a busy page is responsive")
		}
		break
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	for range page.Responsiveness(short, 100*time.Millisecond) {
	}
}
