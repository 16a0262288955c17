package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// rawConn is the floor: a client of the protocol that does what the bytes on the
// pipe demand and nothing else. It believes every frame to be well-formed, has
// no queues, and runs what it is given on its reader.
type rawConn struct {
	in   *bufio.Reader
	long []byte // a frame that is larger than the buffer of in
	w    io.Writer
	done chan struct{} // closed when the browser has ended

	mu    sync.Mutex
	out   []byte
	last  int
	calls map[int]func(body []byte, failed bool)
	hooks map[string]func(params []byte) // by method, of any session
}

func newRawConn(r io.Reader, w io.Writer) *rawConn {
	return &rawConn{
		in:    bufio.NewReaderSize(r, 64<<10),
		w:     w,
		done:  make(chan struct{}),
		calls: map[int]func([]byte, bool){},
		hooks: map[string]func([]byte){},
	}
}

// frame is one frame as its head tells it. The slices point into the frame.
type frame struct {
	id      int
	method  []byte
	session []byte
	body    []byte
	failed  bool
}

// parse finds the session at the end and the rest at the start.
func (f *frame) parse(b []byte) {
	const tail = `,"sessionId":"`
	*f = frame{}
	b = b[:len(b)-1]
	if n := len(b) - 1 - 32 - len(tail); n > 0 && string(b[n:n+len(tail)]) == tail {
		f.session, b = b[n+len(tail):len(b)-1], b[:n]
	}
	if b[2] == 'i' { // {"id":N,"result":{…} or {"id":N,"error":{…}
		i := len(`{"id":`)
		for ; b[i] != ','; i++ {
			f.id = f.id*10 + int(b[i]-'0')
		}
		f.failed = b[i+2] == 'e'
		f.body = b[i+1+bytes.IndexByte(b[i+1:], ':')+1:]
		return
	}
	b = b[len(`{"method":"`):] // …","params":{…}
	n := bytes.IndexByte(b, '"')
	f.method, f.body = b[:n], b[n+len(`","params":`):]
}

// run reads until the browser ends.
func (c *rawConn) run() {
	defer close(c.done)
	var f frame
	for {
		b, err := c.readFrame()
		if err != nil {
			return
		}
		f.parse(b)
		c.dispatch(&f)
	}
}

func (c *rawConn) readFrame() ([]byte, error) {
	b, err := c.in.ReadSlice(0)
	if err == nil {
		return b[:len(b)-1], nil
	}
	c.long = c.long[:0]
	for ; err == bufio.ErrBufferFull; b, err = c.in.ReadSlice(0) {
		c.long = append(c.long, b...)
	}
	if err != nil {
		return nil, err
	}
	c.long = append(c.long, b...)
	return c.long[:len(c.long)-1], nil
}

func (c *rawConn) dispatch(f *frame) {
	c.mu.Lock()
	if f.id != 0 {
		done := c.calls[f.id]
		delete(c.calls, f.id)
		c.mu.Unlock()
		if done != nil {
			done(f.body, f.failed)
		}
		return
	}
	hook := c.hooks[string(f.method)]
	c.mu.Unlock()
	if hook != nil {
		hook(f.body)
	}
}

// hook makes f get the events of a method, on the reader.
func (c *rawConn) hook(method string, f func(params []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks[method] = f
}

// send writes a command. params is JSON.
func (c *rawConn) send(session, method, params string, done func(body []byte, failed bool)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.calls[c.last] = done
	b := strconv.AppendInt(append(c.out[:0], `{"id":`...), int64(c.last), 10)
	b = append(append(append(b, `,"method":"`...), method...), `","params":`...)
	b = append(b, params...)
	if session != "" {
		b = append(append(append(b, `,"sessionId":"`...), session...), '"')
	}
	c.out = append(b, '}', 0)
	_, err := c.w.Write(c.out)
	return err
}

var errBrowserEnded = errors.New("the browser has ended")

// call sends a command and waits until decode, which runs on the reader, is done
// with the result.
func (c *rawConn) call(ctx context.Context, session, method, params string, decode func(body []byte)) error {
	reply := make(chan error, 1)
	err := c.send(session, method, params, func(body []byte, failed bool) {
		if failed {
			reply <- fmt.Errorf("%s: %s", method, body)
			return
		}
		if decode != nil {
			decode(body)
		}
		reply <- nil
	})
	if err != nil {
		return err
	}
	select {
	case err := <-reply:
		return err
	case <-c.done:
		return errBrowserEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
