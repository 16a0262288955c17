package chromium

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

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
