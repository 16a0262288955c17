package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// shared is the browser that tests share, and the web server that they visit.
var shared struct {
	once    sync.Once
	browser *Browser
	server  *fixture.Server
	dir     string
	err     error
}

// sharedBrowser is the browser that tests of the package share. A test takes
// sessions of its own in it.
func sharedBrowser(t testing.TB) *Browser {
	t.Helper()
	shared.once.Do(startShared)
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.browser
}

// sharedServer is the web server that the shared browser finds under all names
// that end in .test.
func sharedServer(t testing.TB) *fixture.Server {
	t.Helper()
	sharedBrowser(t)
	return shared.server
}

func startShared() {
	shared.err = func() (err error) {
		if shared.server, err = fixture.Start(); err != nil {
			return err
		}
		shared.server.Handle("/megabyte", serveMegabyte)
		if shared.dir, err = os.MkdirTemp("", "bridge-shared-"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		shared.browser, err = Launch(ctx, testOptions(shared.server, shared.dir))
		return err
	}()
}

// serveMegabyte answers a million bytes to keep.
func serveMegabyte(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Write(make([]byte, 1_000_000))
}

// testOptions are those of a browser for the server.
func testOptions(server *fixture.Server, dir string) Options {
	return Options{UserDataDir: dir, Args: []string{
		"--host-resolver-rules=" + server.ResolverRules(),
		"--ignore-certificate-errors-spki-list=" + server.SPKI(),
	}}
}

// ownBrowser is a browser of the test's own, with its server.
func ownBrowser(t testing.TB) (*Browser, *fixture.Server) {
	t.Helper()
	server := fixture.New(t)
	b, err := Launch(testContext(t), testOptions(server, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, server
}

// closeShared ends the shared browser and its server, if they were started.
func closeShared() error {
	var errs []error
	if shared.browser != nil {
		for _, s := range shared.browser.Sessions() {
			if s != shared.browser.DefaultSession() && s.Partition() != sharedPersistent {
				errs = append(errs, fmt.Errorf("a test left the session %q open", s.Partition()))
			}
		}
		errs = append(errs, shared.browser.Close())
	}
	if shared.server != nil {
		errs = append(errs, shared.server.Close())
	}
	if schemed.browser != nil {
		errs = append(errs, schemed.browser.Close(), os.RemoveAll(schemed.dir))
	}
	return errors.Join(append(errs, os.RemoveAll(shared.dir))...)
}

// sharedPersistent is the persistent session that tests share: each has a
// Chromium process of its own.
const sharedPersistent = "persist:shared"

// kinds of sessions, for tests that hold for all.
var sessionKinds = []string{"default", "persistent", "memory"}

// testSession is a session of a kind. The default and the persistent one are
// shared by all tests; the one in memory is the test's own and ends with it.
func testSession(t testing.TB, kind string) *Session {
	t.Helper()
	b := sharedBrowser(t)
	name := map[string]string{"default": "", "persistent": sharedPersistent, "memory": t.Name()}[kind]
	s, err := b.FromPartition(testContext(t), name, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if kind != "memory" {
		return s
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// testContext ends before the test binary gives up, so that a hang is reported
// where it happens. It outlives clean-ups that were registered before it.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// testPage opens a page that is closed with the test.
func testPage(t testing.TB, s *Session, url string) *WebContents {
	t.Helper()
	page, err := s.NewPage(testContext(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { page.Close(context.Background()) })
	return page
}

// evaluated is the value of an expression in a page.
func evaluated[T any](t testing.TB, page *WebContents, expression string, args ...any) T {
	t.Helper()
	value, err := Evaluate[T](testContext(t), page, expression, args...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// atSize is how often or how much a long test does: less than it is about, unless all
// of it is asked for.
func atSize(reduced, stated int) int {
	if os.Getenv("BRIDGE_FULL") == "1" {
		return stated
	}
	return reduced
}

// testDir is a directory for a browser that ends before the test does. That of
// the test itself is closed to Chromium's user.
func testDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bridge-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// kill kills the Chromium process of a session, and returns when the session
// has learned it.
func kill(t testing.TB, s *Session) {
	t.Helper()
	at, _ := s.present()
	h := at.host
	gone := make(chan struct{})
	s.browser.OnHostGone(func(*HostGoneError) { close(gone) })
	if err := h.process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-testContext(t).Done():
		t.Fatal("nobody told that the browser is gone")
	}
}
