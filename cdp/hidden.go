package cdp

import (
	"context"
	"fmt"
	"net/url"
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
	h := &HiddenPages{tree: tree, life: life, idle: hiddenIdle, pages: map[hiddenKey]*hiddenPage{}}
	context.AfterFunc(life, func() { h.closeAll(func(hiddenKey) bool { return true }) })
	return h
}

// hiddenPage is one of them. HiddenPages.mu guards it.
type hiddenPage struct {
	turn     chan struct{} // holds a token while the page is used
	session  *Session      // nil until it is open
	targetID string
	users    int // waiting or using
	timer    *time.Timer
}

// Use calls f with the session of the hidden page at address in a browser
// context ("" is the default one), opening it where it is not open. One caller
// at a time uses a page.
func (h *HiddenPages) Use(ctx context.Context, browserContext, address string, f func(ctx context.Context, s *Session) error) error {
	if err := h.life.Err(); err != nil {
		return fmt.Errorf("opening %s: %w", address, context.Cause(h.life))
	}
	key := hiddenKey{browserContext, canonical(address)}
	p := h.hold(key)
	defer h.release(key, p)
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w", address, context.Cause(ctx))
	}
	defer func() { <-p.turn }()
	s := h.present(p)
	if s == nil {
		var err error
		if s, err = h.open(ctx, key, p); err != nil {
			return fmt.Errorf("opening %s: %w", address, err)
		}
	}
	return f(ctx, s)
}

// canonical is an address as Chromium writes it: chrome://version becomes
// chrome://version/.
func canonical(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Path != "" || u.Host == "" {
		return address
	}
	u.Path = "/"
	return u.String()
}

func (h *HiddenPages) hold(key hiddenKey) *hiddenPage {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pages[key]
	if p == nil {
		p = &hiddenPage{turn: make(chan struct{}, 1)}
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
	if p.users--; p.users > 0 || h.pages[key] != p {
		return
	}
	p.timer = time.AfterFunc(h.idle, func() { h.closeIdle(key, p) })
}

func (h *HiddenPages) closeIdle(key hiddenKey, p *hiddenPage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.users == 0 && h.pages[key] == p {
		h.close(key, p)
	}
}

// CloseContext closes the hidden pages of a browser context that is about to
// end: disposing of a context leaves hidden targets alive.
func (h *HiddenPages) CloseContext(browserContext string) {
	h.closeAll(func(key hiddenKey) bool { return key.context == browserContext })
}

func (h *HiddenPages) closeAll(which func(hiddenKey) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, p := range h.pages {
		if which(key) {
			h.close(key, p)
		}
	}
}

// close forgets a page. One that is being opened now is closed by open.
func (h *HiddenPages) close(key hiddenKey, p *hiddenPage) {
	delete(h.pages, key)
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.session != nil {
		h.tree.closeTarget(p.targetID)
	}
}

// present is the session of a page that is open, or nil.
func (h *HiddenPages) present(p *hiddenPage) *Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.session != nil && p.session.Err() != nil {
		p.session = nil
	}
	return p.session
}

// open opens the page in the background: in a window of its own in front it
// would make the user's page hidden. Never with the parameter hidden, which
// crashes Chromium on chrome://settings.
func (h *HiddenPages) open(ctx context.Context, key hiddenKey, p *hiddenPage) (*Session, error) {
	id, err := h.tree.create(ctx, CreateTarget{URL: key.url, BrowserContextID: key.context, Background: true}, true)
	if err != nil {
		return nil, err
	}
	s := h.tree.hiddenSession(id)
	if s == nil {
		return nil, ErrDetached
	}
	if err := waitLoaded(ctx, s); err != nil {
		h.tree.closeTarget(id)
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pages[key] != p {
		h.tree.closeTarget(id)
		return nil, ErrDetached
	}
	p.targetID, p.session = id, s
	return s, nil
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

// isHidden reports whether a target is a hidden page. It is known from the
// first that is heard of it, which is before its id has been answered: a client
// is told of a new target before the bridge is attached to it.
func (tr *Tree) isHidden(info TargetInfo) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if _, known := tr.hidden[info.TargetID]; known {
		return true
	}
	if info.Type != TargetPage || info.OpenerID != "" || tr.targetByID(info.TargetID) != nil {
		return false
	}
	for key := range tr.hiding {
		if key.url == info.URL && (key.context == "" || key.context == info.BrowserContextID) {
			tr.hidden[info.TargetID] = nil
			return true
		}
	}
	return false
}

func (tr *Tree) setHiddenSession(targetID string, s *Session) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.hidden[targetID] = s
}

// hiddenSession is the session of a hidden page, nil for any other target.
func (tr *Tree) hiddenSession(targetID string) *Session {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.hidden[targetID]
}

func (tr *Tree) isHiddenSession(s *Session) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, hidden := range tr.hidden {
		if hidden == s {
			return true
		}
	}
	return false
}

// Hidden reports whether a target is a hidden page.
func (tr *Tree) Hidden(targetID string) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	_, hidden := tr.hidden[targetID]
	return hidden
}
