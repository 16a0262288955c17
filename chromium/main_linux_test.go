package chromium

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain fails when the tests leave behind a process of a browser, a temporary
// directory or a goroutine.
func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		os.Exit(help())
	}
	os.Exit(runAndCheck(m))
}

func runAndCheck(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chromium-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before := openPipes()
	code := m.Run()
	leftPipes := func(string) string {
		return strings.Join(slices.DeleteFunc(openPipes(), func(p string) bool { return slices.Contains(before, p) }), "\n")
	}
	for _, check := range []func(dir string) string{leftProcesses, leftDirectories, leftGoroutines, leftPipes} {
		if left := eventuallyNothing(func() string { return check(dir) }); left != "" {
			fmt.Fprintln(os.Stderr, "left behind:", left)
			code = 1
		}
	}
	return code
}

// eventuallyNothing gives what is ending a moment to end.
func eventuallyNothing(left func() string) string {
	deadline := time.Now().Add(2 * time.Second)
	for {
		text := left()
		if text == "" || time.Now().After(deadline) {
			return text
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// leftProcesses are those that have dir in their command line, as the user data
// directory of a browser and its children, or in their environment, as TMPDIR of
// its crash handlers. A zombie has neither.
func leftProcesses(dir string) string {
	var left []string
	paths, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range paths {
		cmdline, _ := os.ReadFile(process + "/cmdline")
		environ, _ := os.ReadFile(process + "/environ")
		if process != fmt.Sprintf("/proc/%d", os.Getpid()) && (bytes.Contains(cmdline, []byte(dir)) || bytes.Contains(environ, []byte(dir))) {
			left = append(left, fmt.Sprintf("%s %.100s", process, strings.ReplaceAll(string(cmdline), "\x00", " ")))
		}
	}
	return strings.Join(left, "\n")
}

func leftDirectories(dir string) string {
	paths, _ := filepath.Glob(filepath.Join(dir, "bridge-*"))
	return strings.Join(paths, "\n")
}

// openPipes are the pipes that this process has open.
func openPipes() []string {
	var pipes []string
	descriptors, _ := os.ReadDir("/proc/self/fd")
	for _, d := range descriptors {
		if target, err := os.Readlink("/proc/self/fd/" + d.Name()); err == nil && strings.HasPrefix(target, "pipe:") {
			pipes = append(pipes, d.Name()+" "+target)
		}
	}
	return pipes
}

func leftGoroutines(string) string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for _, stack := range strings.Split(string(stacks), "\n\n") {
		if strings.Contains(stack, "/chromium.") && !strings.Contains(stack, "TestMain") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// host is a browser under test with a client of a few lines on its pipe.
type host struct {
	*Process
	t        *testing.T
	messages *bufio.Reader
	id       int
}

// startHost starts a browser that ends with the test and waits until it answers.
func startHost(t *testing.T, o Options) *host {
	t.Helper()
	h := startUnseen(t, o)
	h.call("", "Browser.getVersion", nil, nil)
	return h
}

// startUnseen does not wait for an answer.
func startUnseen(t *testing.T, o Options) *host {
	t.Helper()
	p, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	read, _ := p.Pipe()
	if err := read.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		for _, dir := range []string{p.UserDataDir(), p.space.scratch.path} {
			if left := leftProcesses(dir); left != "" {
				t.Error("left behind:", left)
			}
		}
	})
	return &host{Process: p, t: t, messages: bufio.NewReader(read)}
}

type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

func (h *host) send(session, method string, params any) int {
	h.t.Helper()
	h.id++
	command := map[string]any{"id": h.id, "method": method}
	if params != nil {
		command["params"] = params
	}
	if session != "" {
		command["sessionId"] = session
	}
	data, err := json.Marshal(command)
	if err != nil {
		h.t.Fatal(err)
	}
	_, write := h.Pipe()
	if _, err := write.Write(append(data, 0)); err != nil {
		h.t.Fatalf("%s: %v", method, err)
	}
	return h.id
}

func (h *host) receive() message {
	h.t.Helper()
	data, err := h.messages.ReadBytes(0)
	if err != nil {
		h.t.Fatalf("reading: %v; %q", err, h.Log())
	}
	var m message
	if err := json.Unmarshal(data[:len(data)-1], &m); err != nil {
		h.t.Fatal(err)
	}
	return m
}

func (h *host) call(session, method string, params, result any) {
	h.t.Helper()
	id := h.send(session, method, params)
	for {
		m := h.receive()
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			h.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				h.t.Fatal(err)
			}
		}
		return
	}
}

// page opens a page and returns its session once it has loaded.
func (h *host) page(url string) string {
	h.t.Helper()
	var target struct{ TargetID string }
	h.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	h.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	h.navigate(attached.SessionID, url)
	return attached.SessionID
}

func (h *host) navigate(session, url string) {
	h.t.Helper()
	h.call(session, "Page.enable", nil, nil)
	h.send(session, "Page.navigate", map[string]any{"url": url})
	for h.receive().Method != "Page.loadEventFired" {
	}
}

func (h *host) evaluate(session, expression string) any {
	h.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	h.call(session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	if r.ExceptionDetails != nil {
		h.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return r.Result.Value
}
