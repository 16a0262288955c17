package bridge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// ServiceWorkers are the service workers of a session: Electron's
// ServiceWorkers. It is safe for use by several goroutines.
//
// Chromium tells of service workers on pages only. While somebody listens, asks,
// or holds a ServiceWorkerMain that is not destroyed, the bridge keeps a hidden
// page open for it.
type ServiceWorkers struct {
	session *Session

	statuses  listeners[ServiceWorkerStatus]
	completed listeners[ServiceWorkerRegistration]
	messages  listeners[ServiceWorkerMessage]

	mu        sync.Mutex
	users     int                                // of the watch
	watch     *workerWatch                       // nil while there are none
	consoles  int                                // listeners of messages
	targets   map[*cdp.Target]context.CancelFunc // set where the console is listened to
	handedOut map[int64]*ServiceWorkerMain
}

// ServiceWorkerStatus is the event running-status-changed.
type ServiceWorkerStatus struct {
	VersionID int64 `json:"versionId"`
	// RunningStatus is "starting", "running", "stopping" or "stopped".
	RunningStatus string `json:"runningStatus"`
}

// ServiceWorkerRegistration is the event registration-completed.
type ServiceWorkerRegistration struct {
	Scope string `json:"scope"`
}

// ServiceWorkerMessage is the event console-message.
type ServiceWorkerMessage struct {
	// Message is the arguments as the console would print them.
	Message   string `json:"message"`
	VersionID int64  `json:"versionId"`
	// Source is "console-api", or "javascript" for an exception that nobody
	// caught.
	Source string `json:"source"`
	// Level is 0 for debug, 1 for log and info, 2 for warnings, 3 for errors.
	Level int `json:"level"`
	// SourceURL and LineNumber (from 1) say where it was written.
	SourceURL  string `json:"sourceUrl"`
	LineNumber int    `json:"lineNumber"`
}

// ServiceWorkerInfo tells of a service worker that runs. Chromium does not tell
// in which process: Electron's renderProcessId is missing.
type ServiceWorkerInfo struct {
	VersionID int64  `json:"versionId"`
	ScriptURL string `json:"scriptUrl"`
	Scope     string `json:"scope"`
}

func newServiceWorkers(s *Session) *ServiceWorkers {
	sw := &ServiceWorkers{session: s, targets: map[*cdp.Target]context.CancelFunc{}, handedOut: map[int64]*ServiceWorkerMain{}}
	context.AfterFunc(s.life, func() {
		sw.statuses.end()
		sw.completed.end()
		sw.messages.end()
	})
	return sw
}

// RunningStatusChanged returns an iterator over the changes of the status of
// service workers from now on: Electron's event of this name. A worker whose
// script fails is told as starting, stopping and stopped. It ends with ctx and
// with the session.
func (sw *ServiceWorkers) RunningStatusChanged(ctx context.Context) iter.Seq[ServiceWorkerStatus] {
	return listenToWorkers(ctx, sw, &sw.statuses, nothing)
}

// RegistrationCompleted returns an iterator over the registrations that are
// completed from now on: Electron's event of this name. It ends with ctx and
// with the session.
func (sw *ServiceWorkers) RegistrationCompleted(ctx context.Context) iter.Seq[ServiceWorkerRegistration] {
	return listenToWorkers(ctx, sw, &sw.completed, nothing)
}

// ConsoleMessages returns an iterator over what service workers write to the
// console from now on: Electron's event console-message. It ends with ctx and
// with the session.
func (sw *ServiceWorkers) ConsoleMessages(ctx context.Context) iter.Seq[ServiceWorkerMessage] {
	sw.mu.Lock()
	if sw.consoles++; sw.consoles == 1 {
		for t := range sw.targets {
			t.Session.Conn().Send(sw.openConsole(t)...)
		}
	}
	sw.mu.Unlock()
	return listenToWorkers(ctx, sw, &sw.messages, sw.closeConsoles)
}

// listenToWorkers keeps the watch while a listener is there.
func listenToWorkers[T any](ctx context.Context, sw *ServiceWorkers, to *listeners[T], removed func()) iter.Seq[T] {
	_, release, err := sw.hold(ctx)
	if err != nil {
		sw.session.browser.log.Warn("service workers cannot be listened to", "session", sw.session.title(), "error", err)
		removed()
		return func(func(T) bool) {}
	}
	return to.listen(ctx, func() {
		release()
		removed()
	})
}

func nothing() {}

// GetAllRunning returns the service workers that run, by version id, those that
// are about to start or to stop included.
func (sw *ServiceWorkers) GetAllRunning(ctx context.Context) (map[int64]ServiceWorkerInfo, error) {
	w, release, err := sw.hold(ctx)
	if err != nil {
		return nil, doing("asking for service workers", err)
	}
	defer release()
	w.mu.Lock()
	defer w.mu.Unlock()
	running := map[int64]ServiceWorkerInfo{}
	for id, v := range w.versions {
		if v.RunningStatus != "stopped" && v.alive() {
			running[id] = w.info(v)
		}
	}
	return running, nil
}

// GetInfoFromVersionID returns what is known of a service worker that runs. Any
// other is an *InvalidArgumentError.
func (sw *ServiceWorkers) GetInfoFromVersionID(ctx context.Context, versionID int64) (ServiceWorkerInfo, error) {
	running, err := sw.GetAllRunning(ctx)
	if err != nil {
		return ServiceWorkerInfo{}, err
	}
	info, ok := running[versionID]
	if !ok {
		return ServiceWorkerInfo{}, invalidArgument("Could not find service worker with that version_id")
	}
	return info, nil
}

// GetFromVersionID is GetInfoFromVersionID, by its older name.
func (sw *ServiceWorkers) GetFromVersionID(ctx context.Context, versionID int64) (ServiceWorkerInfo, error) {
	return sw.GetInfoFromVersionID(ctx, versionID)
}

// GetWorkerFromVersionID returns the service worker with the id, nil if there is
// none. It is the same value for the same worker.
func (sw *ServiceWorkers) GetWorkerFromVersionID(ctx context.Context, versionID int64) (*ServiceWorkerMain, error) {
	w, release, err := sw.hold(ctx)
	if err != nil {
		return nil, doing("asking for a service worker", err)
	}
	defer release()
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.versions[versionID]; ok && v.alive() {
		return sw.handOut(w, v), nil
	}
	return nil, nil
}

// StartWorkerForScope starts the service worker whose registration has exactly
// this scope, and returns it when it runs; one that runs already is returned at
// once. It fails with Electron's text where there is none, where it does not
// come up, and while it is starting.
func (sw *ServiceWorkers) StartWorkerForScope(ctx context.Context, scope string) (*ServiceWorkerMain, error) {
	w, release, err := sw.hold(ctx)
	if err != nil {
		return nil, doing("starting a service worker", err)
	}
	defer release()
	scope = sw.session.protocol.wireURL(scope)
	v, known := w.active(scope)
	switch {
	case !known, v.RunningStatus == "starting":
		return nil, errWorkerNotStarted
	case v.RunningStatus != "running":
		if err := w.start(ctx, v.ID, scope); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.versions[v.ID]; v.alive() {
		return sw.handOut(w, v), nil
	}
	return nil, errWorkerNotStarted
}

//lint:ignore ST1005 it is Electron's text
var errWorkerNotStarted = errors.New("Failed to start service worker.")

// ofTarget returns the service worker that runs in a target.
func (sw *ServiceWorkers) ofTarget(ctx context.Context, targetID string) (*ServiceWorkerMain, error) {
	w, release, err := sw.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	id, err := w.inTarget(ctx, targetID)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.versions[id]; v.alive() {
		return sw.handOut(w, v), nil
	}
	return nil, ErrServiceWorkerGone
}

// handOut returns the one value for a version, which keeps the watch until it is
// destroyed. It is called with the watch locked.
func (sw *ServiceWorkers) handOut(w *workerWatch, v workerVersion) *ServiceWorkerMain {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	worker := sw.handedOut[v.ID]
	if worker == nil {
		worker = &ServiceWorkerMain{workers: sw, info: w.info(v), gone: make(chan struct{})}
		sw.handedOut[v.ID] = worker
		sw.users++
	}
	return worker
}

// destroy ends the value for a version, if it was handed out.
func (sw *ServiceWorkers) destroy(versionID int64) {
	sw.mu.Lock()
	worker := sw.handedOut[versionID]
	delete(sw.handedOut, versionID)
	sw.mu.Unlock()
	if worker != nil {
		close(worker.gone)
		sw.release()
	}
}

// hold keeps the watch on until release is called. It returns when the watch
// knows what there is.
func (sw *ServiceWorkers) hold(ctx context.Context) (*workerWatch, func(), error) {
	at, err := sw.session.place(ctx)
	if err != nil {
		return nil, nil, err
	}
	sw.mu.Lock()
	sw.users++
	if sw.watch == nil {
		sw.watch = sw.startWatch(at, newWorkerWatch(sw, sw.users == 1))
	}
	w := sw.watch
	sw.mu.Unlock()
	release := sync.OnceFunc(sw.release)
	select {
	case <-w.ready:
		return w, release, nil
	case <-w.ended:
		err = sw.session.explain(w.err)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	release()
	return nil, nil, err
}

func (sw *ServiceWorkers) release() {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.users--; sw.users == 0 && sw.watch != nil {
		sw.watch.stop()
		sw.watch = nil
	}
}

func (sw *ServiceWorkers) join(t *cdp.Target) []cdp.Command {
	at, _ := sw.session.present()
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.watch == nil && sw.users > 0 && at != nil { // the one before ended with its browser
		sw.watch = sw.startWatch(at, newWorkerWatch(sw, false))
	}
	if t.Type() != cdp.TargetServiceWorker {
		return nil
	}
	sw.targets[t] = nil
	if sw.consoles == 0 {
		return nil
	}
	return sw.openConsole(t)
}

func (sw *ServiceWorkers) restarted(*cdp.Target) []cdp.Command { return nil }

func (sw *ServiceWorkers) leave(t *cdp.Target) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if stop := sw.targets[t]; stop != nil {
		stop()
	}
	delete(sw.targets, t)
}

// openConsole begins to listen to the console of a service worker. What it wrote
// before comes before the answer to Runtime.enable, and is not told.
func (sw *ServiceWorkers) openConsole(t *cdp.Target) []cdp.Command {
	ctx, stop := context.WithCancel(sw.session.life)
	sw.targets[t] = stop
	return []cdp.Command{{Session: t.Session, Method: "Runtime.enable", Done: func(jsonv2.Value, error) {
		written := t.Session.Events(ctx, consoleQueue, "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
		go sw.readConsole(ctx, t, written)
	}}}
}

func (sw *ServiceWorkers) closeConsoles() {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if sw.consoles--; sw.consoles > 0 {
		return
	}
	for t, stop := range sw.targets {
		if stop != nil {
			stop()
			sw.targets[t] = nil
		}
	}
}

func (sw *ServiceWorkers) readConsole(ctx context.Context, t *cdp.Target, written iter.Seq2[cdp.Event, error]) {
	for e, err := range written {
		if err != nil {
			return
		}
		m, ok := consoleMessage(e)
		if !ok {
			continue
		}
		sw.mu.Lock()
		w := sw.watch
		sw.mu.Unlock()
		if w == nil {
			continue
		}
		if id, err := w.inTarget(ctx, t.ID()); err == nil {
			sw.messages.tell(workerMessage(m, id))
		}
	}
}

func workerMessage(m ConsoleMessage, versionID int64) ServiceWorkerMessage {
	out := ServiceWorkerMessage{Message: m.Text, VersionID: versionID, Source: "console-api", Level: 1, SourceURL: m.URL, LineNumber: m.Line}
	switch m.Level {
	case "debug":
		out.Level = 0
	case "warning":
		out.Level = 2
	case "error", "assert":
		out.Level = 3
	case "exception":
		out.Level, out.Source = 3, "javascript"
	}
	return out
}

// ServiceWorkerMain is one version of a service worker: Electron's
// ServiceWorkerMain. It lives until it is unregistered or replaced, and can stop
// and start meanwhile.
type ServiceWorkerMain struct {
	workers *ServiceWorkers
	info    ServiceWorkerInfo
	gone    chan struct{}
}

// VersionID is its id among the service workers of the session.
func (m *ServiceWorkerMain) VersionID() int64 { return m.info.VersionID }

// ScriptURL is the address of its script.
func (m *ServiceWorkerMain) ScriptURL() string { return m.info.ScriptURL }

// Scope is what its registration is for, empty when it is destroyed.
func (m *ServiceWorkerMain) Scope() string {
	if m.IsDestroyed() {
		return ""
	}
	return m.info.Scope
}

// IsDestroyed reports whether the worker is unregistered, replaced, or gone with
// its browser.
func (m *ServiceWorkerMain) IsDestroyed() bool {
	select {
	case <-m.gone:
		return true
	default:
		return false
	}
}

// Done is closed when the worker is destroyed.
func (m *ServiceWorkerMain) Done() <-chan struct{} { return m.gone }

// Send calls the listeners of the worker's preload scripts, as Frame.Send does
// those of a frame. A worker without preload scripts hears nothing. It returns an
// error when the worker does not run, and one that is ErrServiceWorkerGone when
// it is destroyed.
func (m *ServiceWorkerMain) Send(ctx context.Context, channel string, arguments ...any) error {
	if m.IsDestroyed() {
		return fmt.Errorf("sending to a service worker: %w", ErrServiceWorkerGone)
	}
	w, release, err := m.workers.hold(ctx)
	if err != nil {
		return doing("sending to a service worker", err)
	}
	defer release()
	err = m.workers.session.messages.toWorker(ctx, w.version(m.info.VersionID).TargetID, channel, arguments)
	return doing("sending to a service worker", m.workers.session.explain(err))
}

// ServiceWorkerTask keeps a service worker running.
type ServiceWorkerTask struct{ worker *ServiceWorkerMain }

// StartTask keeps the worker running until the task is ended. It returns an error
// that is ErrServiceWorkerGone when the worker is destroyed.
//
// Chromium does not stop service workers that a client of the protocol is
// attached to for being idle, and the bridge is attached to all of them: a task
// holds, but without one the worker runs on as well.
func (m *ServiceWorkerMain) StartTask() (*ServiceWorkerTask, error) {
	if m.IsDestroyed() {
		return nil, fmt.Errorf("starting a task of a service worker: %w", ErrServiceWorkerGone)
	}
	return &ServiceWorkerTask{m}, nil
}

// End ends the task. It returns an error that is ErrServiceWorkerGone when the
// worker was destroyed.
func (t *ServiceWorkerTask) End() error {
	if t.worker.IsDestroyed() {
		return fmt.Errorf("ending a task of a service worker: %w", ErrServiceWorkerGone)
	}
	return nil
}

// workerWatch follows the service workers of a context on a hidden page.
type workerWatch struct {
	workers *ServiceWorkers
	quietly bool
	stop    context.CancelFunc
	ready   chan struct{} // closed when it knows what there is
	ended   chan struct{} // closed when it is over; err then says why
	err     error

	mu            sync.Mutex
	session       *cdp.Session
	registrations map[string]workerRegistration
	versions      map[int64]workerVersion
	inTargets     map[string]int64 // versions by target id, those that are gone too
	changed       chan struct{}    // closed and renewed with every change
}

type workerRegistration struct {
	ID        string `json:"registrationId"`
	Scope     string `json:"scopeURL"`
	IsDeleted bool   `json:"isDeleted"`
	completed bool
}

type workerVersion struct {
	ID             int64  `json:"-"`
	VersionID      string `json:"versionId"`
	RegistrationID string `json:"registrationId"`
	ScriptURL      string `json:"scriptURL"`
	RunningStatus  string `json:"runningStatus"`
	Status         string `json:"status"`
	TargetID       string `json:"targetId"`
}

// alive reports whether the version still serves, or will.
func (v workerVersion) alive() bool { return v.Status != "redundant" && v.Status != "" }

// isInstalled reports whether the version's script has run.
func (v workerVersion) isInstalled() bool { return v.alive() && v.Status != "new" }

// workersPage is the page on which service workers are watched. It is not the
// one of other uses, which would wait for it.
const workersPage = blankPage + "#serviceworkers"

// newWorkerWatch is a watch that knows nothing yet. With quietly set, what there
// is when it begins is no news: nobody has listened before.
func newWorkerWatch(sw *ServiceWorkers, quietly bool) *workerWatch {
	return &workerWatch{
		workers: sw, quietly: quietly, ready: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}),
		registrations: map[string]workerRegistration{}, versions: map[int64]workerVersion{}, inTargets: map[string]int64{},
	}
}

// successor is a watch that knows what another one knew at its end.
func (w *workerWatch) successor() *workerWatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := newWorkerWatch(w.workers, false)
	next.registrations, next.versions, next.inTargets = maps.Clone(w.registrations), maps.Clone(w.versions), maps.Clone(w.inTargets)
	return next
}

func (sw *ServiceWorkers) startWatch(at *place, w *workerWatch) *workerWatch {
	ctx, stop := context.WithCancel(sw.session.life)
	w.stop = stop
	go func() {
		defer stop()
		w.err = at.host.hidden.Use(ctx, at.param(), workersPage, w.follow)
		sw.watchEnded(at, w)
		close(w.ended)
	}()
	return w
}

// watchEnded begins anew where the hidden page has crashed, and otherwise ends
// what nobody can follow any more: the browser is gone or the session closed.
func (sw *ServiceWorkers) watchEnded(at *place, w *workerWatch) {
	successor := w.successor()
	sw.mu.Lock()
	if sw.watch == w {
		sw.watch = nil
		if w.isReady() && at.host.tree.Conn().Err() == nil && sw.session.life.Err() == nil {
			sw.watch = sw.startWatch(at, successor)
			sw.mu.Unlock()
			return
		}
	}
	sw.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.versions {
		sw.destroy(id)
	}
}

func (w *workerWatch) isReady() bool {
	select {
	case <-w.ready:
		return true
	default:
		return false
	}
}

// follow reads events until the watch ends.
func (w *workerWatch) follow(ctx context.Context, s *cdp.Session) error {
	events := s.Events(ctx, cdp.QueueOptions{}, "ServiceWorker.workerRegistrationUpdated", "ServiceWorker.workerVersionUpdated")
	if err := s.Call(ctx, "ServiceWorker.enable", nil, nil); err != nil {
		return err
	}
	defer s.Conn().Send(cdp.Command{Session: s, Method: "ServiceWorker.disable"})
	w.mu.Lock()
	w.session = s
	w.mu.Unlock()
	for e, err := range events {
		if err != nil {
			return err
		}
		w.note(e)
	}
	return s.Err()
}

// note takes in an event. The first ones tell of all that there is, the versions
// last.
func (w *workerWatch) note(e cdp.Event) {
	var ev struct {
		Registrations []workerRegistration `json:"registrations"`
		Versions      []workerVersion      `json:"versions"`
	}
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range ev.Registrations {
		r.completed = w.registrations[r.ID].completed
		w.registrations[r.ID] = r
	}
	first := !w.isReady()
	for _, v := range ev.Versions {
		var err error
		if v.ID, err = strconv.ParseInt(v.VersionID, 10, 64); err == nil {
			w.noteVersion(v, first && w.quietly)
		}
	}
	if first && e.Method == "ServiceWorker.workerVersionUpdated" {
		w.forgetMissing(ev.Versions)
		close(w.ready)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// forgetMissing ends the versions that went while nobody watched.
func (w *workerWatch) forgetMissing(present []workerVersion) {
	for id, v := range w.versions {
		if !slices.ContainsFunc(present, func(p workerVersion) bool { return p.VersionID == v.VersionID }) {
			delete(w.versions, id)
			w.workers.destroy(id)
		}
	}
}

func (w *workerWatch) noteVersion(v workerVersion, quietly bool) {
	was := w.versions[v.ID]
	w.versions[v.ID] = v
	if v.TargetID != "" {
		w.inTargets[v.TargetID] = v.ID
	}
	if r := w.registrations[v.RegistrationID]; v.isInstalled() && !r.completed {
		r.completed = true
		w.registrations[v.RegistrationID] = r
		if !quietly {
			w.workers.completed.tell(ServiceWorkerRegistration{Scope: customURL(r.Scope)})
		}
	}
	if v.Status == "redundant" {
		w.retire(v, was)
	}
	changed := v.RunningStatus != was.RunningStatus && !(was.RunningStatus == "" && v.RunningStatus == "stopped")
	failed := v.Status == "redundant" && v.RunningStatus == "running"
	if changed && !quietly && !failed {
		w.workers.statuses.tell(ServiceWorkerStatus{VersionID: v.ID, RunningStatus: v.RunningStatus})
	}
}

// retire ends a version that is unregistered, replaced, or whose script has
// failed. Chromium would let it run while a client is attached.
func (w *workerWatch) retire(v, was workerVersion) {
	if was.Status != "redundant" {
		w.workers.destroy(v.ID)
	}
	switch v.RunningStatus {
	case "running":
		w.session.Conn().Send(cdp.Command{Session: w.session, Method: "ServiceWorker.stopWorker", Params: map[string]string{"versionId": v.VersionID}})
	case "stopped":
		delete(w.versions, v.ID)
	}
}

// info is called with the watch locked.
func (w *workerWatch) info(v workerVersion) ServiceWorkerInfo {
	return ServiceWorkerInfo{VersionID: v.ID, ScriptURL: customURL(v.ScriptURL), Scope: customURL(w.registrations[v.RegistrationID].Scope)}
}

func (w *workerWatch) version(id int64) workerVersion {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.versions[id]
}

// active is the version of a registration that serves, or will.
func (w *workerWatch) active(scope string) (found workerVersion, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.versions {
		r := w.registrations[v.RegistrationID]
		if r.Scope != scope || r.IsDeleted || !v.alive() {
			continue
		}
		if !known || v.Status == "activated" || v.Status == "activating" && found.Status != "activated" {
			found, known = v, true
		}
	}
	return found, known
}

// start starts the worker of a scope and waits until the version runs.
func (w *workerWatch) start(ctx context.Context, versionID int64, scope string) error {
	if err := w.session.Call(ctx, "ServiceWorker.startWorker", map[string]string{"scopeURL": scope}, nil); err != nil {
		return doing("starting a service worker", w.workers.session.explain(err))
	}
	var v workerVersion
	began := false
	err := w.until(ctx, func() bool {
		v = w.versions[versionID]
		began = began || v.RunningStatus == "starting"
		return v.RunningStatus == "running" || !v.alive() || began && v.RunningStatus == "stopped"
	})
	if err != nil {
		return doing("starting a service worker", err)
	}
	if v.RunningStatus != "running" {
		return errWorkerNotStarted
	}
	return nil
}

// inTarget waits until it is known which version runs in a target.
func (w *workerWatch) inTarget(ctx context.Context, targetID string) (int64, error) {
	var id int64
	err := w.until(ctx, func() (known bool) {
		id, known = w.inTargets[targetID]
		return known
	})
	return id, err
}

// until waits until a condition holds.
func (w *workerWatch) until(ctx context.Context, holds func() bool) error {
	for {
		w.mu.Lock()
		done, changed := holds(), w.changed
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-w.ended:
			return w.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
