package cdp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Conn is a connection to one browser, shared by any number of sessions.
type Conn struct {
	transport Transport
	opts      ConnOptions
	out       *outbox
	root      *Session
	done      chan struct{}
	reader    chan struct{} // closed when the reader has ended
	taps      map[string]func(s *Session, params []byte)

	mu       sync.Mutex
	lastID   int64
	calls    map[int64]pendingCall
	sessions map[string]*Session
	err      error
}

// ConnOptions are the options of NewConn.
type ConnOptions struct {
	// Malformed, if set, is told of each frame that was dropped because it is
	// not of the protocol, or an event over the transport's limit. It gets the
	// first bytes and must not wait.
	Malformed func(head []byte)
	// Cause, if set, is asked once why the connection ended, with the error
	// that the transport gave. It may wait: for the exit of a process, say.
	Cause func(err error) error
}

type pendingCall struct {
	session *Session
	method  string
	done    func(result jsonv2.Value, err error)
}

// A Command is one command to send.
type Command struct {
	// Session is where it goes.
	Session *Session
	// Method is its name, such as "Page.navigate".
	Method string
	// Params is a value to encode, JSON in a jsontext.Value, or nil.
	Params any
	// Done, if set, is called once: with the result, or with the error that
	// Session.Call would return. It runs on the connection's reader and must
	// not wait. The result is its to keep.
	Done func(result jsonv2.Value, err error)
}

// NewConn starts to read from the transport, which it owns from now on.
func NewConn(t Transport, o ConnOptions) *Conn {
	c := newConn(t, o)
	c.start()
	return c
}

// newConn makes a connection that does not read yet, so that taps can be set.
func newConn(t Transport, o ConnOptions) *Conn {
	c := &Conn{
		transport: t,
		opts:      o,
		out:       newOutbox(t),
		done:      make(chan struct{}),
		reader:    make(chan struct{}),
		taps:      map[string]func(*Session, []byte){},
		calls:     map[int64]pendingCall{},
		sessions:  map[string]*Session{},
	}
	c.root = c.newSession("")
	return c
}

func (c *Conn) start() {
	go c.out.run()
	go c.read()
}

func (c *Conn) newSession(id string) *Session {
	return &Session{conn: c, id: id, topics: map[string]topic{}, done: make(chan struct{})}
}

// Root is the browser's own session.
func (c *Conn) Root() *Session { return c.root }

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is nil while the connection lives, then an error that is ErrClosed and
// wraps the cause.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits until its goroutines have ended. A
// browser on a pipe ends with it. It must not be called on the connection's
// reader: from Command.Done, or a function of TreeOptions.
func (c *Conn) Close() error {
	err := c.transport.Close()
	<-c.reader
	<-c.out.ended
	return err
}

// Session returns the session with the id, which Target.attachToTarget or an
// event has named. It is the same value for the same id as long as it lives.
func (c *Conn) Session(id string) *Session {
	if id == "" {
		return c.root
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[id]
	if s == nil {
		s = c.newSession(id)
		if c.err != nil {
			s.end(c.err)
			return s
		}
		c.sessions[id] = s
	}
	return s
}

// Send writes the commands in one go, in their order, and never waits: it is
// for what must arrive together, such as the set-up of a paused target and its
// resume. Failures are told to the commands' Done.
func (c *Conn) Send(commands ...Command) {
	frames := make([][]byte, 0, len(commands))
	for _, cmd := range commands {
		frame, _, err := c.register(cmd)
		if err != nil {
			if cmd.Done != nil {
				cmd.Done(nil, err)
			}
			continue
		}
		frames = append(frames, frame)
	}
	c.out.add(frames...)
}

// send is Send for one command whose caller can wait for room on the way out.
func (c *Conn) send(ctx context.Context, cmd Command) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%s: %w", cmd.Method, context.Cause(ctx))
	}
	frame, id, err := c.register(cmd)
	if err != nil {
		return 0, err
	}
	if err := c.out.addWait(ctx, c.done, frame); err != nil {
		c.forget(id)
		return 0, fmt.Errorf("%s: %w", cmd.Method, cmp.Or(c.Err(), err))
	}
	return id, nil
}

// register encodes a command and notes who waits for its answer.
func (c *Conn) register(cmd Command) (frame []byte, id int64, err error) {
	if !validMethod(cmd.Method) {
		return nil, 0, &Error{Method: cmd.Method, Code: -32600, Message: "not the name of a command"}
	}
	params, err := encodeParams(cmd)
	if err != nil {
		return nil, 0, err
	}
	size := len(params) + len(cmd.Method) + len(cmd.Session.id) + 96
	if size > MaxCommandSize {
		return nil, 0, &FrameTooLargeError{Method: cmd.Method, Size: size, Limit: MaxCommandSize}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Whoever ends a session takes its calls out under this lock afterwards, so
	// that none is noted too late to be ended with it.
	if err := cmp.Or(c.err, cmd.Session.Err()); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", cmd.Method, err)
	}
	c.lastID++
	id = c.lastID
	c.calls[id] = pendingCall{cmd.Session, cmd.Method, cmd.Done}
	return appendCommand(make([]byte, 0, size), id, cmd.Session.id, cmd.Method, params), id, nil
}

// validMethod keeps what is not a name out of a frame.
func validMethod(method string) bool {
	for i := range len(method) {
		ch := method[i]
		if (ch|0x20 < 'a' || ch|0x20 > 'z') && (ch < '0' || ch > '9') && ch != '.' && ch != '_' {
			return false
		}
	}
	return method != ""
}

func encodeParams(cmd Command) (jsonv2.Value, error) {
	switch p := cmd.Params.(type) {
	case nil:
		return nil, nil
	case jsonv2.Value:
		return p, nil
	}
	b, err := jsonv2.Marshal(cmd.Params, wireOptions)
	if err != nil {
		return nil, fmt.Errorf("encoding the parameters of %s: %w", cmd.Method, err)
	}
	return b, nil
}

// forget drops a call whose caller has gone.
func (c *Conn) forget(id int64) {
	c.mu.Lock()
	delete(c.calls, id)
	c.mu.Unlock()
}

func (c *Conn) read() {
	defer close(c.reader)
	for {
		frame, err := c.transport.ReadFrame()
		if err != nil {
			var large *FrameTooLargeError // on the heap, so not for every frame
			if !errors.As(err, &large) {
				c.end(err)
				return
			}
			c.refuse(frame, large)
			continue
		}
		var e envelope
		if err := scan(frame, &e); err != nil {
			c.malformed(frame)
			continue
		}
		if e.id != 0 {
			c.reply(&e)
		} else {
			c.event(&e)
		}
	}
}

func (c *Conn) malformed(frame []byte) {
	if c.opts.Malformed != nil && len(bytes.TrimSpace(frame)) > 0 {
		c.opts.Malformed(bytes.Clone(frame[:min(len(frame), 200)]))
	}
}

func (c *Conn) takeCall(id int64) (pendingCall, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call, ok := c.calls[id]
	delete(c.calls, id)
	return call, ok
}

func (c *Conn) reply(e *envelope) {
	call, ok := c.takeCall(e.id)
	if !ok || call.done == nil {
		return
	}
	if !e.failed {
		call.done(e.keep(), nil)
		return
	}
	call.done(nil, call.failure(decodeError(call.method, e.body)))
}

// codeSessionGone is Chromium's answer on a session that it no longer knows.
const codeSessionGone = -32001

// failure names the case in which the browser answers for a session that is
// gone, before the detachment was told.
func (p pendingCall) failure(err error) error {
	var refused *Error
	if errors.As(err, &refused) && refused.Code == codeSessionGone {
		return fmt.Errorf("%s: %w", p.method, ErrDetached)
	}
	return err
}

// refuse ends the call whose answer was too large to be read. What else is too
// large is reported: it is lost.
func (c *Conn) refuse(head []byte, err *FrameTooLargeError) {
	call, ok := c.takeCall(replyID(head))
	if !ok {
		c.malformed(head)
	} else if call.done != nil {
		call.done(nil, fmt.Errorf("%s: %w", call.method, err))
	}
}

func (c *Conn) event(e *envelope) {
	s := c.root
	if len(e.session) > 0 {
		c.mu.Lock()
		s = c.sessions[string(e.session)]
		c.mu.Unlock()
		if s == nil {
			return
		}
	}
	if tap := c.taps[string(e.method)]; tap != nil {
		tap(s, e.body)
	}
	s.dispatch(e)
}

// tap sets a function that gets every event of a method, of all sessions, on
// the reader, before the subscribers. It must not wait. To be called before
// start.
func (c *Conn) tap(method string, f func(s *Session, params []byte)) { c.taps[method] = f }

// attached returns the session with the id, which the browser has opened on
// behalf of parent.
func (c *Conn) attached(parent *Session, id string) *Session {
	s := c.Session(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.parent = parent
	return s
}

// detach ends a session, the calls that wait on it, and all sessions that were
// opened on its behalf: Chromium ends these without a word. It returns the ids,
// children first.
func (c *Conn) detach(id string) []string {
	c.mu.Lock()
	gone := c.remove(c.sessions[id], nil)
	c.mu.Unlock()
	ids := make([]string, 0, len(gone))
	for _, s := range gone {
		s.end(ErrDetached)
		c.failCalls(s, ErrDetached)
		ids = append(ids, s.id)
	}
	return ids
}

func (c *Conn) remove(s *Session, gone []*Session) []*Session {
	if s == nil {
		return gone
	}
	delete(c.sessions, s.id)
	for _, child := range c.sessions {
		if child.parent == s {
			gone = c.remove(child, gone)
		}
	}
	return append(gone, s)
}

// failCalls ends the calls that wait on a session.
func (c *Conn) failCalls(s *Session, cause error) {
	c.mu.Lock()
	var waiting []pendingCall
	for id, call := range c.calls {
		if call.session == s {
			waiting = append(waiting, call)
			delete(c.calls, id)
		}
	}
	c.mu.Unlock()
	failAll(waiting, cause)
}

// end closes everything that hangs on the connection.
func (c *Conn) end(err error) {
	c.transport.Close()
	c.out.close()
	if c.opts.Cause != nil {
		err = c.opts.Cause(err)
	}
	cause := closedError(err)
	c.mu.Lock()
	c.err = cause
	calls, sessions := c.calls, c.sessions
	c.calls, c.sessions = map[int64]pendingCall{}, map[string]*Session{}
	c.mu.Unlock()
	for _, s := range sessions {
		s.end(cause)
	}
	c.root.end(cause)
	close(c.done)
	waiting := make([]pendingCall, 0, len(calls))
	for _, call := range calls {
		waiting = append(waiting, call)
	}
	failAll(waiting, cause)
}

func closedError(err error) error {
	if err == nil || err == io.EOF {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

func failAll(calls []pendingCall, cause error) {
	for _, call := range calls {
		if call.done != nil {
			call.done(nil, fmt.Errorf("%s: %w", call.method, cause))
		}
	}
}
