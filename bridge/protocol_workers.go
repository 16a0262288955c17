package bridge

import (
	"context"
	"maps"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// workerRoute lets handlers answer requests for the main scripts of service
// workers. Having these paused slows down every request of the process, so in
// one that other sessions share it is done only for schemes that nobody else
// could answer, and only for those that may have service workers.
type workerRoute struct {
	scripts *cdp.Interception // of the session's process
	alone   bool              // in it
	remove  func()            // nil where there is no route
}

// placed is told where the session is from now on.
func (p *Protocol) placed(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers = workerRoute{scripts: at.host.workerScripts, alone: at.alone()}
	p.workers.update(p)
}

// unplace takes the route away from a process that goes on without the session.
func (p *Protocol) unplace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers.remove != nil {
		p.workers.remove()
	}
	p.workers = workerRoute{}
}

func (w *workerRoute) update(p *Protocol) {
	before := w.remove
	w.remove = nil
	if patterns := w.patterns(p); w.scripts != nil && len(patterns) > 0 {
		w.remove = w.scripts.Add(&cdp.Route{Order: protocolOrder, Patterns: patterns, Handle: p.handleWorkerScript})
	}
	if before != nil {
		before()
	}
}

func (w *workerRoute) patterns(p *Protocol) []cdp.Pattern {
	var patterns []cdp.Pattern
	for _, scheme := range slices.Sorted(maps.Keys(p.registered)) {
		if p.session.browser.schemes[scheme].AllowServiceWorkers {
			patterns = append(patterns, wirePattern(scheme))
		}
	}
	for _, scheme := range slices.Sorted(maps.Keys(p.intercepted)) {
		if w.alone && scheme != "file" {
			patterns = append(patterns, cdp.Pattern{URLPattern: scheme + ":*"})
		}
	}
	for i := range patterns {
		patterns[i].ResourceType = "Other"
	}
	return patterns
}

// handleWorkerScript answers a request for the main script of a service worker
// of the session, and nothing else: the rest comes again, on its target.
func (p *Protocol) handleWorkerScript(ctx context.Context, paused *cdp.PausedRequest) bool {
	at, _ := p.session.present()
	if at == nil || paused.AtResponse() || !isWorkerScript(paused) {
		return false
	}
	worker := at.host.tree.Target(paused.FrameID)
	if worker == nil || at.host.session(worker.BrowserContextID()) != p.session {
		return false
	}
	return p.handle(ctx, paused)
}
