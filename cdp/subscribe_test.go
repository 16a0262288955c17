package cdp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// full reports whether the tests run at full size.
var full = os.Getenv("BRIDGE_FULL") == "1"

func flood() int {
	if full {
		return 1_000_000
	}
	return 150_000
}

// tick sends a numbered event.
func (f *fakeBrowser) tick(session, method string, n int) {
	f.event(session, method, fmt.Sprintf(`{"n":%d}`, n))
}

func number(t testing.TB, params []byte) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(string(params), `{"n":`), "}"))
	if err != nil {
		t.Fatalf("%s has no number", params)
	}
	return n
}

func TestNothingIsMissedAfterASubscription(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	// The event is sent in answer to a call that is made after subscribing.
	f.answer(map[string]func(fakeCommand){"A.fire": func(cmd fakeCommand) {
		f.tick("", "A.event", 1)
		f.reply(cmd, "{}")
	}})
	for range 200 {
		ctx, cancel := context.WithCancel(testContext(t))
		channel, stop := c.Root().Subscribe("A.event")
		events := c.Root().Events(ctx, QueueOptions{}, "A.event")
		if err := c.Root().Call(ctx, "A.fire", nil, nil); err != nil {
			t.Fatal(err)
		}
		await(t, "the event on the channel", channel)
		for e, err := range events {
			if err != nil || e.Method != "A.event" {
				t.Fatalf("got %+v, %v", e, err)
			}
			break
		}
		stop()
		cancel()
	}
}

func TestEventsOfSeveralMethodsKeepTheirOrder(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	events := c.Root().Events(testContext(t), QueueOptions{}, "A.a", "A.b", "A.c")
	const n = 3000
	go func() {
		for i := range n {
			f.tick("", "A."+string(rune('a'+i*i%3)), i)
			f.tick("", "A.other", i)
			f.tick(sid("OTHER"), "A.a", i)
		}
	}()
	next := 0
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if number(t, e.Params) != next {
			t.Fatalf("got %s, want %d", e.Params, next)
		}
		if next++; next == n {
			break
		}
	}
}

func TestASubscriberThatNeverReadsEndsWithOverflowAndDelaysNobody(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	ctx := testContext(t)
	lazy := c.Root().Events(ctx, QueueOptions{Limit: 100}, "A.a")
	lazyBytes := c.Root().Events(ctx, QueueOptions{Bytes: 1000}, "A.a")
	newest := c.Root().Events(ctx, QueueOptions{Limit: 100, Overflow: DropOldest}, "A.a")
	forgotten, stopForgotten := c.Root().Subscribe("A.a")
	defer stopForgotten()
	busy := c.Root().Events(ctx, QueueOptions{Limit: flood() + 1}, "A.a")
	n := flood()
	go func() {
		var heap strings.Builder
		for i := range n {
			fmt.Fprintf(&heap, "{\"method\":\"A.a\",\"params\":{\"n\":%d}}\x00", i)
			if heap.Len() > 32<<10 || i == n-1 {
				f.raw(heap.String())
				heap.Reset()
			}
		}
		// A call is answered after the flood as before.
		f.reply(f.expect("A.call"), "{}")
	}()
	seen := 0
	for e, err := range busy {
		if err != nil || number(t, e.Params) != seen {
			t.Fatalf("event %d: %s, %v", seen, e.Params, err)
		}
		if seen++; seen == n {
			break
		}
	}
	if err := c.Root().Call(ctx, "A.call", nil, nil); err != nil {
		t.Error(err)
	}

	for name, events := range map[string]func(func(Event, error) bool){"by number": lazy, "by size": lazyBytes} {
		last, ended := -1, error(nil)
		for e, err := range events {
			if err != nil {
				ended = err
				continue
			}
			if last++; number(t, e.Params) != last {
				t.Fatalf("%s: got %s, want %d", name, e.Params, last)
			}
		}
		if !errors.Is(ended, ErrOverflow) || last < 50 {
			t.Errorf("%s: ended after %d events with %v", name, last+1, ended)
		}
	}
	first := n - 100
	for e, err := range newest {
		if err != nil || number(t, e.Params) != first {
			t.Fatalf("the newest: got %s, %v, want %d", e.Params, err, first)
		}
		if first++; first == n {
			break
		}
	}
	if n > 2*65_536+100 { // the forgotten channel overflowed: it gives what it has, twice a queue at most, and is closed
		count := 0
		for range forgotten {
			count++
		}
		if count < 65_536 || count == n {
			t.Errorf("the channel gave %d events and was closed", count)
		}
	}
	c.Root().mu.Lock()
	defer c.Root().mu.Unlock()
	if left := len(c.Root().topics["A.a"].subscribers); left != 0 {
		t.Errorf("%d subscriptions are left", left)
	}
}

func TestAnEventLargerThanTheQueueStillArrives(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	for _, overflow := range []Overflow{End, DropOldest} {
		events := c.Root().Events(testContext(t), QueueOptions{Bytes: 100, Overflow: overflow}, "A.a")
		f.event("", "A.a", `{"text":"`+strings.Repeat("x", 1000)+`"}`)
		f.sync(c)
		for e, err := range events {
			if err != nil || len(e.Params) < 1000 {
				t.Errorf("got %s, %v", e.Params, err)
			}
			break
		}
	}
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	why := errors.New("enough")
	for i := range 300 { // the end races with the wait
		ctx, cancel := context.WithCancelCause(testContext(t))
		events := c.Root().Events(ctx, QueueOptions{}, "A.a")
		f.tick("", "A.a", i)
		var got []error
		for e, err := range events {
			if err == nil && number(t, e.Params) == i {
				go cancel(why)
			}
			got = append(got, err)
		}
		cancel(nil)
		if len(got) != 2 || got[0] != nil || got[1] != why {
			t.Fatalf("got %v, want the event and then the cause", got)
		}
	}
	c.Root().mu.Lock()
	defer c.Root().mu.Unlock()
	if len(c.Root().topics) != 0 {
		t.Error("subscriptions are left")
	}
}

func TestASubscriptionThatNobodyReadsEndsWithItsContext(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	ctx, cancel := context.WithCancel(testContext(t))
	events := c.Root().Events(ctx, QueueOptions{}, "A.a", "A.b")
	cancel()
	for e, err := range events {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v, %v", e, err)
		}
	}
	f.sync(c)
	c.Root().mu.Lock()
	defer c.Root().mu.Unlock()
	if len(c.Root().topics) != 0 {
		t.Errorf("left: %v", c.Root().topics)
	}
}

func TestBreakingOutEndsASubscription(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	events := c.Root().Events(testContext(t), QueueOptions{}, "A.a", "A.b")
	f.tick("", "A.a", 0)
	for range events {
		break
	}
	c.Root().mu.Lock()
	if len(c.Root().topics) != 0 {
		t.Error("it is left")
	}
	c.Root().mu.Unlock()
	for e, err := range events {
		t.Errorf("the second time: %+v, %v", e, err)
	}
}

func TestSubscriptionsEndWithTheirSession(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{Adopt: keepAll})
	f.answer(nil)
	f.attach("", sid("S"), `{"targetId":"W","type":"shared_worker"}`)
	s := tree.Conn().Session(sid("S"))
	events := s.Events(testContext(t), QueueOptions{}, "A.a")
	channel, stop := s.Subscribe("A.a")
	defer stop()
	f.tick(sid("S"), "A.a", 1)
	f.detach("", sid("S"))
	count := 0
	for e, err := range events {
		if count++; err != nil || number(t, e.Params) != 1 {
			t.Errorf("got %+v, %v", e, err)
		}
	}
	if count != 1 {
		t.Errorf("%d events came before the end, want 1", count)
	}
	count = 0
	for range channel {
		count++
	}
	if count != 1 {
		t.Errorf("%d events came on the channel, want 1", count)
	}
	for e, err := range s.Events(testContext(t), QueueOptions{}, "A.a") {
		t.Errorf("on an ended session: %+v, %v", e, err)
	}
	late, stopLate := s.Subscribe("A.a")
	defer stopLate()
	if _, ok := <-late; ok {
		t.Error("an event came on an ended session")
	}
}

func TestSubscriptionsEndWithTheConnection(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	var wg sync.WaitGroup
	for _, s := range []*Session{c.Root(), c.Session(sid("S"))} {
		events := s.Events(testContext(t), QueueOptions{}, "A.a")
		channel, stop := s.Subscribe("A.a")
		defer stop()
		wg.Go(func() {
			for e, err := range events {
				t.Errorf("got %+v, %v", e, err)
			}
			for range channel {
				t.Error("got an event")
			}
		})
	}
	f.hangUp()
	wg.Wait()
	if !errors.Is(c.Root().Err(), ErrClosed) {
		t.Errorf("the session says %v", c.Root().Err())
	}
}

func TestASubscriberMaySubscribeAndUnsubscribeInItsLoop(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	s := c.Root()
	channel, stop := s.Subscribe("A.a")
	stops := []func(){stop}
	n := 0
	events := s.Events(testContext(t), QueueOptions{}, "A.a")
	f.tick("", "A.a", 0)
	for e, err := range events {
		if err != nil || number(t, e.Params) != n {
			t.Fatalf("got %+v, %v", e, err)
		}
		for _, stop := range stops {
			stop()
			stop() // twice, harmlessly
		}
		_, stop := s.Subscribe("A.a")
		stops = []func(){stop}
		if n++; n == 100 {
			break
		}
		f.tick("", "A.a", n)
	}
	for range channel { // is closed
	}
	for _, stop := range stops {
		stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.topics) != 0 {
		t.Error("subscriptions are left")
	}
}

func TestSubscriptionsComeAndGoWhileEventsFlow(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	stopTicks := make(chan struct{})
	var ticks, wg sync.WaitGroup
	ticks.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopTicks:
				return
			default:
				f.tick("", "A.a", i)
			}
		}
	})
	for range 8 {
		wg.Go(func() {
			for range 200 {
				last := -1
				for e, err := range c.Root().Events(testContext(t), QueueOptions{}, "A.a") {
					n := number(t, e.Params)
					if err != nil || last >= 0 && n != last+1 {
						t.Errorf("got %s, %v after %d", e.Params, err, last)
					}
					if last >= 0 {
						break
					}
					last = n
				}
			}
		})
	}
	wg.Wait()
	close(stopTicks)
	ticks.Wait()
}

func TestAReaderLearnsOfAnEndThatComesWithTheLastEvent(t *testing.T) {
	q := newQueue(QueueOptions{})
	q.put(Event{Method: "A.a"})
	q.end(ErrDetached) // finds the token of put, and adds none
	<-q.ready
	if events, ok, _ := q.takeAll(nil); !ok || len(events) != 1 {
		t.Fatalf("got %v", events)
	}
	await(t, "the news of the end", q.ready)
	if _, ok, err := q.takeAll(nil); ok || err != ErrDetached {
		t.Errorf("got %v, %v", ok, err)
	}
}
