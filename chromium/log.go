package chromium

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	logLines     = 200     // lines of stderr that are kept
	logLineBytes = 2 << 10 // a longer line is cut
)

// logRing keeps the last lines that the browser wrote to stderr.
type logRing struct {
	mu    sync.Mutex
	lines []string
	next  int // the oldest line, once the ring is full
}

// drain reads lines until the end of r, that is until the last process of the
// tree has closed it, and hands each to report.
func (l *logRing) drain(r io.Reader, report func(line string)) {
	lines := bufio.NewReaderSize(r, logLineBytes)
	for {
		line, err := lines.ReadSlice('\n')
		text := strings.TrimRight(string(line), "\r\n")
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if text != "" {
			l.add(text)
			if report != nil {
				report(text)
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *logRing) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < logLines {
		l.lines = append(l.lines, line)
		return
	}
	l.lines[l.next] = line
	l.next = (l.next + 1) % logLines
}

// all returns the kept lines, oldest first.
func (l *logRing) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.lines[l.next:], l.lines[:l.next])
}

// explanations map what Chromium, its launcher or the loader write on stderr to
// what helps. The first that matches wins.
var explanations = []struct{ text, advice string }{
	{"No usable sandbox", sandboxAdvice},
	{"Failed to move to new namespace", sandboxAdvice},
	{"The SUID sandbox helper binary was found, but is not configured correctly", "make the helper chrome-sandbox owned by root with mode 4755, or allow unprivileged user namespaces"},
	{"Running as root without --no-sandbox is not supported", "let the bridge choose an unprivileged user, or set Options.User to one"},
	{"error while loading shared libraries", "install the missing library: a package of the distribution brings the browser's dependencies with it"},
	{"Authorization required", "the X server refuses Chromium's user: allow it with xhost +SI:localuser:<user>"},
	{"Missing X server or $DISPLAY", displayAdvice},
	{"Unable to open X display", displayAdvice},
	{"Failed to connect to Wayland display", displayAdvice},
	{"Failed to create a ProcessSingleton", "another browser uses the directory: end it, or use another directory"},
	{"profile appears to be in use by another", "another browser uses the directory: end it, or use another directory"},
	{"Socket path too long", "use a shorter Options.TempDir"},
	{"No space left on device", "free some disk space, or use a directory on another disk"},
	{"Creating shared memory in /dev/shm", "make /dev/shm larger (docker run --shm-size=1g)"},
	{"Permission denied (13)", "Chromium's user cannot write where it must: check the owner of its directories"},
	{"cannot allocate memory", "the machine is out of memory or processes: raise the limit (ulimit -u, pids.max, memory.max)"},
	{"Resource temporarily unavailable", "the machine is out of memory or processes: raise the limit (ulimit -u, pids.max, memory.max)"},
}

const (
	sandboxAdvice = "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces=10000, " +
		"on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile for the browser, in a container a seccomp profile that permits clone), or install the setuid helper chrome-sandbox"
	displayAdvice = "there is no display: set DISPLAY or WAYLAND_DISPLAY, run under xvfb-run, or do without Headful"
)

// Explain says what to do about the last lines of a browser that would not
// start or has died, "" when they hold nothing known.
func Explain(log []string) string {
	for _, e := range explanations {
		for _, line := range log {
			if strings.Contains(strings.ToLower(line), strings.ToLower(e.text)) {
				return e.advice
			}
		}
	}
	return ""
}
