package chromium

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperVariable makes the test program a bridge; the value is the UserDataDir of
// a host that is held until the bridge is killed, or inherit.
const (
	helperVariable = "CHROMIUM_TEST_HELPER"
	inherit        = "inherit"
)

func help() int {
	if os.Getenv(helperVariable) == inherit {
		return inheritOrphans()
	}
	holdHosts()
	return 1
}

// inheritOrphans runs a host in a process that inherits orphans, as process 1 of
// a container does, and says how many children it has afterwards.
func inheritOrphans() int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		return 1
	}
	for _, end := range []func(*Process) error{(*Process).Kill, func(p *Process) error { return p.Close(context.Background()) }} {
		p, err := Start(context.Background(), Options{})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		answer(p)
		if err := end(p); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
	fmt.Println("children:", pid, err)
	return 0
}

// answer waits for the browser's first answer.
func answer(p *Process) {
	read, write := p.Pipe()
	if _, err := write.WriteString(`{"id":1,"method":"Browser.getVersion"}` + "\x00"); err != nil {
		fmt.Println(err)
	}
	if _, err := bufio.NewReader(read).ReadString(0); err != nil {
		fmt.Println(err)
	}
}

func holdHosts() {
	for _, dir := range []string{"", "", os.Getenv(helperVariable)} {
		p, err := Start(context.Background(), Options{UserDataDir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		answer(p)
		fmt.Println("up", p.PID())
	}
	select {}
}

// userDataDir is a new directory that root may give to Chromium's user.
func userDataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "user-data-")
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

func TestTemporaryHostAnswersAndLeavesNothing(t *testing.T) {
	h := startHost(t, Options{})
	if !h.Temporary() {
		t.Error("a host without a directory is not temporary")
	}
	if info, err := os.Stat(h.UserDataDir()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("user data directory: %v, %v", info.Mode(), err)
	}
	if h.Exit() != nil {
		t.Errorf("alive, but ended: %v", h.Exit())
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := h.Exit(); e.Code != 0 || e.Signal != "" || !e.Expected {
		t.Errorf("a closed browser did not end cleanly: %+v", e)
	}
	if _, err := os.Lstat(h.space.scratch.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if h.PID() == 0 || len(h.Args()) < 5 {
		t.Errorf("PID %d, args %q", h.PID(), h.Args())
	}
}

func TestBrowserIsAdequatelySandboxed(t *testing.T) {
	h := startHost(t, Options{})
	if os.Geteuid() == 0 {
		if h.User() == nil {
			t.Fatal("root started Chromium as itself")
		}
		if !ownedBy(h.PID(), h.User()) {
			t.Error("the browser does not run as the unprivileged user")
		}
	}
	session := h.page("chrome://sandbox")
	text := h.evaluate(session, "document.body.innerText").(string)
	if !strings.Contains(text, "You are adequately sandboxed") {
		t.Errorf("chrome://sandbox says:\n%s", text)
	}
}

func TestLeanHostHasNoHiddenPages(t *testing.T) {
	h := startHost(t, Options{})
	h.page("about:blank")
	var r struct {
		TargetInfos []struct{ Type, URL string }
	}
	h.call("", "Target.getTargets", map[string]any{"filter": []any{map[string]any{}}}, &r)
	for _, target := range r.TargetInfos {
		if strings.HasPrefix(target.URL, "chrome://") {
			t.Errorf("hidden page %s %s: a feature to disable has changed its name", target.Type, target.URL)
		}
	}
}

func TestHostStartsInEveryFlagSet(t *testing.T) {
	for _, set := range []FlagSet{Stock, Fast} {
		t.Run(set.String(), func(t *testing.T) {
			h := startHost(t, Options{Flags: set})
			session := h.page("data:text/html,<title>" + set.String() + "</title>")
			if title := h.evaluate(session, "document.title"); title != set.String() {
				t.Errorf("title %q", title)
			}
		})
	}
}

// A page asks for devices from a secure origin, as localhost is one.
func TestDeviceRequestsEndAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>devices</title>")
	}))
	defer server.Close()
	h := startHost(t, Options{})
	session := h.page(server.URL)
	for _, call := range []string{"navigator.serial.requestPort()", "navigator.usb.requestDevice({filters:[]})", "navigator.hid.requestDevice({filters:[]})"} {
		got := h.evaluate(session, call+".then(v=>'resolved '+JSON.stringify(v),e=>e.name)")
		if got != "NotFoundError" && got != "resolved []" {
			t.Errorf("%s: %v", call, got)
		}
	}
}

// Without --enable-features=KeyboardLockPrompt every page may lock the keyboard.
func TestKeyboardLockObeysItsPermission(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>keyboard</title>")
	}))
	defer server.Close()
	h := startHost(t, Options{})
	session := h.page(server.URL)
	for _, setting := range []struct{ permission, want string }{{"denied", "InvalidStateError"}, {"granted", "locked"}} {
		h.call("", "Browser.setPermission", map[string]any{"permission": map[string]any{"name": "keyboard-lock"}, "setting": setting.permission}, nil)
		if got := h.evaluate(session, "navigator.keyboard.lock().then(()=>'locked',e=>e.name)"); got != setting.want {
			t.Errorf("%s: %v", setting.permission, got)
		}
	}
}

func TestHostOutlivesItsLastPage(t *testing.T) {
	for name, o := range map[string]Options{"headless": {}, "headful": {Headful: true, Env: []string{"DISPLAY=" + startDisplay(t)}}} {
		t.Run(name, func(t *testing.T) {
			h := startHost(t, o)
			for range 2 {
				var target struct{ TargetID string }
				h.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
				h.call("", "Target.setDiscoverTargets", map[string]any{"discover": true}, nil)
				h.send("", "Target.closeTarget", map[string]any{"targetId": target.TargetID})
				for h.receive().Method != "Target.targetDestroyed" {
				}
				h.call("", "Target.setDiscoverTargets", map[string]any{"discover": false}, nil)
			}
			if e := h.Exit(); e != nil {
				t.Error(e)
			}
		})
	}
}

func TestProfileOutlivesItsHost(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>kept</title>")
	}))
	defer server.Close()
	dir := userDataDir(t)
	first := startHost(t, Options{UserDataDir: dir})
	session := first.page(server.URL)
	first.evaluate(session, "localStorage.kept='yes';document.cookie='kept=yes;max-age=1000'")
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := startHost(t, Options{UserDataDir: dir})
	if second.Temporary() {
		t.Error("a host with a directory is temporary")
	}
	if got := second.evaluate(second.page(server.URL), "localStorage.kept+' '+document.cookie"); got != "yes kept=yes" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	dir := userDataDir(t)
	first := startHost(t, Options{UserDataDir: dir})
	_, err := Start(t.Context(), Options{UserDataDir: dir})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Dir != dir || locked.Command == "" {
		t.Fatalf("second start: %+v", err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	startHost(t, Options{UserDataDir: dir})
}

// The first browser is nobody's host: started by hand, as a user would.
func TestDirectoryOfAnotherBrowserIsRefused(t *testing.T) {
	h := startHost(t, Options{UserDataDir: userDataDir(t)})
	dir := h.UserDataDir()
	h.space.lock.release()
	h.space.lock.file = nil
	defer func() { h.space.lock = nil }()
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{UserDataDir: dir})
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != h.PID() || !strings.Contains(locked.Command, "--user-data-dir="+dir) {
		t.Fatalf("start in the directory of a live browser: %+v", err)
	}
}

func TestStaleLockIsTakenOver(t *testing.T) {
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"dead process":     here + "-4194303",
		"reused id":        fmt.Sprintf("%s-%d", here, os.Getpid()),
		"another host":     fmt.Sprintf("some-container-%d", os.Getpid()),
		"not of this form": "nonsense",
	} {
		t.Run(name, func(t *testing.T) {
			dir := userDataDir(t)
			for link, target := range map[string]string{"SingletonLock": target, "SingletonCookie": "1", "SingletonSocket": "/nonexistent/SingletonSocket"} {
				if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			giveToChromium(t, dir)
			startHost(t, Options{UserDataDir: dir})
		})
	}
}

// giveToChromium makes everything in dir belong to the user that root chooses.
func giveToChromium(t *testing.T, dir string) {
	t.Helper()
	u, err := chooseUser(nil)
	if err != nil {
		t.Fatal(err)
	}
	if u == nil {
		return
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(u.UID), int(u.GID)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKilledHostIsExplainedAndLeavesNothing(t *testing.T) {
	h := startHost(t, Options{})
	h.page("about:blank")
	if err := syscall.Kill(h.PID(), syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	<-h.Done()
	if e := h.Exit(); e.Signal != "SIGSEGV" || e.Expected || !strings.Contains(e.Error(), "SIGSEGV") {
		t.Errorf("exit: %+v", e)
	}
	if _, err := os.Lstat(h.space.scratch.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary directory is still there: %v", err)
	}
}

func TestKillTakesTheWholeTree(t *testing.T) {
	h := startHost(t, Options{})
	h.page("about:blank")
	if leftProcesses(h.space.scratch.path) == "" {
		t.Fatal("the test does not see the browser's processes")
	}
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	if left := leftProcesses(h.space.scratch.path); left != "" {
		t.Errorf("after Kill: %s", left)
	}
	if e := h.Exit(); e.Signal != "SIGKILL" || !e.Expected {
		t.Errorf("exit: %+v", e)
	}
}

// A stopped browser answers nothing, not even SIGTERM.
func TestCloseEndsAHungBrowserWithItsContext(t *testing.T) {
	h := startHost(t, Options{})
	if err := syscall.Kill(h.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if e := h.Exit(); e.Signal != "SIGKILL" {
		t.Errorf("exit: %+v", e)
	}
}

func TestKilledBridgeLeavesNothing(t *testing.T) {
	dir := userDataDir(t)
	temp := userDataDir(t)
	if err := os.Chmod(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	bridge := exec.Command(os.Args[0])
	bridge.Env = append(os.Environ(), helperVariable+"="+dir, "TMPDIR="+temp)
	output, err := bridge.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bridge.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for range 3 {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), "up ") {
			t.Fatalf("the bridge said %q, %v", lines.Text(), lines.Err())
		}
	}
	if leftProcesses(temp) == "" {
		t.Fatal("the test does not see the browsers' processes")
	}
	if err := bridge.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = bridge.Wait() // killed
	if left := eventuallyNothing(func() string { return leftProcesses(temp) }); left != "" {
		t.Errorf("after the bridge was killed:\n%s", left)
	}
	t.Logf("the browsers were gone %v after the bridge", time.Since(killed))

	if dirs, _ := filepath.Glob(filepath.Join(temp, "bridge-*")); len(dirs) != 3 {
		t.Fatalf("expected the directories of 3 dead hosts: %q", dirs)
	}
	next := startHost(t, Options{TempDir: temp, UserDataDir: dir})
	<-next.swept
	if dirs, _ := filepath.Glob(filepath.Join(temp, "bridge-*")); !slices.Equal(dirs, []string{next.space.scratch.path}) {
		t.Errorf("the next start left %q", dirs)
	}
}

func TestOrphanedBrowserIsWaitedFor(t *testing.T) {
	h := startHost(t, Options{UserDataDir: userDataDir(t)})
	// Let go of the lock, as the kernel does for a bridge that has died, and end
	// the browser as the death signal does.
	h.space.lock.release()
	if err := syscall.Kill(h.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	startHost(t, Options{UserDataDir: h.UserDataDir()})
}

func TestHungOrphanIsKilled(t *testing.T) {
	h := startHost(t, Options{UserDataDir: userDataDir(t)})
	h.space.lock.release()
	if err := syscall.Kill(h.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	startHost(t, Options{UserDataDir: h.UserDataDir()})
	<-h.Done()
	if e := h.Exit(); e.Signal != "SIGKILL" || e.Expected {
		t.Errorf("exit: %+v", e)
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	h := startHost(t, Options{UserDataDir: userDataDir(t)})
	h.space.lock.release()
	if err := syscall.Kill(h.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Options{UserDataDir: h.UserDataDir()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while an orphan hangs: %v", err)
	}
	if err := h.Kill(); err != nil {
		t.Error(err)
	}
}

func TestBridgeThatInheritsOrphansLeavesNoZombie(t *testing.T) {
	bridge := exec.Command(os.Args[0])
	bridge.Env = append(os.Environ(), helperVariable+"="+inherit)
	output, err := bridge.CombinedOutput()
	if err != nil || string(output) != "children: -1 no child processes\n" {
		t.Errorf("the bridge said %q, %v", output, err)
	}
}

func TestLongTemporaryDirectoryWorks(t *testing.T) {
	long := filepath.Join(userDataDir(t), strings.Repeat("x", 100))
	if err := errors.Join(os.Chmod(filepath.Dir(long), 0o755), os.Mkdir(long, 0o755)); err != nil {
		t.Fatal(err)
	}
	h := startHost(t, Options{TempDir: long})
	if !strings.HasPrefix(h.UserDataDir(), long) {
		t.Errorf("the profile is in %s", h.UserDataDir())
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range h.space.scratches() {
		if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", s.path, err)
		}
	}
}

func TestUserWithoutAnAccountRunsSandboxed(t *testing.T) {
	needRoot(t)
	u := &User{UID: 54321, GID: 54321}
	h := startHost(t, Options{User: u, UserDataDir: userDataDir(t)})
	if !ownedBy(h.PID(), u) {
		t.Error("the browser does not run as the user given")
	}
	text := h.evaluate(h.page("chrome://sandbox"), "document.body.innerText").(string)
	if !strings.Contains(text, "You are adequately sandboxed") {
		t.Errorf("chrome://sandbox says:\n%s", text)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", h.PID()))
	if err != nil || strings.Contains(string(environ), "GOROOT") || strings.Contains(string(environ), os.Getenv("HOME")+"\x00") {
		t.Errorf("the bridge's environment is inherited: %q, %v", environ, err)
	}
}

func TestUnsuitableUserIsRefused(t *testing.T) {
	for _, u := range []*User{{UID: 0, GID: 0}, {UID: 1, GID: 0}} {
		if _, err := Start(t.Context(), Options{User: u}); err == nil {
			t.Errorf("started as %v", u)
		}
	}
	if _, err := LookupUser("no-such-user"); err == nil {
		t.Error("found a user that is none")
	}
}

func TestBinaryThatDoesNotStartIsExplained(t *testing.T) {
	script := filepath.Join(userDataDir(t), "browser")
	if err := os.Chmod(filepath.Dir(script), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\necho 'browser: error while loading shared libraries: libnss3.so: cannot open shared object file' >&2\nexit 127\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	var logged []string
	h := startUnseen(t, Options{Binary: script, Log: func(line string) { logged = append(logged, line) }})
	if _, err := h.messages.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("reading from a dead browser: %v", err)
	}
	<-h.Done()
	if e := h.Exit(); e.Code != 127 || e.Expected || !strings.Contains(e.Error(), "install the missing library") || !strings.Contains(e.Error(), "libnss3.so") {
		t.Errorf("exit: %v", e)
	}
	if !slices.Equal(logged, h.Log()) || len(logged) != 1 {
		t.Errorf("logged %q, kept %q", logged, h.Log())
	}
}

// startDisplay starts an X server on a free display and returns its name.
func startDisplay(t *testing.T) string {
	t.Helper()
	xvfb := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp", "-ac")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	xvfb.ExtraFiles = []*os.File{write}
	if err := xvfb.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = xvfb.Process.Signal(syscall.SIGTERM)
		_ = xvfb.Wait()
	})
	_ = write.Close()
	display, err := bufio.NewReader(read).ReadString('\n')
	_ = read.Close()
	if err != nil {
		t.Fatal(err)
	}
	return ":" + strings.TrimSpace(display)
}

func TestHeadfulHostOpensAWindow(t *testing.T) {
	h := startHost(t, Options{Headful: true, Env: []string{"DISPLAY=" + startDisplay(t)}})
	session := h.page("data:text/html,<title>headful</title>")
	if got := h.evaluate(session, "document.title+' '+(outerWidth>innerWidth||outerHeight>innerHeight)+' '+navigator.userAgent.includes('Headless')"); got != "headful true false" {
		t.Errorf("the window says %q", got)
	}
}

func TestMissingDisplayIsExplained(t *testing.T) {
	h := startUnseen(t, Options{Headful: true, Env: []string{"DISPLAY=", "WAYLAND_DISPLAY="}})
	<-h.Done()
	if e := h.Exit(); e.Code == 0 || !strings.Contains(e.Error(), "there is no display") {
		t.Errorf("exit: %v", e)
	}
}

func TestNetLogIsReadThroughAPipeToTheEnd(t *testing.T) {
	h := startHost(t, Options{NetLog: "Default"})
	log := h.NetLog()
	defer log.Close()
	pipe := filepath.Join(h.space.tmp(), netLogName)
	info, err := os.Lstat(pipe)
	if err != nil || info.Mode() != fs.ModeNamedPipe|0o600 {
		t.Errorf("the pipe is %v, %v", info, err)
	}
	text := make(chan string)
	go func() {
		all, err := io.ReadAll(log)
		if err != nil {
			t.Error(err)
		}
		text <- string(all)
	}()
	h.page("about:blank")
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if all := <-text; !strings.HasPrefix(all, `{"constants":`) || !strings.HasSuffix(all, "}\n") {
		t.Errorf("the log is not whole: %d bytes", len(all))
	}
	if _, err := os.Lstat(pipe); err == nil {
		t.Error("the pipe is left")
	}
}
