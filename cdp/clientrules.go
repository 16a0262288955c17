package cdp

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

//go:embed clientmethods.txt
var clientMethodTable string

// A clientRule carries out one command of a client.
type clientRule func(r *RawConn, ctx context.Context, s *clientSession, f clientFrame)

// clientMethod is what becomes of a method: one line's word of clientmethods.txt,
// and the rule for what is not passed as it is.
type clientMethod struct {
	verb string
	rule clientRule
}

// clientMethods is the allow-list of what a client may call.
func clientMethods() map[string]clientMethod {
	rules, methods := clientRules(), map[string]clientMethod{}
	for line := range strings.Lines(clientMethodTable) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] == "#" {
			continue
		}
		verb, domain := words[0], words[1]
		for _, name := range words[2:] {
			method := domain + "." + name
			methods[method] = clientMethod{verb, rules[method]}
		}
	}
	return methods
}

// clientRules are the rules for what is rewritten or emulated.
func clientRules() map[string]clientRule {
	return map[string]clientRule{
		"Browser.cancelDownload":              inContext("guid"),
		"Browser.close":                       closeClient,
		"Browser.getWindowBounds":             ofWindow,
		"Browser.getWindowForTarget":          getWindowForTarget,
		"Browser.grantPermissions":            permissions,
		"Browser.resetPermissions":            permissions,
		"Browser.setContentsSize":             ofWindow,
		"Browser.setDownloadBehavior":         setDownloadBehavior,
		"Browser.setPermission":               permissions,
		"Browser.setWindowBounds":             ofWindow,
		"DOM.setFileInputFiles":               setFileInputFiles,
		"Fetch.continueRequest":               continueRequest,
		"IO.close":                            closeStream,
		"IO.read":                             readStream,
		"Input.dispatchDragEvent":             dispatchDragEvent,
		"Network.loadNetworkResource":         loadNetworkResource,
		"Page.disable":                        switchPage,
		"Page.enable":                         switchPage,
		"Page.navigate":                       navigateClient,
		"Page.setDownloadBehavior":            setDownloadBehavior,
		"Security.setIgnoreCertificateErrors": setIgnoreCertificateErrors,
		"Storage.clearCookies":                inContext(),
		"Storage.getCookies":                  inContext(),
		"Storage.setCookies":                  inContext("cookies"),
		"Target.activateTarget":               ofTarget,
		"Target.attachToBrowserTarget":        attachToBrowserTarget,
		"Target.attachToTarget":               attachToTarget,
		"Target.closeTarget":                  ofTarget,
		"Target.createBrowserContext":         createBrowserContext,
		"Target.createTarget":                 createTarget,
		"Target.detachFromTarget":             detachFromTarget,
		"Target.disposeBrowserContext":        disposeBrowserContext,
		"Target.getBrowserContexts":           getBrowserContexts,
		"Target.getTargetInfo":                ofTarget,
		"Target.getTargets":                   getTargets,
		"Target.setAutoAttach":                setAutoAttach,
		"Tracing.end":                         endTrace,
		"Tracing.start":                       startTrace,
	}
}

// command carries out one command of the client.
func (r *RawConn) command(ctx context.Context, s *clientSession, f clientFrame) {
	domain, _, _ := strings.Cut(f.Method, ".")
	if answer := r.opts.Domains[domain]; answer != nil {
		answer(ClientCommand{Method: f.Method, Params: f.Params, SessionID: f.SessionID, client: r, frame: f})
		return
	}
	switch m := r.tree.methods[f.Method]; {
	case m.rule != nil:
		m.rule(r, ctx, s, f)
	case m.verb == "everywhere", m.verb == "passed" && !s.isBrowser():
		pass(r, ctx, s, f)
	default:
		r.notFound(f)
	}
}

func (r *RawConn) notFound(f clientFrame) {
	r.fail(f, &Error{Code: -32601, Message: fmt.Sprintf("'%s' wasn't found, or is not for a client of one session", f.Method)})
}

func pass(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	r.forward(ctx, s.Session, f, f.Params, nil)
}

// params decodes a command's parameters strictly. Chromium takes the last of
// two members with one name, so a command is refused that has two, or one that
// the rule does not know.
func (r *RawConn) params(f clientFrame, into any) bool {
	if len(f.Params) == 0 {
		f.Params = jsonv2.Value("{}")
	}
	if err := jsonv2.Unmarshal(f.Params, into); err != nil {
		r.invalid(f, err.Error())
		return false
	}
	if u, ok := into.(interface{ unknown() jsonv2.Value }); ok && len(u.unknown()) > 2 {
		r.invalid(f, fmt.Sprintf("unknown members %s", u.unknown()))
		return false
	}
	return true
}

// object is params for commands that are passed on with the members that they
// have, of which only those that are named may be there.
func (r *RawConn) object(f clientFrame, known ...string) (map[string]jsonv2.Value, bool) {
	p := map[string]jsonv2.Value{}
	if !r.params(f, &p) {
		return nil, false
	}
	for name := range p {
		if !slices.Contains(known, name) {
			r.invalid(f, "unknown member "+strconv.Quote(name))
			return nil, false
		}
	}
	return p, true
}

// member decodes one member of an object, if it is there.
func (r *RawConn) member(f clientFrame, p map[string]jsonv2.Value, name string, into any) bool {
	if len(p[name]) == 0 {
		return true
	}
	if err := jsonv2.Unmarshal(p[name], into); err != nil {
		r.invalid(f, name+": "+err.Error())
		return false
	}
	return true
}

func (r *RawConn) invalid(f clientFrame, text string) {
	r.fail(f, &Error{Code: -32602, Message: "Invalid parameters: " + text})
}

// members collects the members that a rule does not know.
type members struct {
	Unknown jsonv2.Value `json:",unknown"`
}

func (m members) unknown() jsonv2.Value { return m.Unknown }

// closeClient ends the client, never the browser.
func closeClient(r *RawConn, _ context.Context, _ *clientSession, f clientFrame) {
	r.reply(f, struct{}{})
	r.Close()
}

// target decodes the parameters of a command on one target, which is one that the
// client sees, or none: then it is that of the session.
func (r *RawConn) target(f clientFrame, known ...string) (map[string]jsonv2.Value, bool) {
	p, ok := r.object(f, append(known, "targetId")...)
	var id string
	if !ok || !r.member(f, p, "targetId", &id) {
		return nil, false
	}
	if id != "" && !r.mayUse(id) {
		r.fail(f, noTarget())
		return nil, false
	}
	return p, true
}

func noTarget() error {
	return &Error{Code: -32602, Message: "No target with given id found"}
}

// ofTarget passes a command on a target that the client sees.
func ofTarget(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	if p, ok := r.target(f); ok {
		r.forward(ctx, s.Session, f, p, nil)
	}
}

// attachToTarget passes for flat sessions, the only ones that are offered.
func attachToTarget(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	p, ok := r.target(f, "flatten")
	flatten := false
	if !ok || !r.member(f, p, "flatten", &flatten) {
		return
	}
	if !flatten {
		r.fail(f, notFlat())
		return
	}
	r.forward(ctx, s.Session, f, p, nil)
}

// attachToBrowserTarget gives the client a further session with the browser.
func attachToBrowserTarget(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	if _, ok := r.object(f); !ok {
		return
	}
	if !s.isBrowser() {
		r.notFound(f)
		return
	}
	r.forward(ctx, s.Session, f, nil, nil)
}

// mayUse reports whether the client sees the target with the id.
func (r *RawConn) mayUse(targetID string) bool {
	r.mu.Lock()
	known := r.targets[targetID] || targetID == r.browserID
	r.mu.Unlock()
	if known {
		return true
	}
	t := r.tree.Target(targetID)
	return t != nil && r.sees(t.Info())
}

func getTargets(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	p, ok := r.object(f, "filter")
	if !ok {
		return
	}
	r.forward(ctx, s.Session, f, p, func(result jsonv2.Value) (jsonv2.Value, error) {
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

func detachFromTarget(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
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
	r.forward(ctx, s.Session, f, p, nil)
}

// createTarget opens a page as about:blank, which the bridge sets up, and then
// navigates it: a page that is created with its address sends its first request
// before any set-up holds. The client is answered when the page is there, as
// Chromium does it: it may itself have to resume the page first.
func createTarget(r *RawConn, ctx context.Context, _ *clientSession, f clientFrame) {
	var p struct {
		CreateTarget
		// These make pages that the bridge could not keep hold of.
		Hidden                  bool `json:"hidden,omitzero"`
		ForTab                  bool `json:"forTab,omitzero"`
		EnableBeginFrameControl bool `json:"enableBeginFrameControl,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	if p.Hidden || p.ForTab || p.EnableBeginFrameControl {
		r.invalid(f, "hidden, forTab and enableBeginFrameControl are not offered")
		return
	}
	inContext, ok := r.contextFor(p.BrowserContextID)
	if !ok {
		r.fail(f, noContext(p.BrowserContextID))
		return
	}
	if err := r.refusal(p.URL); err != nil {
		r.fail(f, err)
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

// schemeOf is the scheme of an address, and what follows it, as Chromium reads
// them: it skips what is in front, and tabs and line ends everywhere.
func schemeOf(address string) (scheme, rest string) {
	address = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(address)
	address = strings.TrimLeftFunc(address, func(c rune) bool { return c <= ' ' })
	scheme, rest, _ = strings.Cut(address, ":")
	return strings.ToLower(scheme), rest
}

// IsBrowserPage reports whether an address is one of Chromium's own pages. In a
// browser context that was created, chrome://settings and chrome://history end
// the whole browser.
func IsBrowserPage(address string) bool {
	scheme, rest := schemeOf(address)
	for scheme == "view-source" {
		scheme, rest = schemeOf(rest)
	}
	switch scheme {
	case "about": // about:settings is chrome://settings
		name, _, _ := strings.Cut(rest, "#")
		name, _, _ = strings.Cut(name, "?")
		return name != "" && !strings.EqualFold(name, "blank") && !strings.EqualFold(name, "srcdoc")
	case "devtools":
		return true
	}
	return scheme == "chrome" || strings.HasPrefix(scheme, "chrome-") && scheme != "chrome-extension"
}

// refusal says why the client may not open an address, if it may not.
func (r *RawConn) refusal(address string) error {
	scheme, _ := schemeOf(address)
	switch own := IsBrowserPage(address); {
	case r.opts.Confined && (own || scheme == "file" || scheme == "filesystem" || scheme == "view-source"):
		return &Error{Code: -32000, Message: address + " is not open to this token"}
	case own && !r.opts.DefaultContext:
		return &Error{Code: -32000, Message: address + " is not offered in a session in memory: Chromium's own pages can crash it there"}
	}
	return nil
}

// navigateClient passes on a page that the client may open.
func navigateClient(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	r.toAddress(ctx, s, f, "referrer", "transitionType", "frameId", "referrerPolicy")
}

func loadNetworkResource(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	r.toAddress(ctx, s, f, "frameId", "options")
}

// continueRequest is looked at where it could lead to what the client may not
// open. It is on the way of every request that a client pauses.
func continueRequest(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	switch {
	case r.opts.Confined:
		r.toAddress(ctx, s, f, "requestId", "method", "postData", "headers", "interceptResponse")
	case s.isBrowser():
		r.notFound(f)
	default:
		pass(r, ctx, s, f)
	}
}

// toAddress passes a command with a URL that the client may open.
func (r *RawConn) toAddress(ctx context.Context, s *clientSession, f clientFrame, known ...string) {
	if s.isBrowser() {
		r.notFound(f)
		return
	}
	p, ok := r.object(f, append(known, "url")...)
	var url string
	if !ok || !r.member(f, p, "url", &url) {
		return
	}
	if err := r.refusal(url); err != nil {
		r.fail(f, err)
		return
	}
	r.forward(ctx, s.Session, f, p, nil)
}

// switchPage passes Page.enable and Page.disable, and remembers who has it on.
func switchPage(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	if s.isBrowser() {
		r.notFound(f)
		return
	}
	r.mu.Lock()
	s.hasPage = f.Method == "Page.enable"
	r.mu.Unlock()
	pass(r, ctx, s, f)
}

// mayUseFiles answers a command that names a file that the client may not name.
func (r *RawConn) mayUseFiles(f clientFrame, paths ...string) bool {
	if r.opts.MayUseFile == nil {
		return true
	}
	for _, path := range paths {
		if err := r.opts.MayUseFile(path); err != nil {
			r.fail(f, &Error{Code: -32000, Message: err.Error()})
			return false
		}
	}
	return true
}

func setFileInputFiles(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	if s.isBrowser() {
		r.notFound(f)
		return
	}
	p, ok := r.object(f, "files", "nodeId", "backendNodeId", "objectId")
	var files []string
	if ok && r.member(f, p, "files", &files) && r.mayUseFiles(f, files...) {
		r.forward(ctx, s.Session, f, p, nil)
	}
}

func dispatchDragEvent(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	if s.isBrowser() {
		r.notFound(f)
		return
	}
	p, ok := r.object(f, "type", "x", "y", "data", "modifiers")
	var data struct {
		Files []string `json:"files"`
	}
	if ok && r.member(f, p, "data", &data) && r.mayUseFiles(f, data.Files...) {
		r.forward(ctx, s.Session, f, p, nil)
	}
}

// setDownloadBehavior says where the downloads of one of the client's contexts go.
func setDownloadBehavior(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	known := []string{"behavior", "downloadPath"}
	ofPage := f.Method == "Page.setDownloadBehavior"
	if ofPage && s.isBrowser() {
		r.notFound(f)
		return
	}
	if !ofPage {
		known = append(known, "browserContextId", "eventsEnabled")
	}
	p, ok := r.object(f, known...)
	var path string
	if !ok || !r.member(f, p, "downloadPath", &path) || path != "" && !r.mayUseFiles(f, path) {
		return
	}
	if !ofPage && !r.nameContext(f, p) {
		return
	}
	r.forward(ctx, s.Session, f, p, nil)
}

// permissions has the bridge carry out a command on permissions: Chromium's own
// settings are its baseline.
func permissions(r *RawConn, _ context.Context, _ *clientSession, f clientFrame) {
	p, ok := r.object(f, "permission", "permissions", "setting", "origin", "embeddedOrigin", "browserContextId")
	var id string
	if !ok || !r.member(f, p, "browserContextId", &id) {
		return
	}
	if _, ok := r.contextFor(id); !ok {
		r.fail(f, noContext(id))
		return
	}
	if r.opts.Permissions == nil {
		r.notFound(f)
		return
	}
	if err := r.opts.Permissions(cmp.Or(id, r.opts.BrowserContextID), f.Method, f.Params); err != nil {
		r.fail(f, err)
		return
	}
	r.reply(f, struct{}{})
}

// getWindowForTarget notes the windows that the client may use.
func getWindowForTarget(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	p, ok := r.target(f)
	if !ok {
		return
	}
	r.forward(ctx, s.Session, f, p, func(result jsonv2.Value) (jsonv2.Value, error) {
		var window struct {
			WindowID int `json:"windowId"`
		}
		if err := jsonv2.Unmarshal(result, &window); err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.windows[window.WindowID] = true
		return result, nil
	})
}

func ofWindow(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	p, ok := r.object(f, "windowId", "bounds", "width", "height")
	var id int
	if !ok || !r.member(f, p, "windowId", &id) {
		return
	}
	r.mu.Lock()
	own := r.windows[id]
	r.mu.Unlock()
	if !own {
		r.fail(f, &Error{Code: -32000, Message: "Browser window not found"})
		return
	}
	r.forward(ctx, s.Session, f, p, nil)
}

// setIgnoreCertificateErrors of the browser holds for the pages that the client is
// attached to, now and later.
func setIgnoreCertificateErrors(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
	if !s.isBrowser() {
		pass(r, ctx, s, f)
		return
	}
	var p struct {
		Ignore bool `json:"ignore"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	r.mu.Lock()
	r.ignoresCertificates = p.Ignore
	var commands []Command
	for _, page := range r.sessions {
		if page.kind == TargetPage {
			commands = append(commands, ignoreCertificates(page.Session, p.Ignore))
		}
	}
	r.mu.Unlock()
	r.tree.conn.Send(commands...)
	r.reply(f, struct{}{})
}

func ignoreCertificates(s *Session, ignore bool) Command {
	return Command{Session: s, Method: "Security.setIgnoreCertificateErrors", Params: map[string]bool{"ignore": ignore}}
}

// setAutoAttach passes for flat sessions, the only ones that are offered.
func setAutoAttach(r *RawConn, ctx context.Context, s *clientSession, f clientFrame) {
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
	r.forward(ctx, s.Session, f, p, nil)
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

func noContext(id string) error {
	return &Error{Code: -32602, Message: "Failed to find browser context with id " + id}
}

// nameContext puts the browser's own name of a context into the parameters of a
// command that takes one.
func (r *RawConn) nameContext(f clientFrame, p map[string]jsonv2.Value) bool {
	var id string
	if !r.member(f, p, "browserContextId", &id) {
		return false
	}
	own, ok := r.contextFor(id)
	if !ok {
		r.fail(f, noContext(id))
		return false
	}
	if delete(p, "browserContextId"); own != "" {
		p["browserContextId"] = jsonv2.Value(strconv.Quote(own))
	}
	return true
}

func getBrowserContexts(r *RawConn, _ context.Context, _ *clientSession, f clientFrame) {
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
func createBrowserContext(r *RawConn, ctx context.Context, _ *clientSession, f clientFrame) {
	var p struct {
		DisposeOnDetach                   bool     `json:"disposeOnDetach,omitzero"`
		ProxyServer                       string   `json:"proxyServer,omitzero"`
		ProxyBypassList                   string   `json:"proxyBypassList,omitzero"`
		OriginsWithUniversalNetworkAccess []string `json:"originsWithUniversalNetworkAccess,omitzero"`
		members
	}
	if !r.params(f, &p) {
		return
	}
	if p.ProxyServer != "" || p.ProxyBypassList != "" {
		r.fail(f, &Error{Code: -32602, Message: "a context of a client has the proxy of its session"})
		return
	}
	if len(p.OriginsWithUniversalNetworkAccess) > 0 {
		r.invalid(f, "originsWithUniversalNetworkAccess is not offered")
		return
	}
	params := map[string]any{}
	if r.opts.ContextParams != nil {
		var err error
		if params, err = r.opts.ContextParams(); err != nil {
			r.fail(f, err)
			return
		}
	}
	params["disposeOnDetach"] = true
	r.forward(ctx, r.root, f, params, func(result jsonv2.Value) (jsonv2.Value, error) {
		var made struct {
			BrowserContextID string `json:"browserContextId"`
		}
		if err := jsonv2.Unmarshal(result, &made, wireOptions); err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.contexts[made.BrowserContextID] = true
		late := r.closed // and the context with it
		r.mu.Unlock()
		if r.opts.CreateContext != nil && !late {
			r.opts.CreateContext(made.BrowserContextID)
		}
		return result, nil
	})
}

func disposeBrowserContext(r *RawConn, ctx context.Context, _ *clientSession, f clientFrame) {
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
		r.fail(f, noContext(p.BrowserContextID))
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
func inContext(known ...string) clientRule {
	return func(r *RawConn, ctx context.Context, _ *clientSession, f clientFrame) {
		if p, ok := r.object(f, append(slices.Clip(known), "browserContextId")...); ok && r.nameContext(f, p) {
			r.forward(ctx, r.root, f, p, nil)
		}
	}
}
