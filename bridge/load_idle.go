package bridge

import (
	"context"
	"errors"
	"time"
)

// writtenIdle tells when a document that LoadHTML has written is idle. Chromium
// does not: Blink's IdlenessDetector tells networkIdle once for what a navigation
// has brought, and a written document is no navigation. It is no longer needed
// when LoadHTML with WaitNetworkIdle returns twice in a row without it.
type writtenIdle struct {
	parsed bool
	open   map[string]bool // the requests of the main frame, by id
	quiet  *time.Timer     // runs while the document is parsed and nothing is open
}

// errIdle ends a wait for a document to be idle.
var errIdle = errors.New("no request is open")

// idleTime is how long an idle page has had no request open: Chromium's time for
// networkIdle.
const idleTime = 500 * time.Millisecond

// watchIdle makes the navigation look at the requests of the document it writes.
// The context that it returns ends with errIdle when the document is idle.
func (n *navigation) watchIdle(ctx context.Context) (_ context.Context, end func()) {
	release := n.page.session.network.use()
	ctx, cancel := context.WithCancelCause(ctx)
	quiet := time.AfterFunc(idleTime, func() { cancel(errIdle) })
	quiet.Stop()
	n.idle = &writtenIdle{open: map[string]bool{}, quiet: quiet}
	return ctx, func() {
		quiet.Stop()
		cancel(nil)
		release()
	}
}

// note takes in an event of the main frame.
func (i *writtenIdle) note(method string, p pageProgress) {
	switch {
	case p.Name == "init":
		i.parsed = false
	case p.Name == "DOMContentLoaded":
		i.parsed = true
	case method == "Network.requestWillBeSent":
		i.open[p.RequestID] = true
	case p.RequestID != "": // it ended, or failed
		delete(i.open, p.RequestID)
	default:
		return
	}
	i.quiet.Stop()
	if i.parsed && len(i.open) == 0 {
		i.quiet.Reset(idleTime)
	}
}

// end is told that a navigation has brought another document, of which Chromium
// tells all.
func (i *writtenIdle) end() *writtenIdle {
	if i != nil {
		i.quiet.Stop()
	}
	return nil
}
