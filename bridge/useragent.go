package bridge

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// SetUserAgent sets the user agent of the pages and workers that start from now
// on in the session: in their requests, in navigator.userAgent, and in the client
// hints, which are made from the string (and of Chromium's own where it says
// nothing of a Chrome). Pages that are open keep theirs. An empty string is
// Chromium's own. It is Electron's setUserAgent.
//
// acceptLanguages is a list such as "en-US,fr,de". It becomes the header
// Accept-Language of requests and changes nothing else: navigator.languages
// stays. It needs the domain Network of the protocol, which makes many small
// requests about one and a half times as slow. Empty is Chromium's own.
//
// Limits: navigator.platform stays. The request for the script of a worker that
// another worker starts has Chromium's own user agent, and so has that of a
// service worker where other sessions share the process; what these workers see
// and ask for has the right one.
func (s *Session) SetUserAgent(ctx context.Context, userAgent, acceptLanguages string) error {
	a, err := s.newAgent(ctx, userAgent)
	if err != nil {
		return doing("setting the user agent", err)
	}
	if a.acceptLanguage, err = acceptLanguageHeader(acceptLanguages); err != nil {
		return err
	}
	s.agents.set(a)
	return nil
}

// set makes a the agent of what starts from now on. Headers of its own need the
// domain Network, until the session ends: pages keep them.
func (as *agents) set(a agent) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if a.acceptLanguage != "" && !as.usesNetwork {
		as.usesNetwork = true
		as.network.use()
	}
	as.session = a
	as.routeScripts()
}

// placed is told where the session is from now on.
func (as *agents) placed(at *place) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.scripts.place(at)
	as.routeScripts()
}

// routeScripts pauses the requests for the main scripts of service workers, which
// Chromium makes with its own user agent. In a process that other sessions share
// it would slow down all of them.
func (as *agents) routeScripts() {
	if !as.scripts.alone {
		return
	}
	var patterns []cdp.Pattern
	if a := as.session; a.text != "" || a.acceptLanguage != "" {
		patterns = []cdp.Pattern{{URLPattern: "http*"}}
	}
	as.scripts.set(patterns)
}

func (as *agents) changeScript(_ context.Context, p *cdp.PausedRequest) bool {
	as.of(p.Target).change(p)
	return false
}

// languages are the header of the session, empty for Chromium's own.
func (as *agents) languages() string {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.session.acceptLanguage
}

// GetUserAgent returns the user agent of pages that are opened now: Electron's
// getUserAgent.
func (s *Session) GetUserAgent(ctx context.Context) (string, error) {
	s.agents.mu.Lock()
	text := s.agents.session.text
	s.agents.mu.Unlock()
	if text != "" {
		return text, nil
	}
	own, err := s.browserVersion(ctx)
	return own.UserAgent, err
}

// SetUserAgent sets the user agent of the page, for what it loads and for
// navigator.userAgent from now on; the page's frames and workers included. The
// document that is there keeps the client hints that it has read. An empty string
// is Chromium's own. It is Electron's WebContents.setUserAgent.
func (w *WebContents) SetUserAgent(ctx context.Context, userAgent string) error {
	a, err := w.session.newAgent(ctx, userAgent)
	if err != nil {
		return doing("setting the user agent of the page", err)
	}
	var answered sync.WaitGroup
	w.CDP().Conn().Send(awaited(&answered, w.session.agents.setPage(w.target, a))...)
	if err := waitGroup(ctx, &answered); err != nil {
		return fmt.Errorf("setting the user agent of the page: %w", err)
	}
	return w.Err()
}

// UserAgent is the user agent of the page: Electron's WebContents.getUserAgent.
func (w *WebContents) UserAgent(ctx context.Context) (string, error) {
	if text := w.session.agents.of(w.target).text; text != "" {
		return text, nil
	}
	own, err := w.session.browserVersion(ctx)
	return own.UserAgent, err
}

// agent is a user agent. The zero value is Chromium's own.
type agent struct {
	text           string
	hints          clientHints
	acceptLanguage string // the header, empty for Chromium's own
}

// newAgent is the agent of a user agent's text, without languages.
func (s *Session) newAgent(ctx context.Context, text string) (agent, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return agent{}, invalidArgument("a user agent has no control characters: %q", text)
	}
	own, err := s.browserVersion(ctx)
	if err != nil || text == "" {
		return agent{}, err
	}
	return agent{text: text, hints: newClientHints(text, own.number())}, nil
}

// browserVersion is what Browser.getVersion tells.
type browserVersion struct {
	Product   string `json:"product"`
	UserAgent string `json:"userAgent"`
}

// number is the version's number, such as 156.0.8078.79.
func (v browserVersion) number() string {
	_, number, _ := strings.Cut(v.Product, "/")
	return number
}

func (s *Session) browserVersion(ctx context.Context) (v browserVersion, err error) {
	at, err := s.place(ctx)
	if err == nil {
		err = s.explain(at.host.root().Call(ctx, "Browser.getVersion", nil, &v))
	}
	return v, err
}

// acceptLanguageHeader is Chromium's header for a list of languages.
func acceptLanguageHeader(languages string) (string, error) {
	var header []string
	for language := range strings.SplitSeq(languages, ",") {
		language = strings.TrimSpace(language)
		if language == "" {
			continue
		}
		if strings.ContainsFunc(language, func(r rune) bool { return r != '-' && r != '*' && !isLetterOrDigit(r) }) {
			return "", invalidArgument("Accept languages are a list such as 'en-US,fr,de', and '%s' is no language", language)
		}
		if quality := 10 - len(header); quality < 10 {
			language = fmt.Sprintf("%s;q=0.%d", language, max(quality, 1))
		}
		header = append(header, language)
	}
	return strings.Join(header, ","), nil
}

func isLetterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

//go:embed js/useragent.js
var userAgentJS string

// agents gives the targets of a session their user agent.
type agents struct {
	interception *cdp.Interception
	network      *networkDomain

	mu          sync.Mutex
	usesNetwork bool
	scripts     *scriptRoute
	session     agent
	pages       map[*cdp.Target]agent  // since they were opened
	targets     map[*cdp.Target]bool   // that belong to a page
	first       map[*cdp.Target]func() // end what waits for the first request of a pop-up
}

func newAgents(i *cdp.Interception, n *networkDomain) *agents {
	as := &agents{interception: i, network: n, pages: map[*cdp.Target]agent{}, targets: map[*cdp.Target]bool{}, first: map[*cdp.Target]func(){}}
	as.scripts = newScriptRoute(userAgentOrder, as.changeScript)
	return as
}

// of is the agent of a target: that of its page, or of the session.
func (as *agents) of(t *cdp.Target) agent {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.ofLocked(t)
}

func (as *agents) ofLocked(t *cdp.Target) agent {
	if page := t.Page(); page != nil {
		return as.pages[page]
	}
	return as.session
}

func (as *agents) join(t *cdp.Target) []cdp.Command {
	as.mu.Lock()
	defer as.mu.Unlock()
	if t.Type() == cdp.TargetPage {
		as.pages[t] = as.session
	}
	if t.Page() != nil {
		as.targets[t] = true
	}
	if info := t.Info(); as.session.text != "" && info.OpenerID != "" && !info.CanAccessOpener {
		as.first[t] = as.session.rewriteFirst(as.interception, t)
	}
	return as.ofLocked(t).commands(t)
}

// restarted gives a service worker that starts again what the session has now,
// and a page that was set while it was crashed what it has.
func (as *agents) restarted(t *cdp.Target) []cdp.Command { return as.of(t).commands(t) }

func (as *agents) leave(t *cdp.Target) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if end := as.first[t]; end != nil {
		end()
	}
	delete(as.first, t)
	delete(as.pages, t)
	delete(as.targets, t)
}

// setPage changes the agent of a page and returns the commands for its targets.
// One that has crashed answers nothing.
func (as *agents) setPage(page *cdp.Target, a agent) []cdp.Command {
	as.mu.Lock()
	defer as.mu.Unlock()
	a.acceptLanguage = as.pages[page].acceptLanguage
	as.pages[page] = a
	var commands []cdp.Command
	for t := range as.targets {
		if t.Page() == page && t.Renderer().Err() == nil {
			commands = append(commands, a.override(t))
		}
	}
	return commands
}

// commands are the set-up of a target.
func (a agent) commands(t *cdp.Target) []cdp.Command {
	var commands []cdp.Command
	if a.text != "" {
		commands = append(commands, a.override(t))
	}
	if a.text != "" && (t.Type() == cdp.TargetSharedWorker || t.Type() == cdp.TargetServiceWorker) {
		code, _ := withArguments(userAgentJS, []any{a.text}) // a string can always be encoded
		commands = append(commands, cdp.Command{Session: t.Session, Method: "Runtime.evaluate", Params: evaluateParams{Expression: code}})
	}
	if a.acceptLanguage != "" {
		commands = append(commands,
			cdp.Command{Session: t.Session, Method: "Network.setExtraHTTPHeaders", Params: map[string]any{"headers": map[string]string{"Accept-Language": a.acceptLanguage}}},
		)
	}
	return commands
}

// override lets Chromium use the agent, or its own for none.
func (a agent) override(t *cdp.Target) cdp.Command {
	params := map[string]any{"userAgent": a.text}
	if a.text != "" {
		params["userAgentMetadata"] = a.hints
	}
	return cdp.Command{Session: t.Session, Method: "Emulation.setUserAgentOverride", Params: params}
}

// rewriteFirst puts the hints right in the first request of a pop-up that was
// opened with noopener. Chromium has written them before the pop-up is there to
// be set up. Requests are paused for it until end is called, or the first one
// has come.
func (a agent) rewriteFirst(i *cdp.Interception, popup *cdp.Target) (end func()) {
	end = i.Add(&cdp.Route{
		Target:   popup,
		Order:    userAgentOrder,
		Patterns: []cdp.Pattern{{ResourceType: document}},
		Handle: func(ctx context.Context, p *cdp.PausedRequest) bool {
			if p.ResourceType == document {
				defer end()
				a.change(p)
			}
			return false
		},
	})
	return end
}

// userAgentOrder puts the user agent between listeners and protocol handlers.
const userAgentOrder = -1

// change gives a request the headers of the agent. It is for those requests that
// Chromium's override comes too late for.
func (a agent) change(p *cdp.PausedRequest) {
	p.ReplaceHeaders(a.request(p.Request.Headers()))
}

// request returns headers as the agent has them.
func (a agent) request(headers []cdp.Header) []cdp.Header {
	own := map[string]string{"user-agent": a.text, "accept-language": a.acceptLanguage}
	maps.Copy(own, a.hints.headers())
	out := slices.Clone(headers)
	for i, h := range out {
		out[i].Value = cmp.Or(own[strings.ToLower(h.Name)], h.Value)
	}
	for _, h := range []cdp.Header{{Name: "User-Agent", Value: a.text}, {Name: "Accept-Language", Value: a.acceptLanguage}} {
		missing := !slices.ContainsFunc(out, func(other cdp.Header) bool { return strings.EqualFold(other.Name, h.Name) })
		if missing && h.Value != "" {
			out = append(out, h)
		}
	}
	return out
}
