package cdp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

func TestEveryCallGetsItsOwnAnswer(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	const calls = 4000
	// The browser answers in any order, in heaps.
	go func() {
		var heap []fakeCommand
		for range calls {
			cmd, err := f.next()
			if err != nil {
				return
			}
			heap = append(heap, cmd)
			if len(heap) == 500 {
				rand.Shuffle(len(heap), func(i, j int) { heap[i], heap[j] = heap[j], heap[i] })
				for _, cmd := range heap {
					f.reply(cmd, `{"echo":`+string(cmd.Params)+`}`)
				}
				heap = nil
			}
		}
	}()
	ctx := testContext(t)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			var r struct{ Echo struct{ N int } }
			err := c.Root().Call(ctx, "A.echo", map[string]int{"N": i}, &jsonNames{&r})
			if err != nil || r.Echo.N != i {
				t.Errorf("call %d was answered with %d, %v", i, r.Echo.N, err)
			}
		})
	}
	wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) != 0 {
		t.Errorf("%d calls are still noted", len(c.calls))
	}
}

// jsonNames decodes with encoding/json's easier rules for names.
type jsonNames struct{ into any }

func (j *jsonNames) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, j.into) }

func TestACallEndsWithItsContextAndItsLateAnswerIsIgnored(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{Malformed: func(head []byte) { t.Errorf("dropped %s", head) }})
	why := errors.New("the user went home")
	ctx, cancel := context.WithCancelCause(testContext(t))
	ended := make(chan error)
	go func() { _, err := c.Root().CallRaw(ctx, "A.slow", nil); ended <- err }()
	late := f.expect("A.slow")
	cancel(why)
	if err := await(t, "the call", ended); !errors.Is(err, why) || !strings.Contains(err.Error(), "A.slow") {
		t.Errorf("got %v", err)
	}
	c.mu.Lock()
	if len(c.calls) != 0 {
		t.Error("the call is still noted")
	}
	c.mu.Unlock()
	f.reply(late, `{}`)
	f.sync(c)
	if err := c.Root().Call(ctx, "A.more", nil, nil); !errors.Is(err, why) {
		t.Errorf("a call with an ended context: %v", err)
	}
	go func() { f.reply(f.expect("A.next"), `{}`) }() // nothing of A.more was written
	if err := c.Root().Call(testContext(t), "A.next", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestARefusalTellsWhatTheBrowserSaid(t *testing.T) {
	for _, c := range []struct {
		wire string
		want Error
		text string
	}{
		{`{"code":-32601,"message":"'A.b' wasn't found"}`, Error{"A.b", -32601, "'A.b' wasn't found", ""}, "A.b: 'A.b' wasn't found (-32601)"},
		{`{"code":-32602,"message":"Invalid parameters","data":"targetId: string value expected"}`, Error{"A.b", -32602, "Invalid parameters", "targetId: string value expected"}, "A.b: Invalid parameters (-32602): targetId: string value expected"},
		{`{"code":-32000,"message":"no","data":{"why":[1]}}`, Error{"A.b", -32000, "no", `{"why":[1]}`}, `A.b: no (-32000): {"why":[1]}`},
		{`{"code":"x"}`, Error{"A.b", -32700, `an error that could not be decoded: {"code":"x"}`, ""}, `A.b: an error that could not be decoded: {"code":"x"} (-32700)`},
	} {
		f, conn := fakeConn(t, ConnOptions{})
		go func() { f.refuse(f.expect("A.b"), c.wire) }()
		err := conn.Root().Call(testContext(t), "A.b", nil, nil)
		var got *Error
		if !errors.As(err, &got) || *got != c.want || err.Error() != c.text {
			t.Errorf("%s gave %v", c.wire, err)
		}
	}
}

func TestAnAnswerThatDoesNotFitIsAnError(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	go func() { f.reply(f.expect("A.b"), `{"n":"text"}`) }()
	var r struct {
		N int `json:"n"`
	}
	if err := c.Root().Call(testContext(t), "A.b", nil, &r); err == nil || !strings.Contains(err.Error(), "A.b") {
		t.Errorf("got %v", err)
	}
}

func TestACallOnASessionThatTheBrowserForgotIsDetached(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	go func() {
		f.refuse(f.expect("Page.enable"), `{"code":-32001,"message":"Session with given id not found."}`)
	}()
	if err := c.Session(sid("S")).Call(testContext(t), "Page.enable", nil, nil); !errors.Is(err, ErrDetached) {
		t.Errorf("got %v", err)
	}
}

// failing starts n calls on a session, waits until the browser has them and
// returns what they end with.
func failing(t *testing.T, f *fakeBrowser, s *Session, n int) <-chan error {
	ended := make(chan error, n)
	for range n {
		go func() { ended <- s.Call(testContext(t), "A.never", nil, nil) }()
	}
	for range n {
		f.expect("A.never")
	}
	return ended
}

func TestACallEndsWithItsConnection(t *testing.T) {
	cause := errors.New("exit status 139")
	var asked error
	f, c := fakeConn(t, ConnOptions{Cause: func(err error) error { asked = err; return cause }})
	s := c.Session(sid("S"))
	onRoot, onSession := failing(t, f, c.Root(), 50), failing(t, f, s, 50)
	f.hangUp()
	for _, ended := range []<-chan error{onRoot, onSession} {
		for range 50 {
			if err := await(t, "a call", ended); !errors.Is(err, ErrClosed) || !errors.Is(err, cause) {
				t.Fatalf("got %v", err)
			}
		}
	}
	await(t, "the end", c.Done())
	if asked != io.EOF {
		t.Errorf("the cause was asked for with %v", asked)
	}
	for name, err := range map[string]error{
		"Conn.Err": c.Err(), "Session.Err": s.Err(), "Root.Err": c.Root().Err(), "a new session": c.Session(sid("NEW")).Err(),
		"a later call": s.Call(testContext(t), "A.b", nil, nil),
	} {
		if !errors.Is(err, ErrClosed) || !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
	later := make(chan error, 1)
	c.Send(Command{Session: c.Root(), Method: "A.b", Done: func(_ jsonv2.Value, err error) { later <- err }})
	if err := await(t, "a later command", later); !errors.Is(err, cause) {
		t.Errorf("a later command: %v", err)
	}
}

func TestAConnectionThatEndsInAFrameSaysSo(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	f.raw(`{"id":1,"resu`)
	f.hangUp()
	await(t, "the end", c.Done())
	if err := c.Err(); !errors.Is(err, ErrClosed) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	ended := failing(t, f, c.Root(), 10)
	c.Close()
	for range 10 {
		if err := await(t, "a call", ended); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	c.Close() // again, harmlessly
}

func TestACallEndsWithItsSession(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{Adopt: keepAll})
	f.attach("", sid("S"), `{"targetId":"W","type":"shared_worker"}`)
	f.expect("Runtime.runIfWaitingForDebugger")
	s := tree.Conn().Session(sid("S"))
	ended, others := failing(t, f, s, 50), failing(t, f, tree.Conn().Root(), 1)
	f.detach("", sid("S"))
	for range 50 {
		if err := await(t, "a call", ended); !errors.Is(err, ErrDetached) {
			t.Fatalf("got %v", err)
		}
	}
	await(t, "the end of the session", s.Done())
	if err := s.Call(testContext(t), "A.b", nil, nil); !errors.Is(err, ErrDetached) || !errors.Is(s.Err(), ErrDetached) {
		t.Errorf("afterwards: %v, %v", err, s.Err())
	}
	f.sync(tree.Conn())
	select {
	case err := <-others:
		t.Errorf("a call on another session ended: %v", err)
	default:
	}
}

func TestACallNeverOutlivesASessionThatEndsAtTheSameTime(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{Adopt: keepAll})
	f.answer(map[string]func(fakeCommand){"A.never": func(fakeCommand) {}})
	for i := range 300 {
		id := sid(fmt.Sprintf("S%d", i))
		f.attach("", id, `{"targetId":"W","type":"shared_worker"}`)
		s := tree.Conn().Session(id)
		ended := make(chan error)
		go func() { ended <- s.Call(testContext(t), "A.never", nil, nil) }()
		f.detach("", id)
		if err := await(t, "the call", ended); !errors.Is(err, ErrDetached) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestACallEndsWhenTheRendererCrashes(t *testing.T) {
	crashed := make(chan int, 1)
	f, tree := fakeTree(t, TreeOptions{Adopt: keepAll, Crashed: func(tg *Target, status string, code int) {
		if tg.ID() == "P" && status == "crashed" {
			crashed <- code
		}
	}})
	f.attach("", sid("S"), `{"targetId":"P","type":"page"}`)
	f.expectAll(sid("S"), "Page.enable", "Page.getFrameTree", "Target.setAutoAttach", "Runtime.runIfWaitingForDebugger")
	s := tree.Conn().Session(sid("S"))
	ended := failing(t, f, s, 20)
	f.event("", "Target.targetCrashed", `{"targetId":"P","status":"crashed","errorCode":11}`)
	for range 20 {
		if err := await(t, "a call", ended); !errors.Is(err, ErrCrashed) {
			t.Fatalf("got %v", err)
		}
	}
	if code := await(t, "the news", crashed); code != 11 {
		t.Errorf("the code is %d", code)
	}
	await(t, "the set-up, which counts as answered", tree.Target("P").Ready())
	go func() { f.reply(f.expect("Page.reload"), `{}`) }()
	if err := s.Call(testContext(t), "Page.reload", nil, nil); err != nil {
		t.Errorf("the page cannot be used again: %v", err)
	}
}

func TestACommandOverTheLimitIsRefusedBeforeItIsWritten(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	params := jsonv2.Value(`{"text":"` + strings.Repeat("x", MaxCommandSize) + `"}`)
	err := c.Root().Call(testContext(t), "A.huge", params, nil)
	var large *FrameTooLargeError
	if !errors.As(err, &large) || large.Method != "A.huge" || large.Limit != MaxCommandSize || large.Size <= MaxCommandSize {
		t.Fatalf("got %v", err)
	}
	go func() { f.reply(f.expect("A.next"), `{}`) }() // the first that the browser gets
	if err := c.Root().Call(testContext(t), "A.next", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestAnAnswerOverTheLimitFailsItsCallOnly(t *testing.T) {
	dropped := make(chan string, 1)
	f, transport := newFake(t)
	transport.(*pipe).limit = 200 << 10
	c := NewConn(transport, ConnOptions{Malformed: func(head []byte) { dropped <- string(head) }})
	defer c.Close()
	huge := `{"text":"` + strings.Repeat("x", 1<<20) + `"}`
	go func() {
		f.reply(f.expect("A.huge"), huge)
		f.reply(f.expect("A.next"), `{}`)
		f.event("", "A.hugeEvent", huge)
	}()
	err := c.Root().Call(testContext(t), "A.huge", nil, nil)
	var large *FrameTooLargeError
	if !errors.As(err, &large) || large.Limit != 200<<10 || !strings.Contains(err.Error(), "A.huge") {
		t.Errorf("got %v", err)
	}
	if err := c.Root().Call(testContext(t), "A.next", nil, nil); err != nil {
		t.Error(err)
	}
	if head := await(t, "the report of the lost event", dropped); !strings.Contains(head, "A.hugeEvent") {
		t.Errorf("reported %q", head)
	}
}

func TestABrowserThatDoesNotReadHoldsNobody(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	big := jsonv2.Value(`{"text":"` + strings.Repeat("x", 1<<20) + `"}`)

	// Send goes on for ever, whatever is in the way.
	const sent = maxWaiting >> 20
	var answered atomic.Int64
	for range sent {
		c.Send(Command{Session: c.Root(), Method: "A.sent", Params: big, Done: func(_ jsonv2.Value, err error) {
			if err == nil {
				answered.Add(1)
			}
		}})
	}

	// A call ends with its context, each with its own, on its way in.
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(testContext(t))
	ended := make(chan error, 20)
	for range 20 {
		go func() { ended <- c.Root().Call(ctx, "A.waiting", nil, nil) }()
	}
	patient := make(chan error, 1)
	go func() { patient <- c.Root().Call(testContext(t), "A.patient", nil, nil) }()
	cancel(why)
	for range 20 {
		if err := await(t, "a call", ended); !errors.Is(err, why) {
			t.Fatalf("got %v", err)
		}
	}
	c.mu.Lock()
	if noted := len(c.calls); noted > sent+1 {
		t.Errorf("%d calls are noted, want %d at most", noted, sent+1)
	}
	c.mu.Unlock()

	// What waited is done when the browser reads again.
	f.answer(nil)
	if err := await(t, "the call that waited", patient); err != nil {
		t.Error(err)
	}
	if n := answered.Load(); n != sent {
		t.Errorf("%d of %d commands were answered", n, sent)
	}
}

func TestACallThatWaitsForRoomEndsWithItsConnection(t *testing.T) {
	cause := errors.New("signal: killed")
	f, c := fakeConn(t, ConnOptions{Cause: func(error) error { return cause }})
	c.Send(Command{Session: c.Root(), Method: "A.big", Params: map[string]string{"text": strings.Repeat("x", maxWaiting)}})
	ended := make(chan error, 10)
	for range 10 {
		go func() { ended <- c.Root().Call(testContext(t), "A.waiting", nil, nil) }()
	}
	f.close()
	for range 10 {
		if err := await(t, "a call", ended); !errors.Is(err, ErrClosed) || !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}
}

func TestFramesThatAreNoneAreDroppedAndReported(t *testing.T) {
	dropped := make(chan string, 10)
	f, c := fakeConn(t, ConnOptions{Malformed: func(head []byte) { dropped <- string(head) }})
	long := `{"broken` + strings.Repeat("x", 1000)
	f.raw("garbage\x00\x00 \x00{\"result\":{}}\x00" + long + "\x00\xff\xfe\x00")
	f.sync(c)
	for _, want := range []string{"garbage", `{"result":{}}`, long[:200], "\xff\xfe"} {
		if got := await(t, "a report", dropped); got != want {
			t.Errorf("reported %q, want %q", got, want)
		}
	}
	if len(dropped) != 0 {
		t.Errorf("also reported %q", <-dropped)
	}
}

func TestWhatIsNotTheNameOfACommandIsRefused(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	for _, method := range []string{"", "Page enable", "Page.enable\x00", `A.b","sessionId":"X`, "A.b\\", "Ä.b", "A.b\n"} {
		var refused *Error
		if err := c.Root().Call(testContext(t), method, nil, nil); !errors.As(err, &refused) || refused.Code != -32600 {
			t.Errorf("%q: %v", method, err)
		}
	}
	go func() { f.reply(f.expect("Page.enable"), `{}`) }()
	if err := c.Root().Call(testContext(t), "Page.enable", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestParametersThatCannotBeEncodedAreRefused(t *testing.T) {
	_, c := fakeConn(t, ConnOptions{})
	if err := c.Root().Call(testContext(t), "A.b", func() {}, nil); err == nil || !strings.Contains(err.Error(), "A.b") {
		t.Errorf("got %v", err)
	}
}

func TestAnswersAndEventsOfNobodyAreIgnored(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{Malformed: func(head []byte) { t.Errorf("dropped %s", head) }})
	f.raw(`{"id":999,"result":{}}` + "\x00")
	f.event(sid("NEVER"), "Page.loadEventFired", `{}`)
	f.event("", "Page.unheardOf", `{}`)
	f.sync(c)
	if len(c.sessions) != 0 {
		t.Error("a session was made of a foreign event")
	}
}
