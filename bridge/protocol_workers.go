package bridge

import (
	"context"
	"maps"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// placed is told where the session is from now on.
func (p *Protocol) placed(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers.place(at)
	p.workers.set(p.workerPatterns())
}

// unplace takes the route away from a process that goes on without the session.
func (p *Protocol) unplace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers.unplace()
}

// workerPatterns select the main scripts of service workers that the tables
// answer. In a process that other sessions share these are only of schemes that
// nobody else could answer, and only of those that may have service workers.
func (p *Protocol) workerPatterns() []cdp.Pattern {
	var patterns []cdp.Pattern
	for _, scheme := range slices.Sorted(maps.Keys(p.registered)) {
		if p.session.browser.schemes[scheme].AllowServiceWorkers {
			patterns = append(patterns, wirePattern(scheme))
		}
	}
	for _, scheme := range slices.Sorted(maps.Keys(p.intercepted)) {
		if p.workers.alone && scheme != "file" {
			patterns = append(patterns, cdp.Pattern{URLPattern: scheme + ":*"})
		}
	}
	return patterns
}

// handleWorkerScript answers a request for the main script of a service worker
// of the session.
func (p *Protocol) handleWorkerScript(ctx context.Context, paused *cdp.PausedRequest) bool {
	at, _ := p.session.present()
	if at == nil || paused.AtResponse() {
		return false
	}
	worker := at.host.tree.Target(paused.FrameID)
	if worker == nil || at.host.session(worker.BrowserContextID()) != p.session {
		return false
	}
	return p.handle(ctx, paused)
}
