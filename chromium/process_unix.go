//go:build unix

package chromium

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

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

func exitOf(state *os.ProcessState) *ExitError {
	e := &ExitError{Code: state.ExitCode()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = unix.SignalName(status.Signal())
	}
	return e
}
