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
	subs   map[string][]*queue
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
	q := s.subscribe(QueueOptions{}, method)
	out, stop := make(chan jsonv2.Value), make(chan struct{})
	go func() {
		defer close(out)
		for {
			events, ok, _ := q.takeAll()
			if !ok {
				return
			}
			for _, e := range events {
				select {
				case out <- e.Params:
				case <-stop:
					return
				}
			}
			select {
			case <-q.ready:
			case <-stop:
				return
			}
		}
	}()
	var once sync.Once
	return out, func() {
		once.Do(func() {
			s.unsubscribe(q, nil, method)
			close(stop)
		})
	}
}

// Events starts to queue the events of the methods and returns an iterator over
// them in the order of their arrival. Nothing that comes after Events has
// returned is missed. The iterator ends when the session ends; it yields an
// error last when the context ends or when its queue overflowed (ErrOverflow).
// What waited at its end still comes before.
// Range over it once, or end the context: a subscription that nobody reads
// holds its queue.
func (s *Session) Events(ctx context.Context, o QueueOptions, methods ...string) iter.Seq2[Event, error] {
	q := s.subscribe(o, methods...)
	stop := context.AfterFunc(ctx, func() { s.unsubscribe(q, context.Cause(ctx), methods...) })
	return func(yield func(Event, error) bool) {
		defer stop()
		defer s.unsubscribe(q, nil, methods...)
		for {
			events, ok, err := q.takeAll()
			if !ok {
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

func (s *Session) subscribe(o QueueOptions, methods ...string) *queue {
	q := newQueue(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		q.end(nil)
		return q
	}
	for _, m := range methods {
		s.subs[m] = append(s.subs[m], q)
	}
	return q
}

// unsubscribe ends a queue, with an error for who still reads it.
func (s *Session) unsubscribe(q *queue, err error, methods ...string) {
	s.mu.Lock()
	for _, m := range methods {
		s.removeQueue(m, q)
	}
	s.mu.Unlock()
	q.end(err)
}

// removeQueue takes a queue out of a copy: dispatch may be ranging over the old
// slice.
func (s *Session) removeQueue(method string, q *queue) {
	var rest []*queue
	for _, other := range s.subs[method] {
		if other != q {
			rest = append(rest, other)
		}
	}
	if rest == nil {
		delete(s.subs, method)
		return
	}
	s.subs[method] = rest
}

// dispatch hands an event to its subscribers. It is called by the reader, and
// copies the parameters only when there is one.
func (s *Session) dispatch(e *envelope) {
	s.mu.Lock()
	queues, sink := s.subs[string(e.method)], s.sink
	s.mu.Unlock()
	if sink != nil {
		sink(string(e.method), e.body)
		return
	}
	if len(queues) == 0 {
		return
	}
	event := Event{Method: string(e.method), Params: e.keep()}
	for _, q := range queues {
		if !q.put(event) {
			s.mu.Lock()
			s.removeQueue(event.Method, q)
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
	subs := s.subs
	s.subs = nil
	s.mu.Unlock()
	close(s.done)
	for _, queues := range subs {
		for _, q := range queues {
			q.end(nil)
		}
	}
}

// virtual reports whether the session belongs to a RawConn.
func (s *Session) virtual() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink != nil
}
