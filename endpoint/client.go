package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/cdpbridge/cdpbridge/bridge"
)

const (
	// maxFrame is the largest frame that a client may send.
	maxFrame = 64 << 20
	// lastFrames is how long a client that has ended has to read what waits for it,
	// such as the answer to Browser.close.
	lastFrames = time.Second
)

// serveBrowser connects a client with a session.
func (s *Server) serveBrowser(w http.ResponseWriter, r *request) {
	s.connect(w, r, func(ctx context.Context) (*bridge.Session, *bridge.WebContents, error) {
		session, err := s.session(r)
		return session, nil, err
	})
}

// servePage connects a client with one page.
func (s *Server) servePage(w http.ResponseWriter, r *request) {
	page := s.page(r, r.path[2])
	if page == nil {
		http.Error(w, "No such target id: "+r.path[2], http.StatusNotFound)
		return
	}
	s.connect(w, r, func(context.Context) (*bridge.Session, *bridge.WebContents, error) {
		return page.Session(), page, nil
	})
}

// attachOptions are what the caller's token allows.
func (r *request) attachOptions(page *bridge.WebContents) bridge.AttachOptions {
	o := bridge.AttachOptions{Page: page}
	if r.access.scope != nil {
		o.Confined, o.MayUseFile = true, r.access.scope.mayUse
	}
	return o
}

// connect makes a request the connection of a client.
func (s *Server) connect(w http.ResponseWriter, r *request, find func(context.Context) (*bridge.Session, *bridge.WebContents, error)) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		http.Error(w, "too many clients are connected", http.StatusServiceUnavailable)
		return
	}
	s.clients.Add(1)
	defer s.clients.Done()
	if s.life.Err() != nil {
		http.Error(w, "the server ends", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	session, page, err := find(ctx)
	if err != nil {
		fail(w, err)
		return
	}
	c := &client{server: s, session: session}
	o := r.attachOptions(page)
	c.domain = newDomain(c, r.access.scope)
	o.Domains = map[string]func(bridge.RawCommand){"Session": c.domain.command}
	if c.raw, err = session.AttachWith(ctx, o); err != nil {
		fail(w, err)
		return
	}
	defer c.raw.Close()
	if r.Header.Get("Sec-WebSocket-Key") == rodKey {
		r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
		w = rodHandshake{w}
	}
	// The origin was looked at by ServeHTTP.
	c.ws, err = websocket.Accept(w, r.Request, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled, InsecureSkipVerify: true})
	if err != nil {
		return // it was told
	}
	defer c.ws.CloseNow() // without a close frame, as Chromium does it: rod's reader cannot take one
	c.ws.SetReadLimit(maxFrame)
	s.metrics.accepted.Inc()
	s.metrics.clients.Inc()
	defer s.metrics.clients.Dec()
	// A hijacked connection does not end its request's context.
	c.run(s.life)
}

// rodKey is rod's key in every handshake, which is none, and rodAccept the answer that
// it wants.
const (
	rodKey    = "nil"
	rodAccept = "Q67D9eATKx531lK8F7u2rqQNnNI="
)

// rodHandshake answers rod's handshake.
type rodHandshake struct{ http.ResponseWriter }

func (w rodHandshake) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w rodHandshake) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols {
		w.Header().Set("Sec-WebSocket-Accept", rodAccept)
	}
	w.ResponseWriter.WriteHeader(status)
}

// client is the connection of one client.
type client struct {
	server  *Server
	session *bridge.Session
	raw     *bridge.RawConn
	ws      *websocket.Conn
	domain  *domain
}

// run moves frames both ways until one side ends.
func (c *client) run(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(ctx)
		end()
	}()
	go func() {
		select {
		case <-c.raw.Done():
			select {
			case <-written:
			case <-time.After(lastFrames):
				end()
			}
		case <-ctx.Done():
		}
	}()
	c.read(ctx)
	end()
	c.raw.Close()
	c.ws.CloseNow()
	<-written
	c.domain.end()
}

// read takes frames from the client.
func (c *client) read(ctx context.Context) {
	frames, bytes := c.server.metrics.frames.WithLabelValues("in"), c.server.metrics.bytes.WithLabelValues("in")
	for {
		_, frame, err := c.ws.Read(ctx)
		if err != nil {
			return
		}
		frames.Inc()
		bytes.Add(float64(len(frame)))
		if c.raw.WriteFrame(ctx, frame) != nil {
			<-ctx.Done() // once what waits for the client was written
			return
		}
	}
}

// write gives the client its frames.
func (c *client) write(ctx context.Context) {
	frames, bytes := c.server.metrics.frames.WithLabelValues("out"), c.server.metrics.bytes.WithLabelValues("out")
	for {
		frame, err := c.raw.ReadFrame(ctx)
		if err != nil {
			if errors.Is(err, bridge.ErrClientTooSlow) {
				c.server.metrics.cutOff.Inc()
				c.server.log.Warn("a client was cut off: it does not read", "partition", c.session.Partition())
			}
			return
		}
		if c.ws.Write(ctx, websocket.MessageText, frame) != nil {
			return
		}
		frames.Inc()
		bytes.Add(float64(len(frame)))
	}
}

// openPage opens a page as the caller may.
func openPage(r *request, session *bridge.Session, address string) (id string, err error) {
	ctx := r.Context()
	page, err := session.NewPage(ctx, "")
	if err != nil || address == "" {
		return page.ID(), err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, page.Close(context.WithoutCancel(ctx)))
		}
	}()
	raw, err := session.AttachWith(ctx, r.attachOptions(page))
	if err != nil {
		return "", err
	}
	defer raw.Close()
	text, err := json.Marshal(address)
	if err != nil {
		return "", err
	}
	if err := raw.WriteFrame(ctx, fmt.Appendf(nil, `{"id":1,"method":"Page.navigate","params":{"url":%s}}`, text)); err != nil {
		return "", err
	}
	for {
		frame, err := raw.ReadFrame(ctx)
		if err != nil {
			return "", err
		}
		var reply struct {
			ID    int
			Error *struct{ Message string }
		}
		if json.Unmarshal(frame, &reply) != nil || reply.ID != 1 {
			continue
		}
		if reply.Error != nil {
			return "", errors.New(reply.Error.Message)
		}
		return page.ID(), nil
	}
}
