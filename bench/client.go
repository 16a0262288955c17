package bench

import (
	"context"
	"fmt"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// Kind names a client, and how it starts Chromium.
type Kind string

// The clients. All but ChromedpDefault start Chromium with the bridge's lean
// switches, as the same user.
const (
	Bridge          Kind = "bridge"
	Chromedp        Kind = "chromedp"
	ChromedpDefault Kind = "chromedp-default" // with the switches of chromedp's own allocator
	Puppeteer       Kind = "puppeteer"        // in Node; optional
	Raw             Kind = "raw"
)

// Installed is nil for a client that can be measured here. All can but
// Puppeteer, whose error says how to install it.
func Installed(kind Kind) error {
	if kind != Puppeteer {
		return nil
	}
	_, _, err := findPuppeteer()
	return err
}

// Client is a running Chromium and the client that drives it.
type Client interface {
	// Page opens a page in the browser's default context.
	Page(ctx context.Context) (Page, error)
	// Session opens a new isolated session with a page in it. They go with
	// the page's Close.
	Session(ctx context.Context) (Page, error)
	// PID is Chromium's first process.
	PID() int
	Close() error
}

// Page is a page, at about:blank at first.
type Page interface {
	// Load navigates and waits for the load event.
	Load(ctx context.Context, url string) error
	// Evaluate is one small command, Runtime.evaluate, with its reply decoded.
	Evaluate(ctx context.Context, expression string) error
	// Text evaluates to a string, or to the promise of one.
	Text(ctx context.Context, expression string) (string, error)
	// ShowConsole makes Chromium send the page's console, to nobody.
	ShowConsole(ctx context.Context) error
	// Listen takes n console messages, decoded, while trigger runs.
	Listen(ctx context.Context, n int, trigger func() error) error
	// PassRequests lets every request pass a listener that changes nothing,
	// which asks for the requests of so many URL patterns; the last one is what
	// the server is asked for.
	PassRequests(ctx context.Context, patterns int) error
	Close(ctx context.Context) error
}

// elsewhere is a URL pattern, for the bridge and for the protocol, of what is
// never asked for.
func elsewhere(i int) string { return fmt.Sprintf("http://host%d.test/*", i) }

// small is the URL pattern of what prepareTraffic asks for.
const small = "http://127.0.0.1:*/small*"

// Start starts Chromium and a client of the kind. ctx is its life.
func Start(ctx context.Context, kind Kind) (Client, error) {
	switch kind {
	case Bridge:
		return startBridge(ctx)
	case Chromedp:
		return startChromedp(ctx)
	case ChromedpDefault:
		return startChromedpDefault(ctx)
	case Puppeteer:
		return startPuppeteer(ctx)
	case Raw:
		return startRaw(ctx)
	}
	return nil, fmt.Errorf("bench: no client %q", kind)
}

// startChromium starts what bridge.Launch starts.
func startChromium(ctx context.Context) (*chromium.Process, error) {
	return chromium.Start(ctx, chromium.Options{NoSandbox: true})
}

// listen runs trigger beside take, which ends when it has taken all.
func listen(trigger func() error, take func() error) error {
	triggered := make(chan error, 1)
	go func() { triggered <- trigger() }()
	if err := take(); err != nil {
		return err
	}
	return <-triggered
}
