package bench

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// longest is the size in bytes from which a frame is not recorded: scanning does
// not depend on it, and the file should stay small.
const longest = 16 << 10

// recorder is a transport that keeps what the browser sends.
type recorder struct {
	cdp.Transport

	mu     sync.Mutex
	frames []byte // one a line
}

func (r *recorder) ReadFrame() ([]byte, error) {
	frame, err := r.Transport.ReadFrame()
	if err == nil && len(frame) < longest {
		r.mu.Lock()
		r.frames = append(append(r.frames, frame...), '\n')
		r.mu.Unlock()
	}
	return frame, err
}

// Record starts a Chromium, uses it with the usual domains on, and writes the
// frames that it sends as Frames reads them.
func Record(ctx context.Context, server string, w io.Writer) (err error) {
	process, err := startChromium(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Close(ctx)) }()
	in, out := process.Pipe()
	r := &recorder{Transport: cdp.NewPipe(in, out)}
	conn := cdp.NewConn(r, cdp.ConnOptions{})
	defer conn.Close()
	for range 3 {
		if err := usePage(ctx, conn, server); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(r.frames); err != nil {
		return err
	}
	return z.Close()
}

// usePage opens a page in a context of its own, and makes it load, log, fetch
// and answer.
func usePage(ctx context.Context, conn *cdp.Conn, server string) error {
	var made struct {
		BrowserContextID string `json:"browserContextId"`
		TargetID         string `json:"targetId"`
		SessionID        string `json:"sessionId"`
	}
	root := conn.Root()
	if err := root.Call(ctx, "Target.createBrowserContext", nil, &made); err != nil {
		return err
	}
	create := map[string]string{"url": "about:blank", "browserContextId": made.BrowserContextID}
	if err := root.Call(ctx, "Target.createTarget", create, &made); err != nil {
		return err
	}
	if err := root.Call(ctx, "Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &made); err != nil {
		return err
	}
	page := conn.Session(made.SessionID)
	for _, domain := range []string{"Page", "Runtime", "Log", "Network", "DOM", "CSS"} {
		if err := page.Call(ctx, domain+".enable", nil, nil); err != nil {
			return err
		}
	}
	for range 20 {
		loads := page.Events(ctx, cdp.QueueOptions{}, "Page.loadEventFired")
		if err := page.Call(ctx, "Page.navigate", map[string]string{"url": server + "/page"}, nil); err != nil {
			return err
		}
		for _, err := range loads {
			if err != nil {
				return err
			}
			break
		}
	}
	for _, script := range []string{
		`for (let i = 0; i < 500; i++) console.log('message', i, {number: i})`,
		`(async () => { for (let i = 0; i < 50; i++) await fetch('/small?i=' + i) })()`,
	} {
		if err := page.Call(ctx, "Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true}, nil); err != nil {
			return err
		}
	}
	for i := range 300 {
		if err := page.Call(ctx, "Runtime.evaluate", map[string]any{"expression": fmt.Sprint(i), "returnByValue": true}, nil); err != nil {
			return err
		}
	}
	return root.Call(ctx, "Target.disposeBrowserContext", map[string]string{"browserContextId": made.BrowserContextID}, nil)
}
