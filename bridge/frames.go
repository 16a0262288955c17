package bridge

import (
	"context"
	"fmt"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Frame is a frame of a page, as it was when it was asked for: Electron's
// WebFrameMain.
type Frame struct {
	// ID is the frame's id in the protocol; the main frame's is the page's.
	ID string
	// ParentID is empty for the main frame.
	ParentID string
	// Name is the name attribute of the frame's element.
	Name string
	// URL is the address of its document.
	URL string
	// Origin is its security origin, such as "https://example.test", or
	// "null".
	Origin string

	page   *WebContents
	target *cdp.Target
}

// Frames are the frames of the page, those of other sites included, parents
// before children. The first is the main frame.
func (w *WebContents) Frames() []*Frame {
	var out []*Frame
	for _, f := range w.target.Frames() {
		out = append(out, &Frame{ID: f.ID, ParentID: f.ParentID, Name: f.Name, URL: f.URL, Origin: f.Origin, page: w, target: f.Target})
	}
	return out
}

// MainFrame is the page's main frame.
func (w *WebContents) MainFrame() *Frame { return w.Frames()[0] }

// Page is the page of the frame.
func (f *Frame) Page() *WebContents { return f.page }

func (f *Frame) evaluate(ctx context.Context, params evaluateParams) (jsonv2.Value, error) {
	if f.target == nil {
		return nil, fmt.Errorf("frame %s: %w", f.ID, cdp.ErrDetached)
	}
	if f.ID != f.target.ID() { // it shares a session with frames above it
		id, err := f.page.contexts.of(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("frame %s: %w", f.ID, f.page.explain(err))
		}
		params.ContextID = id
	}
	return f.page.evaluateOn(ctx, f.target.Session, params)
}

// contexts knows the JavaScript context of each frame that shares a session
// with others. Watching them begins with the first question.
type contexts struct {
	mu       sync.Mutex
	watching map[*cdp.Session]bool
	byFrame  map[string]int
	changed  chan struct{} // closed and renewed with every change
}

// of returns the context of a frame's own world, waiting for a document that is
// on its way.
func (c *contexts) of(ctx context.Context, f *Frame) (int, error) {
	c.watch(f.page, f.target.Session)
	for {
		c.mu.Lock()
		id, changed := c.byFrame[f.ID], c.changed
		c.mu.Unlock()
		if id != 0 {
			return id, nil
		}
		if _, ok := f.target.Frame(f.ID); !ok {
			return 0, cdp.ErrDetached
		}
		select {
		case <-changed:
		case <-f.target.Session.Done():
			return 0, f.target.Session.Err()
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// watch switches the domain Runtime on in a session and begins to follow its
// contexts. The browser tells of those that exist when it is switched on, and
// never again: nobody else may switch it on first.
func (c *contexts) watch(page *WebContents, s *cdp.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching == nil {
		c.watching, c.byFrame, c.changed = map[*cdp.Session]bool{}, map[string]int{}, make(chan struct{})
	}
	if c.watching[s] {
		return
	}
	c.watching[s] = true
	events := s.Events(page.life, cdp.QueueOptions{}, "Runtime.executionContextCreated", "Runtime.executionContextDestroyed", "Runtime.executionContextsCleared")
	s.Conn().Send(cdp.Command{Session: s, Method: "Runtime.enable"})
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			c.note(e)
		}
	}()
}

func (c *contexts) note(e cdp.Event) {
	var ev struct {
		Context struct {
			ID      int `json:"id"`
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
		if ev.Context.AuxData.IsDefault {
			c.byFrame[ev.Context.AuxData.FrameID] = ev.Context.ID
		}
	case "Runtime.executionContextDestroyed":
		for frame, id := range c.byFrame {
			if id == ev.ExecutionContextID {
				delete(c.byFrame, frame)
			}
		}
	case "Runtime.executionContextsCleared":
		clear(c.byFrame)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// clear forgets the contexts of a renderer that has crashed.
func (c *contexts) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byFrame)
}
