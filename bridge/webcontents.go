package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// WebContents is one page of a session: Electron's WebContents. It is safe for
// use by several goroutines.
type WebContents struct {
	session *Session
	target  *cdp.Target
	opener  *WebContents
	life    context.Context
	end     context.CancelFunc

	dialogHandler setter[func(context.Context, Dialog) DialogAnswer]
	popups        listeners[*WebContents]
	crashes       listeners[RenderProcessGone]
	titles        listeners[string]
	console       console
	contexts      contexts
	chromedp      chromedpContext

	mu      sync.Mutex
	closed  error // why it is gone
	crashed bool
}

func newWebContents(s *Session, t *cdp.Target, opener *WebContents) *WebContents {
	w := &WebContents{session: s, target: t, opener: opener}
	w.life, w.end = context.WithCancel(s.life)
	go w.answerDialogs(t.Session.Events(w.life, cdp.QueueOptions{}, "Page.javascriptDialogOpening"))
	return w
}

// setup is what a page needs before it runs, besides what the target tree does.
func (w *WebContents) setup() []cdp.Command {
	return []cdp.Command{
		{Method: "Page.setLifecycleEventsEnabled", Params: map[string]bool{"enabled": true}},
		// Every page behaves as if its window were in front, as pages of
		// windows of their own do in Electron.
		{Method: "Emulation.setFocusEmulationEnabled", Params: map[string]bool{"enabled": true}},
	}
}

// NewPage opens a page and waits until url has loaded ("" stays at
// about:blank). When loading fails the page is closed again and the error is
// that of WebContents.LoadURL.
func (s *Session) NewPage(ctx context.Context, url string) (*WebContents, error) {
	at, err := s.place(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a page: %w", err)
	}
	t, err := at.host.tree.CreateTarget(ctx, cdp.CreateTarget{BrowserContextID: at.param(), NewWindow: s.browser.opts.Headful})
	if err != nil {
		return nil, fmt.Errorf("opening a page: %w", s.explain(err))
	}
	page := s.page(t.ID())
	if page == nil {
		return nil, fmt.Errorf("opening a page: %w", ErrPageClosed)
	}
	if url == "" || url == "about:blank" {
		return page, nil
	}
	if err := page.LoadURL(ctx, url, LoadOptions{}); err != nil {
		page.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return page, nil
}

// NewPages returns an iterator over the pages that are opened in the session
// from now on, pop-ups included. It ends with ctx and with the session.
func (s *Session) NewPages(ctx context.Context) iter.Seq[*WebContents] {
	return s.pageListeners.listen(ctx, nil)
}

// ID is the page's id in the protocol: its target id, and its main frame's.
func (w *WebContents) ID() string { return w.target.ID() }

// Session is the session of the page.
func (w *WebContents) Session() *Session { return w.session }

// Opener is the page that opened this one, nil if none did or if it was opened
// with noopener.
func (w *WebContents) Opener() *WebContents { return w.opener }

// CDP is the page's session of the protocol. The typed commands and events of
// github.com/chromedp/cdproto work on it. Domains that are switched on or off
// there can disturb the bridge.
func (w *WebContents) CDP() *cdp.Session { return w.target.Session }

// URL is the address of the page's document.
func (w *WebContents) URL() string {
	if main, ok := w.target.Frame(w.ID()); ok {
		return main.URL
	}
	return w.target.Info().URL
}

// Title is the title of the page.
func (w *WebContents) Title(ctx context.Context) (string, error) {
	return Evaluate[string](ctx, w, "document.title")
}

// Titles returns an iterator over the titles that the page takes from now on:
// Electron's page-title-updated. It ends with ctx and with the page.
func (w *WebContents) Titles(ctx context.Context) iter.Seq[string] { return w.titles.listen(ctx, nil) }

// Popups returns an iterator over the pages that this page opens from now on. A
// pop-up belongs to the same session. Those opened with noopener come with
// Session.NewPages only. It ends with ctx and with the page.
func (w *WebContents) Popups(ctx context.Context) iter.Seq[*WebContents] {
	return w.popups.listen(ctx, nil)
}

// RenderProcessGone tells why a page's renderer process ended.
type RenderProcessGone struct {
	// Reason is Chromium's word, such as "crashed", "oom" or "killed".
	Reason string
	// ExitCode is the exit code, or the signal that ended the process.
	ExitCode int
}

// RenderProcessGone returns an iterator over the crashes of the page from now
// on: Electron's event render-process-gone. Calls on a crashed page fail with
// ErrRendererGone until it is loaded again. It ends with ctx and with the page.
func (w *WebContents) RenderProcessGone(ctx context.Context) iter.Seq[RenderProcessGone] {
	return w.crashes.listen(ctx, nil)
}

// IsCrashed reports whether the page's renderer process has crashed and was not
// replaced yet.
func (w *WebContents) IsCrashed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed
}

// Done is closed when the page is gone; Err then says why.
func (w *WebContents) Done() <-chan struct{} { return w.life.Done() }

// Err is nil while the page is open, then an error that is ErrPageClosed,
// ErrSessionClosed or ErrHostGone.
func (w *WebContents) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// Close closes the page without asking it (its beforeunload handlers do not
// run) and returns when it is gone. A page that is gone already is no error.
func (w *WebContents) Close(ctx context.Context) error {
	if w.Err() != nil {
		return nil
	}
	root := w.target.Session.Conn().Root()
	err := root.Call(ctx, "Target.closeTarget", map[string]string{"targetId": w.ID()}, nil)
	if err != nil && w.Err() == nil {
		return fmt.Errorf("closing the page: %w", w.explain(err))
	}
	select {
	case <-w.life.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the page: %w", context.Cause(ctx))
	}
}

// call sends a command to the page's session.
func (w *WebContents) call(ctx context.Context, method string, params, result any) error {
	return w.explain(w.target.Session.Call(ctx, method, params, result))
}

// explain puts the bridge's errors in the place of the connection's.
func (w *WebContents) explain(err error) error {
	if err == nil {
		return nil
	}
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	switch {
	case errors.Is(err, cdp.ErrCrashed):
		return fmt.Errorf("%w: %w", ErrRendererGone, err)
	case errors.Is(err, cdp.ErrDetached) && closed == nil, errors.Is(err, cdp.ErrDetached) && errors.Is(closed, ErrPageClosed):
		return fmt.Errorf("%w: %w", ErrPageClosed, err)
	case closed != nil && !errors.Is(err, closed):
		return fmt.Errorf("%w: %w", closed, err)
	}
	return err
}

// renderer is call for commands that the renderer process answers. A crashed
// one never does, and Chromium does not answer for it.
func (w *WebContents) renderer(ctx context.Context, s *cdp.Session, method string, params, result any) error {
	if w.IsCrashed() {
		return fmt.Errorf("%s: %w", method, ErrRendererGone)
	}
	if raw, ok := result.(*jsonv2.Value); ok { // as it came: it can be large
		body, err := s.CallRaw(ctx, method, params)
		*raw = body
		return w.explain(err)
	}
	return w.explain(s.Call(ctx, method, params, result))
}

// gone is told that the page is closed, for the reason.
func (w *WebContents) gone(reason error) {
	w.mu.Lock()
	if w.closed != nil {
		w.mu.Unlock()
		return
	}
	w.closed = reason
	w.mu.Unlock()
	w.end()
	w.popups.end()
	w.crashes.end()
	w.titles.end()
	w.console.messages.end()
}

func (w *WebContents) crash(r RenderProcessGone) {
	w.mu.Lock()
	w.crashed = true
	w.mu.Unlock()
	w.contexts.clear()
	w.crashes.tell(r)
}

// revived is told that the page has a document again.
func (w *WebContents) revived() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashed = false
}

func (w *WebContents) changed(before cdp.TargetInfo) {
	if now := w.target.Info(); now.Title != before.Title {
		w.titles.tell(now.Title)
	}
}
