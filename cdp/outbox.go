package cdp

import (
	"context"
	"sync"
)

// maxWaiting is how many bytes of commands may wait for a browser that does not
// read before a caller has to wait too.
const maxWaiting = 8 << 20

// outbox is the way out: frames are written by one goroutine, many at once when
// they come faster than the browser reads.
type outbox struct {
	transport Transport
	ready     chan struct{} // holds a token while there is something to do
	ended     chan struct{} // closed when run has returned

	mu     sync.Mutex
	frames [][]byte
	bytes  int
	room   chan struct{} // closed and renewed whenever the frames are taken
	closed bool
}

func newOutbox(t Transport) *outbox {
	return &outbox{transport: t, ready: make(chan struct{}, 1), ended: make(chan struct{}), room: make(chan struct{})}
}

// add puts frames in the outbox and never waits.
func (o *outbox) add(frames ...[]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(frames)
}

// addWait puts a frame in the outbox as soon as there is room.
func (o *outbox) addWait(ctx context.Context, done <-chan struct{}, frame []byte) error {
	for {
		o.mu.Lock()
		if o.bytes < maxWaiting {
			o.put([][]byte{frame})
			o.mu.Unlock()
			return nil
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-done:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (o *outbox) put(frames [][]byte) {
	if o.closed {
		return
	}
	o.frames = append(o.frames, frames...)
	for _, f := range frames {
		o.bytes += len(f)
	}
	o.wake()
}

func (o *outbox) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed, o.frames = true, nil
	o.wake()
	o.mu.Unlock()
}

// run writes until the outbox is closed or the browser is gone. The reader
// learns of the latter by itself.
func (o *outbox) run() {
	defer close(o.ended)
	var frames [][]byte
	for range o.ready {
		o.mu.Lock()
		frames, o.frames = o.frames, frames[:0]
		closed := o.closed
		o.mu.Unlock()
		if closed {
			return
		}
		if len(frames) > 0 && o.transport.WriteFrames(frames) != nil {
			o.transport.Close()
		}
		o.mu.Lock()
		o.bytes = 0
		for _, f := range o.frames {
			o.bytes += len(f)
		}
		close(o.room)
		o.room = make(chan struct{})
		o.mu.Unlock()
		clear(frames)
	}
}
