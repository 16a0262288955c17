package cdp

import (
	"context"
	"fmt"
	"sync"
	"time"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// hiddenIdle is how long a hidden page stays after its last use.
const hiddenIdle = 10 * time.Second

type hiddenKey struct{ context, url string }

// HiddenPages are pages that the bridge opens for itself, for what Chromium
// offers on its chrome:// pages only. There is at most one for each context and
// address; it opens when it is needed and closes after a little idle time. No
// list shows them.
type HiddenPages struct {
	tree *Tree
	life context.Context
	idle time.Duration

	mu    sync.Mutex
	pages map[hiddenKey]*hiddenPage
}

// NewHiddenPages returns the hidden pages of a browser. They close when life
// ends.
func NewHiddenPages(life context.Context, tree *Tree) *HiddenPages {
	return &HiddenPages{tree: tree, life: life, idle: hiddenIdle, pages: map[hiddenKey]*hiddenPage{}}
}

// hiddenPage is one of them. Its mutex is held while it is used.
type hiddenPage struct {
	mu       sync.Mutex
	session  *Session // nil until it is open
	targetID string
	users    int // waiting or using; guarded by HiddenPages.mu
	timer    *time.Timer
}

// Use calls f with the session of the hidden page at url in a browser context
// ("" is the default one), opening it where it is not open. One caller at a
// time uses a page.
func (h *HiddenPages) Use(ctx context.Context, browserContext, url string, f func(ctx context.Context, s *Session) error) error {
	key := hiddenKey{browserContext, url}
	p := h.hold(key)
	defer h.release(key, p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session == nil || p.session.Err() != nil {
		if err := h.open(ctx, key, p); err != nil {
			return fmt.Errorf("opening %s: %w", url, err)
		}
	}
	return f(ctx, p.session)
}

func (h *HiddenPages) hold(key hiddenKey) *hiddenPage {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pages[key]
	if p == nil {
		p = &hiddenPage{}
		h.pages[key] = p
	}
	p.users++
	if p.timer != nil {
		p.timer.Stop()
	}
	return p
}

// release starts the idle time when nobody uses the page any more.
func (h *HiddenPages) release(key hiddenKey, p *hiddenPage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.users--; p.users > 0 {
		return
	}
	p.timer = time.AfterFunc(h.idle, func() { h.closeIdle(key, p) })
}

func (h *HiddenPages) closeIdle(key hiddenKey, p *hiddenPage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.users > 0 || h.pages[key] != p {
		return
	}
	delete(h.pages, key)
	if p.session != nil {
		h.tree.conn.Send(Command{Session: h.tree.conn.Root(), Method: "Target.closeTarget", Params: map[string]string{"targetId": p.targetID}})
	}
}

// CloseContext closes the hidden pages of a browser context that is about to
// end: disposing of a context leaves hidden targets alive.
func (h *HiddenPages) CloseContext(browserContext string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, p := range h.pages {
		if key.context != browserContext {
			continue
		}
		delete(h.pages, key)
		if p.timer != nil {
			p.timer.Stop()
		}
		if p.targetID != "" {
			h.tree.conn.Send(Command{Session: h.tree.conn.Root(), Method: "Target.closeTarget", Params: map[string]string{"targetId": p.targetID}})
		}
	}
}

// open opens the page in the background: in a window of its own in front it
// would make the user's page hidden. Never with the parameter hidden, which
// crashes Chromium on chrome://settings.
func (h *HiddenPages) open(ctx context.Context, key hiddenKey, p *hiddenPage) error {
	root := h.tree.conn.Root()
	h.tree.expectHidden(key, 1)
	var created struct {
		TargetID string `json:"targetId"`
	}
	err := root.Call(ctx, "Target.createTarget", CreateTarget{URL: key.url, BrowserContextID: key.context, Background: true}, &created)
	h.tree.expectHidden(key, -1)
	if err != nil {
		return err
	}
	p.targetID, p.session = created.TargetID, h.tree.hiddenSession(created.TargetID)
	if p.session == nil {
		return ErrDetached
	}
	return waitLoaded(ctx, p.session)
}

// waitLoaded waits until a page's document is complete.
func waitLoaded(ctx context.Context, s *Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loads := s.Events(ctx, QueueOptions{}, "Page.loadEventFired")
	if err := s.Call(ctx, "Page.enable", nil, nil); err != nil {
		return err
	}
	var state struct {
		Result struct {
			Value jsonv2.Value `json:"value"`
		} `json:"result"`
	}
	err := s.Call(ctx, "Runtime.evaluate", map[string]any{"expression": "location.href !== 'about:blank' && document.readyState === 'complete'", "returnByValue": true}, &state)
	if err != nil {
		return err
	}
	if string(state.Result.Value) == "true" {
		return nil
	}
	for _, err := range loads {
		return err
	}
	return s.Err()
}

// expectHidden notes that a hidden page is being opened, or that it was.
func (tr *Tree) expectHidden(key hiddenKey, n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.hiding[key] += n; tr.hiding[key] == 0 {
		delete(tr.hiding, key)
	}
}

// claimHidden takes a new target that is a hidden page, and reports whether it
// is one.
func (tr *Tree) claimHidden(info TargetInfo, s *Session) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if info.Type != TargetPage || info.OpenerID != "" {
		return false
	}
	for key := range tr.hiding {
		if key.url == info.URL {
			tr.hidden[info.TargetID] = s
			return true
		}
	}
	return false
}

// hiddenSession is the session of a hidden page, nil for any other target.
func (tr *Tree) hiddenSession(targetID string) *Session {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.hidden[targetID]
}

// Hidden reports whether a target is a hidden page.
func (tr *Tree) Hidden(targetID string) bool { return tr.hiddenSession(targetID) != nil }
