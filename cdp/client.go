package cdp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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
	root *Session       // with the browser
	home *clientSession // that frames without a session belong to
	out  *queue
	done chan struct{} // closed when the client has ended
	// browserID is the target that stands for the browser: the client's own.
	browserID string

	mu                  sync.Mutex
	contexts            map[string]bool           // of the client: its session's and its own
	targets             map[string]bool           // that it was told of
	created             map[string]bool           // that it made, to be closed with it
	windows             map[int]bool              // of its targets, that it asked for
	sessions            map[string]*clientSession // attached by it, by id
	trace               *clientTrace              // nil while it makes none
	streams             map[string][]byte         // of finished traces, by handle
	traces              int                       // that were made
	ignoresCertificates bool
	closed              bool
}

// clientSession is one session of a client.
type clientSession struct {
	*Session
	id       string // as the client knows it
	kind     string // the type of its target
	targetID string
	hasPage  bool // the domain Page is on; guarded by RawConn.mu
}

func (s *clientSession) isBrowser() bool { return s.kind == TargetBrowser }

// ClientOptions are the options of Tree.NewClient.
type ClientOptions struct {
	// BrowserContextID is the context that the client takes for the browser's
	// default one. It must be set.
	BrowserContextID string
	// DefaultContext tells that it is in fact the browser's default one, which
	// commands must not name.
	DefaultContext bool
	// TargetID makes it a client of one page instead of the browser: what it
	// sends without a session goes to the page.
	TargetID string
	// ContextParams, if set, gives the parameters of Target.createBrowserContext
	// for a context that the client makes.
	ContextParams func() (map[string]any, error)
	// CreateContext, if set, is told of a context that the client is making,
	// before any page of it can open, and DisposeContext when it is gone.
	CreateContext  func(browserContextID string)
	DisposeContext func(browserContextID string)
	// Permissions, if set, carries out Browser.setPermission, grantPermissions and
	// resetPermissions for one of the client's contexts. An error is an *Error.
	Permissions func(browserContextID, method string, params []byte) error
	// Alone says that nobody else's pages are in the process.
	Alone bool
	// Confined keeps the client's pages away from file:, chrome:, devtools: and
	// view-source:, and MayUseFile, if set, says which files of this machine its
	// commands may name.
	Confined   bool
	MayUseFile func(path string) error
	// Domains answer the commands of domains that the browser does not have. They
	// are called one after the other and must not wait.
	Domains map[string]func(ClientCommand)
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
		root:     tr.conn.Session(attached.SessionID),
		out:      newQueue(o.Queue),
		done:     make(chan struct{}),
		contexts: map[string]bool{o.BrowserContextID: true},
		targets:  map[string]bool{},
		created:  map[string]bool{},
		windows:  map[int]bool{},
		sessions: map[string]*clientSession{},
		streams:  map[string][]byte{},
	}
	r.home = &clientSession{Session: r.root, kind: TargetBrowser}
	if err := r.begin(ctx); err != nil {
		r.Close()
		return nil, err
	}
	r.own(r.home)
	tr.mu.Lock()
	tr.clients[r] = true
	tr.mu.Unlock()
	go r.watch()
	return r, nil
}

// begin learns which target the browser is for the client, or moves into a page.
func (r *RawConn) begin(ctx context.Context) error {
	if r.opts.TargetID != "" {
		return r.moveInto(ctx, r.opts.TargetID)
	}
	var own struct {
		TargetInfo TargetInfo `json:"targetInfo"`
	}
	if err := r.root.Call(ctx, "Target.getTargetInfo", nil, &own); err != nil {
		return fmt.Errorf("making a client session: %w", err)
	}
	r.browserID = own.TargetInfo.TargetID
	return nil
}

// moveInto makes a page what the client is connected to.
func (r *RawConn) moveInto(ctx context.Context, targetID string) error {
	if !r.mayUse(targetID) {
		return fmt.Errorf("making a client session: %w", noTarget())
	}
	r.root.setSink(func(string, []byte) {})
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if err := r.root.Call(ctx, "Target.attachToTarget", map[string]any{"targetId": targetID, "flatten": true}, &attached); err != nil {
		return fmt.Errorf("making a client session: %w", err)
	}
	r.home = &clientSession{Session: r.tree.conn.attached(r.root, attached.SessionID), kind: TargetPage, targetID: targetID}
	return nil
}

// watch ends the client with what it is connected to.
func (r *RawConn) watch() {
	select {
	case <-r.home.Done():
		r.end(r.home.Err())
	case <-r.done:
	}
}

// Done is closed when the client has ended: it was closed or cut off, or what it
// is connected to is gone. Frames that had come before can still be read.
func (r *RawConn) Done() <-chan struct{} { return r.done }

// own makes the client the owner of a session: it gets every event, under the
// id that it knows.
func (r *RawConn) own(s *clientSession) {
	s.setSink(func(method string, params []byte) { r.event(s, method, params) })
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
		r.fail(f, errNoSession())
		return nil
	}
	r.command(ctx, s, f)
	return nil
}

func errNoSession() error {
	return &Error{Code: codeSessionGone, Message: "Session with given id not found."}
}

// ended is nil while the client lives.
func (r *RawConn) ended() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	return r.home.Err()
}

// session is the client's session with the id.
func (r *RawConn) session(id string) *clientSession {
	if id == "" {
		return r.home
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
	r.put(appendSession(b, f.SessionID))
}

// put hands a frame to the client, and ends a client that does not read.
func (r *RawConn) put(frame []byte) {
	if !r.out.put(Event{Params: frame}) {
		r.end(ErrOverflow)
	}
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
	r.put(appendSession(b, f.SessionID))
}

// ClientCommand is a command of a domain of ClientOptions.Domains. It is to be
// answered once, by Reply or Fail, at any time.
type ClientCommand struct {
	Method string
	Params jsonv2.Value
	// SessionID is the session that it came on, empty for the one that the client
	// begins with.
	SessionID string

	client *RawConn
	frame  clientFrame
}

// Reply answers with a result, which is encoded as JSON.
func (c ClientCommand) Reply(result any) { c.client.reply(c.frame, result) }

// Fail answers with an error: with its code and text if it is an *Error, else with
// its text and -32000.
func (c ClientCommand) Fail(err error) { c.client.fail(c.frame, err) }

// Refuse answers with an error of a JSON-RPC code, such as -32602 for wrong
// parameters.
func (c ClientCommand) Refuse(code int, message string) {
	c.client.fail(c.frame, &Error{Code: code, Message: message})
}

// Emit sends the client an event of a domain of ClientOptions.Domains. It returns
// an error when the client has no such session.
func (r *RawConn) Emit(sessionID, method string, params any) error {
	if r.session(sessionID) == nil {
		return errNoSession()
	}
	text, err := jsonv2.Marshal(params, wireOptions)
	if err != nil {
		return err
	}
	r.put(eventFrame(method, text, sessionID))
	return nil
}

func eventFrame(method string, params []byte, sessionID string) []byte {
	b := make([]byte, 0, len(method)+len(params)+96)
	b = append(b, eventHead...)
	b = append(b, method...)
	b = append(b, '"')
	if len(params) > 0 {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	return appendSession(b, sessionID)
}

// event passes on an event of one of the client's sessions, unless it is about
// what the client must not see. It runs on the connection's reader.
func (r *RawConn) event(s *clientSession, method string, params []byte) {
	if r.tell(s, method, params) {
		r.put(eventFrame(method, params, s.id))
	}
}

// tell keeps the books on the client's sessions and targets and reports whether
// the client is told of an event.
func (r *RawConn) tell(s *clientSession, method string, params []byte) bool {
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
		maps.DeleteFunc(r.sessions, func(_ string, s *clientSession) bool { return s.Err() != nil })
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
		if r.created[ev.TargetInfo.OpenerID] {
			r.created[ev.TargetInfo.TargetID] = true // a pop-up goes with its page
		}
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
	case "Tracing.dataCollected", "Tracing.tracingComplete", "Tracing.bufferUsage":
		r.traced(method, params)
		return false
	}
	// What Chromium tells of itself is not for a client of one session.
	return !s.isBrowser() || strings.HasPrefix(method, "Target.") || strings.HasPrefix(method, "Browser.")
}

// attachedTo takes a new session of the client, or lets go of a foreign target
// that Chromium attached because auto-attach knows no contexts.
func (r *RawConn) attachedTo(parent *clientSession, id string, info TargetInfo) bool {
	s := &clientSession{Session: r.tree.conn.attached(parent.Session, id), id: id, kind: info.Type, targetID: info.TargetID}
	// The browser itself is attached to when the client asks for it only.
	if parent.isBrowser() && !s.isBrowser() && !r.sees(info) {
		r.tree.conn.Send(
			Command{Session: s.Session, Method: "Runtime.runIfWaitingForDebugger"},
			Command{Session: parent.Session, Method: "Target.detachFromTarget", Params: map[string]string{"sessionId": id}},
		)
		return false
	}
	r.own(s)
	r.mu.Lock()
	r.sessions[id] = s
	ignores := r.ignoresCertificates
	r.mu.Unlock()
	if ignores && info.Type == TargetPage {
		r.tree.conn.Send(ignoreCertificates(s.Session, true))
	}
	return true
}

// sees reports whether a target belongs to the client.
func (r *RawConn) sees(info TargetInfo) bool {
	if r.tree.isHidden(info) {
		return false
	}
	if info.Type == TargetBrowser {
		return info.TargetID == r.browserID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.contexts[info.BrowserContextID]
}

// hasPage reports whether a client has the domain Page on in a target, and with it
// the target's dialogs.
func (r *RawConn) hasPage(targetID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.home.hasPage && r.home.targetID == targetID {
		return true
	}
	for _, s := range r.sessions {
		if s.hasPage && s.targetID == targetID && s.Err() == nil {
			return true
		}
	}
	return false
}

// ClientHasPage reports whether a virtual client has the domain Page on in a page:
// it is told of the page's dialogs and can answer them.
func (t *Target) ClientHasPage() bool {
	t.tree.mu.Lock()
	clients := slices.Collect(maps.Keys(t.tree.clients))
	t.tree.mu.Unlock()
	return slices.ContainsFunc(clients, func(r *RawConn) bool { return r.hasPage(t.ID()) })
}

// Close ends the client: its sessions are detached, the pages and the contexts
// that it made are closed.
func (r *RawConn) Close() error {
	r.end(ErrClosed)
	return nil
}

// end is Close for a reason. It does not wait.
func (r *RawConn) end(cause error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	created, contexts := maps.Clone(r.created), maps.Clone(r.contexts)
	r.streams = nil
	r.mu.Unlock()
	r.tree.mu.Lock()
	delete(r.tree.clients, r)
	r.tree.mu.Unlock()
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
	r.out.end(cause)
	close(r.done)
}
