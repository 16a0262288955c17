package bridge

import (
	"context"
	"sync"
)

// deviceTurns let goroutines do something in the order in which they came.
type deviceTurns struct {
	mu   sync.Mutex
	last <-chan struct{}
}

// deviceTurn is that of one goroutine. The zero one need not wait.
type deviceTurn struct {
	before <-chan struct{} // closed when it begins
	done   func()          // lets the next one begin
}

func (t *deviceTurns) next() deviceTurn {
	t.mu.Lock()
	defer t.mu.Unlock()
	here := make(chan struct{})
	turn := deviceTurn{t.last, sync.OnceFunc(func() { close(here) })}
	t.last = here
	return turn
}

// wait waits until it is the goroutine's turn, or ctx has ended.
func (t deviceTurn) wait(ctx context.Context) {
	if t.before == nil {
		return
	}
	select {
	case <-t.before:
	case <-ctx.Done():
	}
}

// end lets the next one begin, but not before those that are before this one.
func (t deviceTurn) end(ctx context.Context) {
	if t.done != nil {
		t.wait(ctx)
		t.done()
	}
}

// move ends a turn when the goroutine has a place among others, and waits for its turn
// there.
func (t deviceTurn) move(ctx context.Context, others *deviceTurns) deviceTurn {
	moved := others.next()
	t.end(ctx)
	moved.wait(ctx)
	return moved
}
