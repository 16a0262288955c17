package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

func TestLaunch_SaysWhatIsWrongWithTheBinary(t *testing.T) {
	dir := publicDir(t)
	script := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var notFound *chromium.NotFoundError
	var notExecutable *chromium.NotExecutableError
	var notABrowser *chromium.NotABrowserError
	var tooOld *chromium.TooOldError
	for _, test := range []struct {
		name, binary string
		as           any
	}{
		{"no binary", filepath.Join(dir, "missing"), &notFound},
		{"not executable", script("plain", "", 0o644), &notExecutable},
		{"no browser", script("other", "echo GNU bash 5.2", 0o755), &notABrowser},
		{"fails", script("fails", "exit 7", 0o755), &notABrowser},
		{"too old", script("old", "echo Chromium 90.0.4430.212", 0o755), &tooOld},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := bridge.Launch(testContext(t, 30*time.Second), bridge.Options{Binary: test.binary})
			if !errors.As(err, test.as) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestLaunch_SaysThatABrowserDoesNotComeUp(t *testing.T) {
	path := filepath.Join(publicDir(t), "dies")
	text := "#!/bin/sh\ncase $* in *--version*) echo Chromium 156.0.1.2;; *) echo cannot start: no luck >&2; exit 9;; esac\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := bridge.Launch(testContext(t, 30*time.Second), bridge.Options{Binary: path})
	var gone *bridge.HostGoneError
	if !errors.As(err, &gone) || gone.Exit == nil || gone.Exit.Code != 9 || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("%T: %v", err, err)
	}
}

func TestLaunch_NamesTheProcessThatHoldsTheDirectory(t *testing.T) {
	dir := publicDir(t)
	b := launch(t, bridge.Options{UserDataDir: dir})
	_, err := bridge.Launch(testContext(t, 30*time.Second), bridge.Options{UserDataDir: dir})
	var locked *chromium.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("%T: %v", err, err)
	}
	if pid := b.Hosts()[0].PID; locked.PID != pid && locked.PID != os.Getpid() {
		t.Errorf("names process %d; the browser is %d, the bridge %d", locked.PID, pid, os.Getpid())
	}
	if err := b.Healthy(testContext(t, 10*time.Second)); err != nil {
		t.Errorf("the one who holds it was harmed: %v", err)
	}
}

func TestLaunch_SaysThatADirectoryCannotBeWritten(t *testing.T) {
	path := filepath.Join(publicDir(t), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := bridge.Launch(testContext(t, 30*time.Second), bridge.Options{UserDataDir: filepath.Join(path, "below")})
	var directory *chromium.DirectoryError
	if !errors.As(err, &directory) {
		t.Errorf("%T: %v", err, err)
	}
}

func TestChromiumKilled_EndsEveryCallAtOnceAndSaysWhy(t *testing.T) {
	b := launch(t, bridge.Options{})
	told := make(chan *bridge.HostGoneError, 1)
	b.OnHostGone(func(e *bridge.HostGoneError) { told <- e })
	page := newPage(t, session(t, b, "victim"), "")
	ctx := testContext(t, 30*time.Second)

	errs := make([]error, 100)
	var calls sync.WaitGroup
	for i := range errs {
		calls.Go(func() {
			_, errs[i] = bridge.Evaluate[int](ctx, page, "new Promise(() => {})")
		})
	}
	if _, err := bridge.Evaluate[int](ctx, page, "1"); err != nil { // the others are on their way
		t.Fatal(err)
	}
	pid := b.Hosts()[0].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
	for _, err := range errs {
		var gone *bridge.HostGoneError
		if !errors.Is(err, bridge.ErrHostGone) || !errors.As(err, &gone) || gone.PID != pid || gone.Exit == nil || gone.Exit.Signal == "" {
			t.Fatalf("%v", err)
		}
	}
	select {
	case e := <-told:
		if e.PID != pid || len(e.Sessions) != 2 {
			t.Errorf("told of %+v", e)
		}
	case <-ctx.Done():
		t.Fatal("OnHostGone was not told")
	}
	if _, err := page.Title(ctx); !errors.Is(err, bridge.ErrHostGone) {
		t.Errorf("a call on a page of the dead: %v", err)
	}
	// The sessions remain, and the next page starts them again.
	for _, partition := range []string{"", "victim"} {
		again := newPage(t, session(t, b, partition), "")
		if n, err := bridge.Evaluate[int](ctx, again, "6*7"); n != 42 {
			t.Errorf("%q after the death: %v, %v", partition, n, err)
		}
	}
}

func TestChromiumStopped_CallsEndWithTheirContextsAndHealthyNoticesIt(t *testing.T) {
	b := launch(t, bridge.Options{})
	page := newPage(t, b.DefaultSession(), "")
	pid := b.Hosts()[0].PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := bridge.Evaluate[int](ctx, page, "1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call to a stopped browser: %v", err)
	}
	if err := b.Healthy(ctx); err == nil || !strings.Contains(err.Error(), fmt.Sprint(pid)) {
		t.Errorf("Healthy does not name the stopped process %d: %v", pid, err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ctx = testContext(t, 30*time.Second)
	if err := b.Healthy(ctx); err != nil {
		t.Errorf("after it goes on: %v", err)
	}
	if n, err := bridge.Evaluate[int](ctx, page, "6*7"); n != 42 {
		t.Errorf("after it goes on: %v, %v", n, err)
	}
}

func TestBridgeKilled_LeavesNoProcessAndNoDirectory(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=three hosts")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var hosts []bridge.Host
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hosts)
	}
	child.Process.Kill()
	child.Wait()
	if err != nil || len(hosts) != 3 {
		t.Fatalf("the child said %q: %v", line, err)
	}
	for _, h := range hosts {
		if !gone(h.PID) {
			t.Errorf("Chromium %d lives a second after its bridge was killed", h.PID)
		}
	}
	// What is on disk goes with the next start.
	launch(t, bridge.Options{})
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("bridge-%d-*", child.Process.Pid)))
	for end := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		left, _ = filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("bridge-%d-*", child.Process.Pid)))
	}
	if len(left) > 0 {
		t.Errorf("left on disk: %v", left)
	}
}

// gone reports whether a process that is no child of ours ends within a second.
func gone(pid int) bool {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
	}
	return false
}

func TestStaleLock_IsTakenOverAfterTheBrowserWasKilled(t *testing.T) {
	dir := publicDir(t)
	first, err := bridge.Launch(testContext(t, time.Minute), bridge.Options{UserDataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(-first.Hosts()[0].PID, syscall.SIGKILL)
	first.Close()
	second := launch(t, bridge.Options{UserDataDir: dir})
	newPage(t, second.DefaultSession(), "")
}

func TestSessionsInMemory_ComeAndGoWithoutLeavingAnything(t *testing.T) {
	b := launch(t, bridge.Options{})
	ctx := testContext(t, 10*time.Minute)
	churn := func(n int) {
		var workers sync.WaitGroup
		for w := range 4 {
			workers.Go(func() {
				for i := range n / 4 {
					s, err := b.FromPartition(ctx, fmt.Sprintf("churn-%d-%d", w, i), bridge.PartitionOptions{})
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := s.NewPage(ctx, "data:text/html,<title>x</title>"); err != nil {
						t.Error(err)
					}
					if err := s.Close(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
	}
	churn(20) // what is made once is made now
	before := usageNow(t)
	churn(sized(500, 60))
	var after usage
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if after = usageNow(t); after.goroutines <= before.goroutines && after.files <= before.files {
			break
		}
	}
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > before.goroutines {
		t.Errorf("goroutines grew from %d to %d", before.goroutines, after.goroutines)
	}
	if after.files > before.files {
		t.Errorf("open files grew from %d to %d", before.files, after.files)
	}
	if limit := before.rss * 115 / 100; after.rss > max(limit, before.rss+8<<20) {
		t.Errorf("resident memory grew from %d to %d", before.rss, after.rss)
	}
	if sessions := b.Sessions(); len(sessions) != 1 {
		t.Errorf("%d sessions are left", len(sessions))
	}
	if hosts := b.Hosts(); len(hosts) != 1 || len(hosts[0].Sessions) != 1 {
		t.Errorf("hosts are left: %+v", hosts)
	}
}

// usage is what this process takes.
type usage struct {
	goroutines, files int
	rss               int64
}

func usageNow(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var total, resident int64
	fmt.Sscan(string(status), &total, &resident)
	return usage{runtime.NumGoroutine(), len(files), resident * int64(os.Getpagesize())}
}

func TestLaunchContextEnded_LeavesNothing(t *testing.T) {
	for _, after := range []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(context.Background(), after)
		b, err := bridge.Launch(ctx, bridge.Options{})
		cancel()
		if err == nil {
			b.Close()
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", after, err)
		}
		if left := leak.Check(); left != "" {
			t.Errorf("after %v: %s", after, left)
		}
	}
}
