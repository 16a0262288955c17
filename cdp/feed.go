package cdp

import (
	"sync"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// feed is the subscriber behind a channel. The connection's reader puts events
// straight into the channel; only what finds no room there waits in a queue,
// for a goroutine that lives until the queue is empty.
type feed struct {
	out  chan jsonv2.Value
	gone chan struct{} // closed when nobody reads any more

	mu      sync.Mutex
	behind  *queue
	pumping bool // what waits is on its way, and new events go behind it
	ended   bool
}

// feedRoom is how many events the channel of a feed holds, and feedSize the
// size in bytes that they stay below: what is in the channel is not counted by
// the queue.
const (
	feedRoom = 64
	feedSize = 64 << 10
)

func newFeed() *feed {
	return &feed{out: make(chan jsonv2.Value, feedRoom), gone: make(chan struct{}), behind: newQueue(QueueOptions{})}
}

func (f *feed) put(e Event) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	if !f.pumping && len(e.Params) < feedSize {
		select {
		case f.out <- e.Params:
			return true
		default:
		}
	}
	more := f.behind.put(e)
	if !f.pumping {
		f.pumping = true
		go f.pump()
	}
	return more
}

// pump moves what waits into the channel, until nothing does.
func (f *feed) pump() {
	for {
		events, _, _ := f.behind.takeAll(nil)
		for _, e := range events {
			select {
			case f.out <- e.Params:
			case <-f.gone:
			}
		}
		if f.rest() {
			return
		}
	}
}

// rest ends the pumping if nothing waits.
func (f *feed) rest() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.behind.empty() {
		return false
	}
	f.pumping = false
	if f.ended || f.behind.overflowed() {
		f.ended = true
		close(f.out)
	}
	return true
}

// end closes the channel after what waits.
func (f *feed) end(error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.ended = true
	if !f.pumping {
		close(f.out)
	}
}
