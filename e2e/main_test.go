// Package e2e tests the bridge from outside: through its public API, in a real
// Chromium, against a real server.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	os.Exit(leak.Main(m, removeProgram))
}

// full reports whether the long tests run at their stated size.
func full() bool { return os.Getenv("BRIDGE_FULL") != "" }

// sized is n in a full run and reduced otherwise.
func sized(n, reduced int) int {
	if full() {
		return n
	}
	return reduced
}

func testContext(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// launch starts a browser that ends with the test.
func launch(t testing.TB, o bridge.Options) *bridge.Browser {
	t.Helper()
	b, err := bridge.Launch(testContext(t, time.Minute), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the browser: %v", err)
		}
	})
	return b
}

// session returns a session of a browser; it goes with the browser.
func session(t testing.TB, b *bridge.Browser, partition string) *bridge.Session {
	t.Helper()
	s, err := b.FromPartition(testContext(t, time.Minute), partition, bridge.PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newPage(t testing.TB, s *bridge.Session, url string) *bridge.WebContents {
	t.Helper()
	page, err := s.NewPage(testContext(t, time.Minute), url)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// publicDir is a directory that Chromium's unprivileged user can enter.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bridge-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// childVariable names what a child of the test binary is to do.
const childVariable = "CDPBRIDGE_TEST_CHILD"

// runChild does what a test asked its child to do, and reports whether it did.
func runChild() bool {
	if os.Getenv(childVariable) != "three hosts" {
		return false
	}
	b, err := bridge.Launch(context.Background(), bridge.Options{})
	for _, partition := range []string{"persist:one", "persist:two"} {
		if err == nil {
			_, err = b.FromPartition(context.Background(), partition, bridge.PartitionOptions{})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(b.Hosts())
	select {} // until it is killed
}
