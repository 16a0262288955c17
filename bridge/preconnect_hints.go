package bridge

import (
	"context"
	_ "embed"
	"iter"
	"net/url"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// PreconnectHint is a document's wish for a connection to a server.
type PreconnectHint struct {
	// PreconnectURL is the server's URL, with the path /.
	PreconnectURL string `json:"preconnectUrl"`
	// AllowCredentials says that the connection is for requests with cookies.
	AllowCredentials bool `json:"allowCredentials"`
	// WebContents is the page of the document.
	WebContents *WebContents `json:"-"`
}

// Preconnects tells of the connections that documents of the session ask for
// with <link rel=preconnect> and the header Link, until ctx ends. It is Electron's
// event preconnect.
//
// Chromium follows such hints by itself in the default session and in those with a
// process of their own, as Electron does not; in a session that shares a process
// it does not. While somebody listens, Chromium's network instrumentation is on
// (see PartitionOptions.NoCache).
func (s *Session) Preconnects(ctx context.Context) iter.Seq[PreconnectHint] {
	s.hints.use(1)
	return s.hints.listeners.listen(ctx, func() { s.hints.use(-1) })
}

//go:embed js/preconnect.js
var preconnectJS string

const (
	preconnectWorld   = "bridge-preconnect"
	preconnectBinding = "bridgePreconnect" // there alone
)

// hints listens to what the documents of a session ask for.
type hints struct {
	session   *Session
	links     *channel
	listeners listeners[PreconnectHint]

	mu      sync.Mutex
	users   int
	release func()                             // of the domain Network
	targets map[*cdp.Target]context.CancelFunc // nil where nobody listens
}

func newHints(s *Session) *hints {
	h := &hints{session: s, targets: map[*cdp.Target]context.CancelFunc{}}
	h.links = s.newChannel(preconnectWorld, preconnectBinding, h.link)
	context.AfterFunc(s.life, h.listeners.end)
	return h
}

// use begins to listen with the first user, and stops with the last.
func (h *hints) use(by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.users > 0
	h.users += by
	switch is := h.users > 0; {
	case is && !was:
		h.release = h.session.network.use()
		for t := range h.targets {
			h.listen(t)
		}
		sendAll(h.links.use())
		h.session.preloads.setOwn(preconnectWorld, []*preload{
			{PreloadScript: PreloadScript{World: IsolatedWorld, AllFrames: true}, text: preconnectJS, worldName: preconnectWorld},
		})
	case was && !is:
		h.release()
		for t, stop := range h.targets {
			stop()
			h.targets[t] = nil
		}
		h.session.preloads.setOwn(preconnectWorld, nil)
	}
}

func (h *hints) join(t *cdp.Target) []cdp.Command {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.HasFrames() {
		h.targets[t] = nil
		if h.users > 0 {
			h.listen(t)
		}
	}
	return nil
}

func (h *hints) restarted(*cdp.Target) []cdp.Command { return nil }

func (h *hints) leave(t *cdp.Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if stop := h.targets[t]; stop != nil {
		stop()
	}
	delete(h.targets, t)
}

// listen begins to listen to the responses of a target.
func (h *hints) listen(t *cdp.Target) {
	ctx, stop := context.WithCancel(h.session.life)
	h.targets[t] = stop
	responses := t.Session.Events(ctx, cdp.QueueOptions{}, "Network.responseReceived")
	go func() {
		for e, err := range responses {
			var ev struct {
				Type     string `json:"type"`
				Response struct {
					URL     string       `json:"url"`
					Headers jsonv2.Value `json:"headers"`
				} `json:"response"`
			}
			if err != nil {
				return
			}
			if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) == nil && ev.Type == document {
				h.tell(h.session.page(t.Page().ID()), linkHeaderHints(ev.Response.URL, cdp.DecodeHeaders(ev.Response.Headers)))
			}
		}
	}()
}

// link takes what the script in a document has found.
func (h *hints) link(m worldMessage) {
	var link struct {
		URL              string `json:"url"`
		AllowCredentials bool   `json:"allowCredentials"`
	}
	if jsonv2.Unmarshal([]byte(m.text), &link) == nil {
		h.tell(m.page, hintTo(link.URL, link.AllowCredentials))
	}
}

func (h *hints) tell(page *WebContents, hints []PreconnectHint) {
	for _, hint := range hints {
		hint.WebContents = page
		h.listeners.tell(hint)
	}
}

// linkHeaderHints are those of the headers Link of a response, such as
// <https://cdn.test>; rel=preconnect; crossorigin.
func linkHeaderHints(base string, headers []cdp.Header) (hints []PreconnectHint) {
	from, err := url.Parse(base)
	if err != nil {
		return nil
	}
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "Link") {
			continue
		}
		for link := range strings.SplitSeq(h.Value, ",") {
			reference, parameters, ok := strings.Cut(strings.TrimSpace(link), ">")
			to, err := from.Parse(strings.TrimPrefix(reference, "<"))
			if !ok || err != nil {
				continue
			}
			preconnect, anonymous := false, false
			for parameter := range strings.SplitSeq(parameters, ";") {
				name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(parameter)), "=")
				value = strings.Trim(value, `"`)
				preconnect = preconnect || name == "rel" && strings.Contains(" "+value+" ", " preconnect ")
				anonymous = anonymous || name == "crossorigin" && value != "use-credentials"
			}
			if preconnect {
				hints = append(hints, hintTo(to.String(), !anonymous)...)
			}
		}
	}
	return hints
}

func hintTo(address string, credentials bool) []PreconnectHint {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	return []PreconnectHint{{PreconnectURL: originOf(u) + "/", AllowCredentials: credentials}}
}
