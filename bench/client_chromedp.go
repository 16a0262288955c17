package bench

import (
	"context"
	"errors"

	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
)

type chromedpClient struct {
	ctx   context.Context // of chromedp, with a browser
	pid   int
	close func() error
}

// startChromedpDefault leaves the start to chromedp.
func startChromedpDefault(ctx context.Context) (Client, error) {
	binary, err := chromium.Find("")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox)
	allocator, cancel := chromedp.NewExecAllocator(ctx, options...)
	c := &chromedpClient{close: func() error { cancel(); return nil }}
	if c.ctx, err = firstTab(allocator); err != nil {
		cancel()
		return nil, err
	}
	c.pid = chromedp.FromContext(c.ctx).Browser.Process().Pid
	return c, nil
}

// startChromedp gives chromedp a Chromium that was started as the bridge does
// it, over chromedp's own pipe connection.
func startChromedp(ctx context.Context) (Client, error) {
	process, err := startChromium(ctx)
	if err != nil {
		return nil, err
	}
	allocator, cancel := chromedp.NewAllocatorContext(ctx, &processAllocator{process})
	c := &chromedpClient{pid: process.PID(), close: func() error {
		cancel()
		return process.Close(context.WithoutCancel(ctx))
	}}
	if c.ctx, err = firstTab(allocator); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// firstTab makes chromedp's first context, which has the connection.
func firstTab(allocator context.Context) (context.Context, error) {
	ctx, _ := chromedp.NewContext(allocator) // ends with the allocator's
	return ctx, chromedp.Do(ctx)
}

type processAllocator struct{ process *chromium.Process }

func (a *processAllocator) Allocate(ctx context.Context, o ...chromedp.BrowserOption) (*chromedp.Browser, error) {
	r, w := a.process.Pipe()
	return chromedp.NewBrowserTransport(ctx, chromedp.NewPipeConn(r, w), o...)
}

func (a *processAllocator) Wait()          {}
func (a *processAllocator) Attaches() bool { return true }

func (c *chromedpClient) PID() int     { return c.pid }
func (c *chromedpClient) Close() error { return c.close() }

func (c *chromedpClient) Page(context.Context) (Page, error) { return c.open() }

func (c *chromedpClient) Session(context.Context) (Page, error) {
	return c.open(chromedp.WithNewBrowserContext())
}

func (c *chromedpClient) open(o ...chromedp.ContextOption) (Page, error) {
	ctx, _ := chromedp.NewContext(c.ctx, o...) // ends with Close, and with the browser
	if err := chromedp.Do(ctx); err != nil {
		return nil, err
	}
	return &chromedpPage{ctx: ctx, target: chromedp.FromContext(ctx).Target}, nil
}

// chromedpPage is chromedp's context of a page. Actions run in that one, and
// end with the context that the client was started with.
type chromedpPage struct {
	ctx    context.Context
	target *chromedp.Target
}

func (p *chromedpPage) Load(_ context.Context, url string) error {
	return chromedp.Do(p.ctx, chromedp.Navigate(url))
}

func (p *chromedpPage) Evaluate(ctx context.Context, expression string) error {
	return evaluate(ctx, p.target, expression)
}

func (p *chromedpPage) Text(_ context.Context, expression string) (string, error) {
	return chromedp.Run(p.ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
}

// ShowConsole has nothing to do: chromedp has the domain on in every page.
func (p *chromedpPage) ShowConsole(context.Context) error { return nil }

func (p *chromedpPage) Listen(ctx context.Context, n int, trigger func() error) error {
	return listenTyped(ctx, p.target, n, trigger)
}

func (p *chromedpPage) PassRequests(ctx context.Context, patterns int) error {
	var params fetch.EnableParams
	for _, pattern := range urlPatterns(patterns) {
		params.Patterns = append(params.Patterns, &fetch.RequestPattern{URLPattern: pattern})
	}
	paused := cdp.Events(p.ctx, p.target, fetch.RequestPaused)
	go func() { // ends with the page
		for ev, err := range paused {
			if err != nil {
				return
			}
			go func() {
				_, _ = cdp.Call(p.ctx, p.target, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: ev.RequestID})
			}()
		}
	}()
	_, err := cdp.Call(ctx, p.target, fetch.Enable, params)
	return err
}

func (p *chromedpPage) Close(context.Context) error { return chromedp.Cancel(p.ctx) }
