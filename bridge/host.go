package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// closeTimeout is how long a Chromium process has to end by itself, writing
// what belongs on disk, before it is ended.
const closeTimeout = 10 * time.Second

// host is one Chromium process tree, and the sessions in it by browser context.
type host struct {
	browser *Browser
	name    string            // for people: what it carries
	process *chromium.Process // nil for a browser that the bridge did not start
	tree    *cdp.Tree
	hidden  *cdp.HiddenPages
	life    context.Context // ends with the process; its cause says how
	end     context.CancelCauseFunc

	// workerScripts pauses the main scripts of service workers, which arrive on no
	// target but on the browser itself.
	workerScripts *cdp.Interception

	extensions *ownExtensions
	processes  processIDs
	policies   *policies
	netLog     netLogSource
	transfers  *transfers

	defaultContext string

	mu       sync.Mutex
	contexts map[string]*Session // by browser context id
	clients  int                 // attached ones
	reserved int                 // contexts that are being made
	retired  bool                // takes no more sessions
	closing  bool
	gone     *HostGoneError
}

func (h *host) String() string {
	if h.process == nil {
		return h.name
	}
	return fmt.Sprintf("%s (pid %d)", h.name, h.process.PID())
}

func (h *host) root() *cdp.Session { return h.tree.Conn().Root() }

// Host is one Chromium process of a browser.
type Host struct {
	// Name says what it carries.
	Name string `json:"name"`
	// PID is its process id, 0 for a browser that the bridge did not start.
	PID int `json:"pid"`
	// UserDataDir is its directory, empty for a browser that the bridge did not
	// start.
	UserDataDir string `json:"userDataDir"`
	// Sessions are the partitions that it carries.
	Sessions []string `json:"sessions"`
}

// Hosts are the Chromium processes that run, in the order of their start.
func (b *Browser) Hosts() []Host {
	b.mu.Lock()
	hosts := slices.Clone(b.hosts)
	b.mu.Unlock()
	out := make([]Host, len(hosts))
	for i, h := range hosts {
		out[i] = Host{Name: h.name, Sessions: h.partitions()}
		if h.process != nil {
			out[i].PID, out[i].UserDataDir = h.process.PID(), h.process.UserDataDir()
		}
	}
	return out
}

// partitions are the names of the sessions that the host carries.
func (h *host) partitions() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := []string{}
	for _, s := range h.contexts {
		if !slices.Contains(names, s.name) { // a client's contexts are its session's
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

// startHost starts a Chromium on a directory ("" is a temporary one). owner is
// the session of its default context, nil for a host of the pool.
func (b *Browser) startHost(ctx context.Context, name, userDataDir string, owner *Session) (*host, error) {
	ctx, end, err := b.beginStart(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	o := b.opts.chromium()
	o.Binary, o.UserDataDir, o.Preferences = b.binary, userDataDir, filePreferences(owner)
	if owner != nil {
		o.CodeCacheDir = owner.opts.CodeCachePath
	}
	o.Disposable = b.temp != nil && strings.HasPrefix(userDataDir, b.temp.Path())
	o.Log = func(line string) { b.log.Debug("chromium", "host", name, "line", line) }
	if o.Args, err = b.streams.letIn(o.Args); err != nil {
		return nil, err
	}
	o.Args = append(slices.Clip(o.Args), captureSwitch)
	p, err := chromium.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	r, w := p.Pipe()
	h, err := b.connectHost(ctx, name, cdp.NewPipe(r, w), p, owner)
	if err != nil {
		closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		p.Kill()
		return nil, errors.Join(err, p.Close(closing))
	}
	return h, nil
}

// beginStart makes Close wait for a start and the start end with Close.
func (b *Browser) beginStart(ctx context.Context) (context.Context, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, errBrowserClosed
	}
	b.starting.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(b.closing, func() { cancel(context.Cause(b.closing)) })
	return ctx, func() {
		stop()
		cancel(nil)
		b.starting.Done()
	}, nil
}

// connectHost makes a host of a connection and waits for its first sign of
// life.
func (b *Browser) connectHost(ctx context.Context, name string, t cdp.Transport, p *chromium.Process, owner *Session) (*host, error) {
	h := &host{browser: b, name: name, process: p, contexts: map[string]*Session{}, policies: newPolicies(), extensions: newOwnExtensions()}
	h.life, h.end = context.WithCancelCause(context.Background())
	h.netLog = newNetLogSource(h)
	h.transfers = newTransfers(h)
	h.tree = cdp.NewTree(t, cdp.ConnOptions{
		Cause: h.ended,
		Malformed: func(head []byte) {
			b.log.Warn("dropped what is not of the protocol", "host", name, "frame", string(head))
		},
	}, cdp.TreeOptions{Adopt: h.adopt, Restarted: h.restarted, Attached: h.attached, Gone: h.targetGone, Navigating: h.navigating, Downloading: h.transfers.began, Restored: h.restored, Crashed: h.crashed})
	h.hidden = cdp.NewHiddenPages(h.life, h.tree)
	h.workerScripts = cdp.NewInterception(h.life)
	h.workerScripts.JoinLive(cdp.BrowserTarget(h.tree.Conn()))
	if err := h.greet(ctx, owner); err != nil {
		h.tree.Conn().Close()
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		h.tree.Conn().Close()
		return nil, errBrowserClosed
	}
	b.hosts = append(b.hosts, h)
	go h.watch()
	return h, nil
}

// greet learns which context is the default one and begins to watch targets.
func (h *host) greet(ctx context.Context, owner *Session) error {
	var contexts struct {
		Default string `json:"defaultBrowserContextId"`
	}
	if err := h.root().Call(ctx, "Target.getBrowserContexts", nil, &contexts); err != nil {
		return err
	}
	h.defaultContext = contexts.Default
	if err := h.transfers.begin(); err != nil {
		return err
	}
	if owner != nil {
		h.addContext(h.defaultContext, owner)
	}
	if err := h.tree.Watch(ctx); err != nil {
		return err
	}
	h.browser.mu.Lock()
	domains := h.browser.ntlmDomains
	h.browser.mu.Unlock()
	if domains == "" {
		return nil
	}
	return h.allowNTLM(ctx, domains)
}

// ended is asked by the connection why it ended.
func (h *host) ended(cause error) error {
	gone := &HostGoneError{Cause: cause, Sessions: h.partitions()}
	if h.process != nil {
		gone.PID = h.process.PID()
		select {
		case <-h.process.Done():
		case <-time.After(2 * time.Second):
			// It closed its pipe and lives: it is deaf, which is as good as
			// dead.
			h.process.Kill()
			<-h.process.Done()
		}
		gone.Exit = h.process.Exit()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = gone
	return gone
}

// watch ends what hangs on the host when the connection has ended.
func (h *host) watch() {
	<-h.tree.Conn().Done()
	h.end(h.tree.Conn().Err())
	h.mu.Lock()
	sessions, closing, gone := h.contexts, h.closing, h.gone
	h.contexts = map[string]*Session{}
	h.mu.Unlock()
	for _, s := range sessions {
		s.displaced(h)
	}
	if closing {
		return
	}
	h.browser.removeHost(h)
	if h.process != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := h.process.Close(ctx); err != nil {
			h.browser.log.Warn("cleaning up after Chromium", "host", h.name, "error", err)
		}
	}
	h.browser.log.Error("Chromium is gone", "host", h.name, "error", gone)
	if handler := h.browser.goneHandler.get(); handler != nil {
		h.browser.safely("OnHostGone", func() { handler(gone) })
	}
}

func (b *Browser) removeHost(h *host) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts = slices.DeleteFunc(b.hosts, func(o *host) bool { return o == h })
}

// ending reports whether the process ends, or has.
func (h *host) ending() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing || h.tree.Conn().Err() != nil
}

// close ends the Chromium process in an orderly way.
func (h *host) close() error {
	h.mu.Lock()
	again := h.closing
	h.closing = true
	h.mu.Unlock()
	if again {
		<-h.tree.Conn().Done()
		return nil
	}
	h.browser.removeHost(h)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if h.process == nil {
		return h.tree.Conn().Close()
	}
	err := h.process.Close(ctx)
	h.tree.Conn().Close()
	return err
}

// session is the session that a browser context belongs to.
func (h *host) session(browserContextID string) *Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.contexts[browserContextID]
}

func (h *host) addContext(id string, s *Session) {
	h.mu.Lock()
	h.contexts[id] = s
	h.mu.Unlock()
	h.transfers.lead(id)
}

func (h *host) removeContext(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.contexts, id)
}

func (h *host) adopt(t *cdp.Target) ([]cdp.Command, bool) {
	if s := h.session(t.BrowserContextID()); s != nil {
		return s.adopt(t)
	}
	return nil, false
}

func (h *host) restarted(t *cdp.Target) []cdp.Command {
	if s := h.session(t.BrowserContextID()); s != nil {
		return s.restarted(t)
	}
	return nil
}

func (h *host) attached(t *cdp.Target) {
	if s := h.session(t.BrowserContextID()); s != nil {
		s.attached(t)
	}
}

func (h *host) targetGone(t *cdp.Target) {
	if s := h.session(t.BrowserContextID()); s != nil {
		s.targetGone(t)
	}
}

func (h *host) navigating(t *cdp.Target, frameID, url string) {
	if s := h.session(t.BrowserContextID()); s != nil {
		s.externals.navigating(t, frameID, url)
	}
}

func (h *host) restored(t *cdp.Target) {
	if s := h.session(t.BrowserContextID()); s != nil {
		s.preloads.restored(t)
	}
}

func (h *host) crashed(t *cdp.Target, status string, code int) {
	if s := h.session(t.BrowserContextID()); s != nil {
		s.crashed(t, status, code)
	}
}

// pooledHost returns a host with room for one more session in memory, starting
// one where there is none, and reserves the room.
func (b *Browser) pooledHost(ctx context.Context) (*host, error) {
	if err := b.pooling.take(ctx); err != nil {
		return nil, err
	}
	defer b.pooling.give()
	for _, h := range b.pool() {
		if h.reserve() {
			return h, nil
		}
	}
	h, err := b.startHost(ctx, "sessions in memory", "", nil)
	if err != nil {
		return nil, err
	}
	h.reserve()
	return h, nil
}

// pool are the hosts that carry sessions in memory: that of the default
// session, and those that were started for nothing else.
func (b *Browser) pool() []*host {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.remote != nil {
		return []*host{b.remote}
	}
	return slices.DeleteFunc(slices.Clone(b.hosts), func(h *host) bool { return !h.pooled() })
}

// pooled reports whether the default context of the host belongs to nobody, or
// to the default session.
func (h *host) pooled() bool {
	owner := h.session(h.defaultContext)
	return owner == nil || owner.key == sessionKey{}
}

func (h *host) reserve() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	created := len(h.contexts)
	if h.contexts[h.defaultContext] != nil {
		created--
	}
	o := h.browser.opts
	if h.retired || h.closing || h.tree.Conn().Err() != nil || created+h.reserved >= o.ContextsPerHost || h.clients >= o.ClientsPerHost {
		return false
	}
	h.reserved++
	return true
}

// createContext makes a browser context for a session, in room that was
// reserved. A context whose caller has gone is disposed of when it comes.
func (h *host) createContext(ctx context.Context, s *Session) (string, error) {
	defer func() {
		h.mu.Lock()
		h.reserved--
		h.mu.Unlock()
	}()
	type made struct {
		id  string
		err error
	}
	reply := make(chan made)
	params, err := s.outlet.contextProxy()
	if err != nil {
		return "", err
	}
	h.tree.Conn().Send(cdp.Command{Session: h.root(), Method: "Target.createBrowserContext", Params: params, Done: func(result jsonv2.Value, err error) {
		var r struct {
			BrowserContextID string `json:"browserContextId"`
		}
		if err == nil {
			err = jsonv2.Unmarshal(result, &r)
		}
		go func() {
			select {
			case reply <- made{r.BrowserContextID, err}:
			case <-ctx.Done():
				h.disposeContext(r.BrowserContextID)
			}
		}()
	}})
	select {
	case m := <-reply:
		if m.err == nil {
			h.addContext(m.id, s)
		}
		return m.id, m.err
	case <-ctx.Done():
		return "", fmt.Errorf("Target.createBrowserContext: %w", context.Cause(ctx))
	}
}

// disposeContext ends a context that nobody waits for.
func (h *host) disposeContext(id string) {
	if id != "" {
		h.tree.Conn().Send(cdp.Command{Session: h.root(), Method: "Target.disposeBrowserContext", Params: map[string]string{"browserContextId": id}})
	}
}

// retire reports whether the host was started for sessions in memory alone and
// carries none any more; it then takes no new one.
func (h *host) retire() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.contexts) > 0 || h.reserved > 0 || h.process == nil || h.closing {
		return false
	}
	h.retired = true
	return true
}

// ownDir is where a persistent session lives.
func (b *Browser) ownDir(key sessionKey) string {
	switch {
	case key.path != "":
		return key.path
	case key == sessionKey{}:
		return b.opts.UserDataDir
	}
	return partitionDir(b.opts.UserDataDir, key.name)
}
