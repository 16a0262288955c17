package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// workerServer serves /page/…, and service workers.
func workerServer(t testing.TB) *fixture.Server {
	server := fixture.New(t)
	for path, script := range map[string]string{
		"/sw/works.js":  "oninstall = () => skipWaiting();\n\nconsole.log('log'); console.info('info'); console.warn('warn'); console.error('error')",
		"/sw/quiet.js":  "oninstall = () => skipWaiting(); onmessage = (e) => e.source.postMessage(eval(e.data))",
		"/sw/fails.js":  "throw new Error('it fails')",
		"/sw/leaves.js": "oninstall = () => registration.unregister()",
	} {
		server.Handle(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Service-Worker-Allowed", "/")
			io.WriteString(w, script)
		})
	}
	return server
}

// workerPage is a page on which service workers can be registered.
func workerPage(t testing.TB, s *Session, server *fixture.Server) *WebContents {
	t.Helper()
	return testPage(t, s, server.URL("localhost", "/page/worker"))
}

// workerRegister registers a service worker and returns when it is active.
func workerRegister(t testing.TB, page *WebContents, script, scope string) {
	t.Helper()
	want(t, page, fmt.Sprintf(`(async () => {
		const registration = await navigator.serviceWorker.register(%q, {scope: %q});
		const worker = registration.installing ?? registration.waiting ?? registration.active;
		while (worker.state !== 'activated') await new Promise(done => worker.addEventListener('statechange', done, {once: true}));
		return worker.state;
	})()`, script, scope), "activated")
}

// workerUntil reads changes of a status until one comes, and returns all of the
// first worker.
func workerUntil(t testing.TB, statuses <-chan ServiceWorkerStatus, last string) (versionID int64, seen []string) {
	t.Helper()
	for {
		s := next(t, statuses)
		if len(seen) == 0 {
			versionID = s.VersionID
		}
		if s.VersionID != versionID {
			continue
		}
		seen = append(seen, s.RunningStatus)
		if s.RunningStatus == last {
			return versionID, seen
		}
	}
}

// workerRunning registers a worker and returns it when it runs.
func workerRunning(t testing.TB, s *Session, page *WebContents) *ServiceWorkerMain {
	t.Helper()
	ctx, stop := context.WithCancel(testContext(t))
	defer stop()
	statuses := events(s.ServiceWorkers().RunningStatusChanged(ctx))
	workerRegister(t, page, "/sw/quiet.js", "/")
	id, _ := workerUntil(t, statuses, "running")
	worker, err := s.ServiceWorkers().GetWorkerFromVersionID(ctx, id)
	if err != nil || worker == nil {
		t.Fatalf("worker %d: %v, %v", id, worker, err)
	}
	return worker
}

const workerUnregister = "navigator.serviceWorker.getRegistrations().then(all => Promise.all(all.map(r => r.unregister()))).then(() => true)"

// workerGone waits until a worker is destroyed.
func workerGone(t testing.TB, worker *ServiceWorkerMain) {
	t.Helper()
	select {
	case <-worker.Done():
	case <-testContext(t).Done():
		t.Fatal("the worker is not destroyed")
	}
}

// workerStop stops all workers of a session.
func workerStop(t testing.TB, page *WebContents, statuses <-chan ServiceWorkerStatus) {
	t.Helper()
	ctx := testContext(t)
	if err := page.CDP().Call(ctx, "ServiceWorker.enable", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := page.CDP().Call(ctx, "ServiceWorker.stopAllWorkers", nil, nil); err != nil {
		t.Fatal(err)
	}
	workerUntil(t, statuses, "stopped")
}

func TestServiceWorkers_TellWhatTheyWriteAndWhichRun(t *testing.T) {
	t.Parallel()
	ctx, s, other, server := testContext(t), memorySession(t), namedSession(t, "without workers"), workerServer(t)
	t.Run("SWK-0052 none at first", func(t *testing.T) {
		if running, err := s.ServiceWorkers().GetAllRunning(ctx); err != nil || len(running) != 0 || running == nil {
			t.Errorf("%v, %v", running, err)
		}
	})
	messages, elsewhere := events(s.ServiceWorkers().ConsoleMessages(ctx)), events(other.ServiceWorkers().ConsoleMessages(ctx))
	page := workerPage(t, s, server)
	workerRegister(t, page, "/sw/works.js", "/")
	var id int64
	t.Run("SWK-0078 source, message and level", func(t *testing.T) {
		for i, m := range []ServiceWorkerMessage{{Message: "log", Level: 1}, {Message: "info", Level: 1}, {Message: "warn", Level: 2}, {Message: "error", Level: 3}} {
			got := next(t, messages)
			id = got.VersionID
			m.VersionID, m.Source, m.SourceURL, m.LineNumber = id, "console-api", server.URL("localhost", "/sw/works.js"), 3
			if got != m {
				t.Errorf("message %d: %+v, want %+v", i, got, m)
			}
		}
	})
	expected := ServiceWorkerInfo{VersionID: id, ScriptURL: server.URL("localhost", "/sw/works.js"), Scope: server.URL("localhost", "/")}
	t.Run("SWK-0056 one runs", func(t *testing.T) {
		running, err := s.ServiceWorkers().GetAllRunning(ctx)
		if err != nil || len(running) != 1 || running[id] != expected {
			t.Errorf("%+v, %v, want %+v", running, err, expected)
		}
	})
	t.Run("SWK-0066 script and scope", func(t *testing.T) {
		if info, err := s.ServiceWorkers().GetFromVersionID(ctx, id); err != nil || info != expected {
			t.Errorf("%+v, %v, want %+v", info, err, expected)
		}
	})
	t.Run("CX97 an unknown id", func(t *testing.T) {
		_, err := s.ServiceWorkers().GetInfoFromVersionID(ctx, -1)
		var invalid *InvalidArgumentError
		if !errors.As(err, &invalid) || invalid.Message != "Could not find service worker with that version_id" {
			t.Errorf("%v", err)
		}
	})
	if running, err := other.ServiceWorkers().GetAllRunning(ctx); err != nil || len(running) != 0 || len(elsewhere) != 0 {
		t.Errorf("another session has %v (%v) and %d messages", running, err, len(elsewhere))
	}
}

func TestServiceWorkers_TellTheirStatusAndRegistrations(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), workerServer(t)
	statuses, completed := events(s.ServiceWorkers().RunningStatusChanged(ctx)), events(s.ServiceWorkers().RegistrationCompleted(ctx))
	page := workerPage(t, s, server)
	workerRegister(t, page, "/sw/quiet.js", "/sw/")
	t.Run("CX98 the status", func(t *testing.T) {
		if _, seen := workerUntil(t, statuses, "running"); !slices.Equal(seen, []string{"starting", "running"}) {
			t.Errorf("%q", seen)
		}
		if got, scope := next(t, completed).Scope, server.URL("localhost", "/sw/"); got != scope {
			t.Errorf("the registration of %q is completed, want %q", got, scope)
		}
		workerStop(t, page, statuses)
	})
	t.Run("SWM-0145 a script that fails", func(t *testing.T) {
		written := events(s.ServiceWorkers().ConsoleMessages(ctx))
		want(t, page, "navigator.serviceWorker.register('/sw/fails.js', {scope: '/fails/'}).catch(e => e.name)", "TypeError")
		if _, seen := workerUntil(t, statuses, "stopped"); !slices.Equal(seen, []string{"starting", "stopping", "stopped"}) {
			t.Errorf("%q", seen)
		}
		if m := next(t, written); m.Source != "javascript" || m.Level != 3 || m.LineNumber != 1 {
			t.Errorf("%+v", m)
		}
	})
	t.Run("SWM-0190 a worker that unregisters itself", func(t *testing.T) {
		want(t, page, "navigator.serviceWorker.register('/sw/leaves.js', {scope: '/leaves/'}).then(() => 1)", 1)
		status := next(t, statuses)
		worker, err := s.ServiceWorkers().GetWorkerFromVersionID(ctx, status.VersionID)
		if err != nil {
			t.Fatal(err)
		}
		if worker != nil { // it can be too late for it
			workerGone(t, worker)
		}
	})
}

func TestServiceWorkerMain_IsOneValueForAWorker(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), workerServer(t)
	workers := s.ServiceWorkers()
	t.Run("SWM-0129 none", func(t *testing.T) {
		if worker, err := workers.GetWorkerFromVersionID(ctx, -1); worker != nil || err != nil {
			t.Errorf("%v, %v", worker, err)
		}
	})
	page := workerPage(t, s, server)
	worker := workerRunning(t, s, page)
	t.Run("SWM-0134 the same", func(t *testing.T) {
		if again, err := workers.GetWorkerFromVersionID(ctx, worker.VersionID()); again != worker || err != nil {
			t.Errorf("%p, %v, want %p", again, err, worker)
		}
	})
	t.Run("SWM-0174 SWM-0301 SWM-0314 SWM-0325 what it says", func(t *testing.T) {
		if worker.IsDestroyed() || worker.Scope() != server.URL("localhost", "/") || worker.ScriptURL() != server.URL("localhost", "/sw/quiet.js") {
			t.Errorf("destroyed %v, scope %q, script %q", worker.IsDestroyed(), worker.Scope(), worker.ScriptURL())
		}
		if info, err := workers.GetInfoFromVersionID(ctx, worker.VersionID()); err != nil || info.VersionID != worker.VersionID() {
			t.Errorf("%+v, %v", info, err)
		}
	})
	t.Run("SWM-0245 SWM-0267 tasks", func(t *testing.T) {
		first, err := worker.StartTask()
		second, err2 := worker.StartTask()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(first.End(), second.End()); err != nil {
			t.Error(err)
		}
	})
	task, err := worker.StartTask()
	if err != nil {
		t.Fatal(err)
	}
	want(t, page, workerUnregister, true)
	t.Run("SWM-0180 destroyed when it is unregistered", func(t *testing.T) {
		workerGone(t, worker)
		if !worker.IsDestroyed() || worker.Scope() != "" {
			t.Errorf("destroyed %v, scope %q", worker.IsDestroyed(), worker.Scope())
		}
	})
	t.Run("SWM-0162 not found any more", func(t *testing.T) {
		if again, err := workers.GetWorkerFromVersionID(ctx, worker.VersionID()); again != nil || err != nil {
			t.Errorf("%v, %v", again, err)
		}
	})
	t.Run("SWM-0282 SWM-0290 no tasks any more", func(t *testing.T) {
		if _, err := worker.StartTask(); !errors.Is(err, ErrServiceWorkerGone) {
			t.Errorf("a task: %v", err)
		}
		if err := task.End(); !errors.Is(err, ErrServiceWorkerGone) {
			t.Errorf("the end of one: %v", err)
		}
		if err := worker.Send(ctx, "told"); !errors.Is(err, ErrServiceWorkerGone) {
			t.Errorf("a message: %v", err)
		}
	})
}

func TestServiceWorkers_StartForAScope(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), workerServer(t)
	workers, scope := s.ServiceWorkers(), server.URL("localhost", "/")
	page := workerPage(t, s, server)
	if _, err := workers.StartWorkerForScope(ctx, scope); err == nil || err.Error() != "Failed to start service worker." {
		t.Errorf("a scope without a worker: %v", err)
	}
	worker := workerRunning(t, s, page)
	t.Run("SWM-0225 one that runs, twice", func(t *testing.T) {
		results := make(chan error, 2)
		for range 2 {
			go func() {
				got, err := workers.StartWorkerForScope(ctx, scope)
				if err == nil && got != worker {
					err = errors.New("another worker")
				}
				results <- err
			}()
		}
		if err := errors.Join(<-results, <-results); err != nil {
			t.Error(err)
		}
	})
	t.Run("SWM-0214 one that had stopped", func(t *testing.T) {
		workerStop(t, page, events(workers.RunningStatusChanged(ctx)))
		if running, err := workers.GetAllRunning(ctx); err != nil || len(running) != 0 {
			t.Errorf("%v, %v run", running, err)
		}
		if got, err := workers.StartWorkerForScope(ctx, scope); got != worker || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		want(t, page, "new Promise(done => { navigator.serviceWorker.onmessage = e => done(e.data); navigator.serviceWorker.ready.then(r => r.active.postMessage('6 * 7')) })", 42)
	})
	t.Run("SWM-0207 one that is starting", func(t *testing.T) {
		statuses := events(workers.RunningStatusChanged(ctx))
		workerStop(t, page, statuses)
		// Its start lasts as long as this.
		preloadRegistered(t, s, PreloadScript{Type: PreloadServiceWorker, Source: "for (const end = Date.now() + 1000; Date.now() < end;);"})
		started := make(chan error, 1)
		go func() {
			_, err := workers.StartWorkerForScope(ctx, scope)
			started <- err
		}()
		workerUntil(t, statuses, "starting")
		if _, err := workers.StartWorkerForScope(ctx, scope); err == nil || err.Error() != "Failed to start service worker." {
			t.Errorf("%v", err)
		}
		if err := <-started; err != nil {
			t.Error(err)
		}
	})
}

func TestServiceWorkers_LeaveNoPageBehind(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	listening, stop := context.WithCancel(ctx)
	statuses := events(s.ServiceWorkers().RunningStatusChanged(listening))
	if n := len(s.Pages()); n != 0 {
		t.Errorf("%d pages are listed", n)
	}
	stop()
	for range statuses {
	}
	s.ServiceWorkers().mu.Lock()
	defer s.ServiceWorkers().mu.Unlock()
	if s.ServiceWorkers().users != 0 || s.ServiceWorkers().watch != nil {
		t.Errorf("%d users of a watch are left", s.ServiceWorkers().users)
	}
}

func TestServiceWorkers_AreFollowedWhenTheHiddenPageCrashes(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), workerServer(t)
	statuses := events(s.ServiceWorkers().RunningStatusChanged(ctx))
	page := workerPage(t, s, server)
	worker := workerRunning(t, s, page)
	workerUntil(t, statuses, "running")
	watch, release, err := s.ServiceWorkers().hold(ctx)
	if err != nil {
		t.Fatal(err)
	}
	release()
	go watch.session.Call(ctx, "Page.crash", nil, nil)
	<-watch.ended
	if again, err := s.ServiceWorkers().GetWorkerFromVersionID(ctx, worker.VersionID()); again != worker || err != nil || worker.IsDestroyed() {
		t.Errorf("%p, %v, want %p", again, err, worker)
	}
	workerStop(t, page, statuses)
	want(t, page, workerUnregister, true)
	workerGone(t, worker)
}

func TestServiceWorkers_GoOnAfterTheProcessOfTheSession(t *testing.T) {
	ctx, server := testContext(t), workerServer(t)
	b, err := Launch(ctx, testOptions(sharedServer(t), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := b.DefaultSession()
	statuses := events(s.ServiceWorkers().RunningStatusChanged(ctx))
	worker := workerRunning(t, s, workerPage(t, s, server))
	workerUntil(t, statuses, "running")
	kill(t, s)
	workerGone(t, worker)
	workerRegister(t, workerPage(t, s, server), "/sw/quiet.js", "/") // unless it is on disk
	again, err := s.ServiceWorkers().StartWorkerForScope(ctx, server.URL("localhost", "/"))
	if err != nil || again == worker {
		t.Fatalf("the worker of the new process: %v, %v", again, err)
	}
	workerUntil(t, statuses, "running")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range statuses {
	}
	workerGone(t, again)
}

func TestServiceWorkers_RunPreloadsBeforeTheirScript(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), workerServer(t)
	type said struct {
		from Caller
		text string
	}
	heard := make(chan said, 10)
	if err := Expose(ctx, s, "say", func(_ context.Context, from Caller, text string) (string, error) {
		heard <- said{from, text}
		return "pong", nil
	}); err != nil {
		t.Fatal(err)
	}
	ask := func(page *WebContents, code, result string) {
		t.Helper()
		want(t, page, fmt.Sprintf("new Promise(done => { navigator.serviceWorker.onmessage = e => done(String(e.data)); navigator.serviceWorker.ready.then(r => r.active.postMessage(%q)) })", code), result)
	}
	preloadRegistered(t, s, PreloadScript{Type: PreloadServiceWorker, Source: "const mine = 1; globalThis.order = ['first'];"})
	preloadRegistered(t, s, PreloadScript{Type: PreloadServiceWorker, Source: "this is no script"})
	preloadRegistered(t, s, PreloadScript{Type: PreloadServiceWorker, Source: `
		order.push('second', typeof oninstall);
		bridge.on('told', (text) => { order.push(text); bridge.invoke('say', text + ' back'); });
		bridge.invoke('say', 'at start').then((answer) => order.push(answer));`})
	page := workerPage(t, s, server)
	worker := workerRunning(t, s, page)
	t.Run("SWM-0341 SWM-0349 a message during the start", func(t *testing.T) {
		if got := next(t, heard); got.text != "at start" || got.from.ServiceWorker != worker || got.from.Frame != nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("SWM-0377 an answer", func(t *testing.T) {
		if err := worker.Send(ctx, "told", "hello"); err != nil {
			t.Fatal(err)
		}
		if got := next(t, heard); got.text != "hello back" {
			t.Errorf("%+v", got)
		}
		ask(page, "order.join()", "first,second,object,pong,hello")
	})
	ask(page, "typeof bridge + typeof bridgePreload + typeof bridgeCall + typeof mine", "undefinedundefinedundefinedundefined")
	t.Run("again when it starts again", func(t *testing.T) {
		workerStop(t, page, events(s.ServiceWorkers().RunningStatusChanged(ctx)))
		if err := worker.Send(ctx, "told", "nobody"); err == nil {
			t.Error("a worker that does not run has taken a message")
		}
		ask(page, "order.slice(0, 2).join()", "first,second")
		if got := next(t, heard); got.text != "at start" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("not in workers of other sessions", func(t *testing.T) {
		other := namedSession(t, "without preloads")
		page := workerPage(t, other, server)
		workerRegister(t, page, "/sw/quiet.js", "/")
		ask(page, "typeof order", "undefined")
	})
}

func TestServiceWorkers_ThoseOfExtensionsAreSeen(t *testing.T) {
	ctx := testContext(t)
	b, err := Launch(ctx, testOptions(sharedServer(t), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := b.DefaultSession()
	statuses, completed := events(s.ServiceWorkers().RunningStatusChanged(ctx)), events(s.ServiceWorkers().RegistrationCompleted(ctx))
	scope := workerExtension(t, s)
	t.Run("EXT-0929 the registration", func(t *testing.T) {
		if got := next(t, completed).Scope; got != scope {
			t.Errorf("%q, want %q", got, scope)
		}
	})
	t.Run("EXT-0941 SWM-0454 it runs", func(t *testing.T) {
		id, _ := workerUntil(t, statuses, "running")
		running, err := s.ServiceWorkers().GetAllRunning(ctx)
		if err != nil || running[id].Scope != scope {
			t.Errorf("%+v, %v, want the scope %q", running, err, scope)
		}
		if worker, err := s.ServiceWorkers().GetWorkerFromVersionID(ctx, id); err != nil || worker == nil || worker.Scope() != scope {
			t.Errorf("%+v, %v", worker, err)
		}
	})
}

// workerExtension loads an extension with a service worker and returns its
// address.
func workerExtension(t testing.TB, s *Session) string {
	t.Helper()
	at, err := s.place(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	files, err := chromium.OpenFiles(at.host.process.UserDataDir(), at.host.process.User())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if err := files.MkdirAll("extension"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"manifest.json": `{"manifest_version": 3, "name": "with a worker", "version": "1", "background": {"service_worker": "worker.js"}}`,
		"worker.js":     "",
	} {
		if err := files.WriteFile("extension/"+name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	var loaded struct {
		ID string `json:"id"`
	}
	if err := at.host.root().Call(testContext(t), "Extensions.loadUnpacked", map[string]any{"path": filepath.Join(at.host.process.UserDataDir(), "extension")}, &loaded); err != nil {
		t.Fatal(err)
	}
	return "chrome-extension://" + loaded.ID + "/"
}
