package bridge

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// startDisplay starts an X server without a screen and returns its name.
func startDisplay(t *testing.T) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	x := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{write}
	if err := x.Start(); err != nil {
		t.Fatalf("starting Xvfb, which scripts/setup installs: %v", err)
	}
	write.Close()
	t.Cleanup(func() {
		x.Process.Kill()
		x.Wait()
	})
	number, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatalf("Xvfb names no display: %v", err)
	}
	return ":" + strings.TrimSpace(number)
}

func TestHeadful_APageStaysVisibleWhileHiddenPagesComeAndGo(t *testing.T) {
	t.Setenv("DISPLAY", startDisplay(t))
	ctx := testContext(t)
	b, err := Launch(ctx, Options{Headful: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	page, err := b.DefaultSession().NewPage(ctx, "data:text/html,<title>kiosk</title>")
	if err != nil {
		t.Fatal(err)
	}
	if agent, _ := Evaluate[string](ctx, page, "navigator.userAgent"); strings.Contains(agent, "Headless") {
		t.Errorf("not headful: %s", agent)
	}
	// What the page sees by itself, without the emulation that hides the truth.
	if err := page.call(ctx, "Emulation.setFocusEmulationEnabled", map[string]bool{"enabled": false}, nil); err != nil {
		t.Fatal(err)
	}
	const watch = `(window.seen = [document.visibilityState],
		document.addEventListener('visibilitychange', () => seen.push(document.visibilityState)), seen.join())`
	if seen, err := Evaluate[string](ctx, page, watch); seen != "visible" {
		t.Fatalf("before: %q, %v", seen, err)
	}
	h := b.hosts[0]
	for _, url := range []string{"chrome://net-internals/", "chrome://version/"} {
		err := h.hidden.Use(ctx, "", url, func(ctx context.Context, s *cdp.Session) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	if pages := b.DefaultSession().Pages(); len(pages) != 1 {
		t.Errorf("%d pages are listed", len(pages))
	}
	h.hidden.CloseContext("")
	// A frame is drawn, so what was about to change has changed.
	if _, err := Evaluate[bool](ctx, page, "new Promise(done => requestAnimationFrame(() => done(true)))"); err != nil {
		t.Fatal(err)
	}
	if seen, err := Evaluate[string](ctx, page, "seen.join()"); seen != "visible" {
		t.Errorf("the page was %q, %v", seen, err)
	}
	if shot, err := page.Screenshot(ctx, ScreenshotOptions{}); err != nil || len(shot) == 0 {
		t.Errorf("screenshot: %v", err)
	}
}

func TestHeadful_WithoutADisplaySaysWhatIsMissing(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	_, err := Launch(testContext(t), Options{Headful: true})
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "display") {
		t.Errorf("%v", err)
	}
}
