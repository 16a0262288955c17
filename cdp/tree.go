package cdp

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Tree keeps track of the targets of a browser and gets hold of each before its
// first script runs.
//
// It attaches in page mode. The other mode of Chromium, by tabs, misses pop-ups
// that are opened with noopener. What is set up on a paused target is written
// together with its resume: a command that waits for the answer of another one
// never gets it on such a pop-up, since Page commands are answered after the
// resume only.
type Tree struct {
	conn    *Conn
	opts    TreeOptions
	methods map[string]clientMethod // for virtual clients

	mu      sync.Mutex
	clients map[*RawConn]bool
	targets map[string]*Target  // by session id
	hiding  map[hiddenKey]int   // hidden pages that are being opened
	hidden  map[string]*Session // of hidden pages, by target id; nil before it is attached
}

// TreeOptions say what to do with targets. The functions run on the
// connection's reader: they must not wait, and can send commands with
// Conn.Send.
type TreeOptions struct {
	// Adopt decides on a new target, which is paused. The commands that it
	// returns are written on the target's session before the resume. With keep
	// false the target is resumed and let go. Without Adopt all are kept.
	Adopt func(t *Target) (setup []Command, keep bool)
	// Restarted is told of an adopted service worker that had stopped and starts
	// again, and of a page whose renderer process died and that is loaded again.
	// A worker is paused; the commands are written before its resume. Domains
	// that were on, and what Chromium was told to override, still are.
	Restarted func(t *Target) []Command
	// Attached is told of each adopted target after its set-up was sent.
	Attached func(t *Target)
	// Gone is told of each adopted target that is detached: closed, or a frame
	// that moved into another process. It is not told when the connection ends.
	Gone func(t *Target)
	// Navigating is told where a frame of an adopted target is about to go, before
	// anything else of the navigation is known.
	Navigating func(t *Target, frameID, url string)
	// Downloading is told of a download that begins on a page or frame: an adopted
	// target, or nil on a hidden page.
	Downloading func(s *Session, t *Target, d Download)
	// Restored is told of a target whose document has come back from the back-forward
	// cache. It must not wait.
	Restored func(t *Target)
	// Crashed is told of a page whose renderer process died. The page remains
	// and can be loaded again.
	Crashed func(t *Target, status string, code int)
}

// NewTree starts a connection with a tree on it.
func NewTree(t Transport, o ConnOptions, to TreeOptions) *Tree {
	if to.Adopt == nil {
		to.Adopt = func(*Target) ([]Command, bool) { return nil, true }
	}
	tree := &Tree{conn: newConn(t, o), opts: to, methods: clientMethods(), clients: map[*RawConn]bool{}, targets: map[string]*Target{}, hiding: map[hiddenKey]int{}, hidden: map[string]*Session{}}
	tree.tapTargets()
	tree.tapFrames()
	tree.tapDownloads()
	tree.conn.start()
	return tree
}

// Conn is the tree's connection.
func (tr *Tree) Conn() *Conn { return tr.conn }

type targetFilter struct {
	Type    string `json:"type,omitzero"`
	Exclude bool   `json:"exclude,omitzero"`
}

type autoAttach struct {
	AutoAttach             bool           `json:"autoAttach"`
	WaitForDebuggerOnStart bool           `json:"waitForDebuggerOnStart"`
	Flatten                bool           `json:"flatten"`
	Filter                 []targetFilter `json:"filter"`
}

// browserFilter leaves out browser_ui: Chromium's own pop-up pages, of which
// each window has two.
func browserFilter() []targetFilter {
	return []targetFilter{{Type: TargetPage}, {Type: TargetServiceWorker}, {Type: TargetSharedWorker}, {Exclude: true}}
}

// childFilter leaves out service workers: they come from the browser already.
func childFilter() []targetFilter {
	return []targetFilter{{Type: TargetIFrame}, {Type: TargetWorker}, {Exclude: true}}
}

// Watch begins to attach. It returns when the browser has confirmed it.
func (tr *Tree) Watch(ctx context.Context) error {
	root := tr.conn.Root()
	err := root.Call(ctx, "Target.setDiscoverTargets", map[string]any{"discover": true, "filter": append([]targetFilter{{Type: TargetIFrame}, {Type: TargetWorker}}, browserFilter()...)}, nil)
	if err != nil {
		return err
	}
	return root.Call(ctx, "Target.setAutoAttach", autoAttach{true, true, true, browserFilter()}, nil)
}

// Targets are the adopted targets.
func (tr *Tree) Targets() []*Target {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	out := make([]*Target, 0, len(tr.targets))
	for _, t := range tr.targets {
		out = append(out, t)
	}
	return out
}

// Target is the adopted target with the id, or nil.
func (tr *Tree) Target(id string) *Target {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.targetByID(id)
}

func (tr *Tree) targetByID(id string) *Target {
	for _, t := range tr.targets {
		if t.info.TargetID == id {
			return t
		}
	}
	return nil
}

func (tr *Tree) bySession(s *Session) *Target {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.targets[s.id]
}

func (tr *Tree) tapTargets() {
	tr.conn.tap("Target.attachedToTarget", func(s *Session, params []byte) {
		var ev struct {
			SessionID          string     `json:"sessionId"`
			TargetInfo         TargetInfo `json:"targetInfo"`
			WaitingForDebugger bool       `json:"waitingForDebugger"`
		}
		// A session with the browser itself is a client's, made by NewClient.
		if tr.decode(params, &ev) && !s.virtual() && ev.SessionID != "" && ev.TargetInfo.Type != "browser" {
			tr.attached(s, ev.SessionID, ev.TargetInfo)
		}
	})
	tr.conn.tap("Target.detachedFromTarget", func(s *Session, params []byte) {
		var ev struct {
			SessionID string `json:"sessionId"`
		}
		if tr.decode(params, &ev) {
			tr.detached(ev.SessionID)
		}
	})
	tr.conn.tap("Target.targetInfoChanged", func(s *Session, params []byte) {
		var ev struct {
			TargetInfo TargetInfo `json:"targetInfo"`
		}
		if s == tr.conn.root && tr.decode(params, &ev) {
			tr.changed(ev.TargetInfo)
		}
	})
	tr.conn.tap("Target.targetCrashed", func(s *Session, params []byte) {
		var ev struct {
			TargetID  string `json:"targetId"`
			Status    string `json:"status"`
			ErrorCode int    `json:"errorCode"`
		}
		if s != tr.conn.root || !tr.decode(params, &ev) {
			return
		}
		if hidden := tr.hiddenSession(ev.TargetID); hidden != nil {
			tr.conn.failCalls(hidden, ErrCrashed)
			tr.closeTarget(ev.TargetID)
		}
		t := tr.Target(ev.TargetID)
		if t == nil {
			return
		}
		// A dead renderer answers nothing, and Chromium does not answer for it.
		t.crash()
		tr.conn.failCalls(t.Session, ErrCrashed)
		if tr.opts.Crashed != nil {
			tr.opts.Crashed(t, ev.Status, ev.ErrorCode)
		}
	})
	tr.conn.tap("Inspector.targetReloadedAfterCrash", func(s *Session, _ []byte) {
		if t := tr.bySession(s); t != nil {
			t.revive()
			tr.restarted(t)
		}
	})
	tr.conn.tap("Inspector.targetCrashed", func(s *Session, _ []byte) {
		// A service worker that stops. Of a page that crashes the browser tells too.
		if t := tr.bySession(s); t != nil && t.info.Type == TargetServiceWorker {
			t.crash()
			tr.conn.failCalls(s, ErrCrashed)
		}
	})
	tr.conn.tap("Target.targetDestroyed", func(s *Session, params []byte) {
		var ev struct {
			TargetID string `json:"targetId"`
		}
		if s == tr.conn.root && tr.decode(params, &ev) {
			tr.mu.Lock()
			delete(tr.hidden, ev.TargetID)
			tr.mu.Unlock()
		}
	})
}

func (tr *Tree) decode(params []byte, into any) bool {
	if err := jsonv2.Unmarshal(params, into, wireOptions); err != nil {
		tr.conn.malformed(params)
		return false
	}
	return true
}

// attached takes a target that the browser has attached and paused.
func (tr *Tree) attached(parent *Session, sessionID string, info TargetInfo) {
	if tr.bySession(&Session{id: sessionID}) != nil {
		return
	}
	t := &Target{Session: tr.conn.attached(parent, sessionID), Parent: tr.bySession(parent), tree: tr, info: info, ready: make(chan struct{}), renderer: newRendererLife()}
	if t.info.BrowserContextID == "" && t.Parent != nil {
		t.info.BrowserContextID = t.Parent.info.BrowserContextID
	}
	if tr.isHidden(info) {
		tr.setHiddenSession(info.TargetID, t.Session)
		tr.conn.Send(Command{Session: t.Session, Method: "Runtime.runIfWaitingForDebugger"})
		return
	}
	var setup []Command
	keep := false
	if parent == tr.conn.root || t.Parent != nil {
		t.joinFrames()
		tr.mu.Lock()
		tr.targets[sessionID] = t
		tr.mu.Unlock()
		setup, keep = tr.opts.Adopt(t)
	}
	if !keep {
		tr.letGo(parent, t)
		return
	}
	tr.setUp(t, setup)
	if tr.opts.Attached != nil {
		tr.opts.Attached(t)
	}
}

// joinFrames gives a page a frame tree, and a frame target its place in that of
// its page.
func (t *Target) joinFrames() {
	switch t.info.Type {
	case TargetPage:
		t.frames = newFrames()
		t.frames.update(t.info.TargetID, func(f *Frame) { f.URL, f.Target = t.info.URL, t })
	case TargetIFrame:
		if page := t.Page(); page != nil {
			t.frames = page.frames
			t.frames.update(t.info.TargetID, func(f *Frame) {
				f.Target = t
				if t.info.ParentFrameID != "" {
					f.ParentID = t.info.ParentFrameID
				}
			})
		}
	}
}

// setUp writes the set-up of a target and its resume in one go.
func (tr *Tree) setUp(t *Target, setup []Command) {
	var commands []Command
	if t.HasFrames() {
		commands = append(commands, Command{Method: "Page.enable"}, tr.askFrameTree(t))
	}
	if t.HasFrames() || t.info.Type == TargetWorker {
		commands = append(commands, Command{Method: "Target.setAutoAttach", Params: autoAttach{true, true, true, childFilter()}})
	}
	commands = append(commands, setup...)
	commands = append(commands, Command{Method: "Runtime.runIfWaitingForDebugger"})

	left := new(atomic.Int64)
	left.Store(int64(len(commands)))
	for i := range commands {
		done := commands[i].Done
		commands[i].Session = t.Session
		commands[i].Done = func(result jsonv2.Value, err error) {
			if done != nil {
				done(result, err)
			}
			if left.Add(-1) == 0 {
				close(t.ready)
			}
		}
	}
	tr.conn.Send(commands...)
}

// restarted sets a target up again. A service worker keeps its session while it
// is stopped, and is paused when it starts.
func (tr *Tree) restarted(t *Target) {
	var commands []Command
	if tr.opts.Restarted != nil {
		commands = tr.opts.Restarted(t)
	}
	if t.info.Type == TargetServiceWorker {
		commands = append(commands, Command{Method: "Runtime.runIfWaitingForDebugger"})
	}
	for i := range commands {
		commands[i].Session = t.Session
	}
	tr.conn.Send(commands...)
}

// letGo resumes a target that nobody wants and detaches from it at once: one
// that stays attached and forgotten stands still.
func (tr *Tree) letGo(parent *Session, t *Target) {
	tr.mu.Lock()
	delete(tr.targets, t.Session.id)
	tr.mu.Unlock()
	tr.conn.Send(
		Command{Session: t.Session, Method: "Runtime.runIfWaitingForDebugger"},
		Command{Session: parent, Method: "Target.detachFromTarget", Params: map[string]string{"sessionId": t.Session.id}},
	)
}

func (tr *Tree) detached(sessionID string) {
	for _, id := range tr.conn.detach(sessionID) {
		tr.mu.Lock()
		t := tr.targets[id]
		delete(tr.targets, id)
		tr.mu.Unlock()
		if t != nil && tr.opts.Gone != nil {
			tr.opts.Gone(t)
		}
	}
}

func (tr *Tree) changed(info TargetInfo) {
	t := tr.Target(info.TargetID)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.info.Title, t.info.URL = info.Title, info.URL
}

func (tr *Tree) tapFrames() {
	tapFrame := func(method string, handle func(t *Target, params []byte)) {
		tr.conn.tap(method, func(s *Session, params []byte) {
			if t := tr.bySession(s); t != nil && t.frames != nil {
				handle(t, params)
			}
		})
	}
	tapFrame("Page.frameAttached", func(t *Target, params []byte) {
		var ev struct {
			FrameID       string `json:"frameId"`
			ParentFrameID string `json:"parentFrameId"`
		}
		if tr.decode(params, &ev) {
			t.frames.update(ev.FrameID, func(f *Frame) { f.ParentID, f.Target = ev.ParentFrameID, t })
		}
	})
	tapFrame("Page.frameStartedNavigating", func(t *Target, params []byte) {
		var ev struct {
			FrameID string `json:"frameId"`
			URL     string `json:"url"`
		}
		if tr.opts.Navigating != nil && tr.decode(params, &ev) {
			tr.opts.Navigating(t, ev.FrameID, ev.URL)
		}
	})
	tapFrame("Page.frameNavigated", func(t *Target, params []byte) {
		var ev struct {
			Frame wireFrame `json:"frame"`
			Type  string    `json:"type"`
		}
		if !tr.decode(params, &ev) {
			return
		}
		// The frames of the old document go without a word when the new one is
		// in another process, and those of a restored one come without a word.
		t.frames.removeBelow(ev.Frame.ID)
		t.navigated(ev.Frame)
		if ev.Type == "BackForwardCacheRestore" {
			tr.conn.Send(tr.askFrameTree(t))
			if tr.opts.Restored != nil {
				tr.opts.Restored(t)
			}
		}
	})
	tapFrame("Page.navigatedWithinDocument", func(t *Target, params []byte) {
		var ev struct {
			FrameID string `json:"frameId"`
			URL     string `json:"url"`
		}
		if tr.decode(params, &ev) {
			t.frames.update(ev.FrameID, func(f *Frame) { f.URL = ev.URL })
		}
	})
	tapFrame("Page.frameDetached", func(t *Target, params []byte) {
		var ev struct {
			FrameID string `json:"frameId"`
			Reason  string `json:"reason"`
		}
		// A frame that is swapped out lives on in another process.
		if tr.decode(params, &ev) && ev.Reason != "swap" {
			t.frames.remove(ev.FrameID)
		}
	})
}

// Download is what Chromium says of a download that begins.
type Download struct {
	GUID              string `json:"guid"`
	FrameID           string `json:"frameId"`
	URL               string `json:"url"`
	SuggestedFilename string `json:"suggestedFilename"`
}

// tapDownloads tells of downloads before anything else is heard of them, and
// before a pop-up that was only there for one is gone.
func (tr *Tree) tapDownloads() {
	tr.conn.tap("Page.downloadWillBegin", func(s *Session, params []byte) {
		var d Download
		t := tr.bySession(s)
		if tr.opts.Downloading == nil || t == nil && !tr.isHiddenSession(s) || !tr.decode(params, &d) {
			return
		}
		tr.opts.Downloading(s, t, d)
	})
}

type wireFrame struct {
	ID             string `json:"id"`
	ParentID       string `json:"parentId"`
	LoaderID       string `json:"loaderId"`
	Name           string `json:"name"`
	URL            string `json:"url"`
	URLFragment    string `json:"urlFragment"`
	SecurityOrigin string `json:"securityOrigin"`
}

// navigated notes a frame's new document. The parent of a cross-process frame
// is known in the process of the parent only.
func (t *Target) navigated(w wireFrame) {
	t.frames.update(w.ID, func(f *Frame) {
		f.LoaderID, f.Name, f.URL, f.Origin, f.Target = w.LoaderID, w.Name, w.URL+w.URLFragment, w.SecurityOrigin, t
		if w.ParentID != "" {
			f.ParentID = w.ParentID
		}
		if f.Origin == "://" || f.Origin == "" {
			f.Origin = "null"
		}
	})
}

func (tr *Tree) askFrameTree(t *Target) Command {
	return Command{Session: t.Session, Method: "Page.getFrameTree", Done: func(result jsonv2.Value, err error) {
		if err == nil {
			tr.frameTree(t, result)
		}
	}}
}

func (tr *Tree) frameTree(t *Target, result jsonv2.Value) {
	type node struct {
		Frame       wireFrame `json:"frame"`
		ChildFrames []node    `json:"childFrames"`
	}
	var r struct {
		FrameTree node `json:"frameTree"`
	}
	if !tr.decode(result, &r) {
		return
	}
	var walk func(n node)
	walk = func(n node) {
		t.navigated(n.Frame)
		for _, child := range n.ChildFrames {
			walk(child)
		}
	}
	walk(r.FrameTree)
}

// CreateTarget opens a page in a browser context ("" is the default one) and
// returns it when it was adopted and its set-up has been answered. It opens
// about:blank, so that nothing is requested before the set-up holds. When it
// fails no page is left.
func (tr *Tree) CreateTarget(ctx context.Context, params CreateTarget) (*Target, error) {
	params.URL = "about:blank"
	id, err := tr.create(ctx, params, false)
	if err != nil {
		return nil, err
	}
	// The browser attaches before it answers.
	t := tr.Target(id)
	if t == nil {
		tr.closeTarget(id)
		return nil, fmt.Errorf("Target.createTarget: %w", ErrDetached)
	}
	select {
	case <-t.Ready():
		return t, nil
	case <-t.Session.Done():
		return nil, fmt.Errorf("Target.createTarget: %w", t.Session.Err())
	case <-ctx.Done():
		tr.closeTarget(id)
		return nil, context.Cause(ctx)
	}
}

// create opens a page and returns its id. A page whose caller has gone
// meanwhile is closed when the answer names it.
func (tr *Tree) create(ctx context.Context, params CreateTarget, hidden bool) (string, error) {
	key := hiddenKey{params.BrowserContextID, params.URL}
	if hidden {
		tr.expectHidden(key, 1)
	}
	type answer struct {
		id  string
		err error
	}
	answered := make(chan answer, 1)
	tr.conn.Send(Command{Session: tr.conn.Root(), Method: "Target.createTarget", Params: params, Done: func(result jsonv2.Value, err error) {
		if hidden {
			tr.expectHidden(key, -1)
		}
		var made struct {
			TargetID string `json:"targetId"`
		}
		if err == nil {
			err = jsonv2.Unmarshal(result, &made, wireOptions)
		}
		answered <- answer{made.TargetID, err}
	}})
	select {
	case a := <-answered:
		return a.id, a.err
	case <-ctx.Done():
		go func() { // until the answer, or the end of the connection
			if a := <-answered; a.err == nil {
				tr.closeTarget(a.id)
			}
		}()
		return "", fmt.Errorf("Target.createTarget: %w", context.Cause(ctx))
	}
}

func (tr *Tree) closeTarget(id string) {
	tr.conn.Send(Command{Session: tr.conn.Root(), Method: "Target.closeTarget", Params: map[string]string{"targetId": id}})
}

// CreateTarget are the parameters of Tree.CreateTarget.
type CreateTarget struct {
	URL              string `json:"url"`
	Left             int    `json:"left,omitzero"`
	Top              int    `json:"top,omitzero"`
	Width            int    `json:"width,omitzero"`
	Height           int    `json:"height,omitzero"`
	WindowState      string `json:"windowState,omitzero"`
	BrowserContextID string `json:"browserContextId,omitzero"`
	NewWindow        bool   `json:"newWindow,omitzero"`
	Background       bool   `json:"background,omitzero"`
	Focus            bool   `json:"focus,omitzero"`
}
