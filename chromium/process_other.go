//go:build unix && !linux

package chromium

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// sysProcAttr makes the browser lead a process group. That the bridge has died
// it learns from the pipe.
func sysProcAttr(*User, bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// waitLeader waits until the process has ended and takes its status.
func waitLeader(cmd *exec.Cmd) {
	_ = cmd.Wait() // its error is the exit status, which ProcessState has too
}

func (t tree) release() {}

// commandLine returns the command line of a process, "" when there is none.
func commandLine(pid int) string {
	if pid <= 0 {
		return ""
	}
	text, err := exec.Command("ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// ownedBy says whether the process may be ended: the kernel lets a bridge that
// is not root end processes of its own user only.
func ownedBy(pid int, _ *User) bool { return syscall.Kill(pid, 0) == nil }

func sharedMemoryIsTiny() bool { return false }
