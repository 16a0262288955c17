package cdp

import (
	"context"
	"fmt"
	"iter"
	"sync"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Session is one flat session of a connection: the browser's own, or one that
// is attached to a target. It is safe for use by several goroutines, and it
// satisfies the interface Session of github.com/chromedp/cdproto/cdp, so that
// the typed commands and events of that module work on it.
type Session struct {
	conn   *Conn
	id     string
	parent *Session // on whose behalf it was opened; guarded by Conn.mu

	mu     sync.Mutex
	topics map[string]topic                   // by method
	sink   func(method string, params []byte) // of a RawConn; gets every event instead
	closed error
	done   chan struct{}
}

// ID is the session id, empty for the browser's own session.
func (s *Session) ID() string { return s.id }

// Conn is the connection of the session.
func (s *Session) Conn() *Conn { return s.conn }

// Done is closed when the session has ended: its target is gone, it was
// detached, or its connection is closed. Err then says which.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is nil while the session lives, then an error that is ErrDetached or
// ErrClosed.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Call sends a command, waits for the answer and decodes it into result, which
// may be nil. params is a value to encode, JSON in a jsontext.Value, or nil.
// It returns an *Error when the browser refuses, a *FrameTooLargeError before
// anything is written, an error that is ErrDetached or ErrClosed when nobody is
// there to answer, and the context's error when that ends first.
func (s *Session) Call(ctx context.Context, method string, params, result any) error {
	body, err := s.CallRaw(ctx, method, params)
	if err != nil || result == nil {
		return err
	}
	if err := jsonv2.Unmarshal(body, result, wireOptions); err != nil {
		return fmt.Errorf("decoding the result of %s: %w", method, err)
	}
	return nil
}

// CallRaw is Call without decoding: it returns the JSON of the result.
func (s *Session) CallRaw(ctx context.Context, method string, params any) (jsonv2.Value, error) {
	reply := make(chan callReply, 1)
	id, err := s.conn.send(ctx, Command{Session: s, Method: method, Params: params, Done: func(result jsonv2.Value, err error) {
		reply <- callReply{result, err}
	}})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-reply:
		return r.result, r.err
	case <-ctx.Done():
		s.conn.forget(id)
		return nil, fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
}

type callReply struct {
	result jsonv2.Value
	err    error
}

// Subscribe starts to queue the events of a method and returns the channel that
// they arrive on and a function that ends the subscription. Nothing that comes
// after Subscribe has returned is missed. The channel is closed when the
// session ends, and also when the reader falls behind by more than the default
// QueueOptions: use Events to be told which.
func (s *Session) Subscribe(method string) (<-chan jsonv2.Value, func()) {
	f := newFeed()
	s.subscribe(f, method)
	return f.out, sync.OnceFunc(func() {
		s.unsubscribe(f, nil, method)
		close(f.gone)
	})
}

// Events starts to queue the events of the methods and returns an iterator over
// them in the order of their arrival. Nothing that comes after Events has
// returned is missed. The iterator ends when the session ends; it yields an
// error last when the context ends or when its queue overflowed (ErrOverflow).
// What waited at its end still comes before.
// Range over it once, or end the context: a subscription that nobody reads
// holds its queue.
func (s *Session) Events(ctx context.Context, o QueueOptions, methods ...string) iter.Seq2[Event, error] {
	q := newQueue(o)
	s.subscribe(q, methods...)
	stop := context.AfterFunc(ctx, func() { s.unsubscribe(q, context.Cause(ctx), methods...) })
	return func(yield func(Event, error) bool) {
		defer stop()
		defer s.unsubscribe(q, nil, methods...)
		var events []Event
		for {
			var ok bool
			var err error
			if events, ok, err = q.takeAll(events); !ok {
				if err != nil {
					yield(Event{}, err)
				}
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			<-q.ready
		}
	}
}

// topic is who gets the events of one method.
type topic struct {
	method      string
	subscribers []subscriber
}

func (s *Session) subscribe(to subscriber, methods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		to.end(nil)
		return
	}
	for _, m := range methods {
		s.topics[m] = topic{m, append(s.topics[m].subscribers, to)}
	}
}

// unsubscribe ends a subscription, with an error for who still reads it.
func (s *Session) unsubscribe(to subscriber, err error, methods ...string) {
	s.mu.Lock()
	for _, m := range methods {
		s.remove(m, to)
	}
	s.mu.Unlock()
	to.end(err)
}

// remove takes a subscriber out of a copy: dispatch may be ranging over the old
// slice.
func (s *Session) remove(method string, gone subscriber) {
	var rest []subscriber
	for _, other := range s.topics[method].subscribers {
		if other != gone {
			rest = append(rest, other)
		}
	}
	if rest == nil {
		delete(s.topics, method)
		return
	}
	s.topics[method] = topic{method, rest}
}

// dispatch hands an event to its subscribers. It is called by the reader, and
// copies the parameters only when there is one.
func (s *Session) dispatch(e *envelope) {
	s.mu.Lock()
	topic, sink := s.topics[string(e.method)], s.sink
	s.mu.Unlock()
	if sink != nil {
		sink(string(e.method), e.body)
		return
	}
	if len(topic.subscribers) == 0 {
		return
	}
	event := Event{Method: topic.method, Params: e.keep()}
	for _, to := range topic.subscribers {
		if !to.put(event) {
			s.mu.Lock()
			s.remove(event.Method, to)
			s.mu.Unlock()
		}
	}
}

// end closes the session and orderly ends its subscriptions.
func (s *Session) end(cause error) {
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		return
	}
	s.closed = cause
	topics := s.topics
	s.topics = nil
	s.mu.Unlock()
	close(s.done)
	for _, t := range topics {
		for _, to := range t.subscribers {
			to.end(nil)
		}
	}
}

// virtual reports whether the session belongs to a RawConn.
func (s *Session) virtual() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink != nil
}

// setSink makes a RawConn the only one who gets the session's events.
func (s *Session) setSink(sink func(method string, params []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = sink
}
