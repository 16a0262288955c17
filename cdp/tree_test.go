package cdp

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

func fakeTree(t testing.TB, o TreeOptions) (*fakeBrowser, *Tree) {
	f, transport := newFake(t)
	tree := NewTree(transport, ConnOptions{}, o)
	t.Cleanup(func() { tree.Conn().Close() })
	return f, tree
}

func keepAll(*Target) ([]Command, bool) { return nil, true }

// pageSetUp is what every page is sent, without commands of its owner.
var pageSetUp = []string{"Page.enable", "Page.getFrameTree", "Target.setAutoAttach", "Runtime.runIfWaitingForDebugger"}

func TestSetUpAndResumeArriveTogetherInOrder(t *testing.T) {
	attached := make(chan *Target, 1)
	f, transport := newFake(t)
	writes := &countingTransport{Transport: transport}
	tree := NewTree(writes, ConnOptions{}, TreeOptions{
		Adopt: func(*Target) ([]Command, bool) {
			return []Command{{Method: "A.first", Params: map[string]int{"n": 1}}, {Method: "A.second"}}, true
		},
		Attached: func(t *Target) { attached <- t },
	})
	defer tree.Conn().Close()
	f.attach("", sid("S"), `{"targetId":"P","type":"page","browserContextId":"C"}`)
	got := f.expectAll(sid("S"), "Page.enable", "Page.getFrameTree", "Target.setAutoAttach", "A.first", "A.second", "Runtime.runIfWaitingForDebugger")
	if frames, calls := writes.frames.Load(), writes.calls.Load(); frames != int64(len(got)) || calls != 1 {
		t.Errorf("%d frames came in %d writes", frames, calls)
	}
	target := await(t, "the news", attached)
	for i, cmd := range got {
		select {
		case <-target.Ready():
			t.Fatalf("ready after %d answers", i)
		default:
		}
		if i%2 == 0 {
			f.reply(cmd, "{}")
		} else {
			f.refuse(cmd, `{"code":-32000,"message":"no"}`) // counts as an answer
		}
		f.sync(tree.Conn())
	}
	await(t, "all answers", target.Ready())
	if target.ID() != "P" || target.BrowserContextID() != "C" || tree.Target("P") != target || target.Page() != target {
		t.Errorf("the target is %+v", target.Info())
	}
}

type countingTransport struct {
	Transport
	calls, frames atomic.Int64
}

func (c *countingTransport) WriteFrames(frames [][]byte) error {
	c.calls.Add(1)
	c.frames.Add(int64(len(frames)))
	return c.Transport.WriteFrames(frames)
}

func TestAnUnwantedTargetIsResumedAndLetGoAtOnce(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{Adopt: func(*Target) ([]Command, bool) { return nil, false }, Gone: func(*Target) { t.Error("it was never there") }})
	f.attach("", sid("S"), `{"targetId":"P","type":"page"}`)
	f.expectAll(sid("S"), "Runtime.runIfWaitingForDebugger")
	if cmd := f.expect("Target.detachFromTarget"); !strings.Contains(string(cmd.Params), sid("S")) || cmd.SessionID != "" {
		t.Errorf("got %s on %q", cmd.Params, cmd.SessionID)
	}
	f.detach("", sid("S"))
	f.sync(tree.Conn())
	if len(tree.Targets()) != 0 || len(tree.conn.sessions) != 0 {
		t.Error("it is still there")
	}
}

func TestTheSessionOfAClientIsNoTarget(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{Adopt: func(tg *Target) ([]Command, bool) { t.Error("it was offered"); return nil, false }})
	f.attach("", sid("S"), `{"targetId":"B","type":"browser"}`)
	f.sync(tree.Conn())
	if len(tree.Targets()) != 0 {
		t.Error("it is there")
	}
}

func TestATargetsChildrenEndWithIt(t *testing.T) {
	var gone []string
	f, tree := fakeTree(t, TreeOptions{Gone: func(t *Target) { gone = append(gone, t.ID()) }})
	f.attach("", sid("P"), `{"targetId":"P","type":"page","browserContextId":"C"}`)
	f.attach(sid("P"), sid("F"), `{"targetId":"F","type":"iframe"}`)
	f.attach(sid("F"), sid("W"), `{"targetId":"W","type":"worker"}`)
	f.expectAll(sid("P"), pageSetUp...)
	f.expectAll(sid("F"), pageSetUp...)
	f.expectAll(sid("W"), "Target.setAutoAttach", "Runtime.runIfWaitingForDebugger")
	worker := tree.Target("W")
	if worker.BrowserContextID() != "C" || worker.Page() != tree.Target("P") {
		t.Errorf("the worker is of %q", worker.BrowserContextID())
	}
	waiting := failing(t, f, worker.Session, 1)
	f.detach("", sid("P"))
	if err := await(t, "the worker's call", waiting); !errors.Is(err, ErrDetached) {
		t.Error(err)
	}
	f.sync(tree.Conn())
	if got := strings.Join(gone, " "); got != "W F P" {
		t.Errorf("gone: %s", got)
	}
	if len(tree.Targets()) != 0 || len(tree.conn.sessions) != 0 {
		t.Error("something is left")
	}
}

func frameNames(page *Target) string {
	var all []string
	for _, f := range page.Frames() {
		all = append(all, f.ID+"<"+f.ParentID+"@"+f.Target.ID())
	}
	return strings.Join(all, " ")
}

func TestFramesComeMoveAndGo(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{})
	p := sid("P")
	f.attach("", p, `{"targetId":"P","type":"page"}`)
	f.expectAll(p, pageSetUp...)
	step := func(want string) {
		t.Helper()
		f.sync(tree.Conn())
		if got := frameNames(tree.Target("P")); got != want {
			t.Errorf("the frames are %s, want %s", got, want)
		}
	}
	step("P<@P")
	f.event(p, "Page.frameAttached", `{"frameId":"F","parentFrameId":"P"}`)
	f.event(p, "Page.frameNavigated", `{"frame":{"id":"F","parentId":"P","loaderId":"L","url":"http://b/","urlFragment":"#x","securityOrigin":"http://b"}}`)
	f.event(p, "Page.frameAttached", `{"frameId":"G","parentFrameId":"F"}`)
	step("P<@P F<P@P G<F@P")
	if frame, ok := tree.Target("P").Frame("F"); !ok || frame.URL != "http://b/#x" || frame.Origin != "http://b" || frame.LoaderID != "L" {
		t.Errorf("the frame is %+v", frame)
	}
	// It moves into a process of its own, and what was in it goes.
	f.event(p, "Page.frameDetached", `{"frameId":"F","reason":"swap"}`)
	f.attach(p, sid("F"), `{"targetId":"F","type":"iframe"}`)
	f.expectAll(sid("F"), pageSetUp...)
	f.event(sid("F"), "Page.frameNavigated", `{"frame":{"id":"F","loaderId":"L2","url":"http://c/"}}`)
	step("P<@P F<P@F")
	f.event(sid("F"), "Page.navigatedWithinDocument", `{"frameId":"F","url":"http://c/#y"}`)
	f.event(p, "Page.frameDetached", `{"frameId":5}`) // malformed
	step("P<@P F<P@F")
	if frame, _ := tree.Target("P").Frame("F"); frame.URL != "http://c/#y" || frame.Origin != "null" {
		t.Errorf("the frame is %+v", frame)
	}
	f.event(p, "Page.frameDetached", `{"frameId":"F","reason":"remove"}`)
	step("P<@P")
}

func TestAMalformedEventDoesNotStopTheReader(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{})
	for _, method := range []string{"Target.attachedToTarget", "Target.detachedFromTarget", "Target.targetInfoChanged", "Target.targetCrashed", "Target.targetDestroyed", "Page.frameNavigated"} {
		for _, params := range []string{`[]`, `{}`, `{"sessionId":1,"targetInfo":2,"targetId":3,"frame":4}`, `null`} {
			f.event("", method, params)
		}
	}
	f.sync(tree.Conn())
	if err := tree.Conn().Err(); err != nil || len(tree.Targets()) != 0 {
		t.Errorf("%v, and %d targets", err, len(tree.Targets()))
	}
}

func TestAPageThatNobodyWaitsForAnyMoreIsClosed(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testContext(t))
	ended := make(chan error)
	go func() { _, err := tree.CreateTarget(ctx, CreateTarget{}); ended <- err }()
	creating := f.expect("Target.createTarget")
	cancel(why)
	if err := await(t, "the end", ended); !errors.Is(err, why) {
		t.Error(err)
	}
	f.reply(creating, `{"targetId":"LATE"}`)
	if cmd := f.expect("Target.closeTarget"); !strings.Contains(string(cmd.Params), "LATE") {
		t.Errorf("closed %s", cmd.Params)
	}
}

func TestAServiceWorkerThatStartsAgainIsSetUpAndResumed(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{
		Adopt:     keepAll,
		Restarted: func(*Target) []Command { return []Command{{Method: "A.again"}} },
	})
	f.attach("", sid("W"), `{"targetId":"W","type":"service_worker"}`)
	f.expectAll(sid("W"), "Runtime.runIfWaitingForDebugger")
	worker := tree.Target("W")
	waiting := make(chan error, 1)
	go func() { waiting <- worker.Session.Call(testContext(t), "A.waits", nil, nil) }()
	f.expect("A.waits")
	f.event(sid("W"), "Inspector.targetCrashed", "{}")
	if err := await(t, "the end of the call", waiting); !errors.Is(err, ErrCrashed) {
		t.Errorf("a call that waits when the worker stops: %v", err)
	}
	if worker.Renderer().Err() == nil {
		t.Error("a worker that has stopped counts as running")
	}
	f.event(sid("W"), "Inspector.targetReloadedAfterCrash", "{}")
	f.expectAll(sid("W"), "A.again", "Runtime.runIfWaitingForDebugger")
	if worker.Renderer().Err() != nil {
		t.Error("a worker that runs again counts as stopped")
	}
	f.attach("", sid("S"), `{"targetId":"P","type":"page"}`)
	f.expectAll(sid("S"), pageSetUp...)
	f.event(sid("S"), "Inspector.targetReloadedAfterCrash", "{}")
	f.expectAll(sid("S"), "A.again")
}
