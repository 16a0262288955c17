package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cdpbridge/cdpbridge/internal/netlog"
)

// ErrNoNetLog is the error of StopLogging when nothing was started. Its text is
// Electron's.
//
//lint:ignore ST1005 it is Electron's text
var ErrNoNetLog = errors.New("No net log in progress")

// NetLog writes the network traffic of a session's Chromium process to a file
// that https://netlog-viewer.appspot.com reads. It is Electron's ses.netLog.
//
// As in Electron, the file has the traffic of all sessions of the process: the
// default session shares its process with sessions in memory, a persistent
// session has one of its own, and so has one with PartitionOptions.OwnProcess.
//
// With Options.NetLog Chromium logs all the time, and the file gets what comes
// while it is open, at once. Without, it is made from a trace, which Chromium
// writes while somebody logs: the file fills when logging stops, and before that
// each time that the trace has become large (some 16 MiB). It then has
// nothing of what had begun before, an end bears the name of the innermost that
// its source had open, and at each filling of the file, and whenever another
// session of the process starts or stops logging, some 30 ms are missing. The
// constants in it are those of Chromium 156, and what Chromium had not handed
// over when its process crashed is lost.
//
// The file has no polledData, and no entries for what was under way at the start.
type NetLog struct {
	session *Session

	mu  sync.Mutex
	run *netLogRun
}

// NetLogOptions are the options of NetLog.StartLogging.
type NetLogOptions struct {
	// CaptureMode is "default" (also ""), without cookies, logins and transferred
	// bytes; "includeSensitive" with cookies and logins; or "everything". What is
	// more than "default" takes Options.NetLog.
	CaptureMode string
	// MaxFileSize is how large the file may become, in bytes; 0 is no limit. What
	// comes later is left out (Electron leaves out what came first). The 50 KB of
	// constants are always there.
	MaxFileSize int64
}

// captureModes are the modes by Electron's names.
var captureModes = map[string]netlog.Mode{
	"": netlog.Default, "default": netlog.Default, "includeSensitive": netlog.IncludeSensitive, "everything": netlog.Everything,
}

// netLogRun is one log from its start to its stop.
type netLogRun struct {
	mode      netlog.Mode
	file      *netlog.File
	constants *netlog.Constants // of a trace
	source    netLogSource
	ready     chan struct{} // closed when it is started, or could not be
	err       error         // of the start
}

// netLogSource is where a host's log comes from.
type netLogSource interface {
	// supports returns an error for a mode that the source does not have.
	supports(mode netlog.Mode) error
	// join begins to write a log into its file.
	join(ctx context.Context, run *netLogRun) error
	// leave brings what is still under way into the file and closes it.
	leave(ctx context.Context, run *netLogRun) error
}

// newNetLogSource is the source of a new host. What Chromium logs by itself is
// read from now on.
func newNetLogSource(h *host) netLogSource {
	if h.process != nil {
		if r := h.process.NetLog(); r != nil {
			return newLiveNetLog(h, r, captureModes[h.browser.opts.NetLog])
		}
	}
	return newTracedNetLog(h)
}

// StartLogging starts to log into the file at path, which is made with mode 0600,
// or emptied if it is there. It returns when the log has begun. Errors are
// *InvalidArgumentError with Electron's texts, *UnsupportedError for a mode that
// takes Options.NetLog and for a browser whose trace somebody else records, and
// *fs.PathError for the file.
func (n *NetLog) StartLogging(ctx context.Context, path string, o NetLogOptions) error {
	mode, known := captureModes[o.CaptureMode]
	switch {
	case path == "":
		return invalidArgument("The first parameter must be a valid string")
	case !known:
		return invalidArgument("Invalid value for captureMode")
	case o.MaxFileSize < 0:
		return invalidArgument("Invalid value for maxFileSize")
	}
	run := &netLogRun{mode: mode, ready: make(chan struct{})}
	n.mu.Lock()
	if n.run != nil {
		n.mu.Unlock()
		return invalidArgument("There is already a net log running")
	}
	n.run = run
	n.mu.Unlock()
	run.err = n.session.startNetLog(ctx, run, path, o.MaxFileSize)
	if run.err != nil {
		n.take(run)
	}
	close(run.ready)
	return doing("starting the net log", run.err)
}

func (s *Session) startNetLog(ctx context.Context, run *netLogRun, path string, limit int64) error {
	at, err := s.place(ctx)
	if err != nil {
		return err
	}
	run.source = at.host.netLog
	if err := run.source.supports(run.mode); err != nil {
		return err
	}
	if run.file, err = netlog.Create(path, limit); err != nil {
		return err
	}
	if err := run.source.join(ctx, run); err != nil {
		return errors.Join(s.explain(err), run.file.Close(nil))
	}
	return nil
}

// StopLogging ends the log and returns when its file is complete. Without a log
// it is ErrNoNetLog. Any other error says what the file lacks: it is a
// *HostGoneError if Chromium's process ended in the meantime, and that of
// writing, such as syscall.ENOSPC, if the disk was full. The file is whole JSON
// all the same, with the events before that.
func (n *NetLog) StopLogging(ctx context.Context) error {
	n.mu.Lock()
	run := n.run
	n.run = nil
	n.mu.Unlock()
	if run == nil {
		return ErrNoNetLog
	}
	select {
	case <-run.ready:
	case <-ctx.Done():
		go n.abandon(run)
		return fmt.Errorf("stopping the net log: %w", context.Cause(ctx))
	}
	if run.err != nil {
		return ErrNoNetLog
	}
	return doing("stopping the net log", run.source.leave(ctx, run))
}

// abandon ends a log that nobody waits for, when it has started.
func (n *NetLog) abandon(run *netLogRun) {
	<-run.ready
	if run.err == nil {
		_ = run.source.leave(n.session.life, run)
	}
}

// CurrentlyLogging reports whether there is a log: from the call of StartLogging
// to that of StopLogging.
func (n *NetLog) CurrentlyLogging() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run != nil
}

// take removes a log that did not start.
func (n *NetLog) take(run *netLogRun) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == run {
		n.run = nil
	}
}

// finish ends the log with the session.
func (n *NetLog) finish(ctx context.Context) error {
	if err := n.StopLogging(ctx); !errors.Is(err, ErrNoNetLog) && !errors.Is(err, ErrHostGone) {
		return err
	}
	return nil
}

// finishNetLogs ends the logs of sessions whose browser is about to end.
func finishNetLogs(sessions []*Session) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	errs := make([]error, len(sessions))
	var wg sync.WaitGroup
	for i, s := range sessions {
		wg.Go(func() { errs[i] = s.netLog.finish(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// checkNetLog checks Options.NetLog.
func (o Options) checkNetLog() error {
	if mode, known := captureModes[o.NetLog]; !known || o.NetLog != "" && mode == netlog.Default {
		return invalidArgument("Options.NetLog is %q; use \"includeSensitive\" or \"everything\"", o.NetLog)
	}
	return nil
}

// chromiumNetLog is Options.NetLog as Chromium calls it.
func (o Options) chromiumNetLog() string {
	if o.NetLog == "" {
		return ""
	}
	return captureModes[o.NetLog].Switch()
}
