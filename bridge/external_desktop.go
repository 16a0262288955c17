package bridge

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// OpenWithDesktop opens the URL of another program with the program that the
// desktop has for its scheme, for Session.SetExternalOpener: with xdg-open, on
// macOS open, on Windows rundll32. The program runs as the user of the bridge, in
// its environment, and outlives it. No shell takes part.
//
// It returns an *InvalidArgumentError for what is no URL of another program:
// http:, file:, javascript:, data: and the like, and what Chromium refuses to hand
// out. Another error says that there is no desktop, or nobody for the scheme. What
// still runs after two seconds counts as opened.
func OpenWithDesktop(ctx context.Context, url string) error {
	scheme, _, ok := strings.Cut(url, ":")
	if !ok || !isExternal(strings.ToLower(scheme)) {
		return invalidArgument("%.100q is not a URL for another program", url)
	}
	name, args := desktopOpener(runtime.GOOS, escapeExternal(url))
	cmd := exec.Command(name, args...)
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("opening a URL of %s: %w", scheme, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	running := time.NewTimer(desktopGrace)
	defer running.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("opening a URL of %s: %s: %w", scheme, name, err)
		}
	case <-running.C:
	case <-ctx.Done():
	}
	return nil
}

// desktopGrace is how long an opener has to fail. Without a desktop it is the
// program itself, which runs for as long as somebody uses it.
const desktopGrace = 2 * time.Second

// desktopOpener is the command that opens a URL, which begins with a letter and so
// is no option to any of them.
func desktopOpener(system, url string) (name string, args []string) {
	switch system {
	case "darwin":
		return "open", []string{url}
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	return "xdg-open", []string{url}
}
