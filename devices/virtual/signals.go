package virtual

import (
	"context"
	"iter"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// Signals are the lines that a page sets. Opening a port raises DataTerminalReady and RequestToSend, as on
// Linux.
type Signals struct {
	DataTerminalReady bool `json:"dataTerminalReady"`
	RequestToSend     bool `json:"requestToSend"`
	Break             bool `json:"break"`
}

// with is s after a page has set some lines.
func (s Signals) with(o serial.OutputSignals) Signals {
	for _, line := range []struct{ now, to *bool }{
		{&s.DataTerminalReady, o.DataTerminalReady},
		{&s.RequestToSend, o.RequestToSend},
		{&s.Break, o.Break},
	} {
		if line.to != nil {
			*line.now = *line.to
		}
	}
	return s
}

// maxChanges is how many changes wait for one who watches signals.
const maxChanges = 1024

// signals are the lines that pages set, and who watches them.
type signals struct {
	mu       sync.Mutex
	change   *sync.Cond
	now      Signals
	watching map[*[]Signals]bool // the changes that wait
}

func newSignals() *signals {
	s := &signals{watching: map[*[]Signals]bool{}}
	s.change = sync.NewCond(&s.mu)
	return s
}

func (s *signals) get() Signals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *signals) set(now Signals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now == s.now {
		return
	}
	s.now = now
	for waiting := range s.watching {
		if len(*waiting) == maxChanges {
			*waiting = (*waiting)[1:]
		}
		*waiting = append(*waiting, now)
	}
	s.change.Broadcast()
}

// watch yields the lines now and then each change, until ctx or life ends. It listens from the call on,
// not only when it is ranged over.
func (s *signals) watch(ctx, life context.Context) iter.Seq[Signals] {
	ctx, end := both(ctx, life)
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := &[]Signals{s.now}
	s.watching[waiting] = true
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watching, waiting)
	})
	next := func() (now Signals, ok bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if await(ctx, s.change, func() bool { return len(*waiting) > 0 }) != nil {
			return now, false
		}
		now, *waiting = (*waiting)[0], (*waiting)[1:]
		return now, true
	}
	return func(yield func(Signals) bool) {
		defer end()
		for {
			now, ok := next()
			if !ok || !yield(now) {
				return
			}
		}
	}
}
