package bench

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Workload is something that users do, in a number of like operations.
type Workload struct {
	Name string
	// Op is one operation, in words.
	Op string
	// Count is the number of operations of one measurement, Step the smallest
	// number that makes sense.
	Count, Step int
	// Starts tells that the switches that Chromium is started with matter: it is
	// measured with chromedp's own ones too.
	Starts bool
	// Puppeteer tells that Puppeteer is measured too.
	Puppeteer bool
	// Goals are what the bridge promises.
	Goals []Goal

	// prepare makes what is there before the operations, and returns what does n
	// of them.
	prepare func(ctx context.Context, e *env) (run func(ctx context.Context, n int) error, err error)
}

// env is where a workload runs.
type env struct {
	kind   Kind
	server string // URL
	client Client // started by the first that wants it
}

func (e *env) start(ctx context.Context) (Client, error) {
	if e.client != nil {
		return e.client, nil
	}
	var err error
	e.client, err = Start(ctx, e.kind)
	return e.client, err
}

func (e *env) page(ctx context.Context) (Page, error) {
	c, err := e.start(ctx)
	if err != nil {
		return nil, err
	}
	return c.Page(ctx)
}

// browser is the process id of Chromium, 0 for none.
func (e *env) browser() int {
	if e.client == nil {
		return 0
	}
	return e.client.PID()
}

func (e *env) close() error {
	if e.client == nil {
		return nil
	}
	return e.client.Close()
}

// Workloads are all workloads, in the order of the table.
func Workloads() []Workload {
	const commands = "pipelined command, 64 in flight"
	const passing = "fetch with a listener that lets it pass"
	return []Workload{
		{
			Name: "envelope of a captured frame", Op: "frame", Count: 200_000, Step: 1000,
			Goals:   []Goal{atMost(100e-9, ClientCPU), free()},
			prepare: prepareEnvelopes,
		},
		{
			Name: "captured frame routed to nobody", Op: "frame", Count: 200_000, Step: 1000,
			Goals:   []Goal{less(3, ClientCPU), free()},
			prepare: prepareFrames,
		},
		{
			Name: "event that nobody decodes", Op: "event", Count: 20_000, Step: 1000,
			Goals:   []Goal{less(3, ClientCPU), free()},
			prepare: prepareUnheard,
		},
		{
			Name: "typed event to a subscriber", Op: "event", Count: 20_000, Step: 1000,
			Goals:   []Goal{less(1.8, ClientCPU)},
			prepare: prepareHeard,
		},
		{
			Name: commands, Op: "command", Count: 5_000, Step: 64,
			Goals:   []Goal{less(2, ClientCPU)},
			prepare: prepareCommands(64),
		},
		{
			Name: "pipelined command, 10,000 in flight", Op: "command", Count: 20_000, Step: 10_000,
			Goals:   []Goal{less(2, ClientCPU), asMuchAs(commands, ClientCPU)},
			prepare: prepareCommands(10_000),
		},
		{
			Name: "result of 20 MB", Op: "result", Count: 5, Step: 1,
			Goals:   []Goal{less(1.5, Wall), less(3, ClientCPU)},
			prepare: prepareResult,
		},
		{
			// One alone, since what comes after it adds to the garbage of it.
			Name: "single result of 20 MB", Op: "result", Count: 1, Step: 1,
			Goals:   []Goal{atMost(3*resultSize, ClientPeak)},
			prepare: prepareResult,
		},
		{
			Name: "fetch of a page that nobody watches", Op: "fetch", Count: 1_000, Step: 10, Puppeteer: true,
			Goals:   []Goal{less(1.5, Wall)},
			prepare: prepareTraffic,
		},
		{
			Name: passing, Op: "fetch", Count: 2_000, Step: 10, Puppeteer: true,
			Goals:   []Goal{less(4, ClientCPU), lessThanPuppeteer(3, ClientCPU), less(1.2, Wall)},
			prepare: preparePassing(1),
		},
		{
			Name: "fetch past 1,000 URL patterns", Op: "fetch", Count: 2_000, Step: 10,
			Goals:   []Goal{asMuchAs(passing, ClientCPU), asMuchAs(passing, Wall)},
			prepare: preparePassing(1000),
		},
		{
			Name: "new session with a page, and its end", Op: "session", Count: 10, Step: 1, Starts: true,
			Goals:   []Goal{less(1.5, Wall)},
			prepare: prepareSessions,
		},
		{
			Name: "live session with a page", Op: "session", Count: 10, Step: 1, Starts: true,
			Goals:   []Goal{less(2, BrowserMemory)},
			prepare: prepareLiveSessions,
		},
		{
			Name: "navigation to load", Op: "navigation", Count: 40, Step: 1, Starts: true,
			Goals:   []Goal{less(1.3, Wall)},
			prepare: prepareNavigation,
		},
	}
}

func prepareEnvelopes(_ context.Context, e *env) (func(context.Context, int) error, error) {
	frames, err := Frames()
	return func(_ context.Context, n int) error { return scan(e.kind, frames, n) }, err
}

func prepareFrames(_ context.Context, e *env) (func(context.Context, int) error, error) {
	frames, err := Frames()
	if err != nil {
		return nil, err
	}
	sessions, text := sessionsOf(frames), append(bytes.Join(frames, []byte{0}), 0)
	return func(_ context.Context, n int) error {
		r := newReplay(text, n)
		wait, err := route(e.kind, r, sessions)
		if err != nil {
			return err
		}
		close(r.start)
		return wait()
	}, nil
}

func prepareUnheard(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	p, err := consolePage(ctx, e)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, n int) error { return floods(ctx, p, n) }, nil
}

func prepareHeard(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	p, err := consolePage(ctx, e)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, n int) error {
		return p.Listen(ctx, n, func() error { return floods(ctx, p, n) })
	}, nil
}

func consolePage(ctx context.Context, e *env) (Page, error) {
	p, err := e.page(ctx)
	if err != nil {
		return nil, err
	}
	return p, p.ShowConsole(ctx)
}

// floods makes a page log n messages, a thousand with each command.
func floods(ctx context.Context, p Page, n int) error {
	const most = 1000
	for ; n > 0; n -= most {
		script := fmt.Sprintf("for (let i = 0; i < %d; i++) console.log('flood', i)", min(n, most))
		if err := p.Evaluate(ctx, script); err != nil {
			return err
		}
	}
	return nil
}

func prepareCommands(parallel int) func(context.Context, *env) (func(context.Context, int) error, error) {
	return func(ctx context.Context, e *env) (func(context.Context, int) error, error) {
		p, err := e.page(ctx)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, n int) error {
			return atOnce(parallel, n, func() error { return p.Evaluate(ctx, "1") })
		}, nil
	}
}

// atOnce does f n times, on so many goroutines, until one fails.
func atOnce(parallel, n int, f func() error) error {
	var wg sync.WaitGroup
	var failure atomic.Pointer[error]
	var left atomic.Int64
	left.Store(int64(n))
	for range min(parallel, n) {
		wg.Go(func() {
			for left.Add(-1) >= 0 && failure.Load() == nil {
				if err := f(); err != nil {
					failure.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

// resultSize is the size of a large result in bytes.
const resultSize = 20 << 20

func prepareResult(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	p, err := e.page(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, n int) error {
		for range n {
			text, err := p.Text(ctx, fmt.Sprintf("'abcdefghijklmnop'.repeat(%d)", resultSize/16))
			if err != nil {
				return err
			}
			if len(text) != resultSize {
				return fmt.Errorf("a result of %d bytes, not %d", len(text), resultSize)
			}
		}
		return nil
	}, nil
}

func prepareTraffic(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	p, err := e.page(ctx)
	if err != nil {
		return nil, err
	}
	return fetches(p), p.Load(ctx, e.server+"/page")
}

// fetches makes a page fetch n times, one after the other.
func fetches(p Page) func(context.Context, int) error {
	return func(ctx context.Context, n int) error {
		answer, err := p.Text(ctx, fmt.Sprintf(`(async () => {
			let all = ''
			for (let i = 0; i < %d; i++) all += await (await fetch('/small?i=' + i)).text()
			return String(all.length)
		})()`, n))
		if want := fmt.Sprint(2 * n); err == nil && answer != want {
			err = fmt.Errorf("the page got %s bytes, not %s", answer, want)
		}
		return err
	}
}

// preparePassing is prepareTraffic with a listener.
func preparePassing(patterns int) func(context.Context, *env) (func(context.Context, int) error, error) {
	return func(ctx context.Context, e *env) (func(context.Context, int) error, error) {
		p, err := e.page(ctx)
		if err != nil {
			return nil, err
		}
		if err := p.Load(ctx, e.server+"/page"); err != nil {
			return nil, err
		}
		return fetches(p), p.PassRequests(ctx, patterns)
	}
}

func prepareSessions(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	c, err := e.start(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, n int) error {
		for range n {
			p, err := c.Session(ctx)
			if err != nil {
				return err
			}
			if err := p.Close(ctx); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// prepareLiveSessions leaves the sessions open, for their memory to be looked
// at.
func prepareLiveSessions(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	c, err := e.start(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, n int) error {
		for range n {
			if _, err := c.Session(ctx); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func prepareNavigation(ctx context.Context, e *env) (func(context.Context, int) error, error) {
	p, err := e.page(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, n int) error {
		for range n {
			if err := p.Load(ctx, e.server+"/page"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Clients are those that a comparison measures the workload with, in their turn.
func (w *Workload) Clients() []Kind {
	switch {
	case w.Starts:
		return []Kind{Chromedp, ChromedpDefault, Bridge, Raw}
	case w.Puppeteer:
		return []Kind{Chromedp, Puppeteer, Bridge, Raw}
	}
	return []Kind{Chromedp, Bridge, Raw}
}
