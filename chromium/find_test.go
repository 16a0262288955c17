package chromium

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func writeProgram(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindTakesTheBrowserAskedFor(t *testing.T) {
	program := writeProgram(t, "", 0o755)
	if got, err := Find(program); got != program || err != nil {
		t.Errorf("by path: %q, %v", got, err)
	}
	t.Setenv(BinaryVariable, program)
	if got, err := Find(""); got != program || err != nil {
		t.Errorf("by $%s: %q, %v", BinaryVariable, got, err)
	}
	t.Setenv("PATH", filepath.Dir(program))
	if got, err := Find("browser"); got != program || err != nil {
		t.Errorf("by name: %q, %v", got, err)
	}
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	t.Setenv(BinaryVariable, "")
	var missing *NotFoundError
	if _, err := Find("/nonexistent/chromium"); !errors.As(err, &missing) || missing.Asked != "/nonexistent/chromium" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that is not there: %v", err)
	}
	var unusable *NotExecutableError
	if _, err := Find(writeProgram(t, "", 0o644)); !errors.As(err, &unusable) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a file without the right to run: %v", err)
	}
	if _, err := Find(t.TempDir()); !errors.As(err, &unusable) {
		t.Errorf("a directory: %v", err)
	}
}

func TestFindKnowsThePlacesOfEachSystem(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"HOME": "/Users/u", "ProgramFiles": `C:\Program Files`, "LocalAppData": `C:\Users\u\AppData\Local`}[name]
	}
	for goos, wanted := range map[string]string{
		"linux":   "chromium",
		"darwin":  "/Users/u/Applications/Chromium.app/Contents/MacOS/Chromium",
		"windows": `C:\Program Files\Microsoft\Edge\Application\msedge.exe`,
	} {
		if got := candidates(goos, env); !slices.Contains(got, wanted) {
			t.Errorf("%s: %q is not among %q", goos, wanted, got)
		}
		if installAdvice(goos) == "" {
			t.Errorf("%s: no advice", goos)
		}
	}
}

func TestVersionOfTheInstalledBrowser(t *testing.T) {
	binary, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	v, err := ProbeVersion(t.Context(), binary)
	if err != nil || v.Product == "" || v.Major < MinMajor {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestVersionIsReadFromEveryProduct(t *testing.T) {
	for text, want := range map[string]Version{
		"Chromium 156.0.8078.79 built on Debian GNU/Linux 12": {"Chromium", 156, 0, 8078, 79},
		"Google Chrome for Testing 150.0.1.2":                 {"Google Chrome for Testing", 150, 0, 1, 2},
		"warning: x\nMicrosoft Edge 149.0.3.4 dev":            {"Microsoft Edge", 149, 0, 3, 4},
		"Mozilla Firefox 144.0":                               {},
		"sleep (GNU coreutils) 9.1":                           {},
		"156.0.8078.79":                                       {},
		"Chromium 99999999999999999999.0.0.0":                 {},
		"":                                                    {},
	} {
		if got, ok := parseVersion(text); got != want || ok != (want != Version{}) {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
}

func TestWrongBrowsersAreNamed(t *testing.T) {
	var old *TooOldError
	v, err := ProbeVersion(t.Context(), writeProgram(t, "echo Chromium 100.0.1.2", 0o755))
	if !errors.As(err, &old) || v.Major != 100 || old.Version != v {
		t.Errorf("an old one: %+v, %v", v, err)
	}
	var none *NotABrowserError
	_, err = ProbeVersion(t.Context(), writeProgram(t, "echo error while loading shared libraries: libnss3.so >&2; exit 127", 0o755))
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "install the missing library") {
		t.Errorf("one that does not run: %v", err)
	}
	_, err = ProbeVersion(t.Context(), writeProgram(t, "yes | head -c 10000000", 0o755))
	if !errors.As(err, &none) || len(none.Output) > 4<<10 {
		t.Errorf("one that talks too much: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = ProbeVersion(ctx, writeProgram(t, "sleep 100 & sleep 100", 0o755))
	if !errors.As(err, &none) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that never answers: %v", err)
	}
}
