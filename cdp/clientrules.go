package cdp

import (
	"context"
	"fmt"
	"strings"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// A clientRule carries out one browser-level command of a client.
type clientRule func(r *RawConn, ctx context.Context, s *Session, f clientFrame)

// browserDomains are the domains whose commands reach beyond one target. A
// command of theirs passes only if clientRules says how, on every session.
var browserDomains = map[string]bool{
	"Browser": true, "Target": true, "Extensions": true, "SystemInfo": true, "Tethering": true,
	"Tracing": true, "PWA": true, "FileSystem": true, "BluetoothEmulation": true, "Cast": true,
}

// clientRules is the allow-list of browser-level commands.
func clientRules() map[string]clientRule {
	return map[string]clientRule{
		"Browser.getVersion":              pass,
		"Browser.close":                   closeClient,
		"Browser.getWindowForTarget":      ofTarget,
		"Target.setDiscoverTargets":       pass,
		"Target.setAutoAttach":            setAutoAttach,
		"Target.getTargets":               getTargets,
		"Target.getTargetInfo":            ofTarget,
		"Target.attachToTarget":           ofTarget,
		"Target.activateTarget":           ofTarget,
		"Target.closeTarget":              ofTarget,
		"Target.detachFromTarget":         detachFromTarget,
		"Target.createTarget":             createTarget,
		"Target.getBrowserContexts":       getBrowserContexts,
		"Target.createBrowserContext":     createBrowserContext,
		"Target.disposeBrowserContext":    disposeBrowserContext,
		"Page.navigate":                   navigateClient,
		"Storage.getCookies":              inContext,
		"Storage.setCookies":              inContext,
		"Storage.clearCookies":            inContext,
		"Schema.getDomains":               pass,
		"Runtime.runIfWaitingForDebugger": pass,
	}
}

// command carries out one command of the client.
func (r *RawConn) command(ctx context.Context, s *Session, f clientFrame) {
	if rule := r.tree.rules[f.Method]; rule != nil {
		rule(r, ctx, s, f)
		return
	}
	domain, _, _ := strings.Cut(f.Method, ".")
	if s == r.root || browserDomains[domain] {
		r.fail(f, &Error{Code: -32601, Message: fmt.Sprintf("'%s' wasn't found, or is not for a client of one session", f.Method)})
		return
	}
	pass(r, ctx, s, f)
}

func pass(r *RawConn, ctx context.Context, s *Session, f clientFrame) {
	r.forward(ctx, s, f, f.Params, nil)
}

// params decodes a command's parameters strictly. Chromium takes the last of
// two members with one name, so a command is refused that has two, or one that
// the rule does not know.
func (r *RawConn) params(f clientFrame, into any) bool {
	if len(f.Params) == 0 {
		f.Params = jsonv2.Value("{}")
	}
	if err := jsonv2.Unmarshal(f.Params, into); err != nil {
		r.fail(f, &Error{Code: -32602, Message: fmt.Sprintf("Invalid parameters: %v", err)})
		return false
	}
	if u, ok := into.(interface{ unknown() jsonv2.Value }); ok && len(u.unknown()) > 2 {
		r.fail(f, &Error{Code: -32602, Message: fmt.Sprintf("Invalid parameters: unknown members %s", u.unknown())})
		return false
	}
	return true
}

// members collects the members that a rule does not know.
type members struct {
	Unknown jsonv2.Value `json:",unknown"`
}

func (m members) unknown() jsonv2.Value { return m.Unknown }

// closeClient ends the client, never the browser.
func closeClient(r *RawConn, _ context.Context, _ *Session, f clientFrame) {
	r.reply(f, struct{}{})
	r.Close()
}

// ofTarget passes a command on a target that the client sees.
func ofTarget(r *RawConn, ctx context.Context, s *Session, f clientFrame) {
	var p struct {
		TargetID string `json:"targetId,omitzero"`
		Flatten  *bool  `json:"flatten,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	if p.TargetID != "" && !r.mayUse(p.TargetID) || p.TargetID == "" && s == r.root {
		r.fail(f, &Error{Code: -32602, Message: "No target with given id found"})
		return
	}
	if f.Method == "Target.attachToTarget" && (p.Flatten == nil || !*p.Flatten) {
		r.fail(f, notFlat())
		return
	}
	r.forward(ctx, s, f, p, nil)
}

// mayUse reports whether the client sees the target with the id.
func (r *RawConn) mayUse(targetID string) bool {
	r.mu.Lock()
	told := r.targets[targetID]
	r.mu.Unlock()
	if told {
		return true
	}
	t := r.tree.Target(targetID)
	return t != nil && r.sees(t.Info())
}

func getTargets(r *RawConn, ctx context.Context, s *Session, f clientFrame) {
	r.forward(ctx, s, f, f.Params, func(result jsonv2.Value) (jsonv2.Value, error) {
		var all struct {
			TargetInfos []jsonv2.Value `json:"targetInfos"`
		}
		if err := jsonv2.Unmarshal(result, &all, wireOptions); err != nil {
			return nil, err
		}
		seen := []jsonv2.Value{}
		for _, raw := range all.TargetInfos {
			var info TargetInfo
			if jsonv2.Unmarshal(raw, &info, wireOptions) == nil && r.sees(info) {
				seen = append(seen, raw)
			}
		}
		all.TargetInfos = seen
		return jsonv2.Marshal(all, wireOptions)
	})
}

func detachFromTarget(r *RawConn, ctx context.Context, s *Session, f clientFrame) {
	var p struct {
		SessionID string `json:"sessionId"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	if p.SessionID == "" || r.session(p.SessionID) == nil {
		r.fail(f, &Error{Code: -32602, Message: "No session with given id"})
		return
	}
	r.forward(ctx, s, f, p, nil)
}

// createTarget opens a page as about:blank, which the bridge sets up, and then
// navigates it: a page that is created with its address sends its first request
// before any set-up holds. The client is answered when the page is there, as
// Chromium does it: it may itself have to resume the page first.
func createTarget(r *RawConn, ctx context.Context, _ *Session, f clientFrame) {
	var p struct {
		CreateTarget
		members
	}
	if !r.params(f, &p) {
		return
	}
	inContext, ok := r.contextFor(p.BrowserContextID)
	if !ok {
		r.fail(f, &Error{Code: -32602, Message: "Failed to find browser context with id " + p.BrowserContextID})
		return
	}
	if !r.mayOpen(p.URL) {
		r.fail(f, notInMemory(p.URL))
		return
	}
	url := p.URL
	p.BrowserContextID, p.URL = inContext, "about:blank"
	r.forward(ctx, r.tree.conn.Root(), f, p.CreateTarget, func(result jsonv2.Value) (jsonv2.Value, error) {
		var made struct {
			TargetID string `json:"targetId"`
		}
		if err := jsonv2.Unmarshal(result, &made, wireOptions); err != nil {
			return nil, err
		}
		r.mu.Lock()
		late := r.closed
		r.created[made.TargetID] = true
		r.mu.Unlock()
		if late {
			r.tree.closeTarget(made.TargetID)
			return result, nil
		}
		if t := r.tree.Target(made.TargetID); t != nil && url != "" && url != "about:blank" {
			go t.navigateWhenReady(url)
		}
		return result, nil
	})
}

// navigateWhenReady loads a page's first document once its set-up holds.
func (t *Target) navigateWhenReady(url string) {
	select {
	case <-t.Ready():
		t.Session.conn.Send(Command{Session: t.Session, Method: "Page.navigate", Params: map[string]string{"url": url}})
	case <-t.Session.Done():
	}
}

// IsBrowserPage reports whether an address is one of Chromium's own pages. In a
// browser context that was created, chrome://settings and chrome://history end
// the whole browser.
func IsBrowserPage(address string) bool {
	address = strings.ToLower(strings.TrimLeft(address, " \t\r\n"))
	for rest, ok := address, true; ok; rest, ok = strings.CutPrefix(rest, "view-source:") {
		address = rest
	}
	return strings.HasPrefix(address, "chrome:") || strings.HasPrefix(address, "devtools:")
}

// mayOpen reports whether a client may open an address.
func (r *RawConn) mayOpen(address string) bool {
	return r.opts.DefaultContext || !IsBrowserPage(address)
}

func notInMemory(address string) error {
	return &Error{Code: -32000, Message: address + " is not offered in a session in memory: Chromium's own pages can crash it there"}
}

// navigateClient passes on a page that the client may open.
func navigateClient(r *RawConn, ctx context.Context, s *Session, f clientFrame) {
	var p struct {
		URL string `json:"url"`
		members
	}
	switch err := jsonv2.Unmarshal(f.Params, &p); {
	case s == r.root:
		r.fail(f, &Error{Code: -32601, Message: "'Page.navigate' wasn't found"})
	case err != nil:
		r.fail(f, &Error{Code: -32602, Message: fmt.Sprintf("Invalid parameters: %v", err)})
	case !r.mayOpen(p.URL):
		r.fail(f, notInMemory(p.URL))
	default:
		pass(r, ctx, s, f)
	}
}

// setAutoAttach passes for flat sessions, the only ones that are offered.
func setAutoAttach(r *RawConn, ctx context.Context, s *Session, f clientFrame) {
	var p struct {
		AutoAttach             bool         `json:"autoAttach"`
		WaitForDebuggerOnStart bool         `json:"waitForDebuggerOnStart"`
		Flatten                bool         `json:"flatten"`
		Filter                 jsonv2.Value `json:"filter,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	if p.AutoAttach && !p.Flatten {
		r.fail(f, notFlat())
		return
	}
	r.forward(ctx, s, f, p, nil)
}

func notFlat() error {
	return &Error{Code: -32602, Message: "only flat sessions (flatten: true) are offered"}
}

// contextFor translates the context that a client names into the one to name to
// the browser.
func (r *RawConn) contextFor(id string) (string, bool) {
	if id == "" || id == r.opts.BrowserContextID {
		if r.opts.DefaultContext {
			return "", true
		}
		return r.opts.BrowserContextID, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return id, r.contexts[id]
}

func getBrowserContexts(r *RawConn, _ context.Context, _ *Session, f clientFrame) {
	r.mu.Lock()
	own := []string{}
	for id := range r.contexts {
		if id != r.opts.BrowserContextID {
			own = append(own, id)
		}
	}
	r.mu.Unlock()
	r.reply(f, map[string]any{"browserContextIds": own, "defaultBrowserContextId": r.opts.BrowserContextID})
}

// createBrowserContext makes a context that goes with the client. A proxy of
// its own is not offered: the way out is the session's.
func createBrowserContext(r *RawConn, ctx context.Context, _ *Session, f clientFrame) {
	var p struct {
		DisposeOnDetach bool   `json:"disposeOnDetach,omitzero"`
		ProxyServer     string `json:"proxyServer,omitzero"`
		ProxyBypassList string `json:"proxyBypassList,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	if p.ProxyServer != "" || p.ProxyBypassList != "" {
		r.fail(f, &Error{Code: -32602, Message: "a context of a client has the proxy of its session"})
		return
	}
	r.forward(ctx, r.root, f, map[string]bool{"disposeOnDetach": true}, func(result jsonv2.Value) (jsonv2.Value, error) {
		var made struct {
			BrowserContextID string `json:"browserContextId"`
		}
		if err := jsonv2.Unmarshal(result, &made, wireOptions); err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.contexts[made.BrowserContextID] = true
		r.mu.Unlock()
		if r.opts.CreateContext != nil {
			r.opts.CreateContext(made.BrowserContextID)
		}
		return result, nil
	})
}

func disposeBrowserContext(r *RawConn, ctx context.Context, _ *Session, f clientFrame) {
	var p struct {
		BrowserContextID string `json:"browserContextId"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	r.mu.Lock()
	own := r.contexts[p.BrowserContextID] && p.BrowserContextID != r.opts.BrowserContextID
	r.mu.Unlock()
	if !own {
		r.fail(f, &Error{Code: -32602, Message: "Failed to find browser context with id " + p.BrowserContextID})
		return
	}
	r.forward(ctx, r.root, f, p, func(result jsonv2.Value) (jsonv2.Value, error) {
		r.mu.Lock()
		delete(r.contexts, p.BrowserContextID)
		r.mu.Unlock()
		if r.opts.DisposeContext != nil {
			r.opts.DisposeContext(p.BrowserContextID)
		}
		return result, nil
	})
}

// inContext adds the client's context to a command that takes one.
func inContext(r *RawConn, ctx context.Context, _ *Session, f clientFrame) {
	var p struct {
		BrowserContextID string       `json:"browserContextId,omitzero"`
		Cookies          jsonv2.Value `json:"cookies,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	context, ok := r.contextFor(p.BrowserContextID)
	if !ok {
		r.fail(f, &Error{Code: -32602, Message: "Failed to find browser context with id " + p.BrowserContextID})
		return
	}
	p.BrowserContextID = context
	r.forward(ctx, r.root, f, p, nil)
}
