package chromium

import (
	"fmt"
	"io"
	"os"
)

// netLogName is the named pipe in the directory for temporary files that Chromium
// writes its net log to.
const netLogName = "netlog"

// netLogPipe is the way of Chromium's net log to the bridge.
type netLogPipe struct {
	path string
	read *os.File
	// write keeps reading from ending before Chromium has opened the pipe, and
	// when its network process crashes and opens it again.
	write *os.File
}

// args are the switches for a net log into the pipe.
func (p *netLogPipe) args(mode string) []string {
	return []string{"--log-net-log=" + p.path, "--net-log-capture-mode=" + mode}
}

// finish lets reading end, after what is in the pipe.
func (p *netLogPipe) finish() {
	if p != nil {
		closeAll(p.write)
	}
}

// Close lets go of the pipe, if there is one.
func (p *netLogPipe) Close() error {
	if p == nil {
		return nil
	}
	p.finish()
	return p.read.Close()
}

// NetLog is Chromium's net log as it is written, if Options.NetLog asked for it,
// else nil. It must be read: Chromium keeps in memory what nobody reads. It ends
// with io.EOF when Chromium has ended. Whoever reads it closes it.
func (p *Process) NetLog() io.ReadCloser {
	if p.netLog == nil {
		return nil
	}
	return p.netLog.read
}

// openNetLog makes the pipe for the net log of a host.
func (w *workspace) openNetLog() (*netLogPipe, error) {
	p, err := makeNetLogPipe(w.tmp(), w.user)
	if err != nil {
		return nil, fmt.Errorf("chromium: the named pipe for the net log: %w", err)
	}
	return p, nil
}
