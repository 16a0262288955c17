package bridge

import (
	"context"
	"fmt"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// RawConn is a client of the protocol that sees one session as if it were the
// whole browser. See Session.Attach.
type RawConn struct {
	client *cdp.RawConn
	life   context.Context // ends with the session, and by Close
	end    context.CancelFunc
	done   func()
}

// Attach makes a virtual client of the session. What it sends and gets are whole
// frames of the DevTools protocol. It sees, attaches to and is told of the
// targets of this session only; contexts that it makes count as part of the
// session and go with it, and so do the pages that it opens. Commands that
// reach beyond the session are refused, or act on the session. A client that
// does not read is cut off when 64 MiB or 65,536 frames wait for it. Close it.
func (s *Session) Attach(ctx context.Context) (*RawConn, error) {
	at, err := s.place(ctx)
	if err != nil {
		return nil, fmt.Errorf("attaching to the session: %w", err)
	}
	h := at.host
	client, err := h.tree.NewClient(ctx, cdp.ClientOptions{
		BrowserContextID: at.contextID,
		DefaultContext:   at.isDefault(),
		CreateContext:    func(id string) { h.addContext(id, s) },
		DisposeContext:   func(id string) { h.dropContext(id, s) },
	})
	if err != nil {
		return nil, fmt.Errorf("attaching to the session: %w", s.explain(err))
	}
	h.countClient(1)
	r := &RawConn{client: client, done: sync.OnceFunc(func() { h.countClient(-1) })}
	r.life, r.end = context.WithCancel(s.life)
	context.AfterFunc(r.life, func() { r.Close() })
	return r, nil
}

// dropContext takes a client's context from its session, and what is in it.
// Nobody would tell the session later: the context is no longer its own.
func (h *host) dropContext(id string, s *Session) {
	h.removeContext(id)
	for _, t := range h.tree.Targets() {
		if t.BrowserContextID() == id {
			s.targetGone(t)
		}
	}
}

func (h *host) countClient(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients += n
}

// ReadFrame returns the next frame for the client. Its error is the end of the
// client, unless ctx ended.
func (r *RawConn) ReadFrame(ctx context.Context) ([]byte, error) { return r.client.ReadFrame(ctx) }

// WriteFrame takes a frame from the client. Whatever is wrong with the frame is
// answered in the protocol; an error is the end of the client.
func (r *RawConn) WriteFrame(ctx context.Context, frame []byte) error {
	return r.client.WriteFrame(ctx, frame)
}

// Close ends the client: its sessions are detached, and the pages and contexts
// that it made are closed.
func (r *RawConn) Close() error {
	r.end()
	r.done()
	return r.client.Close()
}
