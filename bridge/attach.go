package bridge

import (
	"context"
	"fmt"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// RawConn is a client of the protocol that sees one session as if it were the
// whole browser. See Session.Attach.
type RawConn struct {
	client *cdp.RawConn
	life   context.Context // ends with the session, and by Close
	end    context.CancelFunc
}

// AttachOptions are the options of AttachWith. The zero value is a client of the
// whole session.
type AttachOptions struct {
	// Page makes it a client of one page of the session.
	Page *WebContents
	// Confined keeps the client's pages away from file:, chrome:, devtools: and
	// view-source:.
	Confined bool
	// MayUseFile, if set, says why the client's commands may not name a file of this
	// machine, if they may not.
	MayUseFile func(path string) error
	// Domains answer the commands of domains that Chromium does not have, such as
	// "Session". They are called one after the other and must not wait.
	Domains map[string]func(RawCommand)
}

// RawCommand is a command of a domain of AttachOptions.Domains.
type RawCommand = cdp.ClientCommand

// Attach makes a virtual client of the session. What it sends and gets are whole
// frames of the DevTools protocol. It sees, attaches to and is told of the
// targets of this session only; contexts that it makes count as part of the
// session and go with it, and so do the pages that it opens. Commands that
// reach beyond the session are refused, or act on the session. A client that
// does not read is cut off when 64 MiB or 65,536 frames wait for it. Close it.
func (s *Session) Attach(ctx context.Context) (*RawConn, error) {
	return s.AttachWith(ctx, AttachOptions{})
}

// AttachWith is Attach with options.
func (s *Session) AttachWith(ctx context.Context, o AttachOptions) (*RawConn, error) {
	at, err := s.place(ctx)
	if err != nil {
		return nil, fmt.Errorf("attaching to the session: %w", err)
	}
	h := at.host
	overrides := s.permissions.newOverrides()
	co := cdp.ClientOptions{
		BrowserContextID: at.contextID,
		DefaultContext:   at.isDefault(),
		Alone:            at.alone(),
		ContextParams:    s.outlet.contextProxy,
		CreateContext:    func(id string) { s.addContext(&place{h, id}) },
		DisposeContext:   func(id string) { s.dropContext(&place{h, id}) },
		Permissions:      overrides.command,
		Confined:         o.Confined,
		MayUseFile:       o.MayUseFile,
		Domains:          o.Domains,
	}
	if o.Page != nil {
		co.TargetID = o.Page.ID()
	}
	client, err := h.tree.NewClient(ctx, co)
	if err != nil {
		overrides.drop()
		return nil, fmt.Errorf("attaching to the session: %w", s.explain(err))
	}
	h.countClient(1)
	r := &RawConn{client: client}
	r.life, r.end = context.WithCancel(s.life)
	context.AfterFunc(r.life, func() { client.Close() })
	go func() {
		<-client.Done()
		r.end()
		overrides.drop()
		h.countClient(-1)
	}()
	return r, nil
}

// addContext makes a client's context part of the session. It runs on the
// connection's reader.
func (s *Session) addContext(at *place) {
	at.host.addContext(at.contextID, s)
	s.permissions.native.joined(at)
	s.mu.Lock()
	s.contexts = append(s.contexts, at)
	s.mu.Unlock()
}

// clientContexts are the contexts that clients of the session have made.
func (s *Session) clientContexts() []*place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.contexts)
}

// dropContext takes a client's context from its session, and what is in it.
// Nobody would tell the session later: the context is no longer its own.
func (s *Session) dropContext(at *place) {
	at.host.removeContext(at.contextID)
	at.host.hidden.CloseContext(at.contextID)
	s.mu.Lock()
	s.contexts = slices.DeleteFunc(s.contexts, func(other *place) bool { return *other == *at })
	s.mu.Unlock()
	for _, t := range at.host.tree.Targets() {
		if t.BrowserContextID() == at.contextID {
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

// Emit sends the client an event of a domain of AttachOptions.Domains, on one of its
// sessions ("" is the one that it begins with). It returns an error when the client
// has no such session any more.
func (r *RawConn) Emit(sessionID, method string, params any) error {
	return r.client.Emit(sessionID, method, params)
}

// Done is closed when the client has ended: it was closed or cut off, or its page, its
// session or the Chromium process is gone. What had come before can still be read.
func (r *RawConn) Done() <-chan struct{} { return r.client.Done() }

// Close ends the client: its sessions are detached, and the pages and contexts
// that it made are closed.
func (r *RawConn) Close() error {
	r.end()
	return r.client.Close()
}
