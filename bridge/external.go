package bridge

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// SetExternalOpener sets who opens the URLs of other programs, such as mailto: and
// tel:, to which pages of the session navigate; nil, which is the default, removes
// it, and nothing is opened. Electron always has the desktop open them, as
// OpenWithDesktop does.
//
// It is called once the session permits PermissionOpenExternal: see
// SetPermissionRequestHandler, without which everything is permitted. It gets the
// URL with what has no place in a URL escaped, as Electron's shell does. ctx ends
// with the session. An error is logged. Several calls may run at once.
//
// Schemes that Session.Protocol answers are not external, and neither are those
// that no program should get from a page, such as javascript:, data:, file:,
// view-source: and what else Chromium refuses to hand out.
func (s *Session) SetExternalOpener(open func(ctx context.Context, url string) error) {
	s.externals.opener.set(open)
}

// externalLimit is how many URLs of a page's may wait for an answer, or be on their
// way to being opened.
const externalLimit = 8

// externals are the navigations of a session's pages to URLs that other programs
// open. Chromium tells of them as of any other and is kept from opening them
// itself; see package chromium.
type externals struct {
	session *Session
	opener  setter[func(context.Context, string) error]

	mu      sync.Mutex
	pending map[*WebContents]int
}

func newExternals(s *Session) *externals {
	return &externals{session: s, pending: map[*WebContents]int{}}
}

// navigating is told where a frame is about to go. It runs on the connection's
// reader: the frames are as they were when the document navigated.
func (x *externals) navigating(t *cdp.Target, frameID, url string) {
	if !x.isExternal(url) {
		return
	}
	page := x.session.page(t.Page().ID())
	if page == nil {
		return
	}
	alone := madeForIt(page, frameID) // which nobody else can have made navigate
	if alone {
		go page.Close(page.life)
	}
	from, asking := whoNavigates(page, frameID)
	r := from.opens(asking, url)
	if !alone {
		r.InitiatorOrigins = x.initiators(page, frameID, r.RequestingOrigin)
	}
	if !x.begin(r) {
		return
	}
	blocked := x.watchSandbox(page, frameID)
	go func() {
		defer x.done(from)
		if blocked(from.life) {
			return
		}
		if granted, _ := x.session.permissions.request(from.life, r, nil); granted {
			x.open(url)
		}
	}()
}

// isExternal reports whether another program is to open a URL.
func (x *externals) isExternal(url string) bool {
	scheme, _, ok := strings.Cut(url, ":")
	if scheme = strings.ToLower(scheme); !ok || !isExternal(scheme) || x.session.protocol.IsProtocolRegistered(scheme) {
		return false
	}
	_, own := x.session.browser.schemes[scheme]
	return !own
}

// isExternal reports whether a scheme may be that of another program. One letter
// is a drive on Windows.
func isExternal(scheme string) bool {
	switch scheme {
	case "afp", "disk", "disks", "hcp", "ie.http", "mk", "ms-help", "nntp", "res", "shell", "vbscript", "vnd.ms.radio": // Chromium's list
		return false
	case "cid", "content", "edge", "externalfile", "isolated-app", "uuid-in-package": // Chromium's own
		return false
	}
	return len(scheme) > 1 && isCustom(scheme)
}

// whoNavigates is the page and the frame on whose behalf a frame navigates: the
// nearest that has a document, around it or, in a pop-up, in the page that has
// opened it.
func whoNavigates(page *WebContents, frameID string) (*WebContents, string) {
	for {
		f, ok := page.target.Frame(frameID)
		opener := page.opener
		switch {
		case ok && f.URL != "" && f.URL != "about:blank":
			return page, frameID
		case ok && f.ParentID != "":
			frameID = f.ParentID
		case frameID != page.ID(): // it is gone
			frameID = page.ID()
		case opener != nil && opener.Err() == nil:
			frameID = cmp.Or(page.target.Info().OpenerFrameID, opener.ID())
			page = opener
		default:
			return page, frameID
		}
	}
}

// initiators are the origins, but for one, of who may have made a frame navigate:
// Chromium lets the frames around it, and for a whole page all frames of it, of its
// opener and of the pages that it has opened, and does not say who it was.
func (x *externals) initiators(page *WebContents, frameID, known string) (origins []string) {
	add := func(f cdp.Frame) {
		origin := slashed(f.Origin)
		hasDocument := f.URL != "" && !strings.HasPrefix(f.URL, "about:") // else its origin is that of another one here
		if hasDocument && origin != known && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	if frameID != page.ID() {
		for f, ok := page.target.Frame(frameID); ok; f, ok = page.target.Frame(f.ParentID) {
			add(f)
		}
		return origins
	}
	for _, other := range x.session.Pages() {
		if other != page && other.opener != page && page.opener != other {
			continue
		}
		for _, f := range other.target.Frames() {
			add(f)
		}
	}
	return origins
}

// madeForIt reports whether a page is a pop-up that was opened with the URL that it
// is about to go to, and so will stay empty.
func madeForIt(page *WebContents, frameID string) bool {
	main, _ := page.target.Frame(page.ID())
	return frameID == page.ID() && page.target.Info().OpenerID != "" && main.URL == ""
}

// opens is the request of a frame to have a URL opened.
func (w *WebContents) opens(frameID, url string) PermissionRequest {
	frames := w.Frames()
	f := frames[max(0, slices.IndexFunc(frames, func(f *Frame) bool { return f.ID == frameID }))]
	return PermissionRequest{
		Permission: PermissionOpenExternal, WebContents: w, Frame: f, RequestingURL: f.URL,
		RequestingOrigin: slashed(f.Origin), EmbeddingOrigin: slashed(frames[0].Origin), IsMainFrame: f.ParentID == "",
		ExternalURL: url,
	}
}

// begin makes room for a request. Where a page has too many already it is refused.
func (x *externals) begin(r PermissionRequest) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pending[r.WebContents] == externalLimit {
		x.session.permissions.decided(r, false, byTooMany)
		return false
	}
	x.pending[r.WebContents]++
	return true
}

func (x *externals) done(page *WebContents) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.pending[page]--; x.pending[page] == 0 {
		delete(x.pending, page)
	}
}

// sandboxBlocks begins what Chromium writes to the console when the sandbox of a
// frame keeps it from an external URL. Nothing else tells of it.
const sandboxBlocks = "Navigation to external protocol blocked by sandbox"

// watchSandbox begins to look whether Chromium blocks the navigation of a frame;
// blocked waits until that is known. Chromium writes it to the console of the page,
// wherever in it the frame is, and does not say of which frame it speaks: of two
// that navigate at the same moment both count as blocked.
func (x *externals) watchSandbox(page *WebContents, frameID string) (blocked func(ctx context.Context) bool) {
	if frameID == page.ID() { // whose sandbox does not matter
		return func(context.Context) bool { return false }
	}
	t := page.target
	reading, stop := context.WithCancelCause(page.life)
	entries := t.Session.Events(reading, cdp.QueueOptions{Limit: 1000, Bytes: 1 << 20}, "Log.entryAdded")
	// Once on it stays on: switched on again it would tell of what is past.
	x.session.logs.use(t, nil)
	return func(ctx context.Context) bool {
		err := navigationDecided(ctx, t)
		stop(errDecided)
		return err != nil || tellsOfSandbox(entries)
	}
}

// errDecided ends the reading of what Chromium has to say of a navigation.
var errDecided = errors.New("the navigation is decided")

// tellsOfSandbox reports whether something was blocked, or that cannot be known.
func tellsOfSandbox(entries iter.Seq2[cdp.Event, error]) bool {
	for e, err := range entries {
		if err != nil {
			return !errors.Is(err, errDecided)
		}
		if entry, ok := decodeLogEntry(e); ok && strings.HasPrefix(entry.Entry.Text, sandboxBlocks) {
			return true
		}
	}
	return true // the document is gone
}

// navigationDecided returns when Chromium has decided on a navigation that has
// begun in a page, and has told of it. It decides in the browser's process and
// tells in the renderer's, some milliseconds later. No event says that it has not
// blocked one, but questions that go to and fro come after it: under a load that
// makes it take half a second, after the first round at the latest.
func navigationDecided(ctx context.Context, t *cdp.Target) error {
	for range decisionRounds {
		if err := t.Session.Conn().Root().Call(ctx, "Browser.getVersion", nil, nil); err != nil {
			return err
		}
		if err := callRenderer(ctx, t, "Page.getFrameTree", nil, nil); err != nil {
			return err
		}
		if err := callRenderer(ctx, t, "Runtime.evaluate", evaluateParams{Expression: "0"}, nil); err != nil {
			return err
		}
	}
	return nil
}

const decisionRounds = 5

// open has a URL opened.
func (x *externals) open(url string) {
	open := x.opener.get()
	if open == nil {
		return
	}
	b := x.session.browser
	opened := <-asked(b, "SetExternalOpener", func() (struct{}, error) { return struct{}{}, open(x.session.life, escapeExternal(url)) })
	if opened.err != nil {
		scheme, _, _ := strings.Cut(url, ":")
		b.log.Warn("a URL was not opened", "scheme", scheme, "error", opened.err)
	}
}

// escapeExternal escapes what has no place in a URL, and might have a meaning to
// the program that gets it.
func escapeExternal(url string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(url) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:/?#[]@!$&'()*+,;=%", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
