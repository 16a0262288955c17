package cdp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeClient is a client of the context "mine" of a fake browser.
func fakeClient(t *testing.T, o ClientOptions) (*fakeBrowser, *Tree, *RawConn) {
	f, tree := fakeTree(t, TreeOptions{})
	o.BrowserContextID = "mine"
	made := make(chan *RawConn, 1)
	go func() {
		r, err := tree.NewClient(testContext(t), o)
		if err != nil {
			t.Error(err)
		}
		made <- r
	}()
	attaching := f.expect("Target.attachToBrowserTarget")
	f.attach("", sid("ROOT"), `{"targetId":"B","type":"browser"}`)
	f.reply(attaching, `{"sessionId":"`+sid("ROOT")+`"}`)
	f.reply(f.expect("Target.getTargetInfo"), `{"targetInfo":{"targetId":"B","type":"browser"}}`)
	r := await(t, "the client", made)
	t.Cleanup(func() { r.Close() })
	return f, tree, r
}

// clientMessage is a frame that a client gets.
type clientMessage struct {
	ID        int64           `json:"id"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *Error          `json:"error"`
	SessionID string          `json:"sessionId"`
}

func read(t testing.TB, r *RawConn) clientMessage {
	t.Helper()
	frame, err := r.ReadFrame(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	var m clientMessage
	if err := json.Unmarshal(frame, &m); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	return m
}

func write(t testing.TB, r *RawConn, frame string) {
	t.Helper()
	if err := r.WriteFrame(testContext(t), []byte(frame)); err != nil {
		t.Fatal(err)
	}
}

func TestAClientHearsOfItsOwnContextOnly(t *testing.T) {
	f, tree, r := fakeClient(t, ClientOptions{})
	root := sid("ROOT")
	f.event(root, "Target.targetCreated", `{"targetInfo":{"targetId":"X","type":"page","browserContextId":"other"}}`)
	f.event(root, "Target.targetInfoChanged", `{"targetInfo":{"targetId":"X","type":"page","browserContextId":"other"}}`)
	f.event(root, "Target.targetCrashed", `{"targetId":"X"}`)
	f.event(root, "Target.targetDestroyed", `{"targetId":"X"}`)
	f.attach(root, sid("XS"), `{"targetId":"X","type":"page","browserContextId":"other"}`)
	f.expectAll(sid("XS"), "Runtime.runIfWaitingForDebugger")
	f.expectAll(root, "Target.detachFromTarget")
	f.event(sid("XS"), "Page.loadEventFired", `{}`)
	f.detach(root, sid("XS"))

	f.event(root, "Target.targetCreated", `{"targetInfo":{"targetId":"M","type":"page","browserContextId":"mine"}}`)
	f.attach(root, sid("MS"), `{"targetId":"M","type":"page","browserContextId":"mine"}`)
	f.event(sid("MS"), "Page.loadEventFired", `{"n":1}`)
	f.attach(sid("MS"), sid("WS"), `{"targetId":"W","type":"worker"}`) // a child, whose context is not told
	f.detach(sid("MS"), sid("WS"))
	f.detach(root, sid("MS"))
	f.event(root, "Target.targetDestroyed", `{"targetId":"M"}`)
	for _, want := range []string{"Target.targetCreated ", "Target.attachedToTarget ", "Page.loadEventFired " + sid("MS"), "Target.attachedToTarget " + sid("MS"),
		"Target.detachedFromTarget " + sid("MS"), "Target.detachedFromTarget ", "Target.targetDestroyed "} {
		if m := read(t, r); m.Method+" "+m.SessionID != want {
			t.Errorf("got %s %s %s, want %s", m.Method, m.SessionID, m.Params, want)
		}
	}
	f.sync(tree.Conn())
	if len(r.sessions) != 0 || len(tree.conn.sessions) != 1 {
		t.Errorf("%d and %d sessions are left", len(r.sessions), len(tree.conn.sessions))
	}
}

func TestAClientCannotReachOutOfItsContext(t *testing.T) {
	f, _, r := fakeClient(t, ClientOptions{})
	f.event(sid("ROOT"), "Target.targetCreated", `{"targetInfo":{"targetId":"M","type":"page","browserContextId":"mine"}}`)
	read(t, r)
	for _, refused := range []struct{ frame, text string }{
		{`{"id":1,"method":"Target.attachToTarget","params":{"targetId":"X","flatten":true}}`, "No target"},
		{`{"id":1,"method":"Target.attachToTarget","params":{"targetId":"M","flatten":false}}`, "flatten"},
		{`{"id":1,"method":"Target.attachToTarget","params":{"targetId":"M","targetId":"X","flatten":true}}`, "Expected a frame"},
		{`{"id":1,"method":"Target.closeTarget","params":{"targetId":"X"}}`, "No target"},
		{`{"id":1,"method":"Target.closeTarget","params":{"targetId":"M","TargetId":"X"}}`, "unknown member"},
		{`{"id":1,"method":"Target.createTarget","params":{"url":"about:blank","browserContextId":"other"}}`, "browser context"},
		{`{"id":1,"method":"Target.createTarget","params":{"url":"about:blank","hidden":true}}`, "not offered"},
		{`{"id":1,"method":"Target.createTarget","params":{"url":"about:blank","x":true}}`, "unknown members"},
		{`{"id":1,"method":"Target.createTarget","params":{"url":"about:settings"}}`, "not offered"},
		{`{"id":1,"method":"Target.createTarget","params":{"url":"c\throme://settings"}}`, "not offered"},
		{`{"id":1,"method":"Browser.setWindowBounds","params":{"windowId":1,"bounds":{}}}`, "window"},
		{`{"id":1,"method":"Browser.grantPermissions","params":{"permissions":[],"browserContextId":"other"}}`, "browser context"},
		{`{"id":1,"method":"Fetch.enable"}`, "wasn't found"},
		{`{"id":1,"method":"IO.read","params":{"handle":"1"}}`, "stream"},
		{`{"id":1,"method":"Target.disposeBrowserContext","params":{"browserContextId":"mine"}}`, "browser context"},
		{`{"id":1,"method":"Target.createBrowserContext","params":{"proxyServer":"x:1"}}`, "proxy"},
		{`{"id":1,"method":"Storage.getCookies","params":{"browserContextId":"other"}}`, "browser context"},
		{`{"id":1,"method":"Target.detachFromTarget","params":{"sessionId":"` + sid("XS") + `"}}`, "No session"},
		{`{"id":1,"method":"Target.sendMessageToTarget","params":{}}`, "wasn't found"},
		{`{"id":1,"method":"Browser.crash"}`, "wasn't found"},
		{`{"id":1,"method":"Page.enable"}`, "wasn't found"},
		{`{"id":1,"method":"Page.enable","sessionId":"` + sid("XS") + `"}`, "Session with given id not found"},
		{`{"id":1,"method":"Page.enable","sessionId":"\",\"x\":\""}`, "Session with given id not found"},
		{`{"id":1,"method":"Target.getTargets\u0000"}`, "wasn't found"},
	} {
		write(t, r, refused.frame)
		m := read(t, r)
		if m.ID != 1 && !strings.Contains(refused.text, "Expected") || m.Error == nil {
			t.Errorf("%s\ngave %+v", refused.frame, m)
		} else if refused.text != "Expected a frame" && !strings.Contains(m.Error.Message, refused.text) {
			t.Errorf("%s\ngave %s, want %q", refused.frame, m.Error.Message, refused.text)
		}
	}
	for _, broken := range []string{`nonsense`, `[]`, `{"id":"x"}`, `{"id":1,"method":"Browser.getVersion","method":"Browser.close"}`, "{\"id\":1,\"method\":\"Browser.getVersion\",\"params\":{\"a\":\"\x00\"}}"} {
		write(t, r, broken)
		if m := read(t, r); m.Error == nil || m.Error.Code != -32700 {
			t.Errorf("%q gave %+v", broken, m)
		}
	}
	write(t, r, `{"id":2,"method":"Browser.getVersion"}`) // the first that the browser gets
	f.reply(f.expect("Browser.getVersion"), `{"product":"Fake"}`)
	if m := read(t, r); m.ID != 2 || string(m.Result) != `{"product":"Fake"}` {
		t.Errorf("got %+v", m)
	}
}

func TestAClientsIDsAreItsOwn(t *testing.T) {
	f, _, r := fakeClient(t, ClientOptions{})
	f.event(sid("ROOT"), "Target.targetCreated", `{"targetInfo":{"targetId":"M","type":"page","browserContextId":"mine"}}`)
	f.attach(sid("ROOT"), sid("MS"), `{"targetId":"M","type":"page","browserContextId":"mine"}`)
	read(t, r)
	read(t, r)
	write(t, r, `{"id":7,"method":"Page.enable","sessionId":"`+sid("MS")+`"}`)
	write(t, r, `{"id":7,"method":"Browser.getVersion"}`)
	enable, version := f.expect("Page.enable"), f.expect("Browser.getVersion")
	if enable.SessionID != sid("MS") || version.SessionID != sid("ROOT") || enable.ID == version.ID {
		t.Errorf("sent %+v and %+v", enable, version)
	}
	f.reply(version, `{"a":1}`)
	f.refuse(enable, `{"code":-32000,"message":"no","data":"because"}`)
	if m := read(t, r); m.ID != 7 || m.SessionID != "" || string(m.Result) != `{"a":1}` {
		t.Errorf("got %+v", m)
	}
	if m := read(t, r); m.ID != 7 || m.SessionID != sid("MS") || *m.Error != (Error{Code: -32000, Message: "no", Data: "because"}) {
		t.Errorf("got %+v", m)
	}
	write(t, r, `{"id":8,"method":"Target.getTargets"}`)
	f.reply(f.expect("Target.getTargets"), `{"targetInfos":[{"targetId":"X","type":"page","browserContextId":"other"},{"targetId":"M","type":"page","browserContextId":"mine","future":1}]}`)
	if m := read(t, r); string(m.Result) != `{"targetInfos":[{"targetId":"M","type":"page","browserContextId":"mine","future":1}]}` {
		t.Errorf("the list is %s", m.Result)
	}
	write(t, r, `{"id":9,"method":"Storage.getCookies"}`)
	cookies := f.expect("Storage.getCookies")
	if string(cookies.Params) != `{"browserContextId":"mine"}` {
		t.Errorf("asked with %s", cookies.Params)
	}
	f.reply(cookies, `{}`)
}

func TestAClientThatDoesNotReadIsCutOff(t *testing.T) {
	f, tree, r := fakeClient(t, ClientOptions{Queue: QueueOptions{Limit: 10}})
	for range 20 {
		f.event(sid("ROOT"), "Target.something", `{}`)
	}
	f.sync(tree.Conn())
	n := 0
	for ; ; n++ {
		if _, err := r.ReadFrame(testContext(t)); err != nil {
			if !errors.Is(err, ErrOverflow) {
				t.Error(err)
			}
			break
		}
	}
	if n != 10 {
		t.Errorf("%d frames came before", n)
	}
}

func TestClosingAClientClosesWhatItMade(t *testing.T) {
	var disposed []string
	f, _, r := fakeClient(t, ClientOptions{DisposeContext: func(id string) { disposed = append(disposed, id) }})
	write(t, r, `{"id":1,"method":"Target.createBrowserContext"}`)
	context := f.expect("Target.createBrowserContext")
	if context.SessionID != sid("ROOT") || !strings.Contains(string(context.Params), `"disposeOnDetach":true`) {
		t.Errorf("made with %s on %q", context.Params, context.SessionID)
	}
	f.reply(context, `{"browserContextId":"second"}`)
	read(t, r)
	write(t, r, `{"id":2,"method":"Target.createTarget","params":{"url":"about:blank","browserContextId":"second"}}`)
	f.reply(f.expect("Target.createTarget"), `{"targetId":"N"}`)
	read(t, r)
	write(t, r, `{"id":3,"method":"Target.createTarget","params":{"url":"about:blank"}}`)
	late := f.expect("Target.createTarget")
	if !strings.Contains(string(late.Params), `"browserContextId":"mine"`) {
		t.Errorf("made with %s", late.Params)
	}
	write(t, r, `{"id":4,"method":"Browser.close"}`)
	if m := read(t, r); m.ID != 4 || m.Error != nil {
		t.Errorf("got %+v", m)
	}
	if cmd := f.expect("Target.closeTarget"); string(cmd.Params) != `{"targetId":"N"}` {
		t.Errorf("closed %s", cmd.Params)
	}
	if cmd := f.expect("Target.detachFromTarget"); !strings.Contains(string(cmd.Params), sid("ROOT")) {
		t.Errorf("detached %s", cmd.Params)
	}
	f.reply(late, `{"targetId":"LATE"}`)
	if cmd := f.expect("Target.closeTarget"); string(cmd.Params) != `{"targetId":"LATE"}` {
		t.Errorf("closed %s", cmd.Params)
	}
	if !slices.Equal(disposed, []string{"second"}) {
		t.Errorf("disposed of %v", disposed)
	}
	if _, err := r.ReadFrame(testContext(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if err := r.WriteFrame(testContext(t), []byte(`{"id":5,"method":"Browser.getVersion"}`)); !errors.Is(err, ErrClosed) {
		t.Errorf("writing: %v", err)
	}
}

func TestAClientEndsWithTheBrowser(t *testing.T) {
	f, _, r := fakeClient(t, ClientOptions{})
	f.hangUp()
	if _, err := r.ReadFrame(testContext(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("reading: %v", err)
	}
}

func TestSeveralReadersOfAClientLoseNothing(t *testing.T) {
	f, _, r := fakeClient(t, ClientOptions{})
	const n = 5000
	var mu sync.Mutex
	seen := map[string]bool{}
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				frame, err := r.ReadFrame(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				if seen[string(frame)] = true; len(seen) == n {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		f.tick(sid("ROOT"), "Target.a", i)
	}
	wg.Wait()
	if len(seen) != n {
		t.Errorf("%d of %d frames came", len(seen), n)
	}
}

func TestARealClientLivesInItsContext(t *testing.T) {
	tree := chromiumTree(t, TreeOptions{})
	var made struct {
		BrowserContextID string `json:"browserContextId"`
	}
	if err := tree.Conn().Root().Call(testContext(t), "Target.createBrowserContext", nil, &made); err != nil {
		t.Fatal(err)
	}
	r, err := tree.NewClient(testContext(t), ClientOptions{BrowserContextID: made.BrowserContextID})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	answerTo := func(id int64, frame string) clientMessage {
		t.Helper()
		write(t, r, frame)
		for {
			m := read(t, r)
			all = append(all, m.Method+string(m.Params)+string(m.Result))
			if m.ID == id {
				if m.Error != nil && !strings.Contains(m.Error.Message, "navigated") {
					t.Fatalf("%s: %v", frame, m.Error)
				}
				return m
			}
		}
	}
	answerTo(1, `{"id":1,"method":"Target.setDiscoverTargets","params":{"discover":true}}`)
	answerTo(2, `{"id":2,"method":"Target.setAutoAttach","params":{"autoAttach":true,"waitForDebuggerOnStart":true,"flatten":true}}`)
	foreign := newPage(t, tree, "data:text/html,<title>foreign</title>")
	hidden := NewHiddenPages(t.Context(), tree)
	hidden.idle = time.Hour
	err = hidden.Use(testContext(t), made.BrowserContextID, "chrome://version", func(context.Context, *Session) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	page := answerTo(3, `{"id":3,"method":"Target.createTarget","params":{"url":"data:text/html,<title>mine</title>"}}`)
	var id struct {
		TargetID string `json:"targetId"`
	}
	json.Unmarshal(page.Result, &id)
	var s struct {
		SessionID string `json:"sessionId"`
	}
	for _, told := range all { // by its own auto-attach, before the answer
		if params, ok := strings.CutPrefix(told, "Target.attachedToTarget"); ok && strings.Contains(params, id.TargetID) {
			json.Unmarshal([]byte(params), &s)
		}
	}
	for answerTo(5, fmt.Sprintf(`{"id":5,"method":"Runtime.runIfWaitingForDebugger","sessionId":%q}`, s.SessionID)); ; {
		m := answerTo(6, fmt.Sprintf(`{"id":6,"method":"Runtime.evaluate","params":{"expression":"document.title"},"sessionId":%q}`, s.SessionID))
		if strings.Contains(string(m.Result), "mine") {
			break
		}
	}
	answerTo(7, `{"id":7,"method":"Target.getTargets"}`)
	for _, frame := range all {
		if strings.Contains(frame, foreign.ID()) || strings.Contains(frame, "foreign") || strings.Contains(frame, "chrome://version") {
			t.Errorf("the client was told %s", frame)
		}
	}
	if got := mustEvaluate(t, foreign.Session, "document.title"); got != `"foreign"` {
		t.Errorf("the foreign page is %s", got)
	}
	r.Close()
	settled(t, func() string {
		if tree.Target(id.TargetID) != nil {
			return "its page is open"
		}
		tree.conn.mu.Lock()
		defer tree.conn.mu.Unlock()
		return fmt.Sprint(len(tree.conn.sessions), " sessions")
	}, "2 sessions") // of the foreign page and the hidden one
}
