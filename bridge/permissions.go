package bridge

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/permissions"
)

// PermissionRequest is a page's wish to do something that needs a permission:
// what Electron's permission request handler gets.
type PermissionRequest struct {
	Permission Permission
	// WebContents is the page that asks, and Frame its frame.
	WebContents *WebContents
	Frame       *Frame
	// RequestingURL is the address of the frame's document.
	RequestingURL string
	// RequestingOrigin is the origin of the frame and EmbeddingOrigin that of the
	// page, such as "https://example.test/"; "null" where the origin is opaque.
	RequestingOrigin string
	EmbeddingOrigin  string
	// IsMainFrame says that it is not a frame inside the page that asks.
	IsMainFrame bool
	// SecurityOrigin is the origin of who asks for media, empty for all else.
	SecurityOrigin string
	// MediaTypes are "audio" and "video", as they are asked for with
	// PermissionMedia; none when the page asks to capture a screen.
	MediaTypes []string
	// ExternalURL is what is to be opened, with PermissionOpenExternal.
	// InitiatorOrigins are the origins, besides RequestingOrigin, of documents that
	// may have made the frame navigate there: Chromium does not say who has.
	ExternalURL      string
	InitiatorOrigins []string
	// FilePath, IsDirectory and FileAccessType ("readable" or "writable") belong
	// to PermissionFileSystem. FilePath is what the page calls it: the name of what
	// the user gave to the page, such as "a.txt", and below a directory the path
	// from there, such as "photos/a.jpg". Chromium tells nobody the path on disk.
	FilePath       string
	IsDirectory    bool
	FileAccessType string
}

// PermissionCheck is the question whether something is permitted: what
// Electron's permission check handler gets.
type PermissionCheck struct {
	Permission Permission
	// WebContents and Frame are those who ask; nil for workers, and for
	// notifications and files, which belong to an origin and not to a page.
	WebContents *WebContents
	Frame       *Frame
	// RequestingURL is the address of the frame's document, or of the worker.
	RequestingURL string
	// RequestingOrigin is the origin of who asks and EmbeddingOrigin that of its
	// page, such as "https://example.test/"; "null" where the origin is opaque.
	RequestingOrigin string
	EmbeddingOrigin  string
	// IsMainFrame says that it is neither a frame inside the page nor a worker
	// that asks.
	IsMainFrame bool
	// SecurityOrigin is the origin of who asks, with PermissionMedia.
	SecurityOrigin string
	// MediaType is "audio" or "video" with PermissionMedia.
	MediaType string
	// FilePath, IsDirectory and FileAccessType belong to PermissionFileSystem, as in
	// PermissionRequest.
	FilePath       string
	IsDirectory    bool
	FileAccessType string
}

// A PermissionRequestHandler says whether a page may do what it asks for.
type PermissionRequestHandler func(ctx context.Context, r PermissionRequest) (granted bool)

// A PermissionCheckHandler says whether something is permitted.
type PermissionCheckHandler func(ctx context.Context, c PermissionCheck) (granted bool)

// SetPermissionRequestHandler sets who answers what pages of the session ask for;
// nil removes it, and answers what waits with a no. Without one everything is
// granted, except what RememberPermissions remembers to be denied. It is Electron's
// setPermissionRequestHandler, and holds for open pages too.
//
// A page waits for as long as the handler takes; the context ends with the
// document that asks. A handler that panics has not answered: the page goes on
// waiting. A handler that replaces another one leaves to it what it was asked.
// Combined requests, such as for camera and microphone, are one call.
//
// PermissionOpenExternal is asked for when a page, or WebContents.LoadURL, navigates
// to a URL of another program, such as mailto: or tel:. It asks on behalf of the
// document that navigates, or in whose frame or pop-up nothing else is yet, and is
// asked for as long as the page is there. SetExternalOpener opens what is granted.
// Electron names the document that made the frame navigate. Chromium does not tell
// it: it is that of RequestingOrigin, or one of InitiatorOrigins, which are those of
// the frames around it and, for a whole page, of all frames in it, of its opener and
// of the pages that it has opened. A handler that trusts an origin has to trust all of
// them, and so does a policy: it allows what is allowed to all, and denies what is
// denied to one.
// Eight such requests of a page wait at most; further ones are denied. A frame
// whose attribute sandbox keeps it from such URLs does not ask.
//
// With a handler Chromium itself denies what is to be asked for, and the session's
// documents have a script of the bridge's that asks first. What goes round it is
// denied. Documents that are open have the script some milliseconds after the handler
// was set. Chromium has no switch against fullscreen and pointer lock: who gets in
// past the script is taken out again within moments; nor against
// requestMediaKeySystemAccess, where the script is all there is.
//
// Camera, microphone, location, MIDI and storage access are granted to a document
// for as long as it lives, all else for the call, and for three seconds at most. In
// that time Chromium would grant them to others in pages of the same origin that go
// round the script. A handler that is set while a page captures ends the capture.
// Documents with an opaque origin, such as data: URLs, cannot be granted anything
// that Chromium denies.
//
// PermissionFileSystem is asked for when a page writes to a file or a directory, or
// reads what is in a directory; a file that the user has just dropped or picked is
// read without asking. Only sessions whose pages are in the default context of a
// process (the default session, those on disk, PartitionOptions.OwnProcess) can be
// granted writing: in others it is refused whatever the handler says. What goes
// round the script and writes waits for ever, or for the person at the window; it is
// not kept from reading.
func (s *Session) SetPermissionRequestHandler(handler PermissionRequestHandler) {
	s.permissions.change(func(r *permissionRules) {
		r.request = handler
		if handler == nil {
			close(r.cleared)
			r.cleared = make(chan struct{})
		}
	})
}

// SetPermissionCheckHandler sets who says what is permitted, to
// navigator.permissions.query, Notification.permission and to whatever looks
// before it acts, such as the names in enumerateDevices; nil removes it. Without one
// everything is permitted. The answer is yes or no: a page never sees "prompt". A
// handler that panics says no. It is Electron's setPermissionCheckHandler. It is
// called often, and by several goroutines at once; a page stands still while it is
// asked for Notification.permission.
//
// Setting it asks anew for what pages look at, and tells them with the event
// change. What Chromium itself looks at (notifications that are shown, the
// IdleDetector's start, sensors, requests to the local network) is asked for when
// a page is navigated, for the page's origin.
func (s *Session) SetPermissionCheckHandler(handler PermissionCheckHandler) {
	s.permissions.change(func(r *permissionRules) { r.check = handler })
}

// SetPermissionPolicy sets rules that answer before the handlers do; nil removes
// them. What they leave open, with Ask, is for what RememberPermissions remembers
// and then for the handlers: without a request handler requests are denied, and without
// a check handler checks are, because Chromium lets pages do some things, such as show
// notifications, by the check alone. The error is one of Policy.Compile, and then nothing has changed. What documents were granted
// stays granted: RevokePermission takes it back. Electron has nothing like it.
func (s *Session) SetPermissionPolicy(p *permissions.Policy) error {
	var compiled *permissions.Compiled
	if p != nil {
		var err error
		if compiled, err = p.Compile(); err != nil {
			return doing("setting the permission policy", err)
		}
	}
	s.permissions.change(func(r *permissionRules) { r.policy = compiled })
	return nil
}

// PermissionDecision is an answer that a page was given.
type PermissionDecision struct {
	Time time.Time `json:"time"`
	// Kind is "request" or "check".
	Kind             string     `json:"kind"`
	Permission       Permission `json:"permission"`
	MediaTypes       []string   `json:"mediaTypes,omitempty"`
	RequestingURL    string     `json:"requestingUrl"`
	RequestingOrigin string     `json:"requestingOrigin"`
	EmbeddingOrigin  string     `json:"embeddingOrigin"`
	ExternalURL      string     `json:"externalUrl,omitempty"`
	FilePath         string     `json:"filePath,omitempty"`
	FileAccessType   string     `json:"fileAccessType,omitempty"`
	Granted          bool       `json:"granted"`
	// Rule is who decided: "default" (nobody is asked), "handler", "display handler"
	// (of SetDisplayMediaRequestHandler, after the one for media), "policy " and
	// the rule, such as "policy deny[0]", "client" (an attached one, by
	// Browser.setPermission or grantPermissions), "remembered", "removed" (the handler
	// was, before it answered), or "too many" (256 requests, or 256 checks, of the
	// document wait already; of PermissionOpenExternal eight of the page).
	Rule string `json:"rule"`
	// WebContents is the page; nil for a worker, and for a check of notifications or
	// files.
	WebContents *WebContents `json:"-"`
}

// PermissionDecisions returns an iterator over the answers that pages of the
// session are given from now on, for audit. It ends with ctx and with the session.
func (s *Session) PermissionDecisions(ctx context.Context) iter.Seq[PermissionDecision] {
	return s.permissions.decisions.listen(ctx, nil)
}

// permissionRules are who decides what pages may do.
type permissionRules struct {
	request PermissionRequestHandler
	check   PermissionCheckHandler
	policy  *permissions.Compiled
	memory  *permissions.Store // nil where nothing is remembered
	// overrides are what attached clients have said, the newest last.
	overrides []overrideList
	cleared   chan struct{} // closed when the request handler is removed
	changed   chan struct{} // closed when any of this changes
}

// asks reports whether somebody answers requests. Without, all are granted.
func (r *permissionRules) asks() bool {
	return r.request != nil || r.policy != nil || r.memory != nil || len(r.overrides) > 0
}

// checks reports whether somebody answers checks. Without, all is permitted.
func (r *permissionRules) checks() bool {
	return r.check != nil || r.policy != nil || len(r.overrides) > 0
}

// permissionDecider decides what the pages of a session may do.
type permissionDecider struct {
	session   *Session
	decisions listeners[PermissionDecision]
	native    *nativePermissions
	files     *fileWriting
	pages     *permissionPages
	grants    permissionGrants
	revoking  sync.RWMutex // read by who makes an answer hold

	mu    sync.Mutex
	rules permissionRules
}

func newPermissionDecider(s *Session) *permissionDecider {
	d := &permissionDecider{session: s, rules: permissionRules{cleared: make(chan struct{}), changed: make(chan struct{})}}
	d.native = newNativePermissions(s)
	d.files = newFileWriting(s)
	d.pages = newPermissionPages(s, d)
	context.AfterFunc(s.life, d.decisions.end)
	return d
}

// change changes the rules, and what the pages and Chromium know of them.
func (d *permissionDecider) change(edit func(r *permissionRules)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	edit(&d.rules)
	close(d.rules.changed)
	d.rules.changed = make(chan struct{})
	d.native.set(d.rules.asks(), d.rules.checks())
	d.files.setAsked(d.rules.asks())
	d.pages.update(permissionAnswerers{d.rules.asks(), d.rules.checks()})
	if d.rules.asks() {
		d.session.display.listen()
	}
}

func (d *permissionDecider) current() permissionRules {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rules
}

// request decides a request, and calls grant, if that is not nil, when the answer is
// yes. It is false in ok when the context, which is the document's life, ended first.
func (d *permissionDecider) request(ctx context.Context, r PermissionRequest, grant func()) (granted, ok bool) {
	granted, rule := d.requested(ctx, r)
	for rule != "" && !d.settle(r, granted, rule, grant) {
		granted, rule = d.requested(ctx, r)
	}
	if rule == "" {
		return false, false
	}
	d.decided(r, granted, rule)
	return granted, true
}

// decided tells of the answer to a request.
func (d *permissionDecider) decided(r PermissionRequest, granted bool, rule string) {
	d.decisions.tell(PermissionDecision{
		Time: time.Now(), Kind: "request", Permission: r.Permission, MediaTypes: r.MediaTypes, RequestingURL: r.RequestingURL,
		RequestingOrigin: r.RequestingOrigin, EmbeddingOrigin: r.EmbeddingOrigin, ExternalURL: r.ExternalURL,
		FilePath: r.FilePath, FileAccessType: r.FileAccessType, Granted: granted, Rule: rule, WebContents: r.WebContents,
	})
}

// requested returns the answer to a request, and who gave it; nobody when the
// context ended first.
func (d *permissionDecider) requested(ctx context.Context, r PermissionRequest) (granted bool, rule string) {
	rules := d.current()
	unasked, rule := true, "default" // what holds where nobody can be asked
	if rules.policy != nil {
		answer, name := rules.policy.Decide(r.RequestingOrigin, r.Permission)
		for _, origin := range r.InitiatorOrigins {
			if other, by := rules.policy.Decide(origin, r.Permission); other != answer && answer != permissions.Deny && other != permissions.Allow {
				answer, name = other, by
			}
		}
		if answer != permissions.Ask {
			return answer == permissions.Allow, "policy " + name
		}
		unasked, rule = false, "policy "+name
	}
	if granted, found := rules.overridden(r.WebContents, r.EmbeddingOrigin, r.Permission, r.MediaTypes...); found {
		return granted, byClient
	}
	if granted, found := rules.recall(r.RequestingOrigin, r.Permission, r.MediaTypes...); found {
		return granted, byMemory
	}
	if rules.request == nil {
		return unasked, rule
	}
	asked, end := context.WithCancel(ctx)
	defer end()
	answer := make(chan bool, 1)
	go d.session.browser.safely("SetPermissionRequestHandler", func() { answer <- rules.request(asked, r) })
	select {
	case granted = <-answer:
		return granted, byHandler
	case <-rules.cleared:
		return false, "removed"
	case <-ctx.Done():
		return false, ""
	}
}

// check decides a check. Nobody is told of it.
func (d *permissionDecider) check(ctx context.Context, c PermissionCheck) (granted bool, rule string) {
	rules := d.current()
	overridden, found := rules.overridden(c.WebContents, c.EmbeddingOrigin, c.Permission, c.MediaType)
	if rules.policy != nil {
		answer, name := rules.policy.Decide(c.RequestingOrigin, c.Permission)
		if answer == permissions.Ask && found {
			return overridden, byClient
		}
		if answer == permissions.Ask && rules.check == nil {
			if granted, found := rules.recall(c.RequestingOrigin, c.Permission, c.MediaType); found {
				return granted, byMemory
			}
		}
		if answer != permissions.Ask || rules.check == nil {
			return answer == permissions.Allow, "policy " + name
		}
	}
	if found {
		return overridden, byClient
	}
	if rules.check == nil {
		return true, "default"
	}
	asking, end := context.WithCancel(ctx)
	defer end()
	answer := asked(d.session.browser, "SetPermissionCheckHandler", func() (bool, error) { return rules.check(asking, c), nil })
	select {
	case o := <-answer:
		return o.answer && o.err == nil, byHandler
	case <-rules.changed: // a page may stand still for this
		return d.check(ctx, c)
	case <-ctx.Done():
		return false, byHandler
	}
}

// checked decides a check of a page's.
func (d *permissionDecider) checked(ctx context.Context, c PermissionCheck) (granted bool) {
	granted, rule := d.check(ctx, c)
	d.toldOfCheck(c, granted, rule)
	return granted
}

// toldOfCheck tells of the answer to a check.
func (d *permissionDecider) toldOfCheck(c PermissionCheck, granted bool, rule string) {
	var types []string
	if c.MediaType != "" {
		types = []string{c.MediaType}
	}
	d.decisions.tell(PermissionDecision{
		Time: time.Now(), Kind: "check", Permission: c.Permission, MediaTypes: types, RequestingURL: c.RequestingURL,
		RequestingOrigin: c.RequestingOrigin, EmbeddingOrigin: c.EmbeddingOrigin,
		FilePath: c.FilePath, FileAccessType: c.FileAccessType, Granted: granted, Rule: rule, WebContents: c.WebContents,
	})
}
