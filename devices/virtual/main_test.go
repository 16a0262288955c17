package virtual

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails when a test has left a goroutine behind. With -fuzz the testing package itself does: its
// workers listen to signals until they end.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	if fuzzing := flag.Lookup("test.fuzz"); fuzzing != nil && fuzzing.Value.String() != "" {
		os.Exit(code)
	}
	for deadline := time.Now().Add(5 * time.Second); code == 0 && runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			var stacks bytes.Buffer
			stacks.Grow(1 << 20)
			all := stacks.AvailableBuffer()[:1<<20]
			fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", all[:runtime.Stack(all, true)])
			code = 1
		}
	}
	os.Exit(code)
}

// testContext ends with the test, or after a minute: what hangs is to fail.
func testContext(t testing.TB) context.Context {
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(end)
	return ctx
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
