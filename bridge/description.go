package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// BrowserVersion is what a Chromium process says of itself.
type BrowserVersion struct {
	// Product is its name and version, such as "Chrome/156.0.8078.79".
	Product         string `json:"product"`
	ProtocolVersion string `json:"protocolVersion"`
	// Revision is of its source.
	Revision string `json:"revision"`
	// UserAgent is Chromium's own; Session.GetUserAgent has that of a session.
	UserAgent string `json:"userAgent"`
	// JSVersion is that of V8.
	JSVersion string `json:"jsVersion"`
}

// Version asks the browser for its version.
func (b *Browser) Version(ctx context.Context) (BrowserVersion, error) {
	var v BrowserVersion
	at, err := b.DefaultSession().place(ctx)
	if err == nil {
		err = at.host.root().Call(ctx, "Browser.getVersion", nil, &v)
	}
	return v, doing("asking for the browser's version", err)
}

// ProtocolDescription is the description of the DevTools protocol as this very
// browser has it, in the JSON of /json/protocol. Chromium gives it away on a
// debugging port only: the first call starts a second Chromium for a moment, on a
// directory of its own and with such a port on 127.0.0.1; later calls have what it
// said. A browser that the bridge did not start has no description
// (*UnsupportedError).
func (b *Browser) ProtocolDescription(ctx context.Context) ([]byte, error) {
	if b.remote != nil {
		return nil, &UnsupportedError{Feature: "the description of the protocol", Reason: "the bridge did not start the browser", Instead: "ask its /json/protocol"}
	}
	if err := b.describing.take(ctx); err != nil {
		return nil, err
	}
	defer b.describing.give()
	if b.description == nil {
		description, err := b.describe(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking for the description of the protocol: %w", err)
		}
		b.description = description
	}
	return b.description, nil
}

// describe starts a browser that says what its protocol is.
func (b *Browser) describe(ctx context.Context) (description []byte, err error) {
	ctx, end, err := b.beginStart(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	p, err := chromium.Start(ctx, chromium.Options{
		Binary: b.binary, User: b.opts.User, NoSandbox: b.opts.NoSandbox, DebuggingPort: true,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err = errors.Join(err, p.Kill(), p.Close(closing))
	}()
	port, err := debuggingPort(ctx, p)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/json/protocol", nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	description, err = io.ReadAll(http.MaxBytesReader(nil, response.Body, 32<<20))
	if err == nil && (response.StatusCode != http.StatusOK || !json.Valid(description)) {
		err = fmt.Errorf("the browser answered %s", response.Status)
	}
	return description, err
}

// debuggingPort waits for the port that a browser has chosen, which it writes to a
// file.
func debuggingPort(ctx context.Context, p *chromium.Process) (string, error) {
	for {
		text, err := os.ReadFile(filepath.Join(p.UserDataDir(), "DevToolsActivePort"))
		if port, _, complete := strings.Cut(string(text), "\n"); err == nil && complete {
			return port, nil
		}
		select {
		case <-time.After(10 * time.Millisecond): // there is nothing to wait for
		case <-p.Done():
			return "", p.Exit()
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}
