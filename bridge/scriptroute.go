package bridge

import (
	"context"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// scriptRoute pauses the requests for the main scripts of service workers, which
// arrive on no target of a session but on the whole process (host.workerScripts).
// Having them paused makes every request of every session in the process about
// 1.6 times slower (of one that has a listener itself, 1.25 times), whether it
// matches or not. Its user guards it.
type scriptRoute struct {
	order  int
	handle func(context.Context, *cdp.PausedRequest) (handled bool)

	browser *cdp.Interception // of the session's process, nil while there is none
	alone   bool              // in it
	route   *cdp.Route
}

func newScriptRoute(order int, handle func(context.Context, *cdp.PausedRequest) bool) *scriptRoute {
	return &scriptRoute{order: order, handle: handle}
}

// place is told where the session is from now on.
func (s *scriptRoute) place(at *place) {
	s.browser, s.alone = at.host.workerScripts, at.alone()
	s.route = &cdp.Route{Order: s.order, Handle: s.handleScript}
}

// unplace takes the route away from a process that goes on without the session.
func (s *scriptRoute) unplace() {
	s.set(nil)
	s.browser, s.alone = nil, false
}

// set pauses the scripts that the patterns select.
func (s *scriptRoute) set(patterns []cdp.Pattern) {
	if s.browser == nil {
		return
	}
	for i := range patterns {
		patterns[i].ResourceType = "Other" // as which Chromium counts them
	}
	s.browser.Set(s.route, patterns)
}

// handleScript hands on the main scripts of service workers, and nothing else:
// the rest comes again, on its target.
func (s *scriptRoute) handleScript(ctx context.Context, p *cdp.PausedRequest) (handled bool) {
	return p.Request.Header("Service-Worker") == "script" && s.handle(ctx, p)
}
