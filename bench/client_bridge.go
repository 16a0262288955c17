package bench

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
)

type bridgeClient struct {
	browser  *bridge.Browser
	sessions atomic.Int64
}

func startBridge(ctx context.Context) (Client, error) {
	b, err := bridge.Launch(ctx, bridge.Options{NoSandbox: true})
	if err != nil {
		return nil, err
	}
	return &bridgeClient{browser: b}, nil
}

func (c *bridgeClient) PID() int     { return c.browser.Hosts()[0].PID }
func (c *bridgeClient) Close() error { return c.browser.Close() }

func (c *bridgeClient) Page(ctx context.Context) (Page, error) {
	w, err := c.browser.DefaultSession().NewPage(ctx, "")
	if err != nil {
		return nil, err
	}
	return &bridgePage{w: w, close: w.Close}, nil
}

func (c *bridgeClient) Session(ctx context.Context) (Page, error) {
	s, err := c.browser.FromPartition(ctx, fmt.Sprintf("bench-%d", c.sessions.Add(1)), bridge.PartitionOptions{})
	if err != nil {
		return nil, err
	}
	w, err := s.NewPage(ctx, "")
	if err != nil {
		return nil, err
	}
	return &bridgePage{w: w, close: s.Close}, nil
}

type bridgePage struct {
	w     *bridge.WebContents
	close func(context.Context) error
}

func (p *bridgePage) Load(ctx context.Context, url string) error {
	return p.w.LoadURL(ctx, url, bridge.LoadOptions{})
}

func (p *bridgePage) Evaluate(ctx context.Context, expression string) error {
	return evaluate(ctx, p.w.CDP(), expression)
}

// evaluate is the typed command of cdproto, which works on the sessions of the
// bridge and of chromedp.
func evaluate(ctx context.Context, s cdp.Session, expression string) error {
	r, err := cdp.Call(ctx, s, runtime.Evaluate, runtime.EvaluateParams{Expression: expression})
	if err == nil && r.ExceptionDetails != nil {
		err = fmt.Errorf("%s threw: %s", expression, r.ExceptionDetails.Text)
	}
	return err
}

func (p *bridgePage) Text(ctx context.Context, expression string) (string, error) {
	return bridge.Evaluate[string](ctx, p.w, expression)
}

func (p *bridgePage) ShowConsole(ctx context.Context) error {
	return p.w.CDP().Call(ctx, "Runtime.enable", nil, nil)
}

func (p *bridgePage) Listen(ctx context.Context, n int, trigger func() error) error {
	return listenTyped(ctx, p.w.CDP(), n, trigger)
}

// listenTyped takes typed events of cdproto from a session of the bridge or of
// chromedp.
func listenTyped(ctx context.Context, s cdp.Session, n int, trigger func() error) error {
	events := cdp.Events(ctx, s, runtime.ConsoleAPICalled)
	return listen(trigger, func() error {
		for ev, err := range events {
			if err != nil {
				return err
			}
			if len(ev.Args) != 2 {
				return fmt.Errorf("a message of %d parts, not 2", len(ev.Args))
			}
			if n--; n == 0 {
				return nil
			}
		}
		return fmt.Errorf("the events ended, %d before the last one", n)
	})
}

func (p *bridgePage) PassRequests(_ context.Context, patterns int) error {
	filter := bridge.WebRequestFilter{URLs: urlPatterns(patterns)}
	_, err := p.w.Session().WebRequest().OnBeforeRequest(filter, func(context.Context, *bridge.BeforeRequestDetails) bridge.BeforeRequestResult {
		return bridge.BeforeRequestResult{}
	})
	return err
}

// urlPatterns are n URL patterns, of which the last one selects what
// prepareTraffic asks for.
func urlPatterns(n int) []string {
	patterns := make([]string, n)
	for i := range patterns {
		patterns[i] = elsewhere(i)
	}
	patterns[n-1] = small
	return patterns
}

func (p *bridgePage) Close(ctx context.Context) error { return p.close(ctx) }
