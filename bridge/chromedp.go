package bridge

import (
	"context"
	"io"
	"sync"

	"github.com/chromedp/cdproto"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Chromedp returns a context for the actions of github.com/chromedp/chromedp on
// this page:
//
//	err := chromedp.Do(page.Chromedp(), chromedp.Click("#buy"))
//
// It is the same context each time and ends with the page. chromedp attaches
// with its first action; from then on it has the domains on that it always has,
// among them Network, which makes the page's requests slower.
func (w *WebContents) Chromedp() context.Context {
	w.chromedp.once.Do(func() {
		allocator, _ := chromedp.NewAllocatorContext(w.life, &chromedpAllocator{session: w.session})
		w.chromedp.ctx, _ = chromedp.NewContext(allocator, chromedp.WithTargetID(target.ID(w.ID())), chromedp.WithDetachOnCancel())
	})
	return w.chromedp.ctx
}

type chromedpContext struct {
	once sync.Once
	ctx  context.Context
}

// chromedpAllocator gives chromedp a virtual client of the session for its
// browser.
type chromedpAllocator struct{ session *Session }

func (a *chromedpAllocator) Allocate(ctx context.Context, o ...chromedp.BrowserOption) (*chromedp.Browser, error) {
	raw, err := a.session.Attach(ctx)
	if err != nil {
		return nil, err
	}
	log := a.session.browser.log
	o = append([]chromedp.BrowserOption{chromedp.WithBrowserErrorf(func(format string, args ...any) {
		log.Debug("chromedp", "format", format, "args", args)
	})}, o...)
	return chromedp.NewBrowserTransport(ctx, &chromedpTransport{raw}, o...)
}

func (a *chromedpAllocator) Wait() {}

// Attaches tells chromedp that its contexts are tabs of a browser that somebody
// else owns.
func (a *chromedpAllocator) Attaches() bool { return true }

// chromedpTransport is a virtual client as chromedp wants a connection.
type chromedpTransport struct{ raw *RawConn }

func (t *chromedpTransport) Read(ctx context.Context, m *cdproto.Message) error {
	frame, err := t.raw.ReadFrame(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return io.EOF
	}
	return jsonv2.Unmarshal(frame, m, chromedp.DefaultUnmarshalOptions)
}

func (t *chromedpTransport) Write(ctx context.Context, m *cdproto.Message) error {
	frame, err := jsonv2.Marshal(m, chromedp.DefaultMarshalOptions)
	if err != nil {
		return err
	}
	return t.raw.WriteFrame(ctx, frame)
}

func (t *chromedpTransport) Close() error { return t.raw.Close() }
