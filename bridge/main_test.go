package bridge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// shared is the browser and what else the tests of the package share. It is
// started by the first test that wants it.
var shared struct {
	once    sync.Once
	browser *Browser
	err     error
}

// sharedBrowser is a headless browser that knows the names *.test as the local
// machine. Tests keep to sessions of their own in it.
func sharedBrowser(t testing.TB) *Browser {
	t.Helper()
	shared.once.Do(func() {
		shared.browser, shared.err = Launch(context.Background(), Options{Args: []string{"--host-resolver-rules=MAP *.test 127.0.0.1"}})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.browser
}

// testContext ends before the test binary gives up, so that a hang is reported
// where it happens.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestMain fails when tests leave anything behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if shared.browser != nil {
		if left := leftContexts(shared.browser); left != "" {
			fmt.Fprintln(os.Stderr, "browser contexts are left:", left)
			code = 1
		}
		if err := shared.browser.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "closing the shared browser:", err)
			code = 1
		}
	}
	for what, look := range map[string]func() string{"goroutines": leftGoroutines, "directories": leftDirectories, "processes": leftProcesses} {
		if left := eventuallyNothing(look); left != "" {
			fmt.Fprintf(os.Stderr, "%s are left:\n%s\n", what, left)
			code = 1
		}
	}
	os.Exit(code)
}

// eventuallyNothing gives what is ending a moment to end.
func eventuallyNothing(look func() string) string {
	left := look()
	for range 100 {
		if left == "" {
			return ""
		}
		time.Sleep(50 * time.Millisecond)
		left = look()
	}
	return left
}

// leftContexts are the contexts of sessions that tests did not close.
func leftContexts(b *Browser) string {
	var names []string
	for _, s := range b.Sessions() {
		if s.key != (sessionKey{}) {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, ", ")
}

func leftGoroutines() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for g := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(g, "cdpbridge/") && !strings.Contains(g, "leftGoroutines") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// leftDirectories are temporary directories of this process.
func leftDirectories() string {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("bridge-%d-*", os.Getpid())))
	return strings.Join(left, "\n")
}

// leftProcesses are processes on a temporary directory of this process.
func leftProcesses() string {
	var left []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, _ := os.ReadFile(path)
		if strings.Contains(string(line), fmt.Sprintf("bridge-%d-", os.Getpid())) {
			left = append(left, path+" "+strings.ReplaceAll(string(line[:min(len(line), 200)]), "\x00", " "))
		}
	}
	return strings.Join(left, "\n")
}
