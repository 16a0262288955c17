package bridge

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/internal/netlog"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// tracedNetLog is the log of a Chromium process that logs nothing by itself: a
// trace while somebody logs. All who log share it. Chromium gives a trace at its
// end only, so whoever comes or goes ends it and begins the next.
type tracedNetLog struct {
	host     *host
	changing turn // guards what follows
	runs     []*netLogRun
	on       bool
	tracer   netlog.Tracer
	watching context.CancelFunc // of how full the trace is
	broken   map[*netLogRun]error
}

func newTracedNetLog(h *host) *tracedNetLog {
	t := &tracedNetLog{host: h, changing: newTurn(), broken: map[*netLogRun]error{}}
	context.AfterFunc(h.life, t.end)
	return t
}

func (t *tracedNetLog) supports(mode netlog.Mode) error {
	if mode != netlog.Default {
		return captureModeError(mode)
	}
	return nil
}

func (t *tracedNetLog) join(ctx context.Context, run *netLogRun) (err error) {
	if run.constants, err = t.host.netLogConstants(ctx); err != nil {
		return err
	}
	header, err := run.constants.JSON()
	if err != nil {
		return err
	}
	if err := run.file.Start(header, true); err != nil {
		return err
	}
	err = t.change(ctx, func(ctx context.Context) error {
		t.pause(ctx)
		t.runs = append(t.runs, run)
		err := t.resume(ctx)
		if err != nil {
			t.remove(run)
			t.fail(err)
		}
		return err
	})
	if ctx.Err() != nil {
		go t.leave(t.host.life, run) // it may have joined all the same
	}
	return err
}

func (t *tracedNetLog) remove(run *netLogRun) {
	t.runs = slices.DeleteFunc(t.runs, func(r *netLogRun) bool { return r == run })
}

func (t *tracedNetLog) leave(ctx context.Context, run *netLogRun) error {
	return t.change(ctx, func(ctx context.Context) error {
		t.pause(ctx)
		t.remove(run)
		err := errors.Join(t.broken[run], run.close())
		delete(t.broken, run)
		if err := t.resume(ctx); err != nil {
			t.fail(err)
		}
		return err
	})
}

// change does f to its end when nobody else changes the trace, and returns with
// its end or that of ctx.
func (t *tracedNetLog) change(ctx context.Context, f func(ctx context.Context) error) error {
	if err := t.changing.take(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer t.changing.give()
		done <- f(t.host.life)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close completes a file.
func (run *netLogRun) close() error {
	header, err := run.constants.JSON()
	return errors.Join(err, run.file.Close(header))
}

// end completes the files when the process has ended.
func (t *tracedNetLog) end() {
	if t.changing.take(context.Background()) != nil {
		return
	}
	defer t.changing.give()
	t.on = false
	if t.watching != nil {
		t.watching()
	}
	for _, run := range t.runs {
		_ = run.close() // whoever stops the log is told, by the file too
	}
	t.fail(context.Cause(t.host.life))
}

// fail notes for all who log why something is missing.
func (t *tracedNetLog) fail(err error) {
	for _, run := range t.runs {
		if t.broken[run] == nil {
			t.broken[run] = err
		}
	}
}

// resume begins a trace, if somebody logs.
func (t *tracedNetLog) resume(ctx context.Context) error {
	if len(t.runs) == 0 || t.on {
		return nil
	}
	pid, err := t.host.networkPID(ctx)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	usage := t.host.root().Events(watching, cdp.QueueOptions{Limit: 10, Overflow: cdp.DropOldest}, "Tracing.bufferUsage")
	err = t.host.root().Call(ctx, "Tracing.start", map[string]any{
		"perfettoConfig": netlog.TraceConfig(pid), "transferMode": "ReturnAsStream", "streamFormat": "proto", "bufferUsageReportingInterval": 250,
	}, nil)
	if err != nil {
		stop()
		return tracingError(err)
	}
	t.on, t.watching = true, stop
	go t.watch(watching, usage)
	return nil
}

func tracingError(err error) error {
	var refused *cdp.Error
	if errors.As(err, &refused) && strings.Contains(refused.Message, "already been started") {
		return &UnsupportedError{
			Feature: "a net log beside a trace", Reason: "another client traces this browser, and Chromium makes one trace at a time",
			Instead: "end that trace, or launch with Options.NetLog",
		}
	}
	return err
}

// watch takes what there is out of a trace that becomes full.
func (t *tracedNetLog) watch(ctx context.Context, usage func(func(cdp.Event, error) bool)) {
	for event, err := range usage {
		var u struct {
			PercentFull float64 `json:"percentFull"`
		}
		if err != nil || jsonv2.Unmarshal(event.Params, &u) != nil || u.PercentFull < 0.5 {
			continue
		}
		_ = t.change(ctx, func(life context.Context) error {
			if ctx.Err() != nil {
				return nil // it is another trace by now
			}
			t.pause(life)
			if err := t.resume(life); err != nil {
				t.fail(err)
			}
			return nil
		})
	}
}

// pause ends the trace and gives what is in it to all who log.
func (t *tracedNetLog) pause(ctx context.Context) {
	if !t.on {
		return
	}
	t.on = false
	t.watching()
	data, err := t.host.endTrace(ctx)
	if err != nil {
		t.fail(err)
		return
	}
	trace, err := t.tracer.Read(data)
	if err != nil {
		t.fail(err)
	}
	for _, run := range t.runs {
		run.constants.SetTickOffset(trace.TickOffset)
		events, err := trace.Events(run.constants)
		if err != nil {
			t.broken[run] = errors.Join(t.broken[run], err)
		}
		for _, event := range events {
			run.file.Event(event)
		}
		run.file.Flush()
	}
}

// endTrace ends the trace and returns it, in protocol buffers' encoding.
func (h *host) endTrace(ctx context.Context) ([]byte, error) {
	completed, stop := h.root().Subscribe("Tracing.tracingComplete")
	defer stop()
	if err := h.root().Call(ctx, "Tracing.end", nil, nil); err != nil {
		return nil, err
	}
	select {
	case event, ok := <-completed:
		if !ok {
			return nil, h.root().Err()
		}
		var complete struct {
			Stream string `json:"stream"`
		}
		if err := jsonv2.Unmarshal(event, &complete); err != nil {
			return nil, err
		}
		stream := h.root().Stream(ctx, complete.Stream, cdp.StreamOptions{})
		defer stream.Close()
		return io.ReadAll(stream)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// networkPID is the id of the process that has the network: the browser's own, if
// it has it.
func (h *host) networkPID(ctx context.Context) (int, error) {
	all, err := h.processInfo(ctx)
	if err != nil {
		return 0, err
	}
	pid := 0
	for _, p := range all {
		if p.Type == "network.mojom.NetworkService" || p.Type == "browser" && pid == 0 {
			pid = p.ID
		}
	}
	return pid, nil
}

func (h *host) netLogConstants(ctx context.Context) (*netlog.Constants, error) {
	var version struct {
		Product string `json:"product"`
	}
	if err := h.root().Call(ctx, "Browser.getVersion", nil, &version); err != nil {
		return nil, err
	}
	name, number, _ := strings.Cut(version.Product, "/")
	client := netlog.Client{Name: name, Version: number, OSType: runtime.GOOS}
	if h.process != nil {
		client.CommandLine = strings.Join(h.process.Args(), " ")
	}
	return netlog.NewConstants(client)
}
