package bridge

import (
	"context"
	"net/url"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/gateway"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// PreconnectOptions are the options of Session.Preconnect.
type PreconnectOptions struct {
	// URL names the server: only its origin counts.
	URL string
	// NumSockets is how many connections to open, from 1 to 6; 0 means 1.
	NumSockets int
}

// Preconnect opens connections to a server ahead of the requests that use them.
// It is Electron's ses.preconnect.
//
// One connection is Chromium's own, TLS included, in the default session and in
// those with a process of their own. Stock Chromium opens no more than one, and
// none past a gateway that sleeps: the others are opened by the session's gateway,
// without TLS. It is awake from then on, and closes them when nobody has used them
// for ten seconds.
func (s *Session) Preconnect(ctx context.Context, o PreconnectOptions) error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalidArgument("Must pass non-empty valid url to session.preconnect.")
	}
	n := o.NumSockets
	if n == 0 {
		n = 1
	}
	if n < 1 || n > 6 {
		return invalidArgument("numSocketsToPreconnect is outside range [1,6]")
	}
	return doing("connecting to "+originOf(u)+" ahead", s.preconnect(ctx, u, n))
}

func (s *Session) preconnect(ctx context.Context, u *url.URL, n int) error {
	at, err := s.place(ctx)
	if err != nil {
		return err
	}
	g := s.outlet.present()
	if g == nil && n == 1 && (at.isDefault() || s.opts.NoGateway) {
		return s.explain(at.host.hidden.Use(ctx, at.param(), blankPage, func(ctx context.Context, page *cdp.Session) error {
			return connectAhead(ctx, page, u)
		}))
	}
	if g == nil {
		err = s.outlet.change(ctx, "several connections ahead", func(_ context.Context, awake *gateway.Gateway) error {
			g = awake
			return nil
		})
		if err != nil {
			return err
		}
	}
	return g.Preconnect(ctx, u, n)
}

// connectAhead begins a navigation that is held before its request is sent:
// Chromium connects to the server meanwhile. The navigation ends without a
// document.
func connectAhead(ctx context.Context, page *cdp.Session, u *url.URL) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	paused := page.Events(ctx, cdp.QueueOptions{}, "Fetch.requestPaused")
	if err := page.Call(ctx, "Fetch.enable", nil, nil); err != nil {
		return err
	}
	defer page.Conn().Send(cdp.Command{Session: page, Method: "Fetch.disable"})
	page.Conn().Send(cdp.Command{Session: page, Method: "Page.navigate", Params: map[string]string{"url": originOf(u) + "/"}})
	for e, err := range paused {
		if err != nil {
			return err
		}
		var request struct {
			ID string `json:"requestId"`
		}
		if err := jsonv2.Unmarshal(e.Params, &request, jsonv2.AllowInvalidUTF8(true)); err != nil {
			return err
		}
		return page.Call(ctx, "Fetch.fulfillRequest", map[string]any{"requestId": request.ID, "responseCode": 204}, nil)
	}
	return context.Cause(ctx)
}
