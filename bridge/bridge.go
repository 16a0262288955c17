package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/gateway"
)

// FlagSet is a set of switches that Chromium is started with.
type FlagSet = chromium.FlagSet

// The flag sets.
const (
	// Lean switches off what costs time and memory and what no page can notice.
	Lean = chromium.Lean
	// Stock leaves Chromium's features as they are.
	Stock = chromium.Stock
	// Fast is Lean, and switches off PaintHolding, RenderDocument and the
	// back-forward cache too: for test harnesses. Pages can notice the latter.
	Fast = chromium.Fast
)

// Options are the options of Launch. The zero value is a headless Chromium in a
// temporary directory with its sandbox on.
type Options struct {
	// UserDataDir holds the default session and, below Partitions, the other
	// persistent ones. It is made if it is missing. Empty means a temporary
	// directory that is removed at the end.
	UserDataDir string
	// CodeCachePath is that of the default session: see
	// PartitionOptions.CodeCachePath.
	CodeCachePath string
	// Binary is the browser to start. Empty means $BRIDGE_CHROMIUM, then the
	// well-known places of Chromium, Chrome and Edge.
	Binary string
	// Headful shows windows on the display; false starts Chromium headless.
	Headful bool
	// Flags is the set of switches: Lean by default.
	Flags FlagSet
	// Args are further switches, such as "--window-size=800,600". A list of
	// features in them is merged with the bridge's own.
	Args []string
	// NoSandbox takes Chromium's sandbox away. Every page could then do what the
	// process may do: only for containers that cannot have it and trust what
	// they open.
	NoSandbox bool
	// User is who Chromium runs as when the bridge runs as root. nil means an
	// unprivileged user of the system.
	User *chromium.User
	// ContextsPerHost is how many sessions in memory share a Chromium process;
	// 0 means 64.
	ContextsPerHost int
	// ClientsPerHost is how many attached clients (Session.Attach) a process of
	// sessions in memory takes before further sessions go to another; 0 means
	// 32.
	ClientsPerHost int
	// PrivilegedSchemes are schemes of the program's own whose pages may do more
	// than show themselves: Electron's protocol.registerSchemesAsPrivileged.
	// Session.Protocol answers them.
	PrivilegedSchemes []PrivilegedScheme
	// NetLog makes every Chromium process log its network traffic from its start
	// on, for NetLog.StartLogging: "includeSensitive", with cookies and logins, or
	// "everything", with all bytes that are transferred. Nothing is stored until
	// somebody logs, but the processes do the work: it makes many small requests
	// slower, and "everything" large ones. Empty is off. Not on Windows.
	NetLog string
	// Logger gets what the bridge and Chromium have to say; nil discards it.
	Logger *slog.Logger
}

// Browser is a running bridge: one or more Chromium processes and the sessions
// in them. It is safe for use by several goroutines.
type Browser struct {
	opts   Options
	log    *slog.Logger
	binary string
	remote *host             // the one host of a browser that the bridge did not start
	temp   *chromium.TempDir // in the place of Options.UserDataDir
	life   context.Context
	end    context.CancelFunc

	streams     *localStreams
	schemes     schemes
	hostRules   gateway.HostRules
	trustedKeys []string       // hashes, as the switch has them
	systemProxy *gateway.Proxy // of sessions without settings of their own
	devices     nativeDevices
	authority   func() (*gateway.Authority, error)

	goneHandler    setter[func(*HostGoneError)]
	createdHandler setter[func(*Session)]

	describing  turn
	description []byte // of the protocol; guarded by describing

	pooling  turn           // of who chooses a host for a session in memory
	starting sync.WaitGroup // hosts that are being started
	closing  context.Context
	stop     context.CancelCauseFunc
	close    func() error // once

	mu          sync.Mutex
	ntlmDomains string
	sessions    map[sessionKey]*Session
	turns       map[sessionKey]turn // of persistent sessions
	hosts       []*host
	closed      bool

	downloadNames downloadNames
	keptDirs      sync.Map // the sessions that have one open, by its path
}

// Launch starts Chromium and returns when it answers. Close ends it. Errors are
// *chromium.NotFoundError, *chromium.LockedError and the like, which say what to
// do, and *HostGoneError when Chromium does not come up.
func Launch(ctx context.Context, o Options) (*Browser, error) {
	if err := checkSchemes(o.PrivilegedSchemes); err != nil {
		return nil, err
	}
	if err := o.checkNetLog(); err != nil {
		return nil, err
	}
	rules, err := o.hostRules()
	if err != nil {
		return nil, err
	}
	binary, err := chromium.Find(o.Binary)
	if err != nil {
		return nil, err
	}
	if _, err := chromium.ProbeVersion(ctx, binary); err != nil {
		return nil, err
	}
	b := newBrowser(o)
	b.binary, b.hostRules = binary, rules
	if err := b.chooseDirectory(); err != nil {
		return nil, err
	}
	if _, err := b.FromPartition(ctx, "", PartitionOptions{CodeCachePath: o.CodeCachePath}); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// chooseDirectory settles where the sessions are. A temporary directory belongs
// to the bridge and not to a Chromium process: it outlives one that crashes.
func (b *Browser) chooseDirectory() (err error) {
	if b.opts.UserDataDir == "" {
		if b.temp, err = chromium.NewTempDir("", b.opts.User); err == nil {
			b.opts.UserDataDir = b.temp.Path()
		}
		return err
	}
	b.opts.UserDataDir, err = filepath.Abs(b.opts.UserDataDir)
	return err
}

func newBrowser(o Options) *Browser {
	if o.ContextsPerHost <= 0 {
		o.ContextsPerHost = 64
	}
	if o.ClientsPerHost <= 0 {
		o.ClientsPerHost = 32
	}
	b := &Browser{
		opts: o, log: o.Logger, pooling: newTurn(), describing: newTurn(),
		streams: newLocalStreams(), schemes: newSchemes(o.PrivilegedSchemes), trustedKeys: o.trustedKeys(),
		sessions: map[sessionKey]*Session{}, turns: map[sessionKey]turn{}, devices: newNativeDevices(),
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.life, b.end = context.WithCancel(context.Background())
	b.closing, b.stop = context.WithCancelCause(context.Background())
	b.close = sync.OnceValue(b.closeAll)
	b.authority = sync.OnceValues(gateway.NewAuthority)
	b.systemProxy = systemProxy(b.proxyOptions())
	return b
}

// DefaultSession is the session of the partition "": persistent when the
// Browser has a UserDataDir.
func (b *Browser) DefaultSession() *Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[sessionKey{}]
}

// Sessions are the sessions that are open, the default one first, the others by
// name.
func (b *Browser) Sessions() []*Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]*Session, 0, len(b.sessions))
	for _, s := range b.sessions {
		if s.announced.Load() {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, c *Session) int { return a.key.compare(c.key) })
	return out
}

// OnSessionCreated sets the handler that is told of each new session, inside
// the call that creates it; nil removes it. It is Electron's app event
// session-created.
func (b *Browser) OnSessionCreated(handler func(*Session)) { b.createdHandler.set(handler) }

// OnHostGone sets the handler that is told when a Chromium process ended that
// nobody had asked to end; nil removes it. The sessions of the process remain:
// the next page that is opened in one starts it again, persistent ones with
// what was on disk.
func (b *Browser) OnHostGone(handler func(*HostGoneError)) { b.goneHandler.set(handler) }

// Healthy asks every Chromium process for a sign of life, and returns an error
// that names those that give none before ctx ends, and the sessions whose
// process has ended and was not started again yet.
func (b *Browser) Healthy(ctx context.Context) error {
	b.mu.Lock()
	hosts, closed := slices.Clone(b.hosts), b.closed
	b.mu.Unlock()
	if closed {
		return errBrowserClosed
	}
	var homeless []error
	for _, s := range b.Sessions() {
		if at, err := s.present(); at == nil && err == nil {
			homeless = append(homeless, fmt.Errorf("%s has no process: %w", s.title(), ErrHostGone))
		}
	}
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			if err := h.root().Call(ctx, "Browser.getVersion", nil, nil); err != nil {
				errs[i] = fmt.Errorf("%v does not answer: %w", h, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, homeless...)...)
}

// Close ends all sessions and all Chromium processes, those that are being
// started included. What belongs on disk is written, temporary directories are
// removed. Whoever calls it again waits for the first.
func (b *Browser) Close() error { return b.close() }

func (b *Browser) closeAll() error {
	b.mu.Lock()
	b.closed = true
	sessions := slices.Collect(maps.Values(b.sessions))
	b.mu.Unlock()
	b.stop(errBrowserClosed)
	b.starting.Wait()
	logs := finishNetLogs(sessions)
	for _, s := range sessions {
		s.finish()
	}
	b.mu.Lock()
	hosts := b.hosts
	b.hosts = nil
	b.mu.Unlock()
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = h.close() })
	}
	wg.Wait()
	b.end()
	b.systemProxy.Close()
	errs = append(errs, logs, b.streams.close())
	if b.temp != nil {
		errs = append(errs, b.temp.Remove())
	}
	return errors.Join(errs...)
}

// safely runs a user's handler. A panic is logged and ends nothing; it reports
// whether the handler returned.
func (b *Browser) safely(what string, f func()) (returned bool) {
	defer func() {
		if r := recover(); r != nil {
			b.log.Error("a handler panicked", "handler", what, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	f()
	return true
}

// errNoAnswer is of a handler that panicked, or was not waited for.
var errNoAnswer = errors.New("the handler gave no answer")

// outcome is what a user's handler gave.
type outcome[T any] struct {
	answer T
	err    error
}

// asked runs a user's handler in a goroutine of its own. Its outcome comes for
// certain, once it ends.
func asked[T any](b *Browser, what string, handler func() (T, error)) <-chan outcome[T] {
	outcomes := make(chan outcome[T], 1)
	go func() {
		o := outcome[T]{err: errNoAnswer}
		defer func() { outcomes <- o }()
		b.safely(what, func() { o.answer, o.err = handler() })
	}()
	return outcomes
}

// answered is the answer of a user's handler, if it comes before ctx ends.
func answered[T any](ctx context.Context, b *Browser, what string, handler func() (T, error)) (answer T, err error) {
	select {
	case o := <-asked(b, what, handler):
		return o.answer, o.err
	case <-ctx.Done():
		return answer, errNoAnswer
	}
}

// setter holds a handler that can be replaced at any time.
type setter[F any] struct {
	mu sync.Mutex
	f  F
}

func (s *setter[F]) set(f F) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.f = f
}

func (s *setter[F]) get() F {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f
}
