package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// Connect attaches to a browser that runs already, at the address of its
// DevTools: ws://…/devtools/browser/…, or http://host:port of a browser that was
// started with --remote-debugging-port. Of the options Logger counts.
//
// Its default session is the default context of that browser, with the pages
// that are open. Sessions in memory are made as usual. Persistent ones, and
// whatever has to be set when a browser starts, return an *UnsupportedError.
// Close leaves the browser and its own pages alone; sessions in memory go.
func Connect(ctx context.Context, address string, o Options) (*Browser, error) {
	address, err := debuggerURL(ctx, address)
	if err != nil {
		return nil, err
	}
	t, err := cdp.DialWebSocket(ctx, address)
	if err != nil {
		return nil, err
	}
	b := newBrowser(o)
	// The default session is there before the first page is adopted.
	s, err := b.entry(sessionKey{}, "", PartitionOptions{})
	if err != nil {
		return nil, err
	}
	b.remote, err = b.connectHost(ctx, "the browser at "+address, t, nil, s)
	if err != nil {
		return nil, fmt.Errorf("connecting to the browser at %s: %w", address, err)
	}
	_, err = s.place(ctx)
	b.leave(s, err != nil)
	if err != nil {
		b.Close()
		return nil, err
	}
	s.announced.Store(true)
	return b, nil
}

// debuggerURL asks a browser's HTTP address for its WebSocket address.
func debuggerURL(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", invalidArgument("%q is no address of a browser: %v", address, err)
	}
	switch u.Scheme {
	case "ws", "wss":
		return address, nil
	case "http", "https":
	default:
		return "", invalidArgument("%q is no address of a browser: it takes ws://, wss://, http:// or https://", address)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/json/version"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking the browser at %s for its address: %w", address, err)
	}
	defer res.Body.Close()
	var version struct {
		WebSocketDebuggerURL string `json:"webSocketDebuggerUrl"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&version); err != nil || version.WebSocketDebuggerURL == "" {
		return "", fmt.Errorf("%s answers %s and names no webSocketDebuggerUrl: it is no browser's DevTools", address, res.Status)
	}
	return version.WebSocketDebuggerURL, nil
}
