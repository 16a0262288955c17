package cdp

import (
	"context"
	"slices"
	"sync"
)

// TargetInfo is what the browser says of a target.
type TargetInfo struct {
	TargetID         string `json:"targetId"`
	Type             string `json:"type"`
	Subtype          string `json:"subtype,omitzero"`
	Title            string `json:"title"`
	URL              string `json:"url"`
	Attached         bool   `json:"attached"`
	OpenerID         string `json:"openerId,omitzero"`
	OpenerFrameID    string `json:"openerFrameId,omitzero"`
	ParentFrameID    string `json:"parentFrameId,omitzero"`
	CanAccessOpener  bool   `json:"canAccessOpener"`
	BrowserContextID string `json:"browserContextId,omitzero"`
}

// Types of targets.
const (
	TargetPage          = "page"
	TargetIFrame        = "iframe" // a frame in a process of its own
	TargetWorker        = "worker"
	TargetSharedWorker  = "shared_worker"
	TargetServiceWorker = "service_worker"
	TargetBrowser       = "browser" // not in a Tree: see BrowserTarget
)

// Target is something in the browser that runs code and that the connection is
// attached to: a page, a cross-process frame or a worker.
type Target struct {
	// Session is the connection's session with the target.
	Session *Session
	// Parent is the target that this one belongs to: the page of a frame or of
	// a dedicated worker. It is nil for what stands for itself.
	Parent *Target

	tree  *Tree
	ready chan struct{}

	mu       sync.Mutex
	info     TargetInfo
	frames   *frames // of the page, shared with its frame targets
	renderer rendererLife
}

// rendererLife is the life of one renderer process.
type rendererLife struct {
	context.Context
	end context.CancelCauseFunc
}

func newRendererLife() rendererLife {
	ctx, end := context.WithCancelCause(context.Background())
	return rendererLife{ctx, end}
}

// BrowserTarget is the browser itself as a member of an Interception: requests of
// all its pages and workers arrive there, the main scripts of service workers
// among them, and before they arrive on their targets. Pages are seen from their
// first navigation on after the domain was switched on.
func BrowserTarget(c *Conn) *Target {
	return &Target{Session: c.Root(), info: TargetInfo{Type: TargetBrowser}, renderer: newRendererLife()}
}

// HiddenTarget is a hidden page as a member of an Interception, for what it does
// on behalf of a session.
func HiddenTarget(s *Session) *Target {
	return &Target{Session: s, ready: make(chan struct{}), info: TargetInfo{Type: TargetPage}, frames: newFrames(), renderer: newRendererLife()}
}

// ID is the target's id. The id of a page is that of its main frame, the id of
// a frame target that of its frame.
func (t *Target) ID() string { return t.info.TargetID }

// Type is one of the types of targets.
func (t *Target) Type() string { return t.info.Type }

// BrowserContextID is the browser context that the target belongs to.
func (t *Target) BrowserContextID() string { return t.info.BrowserContextID }

// Info is what the browser last said of the target.
func (t *Target) Info() TargetInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info
}

// Renderer ends when the process that runs the target crashes; its cause is
// ErrCrashed. After the target was loaded again, in a new process, Renderer
// returns the life of that one. A call that a crashed process should answer is
// never answered: whoever waits for one waits for this too.
func (t *Target) Renderer() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.renderer
}

func (t *Target) crash() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renderer.end(ErrCrashed)
}

func (t *Target) revive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.renderer.Err() != nil {
		t.renderer = newRendererLife()
	}
}

// Page is the page that the target is or belongs to, nil for shared and service
// workers.
func (t *Target) Page() *Target {
	for t.Parent != nil {
		t = t.Parent
	}
	if t.info.Type != TargetPage {
		return nil
	}
	return t
}

// Ready is closed when every command of the target's set-up has been answered.
func (t *Target) Ready() <-chan struct{} { return t.ready }

// HasFrames reports whether the target shows documents: it has the domains Page
// and Fetch, and frames.
func (t *Target) HasFrames() bool {
	return t.info.Type == TargetPage || t.info.Type == TargetIFrame
}

// Frames are the frames of a page, cross-process ones included, parents before
// children. It is nil for workers.
func (t *Target) Frames() []Frame {
	if t.frames == nil {
		return nil
	}
	return t.frames.list()
}

// Frame is the frame with the id in the target's page.
func (t *Target) Frame(id string) (Frame, bool) {
	if t.frames == nil {
		return Frame{}, false
	}
	return t.frames.get(id)
}

// Frame is one frame of a page.
type Frame struct {
	// ID is the frame's id, and its target's if it has one of its own.
	ID string
	// ParentID is empty for the main frame.
	ParentID string
	// LoaderID changes with each document.
	LoaderID string
	Name     string
	URL      string
	// Origin is the security origin, such as "https://example.test", or "null".
	Origin string
	// Target is where the frame's document runs.
	Target *Target
}

// frames is the frame tree of one page.
type frames struct {
	mu   sync.Mutex
	byID map[string]*Frame
	ids  []string // in the order in which they came
}

func newFrames() *frames { return &frames{byID: map[string]*Frame{}} }

// list gives parents before their children. A cross-process frame can be known
// before its parent is.
func (f *frames) list() []Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Frame, 0, len(f.ids))
	listed := make(map[string]bool, len(f.ids))
	var add func(id string)
	add = func(id string) {
		frame := f.byID[id]
		if frame == nil || listed[id] {
			return
		}
		listed[id] = true
		add(frame.ParentID)
		out = append(out, *frame)
	}
	for _, id := range f.ids {
		add(id)
	}
	return out
}

func (f *frames) get(id string) (Frame, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if frame := f.byID[id]; frame != nil {
		return *frame, true
	}
	return Frame{}, false
}

// update changes the frame with the id, adding it where it is new.
func (f *frames) update(id string, change func(*Frame)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	frame := f.byID[id]
	if frame == nil {
		frame = &Frame{ID: id}
		f.byID[id] = frame
		f.ids = append(f.ids, id)
	}
	change(frame)
}

// remove forgets a frame and all below it.
func (f *frames) remove(id string) { f.forget(id, true) }

// removeBelow forgets all frames below a frame.
func (f *frames) removeBelow(id string) { f.forget(id, false) }

func (f *frames) forget(id string, itself bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := map[string]bool{id: true}
	for grown := true; grown; {
		grown = false
		for _, other := range f.ids {
			if !gone[other] && gone[f.byID[other].ParentID] {
				gone[other], grown = true, true
			}
		}
	}
	if !itself {
		delete(gone, id)
	}
	f.ids = slices.DeleteFunc(f.ids, func(other string) bool { return gone[other] })
	for other := range gone {
		delete(f.byID, other)
	}
}
