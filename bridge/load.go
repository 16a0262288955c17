package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

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
	// WaitNetworkIdle waits until the main frame had no request open for half a
	// second. A fetch is open until its body has come, and Chromium may not take
	// one in that nobody reads.
	WaitNetworkIdle
)

// lifecycleNames are the names of the events of Page.lifecycleEvent.
var lifecycleNames = [...]string{WaitLoad: "load", WaitDOMContentLoaded: "DOMContentLoaded", WaitCommit: "", WaitNetworkIdle: "networkIdle"}

// LoadOptions are the options of WebContents.LoadURL and its kin.
type LoadOptions struct {
	// WaitUntil says when the load counts as done: WaitLoad by default.
	WaitUntil WaitUntil
	// Referrer is sent with the request; empty sends none. Chromium shortens it
	// as the policy strict-origin-when-cross-origin says.
	Referrer string
	// IgnoreCache is for Reload: everything is asked for again.
	IgnoreCache bool
	// PostData makes LoadURL a POST with this body. It is Electron's postData.
	PostData []byte
	// Headers are added to the request of LoadURL. With PostData, Content-Type is
	// application/x-www-form-urlencoded unless it is here. It is Electron's
	// extraHeaders.
	Headers http.Header
}

// LoadURL navigates the page and waits. It returns a *LoadError when there is no
// document: with Chromium's code for what went wrong, and net::ERR_ABORTED for a
// download, an answer 204, a beforeunload dialog whose answer was to stay, Stop,
// and when another load takes the place of this one. A status like 404 is a
// document, unless its body is empty (net::ERR_HTTP_RESPONSE_CODE_FAILURE).
//
// Navigations that the new document itself starts before it is done are
// followed: LoadURL returns when the last document is done.
//
// Chromium's own pages (chrome:) are refused in a session in memory that shares
// a process, with an *UnsupportedError: some of them end the whole process
// there.
func (w *WebContents) LoadURL(ctx context.Context, url string, o LoadOptions) error {
	if cdp.IsBrowserPage(url) && w.session.key.memory && !w.session.opts.OwnProcess {
		return &UnsupportedError{Feature: url, Reason: "Chromium's own pages can crash it in a session in memory", Instead: "use a persistent session, or PartitionOptions.OwnProcess"}
	}
	n := navigation{what: "loading " + url, until: o.WaitUntil}
	if o.PostData != nil || o.Headers != nil {
		defer w.changeNavigation(o)()
	}
	return w.navigate(ctx, &n, func(ctx context.Context) error {
		params := map[string]string{"url": w.session.protocol.wireURL(url)}
		if o.Referrer != "" {
			params["referrer"] = o.Referrer
		}
		var r struct {
			LoaderID  string `json:"loaderId"`
			ErrorText string `json:"errorText"`
		}
		err := w.call(ctx, "Page.navigate", params, &r)
		var refused *cdp.Error
		switch {
		case errors.As(err, &refused) && strings.Contains(refused.Message, "invalid URL"):
			return &LoadError{URL: url, Code: "net::ERR_INVALID_URL"}
		case err != nil:
			return err
		case r.ErrorText != "":
			n.failed = &LoadError{URL: url, Code: w.session.outlet.code(ctx, url, r.ErrorText)}
		}
		if r.LoaderID == "" && n.failed != nil {
			return n.failed
		}
		n.loader, n.sameDocument = r.LoaderID, r.LoaderID == ""
		return nil
	})
}

// changeNavigation gives the next navigation of the page the body and the headers
// of the options: the command for it takes none. It returns what ends that.
func (w *WebContents) changeNavigation(o LoadOptions) (end func()) {
	var first sync.Once
	return w.session.interception.Add(&cdp.Route{
		Target:   w.target,
		Order:    navigationOrder,
		Patterns: []cdp.Pattern{{ResourceType: document}},
		Handle: func(_ context.Context, p *cdp.PausedRequest) bool {
			if p.ResourceType == document && p.FrameID == w.ID() && !p.AtResponse() {
				first.Do(func() { o.change(p) })
			}
			return false
		},
	})
}

// navigationOrder lets listeners see the request as it is to be.
const navigationOrder = webRequestOrder - 1

func (o LoadOptions) change(p *cdp.PausedRequest) {
	headers := Headers(p.Request.Headers())
	if o.PostData != nil {
		p.ReplaceBody(http.MethodPost, o.PostData)
		headers.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range o.Headers {
		headers.Set(name, strings.Join(values, ", "))
	}
	p.ReplaceHeaders(headers)
}

// LoadFile loads a local file. Chromium reads it with its own rights, which are
// those of an unprivileged user when the bridge runs as root.
func (w *WebContents) LoadFile(ctx context.Context, path string, o LoadOptions) error {
	if path == "" {
		return invalidArgument("LoadFile takes the path of a file, not an empty one")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return w.LoadURL(ctx, (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String(), o)
}

// LoadHTML replaces the page's document by html and waits. The address stays
// what it is, and with it the origin.
func (w *WebContents) LoadHTML(ctx context.Context, html string, o LoadOptions) error {
	n := navigation{what: "loading HTML", until: o.WaitUntil, written: true}
	if main, ok := w.target.Frame(w.ID()); ok {
		n.loader = main.LoaderID
	}
	return w.navigate(ctx, &n, func(ctx context.Context) error {
		return w.renderer(ctx, "Page.setDocumentContent", map[string]string{"frameId": w.ID(), "html": html}, nil)
	})
}

// Reload loads the page's document again and waits, with the errors of LoadURL.
// It brings a crashed page back. A document that was the answer of a POST is
// posted again.
func (w *WebContents) Reload(ctx context.Context, o LoadOptions) error {
	n := navigation{what: "reloading " + w.URL(), until: o.WaitUntil}
	return w.navigate(ctx, &n, func(ctx context.Context) error {
		return w.call(ctx, "Page.reload", map[string]bool{"ignoreCache": o.IgnoreCache}, nil)
	})
}

// Stop ends what is being loaded. Whoever waits for that gets a *LoadError with
// net::ERR_ABORTED.
func (w *WebContents) Stop(ctx context.Context) error {
	for {
		err := w.call(ctx, "Page.stopLoading", nil, nil)
		var refused *cdp.Error
		if !errors.As(err, &refused) || !strings.Contains(refused.Message, notActive) {
			return err
		}
		select {
		case <-time.After(lookAgain):
		case <-w.life.Done():
			return w.Err()
		case <-ctx.Done():
			return fmt.Errorf("stopping: %w", context.Cause(ctx))
		}
	}
}

// notActive is Chromium's answer in the moment in which a page changes over to
// another process.
const notActive = "Not attached to an active page"

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
		entries = append(entries, HistoryEntry{URL: customURL(e.URL), Title: e.Title, id: e.ID})
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
// and waits, with the errors of LoadURL. It returns an *InvalidArgumentError
// when there is no such entry.
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
	n := navigation{what: "going to " + entries[at].URL, until: o.WaitUntil, entry: entries[at].id}
	return w.navigate(ctx, &n, func(ctx context.Context) error {
		return w.call(ctx, "Page.navigateToHistoryEntry", map[string]int{"entryId": entries[at].id}, nil)
	})
}

// navigation is one load that a call has started, as far as the events have
// told of it.
type navigation struct {
	what  string // for people
	until WaitUntil

	page         *WebContents
	number       uint64     // of page.loads
	loader       string     // of the document that is waited for; empty until it is known
	url          string     // what that document is loaded from
	failed       *LoadError // what Chromium has said already
	entry        int        // of the history, for a navigation in it
	written      bool       // LoadHTML: the document stays and gets new content
	idle         *writtenIdle
	sameDocument bool // the document stays and gets another address
	started      bool
	committed    bool            // the document has begun to arrive
	leaving      bool            // the document has asked for another one
	reached      map[string]bool // the lifecycle events of the documents, by loader and name
}

// navigate starts a load and waits until it is done.
func (w *WebContents) navigate(ctx context.Context, n *navigation, start func(context.Context) error) error {
	if n.until < 0 || int(n.until) >= len(lifecycleNames) {
		return invalidArgument("%d is no WaitUntil", n.until)
	}
	n.page, n.number, n.reached = w, w.loads.Add(1), map[string]bool{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if n.written && n.until == WaitNetworkIdle {
		var end func()
		ctx, end = n.watchIdle(ctx)
		defer end()
	}
	progress := n.progress(ctx)
	err := start(ctx)
	if err == nil {
		err = n.follow(ctx, progress)
	}
	var failed *LoadError
	if err == nil || errors.As(err, &failed) {
		return err
	}
	return fmt.Errorf("%s: %w", n.what, err)
}

// progress is the events by which a navigation is followed.
func (n *navigation) progress(ctx context.Context) iter.Seq2[cdp.Event, error] {
	methods := []string{"Page.frameStartedNavigating", "Page.frameRequestedNavigation", "Page.frameNavigated", "Page.navigatedWithinDocument",
		"Page.lifecycleEvent", "Page.frameStoppedLoading", "Inspector.targetCrashed"}
	if n.idle != nil {
		methods = append(methods, "Network.requestWillBeSent", "Network.loadingFinished", "Network.loadingFailed")
	}
	return n.page.target.Session.Events(ctx, cdp.QueueOptions{}, methods...)
}

// pageProgress is one of those events.
type pageProgress struct {
	FrameID        string `json:"frameId"`
	LoaderID       string `json:"loaderId"`       // of frameStartedNavigating and lifecycleEvent
	URL            string `json:"url"`            // of frameStartedNavigating
	NavigationType string `json:"navigationType"` // of frameStartedNavigating
	Disposition    string `json:"disposition"`    // of frameRequestedNavigation
	Name           string `json:"name"`           // of lifecycleEvent
	Type           string `json:"type"`           // of frameNavigated: Navigation or BackForwardCacheRestore
	RequestID      string `json:"requestId"`      // of the domain Network
	Frame          struct {
		ID             string `json:"id"`
		LoaderID       string `json:"loaderId"`
		UnreachableURL string `json:"unreachableUrl"`
	} `json:"frame"` // of frameNavigated
}

// follow reads events until the navigation is done.
func (n *navigation) follow(ctx context.Context, progress iter.Seq2[cdp.Event, error]) error {
	for e, err := range progress {
		switch {
		case errors.Is(err, errIdle):
			return nil
		case err != nil:
			return n.page.explain(err)
		}
		if e.Method == "Inspector.targetCrashed" {
			return ErrRendererGone
		}
		var p pageProgress
		if err := jsonv2.Unmarshal(e.Params, &p, jsonv2.AllowInvalidUTF8(true)); err != nil {
			return err
		}
		if n.idle != nil && (p.FrameID == n.page.ID() || p.FrameID == "") {
			n.idle.note(e.Method, p)
		}
		if p.FrameID != n.page.ID() && p.Frame.ID != n.page.ID() {
			continue
		}
		switch done, err := n.note(ctx, e.Method, p); {
		case err != nil:
			return err
		case done && n.failed != nil:
			return n.failure(ctx)
		case done:
			return nil
		}
	}
	return n.page.explain(cdp.ErrDetached)
}

// note takes in an event of the main frame and reports whether the navigation
// is done.
func (n *navigation) note(ctx context.Context, method string, p pageProgress) (done bool, err error) {
	switch method {
	case "Page.frameStartedNavigating":
		if n.loader == "" || n.loader == p.LoaderID {
			n.loader, n.url, n.started = p.LoaderID, p.URL, true
			n.sameDocument = n.sameDocument || strings.Contains(strings.ToLower(p.NavigationType), "samedocument")
		}
	case "Page.frameRequestedNavigation":
		n.leaving = n.committed && p.Disposition == "currentTab"
	case "Page.navigatedWithinDocument":
		return n.sameDocument, nil
	case "Page.frameNavigated":
		return n.commit(ctx, p)
	case "Page.lifecycleEvent":
		if n.written && p.Name == "init" && p.LoaderID == n.loader {
			n.committed = true
			clear(n.reached)
		}
		n.reached[p.LoaderID+p.Name] = true
	case "Page.frameStoppedLoading":
		return n.stopped(ctx)
	}
	return n.done(), nil
}

// done reports whether the document has come as far as asked, and stays.
func (n *navigation) done() bool {
	return n.committed && !n.leaving && (n.until == WaitCommit || n.reached[n.loader+lifecycleNames[n.until]])
}

// commit takes in that the main frame has a new document.
func (n *navigation) commit(ctx context.Context, p pageProgress) (done bool, err error) {
	ours := p.Frame.LoaderID == n.loader || p.Type == "BackForwardCacheRestore" && n.entry != 0
	switch {
	case !ours && !n.committed && !n.written: // of what was loaded before
		return false, nil
	case !ours && n.page.loads.Load() != n.number: // of another call
		return false, n.aborted()
	}
	n.loader, n.committed, n.leaving, n.written = p.Frame.LoaderID, true, false, false
	n.idle = n.idle.end()
	if url := p.Frame.UnreachableURL; url != "" {
		// The error page has to be complete: before, it does not know the code,
		// and Chromium takes no commands for the page.
		n.until = WaitLoad
		if n.failed == nil {
			n.failed = &LoadError{URL: customURL(url)}
		}
	}
	if p.Type == "BackForwardCacheRestore" {
		return true, n.page.restored(ctx)
	}
	return n.done(), nil
}

// restored waits until the frames of a document out of the back-forward cache
// are known again.
func (w *WebContents) restored(ctx context.Context) error {
	// The answer comes after that to the same question of the target tree.
	if err := w.renderer(ctx, "Page.getFrameTree", nil, nil); err != nil {
		return err
	}
	for _, f := range w.target.Frames() {
		select {
		case <-f.Target.Ready():
		case <-f.Target.Session.Done():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// stopped takes in that nothing is being loaded any more. It is the end of a
// navigation without a document, such as a download, and of a document that
// stops before it is complete: its load event never comes.
func (n *navigation) stopped(ctx context.Context) (done bool, err error) {
	n.leaving = false
	switch {
	case n.done():
		return true, nil
	case !n.committed && !n.started, n.committed && n.reached[n.loader+"load"]:
		return false, nil
	}
	// The event comes before those of a crash and of a document out of the
	// back-forward cache. The browser knows of both by now.
	entries, current, err := n.page.History(ctx)
	switch {
	case err != nil:
		return false, err
	case n.page.IsCrashed():
		return false, ErrRendererGone
	case !n.committed && n.entry != 0 && entries[current].id == n.entry:
		return false, nil
	}
	return false, n.aborted()
}

// failure is the error of a navigation that ended at Chromium's error page.
func (n *navigation) failure(ctx context.Context) error {
	if n.failed.Code == "" {
		n.failed.Code = n.page.session.outlet.code(ctx, n.failed.URL, n.page.errorCode(ctx))
	}
	return n.failed
}

func (n *navigation) aborted() error {
	if n.failed != nil && n.failed.Code != "" {
		return n.failed
	}
	url := n.url
	if url == "" {
		url = n.page.URL()
	}
	return &LoadError{URL: customURL(url), Code: "net::ERR_ABORTED"}
}

// errorCode reads the code from the error page that the main frame shows. No
// event tells it, other than those of the domain Network, which cost too much.
func (w *WebContents) errorCode(ctx context.Context) string {
	// That of a certificate has the prefix, the others do not.
	code, err := Evaluate[string](ctx, w, "globalThis.loadTimeDataRaw?.errorCode")
	switch {
	case err != nil || code == "":
		return "net::ERR_FAILED"
	case strings.HasPrefix(code, "DNS_PROBE_"): // the page looks into the reason
		return "net::ERR_NAME_NOT_RESOLVED"
	}
	return "net::" + strings.TrimPrefix(code, "net::")
}
