package bridge

import (
	"context"
	"errors"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestDialogs_AreAnsweredByTheHandler(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/dialogs"))
	asked := make(chan Dialog, 1)
	for _, c := range []struct {
		button  string
		answer  DialogAnswer
		message string
		prompt  string
		result  string
	}{
		{"alert", DialogAnswer{Accept: true}, "an alert", "", "alert: undefined"},
		{"confirm", DialogAnswer{Accept: true}, "a question", "", "confirm: true"},
		{"confirm", DialogAnswer{}, "a question", "", "confirm: false"},
		{"prompt", DialogAnswer{Accept: true, PromptText: "ü \U0001F600"}, "your name?", "nobody", "prompt: ü \U0001F600"},
		{"prompt", DialogAnswer{Accept: true}, "your name?", "nobody", "prompt: "},
		{"prompt", DialogAnswer{PromptText: "ignored"}, "your name?", "nobody", "prompt: null"},
	} {
		page.SetDialogHandler(func(_ context.Context, d Dialog) DialogAnswer { asked <- d; return c.answer })
		if err := page.Click(ctx, "#"+c.button); err != nil {
			t.Fatal(err)
		}
		if got, want := <-asked, (Dialog{c.button, c.message, c.prompt, page.URL()}); got != want {
			t.Errorf("asked %+v, want %+v", got, want)
		}
		want(t, page, "document.querySelector('#result').textContent", c.result)
	}
}

func TestDialogs_HaveSafeAnswersWithoutAHandlerAndWhenItPanics(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/dialogs"))
	for _, handler := range []func(context.Context, Dialog) DialogAnswer{
		nil, func(context.Context, Dialog) DialogAnswer { panic("provoked by a test") },
	} {
		page.SetDialogHandler(handler)
		for button, result := range map[string]string{"alert": "alert: undefined", "confirm": "confirm: false", "prompt": "prompt: null"} {
			if err := page.Click(ctx, "#"+button); err != nil {
				t.Fatal(err)
			}
			want(t, page, "document.querySelector('#result').textContent", result)
		}
		if err := page.Click(ctx, "#beforeunload"); err != nil {
			t.Fatal(err)
		}
		if err := page.LoadURL(ctx, server.URL("a.test", "/dialogs"), LoadOptions{}); err != nil {
			t.Errorf("leaving the page: %v", err)
		}
	}
}

func TestDialogs_BeforeunloadKeepsThePage(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/page/before"))
	if err := page.LoadURL(ctx, server.URL("a.test", "/dialogs"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := page.Click(ctx, "#beforeunload"); err != nil {
		t.Fatal(err)
	}
	page.SetDialogHandler(func(context.Context, Dialog) DialogAnswer { return DialogAnswer{} })
	ways := map[string]func(context.Context) error{
		"LoadURL": func(ctx context.Context) error {
			return page.LoadURL(ctx, server.URL("a.test", "/page/x"), LoadOptions{})
		},
		"Reload": func(ctx context.Context) error { return page.Reload(ctx, LoadOptions{}) },
		"GoBack": func(ctx context.Context) error { return page.GoBack(ctx, LoadOptions{}) },
	}
	for name, way := range ways {
		if err := way(ctx); !isLoadError(err, "net::ERR_ABORTED") {
			t.Errorf("%s with the answer to stay: %v", name, err)
		}
		if page.URL() != server.URL("a.test", "/dialogs") {
			t.Errorf("%s leads to %s", name, page.URL())
		}
	}
}

func TestDialogs_BeforeunloadLetsThePageBeLeft(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/dialogs"))
	if err := page.Click(ctx, "#beforeunload"); err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	page.SetDialogHandler(func(_ context.Context, d Dialog) DialogAnswer {
		asked <- d.Type
		return DialogAnswer{Accept: true}
	})
	if err := page.LoadURL(ctx, server.URL("a.test", "/page/x"), LoadOptions{}); err != nil {
		t.Errorf("with the answer to leave: %v", err)
	}
	if kind := next(t, asked); kind != "beforeunload" {
		t.Errorf("the page asked by %q", kind)
	}
}

func TestDialogs_WhileThePageLoads(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	serveHTML(server, "/asks", `<script>window.answer = prompt('while loading')</script><title>asks</title>`)
	page := testPage(t, s, "")
	page.SetDialogHandler(func(context.Context, Dialog) DialogAnswer { return DialogAnswer{Accept: true, PromptText: "yes"} })
	if err := page.LoadURL(ctx, server.URL("a.test", "/asks"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "answer", "yes")
}

func TestDialogs_EndWhenThePageGoesElsewhere(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/dialogs"))
	open, over := make(chan struct{}), make(chan error, 1)
	page.SetDialogHandler(func(ctx context.Context, d Dialog) DialogAnswer {
		if d.Type != "confirm" {
			return DialogAnswer{Accept: true, PromptText: "second"}
		}
		close(open)
		<-ctx.Done()
		over <- ctx.Err()
		return DialogAnswer{Accept: true, PromptText: "too late"}
	})
	go page.Click(ctx, "#confirm")
	<-open
	if err := page.LoadURL(ctx, server.URL("a.test", "/dialogs?again"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// A late answer is none to the next dialog.
	if err := page.Click(ctx, "#prompt"); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.querySelector('#result').textContent", "prompt: second")
}
