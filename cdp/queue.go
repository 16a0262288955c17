package cdp

import (
	"cmp"
	"sync"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Event is one protocol event as the browser sent it.
type Event struct {
	// Method is the name of the event, such as "Page.loadEventFired".
	Method string
	// Params is the JSON object of its parameters.
	Params jsonv2.Value
}

// Overflow says what happens to a subscription whose queue is full.
type Overflow int

const (
	// End ends the subscription with ErrOverflow: the reader learns that its
	// picture has a gap. It is the default.
	End Overflow = iota
	// DropOldest forgets the oldest events to make room for new ones: for
	// logs, where the newest count.
	DropOldest
)

// QueueOptions bound the queue of one subscriber. The zero value is right for
// most.
type QueueOptions struct {
	// Limit is the largest number of events that wait; 0 means 65,536.
	Limit int
	// Bytes is the largest sum of their sizes; 0 means 64 MiB. An event that is
	// larger than that waits if it is the only one.
	Bytes int
	// Overflow says what happens when a limit is reached.
	Overflow Overflow
}

func (o QueueOptions) withDefaults() QueueOptions {
	if o.Limit <= 0 {
		o.Limit = 65_536
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	return o
}

// subscriber is who gets events from the connection's reader: a queue or a feed.
type subscriber interface {
	// put takes an event and never waits. It reports whether it takes more.
	put(Event) bool
	// end says that nothing more comes; nil is an orderly end.
	end(error)
}

// queue is the bounded queue of one subscriber. The connection's reader puts,
// one goroutine takes. Events that waited when it ended are still taken.
type queue struct {
	opts  QueueOptions
	ready chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	events []Event
	bytes  int
	ended  bool
	err    error // why it ended, nil for an orderly end
}

func newQueue(o QueueOptions) *queue {
	return &queue{opts: o.withDefaults(), ready: make(chan struct{}, 1)}
}

// put adds an event and never waits. It reports whether the queue still takes
// events.
func (q *queue) put(e Event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return false
	}
	q.events = append(q.events, e)
	q.bytes += len(e.Params)
	for len(q.events) > q.opts.Limit || q.bytes > q.opts.Bytes && len(q.events) > 1 {
		if q.opts.Overflow == End {
			last := len(q.events) - 1
			q.events[last] = Event{}
			q.events = q.events[:last]
			q.ended, q.err = true, ErrOverflow
			break
		}
		q.bytes -= len(q.events[0].Params)
		q.events[0] = Event{}
		q.events = q.events[1:]
	}
	q.wake()
	return !q.ended
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events) == 0
}

func (q *queue) overflowed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err == ErrOverflow
}

// end makes take fail with err once the queue is empty; nil is an orderly end.
func (q *queue) end(err error) {
	q.mu.Lock()
	if !q.ended {
		q.ended, q.err = true, err
	}
	q.wake()
	q.mu.Unlock()
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns the first event that waits. When none does and the queue has
// ended, err says why, which is ErrClosed for an orderly end.
func (q *queue) take() (e Event, some bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) > 0 {
		e, q.events[0] = q.events[0], Event{}
		q.events = q.events[1:]
		q.bytes -= len(e.Params)
		some = true
	} else if q.ended {
		err = cmp.Or(q.err, ErrClosed)
	}
	if len(q.events) > 0 || q.ended {
		q.wake() // for another reader
	}
	return e, some, err
}

// takeAll returns what waits. When nothing does and the queue has ended, ok is
// false. spare is what an earlier takeAll returned and nobody needs any more.
func (q *queue) takeAll(spare []Event) (events []Event, ok bool, err error) {
	if clear(spare); cap(spare) > 1024 {
		spare = nil // left of a flood
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) == 0 && q.ended {
		return nil, false, q.err
	}
	events, q.events, q.bytes = q.events, spare[:0], 0
	if q.ended {
		q.wake() // once more, for the end
	}
	return events, true, nil
}
