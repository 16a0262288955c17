package bridge

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// socketTalk opens a WebSocket, sends a text and gives what came back, "open"
// where nothing is sent, or "failed".
const socketTalk = `(url, text, ...protocols) => new Promise(done => {
	const ws = new WebSocket(url, ...protocols)
	ws.onerror = () => done("failed")
	ws.onopen = () => text ? ws.send(text) : done("open")
	ws.onmessage = e => { done(e.data); ws.close() }
})`

// socketSaid is what a WebSocket of a page says to a text.
func socketSaid(t testing.TB, page *WebContents, url, text string) string {
	t.Helper()
	return evaluated[string](t, page, socketTalk, url, text)
}

// socketPage is a page of a new session in memory.
func socketPage(t testing.TB) (*Session, *WebContents, *fixture.Server) {
	t.Helper()
	s, server := memorySession(t), sharedServer(t)
	return s, testPage(t, s, server.URL("localhost", "/fetches?n=0")), server
}

// socketFilter selects WebSockets.
var socketFilter = WebRequestFilter{URLs: []string{"<all_urls>"}, Types: []ResourceType{ResourceWebSocket}}

// socketLog records the events of WebSockets.
type socketLog struct {
	mu     sync.Mutex
	events []string
	ids    map[uint64]bool
	ended  chan string
}

func newSocketLog(t testing.TB, w *WebRequest) *socketLog {
	l := &socketLog{ids: map[uint64]bool{}, ended: make(chan string, 100)}
	add := func(d *RequestDetails, event ...any) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, strings.TrimSuffix(fmt.Sprintln(event...), "\n"))
		l.ids[d.ID] = true
		if d.ResourceType != ResourceWebSocket || d.Method != "GET" || !strings.HasPrefix(d.URL, "ws") || d.Timestamp.IsZero() {
			t.Errorf("the details are %+v", d)
		}
	}
	added := webRequestAdded(t)
	added(w.OnBeforeRequest(socketFilter, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		add(&d.RequestDetails, "request")
		return BeforeRequestResult{}
	}))
	added(w.OnBeforeSendHeaders(socketFilter, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		add(&d.RequestDetails, "send", d.RequestHeaders.Get("Upgrade"))
		return BeforeSendHeadersResult{}
	}))
	added(w.OnSendHeaders(socketFilter, func(_ context.Context, d *SendHeadersDetails) {
		add(&d.RequestDetails, "sent", d.RequestHeaders.Get("Upgrade"))
	}))
	added(w.OnHeadersReceived(socketFilter, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		add(&d.RequestDetails, "received", d.StatusLine, d.ResponseHeaders.Get("Upgrade"), d.IP)
		return HeadersReceivedResult{}
	}))
	added(w.OnResponseStarted(socketFilter, func(_ context.Context, d *ResponseStartedDetails) {
		add(&d.RequestDetails, "started", d.StatusCode, d.IP)
	}))
	added(w.OnCompleted(socketFilter, func(_ context.Context, d *CompletedDetails) {
		add(&d.RequestDetails, "completed", d.StatusCode, d.Error)
		l.ended <- d.URL
	}))
	added(w.OnErrorOccurred(socketFilter, func(_ context.Context, d *ErrorOccurredDetails) {
		add(&d.RequestDetails, "error", d.Error)
		l.ended <- d.URL
	}))
	return l
}

// socketOpens are the events of a handshake that succeeds.
var socketOpens = []string{"request", "send websocket", "sent websocket", "received HTTP/1.1 101 Switching Protocols websocket 127.0.0.1",
	"started 101 127.0.0.1", "completed 101 net::ERR_WS_UPGRADE"}

// want waits for the end of a handshake and compares its events.
func (l *socketLog) want(t *testing.T, url string, want ...string) {
	t.Helper()
	if got := next(t, l.ended); got != url {
		t.Errorf("the URL is %s, want %s", got, url)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.events, want) {
		t.Errorf("the events are\n%s\nwant\n%s", strings.Join(l.events, "\n"), strings.Join(want, "\n"))
	}
	if len(l.ids) != 1 {
		t.Errorf("the ids are %v", l.ids)
	}
	l.events, l.ids = nil, map[uint64]bool{}
}

func TestWebRequest_WebSocketsEventsComeInElectronsOrder(t *testing.T) {
	s, page, server := socketPage(t)
	l := newSocketLog(t, s.WebRequest())
	gate := server.WSURL("localhost", "/ws?")
	t.Run("CX52 of one that opens", func(t *testing.T) {
		for _, url := range []string{gate, server.WSSURL("good.test", "/ws?x=1")} {
			if got := socketSaid(t, page, url, "hello"); got != "hello" {
				t.Errorf("%s said %q", url, got)
			}
			l.want(t, url, socketOpens...)
		}
	})
	t.Run("of one that the server refuses", func(t *testing.T) {
		server.Handle("/ws-refused", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
		for _, url := range []string{server.WSURL("localhost", "/ws-refused"), server.WSSURL("good.test", "/ws-refused")} {
			if got := socketSaid(t, page, url, ""); got != "failed" {
				t.Errorf("%s said %q", url, got)
			}
			l.want(t, url, "request", "send websocket", "sent websocket", "received HTTP/1.1 403 Forbidden  127.0.0.1", "started 403 127.0.0.1", "error net::ERR_FAILED")
		}
	})
	closed := closedPort(t)
	_, dead, _ := net.SplitHostPort(closed)
	for name, c := range map[string]struct{ url, code string }{
		"of a server that is not there":       {"ws://a.test:" + dead + "/", "net::ERR_CONNECTION_REFUSED"},
		"of a wss server that is not there":   {"wss://a.test:" + dead + "/", "net::ERR_CONNECTION_REFUSED"},
		"of a name that there is not":         {"ws://nowhere.invalid/", "net::ERR_NAME_NOT_RESOLVED"},
		"of a certificate that is refused":    {server.WSSURL(fixture.SelfSignedHost, "/ws"), "net::ERR_CERT_AUTHORITY_INVALID"},
		"of one that the server hangs up on":  {server.WSURL("localhost", "/drop"), "net::ERR_EMPTY_RESPONSE"},
		"of plain text where TLS is expected": {strings.Replace(gate, "ws:", "wss:", 1), "net::ERR_SSL_PROTOCOL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := socketSaid(t, page, c.url, ""); got != "failed" {
				t.Errorf("said %q", got)
			}
			events := []string{"request", "send websocket", "sent websocket", "error " + c.code}
			l.want(t, c.url, events...)
		})
	}
}
