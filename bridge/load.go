package bridge

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// WaitUntil says when a load counts as done.
type WaitUntil int

const (
	// WaitLoad waits for the document's load event. It is the default.
	WaitLoad WaitUntil = iota
	// WaitDOMContentLoaded waits until the document is parsed.
	WaitDOMContentLoaded
	// WaitCommit waits until the document has begun to arrive.
	WaitCommit
	// WaitNetworkIdle waits until the page had no request open for half a
	// second.
	WaitNetworkIdle
)

// lifecycleName is the name of the event of Page.lifecycleEvent.
func (u WaitUntil) lifecycleName() string {
	return [...]string{"load", "DOMContentLoaded", "init", "networkIdle"}[u]
}

// LoadOptions are the options of WebContents.LoadURL and its kin.
type LoadOptions struct {
	// WaitUntil says when the load counts as done: WaitLoad by default.
	WaitUntil WaitUntil
	// Referrer is sent with the request; empty sends none.
	Referrer string
	// IgnoreCache is for Reload: everything is asked for again.
	IgnoreCache bool
}

// LoadURL navigates the page and waits. It returns a *LoadError when there is no
// document, which a download also causes (net::ERR_ABORTED). A status like 404
// is a document. Navigations that the new document itself starts before it is
// done are followed.
func (w *WebContents) LoadURL(ctx context.Context, url string, o LoadOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := w.progress(ctx)
	params := map[string]string{"url": url}
	if o.Referrer != "" {
		params["referrer"] = o.Referrer
	}
	var r struct {
		LoaderID  string `json:"loaderId"`
		ErrorText string `json:"errorText"`
	}
	if err := w.call(ctx, "Page.navigate", params, &r); err != nil {
		return fmt.Errorf("loading %s: %w", url, err)
	}
	if r.ErrorText != "" {
		return &LoadError{URL: url, Code: r.ErrorText}
	}
	w.revived()
	if r.LoaderID == "" { // within the document
		return nil
	}
	return w.await(ctx, progress, url, r.LoaderID, o.WaitUntil)
}

// LoadFile loads a local file. Chromium reads it with its own rights, which are
// those of an unprivileged user when the bridge runs as root.
func (w *WebContents) LoadFile(ctx context.Context, path string, o LoadOptions) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return w.LoadURL(ctx, (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), o)
}

// LoadHTML replaces the page's document by html. The address stays what it is,
// and with it the origin.
func (w *WebContents) LoadHTML(ctx context.Context, html string, o LoadOptions) error {
	// A document that is written has no lifecycle events of its own: its load
	// is waited for in the page.
	err := w.renderer(ctx, w.target.Session, "Page.setDocumentContent", map[string]string{"frameId": w.ID(), "html": html}, nil)
	if err != nil {
		return fmt.Errorf("loading HTML: %w", err)
	}
	if o.WaitUntil == WaitCommit {
		return nil
	}
	_, err = Evaluate[bool](ctx, w, loadedJS)
	return err
}

// loadedJS resolves when the document is complete.
const loadedJS = `document.readyState === 'complete' || new Promise(done => addEventListener('load', () => done(true), {once: true}))`

// Reload loads the page's document again and waits. It brings a crashed page
// back.
func (w *WebContents) Reload(ctx context.Context, o LoadOptions) error {
	return w.follow(ctx, "reloading "+w.URL(), o.WaitUntil, func(ctx context.Context) error {
		return w.call(ctx, "Page.reload", map[string]bool{"ignoreCache": o.IgnoreCache}, nil)
	})
}

// Stop ends what is being loaded.
func (w *WebContents) Stop(ctx context.Context) error {
	return w.call(ctx, "Page.stopLoading", nil, nil)
}

// HistoryEntry is one entry of a page's history.
type HistoryEntry struct {
	URL   string
	Title string
	id    int
}

// History returns the page's history, oldest first, and the index of the
// present entry.
func (w *WebContents) History(ctx context.Context) (entries []HistoryEntry, current int, err error) {
	var r struct {
		CurrentIndex int `json:"currentIndex"`
		Entries      []struct {
			ID    int    `json:"id"`
			URL   string `json:"url"`
			Title string `json:"title"`
		} `json:"entries"`
	}
	if err := w.call(ctx, "Page.getNavigationHistory", nil, &r); err != nil {
		return nil, 0, fmt.Errorf("reading the history: %w", err)
	}
	for _, e := range r.Entries {
		entries = append(entries, HistoryEntry{URL: e.URL, Title: e.Title, id: e.ID})
	}
	return entries, r.CurrentIndex, nil
}

// GoBack goes one entry back in the history and waits.
func (w *WebContents) GoBack(ctx context.Context, o LoadOptions) error {
	return w.GoToOffset(ctx, -1, o)
}

// GoForward goes one entry forward in the history and waits.
func (w *WebContents) GoForward(ctx context.Context, o LoadOptions) error {
	return w.GoToOffset(ctx, 1, o)
}

// GoToOffset goes to the entry of the history at an offset from the present one
// and waits. It returns an *InvalidArgumentError when there is no such entry.
func (w *WebContents) GoToOffset(ctx context.Context, offset int, o LoadOptions) error {
	entries, current, err := w.History(ctx)
	if err != nil {
		return err
	}
	at := current + offset
	if at < 0 || at >= len(entries) {
		return invalidArgument("the history has no entry at offset %d: it has %d entries and the present one is number %d", offset, len(entries), current+1)
	}
	if offset == 0 {
		return nil
	}
	return w.follow(ctx, "going to "+entries[at].URL, o.WaitUntil, func(ctx context.Context) error {
		return w.call(ctx, "Page.navigateToHistoryEntry", map[string]int{"entryId": entries[at].id}, nil)
	})
}

// pageProgress is one of the events by which a navigation is followed.
type pageProgress struct {
	FrameID  string `json:"frameId"`  // Page.lifecycleEvent, navigatedWithinDocument
	LoaderID string `json:"loaderId"` // Page.lifecycleEvent
	Name     string `json:"name"`     // Page.lifecycleEvent
	Type     string `json:"type"`     // Page.frameNavigated: Navigation or BackForwardCacheRestore
	Frame    struct {
		ID             string `json:"id"`
		ParentID       string `json:"parentId"`
		LoaderID       string `json:"loaderId"`
		UnreachableURL string `json:"unreachableUrl"`
	} `json:"frame"` // Page.frameNavigated
}

func (w *WebContents) progress(ctx context.Context) iter.Seq2[cdp.Event, error] {
	return w.target.Session.Events(ctx, cdp.QueueOptions{}, "Page.lifecycleEvent", "Page.frameNavigated", "Page.navigatedWithinDocument")
}

// follow starts a navigation whose loader is not told beforehand, and waits for
// it.
func (w *WebContents) follow(ctx context.Context, what string, until WaitUntil, start func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := w.progress(ctx)
	if err := start(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w.revived()
	return w.await(ctx, progress, what, "", until)
}

// await reads events until the main frame's document has come as far as asked.
// loader is empty when any new document counts. A document that navigates away
// while it loads hands over to the next.
func (w *WebContents) await(ctx context.Context, progress iter.Seq2[cdp.Event, error], what, loader string, until WaitUntil) error {
	var reached []string // what documents came to before they were known to be ours
	for e, err := range progress {
		if err != nil {
			return fmt.Errorf("%s: %w", what, w.explain(err))
		}
		var p pageProgress
		if err := jsonv2.Unmarshal(e.Params, &p); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		switch e.Method {
		case "Page.navigatedWithinDocument":
			if loader == "" && p.FrameID == w.ID() {
				return nil
			}
		case "Page.frameNavigated":
			if p.Frame.ParentID != "" || p.Frame.ID != w.ID() {
				continue
			}
			if p.Type == "BackForwardCacheRestore" {
				return nil
			}
			if p.Frame.UnreachableURL != "" {
				return &LoadError{URL: p.Frame.UnreachableURL, Code: "net::ERR_FAILED"}
			}
			loader = p.Frame.LoaderID
			if slices.Contains(reached, loader) || until == WaitCommit {
				return nil
			}
		case "Page.lifecycleEvent":
			if p.FrameID != w.ID() || p.Name != until.lifecycleName() {
				continue
			}
			if p.LoaderID == loader {
				return nil
			}
			reached = append(reached, p.LoaderID)
		}
	}
	return fmt.Errorf("%s: %w", what, w.explain(cdp.ErrDetached))
}
