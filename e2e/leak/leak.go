// Package leak makes a test binary fail on what its tests leave behind:
// goroutines of this module, browser processes and temporary directories.
package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long what is ending has to end.
const patience = 5 * time.Second

// Main runs the tests, then the clean-ups, and returns the exit code: that of
// the tests, or 1 when a clean-up fails or something is left.
func Main(m *testing.M, cleanup ...func() error) int {
	code := m.Run()
	for _, f := range cleanup {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, "cleaning up after the tests:", err)
			code = 1
		}
	}
	if left := Check(); left != "" {
		fmt.Fprintln(os.Stderr, left)
		code = 1
	}
	return code
}

// Check waits for what is ending and returns what is left, or nothing.
func Check() string {
	kinds := []struct {
		name string
		find func() []string
	}{
		{"goroutines", goroutines},
		{"processes", processes},
		{"temporary directories", directories},
	}
	var report strings.Builder
	for _, kind := range kinds {
		if left := eventually(kind.find); len(left) > 0 {
			fmt.Fprintf(&report, "%s are left:\n%s\n", kind.name, strings.Join(left, "\n\n"))
		}
	}
	return report.String()
}

// eventually looks until nothing is found or patience ends. There is no event
// for the end of a goroutine.
func eventually(find func() []string) []string {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left := find()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// goroutines are the stacks that go through this module.
func goroutines() []string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "cdpbridge/") && !strings.Contains(stack, "e2e/leak.") {
			left = append(left, stack)
		}
	}
	return left
}

// prefix begins the name of every temporary directory that this process makes
// for a browser, and stands in the command line of the browser.
func prefix() string { return fmt.Sprintf("bridge-%d-", os.Getpid()) }

func directories() []string {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix()+"*"))
	return left
}

// processes are browsers on a temporary directory of this process.
func processes() []string {
	var left []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, _ := os.ReadFile(path)
		if text := strings.ReplaceAll(string(line), "\x00", " "); strings.Contains(text, prefix()) {
			left = append(left, fmt.Sprintf("%s: %.200s", path, text))
		}
	}
	return left
}
