//go:build unix

package chromium

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// goneTimeout bounds the wait for killed processes, which can hang in the kernel.
const goneTimeout = 5 * time.Second

// connect gives the browser its ends of the pipe as descriptors 3 and 4.
func connect(cmd *exec.Cmd, e *ends) {
	cmd.ExtraFiles = []*os.File{e.theirRead, e.theirWrite}
}

// tree is a process group and its leader.
type tree struct{ leader int }

func newTree(cmd *exec.Cmd) (tree, error) { return treeOf(cmd.Process.Pid), nil }

func treeOf(leader int) tree { return tree{leader} }

func (t tree) terminate() { _ = syscall.Kill(t.leader, syscall.SIGTERM) }

// kill leaves its error aside: there is none but that nobody is left.
func (t tree) kill() { _ = syscall.Kill(-t.leader, syscall.SIGKILL) }

// waitGone waits until nobody is left in the group. A bridge that is process 1
// of a container inherits the browser's orphans and has to take their status.
func (t tree) waitGone() {
	deadline := time.Now().Add(goneTimeout)
	for wait := time.Millisecond; time.Now().Before(deadline); wait = min(2*wait, 50*time.Millisecond) {
		for {
			if pid, err := unix.Wait4(-t.leader, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
		if syscall.Kill(-t.leader, 0) != nil {
			return
		}
		time.Sleep(wait)
	}
}

func exitOf(state *os.ProcessState) *ExitError {
	e := &ExitError{Code: state.ExitCode()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = unix.SignalName(status.Signal())
	}
	return e
}
