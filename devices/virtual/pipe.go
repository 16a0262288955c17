package virtual

import (
	"bytes"
	"cmp"
	"context"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// pipe is one direction of a line: bytes, with errors of the line in their places. Who waits for it does
// so until a context ends.
type pipe struct {
	mu     sync.Mutex
	change *sync.Cond

	life    context.Context // who writes later fails
	limit   int             // how many bytes wait for the reader before writers wait
	waiting bytes.Buffer
	taken   int64   // bytes that were read or dropped
	faults  []fault // in order
	void    bool    // nobody reads: bytes are gone when they are written
}

// fault is an error of the line after a number of bytes.
type fault struct {
	at   int64
	kind serial.LineErrorKind
}

// maxFaults is how many errors wait for the reader. Further ones are dropped: a line that has that
// many is not read.
const maxFaults = 1024

func newPipe(life context.Context, limit int) *pipe {
	p := &pipe{life: life, limit: limit}
	p.change = sync.NewCond(&p.mu)
	return p
}

// read waits for bytes, or for an error of the line. What there is it gives also when ctx has ended.
func (p *pipe) read(ctx context.Context, into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(into) == 0 {
		return 0, nil
	}
	if err := await(ctx, p.change, func() bool { return p.waiting.Len() > 0 || len(p.faults) > 0 }); err != nil {
		return 0, err
	}
	if len(p.faults) > 0 {
		first := p.faults[0]
		if first.at == p.taken {
			p.faults = p.faults[1:]
			return 0, &serial.LineError{Kind: first.kind}
		}
		into = into[:min(int64(len(into)), first.at-p.taken)]
	}
	n, _ := p.waiting.Read(into)
	p.taken += int64(n)
	p.change.Broadcast()
	return n, nil
}

// write waits until the pipe has taken all bytes.
func (p *pipe) write(ctx context.Context, from []byte) (written int, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		err := await(ctx, p.change, func() bool { return len(from) == 0 || p.waiting.Len() < p.limit || p.void })
		if err = cmp.Or(err, p.life.Err(), ctx.Err()); err != nil || len(from) == 0 {
			return written, err
		}
		n := len(from)
		if !p.void {
			n, _ = p.waiting.Write(from[:min(n, p.limit-p.waiting.Len())])
			p.change.Broadcast()
		}
		written, from = written+n, from[n:]
	}
}

// fault puts an error of the line after the bytes that were written.
func (p *pipe) fault(kind serial.LineErrorKind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, fault{p.taken + int64(p.waiting.Len()), kind})
		p.change.Broadcast()
	}
}

// drain waits until everything written was read.
func (p *pipe) drain(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return await(ctx, p.change, func() bool { return p.waiting.Len() == 0 })
}

// discard drops what was not read.
func (p *pipe) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken += int64(p.waiting.Len())
	p.waiting, p.faults = bytes.Buffer{}, nil
	p.change.Broadcast()
}

// abandon says that nobody reads any more.
func (p *pipe) abandon() {
	p.mu.Lock()
	p.void = true
	p.mu.Unlock()
	p.discard()
}
