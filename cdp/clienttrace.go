package cdp

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// maxTrace is how many bytes of a trace are kept. What is over it is lost.
const maxTrace = 256 << 20

// clientTrace is a trace that a client makes. Chromium traces all of its
// processes, so the trace is held back until its end, and the client gets what is
// of its own pages.
type clientTrace struct {
	session  *clientSession
	asStream bool
	events   []jsonv2.Value
	bytes    int
	lost     bool
}

// startTrace begins a trace.
func startTrace(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	p, ok := r.object(f, "categories", "options", "bufferUsageReportingInterval", "transferMode", "streamFormat", "streamCompression",
		"traceConfig", "tracingBackend", "screenshotMaxSize", "screenshotMaxCount")
	if !ok {
		return
	}
	if string(p["streamFormat"]) == `"proto"` || string(p["streamCompression"]) == `"gzip"` {
		r.invalid(f, "traces are JSON without compression")
		return
	}
	trace := &clientTrace{session: s, asStream: string(p["transferMode"]) == `"ReturnAsStream"`}
	for _, emulated := range []string{"transferMode", "streamFormat", "streamCompression"} {
		delete(p, emulated)
	}
	r.mu.Lock()
	running := r.trace != nil
	if !running {
		r.trace = trace
	}
	r.mu.Unlock()
	if running {
		r.fail(f, &Error{Code: -32000, Message: "Tracing has already been started (possibly in another tab)."})
		return
	}
	_, err := r.tree.conn.send(ctx, Command{Session: s.Session, Method: f.Method, Params: p, Done: func(result jsonv2.Value, err error) {
		if err != nil {
			r.dropTrace(trace)
			r.fail(f, err)
			return
		}
		r.answer(f, result)
	}})
	if err != nil {
		r.dropTrace(trace)
		r.fail(f, err)
	}
}

func (r *RawConn) dropTrace(trace *clientTrace) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trace == trace {
		r.trace = nil
	}
}

// endTrace ends the client's trace. What it has comes afterwards.
func endTrace(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	r.mu.Lock()
	trace := r.trace
	r.mu.Unlock()
	if trace == nil || trace.session != s {
		r.fail(f, &Error{Code: -32000, Message: "Tracing is not started"})
		return
	}
	pass(r, ctx, s, f)
}

// traced takes what comes of a trace. It runs on the connection's reader.
func (r *RawConn) traced(method string, params []byte) {
	r.mu.Lock()
	trace := r.trace
	if method == "Tracing.tracingComplete" {
		r.trace = nil
	}
	r.mu.Unlock()
	switch {
	case trace == nil:
	case method == "Tracing.tracingComplete":
		var ev struct {
			Lost bool `json:"dataLossOccurred"`
		}
		r.tree.decode(params, &ev)
		trace.lost = trace.lost || ev.Lost
		go r.deliver(trace)
	case method == "Tracing.dataCollected":
		trace.add(r.tree, params)
	}
}

func (t *clientTrace) add(tree *Tree, params []byte) {
	if t.bytes += len(params); t.bytes > maxTrace {
		t.lost = true
		return
	}
	var ev struct {
		Value []jsonv2.Value `json:"value"`
	}
	if tree.decode(params, &ev) {
		t.events = append(t.events, ev.Value...)
	}
}

// deliver gives the client its trace.
func (r *RawConn) deliver(t *clientTrace) {
	events := t.events
	if !r.opts.Alone {
		events = ownEvents(events, r.ownFrames())
	}
	const chunk = 1000
	for part := range slices.Chunk(events, chunk) {
		if t.asStream {
			break
		}
		text := append([]byte(`{"value":[`), bytes.Join(asBytes(part), []byte(","))...)
		r.put(eventFrame("Tracing.dataCollected", append(text, "]}"...), t.session.id))
	}
	complete := map[string]any{"dataLossOccurred": t.lost}
	if t.asStream {
		complete["stream"], complete["traceFormat"], complete["streamCompression"] = r.keepStream(events), "json", "none"
	}
	text, err := jsonv2.Marshal(complete)
	if err == nil {
		r.put(eventFrame("Tracing.tracingComplete", text, t.session.id))
	}
}

func asBytes(values []jsonv2.Value) [][]byte {
	out := make([][]byte, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// keepStream makes a stream of a trace, and returns its handle.
func (r *RawConn) keepStream(events []jsonv2.Value) (handle string) {
	text := append([]byte(`{"traceEvents":[`), bytes.Join(asBytes(events), []byte(",\n"))...)
	text = append(text, "]}"...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams == nil { // closed
		return ""
	}
	r.traces++
	handle = fmt.Sprintf("trace-%d", r.traces)
	r.streams[handle] = text
	return handle
}

// ownFrames are the ids of the client's pages and of their frames in processes of
// their own.
func (r *RawConn) ownFrames() [][]byte {
	var ids [][]byte
	for _, t := range r.tree.Targets() {
		if t.HasFrames() && r.sees(t.Info()) {
			ids = append(ids, []byte(strconv.Quote(t.ID())))
		}
	}
	return ids
}

type traceEvent struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// ownEvents are the events of processes that have one of the frames: a renderer
// process has pages of one session only. Of the browser's process they are those
// that Chromium writes for the page that is traced.
func ownEvents(events []jsonv2.Value, frames [][]byte) []jsonv2.Value {
	heads := make([]traceEvent, len(events))
	browser, own := 0, map[int]bool{}
	for i, e := range events {
		if jsonv2.Unmarshal(e, &heads[i], wireOptions) != nil {
			continue
		}
		if heads[i].Name == "TracingStartedInBrowser" {
			browser = heads[i].PID
		}
		if !own[heads[i].PID] && slices.ContainsFunc(frames, func(id []byte) bool { return bytes.Contains(e, id) }) {
			own[heads[i].PID] = true
		}
	}
	delete(own, browser)
	var kept []jsonv2.Value
	for i, e := range events {
		if own[heads[i].PID] || heads[i].PID == browser && slices.Contains(tracedInBrowser, heads[i].Name) {
			kept = append(kept, e)
		}
	}
	return kept
}

// tracedInBrowser are the events that the process of the browser writes for the
// traced page alone.
var tracedInBrowser = []string{"TracingStartedInBrowser", "FrameCommittedInBrowser", "FrameDeletedInBrowser", "ProcessReadyInBrowser", "Screenshot"}

// readStream reads a trace, or a stream of the page.
func readStream(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	var p struct {
		Handle string `json:"handle"`
		Offset *int   `json:"offset,omitzero"`
		Size   *int   `json:"size,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	r.mu.Lock()
	text, ours := r.streams[p.Handle]
	if ours {
		if p.Offset != nil {
			text = text[min(max(*p.Offset, 0), len(text)):]
		}
		size := 1 << 20
		if p.Size != nil && *p.Size > 0 {
			size = max(*p.Size, utf8.UTFMax)
		}
		size = cutAtRune(text, size)
		if text = text[:size:size]; p.Offset == nil {
			r.streams[p.Handle] = r.streams[p.Handle][size:]
		}
	}
	r.mu.Unlock()
	switch {
	case ours:
		r.reply(f, map[string]any{"data": string(text), "eof": len(text) == 0, "base64Encoded": false})
	case s.isBrowser():
		r.fail(f, &Error{Code: -32602, Message: "Invalid stream handle"})
	default:
		r.forward(ctx, s.Session, f, p, nil)
	}
}

// cutAtRune is the largest length up to size that does not cut a character in two.
func cutAtRune(text []byte, size int) int {
	if size >= len(text) {
		return len(text)
	}
	for !utf8.RuneStart(text[size]) && size > 1 {
		size--
	}
	return size
}

func closeStream(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	var p struct {
		Handle string `json:"handle"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	r.mu.Lock()
	_, ours := r.streams[p.Handle]
	delete(r.streams, p.Handle)
	r.mu.Unlock()
	switch {
	case ours:
		r.reply(f, struct{}{})
	case s.isBrowser():
		r.fail(f, &Error{Code: -32602, Message: "Invalid stream handle"})
	default:
		r.forward(ctx, s.Session, f, p, nil)
	}
}
