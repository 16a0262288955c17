package bridge

import (
	"context"
	"maps"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// workerScripts lets handlers answer requests for the main scripts of service
// workers. Having these paused slows down every request of the process, so in
// one that other sessions share it is done only for schemes that nobody else
// could answer, and only for those that may have service workers.
type workerScripts struct {
	browser *cdp.Interception // of the session's process, nil while there is none
	alone   bool              // in it
	route   *cdp.Route
}

// placed is told where the session is from now on.
func (p *Protocol) placed(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers = workerScripts{at.host.workerScripts, at.alone(), &cdp.Route{Order: protocolOrder, Handle: p.handleWorkerScript}}
	p.workers.update(p)
}

// unplace takes the route away from a process that goes on without the session.
func (p *Protocol) unplace() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers.browser != nil {
		p.workers.browser.Set(p.workers.route, nil)
	}
	p.workers = workerScripts{}
}

func (w *workerScripts) update(p *Protocol) {
	if w.browser != nil {
		w.browser.Set(w.route, w.patterns(p))
	}
}

func (w *workerScripts) patterns(p *Protocol) []cdp.Pattern {
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
