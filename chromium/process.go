package chromium

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	pipeGrace  = 5 * time.Second // for a browser to end by itself after its pipe has
	termGrace  = 2 * time.Second // and after SIGTERM
	childGrace = 2 * time.Second // for its children to write their data after it has ended
	killGrace  = 5 * time.Second // for killed processes, which can hang in the kernel
)

// ExitError says how a browser ended.
type ExitError struct {
	Code     int      // exit code, -1 when a signal ended it
	Signal   string   // the signal's name, as in "SIGSEGV", "" for none
	Expected bool     // it was asked to end: Close, Kill or ExpectExit came before
	Log      []string // the last lines of its stderr, oldest first
}

func (e *ExitError) Error() string {
	var b strings.Builder
	b.WriteString("chromium: the browser ended ")
	switch {
	case e.Signal != "":
		fmt.Fprintf(&b, "by %s", e.Signal)
	default:
		fmt.Fprintf(&b, "with exit code %d", e.Code)
	}
	if e.Expected {
		b.WriteString(", as it was asked to")
		return b.String()
	}
	if advice := e.advice(); advice != "" {
		b.WriteString("; " + advice)
	}
	if lines := e.lastLines(); len(lines) > 0 {
		b.WriteString("; it wrote last: " + strings.Join(lines, " | "))
	}
	return b.String()
}

// profileInUse is Chromium's exit code when another process has the profile.
const profileInUse = 21

func (e *ExitError) advice() string {
	if e.Code == profileInUse {
		return "another browser uses the directory: end it, or use another directory"
	}
	return Explain(e.Log)
}

// lastLines are three lines without those that Chromium writes on every machine
// without a message bus.
func (e *ExitError) lastLines() []string {
	lines := slices.DeleteFunc(slices.Clone(e.Log), func(line string) bool { return strings.Contains(line, "ERROR:dbus/") })
	return lines[max(0, len(lines)-3):]
}

// Process is a browser that was started: its process and all that it starts.
// Its methods may be called from any goroutine.
type Process struct {
	cmd         *exec.Cmd
	tree        tree
	space       *workspace
	temporary   bool
	log         logRing
	read, write *os.File
	netLog      *netLogPipe   // nil without one
	drained     chan struct{} // stderr has been read to its end
	swept       chan struct{} // the leftovers of dead bridges are away
	done        chan struct{}
	removal     error // of the temporary directory; known when done

	mu       sync.Mutex
	reaped   bool // the process id may belong to somebody else from now on
	expected bool
	exit     *ExitError
}

// Pipe returns the end to read the browser's messages from and the end to write
// messages to. Both stay open until Close or Kill; reading ends with io.EOF when
// the browser has ended.
func (p *Process) Pipe() (read, write *os.File) { return p.read, p.write }

// PID is the id of the browser's first process, which leads its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// UserDataDir is the absolute path of the directory with the browser's profile.
func (p *Process) UserDataDir() string { return p.space.dir }

// Temporary says whether that directory is removed at the end.
func (p *Process) Temporary() bool { return p.temporary }

// User is who runs the browser, nil for the bridge's own user.
func (p *Process) User() *User { return p.space.user }

// Args is the command line, the program's path first.
func (p *Process) Args() []string { return slices.Clone(p.cmd.Args) }

// Log returns the last lines of stderr (at most 200, of at most 2 KiB), oldest
// first.
func (p *Process) Log() []string { return p.log.all() }

// Done is closed when the browser has ended with all its children and its
// temporary files are removed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the browser ended, nil as long as it lives.
func (p *Process) Exit() *ExitError {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// ExpectExit announces that the browser is about to be asked to end, for
// ExitError.Expected. Close and Kill do so by themselves.
func (p *Process) ExpectExit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = true
}

// Close ends the browser and returns when nothing of it is left. It closes the
// pipe, which the browser takes as the wish to end cleanly after the commands
// already in it: cookies and storage are written. If it does not end within 5
// seconds it gets SIGTERM, and 2 seconds later, or when ctx ends, SIGKILL. The
// error is that of removing the temporary directory. A second call waits for the
// first.
func (p *Process) Close(ctx context.Context) error {
	p.ExpectExit()
	_ = p.write.Close()
	if !p.endsWithin(ctx, pipeGrace) {
		// A browser that cannot write its answers does not get to its end either.
		_ = p.read.Close()
		p.terminate()
		if !p.endsWithin(ctx, termGrace) {
			p.kill()
		}
	}
	return p.wait()
}

// Kill ends the browser at once, losing what it has not written yet, and returns
// when nothing of it is left. The error is that of removing the temporary
// directory.
func (p *Process) Kill() error {
	p.ExpectExit()
	p.kill()
	return p.wait()
}

func (p *Process) wait() error {
	<-p.done
	closeAll(p.read, p.write)
	return p.removal
}

func (p *Process) endsWithin(ctx context.Context, grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (p *Process) terminate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.tree.terminate()
	}
}

func (p *Process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.tree.kill()
	}
}

// supervise starts the process and sees it to its end. Linux ends a child with
// the thread that started it, so this goroutine keeps its thread until then.
// All processes of the tree, the crash handlers outside of its group too, have
// its stderr, so that the end of stderr tells of the last one's end; a process
// group would still count those whose status process 1 has yet to take.
func (p *Process) supervise(started chan<- error, log *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	if err == nil {
		p.tree, err = newTree(p.cmd)
	}
	started <- err
	if err != nil {
		return
	}
	waitLeader(p.cmd)
	p.drainedWithin(childGrace)
	p.reap()
	if !p.drainedWithin(killGrace) {
		_ = log.Close() // held by a process that has left the tree
	}
	<-p.drained
	p.tree.release()
	p.finish()
}

// reap kills what is left of the tree while the ended leader still keeps its
// process id from being given away, and then takes the exit status.
func (p *Process) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tree.kill()
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Wait() // its error is the exit status, which ProcessState has too
	}
	p.reaped = true
}

func (p *Process) finish() {
	<-p.swept
	removal := p.space.close()
	p.netLog.finish()
	exit := exitOf(p.cmd.ProcessState)
	exit.Log = p.log.all()
	p.mu.Lock()
	exit.Expected = p.expected
	p.exit, p.removal = exit, removal
	p.mu.Unlock()
	close(p.done)
}

func (p *Process) drain(log *os.File, report func(string)) {
	defer close(p.drained)
	defer log.Close()
	p.log.drain(log, report)
}

func (p *Process) drainedWithin(grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.drained:
		return true
	case <-timer.C:
		return false
	}
}
