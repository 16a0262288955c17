package bridge

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// listenerLimit is how many events wait for one listener. The oldest are
// dropped when there are more.
const listenerLimit = 10_000

// listeners hands events to any number of listeners, each with a bounded queue
// of its own. tell never waits.
type listeners[T any] struct {
	mu    sync.Mutex
	all   []*listener[T]
	ended bool
}

type listener[T any] struct {
	ready   chan struct{}
	waiting []T
	ended   bool
}

func (l *listeners[T]) tell(event T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.all {
		if len(one.waiting) == listenerLimit {
			one.waiting = one.waiting[1:]
		}
		one.waiting = append(one.waiting, event)
		one.wake()
	}
}

// end lets every listener take what waits for it and then end.
func (l *listeners[T]) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, one := range l.all {
		one.ended = true
		one.wake()
	}
}

func (one *listener[T]) wake() {
	select {
	case one.ready <- struct{}{}:
	default:
	}
}

// listen begins to queue events and returns an iterator over them, which ends
// with ctx, or when there will be no more. removed, if set, is called when the
// listener is gone.
func (l *listeners[T]) listen(ctx context.Context, removed func()) iter.Seq[T] {
	one := &listener[T]{ready: make(chan struct{}, 1)}
	l.mu.Lock()
	one.ended = l.ended
	l.all = append(l.all, one)
	l.mu.Unlock()
	remove := sync.OnceFunc(func() {
		l.mu.Lock()
		l.all = slices.DeleteFunc(l.all, func(o *listener[T]) bool { return o == one })
		l.mu.Unlock()
		if removed != nil {
			removed()
		}
	})
	stop := context.AfterFunc(ctx, remove)
	return func(yield func(T) bool) {
		defer stop()
		defer remove()
		for {
			l.mu.Lock()
			events, ended := one.waiting, one.ended
			one.waiting = nil
			l.mu.Unlock()
			for _, e := range events {
				if !yield(e) {
					return
				}
			}
			if ended {
				return
			}
			select {
			case <-one.ready:
			case <-ctx.Done():
				return
			}
		}
	}
}
