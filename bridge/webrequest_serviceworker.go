package bridge

import (
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// placed is told where the session is from now on.
func (t *traffic) placed(at *place) {
	t.web.mu.Lock()
	defer t.web.mu.Unlock()
	t.scripts.place(at)
	t.updateScripts()
}

// updateScripts takes the main scripts of service workers through the listeners
// that want scripts, in a process that the session has to itself only: the other
// sessions would pay for it.
func (t *traffic) updateScripts() {
	if !t.scripts.alone {
		return
	}
	w := t.web
	t.scripts.set(slices.Concat(
		scriptPatterns("Request", slices.Concat(w.beforeRequest.filters(), w.beforeSendHeaders.filters(), w.sendHeaders.filters())),
		scriptPatterns("Response", slices.Concat(w.headersReceived.filters(), w.beforeRedirect.filters())),
	))
}

// scriptPatterns are those of the filters that can select a script.
func scriptPatterns(stage string, filters []*requestFilter) []cdp.Pattern {
	return wirePatterns(stage, slices.DeleteFunc(filters, func(f *requestFilter) bool {
		return len(f.types) > 0 && !slices.Contains(f.types, ResourceScript)
	}))
}
