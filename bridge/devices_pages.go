package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/devices/page"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

const (
	deviceWorld   = "bridge-devices"
	deviceBinding = "bridgeDevicesCall"
	deviceObject  = "globalThis.bridgeDevices"
)

// devicePages give the documents and dedicated workers of a session the devices that
// the program has for them.
type devicePages struct {
	access         *deviceAccess
	questions      *channel
	page, isolated *preload

	mu      sync.Mutex
	on      bool
	frames  map[*worldContext]*deviceClient
	workers map[*cdp.Target]*deviceClient
}

// deviceClient is a document or a dedicated worker.
type deviceClient struct {
	page    *WebContents
	frameID string // empty for a worker
	life    context.Context
	end     context.CancelFunc
	to      atomic.Pointer[address] // nil before a worker's script has run
	asking  atomic.Int32            // questions that are not answered yet
	turns   deviceTurns             // of the questions
	given   bool                    // a worker has the script, or will; under devicePages.mu

	mu     sync.Mutex
	origin string                 // as the document last said; that of the script for a worker
	open   map[string]*openDevice // by the device's identity
}

// openDevice is a device that a client has open.
type openDevice struct {
	kind       deviceAnswerer
	connection deviceConnection
}

// deviceConnection is what answers questions about an open device.
type deviceConnection interface {
	// do answers an operation of an in-page object. The next question is answered only
	// when the turn of this one has ended.
	do(ctx context.Context, q deviceQuestion) (any, error)
	close()
}

// deviceAnswerer answers what clients ask about a kind of devices.
type deviceAnswerer interface {
	answer(ctx context.Context, from deviceAsker, q deviceQuestion) (any, error)
	// permitted reports whether pages of an origin may use a device that is there.
	permitted(ctx context.Context, origin, identity string) bool
}

// deviceAsker is who asks.
type deviceAsker struct {
	questioner
	client *deviceClient
	active bool // the user has just done something
}

// deviceQuestion is what a client asks. All of it but url, origin, active and
// allowed, which are of the isolated world's telling, can be made up by a page.
type deviceQuestion struct {
	Kind    string `json:"kind"` // of the device, and the operation
	ID      int    `json:"id"`
	Device  string `json:"device"`
	URL     string `json:"url"`
	Origin  string `json:"origin"`
	Active  bool   `json:"active"`
	Allowed bool   `json:"allowed"` // by the document's permissions policy
	op      string
	text    string // all of it
	turn    deviceTurn
}

// decode reads what an operation needs.
func (q deviceQuestion) decode(into any) error {
	return jsonv2.Unmarshal([]byte(q.text), into, jsonv2.AllowInvalidUTF8(true))
}

// errNoSuchOperation is what a page gets that makes questions up.
var errNoSuchOperation = &domException{"NotSupportedError", "The operation is not supported."}

type deviceAnswer struct {
	ID     int           `json:"id"`
	Result any           `json:"result,omitzero"`
	Error  *domException `json:"error,omitzero"`
}

func newDevicePages(a *deviceAccess) *devicePages {
	p := &devicePages{access: a, frames: map[*worldContext]*deviceClient{}, workers: map[*cdp.Target]*deviceClient{}}
	p.questions = a.session.newChannel(deviceWorld, deviceBinding, p.heard)
	name := rand.Text()
	p.page = &preload{PreloadScript: PreloadScript{World: MainWorld, AllFrames: true}, text: page.Script(name), immediately: true}
	p.isolated = &preload{PreloadScript: PreloadScript{World: IsolatedWorld, AllFrames: true}, text: page.IsolatedScript(name), worldName: deviceWorld, immediately: true}
	return p
}

// use gives documents the scripts, or gives them to no further ones.
func (p *devicePages) use(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on == on {
		return
	}
	p.on = on
	if !on {
		p.access.session.preloads.setOwn(deviceWorld, nil)
		return
	}
	sendAll(p.questions.use())
	p.access.session.preloads.setOwn(deviceWorld, []*preload{p.page, p.isolated})
	for t, c := range p.workers {
		t.Session.Conn().Send(p.equip(t, c)...)
	}
}

func (p *devicePages) join(t *cdp.Target) []cdp.Command {
	if t.Type() != cdp.TargetWorker {
		return nil
	}
	of := p.access.session.page(t.Page().ID())
	if of == nil {
		return nil
	}
	c := newDeviceClient(of.life, of, "")
	c.origin = workerOrigin(t.Info().URL)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.workers[t] = c
	if !p.on {
		return nil
	}
	return p.equip(t, c)
}

func (p *devicePages) restarted(*cdp.Target) []cdp.Command { return nil }

func (p *devicePages) leave(t *cdp.Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.workers[t]; c != nil {
		c.end()
		delete(p.workers, t)
	}
}

// equip returns the commands that give a worker the script.
func (p *devicePages) equip(t *cdp.Target, c *deviceClient) []cdp.Command {
	if c.given {
		return nil
	}
	c.given = true
	questions := workerChannel{t, deviceBinding}
	questions.hear(c.life, func(text string) { p.take(c, text) })
	return append(questions.open(), cdp.Command{
		Session: t.Session, Method: "Runtime.evaluate", Params: evaluateParams{Expression: page.WorkerScript()},
		Done: func(result jsonv2.Value, err error) {
			if to, ok := questions.listener(result, err); ok {
				c.to.Store(&to)
			}
		},
	})
}

func newDeviceClient(life context.Context, of *WebContents, frameID string) *deviceClient {
	c := &deviceClient{page: of, frameID: frameID, open: map[string]*openDevice{}}
	c.life, c.end = context.WithCancel(life)
	context.AfterFunc(c.life, func() { c.closeAll(func(*openDevice, string) bool { return true }) })
	return c
}

// heard takes what a document says.
func (p *devicePages) heard(m worldMessage) { p.take(p.client(m.page, m.from), m.text) }

// client is what is known of a document.
func (p *devicePages) client(of *WebContents, in *worldContext) *deviceClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.frames[in]
	if c == nil {
		c = newDeviceClient(in.life, of, in.frameID)
		to := in.address(deviceObject)
		c.to.Store(&to)
		p.frames[in] = c
		context.AfterFunc(in.life, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.frames, in)
		})
	}
	return c
}

// take takes what a client asks.
func (p *devicePages) take(c *deviceClient, text string) {
	q := deviceQuestion{text: text}
	if q.decode(&q) != nil {
		return
	}
	if c.asking.Add(1) > maxQuestions {
		c.asking.Add(-1)
		c.say("answer", deviceAnswer{ID: q.ID, Error: &domException{"NetworkError", "Too many calls are under way."}})
		return
	}
	q.turn = c.turns.next()
	go func() {
		defer c.asking.Add(-1)
		defer q.turn.end(c.life)
		result, err := p.answer(c, q)
		answer := deviceAnswer{ID: q.ID, Result: result}
		if err != nil && !errors.As(err, &answer.Error) {
			answer.Error = &domException{"NetworkError", err.Error()}
		}
		c.say("answer", answer)
	}()
}

// say calls a method of what a client has for it. It does not wait.
func (c *deviceClient) say(method string, values ...any) {
	if to := c.to.Load(); to != nil && c.life.Err() == nil {
		to.send(method, values...)
	}
}

// deliver is say, and waits until it is done.
func (c *deviceClient) deliver(method string, values ...any) {
	if to := c.to.Load(); to != nil {
		to.deliver(c.life, method, values...)
	}
}

func (p *devicePages) answer(c *deviceClient, q deviceQuestion) (any, error) {
	var name string
	name, q.op, _ = strings.Cut(q.Kind, ".")
	kind := p.access.kind(name)
	if kind == nil {
		return nil, errNoSuchOperation
	}
	from := p.asker(c, q)
	if !from.mayUse(DeviceKind(name), q.Allowed) {
		return nil, &domException{"SecurityError", "Access to the feature \"" + name + "\" is disallowed by permissions policy."}
	}
	q.turn.wait(c.life)
	return kind.answer(c.life, from, q)
}

// asker is who asks, as far as Chromium tells.
func (p *devicePages) asker(c *deviceClient, q deviceQuestion) deviceAsker {
	from := deviceAsker{client: c, active: q.Active}
	from.page, from.url, from.main = c.page, q.URL, c.frameID == c.page.ID()
	c.mu.Lock()
	if c.frameID != "" {
		c.origin = q.Origin
	}
	from.origin = c.origin
	c.mu.Unlock()
	from.embedding = c.top()
	if c.frameID != "" {
		from.frame = c.page.frame(c.frameID)
	}
	return from
}

// top is the origin of the client's page. Chromium knows devices by it.
func (c *deviceClient) top() string {
	if c.frameID == c.page.ID() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.origin != "" {
			return c.origin
		}
	}
	return c.page.topOrigin()
}

// mayUse reports whether a document may use a kind of devices at all. A worker may
// where a document of its origin in the page may.
func (from deviceAsker) mayUse(kind DeviceKind, allowed bool) bool {
	if from.embedding == "" || from.embedding == "null" || from.embedding == "://" {
		return false
	}
	if from.client.frameID != "" {
		return allowed
	}
	for _, in := range from.page.contexts.inWorld(deviceWorld) {
		var policy struct {
			Origin  string `json:"origin"`
			Allowed bool   `json:"allowed"`
		}
		err := in.address(deviceObject).ask(from.client.life, &policy, "policy", kind)
		if err == nil && policy.Origin == from.origin && policy.Allowed {
			return true
		}
	}
	return false
}

// all are the clients that there are: documents that have the scripts, and workers.
func (p *devicePages) all() (clients []*deviceClient) {
	for _, page := range p.access.session.Pages() {
		for _, in := range page.contexts.inWorld(deviceWorld) {
			clients = append(clients, p.client(page, in))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.AppendSeq(clients, maps.Values(p.workers))
}

// tell tells the clients of origins that may know.
func (p *devicePages) tell(kind DeviceKind, message deviceMessage, permitted func(origin string) bool) {
	for _, c := range p.all() {
		if origin := c.top(); origin != "" && origin != "null" && permitted(origin) {
			c.say("tell", kind, message)
		}
	}
}

// deviceMessage tells a client what has happened to a device.
type deviceMessage struct {
	Type   string         `json:"type"` // "connect", "disconnect", or one of the kind's own
	Device map[string]any `json:"device"`
	Was    string         `json:"was,omitzero"` // the id that the device had before it was away
	Data   any            `json:"data,omitzero"`
}

// review closes what clients have open and may not use any more.
func (p *devicePages) review() {
	for _, c := range p.all() {
		c.closeAll(func(d *openDevice, identity string) bool { return !d.kind.permitted(c.life, c.top(), identity) })
	}
}

// close closes a device that is gone.
func (p *devicePages) close(identity string) {
	for _, c := range p.all() {
		c.closeAll(func(_ *openDevice, of string) bool { return of == identity })
	}
}

// closeAll closes devices of a client.
func (c *deviceClient) closeAll(which func(d *openDevice, identity string) bool) {
	c.mu.Lock()
	open := maps.Clone(c.open)
	c.mu.Unlock()
	for identity, d := range open {
		if which(d, identity) {
			c.close(identity, d)
		}
	}
}

// close closes a device, unless the client has another one open in its place.
func (c *deviceClient) close(identity string, d *openDevice) {
	c.mu.Lock()
	if c.open[identity] == d {
		delete(c.open, identity)
	}
	c.mu.Unlock()
	d.connection.close()
}

// opened is the device that a client has open, nil if it has not.
func (c *deviceClient) opened(identity string) *openDevice {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[identity]
}

// hold keeps an open device until it is closed. It is false when the client has
// ended, or has the device open already.
func (c *deviceClient) hold(identity string, d *openDevice) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil || c.open[identity] != nil {
		return false
	}
	c.open[identity] = d
	return true
}
