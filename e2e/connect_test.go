package e2e

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// startForeign starts a browser that the bridge does not own and returns the
// address of its DevTools.
func startForeign(t *testing.T) string {
	t.Helper()
	binary, err := chromium.Find("")
	if err != nil {
		t.Fatal(err)
	}
	// Root needs --no-sandbox; the pages are the test's own.
	browser := exec.Command(binary, "--headless", "--no-sandbox", "--remote-debugging-port=0", "--disable-background-networking", "--no-first-run", "--user-data-dir="+t.TempDir(), "about:blank")
	stderr, err := browser.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		browser.Process.Signal(os.Interrupt)
		browser.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := regexp.MustCompile(`ws://\S+`).FindString(lines.Text()); m != "" {
			go func() {
				for lines.Scan() {
				}
			}()
			return m
		}
	}
	t.Fatal("the browser names no address")
	return ""
}

func TestConnect_DrivesABrowserThatSomebodyElseStarted(t *testing.T) {
	address := startForeign(t)
	ctx := testContext(t, time.Minute)
	host := regexp.MustCompile(`//[^/]+`).FindString(address)
	for _, address := range []string{address, "http:" + host} {
		b, err := bridge.Connect(ctx, address, bridge.Options{})
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		if pages := b.DefaultSession().Pages(); len(pages) != 1 {
			t.Errorf("the default session has %d pages, the browser one", len(pages))
		}
		page := newPage(t, session(t, b, "guest"), "data:text/html,<title>hello</title>")
		if title, err := page.Title(ctx); title != "hello" {
			t.Errorf("%q, %v", title, err)
		}
		var unsupported *bridge.UnsupportedError
		if _, err := b.FromPartition(ctx, "persist:x", bridge.PartitionOptions{}); !errors.As(err, &unsupported) {
			t.Errorf("a persistent session: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		if _, err := page.Title(ctx); err == nil {
			t.Error("a page answers after Close")
		}
	}
	// It lives, and what the bridge made in it is gone.
	b, err := bridge.Connect(ctx, address, bridge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if pages := b.DefaultSession().Pages(); len(pages) != 1 {
		t.Errorf("%d pages after the others were closed", len(pages))
	}
}

func TestConnect_SaysWhatIsWrongWithTheAddress(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, address := range []string{"", "nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:1/", "ws://127.0.0.1:1/devtools/browser/x", server.URL} {
		b, err := bridge.Connect(ctx, address, bridge.Options{})
		if err == nil {
			b.Close()
			t.Errorf("%q is taken", address)
			continue
		}
		t.Logf("%q: %v", address, err)
	}
}

func TestConnect_RemembersPermissionsInMemory(t *testing.T) {
	address, server := startForeign(t), fixture.New(t)
	ctx := testContext(t, time.Minute)
	b, err := bridge.Connect(ctx, address, bridge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, asked := b.DefaultSession(), make(chan bridge.Permission, 2)
	s.SetPermissionRequestHandler(func(_ context.Context, r bridge.PermissionRequest) bool {
		asked <- r.Permission
		return true
	})
	if err := s.RememberPermissions(ctx, true); err != nil {
		t.Fatal(err)
	}
	page := newPage(t, s, server.URL("a.localhost", "/"))
	for range 2 {
		if granted, err := bridge.Evaluate[bool](ctx, page, "navigator.storage.persist()"); !granted || err != nil {
			t.Error(granted, err)
		}
	}
	if len(asked) != 1 || len(s.PermissionGrants()) != 1 {
		t.Errorf("asked %d times; remembered are %v", len(asked), s.PermissionGrants())
	}
}
