package bridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pending is a request that a handler has got, and where it takes its answer.
type pending struct {
	PermissionRequest
	ctx    context.Context
	answer chan bool
}

// slowly is a request handler that answers when the test does.
func slowly(requests chan<- pending) PermissionRequestHandler {
	return func(ctx context.Context, r PermissionRequest) bool {
		one := pending{r, ctx, make(chan bool)}
		requests <- one
		select {
		case granted := <-one.answer:
			return granted
		case <-ctx.Done():
			return false
		}
	}
}

// beginCall starts a call in a page and keeps how it ends in self.ended.
func beginCall(t testing.TB, in Evaluator, call string) {
	t.Helper()
	if _, err := Evaluate[bool](testContext(t), in, `(self.ended = "", `+settled(call)+`.then(how => { ended = how }), true)`); err != nil {
		t.Fatal(err)
	}
}

func TestPermissionRequests_CX13_WaitForEverAndEndWithTheirDocument(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	requests := make(chan pending, 10)
	s.SetPermissionRequestHandler(slowly(requests))
	page := testPage(t, s, html(server, "a.localhost", ""))
	beginCall(t, page, `navigator.storage.persist()`)
	one := next(t, requests)
	want(t, page, "ended", "")
	loaded(t, page, html(server, "b.localhost", ""))
	<-one.ctx.Done()
	beginCall(t, page, `navigator.storage.persist()`)
	one = next(t, requests)
	if one.RequestingOrigin != server.URL("b.localhost", "/") {
		t.Errorf("asked by %s", one.RequestingOrigin)
	}
	page.Close(testContext(t))
	<-one.ctx.Done()
}

func TestPermissionRequests_SES1879_AreDeniedWhenTheHandlerIsRemoved(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(func(ctx context.Context, r PermissionRequest) bool {
		s.SetPermissionRequestHandler(nil)
		<-ctx.Done() // it never answers
		return true
	})
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, settled(`navigator.requestMIDIAccess({sysex: true})`), "NotAllowedError: Permission to use Web MIDI API was not granted.")
	want(t, page, `navigator.storage.persist()`, true)
}

func TestPermissionRequests_AHandlerKeepsWhatItWasAskedWhenAnotherTakesItsPlace(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	requests := make(chan pending, 10)
	s.SetPermissionRequestHandler(slowly(requests))
	page := testPage(t, s, html(server, "a.localhost", ""))
	beginCall(t, page, `navigator.storage.persist()`)
	one := next(t, requests)
	s.SetPermissionRequestHandler(grants().handle)
	want(t, page, `navigator.storage.persist()`, false)
	want(t, page, "ended", "")
	one.answer <- true
	eventually(t, page, `ended === "true"`)
}

func TestPermissionRequests_CX14_AHandlerThatPanicsLeavesThePageWaiting(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	panicked := make(chan bool, 1)
	s.SetPermissionRequestHandler(func(context.Context, PermissionRequest) bool {
		defer func() { panicked <- true }()
		panic("a handler's mistake")
	})
	page := testPage(t, s, html(server, "a.localhost", ""))
	beginCall(t, page, `navigator.storage.persist()`)
	next(t, panicked)
	want(t, page, "ended", "")
	s.SetPermissionRequestHandler(nil)
	eventually(t, page, `ended === "false"`)
}

func TestPermissionRequests_CX12_AreAnsweredOnce(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	requests := make(chan pending, 10)
	s.SetPermissionRequestHandler(slowly(requests))
	decisions := events(s.PermissionDecisions(testContext(t)))
	page := testPage(t, s, html(server, "a.localhost", ""))
	beginCall(t, page, `navigator.storage.persist()`)
	one := next(t, requests)
	one.answer <- true // which returns: there is no second answer
	eventually(t, page, `ended === "true"`)
	if d := next(t, decisions); d.Permission != PermissionPersistentStorage || !d.Granted || d.Rule != "handler" || d.Kind != "request" || d.WebContents != page || d.RequestingOrigin != server.URL("a.localhost", "/") {
		t.Errorf("decided %+v", d)
	}
	if len(decisions) > 0 || len(requests) > 0 {
		t.Error("it was asked again")
	}
}

func TestPermissionRequests_CX22_HaveElectronsNames(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionScreenWakeLock, PermissionPersistentStorage, PermissionLocalFonts, PermissionBackgroundSync)
	s.SetPermissionRequestHandler(g.handle)
	worker := "/js?body="
	page := testPage(t, s, html(server, "a.localhost", ""))
	gestured(t, page, settled(`navigator.wakeLock.request()`))
	gestured(t, page, settled(`navigator.storage.persist()`))
	gestured(t, page, settled(`queryLocalFonts()`))
	if got := gestured(t, page, settled(`navigator.serviceWorker.register("`+worker+`", {scope: "/"}).then(() => navigator.serviceWorker.ready).then(r => r.sync.register("x"))`)); got != "ok" {
		t.Errorf("sync: %s", got)
	}
	var names []string
	for _, r := range g.requests() {
		names = append(names, string(r.Permission))
	}
	if got := strings.Join(names, " "); got != "screen-wake-lock persistent-storage local-fonts background-sync" {
		t.Errorf("asked for %s", got)
	}
}

func TestPermissionRequests_CHR1411_FilesOfTheOriginAreItsOwn(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	page := testPage(t, s, html(server, "a.localhost", ""))
	const own = `(async () => {
		const handle = await (await navigator.storage.getDirectory()).getFileHandle("x", {create: true});
		return [await handle.queryPermission({mode: "readwrite"}), await handle.requestPermission({mode: "readwrite"})].join();
	})()`
	want(t, page, own, "granted,granted")
	g, c := grants(), &checking{}
	s.SetPermissionRequestHandler(g.handle)
	s.SetPermissionCheckHandler(c.handle)
	t.Run("CHR-1361", func(t *testing.T) { want(t, page, own, "granted,granted") })
	if len(g.requests()) > 0 || len(c.of(func(check PermissionCheck) bool { return check.Permission == PermissionFileSystem })) > 0 {
		t.Error("somebody was asked")
	}
}

// Frames of two origins in one page, one of which may.
func TestPermissionRequests_TwoFramesGetTheirOwnAnswersAtTheSameTime(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s, other := namedSession(t, "b"), namedSession(t, "a")
	only := func(origin string) PermissionRequestHandler {
		return func(_ context.Context, r PermissionRequest) bool {
			return strings.HasPrefix(r.RequestingOrigin, origin)
		}
	}
	s.SetPermissionRequestHandler(only("http://b."))
	other.SetPermissionRequestHandler(only("http://a."))
	body := fmt.Sprintf(`<iframe allow="geolocation; clipboard-write" src="%s"></iframe>`, html(server, "b.localhost", ""))
	pages := []*WebContents{testPage(t, s, html(server, "a.localhost", body)), testPage(t, other, html(server, "a.localhost", body))}
	for _, page := range pages {
		if err := page.call(testContext(t), "Emulation.setGeolocationOverride", map[string]float64{"latitude": 1, "longitude": 2, "accuracy": 3}, nil); err != nil {
			t.Fatal(err)
		}
	}
	rounds := atSize(50, 200)
	call := fmt.Sprintf(`(async () => {
		const counts = {};
		for (let i = 0; i < %d; i++) {
			const how = await %s;
			counts[how] = (counts[how] ?? 0) + 1;
		}
		return Object.entries(counts).join("; ");
	})()`, rounds, settled(locate))
	granted, denied := fmt.Sprintf("at 1,%d", rounds), fmt.Sprintf("GeolocationPositionError1: User denied Geolocation,%d", rounds)
	var wg sync.WaitGroup
	for i, page := range pages {
		for j, frame := range page.Frames() {
			wg.Go(func() {
				wanted := denied
				if i != j {
					wanted = granted
				}
				if got, err := Evaluate[string](testContext(t), frame, call); err != nil || got != wanted {
					t.Errorf("page %d, frame %d: %s, %v", i, j, got, err)
				}
			})
		}
	}
	wg.Wait()
}

func TestPermissionRequests_AreAskedForInFramesPopupsAndBlankChildren(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants()
	s.SetPermissionRequestHandler(g.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	const persist = `navigator.storage.persist()`
	for name, in := range map[string]string{
		"a blank frame":                  `(() => { const f = document.createElement("iframe"); document.body.append(f); return f.contentWindow.%s })()`,
		"a blank frame, later":           `new Promise(r => { const f = document.createElement("iframe"); f.onload = () => setTimeout(() => r(f.contentWindow.%s), 20); document.body.append(f) })`,
		"a blank pop-up":                 `open("").%s`,
		"a document that was written":    `(() => { const f = document.createElement("iframe"); document.body.append(f); f.contentDocument.open(); f.contentDocument.write("x"); f.contentDocument.close(); return f.contentWindow.%s })()`,
		"the page after document.open()": `(() => { document.open(); document.write("<body>y"); document.close(); return %s })()`,
	} {
		before := len(g.requests())
		if got := gestured(t, page, settled(fmt.Sprintf(in, persist))); got != "false" {
			t.Errorf("%s: %s", name, got)
		}
		if len(g.requests()) != before+1 {
			t.Errorf("%s: asked %d times", name, len(g.requests())-before)
		}
	}
}

func TestPermissionRequests_FramesOfEveryKindAreDenied(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(grants().handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	if err := page.call(testContext(t), "Emulation.setGeolocationOverride", map[string]float64{"latitude": 1, "longitude": 2, "accuracy": 3}, nil); err != nil {
		t.Fatal(err)
	}
	body := "<script>" + settled(locate) + `.then(how => parent.postMessage(how, "*"))</` + "script>"
	for name, make := range map[string]string{
		"srcdoc":           `f.srcdoc = body`,
		"sandboxed srcdoc": `f.sandbox = "allow-scripts"; f.srcdoc = body`,
		"data:":            `f.src = "data:text/html," + encodeURIComponent(body)`,
		"blob:":            `f.src = URL.createObjectURL(new Blob([body], {type: "text/html"}))`,
		"javascript:":      `f.src = "javascript:" + encodeURIComponent(JSON.stringify(body))`,
	} {
		got := evaluated[string](t, page, `body => new Promise(told => {
			onmessage = e => told(e.data);
			const f = document.createElement("iframe");
			f.allow = "geolocation *";
			`+make+`;
			document.body.append(f);
		})`, body)
		if !strings.HasPrefix(got, "GeolocationPositionError1") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What a page tries to get past the script. Chromium itself denies it.
func TestPermissionRequests_WhatGoesRoundTheScriptIsDenied(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants()
	s.SetPermissionRequestHandler(g.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	if err := page.call(testContext(t), "Emulation.setGeolocationOverride", map[string]float64{"latitude": 1, "longitude": 2, "accuracy": 3}, nil); err != nil {
		t.Fatal(err)
	}
	// The script is taken away: what is left is what a page gets that goes round it.
	s.permissions.pages.session.preloads.setOwn(permissionWorld, nil)
	loaded(t, page, html(server, "b.localhost", ""))
	for _, c := range permissionCalls {
		switch c.permission {
		case PermissionMediaKeySystem: // for which Chromium has no switch
			continue
		case PermissionNotifications, PermissionIdleDetection: // where the answer to the request is all there is
			continue
		}
		got := gestured(t, page, settled(c.call))
		if c.permission == PermissionFullscreen || c.permission == PermissionPointerLock {
			continue // see TestPermissionRequests_WhoGetsIntoFullscreen...
		}
		if got == c.granted {
			t.Errorf("%s: %s", c.permission, got)
		}
	}
	if len(g.requests()) > 0 {
		t.Error("the script was there")
	}
	t.Run("messages that a page makes up", func(t *testing.T) {
		s.permissions.change(func(*permissionRules) {})
		loaded(t, page, html(server, "a.localhost", ""))
		// A page that knows the name of the events answers itself.
		channel := s.permissions.pages.eventName
		call := fmt.Sprintf(`(() => {
			const name = %q;
			performance.addEventListener(name + "-question", e => {
				const {id, kind} = JSON.parse(e.detail);
				if (kind === "request") performance.dispatchEvent(new CustomEvent(name + "-answer", {detail: JSON.stringify({id, granted: true})}));
			}, true);
			return %s;
		})()`, channel, settled(locate))
		if got := gestured(t, page, call); !strings.HasPrefix(got, "GeolocationPositionError") {
			t.Errorf("it got %s", got)
		}
	})
}

func TestPermissionRequests_APageDoesNotGetAtChromiumsOwnFunctions(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(grants().handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	// Built-in functions that the page has replaced are handed the native ones.
	const steal = `(() => {
		const stolen = new Set();
		const spy = (object, name) => {
			const native = object[name];
			object[name] = function (...args) {
				for (const one of [this, ...args]) if (typeof one === "function") stolen.add(one);
				return native.apply(this, args);
			};
		};
		for (const name of ["apply", "construct", "get"]) spy(Reflect, name);
		for (const name of ["get", "set", "has"]) spy(Map.prototype, name), spy(WeakMap.prototype, name);
		spy(Promise.prototype, "then");
		spy(EventTarget.prototype, "addEventListener");
		navigator.storage.persist();
		navigator.permissions.query({name: "camera"});
		navigator.clipboard.writeText.toString();
		const own = [navigator.storage.persist, navigator.permissions.query, navigator.clipboard.writeText];
		return [...stolen].filter(f => own.some(one => one.name === f.name && one !== f)).map(f => f.name).join();
	})()`
	if got := gestured(t, page, steal); got != "" {
		t.Errorf("the page got %s", got)
	}
	// What all objects inherit counts for the script's, too.
	const inherit = `(() => {
		const own = [navigator.storage.persist, navigator.requestMediaKeySystemAccess, navigator.permissions.query, navigator.mediaDevices.getDisplayMedia,
			FileSystemHandle.prototype.remove, Element.prototype.requestFullscreen, Function.prototype.toString];
		const got = [];
		for (const trap of ["get", "has", "apply", "construct", "getPrototypeOf", "getOwnPropertyDescriptor"]) {
			for (const f of own) {
				const {name} = f;
				Object.prototype[trap] = native => { if (native !== f) got.push(trap + " " + name); };
				try { f.x; "x" in f; Object.getPrototypeOf(f); Object.getOwnPropertyDescriptor(f, "name"); f(); new f(); } catch {}
				delete Object.prototype[trap];
			}
		}
		return [...new Set(got)].join();
	})()`
	if got := gestured(t, page, inherit); got != "" {
		t.Errorf("the page got %s", got)
	}
}

// Where the answer is all there is, a page can neither see nor make it.
func TestPermissionRequests_APageDoesNotGetAtAnswers(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(grants().handle)
	const keys = `navigator.requestMediaKeySystemAccess("org.w3.clearkey", [{initDataTypes: ["webm"], videoCapabilities: [{contentType: "video/webm; codecs=vp8"}]}])`
	for name, hand := range map[string]string{
		"then":        `Object.defineProperty(Object.prototype, "then", {get() { if ("id" in this) { seen = true; try { this.granted = true } catch {} } }})`,
		"granted":     `Object.defineProperty(Object.prototype, "granted", {get() { seen = true; return true }})`,
		"constructor": `Object.defineProperty(Promise.prototype, "constructor", {value: function () {}}); Promise.prototype.then = function (ok, no) { if (ok) ok({granted: true, id: 1}) }`,
		"Promise":     `const P = Promise; self.Promise = function (begin) { return new P(resolve => begin(() => resolve({granted: true}))) }; undo = () => { self.Promise = P }`,
		"maps":        `Map.prototype.get = () => () => {}`,
	} {
		t.Run(name, func(t *testing.T) {
			page := testPage(t, s, html(server, "a.localhost", ""))
			gestured(t, page, `void (() => {
				const { then } = Promise.prototype, { apply } = Reflect;
				self.seen = false;
				let undo = () => {};
				`+hand+`;
				const call = `+keys+`;
				undo();
				Object.defineProperty(call, "constructor", {value: undefined});
				apply(then, call, [() => { self.how = "granted" }, e => { self.how = e.name }]);
			})()`)
			eventually(t, page, "!!self.how")
			got := evaluated[string](t, page, `how + (seen ? ", and seen" : "")`)
			if got != "NotSupportedError" {
				t.Errorf("it ended with %s", got)
			}
		})
	}
}

func TestPermissionRequests_WhoGetsIntoFullscreenOrPointerLockIsTakenOut(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	no, yes := namedSession(t, "no"), namedSession(t, "yes")
	no.SetPermissionRequestHandler(grants().handle)
	yes.SetPermissionRequestHandler(grants(PermissionFullscreen, PermissionPointerLock).handle)
	// What the script has put in the place of the functions is circumvented by the
	// realm of a frame that has none: one that is taken out of the page.
	const round = `(() => { self.changes = 0; onfullscreenchange = document.onpointerlockchange = () => changes++; })()`
	for _, c := range []struct{ call, state string }{
		{`document.documentElement.requestFullscreen()`, `document.fullscreenElement`},
		{`document.documentElement.requestPointerLock()`, `document.pointerLockElement`},
	} {
		t.Run(c.state, func(t *testing.T) {
			page := testPage(t, yes, html(server, "a.localhost", ""))
			if err := page.call(testContext(t), "Page.bringToFront", nil, nil); err != nil {
				t.Fatal(err)
			}
			if got := gestured(t, page, settled(c.call)); got != "ok" {
				t.Fatal(got)
			}
			want(t, page, `new Promise(r => setTimeout(() => r(!!`+c.state+`), 100))`, true)
			page.Close(testContext(t))

			native := testPage(t, no, "about:blank")
			no.preloads.setOwn(permissionWorld, []*preload{no.permissions.pages.isolated, no.permissions.pages.rules[permissionAnswerers{asks: true}]})
			loaded(t, native, html(server, "a.localhost", ""))
			if err := native.call(testContext(t), "Page.bringToFront", nil, nil); err != nil {
				t.Fatal(err)
			}
			evaluated[any](t, native, round)
			for range 3 { // also after the document was opened anew, and the page was there first
				gestured(t, native, settled(c.call))
				eventually(t, native, `!`+c.state)
				want(t, native, `new Promise(r => setTimeout(() => r(!!`+c.state+`), 100))`, false)
				evaluated[any](t, native, `(() => {
					document.open();
					for (const type of ["fullscreenchange", "webkitfullscreenchange", "pointerlockchange"]) addEventListener(type, e => e.stopImmediatePropagation(), true);
					document.write("<body>z");
					document.close();
				})()`)
			}
		})
	}
}

func TestPermissionRequests_AFrameInFullscreenMayStayThere(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(grants(PermissionFullscreen).handle)
	for _, host := range []string{"a.localhost", "b.localhost"} {
		t.Run(host, func(t *testing.T) {
			page := testPage(t, s, html(server, "a.localhost", fmt.Sprintf(`<iframe allow="fullscreen" src="%s"></iframe>`, html(server, host, "in a frame"))))
			if err := page.call(testContext(t), "Page.bringToFront", nil, nil); err != nil {
				t.Fatal(err)
			}
			frame := page.Frames()[1]
			in, err := frame.world(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			params := map[string]any{"expression": settled(`document.documentElement.requestFullscreen()`), "awaitPromise": true, "returnByValue": true, "userGesture": true}
			if in.context != 0 {
				params["contextId"] = in.context
			}
			if err := in.call(testContext(t), "Runtime.evaluate", params, nil); err != nil {
				t.Fatal(err)
			}
			eventually(t, page, `document.fullscreenElement?.localName === "iframe"`)
			want(t, page, `new Promise(r => setTimeout(() => r(!!document.fullscreenElement), 100))`, true)
			if _, err := Evaluate[bool](testContext(t), frame, `document.exitFullscreen().then(() => true)`); err != nil {
				t.Fatal(err)
			}
			eventually(t, page, `!document.fullscreenElement`)
		})
	}
}

func TestPermissionRequests_CX17_OneCallForEachPermission(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	requests := make(chan pending, 10)
	s.SetPermissionRequestHandler(slowly(requests))
	page := testPage(t, s, html(server, "a.localhost", ""))
	beginCall(t, page, `Promise.all([navigator.storage.persist(), navigator.clipboard.writeText("x").then(() => "written")]).then(all => all.join())`)
	both := []pending{next(t, requests), next(t, requests)}
	slices.SortFunc(both, func(a, b pending) int { return strings.Compare(string(a.Permission), string(b.Permission)) })
	if both[0].Permission != PermissionClipboardRead { // which writing without a gesture is
		t.Errorf("asked for %s", both[0].Permission)
	}
	both[0].answer <- true
	want(t, page, "ended", "")
	both[1].answer <- false
	eventually(t, page, `ended`)
	want(t, page, `ended`, "false,written")
}

func TestPermissionRequests_AfterThePageComesBackFromTheCache(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionPersistentStorage)
	s.SetPermissionRequestHandler(g.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	evaluated[bool](t, page, "(self.kept = true)")
	loaded(t, page, html(server, "b.localhost", ""))
	if err := page.GoBack(testContext(t), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "kept", true)
	want(t, page, `navigator.storage.persist()`, true)
	want(t, page, settled(`navigator.clipboard.readText()`), "NotAllowedError: Failed to execute 'readText' on 'Clipboard': Read permission denied.")
}

func TestPermissionRequests_APageThatFloodsHasSomeAnswered(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	requests := make(chan pending, 2*maxQuestions)
	s.SetPermissionRequestHandler(slowly(requests))
	decisions, refused := s.PermissionDecisions(testContext(t)), make(chan PermissionDecision)
	go func() {
		n := 0
		for d := range decisions {
			if n++; n == 5000-maxQuestions {
				refused <- d
			}
		}
	}()
	page, other := testPage(t, s, html(server, "a.localhost", "")), testPage(t, s, html(server, "b.localhost", ""))
	want(t, page, `(async () => {
		let denied = 0;
		for (let i = 0; i < 5000; i++) navigator.storage.persist().then(() => denied++);
		await new Promise(r => { const look = () => denied >= `+fmt.Sprint(5000-maxQuestions)+` ? r() : setTimeout(look, 10); look(); });
		return denied;
	})()`, 5000-maxQuestions)
	if d := next(t, refused); d.Rule != "too many" || d.Granted || d.WebContents != page {
		t.Errorf("%+v", d)
	}
	want(t, page, `navigator.permissions.query({name: "geolocation"}).then(s => s.state)`, "granted") // which nobody checks
	beginCall(t, other, `navigator.storage.persist()`)
	for range maxQuestions {
		next(t, requests)
	}
	one := next(t, requests)
	if one.RequestingOrigin != server.URL("b.localhost", "/") {
		t.Errorf("asked by %s", one.RequestingOrigin)
	}
	one.answer <- true
	eventually(t, other, `ended === "true"`)
}

func TestPermissionRequests_AFrameInABlankPopupGetsWhatItIsGranted(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionPersistentStorage)
	s.SetPermissionRequestHandler(g.handle)
	opener := html(server, "a.localhost", "")
	page := testPage(t, s, opener)
	popups := events(page.Popups(testContext(t)))
	frame := html(server, "b.localhost", script(`navigator.storage.persist().then(kept => parent.postMessage(kept, "*"))`))
	gestured(t, page, fmt.Sprintf(`self.blank = open(""); blank.told = new Promise(r => blank.onmessage = e => r(e.data)); void (blank.document.body.innerHTML = %q)`, `<iframe src="`+frame+`"></iframe>`))
	popup := next(t, popups)
	want(t, popup, `told`, true)
	if r := g.last(t); r.EmbeddingOrigin != originOfPage(t, page)+"/" || !strings.Contains(r.RequestingOrigin, "b.localhost") {
		t.Errorf("asked %+v", r)
	}
}

func TestPermissionRequests_ABlankPopupHasItsOpenersOrigin(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionClipboardRead)
	s.SetPermissionRequestHandler(g.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	popups := events(page.Popups(testContext(t)))
	gestured(t, page, `void (self.blank = open(""))`)
	popup := next(t, popups)
	want(t, popup, settled(`navigator.clipboard.readText().then(() => "read")`), "read")
	if r := g.last(t); r.RequestingOrigin != server.URL("a.localhost", "/") || r.RequestingURL != "about:blank" || r.WebContents != popup || !r.IsMainFrame {
		t.Errorf("asked %+v", r)
	}
	popup.Close(testContext(t))
}

func TestPermissionRequests_OpaqueOriginsAreNull(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants()
	s.SetPermissionRequestHandler(g.handle)
	page := testPage(t, s, html(server, "a.localhost", script(`self.told = new Promise(r => onmessage = e => r(e.data))`)+
		`<iframe sandbox="allow-scripts" allow="clipboard-write *" src="`+html(server, "a.localhost", script(settled(`navigator.clipboard.writeText("x")`)+`.then(how => parent.postMessage(how, "*"))`))+`"></iframe>`))
	want(t, page, "told", "NotAllowedError: Failed to execute 'writeText' on 'Clipboard': Write permission denied.")
	if r := g.last(t); r.RequestingOrigin != "null" || r.EmbeddingOrigin != server.URL("a.localhost", "/") || r.IsMainFrame {
		t.Errorf("asked %+v", r)
	}
}

// held are the settings that requests hold in Chromium.
func held(s *Session) (n int) {
	s.permissions.native.mu.Lock()
	defer s.permissions.native.mu.Unlock()
	for _, entry := range s.permissions.native.entries {
		n += entry.holds
	}
	return n
}

func releasesAll(t *testing.T, s *Session) {
	t.Helper()
	for ctx := testContext(t); held(s) > 0; {
		select {
		case <-ctx.Done():
			t.Fatalf("%d settings are still held", held(s))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestPermissionRequests_AGrantEndsWhateverThePageSays(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(grants(PermissionClipboardRead).handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	// The page says nothing of its own any more, and asks for the names of devices.
	evaluated[any](t, page, `(Object.defineProperty(window, "performance", {value: new EventTarget()}), null)`)
	want(t, page, `navigator.mediaDevices.enumerateDevices().then(() => "told")`, "told")
	releasesAll(t, s)
	// It asks under one number, again and again, and never says that it is done.
	name := s.permissions.pages.eventName
	loaded(t, page, html(server, "a.localhost", ""))
	evaluated[any](t, page, `name => {
		for (let i = 0; i < 200; i++) performance.dispatchEvent(new CustomEvent(name + "-question", {detail: JSON.stringify({kind: i % 2 ? "devices" : "request", id: 7, permission: "clipboard-read"})}));
	}`, name)
	releasesAll(t, s)
}

// activated brings a page to the front, where it can be in fullscreen.
func activated(t testing.TB, page *WebContents) {
	t.Helper()
	if err := page.call(testContext(t), "Page.bringToFront", nil, nil); err != nil {
		t.Fatal(err)
	}
}

// pastScript is the value of an expression where functions are Chromium's own, on a
// page on which the user has just done something.
func pastScript(t testing.TB, page *WebContents, expression string) string {
	t.Helper()
	var world struct {
		ID int `json:"executionContextId"`
	}
	if err := page.call(testContext(t), "Page.createIsolatedWorld", map[string]string{"frameId": page.ID(), "worldName": "round"}, &world); err != nil {
		t.Fatal(err)
	}
	var r struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
	}
	params := map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true, "contextId": world.ID}
	if err := page.renderer(testContext(t), "Runtime.evaluate", params, &r); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(r.Result.Value)
}

// Not beside other tests: who enters fullscreen has to be in front.
func TestPermissionRequests_AYesIsNotKeptForLater(t *testing.T) {
	server := permissionServer(t)
	for _, c := range []struct {
		permission  Permission
		call, state string
	}{
		{PermissionFullscreen, `document.documentElement.requestFullscreen()`, `document.fullscreenElement`},
		{PermissionPointerLock, `document.documentElement.requestPointerLock()`, `document.pointerLockElement`},
	} {
		t.Run(string(c.permission), func(t *testing.T) {
			s := namedSession(t, string(c.permission))
			s.SetPermissionRequestHandler(grants(c.permission).handle)
			page := testPage(t, s, html(server, "a.localhost", ""))
			activated(t, page)
			// A page asks, and neither enters nor says that it has ended.
			decisions := events(s.PermissionDecisions(testContext(t)))
			evaluated[any](t, page, fmt.Sprintf(`void performance.dispatchEvent(new CustomEvent("%s-question", {detail: JSON.stringify({kind: "request", id: 1e6, permission: %q})}))`, s.permissions.pages.eventName, c.permission))
			if d := next(t, decisions); !d.Granted {
				t.Fatalf("decided %+v", d)
			}
			ctx := testContext(t)
			for ; grantsNow(s) > 0; time.Sleep(10 * time.Millisecond) {
				if ctx.Err() != nil {
					t.Fatal("the grant does not end")
				}
			}
			// The page's own permit ends by the page's clock, which began with the answer.
			eventually(t, page, `new Promise(r => setTimeout(() => r(true), 3000))`)
			pastScript(t, page, settled(c.call))
			eventually(t, page, `!`+c.state)
			want(t, page, `new Promise(r => setTimeout(() => r(!!`+c.state+`), 100))`, false)
		})
	}
}

// grantsNow counts what documents of a session are granted.
func grantsNow(s *Session) int {
	s.permissions.pages.mu.Lock()
	defer s.permissions.pages.mu.Unlock()
	return len(s.permissions.pages.grants)
}

func TestPermissionRequests_AnElementIsItsDocuments(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionFullscreen, PermissionPointerLock)
	s.SetPermissionRequestHandler(g.handle)
	const frame = `const f = document.createElement("iframe"); f.allow = "fullscreen"; document.body.append(f);`
	for name, enter := range map[string]string{
		"a frame's function on the page's element":          frame + `await f.contentWindow.Element.prototype.METHOD.call(document.documentElement)`,
		"a removed frame's function on the page's element":  frame + `const w = f.contentWindow; f.remove(); await w.Element.prototype.METHOD.call(document.documentElement)`,
		"an element that was made in a frame":               frame + `const d = f.contentDocument.createElement("div"); document.body.append(d); await d.METHOD()`,
		"the page's function on an element inside the page": `await Element.prototype.METHOD.call(frames[0].document.body)`,
	} {
		for method, state := range map[string]string{"requestFullscreen": "fullscreenElement", "requestPointerLock": "pointerLockElement"} {
			t.Run(name+" "+method, func(t *testing.T) {
				page := testPage(t, s, html(server, "a.localhost", `<p><iframe allow="fullscreen"></iframe>`))
				activated(t, page)
				before := len(g.requests())
				got := gestured(t, page, settled(`(async () => { `+strings.ReplaceAll(enter, "METHOD", method)+` })()`))
				if got != "ok" {
					t.Fatal(got)
				}
				is := fmt.Sprintf(`[document, ...Array.from({length: frames.length}, (_, i) => frames[i].document)].some(d => d.%s)`, state)
				want(t, page, `new Promise(r => setTimeout(() => r(`+is+`), 200))`, true)
				if asked := len(g.requests()) - before; asked != 1 {
					t.Errorf("asked %d times", asked)
				}
				page.Close(testContext(t))
			})
		}
	}
}

func TestPermissionRequests_WhoseFrameIsGoneAreRefused(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	s.SetPermissionRequestHandler(grants(PermissionPersistentStorage).handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	const gone = `const f = document.createElement("iframe"); document.body.append(f); const { Navigator, StorageManager } = f.contentWindow; f.remove();`
	for call, refused := range map[string]string{
		`Navigator.prototype.webkitGetUserMedia.call(navigator, {video: true}, () => ended("granted"), e => ended(e.name))`: "NotAllowedError",
		`StorageManager.prototype.persist.call(navigator.storage).then(ended, ended)`:                                       "false",
	} {
		if got := gestured(t, page, `new Promise(ended => { `+gone+call+` })`); got != refused {
			t.Errorf("it ended with %s", got)
		}
	}
}

// followed is the life of a document that counts who waits for its end.
type followed struct {
	context.Context
	done chan struct{}
	by   atomic.Int32
}

func (f *followed) Done() <-chan struct{} { return f.done }

func (f *followed) AfterFunc(func()) (stop func() bool) {
	f.by.Add(1)
	return func() bool { f.by.Add(-1); return true }
}

func TestPermissionRequests_LeaveNothingBehindInALongLivedDocument(t *testing.T) {
	t.Parallel()
	pages := memorySession(t).permissions.pages
	life := &followed{Context: context.Background(), done: make(chan struct{})}
	m := worldMessage{from: &worldContext{life: life}}
	for id, p := range []Permission{PermissionPersistentStorage, PermissionMedia, PermissionClipboardRead} {
		pages.grant(m, permissionQuestion{ID: id, Permission: p}, nil)
		if life.by.Load() != 1 {
			t.Errorf("%s: %d wait", p, life.by.Load())
		}
		pages.takeBack(grantID{m.from, id})
		if life.by.Load() != 0 {
			t.Errorf("%s: %d wait still", p, life.by.Load())
		}
	}
}

func TestPermissionRequests_APageThatWasInTheCacheBeforeTheHandlerAsks(t *testing.T) {
	server := permissionServer(t)
	s := memorySession(t)
	page := testPage(t, s, html(server, "a.localhost", ""))
	evaluated[bool](t, page, "(self.kept = true)")
	loaded(t, page, html(server, "b.localhost", ""))
	g := grants(PermissionPersistentStorage)
	s.SetPermissionRequestHandler(g.handle)
	if err := page.GoBack(testContext(t), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "kept", true)
	for ctx := testContext(t); len(g.requests()) == 0; evaluated[bool](t, page, `navigator.storage.persist()`) {
		if ctx.Err() != nil {
			t.Fatal("nobody is asked")
		}
	}
	activated(t, page)
	pastScript(t, page, settled(`document.documentElement.requestFullscreen()`))
	eventually(t, page, `!document.fullscreenElement`)
	want(t, page, `new Promise(r => setTimeout(() => r(!!document.fullscreenElement), 100))`, false)
}
