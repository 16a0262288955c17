package bridge

import (
	"context"
	"iter"
	"time"
)

// Responsiveness returns an iterator that yields false when the page's main
// thread has not answered for the time limit (0 means 5 seconds), and true when
// it answers again: Electron's events unresponsive and responsive. A page that
// shows a dialog counts as unresponsive. It ends with ctx and with the page.
func (w *WebContents) Responsiveness(ctx context.Context, limit time.Duration) iter.Seq[bool] {
	if limit <= 0 {
		limit = 5 * time.Second
	}
	return func(yield func(bool) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for w.Err() == nil && ctx.Err() == nil {
			answered := w.ping(ctx)
			select {
			case <-answered:
			case <-time.After(limit):
				if !yield(false) || !wait(ctx, w.life, answered) || !yield(true) {
					return
				}
			case <-ctx.Done():
				return
			case <-w.life.Done():
				return
			}
			select {
			case <-time.After(limit / 4):
			case <-ctx.Done():
				return
			case <-w.life.Done():
				return
			}
		}
	}
}

// ping asks the page's main thread for a sign of life. That a crashed page has
// none is told by RenderProcessGone.
func (w *WebContents) ping(ctx context.Context) <-chan struct{} {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		w.renderer(ctx, "Runtime.evaluate", map[string]string{"expression": "0"}, nil)
	}()
	return answered
}

// wait waits for done and reports whether it came before either context ended.
func wait(ctx, life context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return ctx.Err() == nil && life.Err() == nil
	case <-ctx.Done():
	case <-life.Done():
	}
	return false
}
