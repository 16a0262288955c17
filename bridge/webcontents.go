package bridge

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

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
	watchTitles   sync.Once
	contexts      contexts
	capturing     turn // of the capture, by it or of it, that begins
	chromedp      chromedpContext
	loads         atomic.Uint64 // that were started by calls

	mu     sync.Mutex
	closed error // why it is gone
}

func newWebContents(s *Session, t *cdp.Target, opener *WebContents) *WebContents {
	w := &WebContents{session: s, target: t, opener: opener, capturing: newTurn()}
	w.life, w.end = context.WithCancel(s.life)
	go w.answerDialogs(t.Session.Events(w.life, cdp.QueueOptions{}, "Page.javascriptDialogOpening", "Page.javascriptDialogClosed"))
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
	page, err := s.blankPage(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening a page: %w", s.explain(err))
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

// blankPage opens a page. One whose caller has gone is closed when it comes.
func (s *Session) blankPage(ctx context.Context) (*WebContents, error) {
	at, err := s.place(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	opened, failed := make(chan *cdp.Target), make(chan error, 1)
	go func() {
		// Not with the caller's context: a page that comes late has to be closed.
		t, err := at.host.tree.CreateTarget(at.host.life, cdp.CreateTarget{BrowserContextID: at.param(), NewWindow: s.browser.opts.Headful})
		if err != nil {
			failed <- err
			return
		}
		select {
		case opened <- t:
		case <-ctx.Done():
			t.Session.Conn().Send(closeTarget(t))
		}
	}()
	select {
	case t := <-opened:
		if page := s.page(t.ID()); page != nil {
			return page, nil
		}
		return nil, ErrPageClosed
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func closeTarget(t *cdp.Target) cdp.Command {
	return cdp.Command{Session: t.Session.Conn().Root(), Method: "Target.closeTarget", Params: map[string]string{"targetId": t.ID()}}
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

// Opener is the page that opened this one, nil if none did. It knows of pages
// that were opened with noopener too, whose scripts do not.
func (w *WebContents) Opener() *WebContents { return w.opener }

// CDP is the page's session of the protocol. The typed commands and events of
// github.com/chromedp/cdproto work on it. Domains that are switched on or off
// there can disturb the bridge.
func (w *WebContents) CDP() *cdp.Session { return w.target.Session }

// URL is the address of the page's document.
func (w *WebContents) URL() string { return customURL(w.wireURL()) }

// wireURL is the address as Chromium knows it.
func (w *WebContents) wireURL() string {
	if main, ok := w.target.Frame(w.ID()); ok {
		return main.URL
	}
	return w.target.Info().URL
}

// Title is the title of the page.
func (w *WebContents) Title(ctx context.Context) (string, error) {
	return Evaluate[string](ctx, w, "document.title")
}

// LastTitle is the title that Chromium last told, which does not ask the page.
func (w *WebContents) LastTitle() string { return w.target.Info().Title }

//go:embed js/titles.js
var titlesJS string

// titlesWorld is the isolated world in which titlesJS runs.
const titlesWorld = "bridge-titles"

// Titles returns an iterator over the titles that the page takes from now on:
// Electron's page-title-updated. It ends with ctx and with the page.
//
// Chromium has no event for it. From the first call on, a script that the page
// cannot see watches its documents.
func (w *WebContents) Titles(ctx context.Context) iter.Seq[string] {
	s := w.CDP()
	called := s.Events(ctx, cdp.QueueOptions{Limit: listenerLimit, Overflow: cdp.DropOldest}, "Runtime.bindingCalled")
	w.watchTitles.Do(func() {
		w.contexts.watch(w, w.target) // Runtime.bindingCalled needs the domain
		s.Conn().Send(
			cdp.Command{Session: s, Method: "Runtime.addBinding", Params: map[string]string{"name": "bridgeTitle", "executionContextName": titlesWorld}},
			cdp.Command{Session: s, Method: "Page.addScriptToEvaluateOnNewDocument", Params: map[string]any{"source": titlesJS, "worldName": titlesWorld, "runImmediately": true}},
		)
	})
	return func(yield func(string) bool) {
		for e, err := range called {
			var ev struct {
				Name    string `json:"name"`
				Payload string `json:"payload"`
			}
			if err != nil || jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
				return
			}
			if ev.Name == "bridgeTitle" && !yield(ev.Payload) {
				return
			}
		}
	}
}

// Popups returns an iterator over the pages that this page opens from now on,
// with noopener too. A pop-up belongs to the same session. It ends with ctx and
// with the page.
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
func (w *WebContents) IsCrashed() bool { return w.target.Renderer().Err() != nil }

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
	ask := time.NewTicker(closeAgain)
	defer ask.Stop()
	for {
		closing := closeTarget(w.target)
		err := closing.Session.Call(ctx, closing.Method, closing.Params, nil)
		if err != nil && w.Err() == nil {
			return fmt.Errorf("closing the page: %w", w.explain(err))
		}
		select {
		case <-w.life.Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("closing the page: %w", context.Cause(ctx))
		case <-ask.C:
		}
	}
}

// closeAgain is how long a page has to close before it is asked again. Chromium
// forgets the wish when the page gets a new document at that moment
// (TestClose_WhileADocumentArrives shows it where it still does).
const closeAgain = time.Second

// call sends a command to the page's session.
func (w *WebContents) call(ctx context.Context, method string, params, result any) error {
	return w.explain(w.target.Session.Call(ctx, method, params, result))
}

// explain puts the bridge's errors in the place of the connection's.
func (w *WebContents) explain(err error) error {
	if err == nil {
		return nil
	}
	closed := w.Err()
	switch {
	case closed != nil && errors.Is(err, closed):
		return err
	case closed != nil:
		return fmt.Errorf("%w: %w", closed, err)
	case errors.Is(err, cdp.ErrCrashed):
		return fmt.Errorf("%w: %w", ErrRendererGone, err)
	case errors.Is(err, cdp.ErrDetached): // the page is told in a moment
		return fmt.Errorf("%w: %w", ErrPageClosed, err)
	}
	return err
}

// renderer is call for commands that the renderer process answers.
func (w *WebContents) renderer(ctx context.Context, method string, params, result any) error {
	return w.explain(callRenderer(ctx, w.target, method, params, result))
}

// callRenderer sends a command that the renderer process of a target answers.
// A *jsontext.Value for the result gets it as it came.
func callRenderer(ctx context.Context, t *cdp.Target, method string, params, result any) error {
	life := t.Renderer()
	if life.Err() != nil {
		// Not to be sent: Page.printToPDF on a crashed page ends Chromium.
		return fmt.Errorf("%s: %w", method, context.Cause(life))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
	if raw, ok := result.(*jsonv2.Value); ok {
		body, err := t.Session.CallRaw(ctx, method, params)
		*raw = body
		return err
	}
	return t.Session.Call(ctx, method, params, result)
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
}

func (w *WebContents) crash(r RenderProcessGone) { w.crashes.tell(r) }
