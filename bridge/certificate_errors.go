package bridge

import (
	"context"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// CertificateErrorRequest is a request of a page to a server whose certificate
// Chromium refuses.
type CertificateErrorRequest struct {
	WebContents *WebContents
	URL         string
	// Error is the reason, such as "net::ERR_CERT_AUTHORITY_INVALID".
	Error string
}

// SetCertificateErrorHandler sets who decides whether a page's request goes on to
// a server whose certificate Chromium refuses; nil removes it, and such requests
// fail. Chromium remembers a yes for the host and its certificate until the
// session ends. A handler that panics says no, and one may take its time: the
// context ends with the page. It is Electron's event certificate-error.
//
// It is asked for what pages ask for, with their frames and dedicated workers; a
// load that it refuses fails with net::ERR_ABORTED. What shared and service
// workers ask for fails without a question. SetCertificateVerifyProc judges
// everything, good certificates too.
func (s *Session) SetCertificateErrorHandler(handler func(ctx context.Context, r CertificateErrorRequest) (goOn bool)) {
	s.certificateErrors.set(handler)
}

// certificateErrors asks the handler of a session.
type certificateErrors struct {
	session *Session

	mu      sync.Mutex
	handler func(context.Context, CertificateErrorRequest) bool
	pages   map[*cdp.Target]context.CancelFunc // nil where Chromium decides
}

func newCertificateErrors(s *Session) *certificateErrors {
	return &certificateErrors{session: s, pages: map[*cdp.Target]context.CancelFunc{}}
}

func (c *certificateErrors) set(handler func(context.Context, CertificateErrorRequest) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.handler != nil
	c.handler = handler
	is := handler != nil
	for t, stop := range c.pages {
		switch {
		case is && !was:
			t.Session.Conn().Send(c.listen(t)...)
		case was && !is:
			stop()
			c.pages[t] = nil
			t.Session.Conn().Send(cdp.Command{Session: t.Session, Method: "Security.disable"})
		}
	}
}

func (c *certificateErrors) join(t *cdp.Target) []cdp.Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Type() != cdp.TargetPage {
		return nil
	}
	c.pages[t] = nil
	if c.handler == nil {
		return nil
	}
	return c.listen(t)
}

// restarted returns nothing: it is the browser process that asks.
func (c *certificateErrors) restarted(*cdp.Target) []cdp.Command { return nil }

func (c *certificateErrors) leave(t *cdp.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stop := c.pages[t]; stop != nil {
		stop()
	}
	delete(c.pages, t)
}

// listen begins to answer for a page, and returns the commands that make Chromium
// ask.
func (c *certificateErrors) listen(t *cdp.Target) []cdp.Command {
	ctx, stop := context.WithCancel(c.session.life)
	c.pages[t] = stop
	events := t.Session.Events(ctx, cdp.QueueOptions{}, "Security.certificateError")
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			go c.answer(ctx, t, e)
		}
	}()
	return []cdp.Command{
		{Session: t.Session, Method: "Security.enable"},
		{Session: t.Session, Method: "Security.setOverrideCertificateErrors", Params: map[string]bool{"override": true}},
	}
}

func (c *certificateErrors) answer(ctx context.Context, t *cdp.Target, e cdp.Event) {
	var ev struct {
		EventID    int    `json:"eventId"`
		ErrorType  string `json:"errorType"`
		RequestURL string `json:"requestURL"`
	}
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	c.mu.Lock()
	handler := c.handler
	c.mu.Unlock()
	action := "cancel"
	if handler != nil {
		r := CertificateErrorRequest{WebContents: c.session.page(t.ID()), URL: ev.RequestURL, Error: "net::" + strings.TrimPrefix(ev.ErrorType, "net::")}
		goOn, _ := answered(ctx, c.session.browser, "SetCertificateErrorHandler", func() (bool, error) { return handler(ctx, r), nil })
		if goOn {
			action = "continue"
		}
	}
	t.Session.Conn().Send(cdp.Command{Session: t.Session, Method: "Security.handleCertificateError", Params: map[string]any{"eventId": ev.EventID, "action": action}})
}
