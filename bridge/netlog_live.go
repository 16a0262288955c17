package bridge

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/internal/netlog"
)

// liveNetLog is the log that a Chromium process writes all the time. Somebody
// always reads it, so that it never fills Chromium's memory.
type liveNetLog struct {
	host  *host
	mode  netlog.Mode
	known chan struct{} // closed with the first constants
	ended chan struct{} // closed with the log

	mu        sync.Mutex
	constants []byte
	runs      []*netLogRun
	marks     map[string]chan struct{} // closed when the text has come by
}

// newLiveNetLog reads a log to its end.
func newLiveNetLog(h *host, r io.ReadCloser, mode netlog.Mode) *liveNetLog {
	l := &liveNetLog{host: h, mode: mode, known: make(chan struct{}), ended: make(chan struct{}), marks: map[string]chan struct{}{}}
	go l.read(r)
	return l
}

func (l *liveNetLog) read(r io.ReadCloser) {
	defer close(l.ended)
	defer l.end()
	defer r.Close()
	lines := netlog.NewLive(r)
	for {
		constants, event, err := lines.Next()
		if err != nil {
			return
		}
		l.take(constants, event, lines.Idle())
	}
}

// end completes the files when the process has ended.
func (l *liveNetLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, run := range l.runs {
		_ = run.file.Close(nil) // whoever stops the log is told
	}
}

// take gives a line to those who log.
func (l *liveNetLog) take(constants, event []byte, idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if constants != nil {
		if l.constants == nil {
			close(l.known)
		}
		l.constants = bytes.Clone(constants)
	}
	for _, run := range l.runs {
		if e := netlog.Strip(event, run.mode); e != nil {
			run.file.Event(e)
		}
		if idle {
			run.file.Flush()
		}
	}
	for text, seen := range l.marks {
		if bytes.Contains(event, []byte(text)) {
			delete(l.marks, text)
			close(seen)
		}
	}
}

func (l *liveNetLog) supports(mode netlog.Mode) error {
	if mode > l.mode {
		return captureModeError(mode)
	}
	return nil
}

// captureModeError refuses a mode that is more than what Chromium logs.
func captureModeError(mode netlog.Mode) error {
	name := "includeSensitive"
	if mode == netlog.Everything {
		name = "everything"
	}
	return &UnsupportedError{
		Feature: fmt.Sprintf("the capture mode %q", name),
		Reason:  "Chromium has to log it from its start on",
		Instead: fmt.Sprintf("launch with Options.NetLog: %q", name),
	}
}

func (l *liveNetLog) join(ctx context.Context, run *netLogRun) error {
	select {
	case <-l.known:
	case <-l.ended:
		return ErrHostGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := run.file.Start(netlog.WithMode(l.constants, l.mode, run.mode), false); err != nil {
		return err
	}
	l.runs = append(l.runs, run)
	return nil
}

func (l *liveNetLog) leave(ctx context.Context, run *netLogRun) error {
	err := l.catchUp(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = slices.DeleteFunc(l.runs, func(r *netLogRun) bool { return r == run })
	return errors.Join(err, run.file.Close(nil))
}

// catchUp returns when all that has happened so far has come. Chromium writes
// events in lots of some fifteen, so it is made to look up an address that nobody
// else asks for, until that comes by.
func (l *liveNetLog) catchUp(ctx context.Context) error {
	address := netip.AddrFrom16([16]byte(append([]byte{0xfd}, rand.Text()[:15]...))).String()
	seen := make(chan struct{})
	l.mu.Lock()
	l.marks[address] = seen
	l.mu.Unlock()
	const lookUp = `(host) => import("chrome://resources/js/cr.js").then(cr => Promise.all(
		Array.from({length: 20}, () => cr.sendWithPromise("resolveHost", host).catch(() => null)))).then(() => true)`
	err := l.host.inHidden(ctx, "", netInternalsPage, lookUp, nil, "["+address+"]")
	if err != nil {
		l.mu.Lock()
		delete(l.marks, address)
		l.mu.Unlock()
		return err
	}
	select {
	case <-seen:
		return nil
	case <-l.ended:
		<-l.host.life.Done()
		return context.Cause(l.host.life)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
