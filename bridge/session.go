package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// Session is an isolated part of a browser: cookies, storage, cache and
// settings of its own. It is Electron's Session. It is safe for use by several
// goroutines.
type Session struct {
	browser *Browser
	key     sessionKey
	name    string
	opts    PartitionOptions
	life    context.Context
	end     context.CancelFunc

	cookies           *Cookies
	interception      *cdp.Interception
	protocol          *Protocol
	schemePages       *schemePages
	outlet            *outlet
	fetches           atomic.Uint64
	network           *networkDomain
	emulation         *emulation
	auth              *authentication
	credentials       *credentialStore // of Fetch
	webRequest        *WebRequest
	preloads          *preloads
	kept              keptFiles
	permissions       *permissionDecider
	externals         *externals
	logs              *logDomain
	display           *displayMedia
	devices           *deviceAccess
	bluetooth         *bluetooth
	channels          channels
	messages          *messages
	hints             *hints
	netLog            *NetLog
	certificateErrors *certificateErrors
	agents            *agents
	serviceWorkers    *ServiceWorkers
	downloads         *downloads
	extensions        *extensions
	topics            []topic

	placing   turn        // of who gives the session a host and a context
	announced atomic.Bool // to OnSessionCreated: it has had a place
	callers   int         // of FromPartition that wait for it; guarded by Browser.mu
	front     turn        // of the page that has to stay in front of the others

	mu sync.Mutex
	at *place // nil before the first use and after the host is gone
	// contexts are those that clients have made, which count as part of the session.
	contexts []*place
	path     string // the directory, once it is known
	pages    map[string]*WebContents
	order    []string // target ids of pages in the order of their opening
	closed   bool

	pageListeners listeners[*WebContents]
}

// place is where a session is: a browser context of a host.
type place struct {
	host      *host
	contextID string
}

// isDefault reports whether the context is the host's default one, which most
// commands must not name.
func (p *place) isDefault() bool { return p.contextID == p.host.defaultContext }

// alone reports whether no other session can be in the process.
func (p *place) alone() bool { return p.isDefault() && !p.host.pooled() }

// param is the context id as commands want it.
func (p *place) param() string {
	if p.isDefault() {
		return ""
	}
	return p.contextID
}

func newSession(b *Browser, key sessionKey, name string, o PartitionOptions) *Session {
	s := &Session{browser: b, key: key, name: name, opts: o, pages: map[string]*WebContents{}, front: newTurn(), channels: channels{}}
	s.life, s.end = context.WithCancel(b.life)
	s.placing = b.turnOf(key)
	s.cookies = newCookies(s)
	s.interception = cdp.NewInterception(s.life)
	s.protocol = newProtocol(s)
	s.schemePages = newSchemePages(s)
	s.outlet = newOutlet(s)
	s.network = newNetworkDomain(o.NoCache)
	s.emulation = newEmulation(s.network)
	s.auth = &authentication{session: s}
	s.credentials = newCredentialStore()
	s.webRequest = newWebRequest(s)
	s.preloads = newPreloads(s)
	s.permissions = newPermissionDecider(s)
	s.externals = newExternals(s)
	s.logs = newLogDomain()
	s.display = newDisplayMedia(s)
	s.devices = newDeviceAccess(s)
	s.bluetooth = newBluetooth(s)
	s.messages = newMessages(s)
	s.hints = newHints(s)
	s.certificateErrors = newCertificateErrors(s)
	s.serviceWorkers = newServiceWorkers(s)
	s.netLog = &NetLog{session: s}
	s.downloads = newDownloads(s)
	s.extensions = newExtensions(s)
	s.agents = newAgents(s.interception, s.network)
	s.topics = []topic{s.network, s.emulation, s.agents, s.serviceWorkers, s.logs, s.channels, s.permissions.pages, s.devices.pages, s.bluetooth, s.messages, s.hints, s.certificateErrors, s.preloads, s.schemePages}
	return s
}

// topic is what has something to set up on the targets of a session. Its
// methods run on the connection's reader.
type topic interface {
	// join takes a new target, which is paused, and returns its set-up.
	join(t *cdp.Target) []cdp.Command
	// restarted is the same for a target that begins anew: a service worker
	// that had stopped, which is paused, and a page that had crashed.
	restarted(t *cdp.Target) []cdp.Command
	// leave is told that a target is gone.
	leave(t *cdp.Target)
}

// Partition is the string that the session was asked for with: a partition, or
// the path of FromPath.
func (s *Session) Partition() string { return s.name }

// Browser is the browser of the session.
func (s *Session) Browser() *Browser { return s.browser }

// IsPersistent reports whether the session is on disk.
func (s *Session) IsPersistent() bool { return !s.key.memory }

// StoragePath is the directory of a persistent session, empty for one in
// memory.
func (s *Session) StoragePath() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key.memory {
		return ""
	}
	return s.path
}

// Cookies are the cookies of the session.
func (s *Session) Cookies() *Cookies { return s.cookies }

// Protocol answers requests of the session by functions of the program.
func (s *Session) Protocol() *Protocol { return s.protocol }

// WebRequest are the listeners of the session's requests.
func (s *Session) WebRequest() *WebRequest { return s.webRequest }

// ServiceWorkers are the service workers of the session.
func (s *Session) ServiceWorkers() *ServiceWorkers { return s.serviceWorkers }

// NetLog writes the network traffic to a file.
func (s *Session) NetLog() *NetLog { return s.netLog }

// BrowserContextID is the id of the session's browser context in the protocol.
// It changes when the session's Chromium process is started anew.
func (s *Session) BrowserContextID(ctx context.Context) (string, error) {
	p, err := s.place(ctx)
	if err != nil {
		return "", err
	}
	return p.contextID, nil
}

// place returns where the session is, and gets it a place where it has none:
// at its first use, and after its Chromium process has ended.
func (s *Session) place(ctx context.Context) (*place, error) {
	if at, err := s.present(); at != nil || err != nil {
		return at, err
	}
	if err := s.placing.take(ctx); err != nil {
		return nil, err
	}
	defer s.placing.give()
	if at, err := s.present(); at != nil || err != nil {
		return at, err
	}
	at, err := s.settle(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.outlet.changing.take(ctx); err != nil {
		return nil, errors.Join(err, at.vacate(context.WithoutCancel(ctx)))
	}
	defer s.outlet.changing.give()
	if err := s.outlet.lead(ctx, at); err != nil {
		return nil, errors.Join(err, at.vacate(context.WithoutCancel(ctx)))
	}
	s.permissions.native.placed(at)
	s.display.placed(at)
	s.permissions.files.placed(at)
	s.mu.Lock()
	if !s.closed && at.host.life.Err() == nil {
		s.at = at
		s.mu.Unlock()
		s.webRequest.traffic.placed(at)
		s.protocol.placed(at)
		s.agents.placed(at)
		s.extensions.placed(ctx, at)
		return at, nil
	}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, errors.Join(ErrSessionClosed, at.vacate(context.WithoutCancel(ctx)))
	}
	at.host.removeContext(at.contextID)
	return nil, context.Cause(at.host.life)
}

// present is where the session is, nil when it has no place.
func (s *Session) present() (*place, error) {
	s.mu.Lock()
	at, closed := s.at, s.closed
	s.mu.Unlock()
	if closed {
		return nil, ErrSessionClosed
	}
	if at != nil && at.host.tree.Conn().Err() != nil {
		s.displaced(at.host) // whoever watches the host comes to it in a moment
		return nil, nil
	}
	return at, nil
}

// vacate gives a place back.
func (p *place) vacate(ctx context.Context) error {
	if p.isDefault() {
		return p.host.close()
	}
	p.host.hidden.CloseContext(p.contextID)
	err := p.host.root().Call(ctx, "Target.disposeBrowserContext", map[string]string{"browserContextId": p.contextID}, nil)
	p.host.removeContext(p.contextID)
	p.host.transfers.contextGone(p.contextID)
	if p.host.retire() {
		err = errors.Join(err, p.host.close())
	}
	if errors.Is(err, ErrHostGone) {
		return nil // and the context with it
	}
	return err
}

// settle finds or starts a host and makes the session's context there.
func (s *Session) settle(ctx context.Context) (*place, error) {
	if s.key.memory && !s.opts.OwnProcess {
		at, err := s.shareHost(ctx)
		if errors.Is(err, ErrHostGone) { // it was about to end when it was chosen
			at, err = s.shareHost(ctx)
		}
		return at, err
	}
	h, err := s.ownHost(ctx)
	if err != nil {
		return nil, err
	}
	return &place{h, h.defaultContext}, nil
}

// shareHost makes a context in a host of the pool.
func (s *Session) shareHost(ctx context.Context) (*place, error) {
	h, err := s.browser.pooledHost(ctx)
	if err != nil {
		return nil, err
	}
	id, err := h.createContext(ctx, s)
	if err != nil {
		return nil, err
	}
	return &place{h, id}, nil
}

// ownHost starts the host whose default context is the session.
func (s *Session) ownHost(ctx context.Context) (*host, error) {
	if h := s.browser.remote; h != nil && s.key == (sessionKey{}) {
		return h, nil
	}
	dir := ""
	if !s.key.memory {
		dir = s.browser.ownDir(s.key)
	}
	h, err := s.browser.startHost(ctx, s.title(), dir, s)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.path = h.process.UserDataDir()
	s.mu.Unlock()
	return h, nil
}

// title names the session to people.
func (s *Session) title() string {
	if s.key == (sessionKey{}) {
		return "the default session"
	}
	return fmt.Sprintf("session %q", s.name)
}

// displaced is told that the session's host is gone.
func (s *Session) displaced(h *host) {
	s.mu.Lock()
	if s.at == nil || s.at.host != h {
		s.mu.Unlock()
		return
	}
	s.at, s.contexts = nil, nil
	pages := s.pages
	s.pages, s.order = map[string]*WebContents{}, nil
	s.mu.Unlock()
	for _, page := range pages {
		page.gone(h.tree.Conn().Err())
	}
	for _, t := range s.interception.Targets() {
		if t.Session.Conn() == h.tree.Conn() {
			s.forget(t)
		}
	}
}

// forget is told that a target is gone, whatever it was.
func (s *Session) forget(t *cdp.Target) {
	s.interception.Leave(t)
	for _, topic := range s.topics {
		topic.leave(t)
	}
	s.webRequest.traffic.targetGone(t)
}

// Close ends the session and its pages. What a session in memory held is gone,
// and so is the memory that it took. A persistent session is written to disk
// and its Chromium process ends; FromPartition starts it again. The default
// session ends with the browser only.
func (s *Session) Close(ctx context.Context) error {
	if s.key == (sessionKey{}) {
		return &UnsupportedError{Feature: "closing the default session", Reason: "it carries the browser", Instead: "use Browser.Close"}
	}
	if err := s.placing.take(ctx); err != nil {
		return fmt.Errorf("closing %s: %w", s.title(), err)
	}
	defer s.placing.give()
	at, err := s.present()
	if err != nil {
		return nil // it is closed
	}
	logged := s.netLog.finish(ctx)
	s.finish()
	if at == nil {
		return doing("closing "+s.title(), logged)
	}
	if err := errors.Join(logged, at.vacate(ctx)); err != nil {
		return fmt.Errorf("closing %s: %w", s.title(), err)
	}
	return nil
}

// finish makes the session refuse calls from now on.
func (s *Session) finish() {
	s.browser.mu.Lock()
	if s.browser.sessions[s.key] == s {
		delete(s.browser.sessions, s.key)
	}
	s.browser.mu.Unlock()
	s.mu.Lock()
	s.closed = true
	pages := s.pages
	s.pages, s.order = map[string]*WebContents{}, nil
	s.mu.Unlock()
	for _, page := range pages {
		page.gone(ErrSessionClosed)
	}
	s.end()
	s.downloads.end()
	s.extensions.events.end()
	s.permissions.grants.close()
	s.kept.close()
	s.protocol.unplace()
	s.pageListeners.end()
}

// explain puts the bridge's errors in the place of the connection's.
func (s *Session) explain(err error) error {
	if err == nil || errors.Is(err, ErrSessionClosed) {
		return err
	}
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return fmt.Errorf("%w: %w", ErrSessionClosed, err)
	}
	return err
}

// adopt takes a new target of the session, which is paused, and returns its
// set-up. It runs on the connection's reader.
func (s *Session) adopt(t *cdp.Target) ([]cdp.Command, bool) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, false
	}
	var setup []cdp.Command
	if t.Type() == cdp.TargetPage {
		setup = append(setup, s.addPage(t).setup()...)
	}
	for _, topic := range s.topics {
		setup = append(setup, topic.join(t)...)
	}
	return append(setup, s.interception.Join(t)...), true
}

// restarted returns what a target needs that begins anew.
func (s *Session) restarted(t *cdp.Target) []cdp.Command {
	var setup []cdp.Command
	for _, topic := range s.topics {
		setup = append(setup, topic.restarted(t)...)
	}
	return setup
}

func (s *Session) addPage(t *cdp.Target) *WebContents {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := newWebContents(s, t, s.pages[t.Info().OpenerID])
	s.pages[t.ID()] = page
	s.order = append(s.order, t.ID())
	return page
}

// attached announces a page when its set-up is on its way.
func (s *Session) attached(t *cdp.Target) {
	if page := s.page(t.ID()); page != nil && t.Type() == cdp.TargetPage {
		s.pageListeners.tell(page)
		if page.opener != nil {
			page.opener.popups.tell(page)
		}
	}
}

func (s *Session) page(id string) *WebContents {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pages[id]
}

func (s *Session) targetGone(t *cdp.Target) {
	s.forget(t)
	if t.Type() != cdp.TargetPage {
		return
	}
	s.mu.Lock()
	page := s.pages[t.ID()]
	delete(s.pages, t.ID())
	s.order = slices.DeleteFunc(s.order, func(id string) bool { return id == t.ID() })
	s.mu.Unlock()
	if page != nil {
		page.gone(ErrPageClosed)
	}
}

func (s *Session) crashed(t *cdp.Target, status string, code int) {
	s.webRequest.traffic.crashed(t)
	if page := s.page(t.ID()); page != nil {
		page.contexts.crashed(t)
		page.crash(RenderProcessGone{Reason: status, ExitCode: code})
	}
}

// Pages are the open pages of the session in the order of their opening.
func (s *Session) Pages() []*WebContents {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*WebContents, 0, len(s.order))
	for _, id := range s.order {
		out = append(out, s.pages[id])
	}
	return out
}
