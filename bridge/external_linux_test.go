package bridge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// desktopWith is a directory with an xdg-open of the test's own, which is all that
// can be started.
func desktopWith(t *testing.T, script string) (dir string) {
	t.Helper()
	dir = testDir(t)
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\ncd "+dir+"\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	return dir
}

func TestOpenWithDesktop_GivesTheURLToTheDesktopAsItIs(t *testing.T) {
	dir := desktopWith(t, "printf '%s\\n' \"$#\" \"$1\" > got; ps -o sid= -p $$ >> got; echo $$ >> got\n")
	url := "mailto:a@b.test?subject=$(touch x)&body=`touch y`;touch z|\"'*"
	if err := OpenWithDesktop(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(got))
	if len(lines) != 4 || lines[0] != "1" || lines[1] != "mailto:a@b.test?subject=$(touch%20x)&body=%60touch%20y%60;touch%20z%7C%22'*" || lines[2] != lines[3] {
		t.Errorf("the desktop got %q", lines)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("a shell has run: %v, %v", entries, err)
	}
}

func TestOpenWithDesktop_TellsOfFailureAndReapsWhatRuns(t *testing.T) {
	desktopWith(t, "exit 3\n")
	if err := OpenWithDesktop(t.Context(), "tel:1"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a desktop that knows nobody for it: %v", err)
	}
	dir := desktopWith(t, "echo $$ > pid.new; mv pid.new pid; read x < end; rm pid\n")
	if err := syscall.Mkfifo(filepath.Join(dir, "end"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() { opened <- OpenWithDesktop(ctx, "tel:1") }()
	pid := ""
	for pid == "" {
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		pid = strings.TrimSpace(string(text))
	}
	cancel() // nobody waits for it any more
	if err := next(t, opened); err != nil {
		t.Errorf("a program that runs: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "end"), []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the program was not reaped")
		}
	}
}
