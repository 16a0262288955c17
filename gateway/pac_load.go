package gateway

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// wpadURL is where a network offers its PAC script.
const wpadURL = "http://wpad/wpad.dat"

// wpadLookup is how long the name wpad may take to be found.
const wpadLookup = time.Second

// PACError is the error of a PAC script that cannot be fetched or read, or that
// fails. The script is mandatory: who gets this fails too, as Chromium does
// with ERR_MANDATORY_PROXY_CONFIGURATION_FAILED.
type PACError struct {
	URL string // of the script, without credentials, data: URLs shortened
	Err error
}

func (e *PACError) Error() string {
	return fmt.Sprintf("the PAC script %s: %v", e.URL, e.Err)
}

// Unwrap gives the reason.
func (e *PACError) Unwrap() error { return e.Err }

// pacRenewal is after how long a script is fetched again, as in Chromium.
const pacRenewal = 12 * time.Hour

// pacEvaluator is a PAC script that is fetched when it is first needed. A route
// that is asked for much later has it fetched again, and still takes the old
// one, which stays if that fails. A first fetch that failed is tried again by
// later routes.
type pacEvaluator struct {
	address   string // the script's URL
	mandatory bool   // else failures go direct
	options   ProxyOptions
	ctx       context.Context // ends with close
	cancel    context.CancelCauseFunc

	mu       sync.Mutex
	load     *pacLoad // nil before the first
	failures int      // without a success since
}

// pacLoad is one fetch. script and err are set when done is closed.
type pacLoad struct {
	done   chan struct{}
	cancel context.CancelFunc
	script *pacScript
	err    error
	again  time.Time // when the next one is due
}

func newPACEvaluator(address string, mandatory bool, options ProxyOptions) (*pacEvaluator, error) {
	if err := checkPACURL(address); err != nil {
		return nil, &ConfigError{Field: "PACScript", Part: shortURL(address), Reason: err.Error()}
	}
	p := &pacEvaluator{address: address, mandatory: mandatory, options: options}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	return p, nil
}

// shortURL is a URL for messages, without a password.
func shortURL(s string) string {
	if u, err := url.Parse(s); err == nil {
		s = u.Redacted()
	} else {
		s = withoutUser(s)
	}
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return s
}

// route never asks the script about local hosts, as Chromium does not.
func (p *pacEvaluator) route(ctx context.Context, t *target) (Route, error) {
	direct := Route{{Kind: Direct}}
	if t.isLocal() {
		return direct, nil
	}
	route, err := p.ask(ctx, t)
	switch {
	case err == nil:
		return route, nil
	case p.ctx.Err() != nil:
		return nil, context.Cause(p.ctx)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !p.mandatory:
		return direct, nil
	}
	return nil, &PACError{URL: shortURL(p.address), Err: err}
}

func (p *pacEvaluator) ask(ctx context.Context, t *target) (Route, error) {
	script, err := p.wait(ctx, p.current)
	if err != nil {
		return nil, err
	}
	result, err := script.find(ctx, t)
	if err != nil {
		p.options.Logger.Debug("a PAC script failed", "script", shortURL(p.address), "error", err)
		return nil, err
	}
	return parsePACResult(result)
}

// wait waits for a load. One that reload replaced meanwhile gives way to the
// new one.
func (p *pacEvaluator) wait(ctx context.Context, load func() *pacLoad) (*pacScript, error) {
	for {
		l := load()
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !p.replaced(l) {
			return l.script, l.err
		}
		load = p.current
	}
}

func (p *pacEvaluator) replaced(l *pacLoad) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.load != l
}

// current is the load that holds. A failure that is old enough begins anew.
func (p *pacEvaluator) current() *pacLoad {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l := p.load; {
	case l == nil:
		p.begin()
	case !l.due():
	case l.err != nil:
		p.begin()
	default:
		l.again = time.Now().Add(pacRenewal)
		p.start(func(renewed *pacLoad) {
			if renewed.err == nil && p.load == l {
				p.load = renewed
			}
		})
	}
	return p.load
}

// due reports whether a load is over and the next one may begin.
func (l *pacLoad) due() bool {
	select {
	case <-l.done:
		return !time.Now().Before(l.again)
	default:
		return false
	}
}

func (p *pacEvaluator) reload(ctx context.Context) error {
	_, err := p.wait(ctx, func() *pacLoad {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.load != nil {
			p.load.cancel()
		}
		p.failures = 0
		p.begin()
		return p.load
	})
	switch {
	case err == nil || !p.mandatory:
		return nil
	case p.ctx.Err() != nil:
		return context.Cause(p.ctx)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &PACError{URL: shortURL(p.address), Err: err}
}

// begin starts the load that holds. The caller has mu.
func (p *pacEvaluator) begin() { p.load = p.start(p.ended) }

// start starts a load, and calls ended with mu.
func (p *pacEvaluator) start(ended func(*pacLoad)) *pacLoad {
	ctx, cancel := context.WithCancel(p.ctx)
	l := &pacLoad{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer cancel()
		l.script, l.err = p.fetch(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		l.again = time.Now().Add(pacRenewal)
		ended(l)
		close(l.done)
	}()
	return l
}

// ended sets when a failure is tried again, later each time as Chromium does.
// Chromium's last step, four hours, is left out.
func (p *pacEvaluator) ended(l *pacLoad) {
	switch {
	case p.load != l:
	case l.err == nil:
		p.failures = 0
	default:
		delays := []time.Duration{8 * time.Second, 32 * time.Second, 2 * time.Minute}
		l.again = time.Now().Add(delays[min(p.failures, len(delays)-1)])
		p.failures++
		p.options.Logger.Warn("a PAC script cannot be had", "script", shortURL(p.address), "error", l.err)
	}
}

func (p *pacEvaluator) fetch(ctx context.Context) (*pacScript, error) {
	if !p.mandatory {
		if err := p.findWPAD(ctx); err != nil {
			return nil, err
		}
	}
	source, err := fetchPAC(ctx, p.address, p.options)
	if err != nil {
		return nil, err
	}
	return compilePAC(ctx, source, p.options.lookup, p.options.Logger)
}

// findWPAD keeps networks without a script from waiting for one.
func (p *pacEvaluator) findWPAD(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wpadLookup)
	defer cancel()
	_, err := p.options.lookup(ctx, "wpad")
	return err
}

func (p *pacEvaluator) close() { p.cancel(ErrProxyClosed) }
