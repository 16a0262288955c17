package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every
// architecture that Go runs on.
const tick = 10 * time.Millisecond

// processCPU is the CPU time of this process, without its children.
func processCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// resetPeak begins a new measurement of the peak of a process's resident
// memory, and returns what is resident now.
func resetPeak(pid int) (int64, error) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return 0, err
	}
	return statusBytes(pid, "VmRSS:")
}

func peakResident(pid int) (int64, error) { return statusBytes(pid, "VmHWM:") }

func statusBytes(pid int, name string) (int64, error) {
	return kilobytes(fmt.Sprintf("/proc/%d/status", pid), name)
}

// kilobytes reads a line like "Pss:   1234 kB".
func kilobytes(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no line %s", path, name)
}

// process is what /proc/PID/stat says of a process.
type process struct {
	pid, parent int
	// cpu is its time, and that of its children that have ended.
	cpu time.Duration
}

// tree are the processes of the browser that live.
func tree(browser int) []process {
	if browser == 0 {
		return nil
	}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	all := map[int]process{}
	for _, path := range paths {
		if p, ok := readStat(path); ok {
			all[p.pid] = p
		}
	}
	var found []process
	for _, p := range all {
		for up := p; up.pid != 0; up = all[up.parent] {
			if up.pid == browser {
				found = append(found, p)
				break
			}
		}
	}
	return found
}

// readStat is false for a process that has just ended.
func readStat(path string) (p process, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, false
	}
	// The name, in parentheses, can hold anything.
	head, rest, _ := strings.Cut(string(text), " (")
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
	if len(fields) < 15 {
		return p, false
	}
	p.pid, _ = strconv.Atoi(head)
	p.parent, _ = strconv.Atoi(fields[1])
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.Atoi(field)
		p.cpu += time.Duration(n) * tick
	}
	return p, true
}

func treeCPU(browser int) (time.Duration, error) {
	var sum time.Duration
	for _, p := range tree(browser) {
		sum += p.cpu
	}
	return sum, nil
}

// treeMemory is the sum of the processes' PSS: what they share counts once.
func treeMemory(browser int) (int64, error) {
	var sum int64
	for _, p := range tree(browser) {
		n, err := kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid), "Pss:")
		switch {
		case errors.Is(err, os.ErrPermission):
			return 0, fmt.Errorf("reading the memory of Chromium's processes, which takes root's rights: %w", err)
		case err == nil: // otherwise it has ended
			sum += n
		}
	}
	return sum, nil
}
