package chromium

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysProcAttr makes the browser lead a process group and end with the bridge:
// a temporary one at once, another with the chance to write its data.
// The kernel forgets the death signal when the user changes; os/exec sets it
// after that, and looks whether the parent has died in between.
func sysProcAttr(u *User, temporary bool) *syscall.SysProcAttr {
	deathSignal := syscall.SIGTERM
	if temporary {
		deathSignal = syscall.SIGKILL
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: deathSignal, Credential: u.credential()}
}

// waitLeader waits until the process has ended, and leaves its status to be taken.
func waitLeader(cmd *exec.Cmd) {
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// release takes the status of those who have become the bridge's children by the
// death of their parents, as happens to process 1 of a container: the group, and
// the crash handlers, which are daemons.
func (t tree) release() {
	var subreaper int
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0); err != nil || subreaper == 0 && os.Getpid() != 1 {
		return
	}
	for {
		if _, err := unix.Wait4(-t.leader, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		var pid, parent int
		var name, state string
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if _, err := fmt.Sscan(string(text), &pid, &name, &state, &parent); err == nil && name == "(chrome_crashpad)" && parent == os.Getpid() {
			_, _ = unix.Wait4(pid, nil, 0, nil) // ended, or ending as its browser has
		}
	}
}

// commandLine returns the command line of a process, "" when there is none.
func commandLine(pid int) string {
	if pid <= 0 {
		return ""
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
}

// ownedBy says whether the process runs as u, nil meaning the bridge's own user.
func ownedBy(pid int, u *User) bool {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil && isOwnedBy(info, u)
}

// sharedMemoryIsTiny says whether /dev/shm is too small for Chromium's shared
// memory, as the 64 MB of a container are: a large page then crashes.
func sharedMemoryIsTiny() bool {
	var stat unix.Statfs_t
	err := unix.Statfs("/dev/shm", &stat)
	return err != nil || stat.Blocks*uint64(stat.Bsize) < 512<<20
}
