package cdp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// RawConn is a virtual client: whoever holds it speaks the protocol, frame by
// frame, as if one browser context were the whole browser. It has a browser
// session of its own, and with it discovery and auto-attach of its own. What it
// may ask of the browser is an allow-list (see clientrules.go); what it is told
// is filtered by context. Bodies are passed on undecoded.
type RawConn struct {
	tree *Tree
	opts ClientOptions
	root *Session
	out  *queue

	mu       sync.Mutex
	contexts map[string]bool     // of the client: its session's and its own
	targets  map[string]bool     // that it was told of
	created  map[string]bool     // that it made, to be closed with it
	sessions map[string]*Session // attached by it, by id
	closed   bool
}

// ClientOptions are the options of Tree.NewClient.
type ClientOptions struct {
	// BrowserContextID is the context that the client takes for the browser's
	// default one. It must be set.
	BrowserContextID string
	// DefaultContext tells that it is in fact the browser's default one, which
	// commands must not name.
	DefaultContext bool
	// CreateContext, if set, is told of a context that the client is making,
	// before any page of it can open, and DisposeContext when it is gone.
	CreateContext  func(browserContextID string)
	DisposeContext func(browserContextID string)
	// Queue bounds what waits for a client that does not read. When it is full
	// the client is cut off.
	Queue QueueOptions
}

// NewClient makes a virtual client of one browser context. Close it: it holds a
// session of the browser.
func (tr *Tree) NewClient(ctx context.Context, o ClientOptions) (*RawConn, error) {
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if err := tr.conn.Root().Call(ctx, "Target.attachToBrowserTarget", nil, &attached); err != nil {
		return nil, fmt.Errorf("making a client session: %w", err)
	}
	r := &RawConn{
		tree:     tr,
		opts:     o,
		out:      newQueue(o.Queue),
		contexts: map[string]bool{o.BrowserContextID: true},
		targets:  map[string]bool{},
		created:  map[string]bool{},
		sessions: map[string]*Session{},
	}
	r.root = tr.conn.Session(attached.SessionID)
	r.own(r.root, "")
	return r, nil
}

// own makes the client the owner of a session: it gets every event, under the
// id that it knows.
func (r *RawConn) own(s *Session, clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = func(method string, params []byte) { r.event(s, clientID, method, params) }
}

// ReadFrame returns the next frame for the client. It returns an error that is
// ErrOverflow when the client did not read for too long, and one that is
// ErrClosed or ErrDetached when the browser is gone or the client was closed.
func (r *RawConn) ReadFrame(ctx context.Context) ([]byte, error) {
	for {
		e, some, err := r.out.take()
		if some {
			return e.Params, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-r.out.ready:
		case <-r.root.Done():
			r.out.end(r.root.Err())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// clientFrame is what a client sends.
type clientFrame struct {
	ID        int64        `json:"id"`
	Method    string       `json:"method"`
	Params    jsonv2.Value `json:"params,omitzero"`
	SessionID string       `json:"sessionId,omitzero"`
}

// WriteFrame takes a frame from the client. A frame that is none is answered
// with an error as Chromium does it. It returns an error only when the client
// is at its end.
func (r *RawConn) WriteFrame(ctx context.Context, frame []byte) error {
	if err := r.ended(); err != nil {
		return err
	}
	var f clientFrame
	if err := jsonv2.Unmarshal(frame, &f, wireOptions); err != nil {
		r.fail(f, &Error{Code: -32700, Message: "not a frame of the protocol: " + err.Error()})
		return nil
	}
	s := r.session(f.SessionID)
	if s == nil {
		f.SessionID = "" // Chromium leaves it out too
		r.fail(f, &Error{Code: codeSessionGone, Message: "Session with given id not found."})
		return nil
	}
	r.command(ctx, s, f)
	return nil
}

// ended is nil while the client lives.
func (r *RawConn) ended() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	return r.root.Err()
}

// session is the client's session with the id.
func (r *RawConn) session(id string) *Session {
	if id == "" {
		return r.root
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// forward sends a command as it is, or with other parameters, and passes the
// answer through change, if there is one.
func (r *RawConn) forward(ctx context.Context, s *Session, f clientFrame, params any, change func(result jsonv2.Value) (jsonv2.Value, error)) {
	_, err := r.tree.conn.send(ctx, Command{Session: s, Method: f.Method, Params: params, Done: func(result jsonv2.Value, err error) {
		if err == nil && change != nil {
			result, err = change(result)
		}
		if err != nil {
			r.fail(f, err)
			return
		}
		r.answer(f, result)
	}})
	if err != nil {
		r.fail(f, err)
	}
}

func (r *RawConn) answer(f clientFrame, result jsonv2.Value) {
	b := make([]byte, 0, len(result)+96)
	b = append(b, replyHead...)
	b = strconv.AppendInt(b, f.ID, 10)
	b = append(b, `,"result":`...)
	b = append(b, result...)
	r.out.put(Event{Params: appendSession(b, f.SessionID)})
}

// reply answers a command that the bridge carried out itself.
func (r *RawConn) reply(f clientFrame, result any) {
	b, err := jsonv2.Marshal(result, wireOptions)
	if err != nil {
		r.fail(f, err)
		return
	}
	r.answer(f, b)
}

func (r *RawConn) fail(f clientFrame, err error) {
	e := &Error{Code: -32000, Message: err.Error()}
	errors.As(err, &e)
	text, _ := jsonv2.Marshal(e, wireOptions)
	b := append(make([]byte, 0, len(text)+96), replyHead...)
	b = strconv.AppendInt(b, f.ID, 10)
	b = append(b, `,"error":`...)
	b = append(b, text...)
	r.out.put(Event{Params: appendSession(b, f.SessionID)})
}

// event passes on an event of one of the client's sessions, unless it is about
// what the client must not see. It runs on the connection's reader.
func (r *RawConn) event(s *Session, clientID, method string, params []byte) {
	if !r.tell(s, method, params) {
		return
	}
	b := make([]byte, 0, len(method)+len(params)+96)
	b = append(b, eventHead...)
	b = append(b, method...)
	b = append(b, '"')
	if len(params) > 0 {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	r.out.put(Event{Params: appendSession(b, clientID)})
}

// tell keeps the books on the client's sessions and targets and reports whether
// the client is told of an event.
func (r *RawConn) tell(s *Session, method string, params []byte) bool {
	switch method {
	case "Target.attachedToTarget":
		var ev struct {
			SessionID  string     `json:"sessionId"`
			TargetInfo TargetInfo `json:"targetInfo"`
		}
		return r.tree.decode(params, &ev) && r.attachedTo(s, ev.SessionID, ev.TargetInfo)
	case "Target.detachedFromTarget":
		var ev struct {
			SessionID string `json:"sessionId"`
		}
		if !r.tree.decode(params, &ev) {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		_, known := r.sessions[ev.SessionID]
		// Those that were opened on its behalf have ended with it.
		maps.DeleteFunc(r.sessions, func(_ string, s *Session) bool { return s.Err() != nil })
		return known
	case "Target.targetCreated", "Target.targetInfoChanged":
		var ev struct {
			TargetInfo TargetInfo `json:"targetInfo"`
		}
		if !r.tree.decode(params, &ev) || !r.sees(ev.TargetInfo) {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.targets[ev.TargetInfo.TargetID] = true
		return true
	case "Target.targetDestroyed", "Target.targetCrashed":
		var ev struct {
			TargetID string `json:"targetId"`
		}
		if !r.tree.decode(params, &ev) {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		known := r.targets[ev.TargetID]
		if method == "Target.targetDestroyed" {
			delete(r.targets, ev.TargetID)
			delete(r.created, ev.TargetID)
		}
		return known
	}
	return true
}

// attachedTo takes a new session of the client, or lets go of a foreign target
// that Chromium attached because auto-attach knows no contexts.
func (r *RawConn) attachedTo(parent *Session, id string, info TargetInfo) bool {
	s := r.tree.conn.attached(parent, id)
	if parent == r.root && !r.sees(info) {
		r.tree.conn.Send(
			Command{Session: s, Method: "Runtime.runIfWaitingForDebugger"},
			Command{Session: r.root, Method: "Target.detachFromTarget", Params: map[string]string{"sessionId": id}},
		)
		return false
	}
	r.own(s, id)
	r.mu.Lock()
	r.sessions[id] = s
	r.mu.Unlock()
	return true
}

// sees reports whether a target belongs to the client.
func (r *RawConn) sees(info TargetInfo) bool {
	if r.tree.isHidden(info) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.contexts[info.BrowserContextID]
}

// Close ends the client: its sessions are detached, the pages and the contexts
// that it made are closed.
func (r *RawConn) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	created, contexts := maps.Clone(r.created), maps.Clone(r.contexts)
	r.mu.Unlock()
	root := r.tree.conn.Root()
	var commands []Command
	for id := range created {
		commands = append(commands, Command{Session: root, Method: "Target.closeTarget", Params: map[string]string{"targetId": id}})
	}
	// Contexts were made with disposeOnDetach.
	commands = append(commands, Command{Session: root, Method: "Target.detachFromTarget", Params: map[string]string{"sessionId": r.root.id}})
	r.tree.conn.Send(commands...)
	for id := range contexts {
		if id != r.opts.BrowserContextID && r.opts.DisposeContext != nil {
			r.opts.DisposeContext(id)
		}
	}
	r.out.end(ErrClosed)
	return nil
}
