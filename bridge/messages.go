package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// callBinding is the function by which preload scripts call Go. Chromium puts it
// into their worlds alone.
const callBinding = "bridgeCall"

// Caller is who calls what was exposed.
type Caller struct {
	// Frame is the frame whose preload script calls, nil for a service worker.
	Frame *Frame
	// ServiceWorker is the service worker whose preload script calls, nil for a
	// frame.
	ServiceWorker *ServiceWorkerMain
}

// Expose lets the preload scripts of a session call a Go function: in them,
//
//	await bridge.invoke(name, argument)
//
// is its result. Arguments and results pass as JSON; without an argument the
// function gets the zero A, and an error rejects the promise with its text. It
// is Electron's ipcMain.handle. A later call with the same name replaces the
// function.
//
// Scripts in the isolated world of frames can call it, and those of service
// workers; the scripts of pages cannot, unless a preload script gives them a
// way. A service worker has one world: its own script can get at what its preload
// scripts have. Who calls is known from Chromium and not from what was sent. f runs in a
// goroutine of its own with a context that ends with the caller's document or
// with the run of the service worker; its result is then nobody's any more.
//
// It returns when it holds on every open page. The calls need the domain Runtime
// of the protocol, which is on from the first Expose of a session.
func Expose[A, R any](ctx context.Context, s *Session, name string, f func(ctx context.Context, from Caller, argument A) (R, error)) error {
	err := s.messages.expose(ctx, name, func(ctx context.Context, from Caller, raw jsonv2.Value) (any, error) {
		var argument A
		if len(raw) > 0 {
			if err := jsonv2.Unmarshal(raw, &argument, jsonv2.AllowInvalidUTF8(true)); err != nil {
				return nil, fmt.Errorf("the argument is no %T: %w", argument, err)
			}
		}
		return f(ctx, from, argument)
	})
	return doing("exposing "+name, s.explain(err))
}

// Unexpose takes back what Expose gave. Calls that run go on.
func (s *Session) Unexpose(ctx context.Context, name string) error {
	return doing("taking back "+name, s.explain(s.messages.expose(ctx, name, nil)))
}

// exposed is a function that preload scripts can call.
type exposed func(ctx context.Context, from Caller, argument jsonv2.Value) (any, error)

// messages are what preload scripts and Go say to each other.
type messages struct {
	session *Session
	calls   *channel

	mu      sync.Mutex
	exposed map[string]exposed
	workers map[*cdp.Target]*workerRun
}

// workerRun is a service worker with preload scripts, from its start to its
// stop.
type workerRun struct {
	life  context.Context
	end   context.CancelFunc
	ready chan struct{} // closed when to is known
	to    address
}

func newMessages(s *Session) *messages {
	m := &messages{session: s, exposed: map[string]exposed{}, workers: map[*cdp.Target]*workerRun{}}
	m.calls = s.newChannel(preloadWorld, callBinding, m.fromFrame)
	return m
}

func (m *messages) expose(ctx context.Context, name string, f exposed) error {
	if m.session.life.Err() != nil {
		return ErrSessionClosed
	}
	m.mu.Lock()
	m.exposed[name] = f
	if f == nil {
		delete(m.exposed, name)
	}
	m.mu.Unlock()
	if f == nil {
		return nil // calls arrive on, if only to be told that nobody is there
	}
	return sendAll(m.calls.use())(ctx)
}

func (m *messages) join(*cdp.Target) []cdp.Command { return nil }

func (m *messages) restarted(t *cdp.Target) []cdp.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	if run := m.workers[t]; run != nil {
		run.end()
	}
	return nil
}

func (m *messages) leave(t *cdp.Target) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if run := m.workers[t]; run != nil {
		run.end()
		delete(m.workers, t)
	}
}

// fromFrame takes a call of a frame's preload script.
func (m *messages) fromFrame(call worldMessage) {
	go m.answer(call.from.life, call.from.address("globalThis.bridgeDeliver"), call.text, func(context.Context) (Caller, error) {
		if frame := call.page.frame(call.from.frameID); frame != nil {
			return Caller{Frame: frame}, nil
		}
		return Caller{}, ErrFrameGone
	})
}

// fromWorker takes a call of a service worker's preload script.
func (m *messages) fromWorker(t *cdp.Target, text string) {
	m.mu.Lock()
	run := m.workers[t]
	m.mu.Unlock()
	if run == nil || run.life.Err() != nil {
		return
	}
	go func() {
		if to, err := run.address(run.life); err == nil {
			m.answer(run.life, to, text, func(ctx context.Context) (Caller, error) {
				worker, err := m.session.serviceWorkers.ofTarget(ctx, t.ID())
				return Caller{ServiceWorker: worker}, err
			})
		}
	}()
}

// answer runs what was exposed and tells the caller how it ended.
func (m *messages) answer(life context.Context, to address, text string, caller func(context.Context) (Caller, error)) {
	var call struct {
		ID       int          `json:"id"`
		Name     string       `json:"name"`
		Argument jsonv2.Value `json:"argument"`
	}
	if err := jsonv2.Unmarshal([]byte(text), &call, jsonv2.AllowInvalidUTF8(true)); err != nil {
		return // it is not the object bridge that calls
	}
	result, err := m.run(life, call.Name, call.Argument, caller)
	if err == nil {
		if err = to.deliver(life, "result", call.ID, result); err == nil || life.Err() != nil {
			return
		}
	}
	if err := to.deliver(life, "failure", call.ID, err.Error()); err != nil && life.Err() == nil {
		m.session.browser.log.Warn("a preload script was not answered", "call", call.Name, "error", err)
	}
}

func (m *messages) run(life context.Context, name string, argument jsonv2.Value, caller func(context.Context) (Caller, error)) (result jsonv2.Value, err error) {
	m.mu.Lock()
	f := m.exposed[name]
	m.mu.Unlock()
	if f == nil {
		return nil, invalidArgument("No handler registered for '%s'", name)
	}
	from, err := caller(life)
	if err != nil {
		return nil, err
	}
	returned := m.session.browser.safely("Expose "+name, func() { // its methods are the user's too
		var value any
		if value, err = f(life, from, argument); err != nil {
			err = errors.New(err.Error())
			return
		}
		if result, err = jsonv2.Marshal(value); err != nil {
			err = fmt.Errorf("encoding the result of %q: %w", name, err)
		}
	})
	if !returned {
		return nil, fmt.Errorf("the handler of %q panicked", name)
	}
	return result, err
}

// address is where preload scripts take what Go says.
type address struct {
	target *cdp.Target
	params map[string]any // of Runtime.callFunctionOn, that name the world
	object string         // the expression of the object that takes it there
}

// address is where a script of the world takes what Go says.
func (w *worldContext) address(object string) address {
	return address{w.target, map[string]any{"executionContextId": w.id}, object}
}

// deliver calls a method of the object and waits until it has run. A world without
// one hears nothing.
func (a address) deliver(ctx context.Context, method string, values ...any) error {
	call, err := a.call("", method, values)
	if err != nil {
		return err
	}
	return callRenderer(ctx, a.target, call.Method, call.Params, nil)
}

// ask is deliver, and reads what the method returns. Where there is no object it is
// null.
func (a address) ask(ctx context.Context, answer any, method string, values ...any) error {
	call, err := a.call("return", method, values)
	if err != nil {
		return err
	}
	var r struct {
		Result struct {
			Value jsonv2.Value `json:"value"`
		} `json:"result"`
	}
	if err := callRenderer(ctx, a.target, call.Method, call.Params, &r); err != nil || r.Result.Value == nil {
		return err
	}
	return jsonv2.Unmarshal(r.Result.Value, answer, jsonv2.AllowInvalidUTF8(true))
}

// send is deliver without waiting.
func (a address) send(method string, values ...any) {
	if call, err := a.call("", method, values); err == nil {
		call.Session.Conn().Send(call)
	}
}

// call is the command that calls a method of the object. The values go through
// JSON.parse: as arguments of the protocol they would lose what is named __proto__.
// Unless it is to return something nothing of what the method returns is kept.
func (a address) call(returning, method string, values []any) (cdp.Command, error) {
	text, err := jsonv2.Marshal(values)
	if err != nil {
		return cdp.Command{}, fmt.Errorf("encoding what is sent: %w", err)
	}
	params := map[string]any{
		"functionDeclaration": "function (method, text) { " + returning + " (" + a.object + ")?.[method](...JSON.parse(text)); }",
		"arguments":           []map[string]string{{"value": method}, {"value": string(text)}},
		"returnByValue":       true,
	}
	maps.Copy(params, a.params)
	return cdp.Command{Session: a.target.Session, Method: "Runtime.callFunctionOn", Params: params}, nil
}

// Send calls the listeners that the frame's preload scripts have set with
//
//	bridge.on(channel, (...arguments) => {})
//
// and returns when they have run: Electron's WebFrameMain.send. The arguments
// pass as JSON. A frame whose preload scripts, in the isolated world, do not
// listen hears nothing. It returns ErrNavigated when the document was replaced
// meanwhile.
func (f *Frame) Send(ctx context.Context, channel string, arguments ...any) error {
	now, ok := f.page.target.Frame(f.ID)
	if !ok || now.Target == nil {
		return fmt.Errorf("frame %s: %w", f.ID, ErrFrameGone)
	}
	in := world{page: f.page, target: now.Target}
	var r struct {
		ExecutionContextID int `json:"executionContextId"`
	}
	// Chromium answers with the world that is there.
	if err := in.call(ctx, "Page.createIsolatedWorld", map[string]string{"frameId": f.ID, "worldName": preloadWorld}, &r); err != nil {
		return fmt.Errorf("sending to frame %s: %w", f.ID, err)
	}
	to := address{now.Target, map[string]any{"executionContextId": r.ExecutionContextID}, "globalThis.bridgeDeliver"}
	if err := in.explain(to.deliver(ctx, "message", channel, list(arguments))); err != nil {
		return fmt.Errorf("sending to frame %s: %w", f.ID, err)
	}
	return nil
}

// Send is Frame.Send to the main frame: Electron's WebContents.send.
func (w *WebContents) Send(ctx context.Context, channel string, arguments ...any) error {
	return w.MainFrame().Send(ctx, channel, arguments...)
}

// list is never null in JSON.
func list(values []any) []any {
	if values == nil {
		return []any{}
	}
	return values
}

// inServiceWorker returns what goes before and after the preload scripts of a
// service worker that is paused before its own: what lets calls arrive, the code
// that makes the object bridge, and who takes the object that listens to Go.
func (m *messages) inServiceWorker(t *cdp.Target) (listen []cdp.Command, make string, done func(jsonv2.Value, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run := m.beginRun(t)
	calls := workerChannel{t, callBinding}
	make = fmt.Sprintf(`(() => {
		const call = globalThis.%[1]s;
		delete globalThis.%[1]s;
		Object.defineProperty(globalThis, 'bridgePreload', {configurable: true, value: (%[2]s)((text) => { call(text); return true; })});
	})()`, callBinding, preloadJS)
	return calls.open(), make, func(result jsonv2.Value, err error) {
		if to, ok := calls.listener(result, err); ok {
			run.to = to
			close(run.ready)
		}
	}
}

// beginRun notes that a service worker with preload scripts starts.
func (m *messages) beginRun(t *cdp.Target) *workerRun {
	if last := m.workers[t]; last != nil {
		last.end()
	} else {
		workerChannel{t, callBinding}.hear(m.session.life, func(text string) { m.fromWorker(t, text) })
	}
	run := &workerRun{ready: make(chan struct{})}
	run.life, run.end = context.WithCancel(t.Renderer())
	context.AfterFunc(m.session.life, run.end)
	m.workers[t] = run
	return run
}

// address waits until the preload scripts of a service worker have run.
func (run *workerRun) address(ctx context.Context) (address, error) {
	select {
	case <-run.ready:
		return run.to, nil
	case <-run.life.Done():
		return address{}, errWorkerStopped
	case <-ctx.Done():
		return address{}, context.Cause(ctx)
	}
}

// toWorker calls the listeners of a service worker's preload scripts.
func (m *messages) toWorker(ctx context.Context, targetID, channel string, arguments []any) error {
	at, err := m.session.place(ctx)
	if err != nil {
		return err
	}
	t := at.host.tree.Target(targetID)
	if t == nil {
		return errWorkerStopped
	}
	m.mu.Lock()
	run := m.workers[t]
	m.mu.Unlock()
	if run == nil {
		return nil // nobody listens
	}
	to, err := run.address(ctx)
	if err != nil {
		return err
	}
	return to.deliver(ctx, "message", channel, list(arguments))
}

var errWorkerStopped = errors.New("the service worker does not run")
