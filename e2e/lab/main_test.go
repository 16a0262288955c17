//go:build lab && linux

package lab

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/devices"
)

// TestMain keeps the tests from plugging devices into machines that are not for it.
func TestMain(m *testing.M) {
	if _, err := os.Stat("/dev/virtio-ports/lab.control"); err != nil {
		fmt.Fprintln(os.Stderr, "these tests run in a virtual machine: scripts/lab")
		os.Exit(1)
	}
	code := m.Run()
	if err := stopWeb(); err != nil {
		fmt.Fprintln(os.Stderr, "closing the browser:", err)
		code = 1
	}
	os.Exit(code)
}

// limit is how long the slowest thing takes on an emulated processor of a busy machine.
const limit = 20 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// until waits for what has no event.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for ctx := testContext(t); !is(); time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// next is the next value of a channel.
func next[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-testContext(t).Done():
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

// must is a value that there is.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// listed waits for the one device of a source for which is holds.
func listed[D devices.Device](t testing.TB, source devices.Source[D], what string, is func(D) bool) D {
	t.Helper()
	var found []D
	until(t, what, func() bool {
		found = nil
		for _, d := range must[[]D](t)(source.List(testContext(t))) {
			if is(d) {
				found = append(found, d)
			}
		}
		return len(found) == 1
	})
	return found[0]
}

// change is a device that came or went.
type change[D any] struct {
	added  bool
	device D
	at     time.Time
}

// changes are what comes and goes from now on, of the devices for which is holds.
func changes[D devices.Device, S devices.Source[D]](t testing.TB, source S, is func(D) bool) <-chan change[D] {
	t.Helper()
	told := make(chan change[D], 16)
	tell := func(added bool, all []D) {
		for _, d := range all {
			if is(d) {
				told <- change[D]{added, d, time.Now()}
			}
		}
	}
	registry := devices.NewRegistry[D, S](func(added, removed []D) { tell(false, removed); tell(true, added) }, source)
	if _, err := registry.List(testContext(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		registry.Run(ctx, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return told
}
