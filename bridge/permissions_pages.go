package bridge

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/permissions"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

const (
	permissionWorld   = "bridge-permissions"
	permissionBinding = "bridgePermissionCall" // there alone
	permissionObject  = "globalThis.bridgePermissions"
)

// permissionPages make the documents and workers of a session ask before Chromium
// does what needs a permission, while somebody wants to be asked.
type permissionPages struct {
	session   *Session
	decider   *permissionDecider
	questions *channel

	eventName      string // by which the worlds of a document talk
	scriptURL      string // of the script in documents that stops in the debugger
	workerURL      string // of that in workers, whose own scripts can find it out
	page, isolated *preload
	rules          map[permissionAnswerers]*preload // tell the isolated one who answers

	mu sync.Mutex
	permissionAnswerers
	changes int // how often that has changed
	targets map[*cdp.Target]*permissionTarget
	grants  map[grantID]*documentGrant
}

// permissionAnswerers says whether somebody answers requests, and checks.
type permissionAnswerers struct{ asks, checks bool }

type permissionTarget struct {
	stop     context.CancelFunc // of what follows its events, nil without
	scripted bool               // a worker that has the script
}

// grantID is a request of a document that was granted.
type grantID struct {
	from *worldContext
	id   int
}

func newPermissionPages(s *Session, d *permissionDecider) *permissionPages {
	p := &permissionPages{session: s, decider: d, targets: map[*cdp.Target]*permissionTarget{}, grants: map[grantID]*documentGrant{}}
	p.questions = s.newChannel(permissionWorld, permissionBinding, p.heard)
	isolated := func(text string) *preload {
		return &preload{PreloadScript: PreloadScript{World: IsolatedWorld, AllFrames: true}, text: text, worldName: permissionWorld, immediately: true}
	}
	p.eventName, p.scriptURL, p.workerURL = rand.Text(), "bridge:"+rand.Text(), "bridge:"+rand.Text()
	p.page = &preload{PreloadScript: PreloadScript{World: MainWorld, AllFrames: true}, text: permissions.PageScript(p.eventName), immediately: true}
	p.isolated = isolated(permissions.IsolatedScript(p.eventName, p.scriptURL))
	p.rules = map[permissionAnswerers]*preload{}
	for _, by := range []permissionAnswerers{{false, false}, {false, true}, {true, false}, {true, true}} {
		p.rules[by] = isolated(fmt.Sprintf("%sRules = {asks: %t, checks: %t};", permissionObject, by.asks, by.checks))
	}
	return p
}

// update is told who answers from now on. Open documents keep the script when
// nobody does any more, and are granted everything.
func (p *permissionPages) update(by permissionAnswerers) {
	p.mu.Lock()
	before := p.permissionAnswerers
	p.permissionAnswerers = by
	p.changes++
	var updates [][]cdp.Command
	for t, at := range p.targets {
		if commands := p.bring(t, at); len(commands) > 0 {
			updates = append(updates, commands)
		}
	}
	p.mu.Unlock()
	nobody := permissionAnswerers{}
	if by != nobody {
		updates = append(updates, p.questions.use()...)
	}
	sendAll(updates)
	switch {
	case by != nobody:
		p.session.preloads.setOwn(permissionWorld, []*preload{p.page, p.isolated, p.rules[by]})
	case before != nobody:
		p.session.preloads.setOwn(permissionWorld, []*preload{p.rules[by]}) // for open documents
		p.session.preloads.setOwn(permissionWorld, nil)
	}
	p.reviewAll()
}

// reviewAll asks anew for what is permitted. wait waits until Chromium is told.
func (p *permissionPages) reviewAll() (wait func()) {
	var checked sync.WaitGroup
	for _, page := range p.session.Pages() {
		checked.Go(func() { p.checkOrigin(page.life, page, page.wireURL()) })
		for _, in := range page.contexts.inWorld(permissionWorld) {
			in.address(permissionObject).send("changed")
		}
	}
	return checked.Wait
}

func (p *permissionPages) join(t *cdp.Target) []cdp.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets[t] = &permissionTarget{}
	return p.bring(t, p.targets[t])
}

func (p *permissionPages) restarted(t *cdp.Target) []cdp.Command {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.targets[t]
	if at == nil {
		return nil
	}
	at.scripted = false
	return p.bring(t, at)
}

func (p *permissionPages) leave(t *cdp.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.targets[t]; at != nil && at.stop != nil {
		at.stop()
	}
	delete(p.targets, t)
}

// bring returns the commands that bring a target to who answers now. Where checks
// are answered, scripts that have to know at once stop in the debugger; those of
// pages do not, whatever they say.
func (p *permissionPages) bring(t *cdp.Target, at *permissionTarget) (commands []cdp.Command) {
	switch {
	case p.checks && at.stop == nil:
		at.stop = p.follow(t)
		stopping := p.workerURL
		if t.HasFrames() {
			stopping = p.scriptURL
		}
		commands = append(commands,
			cdp.Command{Session: t.Session, Method: "Debugger.enable"},
			cdp.Command{Session: t.Session, Method: "Debugger.setBlackboxPatterns", Params: map[string]any{"patterns": []string{"^(?!" + stopping + "$)"}, "skipAnonymous": true}})
	case !p.checks && at.stop != nil:
		at.stop()
		at.stop = nil
		commands = append(commands, cdp.Command{Session: t.Session, Method: "Debugger.disable"})
	}
	if (p.asks || p.checks) && !t.HasFrames() && !at.scripted {
		at.scripted = true
		commands = append(commands, cdp.Command{Session: t.Session, Method: "Runtime.evaluate", Params: evaluateParams{Expression: permissions.WorkerScript(p.workerURL)}})
	}
	return commands
}

// follow watches the navigations of a page, and what stops in the debugger, until
// stop is called.
func (p *permissionPages) follow(t *cdp.Target) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(p.session.life)
	events := t.Session.Events(ctx, cdp.QueueOptions{}, "Debugger.paused", "Page.frameStartedNavigating", "Page.frameNavigated")
	go func() {
		last := ""
		for e, err := range events {
			if err != nil {
				return
			}
			if e.Method == "Debugger.paused" {
				go p.paused(ctx, t, e)
				continue
			}
			// Chromium tells of the first URL when a navigation begins, and of the
			// last one, after redirects, when it ends.
			if address := mainNavigation(t, e); address != "" && (address != last || e.Method == "Page.frameStartedNavigating") {
				last = address
				go p.checkOrigin(ctx, p.session.page(t.ID()), address)
			}
		}
	}()
	return stop
}

// mainNavigation is where an event says that the main frame of a page goes.
func mainNavigation(t *cdp.Target, e cdp.Event) string {
	var ev struct {
		FrameID string `json:"frameId"`
		URL     string `json:"url"`
		Frame   struct {
			ID  string `json:"id"`
			URL string `json:"url"`
		} `json:"frame"`
	}
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil || cmp.Or(ev.FrameID, ev.Frame.ID) != t.ID() || t.Type() != cdp.TargetPage {
		return ""
	}
	return cmp.Or(ev.URL, ev.Frame.URL)
}

// checkOrigin brings what Chromium itself looks at, for the pages of an origin, to
// what is permitted.
func (p *permissionPages) checkOrigin(ctx context.Context, page *WebContents, address string) {
	p.checkSome(ctx, page, address, func(Permission) bool { return true })
}

// checkSome is checkOrigin for some of the permissions.
func (p *permissionPages) checkSome(ctx context.Context, page *WebContents, address string, which func(Permission) bool) {
	u, err := url.Parse(address)
	if err != nil || page == nil || u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	p.mu.Lock()
	asks, checks, changes := p.asks, p.checks, p.changes
	p.mu.Unlock()
	if !checks {
		return
	}
	from := questioner{page: page, url: address, origin: originOf(u), embedding: originOf(u), main: true}
	var checked sync.WaitGroup
	for query, descriptors := range nativeQueries(asks) {
		if !which(query.Permission) {
			continue
		}
		checked.Go(func() {
			granted, _ := p.decider.check(ctx, from.check(query))
			p.mu.Lock()
			defer p.mu.Unlock()
			if ctx.Err() == nil && p.changes == changes { // else somebody else has been asked since
				p.decider.native.check(from.origin, descriptors, granted)
			}
		})
	}
	checked.Wait()
}

// questioner is who asks.
type questioner struct {
	page              *WebContents // nil for workers
	frame             *Frame
	url               string
	origin, embedding string
	main              bool
}

// slashed is an origin as Electron's handlers get it.
func slashed(origin string) string {
	if origin == "null" {
		return origin
	}
	return customURL(origin) + "/"
}

func (q questioner) check(about permissions.Query) PermissionCheck {
	c := PermissionCheck{
		Permission: about.Permission, MediaType: about.MediaType, WebContents: q.page, Frame: q.frame, RequestingURL: customURL(q.url),
		RequestingOrigin: slashed(q.origin), EmbeddingOrigin: slashed(q.embedding), IsMainFrame: q.main,
	}
	if about.Permission == PermissionMedia {
		c.SecurityOrigin = c.RequestingOrigin
	}
	if about.Permission == PermissionNotifications { // which belong to an origin
		c.WebContents, c.Frame, c.IsMainFrame, c.EmbeddingOrigin = nil, nil, false, c.RequestingOrigin
	}
	return c
}

func (q questioner) request(p Permission) PermissionRequest {
	r := PermissionRequest{
		Permission: p, WebContents: q.page, Frame: q.frame, RequestingURL: customURL(q.url),
		RequestingOrigin: slashed(q.origin), EmbeddingOrigin: slashed(q.embedding), IsMainFrame: q.main,
	}
	if p == PermissionMedia {
		r.SecurityOrigin = r.RequestingOrigin
	}
	return r
}

// permissionQuestion is what the in-page side asks.
type permissionQuestion struct {
	Kind           string                 `json:"kind"`
	ID             int                    `json:"id"`
	Permission     Permission             `json:"permission"`
	MediaTypes     []string               `json:"mediaTypes"`
	FilePath       string                 `json:"filePath"`
	IsDirectory    bool                   `json:"isDirectory"`
	FileAccessType string                 `json:"fileAccessType"`
	Descriptor     permissions.Descriptor `json:"descriptor"`
	Active         bool                   `json:"active"` // the user has just done something
	URL            string                 `json:"url"`
	Origin         string                 `json:"origin"`
}

// permissionAnswer is what it is answered.
type permissionAnswer struct {
	ID         int        `json:"id"`
	Permission Permission `json:"permission,omitzero"`
	Granted    bool       `json:"granted,omitzero"`
	State      string     `json:"state,omitzero"`
	Devices    bool       `json:"devices,omitzero"` // the names may be asked for
}

// permissionState is the word for what is permitted.
func permissionState(granted bool) string {
	if granted {
		return "granted"
	}
	return "denied"
}

// heard takes what a document says. The page can make all of it up, but for the
// URL and the origin, which are of the isolated world's telling, and the frame,
// which Chromium tells.
func (p *permissionPages) heard(m worldMessage) {
	var q permissionQuestion
	if jsonv2.Unmarshal([]byte(m.text), &q, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	if q.Kind == "done" {
		p.takeBack(grantID{m.from, q.ID})
		return
	}
	var answer func(worldMessage, permissionQuestion)
	switch q.Kind {
	case "request":
		answer = p.request
	case "check":
		answer = p.check
	case "devices":
		answer = p.devices
	default:
		return
	}
	open := &m.from.checks // which requests that wait do not hold up
	if q.Kind == "request" {
		open = &m.from.requests
	}
	if !ask(open, func() { answer(m, q) }) {
		p.tooMany(m, q)
	}
}

// ask answers a question of a document in a goroutine of its own, unless too many
// are open.
func ask(open *atomic.Int32, answer func()) bool {
	if open.Add(1) > maxQuestions {
		open.Add(-1)
		return false
	}
	go func() {
		defer open.Add(-1)
		answer()
	}()
	return true
}

// maxQuestions is how many requests, and how many checks, of a document are open at a
// time. What is more is denied.
const maxQuestions = 256

// tooMany denies a question.
func (p *permissionPages) tooMany(m worldMessage, q permissionQuestion) {
	from := m.questioner(q)
	about, ok := permissions.FromQuery(q.Descriptor)
	switch _, err := permissions.Parse(string(q.Permission)); {
	case q.Kind == "request" && err == nil:
		p.decider.decided(from.request(q.Permission), false, byTooMany)
	case q.Kind == "check" && ok:
		p.decider.toldOfCheck(from.check(about), false, byTooMany)
	}
	p.answer(m, permissionAnswer{ID: q.ID, State: permissionState(false)})
}

// answer tells a document. It does not wait.
func (p *permissionPages) answer(m worldMessage, a permissionAnswer) {
	m.from.address(permissionObject).send("answer", a)
}

// questioner is the frame that says something.
func (m worldMessage) questioner(q permissionQuestion) questioner {
	from := questioner{page: m.page, frame: m.page.frame(m.from.frameID), url: q.URL, origin: q.Origin, embedding: q.Origin, main: m.from.frameID == m.page.ID()}
	if !from.main {
		from.embedding = m.page.topOrigin()
	}
	return from
}

// topOrigin is the origin of the page's document, "null" for an opaque one.
func (w *WebContents) topOrigin() string {
	top, _ := w.target.Frame(w.ID())
	if top.Origin == "" || top.Origin == "null" || top.Origin == "://" {
		return w.contexts.originOf(w.ID())
	}
	return top.Origin
}

// request answers a document that wants to do something.
func (p *permissionPages) request(m worldMessage, q permissionQuestion) {
	from := m.questioner(q)
	keys, ok := requestKeys(from, q)
	if !ok || from.frame == nil {
		return
	}
	r := from.request(q.Permission)
	r.MediaTypes, r.FilePath, r.IsDirectory, r.FileAccessType = q.MediaTypes, q.FilePath, q.IsDirectory, q.FileAccessType
	if q.Permission == PermissionFileSystem && p.decider.current().check != nil && !p.decider.checked(m.from.life, from.fileCheck(q)) {
		p.answer(m, permissionAnswer{ID: q.ID}) // what the check forbids is not asked for
		return
	}
	asked := time.Now()
	granted, ok := p.decider.request(m.from.life, r, func() { p.grant(m, q, keys) })
	if !ok {
		return
	}
	if granted && q.Permission == PermissionFullscreen {
		p.permitAbove(m, q.ID, true)
	}
	if granted && q.Permission == PermissionFileSystem && q.FileAccessType == writable {
		granted = p.letWrite(m, q)
	}
	to := m.from.address(permissionObject)
	if granted && q.Active && time.Since(asked) > time.Second {
		to.params["userGesture"] = true // or the handler's time would cost the page what the user has done
	}
	to.send("answer", permissionAnswer{ID: q.ID, Permission: q.Permission, Granted: granted})
}

// requestKeys are what has to be granted in Chromium for a request. It is false
// for what a document cannot ask for.
func requestKeys(from questioner, q permissionQuestion) (keys []nativeKey, ok bool) {
	var descriptors []permissions.Descriptor
	switch p := q.Permission; {
	case p == PermissionMedia:
		for _, mediaType := range q.MediaTypes {
			media := mediaDescriptors(mediaType)
			if media == nil {
				return nil, false
			}
			descriptors = append(descriptors, media...)
		}
	case p == PermissionStorageAccess:
		return from.keys(from.origin, permissions.Native(p)), true
	case slices.Contains(askedFor, p):
		descriptors = permissions.Native(p)
	case p == PermissionFileSystem:
		return nil, q.FileAccessType == readable || q.FileAccessType == writable
	case p != PermissionFullscreen && p != PermissionMediaKeySystem && p != PermissionNotifications && p != PermissionIdleDetection:
		return nil, false
	}
	return from.keys("", descriptors), true
}

func mediaDescriptors(mediaType string) []permissions.Descriptor {
	switch mediaType {
	case permissions.Audio:
		return []permissions.Descriptor{{Name: "microphone"}}
	case permissions.Video:
		return []permissions.Descriptor{{Name: "camera"}, {Name: "camera", PanTiltZoom: true}}
	}
	return nil
}

// keys are those of descriptors for the page. There are none for an opaque origin.
func (q questioner) keys(embedded string, descriptors []permissions.Descriptor) (keys []nativeKey) {
	if q.embedding == "" || q.embedding == "null" || q.embedding == "://" {
		return nil
	}
	for _, d := range descriptors {
		keys = append(keys, nativeKey{q.embedding, embedded, d})
	}
	return keys
}

// moment is the longest time for which a call that does not last is granted. It is
// over earlier when the document says so, which it may not.
const moment = 3 * time.Second

// grant lets Chromium do what a document has asked for, until it is done or gone.
func (p *permissionPages) grant(m worldMessage, q permissionQuestion, keys []nativeKey) {
	id := grantID{m.from, q.ID}
	var release func()
	switch {
	case q.Permission == PermissionFileSystem && q.FileAccessType == writable:
		release = p.decider.files.hold()
	default:
		release = p.decider.native.hold(keys)
	}
	var life context.Context
	var stop context.CancelFunc
	switch {
	case lasts(q.Permission) && q.Kind != "devices":
		life, stop = context.WithCancel(m.from.life)
	default:
		life, stop = context.WithTimeout(m.from.life, moment)
	}
	origin, _ := permissions.ParseOrigin(slashed(q.Origin))
	g := &documentGrant{origin: origin, permission: q.Permission, keys: keys}
	g.end = sync.OnceFunc(func() {
		stop()
		release()
		if q.Permission == PermissionFullscreen {
			go p.permitAbove(m, q.ID, false)
		}
	})
	p.mu.Lock()
	before := p.grants[id]
	p.grants[id] = g
	p.mu.Unlock()
	if before != nil { // a page uses a number twice
		before.end()
	}
	context.AfterFunc(life, func() { p.end(id, g) })
}

// lasts reports whether Chromium ends what a document does with a permission when
// it is taken back, or does it anew each time, so that the grant has to last as long
// as the document. Who has entered fullscreen or locked the pointer needs none.
func lasts(p Permission) bool {
	switch p {
	case PermissionMedia, PermissionGeolocation, PermissionMIDI, PermissionMIDISysex, PermissionStorageAccess:
		return true
	}
	return false
}

// end ends a grant, unless its number is another one's by now.
func (p *permissionPages) end(id grantID, g *documentGrant) {
	p.mu.Lock()
	if p.grants[id] == g {
		delete(p.grants, id)
	}
	p.mu.Unlock()
	g.end()
}

// takeBack ends a grant, if there is one.
func (p *permissionPages) takeBack(id grantID) {
	p.mu.Lock()
	g := p.grants[id]
	delete(p.grants, id)
	p.mu.Unlock()
	if g != nil {
		g.end()
	}
}

// permitAbove tells the frames around one that it may be in fullscreen, or no longer:
// they are in fullscreen with it.
func (p *permissionPages) permitAbove(m worldMessage, id int, given bool) {
	permit := fmt.Sprintf("%s %d", m.from.frameID, id)
	parents := map[string]string{}
	for _, f := range m.page.target.Frames() {
		parents[f.ID] = f.ParentID
	}
	above := map[string]bool{}
	for frame := parents[m.from.frameID]; frame != ""; frame = parents[frame] {
		above[frame] = true
	}
	for _, in := range m.page.contexts.inWorld(permissionWorld) {
		if above[in.frameID] {
			in.address(permissionObject).deliver(in.life, "permit", permit, given)
		}
	}
}

// check answers a document that asks what it may do.
func (p *permissionPages) check(m worldMessage, q permissionQuestion) {
	answer := permissionAnswer{ID: q.ID}
	rules := p.decider.current()
	if q.Permission == PermissionFileSystem && rules.checks() {
		answer.State = permissionState(p.decider.checked(m.from.life, m.questioner(q).fileCheck(q)))
	} else if about, ok := permissions.FromQuery(q.Descriptor); ok {
		answer.State = permissionState(p.decider.checked(m.from.life, m.questioner(q).check(about)))
	}
	p.answer(m, answer)
}

// devices lets a document see the names of its cameras and microphones as far as
// it is permitted. Chromium looks at what it knows of the page, which it may not have
// been told yet when the page is new.
func (p *permissionPages) devices(m worldMessage, q permissionQuestion) {
	p.checkSome(m.from.life, m.page, m.page.wireURL(), func(about Permission) bool { return about == PermissionMedia })
	q.Permission = PermissionMedia
	from := m.questioner(q)
	var keys []nativeKey
	for _, mediaType := range []string{permissions.Audio, permissions.Video} {
		if p.decider.checked(m.from.life, from.check(permissions.Query{Permission: PermissionMedia, MediaType: mediaType})) {
			keys = append(keys, from.keys("", mediaDescriptors(mediaType))...)
		}
	}
	p.grant(m, q, keys)
	p.answer(m, permissionAnswer{ID: q.ID, Devices: true})
}

// paused answers a script that has stopped to know what it may do.
func (p *permissionPages) paused(ctx context.Context, t *cdp.Target, e cdp.Event) {
	var ev struct {
		CallFrames []struct {
			ID string `json:"callFrameId"`
		} `json:"callFrames"`
		HitBreakpoints []string `json:"hitBreakpoints"`
	}
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil || len(ev.CallFrames) == 0 || len(ev.HitBreakpoints) > 0 {
		return // somebody else's
	}
	stopped := func(expression string) cdp.Command {
		return cdp.Command{Session: t.Session, Method: "Debugger.evaluateOnCallFrame", Params: map[string]any{"callFrameId": ev.CallFrames[0].ID, "expression": expression, "returnByValue": true, "silent": true}}
	}
	state := permissionState(false)
	read := stopped("JSON.stringify({...question, url: location.href, origin: self.origin})")
	var result struct {
		Result struct {
			Value string `json:"value"`
		} `json:"result"`
	}
	var q permissionQuestion
	if callRenderer(ctx, t, read.Method, read.Params, &result) == nil && jsonv2.Unmarshal([]byte(result.Result.Value), &q, jsonv2.AllowInvalidUTF8(true)) == nil {
		about, ok := permissions.FromQuery(q.Descriptor)
		if q.Permission != "" {
			about, ok = permissions.Query{Permission: q.Permission}, true
		}
		if !t.HasFrames() { // whose script can say what it likes
			q.URL = t.Info().URL
			q.Origin = workerOrigin(q.URL)
		}
		from := questioner{url: q.URL, origin: q.Origin, embedding: q.Origin}
		if ok {
			state = permissionState(p.decider.checked(ctx, from.check(about)))
		}
	}
	write := stopped(fmt.Sprintf("answer.state = %q", state))
	callRenderer(ctx, t, write.Method, write.Params, nil) // Debugger.resume would overtake it
	t.Session.Conn().Send(cdp.Command{Session: t.Session, Method: "Debugger.resume"})
}

// workerOrigin is the origin of a worker by the address of its script.
func workerOrigin(address string) string {
	u, err := url.Parse(strings.TrimPrefix(address, "blob:"))
	if err != nil || u.Host == "" {
		return "null"
	}
	return originOf(u)
}
