package bridge

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Frame is a frame of a page: Electron's WebFrameMain. Its fields are as they
// were when it was asked for; its methods work on the frame as it is now,
// wherever it has navigated to, and return ErrFrameGone when the page no longer
// has it.
type Frame struct {
	// ID is the frame's id in the protocol; the main frame's is the page's. It
	// stays when the frame navigates.
	ID string
	// ParentID is empty for the main frame.
	ParentID string
	// Name is the name attribute of the frame's element.
	Name string
	// URL is the address of its document.
	URL string
	// Origin is its security origin, such as "https://example.test", or
	// "null". Chromium does not tell of the attribute sandbox, which makes an
	// origin "null": the expression self.origin does.
	Origin string

	page *WebContents
}

// Frames are the frames of the page, those of other sites included, parents
// before children. The first is the main frame.
func (w *WebContents) Frames() []*Frame {
	var out []*Frame
	origins := map[string]string{}
	for _, f := range w.target.Frames() {
		if f.URL == "" || f.URL == "about:blank" || f.URL == "about:srcdoc" {
			if inherited, ok := origins[f.ParentID]; ok {
				f.Origin = inherited
			}
		}
		origins[f.ID] = f.Origin
		out = append(out, &Frame{ID: f.ID, ParentID: f.ParentID, Name: f.Name, URL: customURL(f.URL), Origin: customURL(f.Origin), page: w})
	}
	return out
}

// frame is the frame of the page with the id, nil if it is gone.
func (w *WebContents) frame(id string) *Frame {
	for _, f := range w.Frames() {
		if f.ID == id {
			return f
		}
	}
	return nil
}

// MainFrame is the page's main frame.
func (w *WebContents) MainFrame() *Frame { return w.Frames()[0] }

// Page is the page of the frame.
func (f *Frame) Page() *WebContents { return f.page }

// world waits for a document that is on its way.
func (f *Frame) world(ctx context.Context) (world, error) {
	now, ok := f.page.target.Frame(f.ID)
	if !ok || now.Target == nil {
		return world{}, fmt.Errorf("frame %s: %w", f.ID, ErrFrameGone)
	}
	in := world{page: f.page, target: now.Target}
	if f.ID == now.Target.ID() {
		return in, nil
	}
	if now.Target.Renderer().Err() != nil {
		return world{}, fmt.Errorf("frame %s: %w", f.ID, ErrRendererGone)
	}
	// It shares a session with frames above it.
	var err error
	if in.context, err = f.page.contexts.of(ctx, f.page, now); err != nil {
		return world{}, fmt.Errorf("frame %s: %w", f.ID, f.page.explain(err))
	}
	return in, nil
}

// contexts knows the JavaScript context of each frame that shares a session
// with others. Watching them begins with the first question.
type contexts struct {
	mu       sync.Mutex
	watching map[*cdp.Session]bool
	byFrame  map[string]frameContext
	worlds   map[frameContext]*worldContext
	changed  chan struct{} // closed and renewed with every change
}

// frameContext is a JavaScript context. Its number counts within the session.
type frameContext struct {
	session *cdp.Session
	id      int
}

// worldContext is the JavaScript context of an isolated world of the bridge's in a
// document.
type worldContext struct {
	target  *cdp.Target
	id      int
	name    string // of the world
	frameID string
	origin  string          // of the document, also of a blank one, which has its opener's
	life    context.Context // ends with the document
	end     context.CancelFunc

	requests, checks atomic.Int32 // about permissions that are not answered yet
}

// ownWorlds is what the names of the bridge's isolated worlds begin with.
const ownWorlds = "bridge-"

// of returns the context of a frame's own world, waiting for a document that is
// on its way.
func (c *contexts) of(ctx context.Context, page *WebContents, f cdp.Frame) (int, error) {
	c.watch(page, f.Target)
	for {
		c.mu.Lock()
		known, changed := c.byFrame[f.ID], c.changed
		c.mu.Unlock()
		if known.session == f.Target.Session {
			return known.id, nil
		}
		now, ok := page.target.Frame(f.ID)
		switch {
		case !ok:
			return 0, ErrFrameGone
		case now.Target != f.Target:
			return 0, ErrNavigated
		}
		select {
		case <-changed:
		case <-f.Target.Renderer().Done():
			return 0, cdp.ErrCrashed
		case <-f.Target.Session.Done():
			return 0, ErrFrameGone
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// watch begins to follow the contexts of a session.
func (c *contexts) watch(page *WebContents, t *cdp.Target) {
	t.Session.Conn().Send(c.begin(page, t)...)
}

// begin returns the command that switches the domain Runtime on in a session,
// whose contexts are followed from now on, and nothing if they are already. The
// browser tells of those that exist when it is switched on, and never again:
// nobody else may switch it on first.
func (c *contexts) begin(page *WebContents, t *cdp.Target) []cdp.Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching == nil {
		c.watching, c.byFrame, c.changed = map[*cdp.Session]bool{}, map[string]frameContext{}, make(chan struct{})
		c.worlds = map[frameContext]*worldContext{}
	}
	s := t.Session
	if c.watching[s] {
		return nil
	}
	c.watching[s] = true
	events := s.Events(page.life, cdp.QueueOptions{}, "Runtime.executionContextCreated", "Runtime.executionContextDestroyed", "Runtime.executionContextsCleared", "Runtime.bindingCalled", "Page.frameDetached")
	go c.follow(page, t, events)
	return []cdp.Command{{Session: s, Method: "Runtime.enable", Done: func(_ jsonv2.Value, err error) {
		if err == nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watching, s) // it crashed before: the next question begins again
	}}}
}

func (c *contexts) follow(page *WebContents, t *cdp.Target, events iter.Seq2[cdp.Event, error]) {
	s := t.Session
	for e, err := range events {
		if err != nil {
			break
		}
		if e.Method == "Runtime.bindingCalled" {
			c.called(page, t, e)
			continue
		}
		c.note(page, t, e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watching, s)
	c.forget(func(known frameContext) bool { return known.session == s })
}

func (c *contexts) note(page *WebContents, t *cdp.Target, e cdp.Event) {
	s := t.Session
	var ev struct {
		Context struct {
			ID      int    `json:"id"`
			Name    string `json:"name"`
			Origin  string `json:"origin"`
			AuxData struct {
				IsDefault bool   `json:"isDefault"`
				FrameID   string `json:"frameId"`
			} `json:"auxData"`
		} `json:"context"`
		ExecutionContextID int `json:"executionContextId"`
	}
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Method {
	case "Runtime.executionContextCreated":
		switch id := (frameContext{s, ev.Context.ID}); {
		case ev.Context.AuxData.IsDefault:
			c.byFrame[ev.Context.AuxData.FrameID] = id
		case strings.HasPrefix(ev.Context.Name, ownWorlds):
			life, end := context.WithCancel(page.life)
			c.worlds[id] = &worldContext{target: t, id: ev.Context.ID, name: ev.Context.Name, frameID: ev.Context.AuxData.FrameID, origin: ev.Context.Origin, life: life, end: end}
		}
	case "Runtime.executionContextDestroyed":
		c.forget(func(known frameContext) bool { return known == frameContext{s, ev.ExecutionContextID} })
	case "Runtime.executionContextsCleared":
		c.forget(func(known frameContext) bool { return known.session == s })
	}
	// A frame that is gone changes nothing here, and ends a wait.
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *contexts) forget(which func(frameContext) bool) {
	maps.DeleteFunc(c.byFrame, func(_ string, known frameContext) bool { return which(known) })
	maps.DeleteFunc(c.worlds, func(known frameContext, w *worldContext) bool {
		if which(known) {
			w.end()
		}
		return which(known)
	})
}

// crashed is told that the contexts of a page are gone with its process, of which
// Chromium does not tell.
func (c *contexts) crashed(t *cdp.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(func(known frameContext) bool { return known.session == t.Session })
}

// inWorld are the contexts of an isolated world in the documents of the page.
func (c *contexts) inWorld(name string) (all []*worldContext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.worlds {
		if w.name == name {
			all = append(all, w)
		}
	}
	return all
}

// originOf is the origin of a frame's document, as far as the bridge has a world in it.
// Chromium does not tell that of a blank document with the frame: it has its opener's.
func (c *contexts) originOf(frameID string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.worlds {
		if w.frameID == frameID && w.origin != "" && w.origin != "://" {
			return w.origin
		}
	}
	return "null"
}

// called hands on what a script says.
func (c *contexts) called(page *WebContents, t *cdp.Target, e cdp.Event) {
	call, ok := decodeBindingCall(e)
	if !ok {
		return
	}
	c.mu.Lock()
	from := c.worlds[frameContext{t.Session, call.ExecutionContextID}]
	c.mu.Unlock()
	page.session.hear(page, from, call)
}
