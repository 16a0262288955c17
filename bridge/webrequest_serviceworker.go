package bridge

import (
	"context"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// serviceWorkerScripts pauses the main scripts of service workers for listeners
// (host.workerScripts). Having the domain on there makes every
// request of every session in the process about 1.6 times slower (of one that
// has a listener itself, 1.25 times), whether it matches or not. So it is on in
// a process that the session has to itself only, and only while a listener wants
// scripts.
type serviceWorkerScripts struct {
	browser *cdp.Interception // of the session's process, nil if that is shared
	route   *cdp.Route
}

// placed is told where the session is from now on.
func (t *traffic) placed(at *place) {
	t.web.mu.Lock()
	defer t.web.mu.Unlock()
	t.scripts = serviceWorkerScripts{}
	if at.alone() {
		t.scripts = serviceWorkerScripts{at.host.workerScripts, &cdp.Route{Order: webRequestOrder, Handle: t.handleScript}}
		t.scripts.update(t)
	}
}

func (s *serviceWorkerScripts) update(t *traffic) {
	if s.browser == nil {
		return
	}
	w := t.web
	s.browser.Set(s.route, slices.Concat(
		scriptPatterns("Request", slices.Concat(w.beforeRequest.filters(), w.beforeSendHeaders.filters(), w.sendHeaders.filters())),
		scriptPatterns("Response", slices.Concat(w.headersReceived.filters(), w.beforeRedirect.filters())),
	))
}

// scriptPatterns are those of the filters that can select a script.
func scriptPatterns(stage string, filters []*requestFilter) []cdp.Pattern {
	patterns := wirePatterns(stage, slices.DeleteFunc(filters, func(f *requestFilter) bool {
		return len(f.types) > 0 && !slices.Contains(f.types, ResourceScript)
	}))
	for i := range patterns {
		patterns[i].ResourceType = "Other"
	}
	return patterns
}

// handleScript takes the main script of a service worker through the listeners,
// and nothing else: the rest comes again, on its target.
func (t *traffic) handleScript(ctx context.Context, p *cdp.PausedRequest) (handled bool) {
	if !isWorkerScript(p) {
		return false
	}
	return t.handle(ctx, p)
}

// isWorkerScript reports whether a request is for the main script of a service
// worker.
func isWorkerScript(p *cdp.PausedRequest) bool { return p.Request.Header("Service-Worker") == "script" }
