package chromium

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

func sysProcAttr(*User, bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// connect lets the browser inherit its ends of the pipe and names the handles.
func connect(cmd *exec.Cmd, e *ends) {
	var handles []syscall.Handle
	for _, end := range []*os.File{e.theirRead, e.theirWrite} {
		handle := syscall.Handle(end.Fd())
		// A failure shows when the browser says that it cannot read from the pipe.
		_ = syscall.SetHandleInformation(handle, syscall.HANDLE_FLAG_INHERIT, syscall.HANDLE_FLAG_INHERIT)
		handles = append(handles, handle)
	}
	cmd.SysProcAttr.AdditionalInheritedHandles = handles
	cmd.Args = append(cmd.Args, fmt.Sprintf("--remote-debugging-io-pipes=%d,%d", handles[0], handles[1]))
}

// tree is a job object, which ends all its processes when its last handle is
// closed, by the bridge or by the bridge's death.
type tree struct{ job windows.Handle }

func newTree(cmd *exec.Cmd) (tree, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return tree{}, err
	}
	t := tree{job}
	if err := t.adopt(cmd.Process.Pid); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = windows.CloseHandle(job)
		return tree{}, err
	}
	return t, nil
}

func (t tree) adopt(pid int) error {
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err := windows.SetInformationJobObject(t.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		return err
	}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(process)
	return windows.AssignProcessToJobObject(t.job, process)
}

// treeOf is an empty tree: a dead bridge leaves no browser behind on Windows.
func treeOf(int) tree { return tree{} }

// terminate does nothing: Windows has no signal to ask with, and the pipe has
// asked already.
func (t tree) terminate() {}

func (t tree) kill() {
	if t.job != 0 {
		_ = windows.TerminateJobObject(t.job, 1)
	}
}

// release closes the job.
func (t tree) release() {
	if t.job != 0 {
		_ = windows.CloseHandle(t.job)
	}
}

func waitLeader(cmd *exec.Cmd) {
	_ = cmd.Wait() // its error is the exit status, which ProcessState has too
}

func exitOf(state *os.ProcessState) *ExitError { return &ExitError{Code: state.ExitCode()} }

// commandLine is not told on Windows.
func commandLine(int) string { return "" }

func ownedBy(int, *User) bool { return false }

func sharedMemoryIsTiny() bool { return false }
