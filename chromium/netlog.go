package chromium

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// netLogName is the named pipe in the directory for temporary files that Chromium
// writes its net log to.
const netLogName = "netlog"

// netLogPipe is the way of Chromium's net log to the bridge.
type netLogPipe struct {
	path string
	read *os.File
	// write keeps reading from ending before Chromium has opened the pipe.
	write *os.File
	begun sync.Once
}

// args are the switches for a net log into the pipe.
func (p *netLogPipe) args(mode string) []string {
	return []string{"--log-net-log=" + p.path, "--net-log-capture-mode=" + mode}
}

// Read reads what Chromium writes, and ends with io.EOF when Chromium has.
func (p *netLogPipe) Read(b []byte) (int, error) {
	n, err := p.read.Read(b)
	p.opened() // by Chromium, or nobody would have written
	return n, err
}

func (p *netLogPipe) opened() { p.begun.Do(func() { closeAll(p.write) }) }

// Close lets go of the pipe, if there is one.
func (p *netLogPipe) Close() error {
	if p == nil {
		return nil
	}
	p.opened()
	return p.read.Close()
}

// NetLog is Chromium's net log as it is written, if Options.NetLog asked for it,
// else nil. It must be read: Chromium keeps in memory what nobody reads. It ends
// with io.EOF when Chromium has ended. Whoever reads it closes it.
func (p *Process) NetLog() io.ReadCloser {
	if p.netLog == nil {
		return nil
	}
	return p.netLog
}

// openNetLog makes the pipe for the net log of a host.
func (w *workspace) openNetLog() (*netLogPipe, error) {
	p, err := makeNetLogPipe(w.tmp(), w.user)
	if err != nil {
		return nil, fmt.Errorf("chromium: the named pipe for the net log: %w", err)
	}
	return p, nil
}
