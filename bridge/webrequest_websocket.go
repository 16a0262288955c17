package bridge

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cdpbridge/cdpbridge/gateway"
)

// webSockets drives the passages of the handshakes of WebSockets: Chromium
// pauses none of them, but the session's gateway sees each.
type webSockets struct {
	web   *WebRequest
	count atomic.Uint64
}

// filters are those of the events that a handshake has.
func (s *webSockets) filters() []*requestFilter {
	w := s.web
	return slices.Concat(w.beforeRequest.filters(), w.beforeSendHeaders.filters(), w.sendHeaders.filters(), w.headersReceived.filters(),
		w.responseStarted.filters(), w.completed.filters(), w.errorOccurred.filters())
}

// Wants reports whether a listener may be for the WebSockets of a server.
func (s *webSockets) Wants(hostport string, secure bool) bool {
	if !s.web.heard() {
		return false
	}
	scheme := "ws"
	if secure {
		scheme = "wss"
	}
	server := parseRequestURL(scheme + "://" + hostport)
	return slices.ContainsFunc(s.filters(), func(f *requestFilter) bool {
		return f.takes(ResourceWebSocket) && f.urls.matchServer(&server)
	})
}

// webSockets reports whether the filter selects handshakes of any server.
func (f *requestFilter) webSockets() bool {
	return f.takes(ResourceWebSocket) && slices.ContainsFunc(f.urls.all, func(p *matchPattern) bool { return p.all || p.scheme == "*" || p.ofWebSockets() })
}

// onlyWebSockets reports whether the filter selects nothing that Chromium
// pauses.
func (f *requestFilter) onlyWebSockets() bool {
	others := func(t ResourceType) bool { return t != ResourceWebSocket }
	return len(f.types) > 0 && !slices.ContainsFunc(f.types, others) ||
		!slices.ContainsFunc(f.urls.all, func(p *matchPattern) bool { return p.all || !p.ofWebSockets() })
}

func (p *matchPattern) ofWebSockets() bool { return p.scheme == "ws" || p.scheme == "wss" }

// handshake is the handshake of one WebSocket.
type handshake struct {
	passage
	end      line // the events that nobody waits for
	response ResponseDetails
}

// webSocketIDs begin where no ID of another request is.
const webSocketIDs = 1 << 62

// Upgrade takes a handshake through the listeners that are before the request.
func (s *webSockets) Upgrade(ctx context.Context, r *gateway.UpgradeRequest) (gateway.Upgrade, error) {
	h := &handshake{passage: newPassage(ctx, s.web)}
	headers := headerLines(r.Header)
	h.moveTo(RequestDetails{
		ID: webSocketIDs | s.count.Add(1), URL: r.URL.String(), Method: r.Method, ResourceType: ResourceWebSocket, source: noSource{},
	})
	if h.beforeRequest().Cancel {
		return h, netBlockedByClient
	}
	send := h.beforeSendHeaders(func() Headers { return headers })
	if send.Cancel {
		return h, netBlockedByClient
	}
	if send.RequestHeaders != nil {
		headers = headers.withOthers(send.RequestHeaders)
		r.Header = headers.lines()
	}
	if ctx.Err() == nil {
		h.sendHeaders(headers)
	}
	return h, nil
}

// Response takes it through those that are before the page gets the answer.
func (h *handshake) Response(ctx context.Context, r *gateway.UpgradeResponse) error {
	h.ctx = ctx
	code, _, _ := parseStatusLine(r.StatusLine)
	response := ResponseDetails{StatusLine: r.StatusLine, StatusCode: code, ResponseHeaders: headerLines(r.Header), IP: addressIP(r.RemoteAddr)}
	now, changed, cancel := h.headersReceived(response)
	if cancel {
		return netBlockedByClient
	}
	if changed {
		r.StatusLine, r.Header = now.StatusLine, now.ResponseHeaders.lines()
	}
	h.response = now
	h.end.then(func() {
		h.responseStarted(now)
		if h.done() {
			h.completed(now, netWSUpgrade.Error())
		}
	})
	return nil
}

// done reports whether the handshake has made a WebSocket.
func (h *handshake) done() bool { return h.response.StatusCode == http.StatusSwitchingProtocols }

// Closed tells how a handshake failed.
func (h *handshake) Closed(_, _ int64, err error) {
	if h.done() {
		return
	}
	code := netFailed // where the page got another answer
	switch known, ok := errors.AsType[NetError](err); {
	case ok:
		code = known
	case errors.Is(err, gateway.ErrGivenUp):
		code = netAborted
	case err != nil:
		code = classify(err)
	}
	h.end.then(func() { h.errorOccurred(false, code.Error()) })
}

// noSource knows no more of a request.
type noSource struct{}

func (noSource) referrer() string         { return "" }
func (noSource) uploadData() []UploadData { return nil }
func (noSource) frame() *Frame            { return nil }

// withOthers are the fields that make a handshake, as they are, and for the rest
// those of another list.
func (h Headers) withOthers(other Headers) Headers {
	own := func(f Header) bool {
		switch name := strings.ToLower(f.Name); name {
		case "host", "connection", "upgrade":
			return true
		default:
			return strings.HasPrefix(name, "sec-websocket-")
		}
	}
	rest := slices.DeleteFunc(slices.Clone(other), own)
	return append(slices.DeleteFunc(slices.Clone(h), func(f Header) bool { return !own(f) }), rest...)
}

func headerLines(lines []gateway.HeaderLine) Headers {
	h := make(Headers, len(lines))
	for i, l := range lines {
		h[i] = Header{Name: l.Name, Value: l.Value}
	}
	return h
}

func (h Headers) lines() []gateway.HeaderLine {
	lines := make([]gateway.HeaderLine, len(h))
	for i, f := range h {
		lines[i] = gateway.HeaderLine{Name: f.Name, Value: f.Value}
	}
	return lines
}

func addressIP(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.String()
	}
	return ""
}
