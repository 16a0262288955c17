package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/leak"
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
	os.Exit(leak.Main(m, closeShared))
}

func closeShared() error {
	if shared.browser == nil {
		return nil
	}
	var left []string
	for _, s := range shared.browser.Sessions() {
		if s != shared.browser.DefaultSession() {
			left = append(left, s.Partition())
		}
	}
	err := shared.browser.Close()
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("sessions are left open: %v", left))
	}
	return err
}
