package chromium

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// desktopPrograms is a PATH with programs of a desktop that write down what they
// are called with. log is what they have written.
func desktopPrograms(t *testing.T) (path string, log func() string) {
	t.Helper()
	dir := userDataDir(t)
	written := filepath.Join(dir, "log")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(written, nil, 0o666), os.Chmod(written, 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"xdg-settings", "xdg-open", "xdg-email"} {
		program := filepath.Join(dir, name)
		text := "#!/bin/sh\necho " + name + " \"$@\" >> " + written + "\necho no\n"
		if err := errors.Join(os.WriteFile(program, []byte(text), 0o755), os.Chmod(program, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return dir + ":/usr/bin:/bin", func() string {
		text, err := os.ReadFile(written)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// follow navigates as a user does who has just clicked.
func (h *host) follow(session, url string) {
	h.t.Helper()
	h.call(session, "Input.dispatchMouseEvent", map[string]any{"type": "mousePressed", "x": 1, "y": 1, "button": "left", "clickCount": 1}, nil)
	h.send(session, "Runtime.evaluate", map[string]any{"expression": "location = '" + url + "'", "userGesture": true})
	for h.receive().Method != "Page.frameStoppedLoading" {
	}
}

func TestLinksToOtherProgramsStartNone(t *testing.T) {
	odd := filepath.Join(userDataDir(t), "a:b") // which PATH cannot name
	if err := errors.Join(os.Chmod(filepath.Dir(odd), 0o755), os.Mkdir(odd, 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"headless":                {},
		"headful":                 {Headful: true, Env: []string{"DISPLAY=" + startDisplay(t)}},
		"odd temporary directory": {TempDir: odd},
		"persistent":              {UserDataDir: userDataDir(t)},
	} {
		t.Run(name, func(t *testing.T) { linksStartNothing(t, o) })
	}
	for _, check := range Diagnose(t.Context(), Options{TempDir: odd}) {
		if check.Name == "temporary directory" && (check.Status != Warn || !strings.Contains(check.Advice, "mailto")) {
			t.Errorf("%+v", check)
		}
	}
}

func linksStartNothing(t *testing.T, o Options) {
	path, log := desktopPrograms(t)
	o.Env = append(o.Env, "PATH="+path)
	h := startHost(t, o)
	info, err := os.Stat(h.space.standInsDir())
	if err != nil || info.Mode().Perm() != 0o755 || !isOwnedBy(info, nil) {
		t.Errorf("the stand-ins are %v, %v", info, err)
	}
	written := func(text string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(log(), text); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q is not in %q", text, log())
			}
		}
	}
	dir, _, _ := strings.Cut(path, ":")
	tell(t, filepath.Join(h.space.standInsDir(), "xdg-settings"), "echo stand-in \"$@\" >> "+dir+"/log\n")
	session := h.page("data:text/html,<title>links</title>")
	for _, url := range []string{"mailto:kept@a.test", "myapp:kept", "tel:1", "magnet:?xt=kept", "news:kept"} {
		h.follow(session, url)
		scheme, _, _ := strings.Cut(url, ":")
		written("stand-in check default-url-scheme-handler " + scheme)
		written("stand-in get default-url-scheme-handler " + scheme)
	}
	// Chromium opens one after the other: what it starts without the stand-ins
	// comes after what it has started with them.
	if err := os.RemoveAll(h.space.standInsDir()); err != nil {
		t.Fatal(err)
	}
	h.follow(session, "mailto:opened@a.test")
	const opened = "xdg-email mailto:opened@a.test"
	written(opened)
	for _, line := range strings.Split(strings.TrimSpace(log()), "\n") {
		asks := strings.HasPrefix(line, "xdg-settings ") && strings.Contains(line, " mailto ")
		if line != opened && !asks && !strings.HasPrefix(line, "stand-in ") {
			t.Errorf("Chromium has called %s", line)
		}
	}
}

// tell has a stand-in do one thing more.
func tell(t *testing.T, program, script string) {
	t.Helper()
	text, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(program, append(text, script...), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
}
