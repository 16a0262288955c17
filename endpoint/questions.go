package endpoint

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// questions are the handlers and choosers that clients have armed, and what they are
// being asked.
type questions struct {
	mu       sync.Mutex
	next     uint64
	handlers map[handlerKey]*handler
	open     map[string]*question // by request id
}

func newQuestions() *questions {
	return &questions{handlers: map[handlerKey]*handler{}, open: map[string]*question{}}
}

// handlerKey is one handler of a session: of a kind and, where a kind has several, for
// something.
type handlerKey struct {
	session *bridge.Session
	kind    *questionKind
	of      string
}

// questionKind is what clients can be asked.
type questionKind struct {
	event, answer string
	// closes says that the answer is no when the client that is to be asked is lost,
	// until a client arms or disarms the handler.
	closes bool
	// each says that a client's handler has settings of its own, so that another one
	// takes its place when another client is to be asked.
	each bool
}

// handler is who is asked: the client that armed it last.
type handler struct {
	turn   sync.Mutex // held while it is armed, disarmed or changed
	armed  []armed
	lost   bool
	remove func() // nil while it is not set
}

type armed struct {
	domain    *domain
	sessionID string
	install   func() (remove func(), err error)
}

// question is one that was not answered yet.
type question struct {
	domain  *domain
	kind    *questionKind
	answers chan params
	gone    chan struct{} // closed when the client is lost
}

// handler is the handler of a key, made where there is none.
func (q *questions) handler(key handlerKey) *handler {
	q.mu.Lock()
	defer q.mu.Unlock()
	h := q.handlers[key]
	if h == nil {
		h = &handler{}
		q.handlers[key] = h
	}
	return h
}

// arm makes a client the one who is asked.
func (q *questions) arm(key handlerKey, a armed) error {
	h := q.handler(key)
	h.turn.Lock()
	defer h.turn.Unlock()
	if h.remove == nil || key.kind.each {
		remove, err := a.install()
		if err != nil {
			return err
		}
		if h.remove != nil {
			h.remove()
		}
		h.remove = remove
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	h.lost = false
	h.armed = append(slices.DeleteFunc(h.armed, func(other armed) bool { return other.domain == a.domain }), a)
	return nil
}

// disarm asks the client no more: the one that armed the handler before is asked
// again, or nobody.
func (q *questions) disarm(key handlerKey, d *domain) {
	h := q.handler(key)
	h.turn.Lock()
	defer h.turn.Unlock()
	q.mu.Lock()
	h.lost = false
	q.mu.Unlock()
	q.leave(h, key, d)
}

// leave takes a client from a handler. The caller holds the handler's turn.
func (q *questions) leave(h *handler, key handlerKey, d *domain) {
	q.mu.Lock()
	h.armed = slices.DeleteFunc(h.armed, func(other armed) bool { return other.domain == d })
	left, lost := slices.Clone(h.armed), h.lost
	q.mu.Unlock()
	switch {
	case h.remove == nil:
	case len(left) == 0 && !lost:
		h.remove()
		h.remove = nil
	case len(left) > 0 && key.kind.each:
		if remove, err := left[len(left)-1].install(); err == nil {
			h.remove()
			h.remove = remove
		}
	}
}

// lost is told that a client has gone: what it was asked is denied.
func (q *questions) lost(d *domain) {
	q.mu.Lock()
	for id, open := range q.open {
		if open.domain == d {
			delete(q.open, id)
			close(open.gone)
		}
	}
	var keys []handlerKey
	for key, h := range q.handlers {
		if slices.ContainsFunc(h.armed, func(a armed) bool { return a.domain == d }) {
			keys = append(keys, key)
			h.lost = h.lost || key.kind.closes
		}
	}
	q.mu.Unlock()
	for _, key := range keys {
		h := q.handler(key)
		h.turn.Lock()
		q.leave(h, key, d)
		h.turn.Unlock()
	}
}

// ask asks the client that armed the handler last. It is false in ok when there is no
// answer: nobody is to be asked, the client is lost, or ctx ended.
func (q *questions) ask(ctx context.Context, key handlerKey, fields map[string]any) (answer params, ok bool) {
	q.mu.Lock()
	h := q.handlers[key]
	if h == nil || h.lost || len(h.armed) == 0 {
		q.mu.Unlock()
		return params{}, false
	}
	asked := h.armed[len(h.armed)-1]
	q.next++
	id := strconv.FormatUint(q.next, 10)
	open := &question{domain: asked.domain, kind: key.kind, answers: make(chan params, 1), gone: make(chan struct{})}
	q.open[id] = open
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.open, id)
		q.mu.Unlock()
	}()
	fields["requestId"] = id
	asked.domain.question(asked.sessionID, key.kind.event, fields)
	select {
	case answer := <-open.answers:
		return answer, true
	case <-open.gone:
	case <-ctx.Done():
	}
	return params{}, false
}

// answer takes a client's answer.
func (q *questions) answer(d *domain, kind *questionKind, id string, in params) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	open := q.open[id]
	if open == nil {
		if n, err := strconv.ParseUint(id, 10, 64); err == nil && n > 0 && n <= q.next {
			return &bridge.InvalidArgumentError{Message: "One-time callback was called more than once"}
		}
		return &paramsError{errors.New("there is no question with this requestId")}
	}
	if open.domain != d || open.kind != kind {
		return errors.New("the question is not for this connection, or has another answer")
	}
	delete(q.open, id)
	open.answers <- in
	return nil
}

// question tells the client a question: on its sessions that have the domain on, or on
// the one that armed the handler.
func (d *domain) question(sessionID, event string, fields map[string]any) {
	d.mu.Lock()
	some := len(d.enabled) > 0
	d.mu.Unlock()
	if some {
		d.emit(event, fields)
		return
	}
	d.client.raw.Emit(sessionID, "Session."+event, fields) // whoever is gone is lost in a moment
}
