package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/chromium"
)

func TestAttach_WhileTheSessionCloses(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	for i := range 20 {
		s, err := b.FromPartition(ctx, fmt.Sprint("attach-close-", i), PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					client, err := s.Attach(ctx)
					if err != nil {
						return
					}
					client.Close()
				}
			})
		}
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		clients.Wait()
		if err := s.Close(ctx); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}
}

func TestFromPartition_OneWhoGivesUpHarmsNobodyElse(t *testing.T) {
	b := sharedBrowser(t)
	for round := range 3 {
		for _, partition := range []string{fmt.Sprint("given-up-", round), fmt.Sprint("persist:given-up-", round)} {
			ctx := testContext(t)
			impatient, cancel := context.WithTimeout(ctx, time.Duration(round*30)*time.Millisecond)
			go b.FromPartition(impatient, partition, PartitionOptions{})
			var others sync.WaitGroup
			for range 4 {
				others.Go(func() {
					s, err := b.FromPartition(ctx, partition, PartitionOptions{})
					if err != nil {
						t.Errorf("%s: %v", partition, err)
						return
					}
					if _, err := s.NewPage(ctx, ""); err != nil {
						t.Errorf("%s: a session that was handed out: %v", partition, err)
					}
				})
			}
			others.Wait()
			cancel()
			s, err := b.FromPartition(ctx, partition, PartitionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestFromPartition_ACallerWaitsNoLongerThanItsContext(t *testing.T) {
	b := sharedBrowser(t)
	key := partitionKey("persist:busy")
	b.mu.Lock()
	busy := b.turnOf(key)
	b.mu.Unlock()
	if err := busy.take(testContext(t)); err != nil {
		t.Fatal(err)
	}
	defer busy.give()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.FromPartition(ctx, "persist:busy", PartitionOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	for _, s := range b.Sessions() {
		if s.Partition() == "persist:busy" {
			t.Error("a session that never was is listed")
		}
	}
}

func TestBrowserClose_EndsWhatIsBeingStartedAndMayBeCalledAgain(t *testing.T) {
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 200 * time.Millisecond} {
		b, err := Launch(testContext(t), Options{})
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(b.opts.UserDataDir)
		late := make(chan error, 1)
		go func() {
			_, err := b.FromPartition(context.Background(), "persist:late", PartitionOptions{})
			late <- err
		}()
		time.Sleep(after)
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("after %v: the temporary directory is there after Close: %v", after, err)
				}
			})
		}
		closers.Wait()
		if err := <-late; err != nil && !errors.Is(err, ErrSessionClosed) {
			t.Errorf("after %v: the late session: %v", after, err)
		}
		if err := b.Healthy(testContext(t)); !errors.Is(err, ErrSessionClosed) {
			t.Errorf("a closed browser is healthy: %v", err)
		}
	}
}

func TestSessionClose_APageThatIsDoneSaysWhy(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	s, err := b.FromPartition(ctx, "done-err", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var watchers sync.WaitGroup
	var silent atomic.Int32
	for range 10 {
		page, err := s.NewPage(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		watchers.Go(func() {
			<-page.Done()
			if page.Err() == nil {
				silent.Add(1)
			}
		})
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	watchers.Wait()
	if silent.Load() > 0 {
		t.Errorf("%d of 10 pages are done without a reason", silent.Load())
	}
}

func TestLoadURL_RefusesChromiumsOwnPagesWhereTheyCrashIt(t *testing.T) {
	ctx, s := testContext(t), memorySession(t)
	for _, address := range []string{"chrome://settings", "CHROME://history", " view-source:chrome://settings", "devtools://devtools/bundled/x"} {
		var unsupported *UnsupportedError
		if _, err := s.NewPage(ctx, address); !errors.As(err, &unsupported) {
			t.Errorf("%s: %v", address, err)
		}
	}
	page := testPage(t, sharedBrowser(t).DefaultSession(), "chrome://version")
	want(t, page, "location.protocol", "chrome:")
}

func TestFromPath_OneSessionHoweverThePathIsWritten(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	dir := filepath.Join(publicTempDir(t), "a")
	first, err := b.FromPath(ctx, dir, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close(ctx)
	for _, path := range []string{dir + "/", filepath.Dir(dir) + "/./a"} {
		if again, err := b.FromPath(ctx, path, PartitionOptions{}); again != first {
			var locked *chromium.LockedError
			t.Errorf("%s: %v (locked: %v)", path, err, errors.As(err, &locked))
		}
	}
}

func TestOptions_WrongOnesAreRefused(t *testing.T) {
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	for what, do := range map[string]func() error{
		"quality": func() error {
			_, err := page.Screenshot(ctx, ScreenshotOptions{Format: "jpeg", Quality: 1000})
			return err
		},
		"format":   func() error { _, err := page.Screenshot(ctx, ScreenshotOptions{Format: "bmp"}); return err },
		"file":     func() error { return page.LoadFile(ctx, "", LoadOptions{}) },
		"matching": func() error { return s.ClearData(ctx, ClearDataOptions{OriginMatchingMode: "nonsense"}) },
	} {
		var invalid *InvalidArgumentError
		if err := do(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestClearStorageData_OfFilesLeavesCookiesAlone(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			ctx, s := testContext(t), testSession(t, kind)
			if err := s.Cookies().Set(ctx, CookieDetails{URL: "https://kept.test/", Name: "kept"}); err != nil {
				t.Fatal(err)
			}
			for _, o := range []ClearStorageOptions{{Origin: "file://"}, {Origin: "file:///etc/x"}, {Origin: "file://", Storages: []string{"cookies"}}} {
				if err := s.ClearStorageData(ctx, o); err != nil {
					t.Errorf("%+v: %v", o, err)
				}
				if kept, err := s.Cookies().Get(ctx, CookieFilter{URL: "https://kept.test/"}); err != nil || len(kept) != 1 {
					t.Fatalf("%+v: the cookie is gone, %v", o, err)
				}
			}
			if err := s.Cookies().Remove(ctx, "https://kept.test/", "kept"); err != nil {
				t.Error(err)
			}
		})
	}
}
