package bridge

import (
	"context"
	_ "embed"
	"strconv"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/internal/inpage"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// The in-page side of custom schemes.
var (
	//go:embed js/schemes/urls.js
	schemeURLsJS string
	//go:embed js/schemes/requests.js
	schemeRequestsJS string
	//go:embed js/schemes/navigations.js
	schemeNavigationsJS string
)

// schemePages make the custom schemes of a session work in its pages and
// workers: scripts there ask for the URLs that stand for those of the schemes,
// and so does the bridge for navigations that no script sees.
type schemePages struct {
	session *Session

	mu       sync.Mutex
	requests string // the script for workers; empty while no scheme is registered
	targets  map[*cdp.Target]context.CancelFunc
}

func newSchemePages(s *Session) *schemePages {
	return &schemePages{session: s, targets: map[*cdp.Target]context.CancelFunc{}}
}

// update brings documents and workers that begin from now on to the schemes
// that are registered.
func (p *schemePages) update(registered []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(registered) == 0 {
		p.requests = ""
		p.session.preloads.setOwn(schemeWorld, nil)
		for t, stop := range p.targets {
			stop()
			p.targets[t] = func() {}
		}
		return
	}
	follow := p.requests == ""
	requests, navigations := p.session.browser.schemes.scripts(registered)
	p.requests = requests
	p.session.preloads.setOwn(schemeWorld, []*preload{
		{PreloadScript: PreloadScript{World: MainWorld, AllFrames: true}, text: requests},
		{PreloadScript: PreloadScript{World: IsolatedWorld, AllFrames: true}, text: navigations, worldName: schemeWorld},
	})
	if follow {
		for t := range p.targets {
			p.targets[t] = p.follow(t)
		}
	}
}

// schemeWorld is the name of the isolated world of the script for navigations.
const schemeWorld = "bridge-schemes"

func (p *schemePages) join(t *cdp.Target) []cdp.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case t.HasFrames():
		p.targets[t] = func() {}
		if p.requests != "" {
			p.targets[t] = p.follow(t)
		}
	case p.requests != "":
		return []cdp.Command{{Session: t.Session, Method: "Runtime.evaluate", Params: evaluateParams{Expression: p.requests}}}
	}
	return nil
}

func (p *schemePages) restarted(t *cdp.Target) []cdp.Command {
	if t.HasFrames() {
		return nil
	}
	return p.join(t)
}

func (p *schemePages) leave(t *cdp.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stop := p.targets[t]; stop != nil {
		stop()
	}
	delete(p.targets, t)
}

// follow watches the navigations of a target's frames until stop is called.
func (p *schemePages) follow(t *cdp.Target) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(p.session.life)
	events := t.Session.Events(ctx, cdp.QueueOptions{}, "Page.frameStartedNavigating")
	go func() {
		for e, err := range events {
			var ev struct {
				FrameID string `json:"frameId"`
				URL     string `json:"url"`
			}
			if err != nil || jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
				return
			}
			if wire := p.session.protocol.wireURL(ev.URL); wire != ev.URL {
				go p.redirect(ctx, t, ev.FrameID, wire)
			}
		}
	}()
	return stop
}

// redirect sends a frame to the URL that stands for the one that it was going
// to. Chromium ends a navigation to a scheme that it does not know, and now and
// then the next one with it.
func (p *schemePages) redirect(ctx context.Context, t *cdp.Target, frameID, wire string) {
	for range 20 {
		var r struct {
			ErrorText string `json:"errorText"`
		}
		err := t.Session.Call(ctx, "Page.navigate", map[string]string{"frameId": frameID, "url": wire}, &r)
		if err != nil || r.ErrorText != "net::ERR_ABORTED" {
			return
		}
	}
}

// scripts are what runs in frames so that their scripts can ask for URLs of the
// schemes, and navigate to them: one in the page's own world, which is for
// workers too, and one in an isolated world.
func (s schemes) scripts(registered []string) (requests, navigations string) {
	type privileges struct {
		Standard bool `json:"standard"`
		Secure   bool `json:"secure"`
		Fetch    bool `json:"fetch"`
		CORS     bool `json:"cors"`
	}
	known := map[string]privileges{}
	for _, scheme := range registered {
		p := s[scheme]
		known[scheme] = privileges{p.Standard, p.Secure, p.SupportFetchAPI, p.CORSEnabled}
	}
	table, err := jsonv2.Marshal(known)
	if err != nil {
		panic(err) // of names and booleans
	}
	urls := inpage.Call(schemeURLsJS, string(table), strconv.Quote(wireSuffix))
	return inpage.Call(schemeRequestsJS, inpage.Replace(), urls), inpage.Call(schemeNavigationsJS, urls)
}
