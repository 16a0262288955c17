package bridge

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/coder/websocket"
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

// socketRequest are the headers with which a WebSocket last came to the server,
// nil if none did.
func socketRequest(t testing.TB, server *fixture.Server, url string) http.Header {
	t.Helper()
	_, uri, _ := strings.Cut(strings.SplitN(url, "://", 2)[1], "/")
	for _, r := range slices.Backward(server.Requests()) {
		if r.URI == "/"+uri && r.Header.Get("Upgrade") != "" {
			return r.Header
		}
	}
	return nil
}

// socketLog records the events of WebSockets.
type socketLog struct{ webRequestLog }

func newSocketLog(t testing.TB, w *WebRequest) *socketLog {
	l := &socketLog{webRequestLog{ids: map[uint64]bool{}, ended: make(chan string, 100)}}
	add := func(d *RequestDetails, event ...any) {
		l.add(d, strings.TrimSuffix(fmt.Sprintln(event...), "\n"))
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
	l.have(t, want...)
}

func TestWebRequest_WebSocketsEventsComeInElectronsOrder(t *testing.T) {
	t.Parallel()
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

func TestWebRequest_WRQ0831_WebSocketsPassAllEvents(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	w, added := s.WebRequest(), webRequestAdded(t)
	added(w.OnBeforeSendHeaders(WebRequestFilter{}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
		d.RequestHeaders.Set("Foo", "bar")
		return BeforeSendHeadersResult{RequestHeaders: d.RequestHeaders}
	}))
	sent, received := make(chan Headers, 10), make(chan Headers, 10)
	started, ended := make(chan string, 10), make(chan string, 10)
	added(w.OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { sent <- d.RequestHeaders }))
	added(w.OnHeadersReceived(WebRequestFilter{}, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
		received <- d.ResponseHeaders
		return HeadersReceivedResult{}
	}))
	added(w.OnResponseStarted(WebRequestFilter{}, func(_ context.Context, d *ResponseStartedDetails) {
		started <- fmt.Sprint(d.StatusCode, " ", d.ResponseHeaders.Get("Upgrade"))
	}))
	added(w.OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) { ended <- d.Error }))

	if got := webRequestSent(webRequestEcho(t, page, "/echo"), "Foo"); got != "bar" {
		t.Errorf("the server of a fetch got %q", got)
	}
	next(t, sent)
	next(t, received)
	if a, b := next(t, started), next(t, ended); a != "200 " || b != "net::OK" {
		t.Errorf("a fetch started with %q and ended with %s", a, b)
	}
	for _, path := range []string{server.WSURL("localhost", "/ws?0831"), server.WSSURL("good.test", "/ws?0831")} {
		if got := socketSaid(t, page, path, "there"); got != "there" {
			t.Errorf("the socket said %q", got)
		}
		if got := socketRequest(t, server, path).Get("Foo"); got != "bar" {
			t.Errorf("the server of the socket got %q", got)
		}
		if h := next(t, sent); h.Get("Upgrade") != "websocket" || h.Get("Foo") != "bar" || h.Get("Host") == "" || h.Get("Sec-WebSocket-Key") == "" {
			t.Errorf("sent %v", h)
		}
		if h := next(t, received); h.Get("Upgrade") != "websocket" || h.Get("Sec-WebSocket-Accept") == "" {
			t.Errorf("received %v", h)
		}
		if a, b := next(t, started), next(t, ended); a != "101 websocket" || b != "net::ERR_WS_UPGRADE" {
			t.Errorf("started with %q and ended with %s", a, b)
		}
	}
}

func TestWebRequest_ListenersCancelAndChangeWebSockets(t *testing.T) {
	s, server := memorySession(t), sharedServer(t)
	w := s.WebRequest()
	for base, from := range map[string]string{
		server.WSURL("localhost", "/ws?changes-"):  server.URL("localhost", "/fetches?n=0"),
		server.WSSURL("good.test", "/ws?changes-"): server.TLSURL("good.test", "/fetches?n=0"),
	} {
		scheme, _, _ := strings.Cut(base, ":")
		page := testPage(t, s, from)
		evaluated[any](t, page, `document.cookie = "own=1"`)
		t.Run(scheme+" cancelled before the request", func(t *testing.T) {
			l, url := newSocketLog(t, w), base+"1"
			before := server.Connections()
			webRequestAdded(t)(w.OnBeforeRequest(socketFilter, webRequestCancel))
			if got := socketSaid(t, page, url, ""); got != "failed" {
				t.Errorf("the page sees %s", got)
			}
			l.want(t, url, "request", "error net::ERR_BLOCKED_BY_CLIENT")
			if n := server.Connections() - before; n != 0 {
				t.Errorf("%d connections reached the server", n)
			}
		})
		t.Run(scheme+" cancelled before its headers", func(t *testing.T) {
			l, url := newSocketLog(t, w), base+"2"
			before := server.Connections()
			webRequestAdded(t)(w.OnBeforeSendHeaders(socketFilter, func(context.Context, *BeforeSendHeadersDetails) BeforeSendHeadersResult {
				return BeforeSendHeadersResult{Cancel: true}
			}))
			if got := socketSaid(t, page, url, ""); got != "failed" {
				t.Errorf("the page sees %s", got)
			}
			l.want(t, url, "request", "send websocket", "error net::ERR_BLOCKED_BY_CLIENT")
			if n := server.Connections() - before; n != 0 {
				t.Errorf("%d connections reached the server", n)
			}
		})
		t.Run(scheme+" cancelled at its answer", func(t *testing.T) {
			l, url := newSocketLog(t, w), base+"3"
			webRequestAdded(t)(w.OnHeadersReceived(socketFilter, func(context.Context, *HeadersReceivedDetails) HeadersReceivedResult {
				return HeadersReceivedResult{Cancel: true}
			}))
			if got := socketSaid(t, page, url, ""); got != "failed" {
				t.Errorf("the page sees %s", got)
			}
			l.want(t, url, append(slices.Clone(socketOpens[:4]), "error net::ERR_BLOCKED_BY_CLIENT")...)
		})
		t.Run(scheme+" with other headers", func(t *testing.T) {
			url := base + "4"
			webRequestAdded(t)(w.OnBeforeSendHeaders(socketFilter, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
				if got := d.RequestHeaders.Get("Cookie"); got != "own=1" {
					t.Errorf("the cookies are %q", got)
				}
				return BeforeSendHeadersResult{RequestHeaders: Headers{{Name: "cookie", Value: "own=2"}, {Name: "X-Added", Value: "yes"}, {Name: "HOST", Value: "wrong.test"}}}
			}))
			if got := socketSaid(t, page, url, "there"); got != "there" {
				t.Errorf("the page sees %s", got)
			}
			h := socketRequest(t, server, url)
			if h.Get("Cookie") != "own=2" || h.Get("X-Added") != "yes" || h.Get("User-Agent") != "" || h.Get("Sec-WebSocket-Version") != "13" {
				t.Errorf("the server got %v", h)
			}
		})
		t.Run(scheme+" with another answer", func(t *testing.T) {
			url := base + "5"
			remove := webRequestAdded(t)(w.OnHeadersReceived(socketFilter, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
				d.ResponseHeaders.Add("Set-Cookie", "answered="+scheme)
				return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders}
			}))
			if got := socketSaid(t, page, url, "there"); got != "there" {
				t.Errorf("the page sees %s", got)
			}
			want(t, page, fmt.Sprintf("document.cookie.includes('answered=%s')", scheme), true)
			remove()
			l := newSocketLog(t, w)
			webRequestAdded(t)(w.OnHeadersReceived(socketFilter, func(_ context.Context, d *HeadersReceivedDetails) HeadersReceivedResult {
				return HeadersReceivedResult{ResponseHeaders: d.ResponseHeaders, StatusLine: "HTTP/1.1 404 Not Found"}
			}))
			if got := socketSaid(t, page, url, ""); got != "failed" {
				t.Errorf("the page sees %s", got)
			}
			l.want(t, url, append(slices.Clone(socketOpens[:4]), "started 404 127.0.0.1", "error net::ERR_FAILED")...)
		})
		t.Run(scheme+" is not redirected, as in Electron", func(t *testing.T) {
			l, url := newSocketLog(t, w), base+"6"
			webRequestAdded(t)(w.OnBeforeRequest(socketFilter, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
				return BeforeRequestResult{RedirectURL: base + "elsewhere"}
			}))
			if got := socketSaid(t, page, url, "there"); got != "there" {
				t.Errorf("the page sees %s", got)
			}
			l.want(t, url, socketOpens...)
			if socketRequest(t, server, url) == nil {
				t.Error("it did not come to its server")
			}
		})
	}
}

// What comes after the handshake is not touched.
func TestWebRequest_WebSocketsThatAreSeenWorkAsOthers(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	server.Handle("/ws-deflate", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			InsecureSkipVerify: true, Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover,
		})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	})
	l := newSocketLog(t, s.WebRequest())
	for _, url := range []string{server.WSURL("localhost", "/ws-deflate"), server.WSSURL("good.test", "/ws-deflate")} {
		got := evaluated[string](t, page, `async url => {
			const ws = new WebSocket(url, ["chat", "other"])
			ws.binaryType = "arraybuffer"
			await new Promise((done, fail) => { ws.onopen = done; ws.onerror = fail })
			const sent = new Uint8Array(10_000_000).map((_, i) => i * 7)
			ws.send(sent)
			const back = new Uint8Array(await new Promise(done => ws.onmessage = e => done(e.data)))
			const same = back.length === sent.length && back.every((b, i) => b === sent[i])
			const {protocol, extensions} = ws
			ws.close(4321, "enough")
			const end = await new Promise(done => ws.onclose = done)
			return [same, protocol, extensions.split(";")[0], end.wasClean, end.code].join(" ")
		}`, url)
		if got != "true chat permessage-deflate true 4321" {
			t.Errorf("%s: %s", url, got)
		}
		l.want(t, url, socketOpens...)
	}
}

func TestWebRequest_SeesTheWebSocketsOfWorkers(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	server.Handle("/socket-workers/{kind}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		talk := fmt.Sprintf("(%s)(%q, 'hello')", socketTalk, server.WSSURL("good.test", "/ws?"+r.PathValue("kind")))
		io.WriteString(w, map[string]string{
			"worker":  talk + ".then(postMessage)",
			"shared":  "onconnect = e => " + talk + ".then(m => e.ports[0].postMessage(m))",
			"service": "onmessage = e => e.waitUntil(" + talk + ".then(m => e.source.postMessage(m)))",
		}[r.PathValue("kind")])
	})
	l := newSocketLog(t, s.WebRequest())
	for kind, expression := range map[string]string{
		"worker":  `new Promise(done => new Worker("/socket-workers/worker").onmessage = e => done(e.data))`,
		"shared":  `new Promise(done => new SharedWorker("/socket-workers/shared").port.onmessage = e => done(e.data))`,
		"service": `navigator.serviceWorker.register("/socket-workers/service").then(r => new Promise(done => { navigator.serviceWorker.onmessage = e => done(e.data); (r.installing || r.active).postMessage("") }))`,
	} {
		t.Run(kind, func(t *testing.T) {
			want(t, page, expression, "hello")
			l.want(t, server.WSSURL("good.test", "/ws?"+kind), socketOpens...)
		})
	}
}

// chromiumsOwn reports whether a hello is of Chromium's TLS: it offers a suite
// that there is not (RFC 8701).
func chromiumsOwn(h fixture.Handshake) bool {
	return slices.ContainsFunc(h.Hello.CipherSuites, func(suite uint16) bool { return suite&0x0f0f == 0x0a0a })
}

func TestWebRequest_OnlyWebSocketsThatAreListenedToLeaveChromiumsTLS(t *testing.T) {
	t.Parallel()
	b, server := ownBrowser(t)
	s := sessionOf(t, b, "own", PartitionOptions{})
	page := testPage(t, s, server.URL("localhost", "/"))
	own := func(host string) bool {
		t.Helper()
		h, err := server.WaitHandshake(testContext(t), host)
		if err != nil {
			t.Fatal(err)
		}
		return chromiumsOwn(h)
	}
	listen := func(f WebRequestFilter) (remove func()) {
		t.Helper()
		remove, err := s.WebRequest().OnBeforeRequest(f, func(context.Context, *BeforeRequestDetails) BeforeRequestResult { return BeforeRequestResult{} })
		if err != nil {
			t.Fatal(err)
		}
		return remove
	}
	for _, f := range []WebRequestFilter{{URLs: []string{"http://*/*", "https://*/*", "file:///*"}}, {URLs: []string{"<all_urls>"}, Types: []ResourceType{ResourceXHR}}} {
		remove := listen(f)
		if s.outlet.present() != nil {
			t.Errorf("%v wakes the gateway", f)
		}
		remove()
	}
	remove := listen(WebRequestFilter{URLs: []string{"wss://seen.test/*", "*://*.below.test/ws"}})
	for host, want := range map[string]bool{"seen.test": false, "a.below.test": false, "other.test": true} {
		if got := socketSaid(t, page, server.WSSURL(host, "/ws"), "x"); got != "x" || own(host) != want {
			t.Errorf("%s said %q, by Chromium's TLS %v", host, got, !want)
		}
	}
	testPage(t, s, server.TLSURL("seen.test", "/"))
	if !own("seen.test") {
		t.Error("a page does not come by Chromium's own TLS")
	}
	remove()
	if got := socketSaid(t, page, server.WSSURL("seen.test", "/ws"), "x"); got != "x" || !own("seen.test") {
		t.Errorf("without a listener %q, not by Chromium's TLS", got)
	}
}

func TestWebRequest_WebSocketsOfASessionWithAProxyGoByIt(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	proxy := newHTTPProxy(t, "")
	setProxy(t, s, ProxyConfig{ProxyRules: proxy.addr()})
	l := newSocketLog(t, s.WebRequest())
	for _, url := range []string{server.WSURL("a.test", "/ws?proxy"), server.WSSURL("good.test", "/ws?proxy")} {
		if got := socketSaid(t, page, url, "by the proxy"); got != "by the proxy" {
			t.Errorf("%s said %q", url, got)
		}
		l.want(t, url, socketOpens...)
		if asked := proxy.requests(); !slices.ContainsFunc(asked, func(r string) bool { return strings.Contains(url, strings.TrimPrefix(r, "CONNECT ")) }) {
			t.Errorf("the proxy was asked for %v", asked)
		}
	}
}

func TestWebRequest_WebSocketsOfTwoSessionsAndOfEachKind(t *testing.T) {
	server := sharedServer(t)
	url := server.WSSURL("good.test", "/ws?two")
	other, otherPage, _ := socketPage(t)
	webRequestAdded(t)(other.WebRequest().OnBeforeRequest(socketFilter, webRequestCancel))
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			page := testPage(t, s, server.URL("localhost", "/fetches?n=0"))
			if got := socketSaid(t, page, url, "mine"); got != "mine" {
				t.Errorf("without a listener it said %q", got)
			}
			l := newSocketLog(t, s.WebRequest())
			if got := socketSaid(t, page, url, "mine"); got != "mine" {
				t.Errorf("it said %q", got)
			}
			l.want(t, url, socketOpens...)
			if got := socketSaid(t, otherPage, url, "mine"); got != "failed" {
				t.Errorf("the other session's said %q", got)
			}
		})
	}
}

func TestWebRequest_AListenerOfWebSocketsHoldsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	w := s.WebRequest()
	l := newSocketLog(t, w)
	held := make(chan context.Context, 10)
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{URLs: []string{"ws://*/*held"}}, func(ctx context.Context, _ *BeforeRequestDetails) BeforeRequestResult {
		held <- ctx
		<-ctx.Done()
		return BeforeRequestResult{}
	}))
	url := server.WSURL("localhost", "/ws?held")
	evaluated[bool](t, page, "url => { globalThis.waiting = new WebSocket(url); return true }", url)
	next(t, held)
	if got := socketSaid(t, page, server.WSURL("localhost", "/ws?other"), "passes"); got != "passes" {
		t.Errorf("another one said %q", got)
	}
	next(t, l.ended)
	evaluated[any](t, page, "waiting.close()")
	next(t, l.ended)
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.events[len(l.events)-1]; last != "error net::ERR_ABORTED" {
		t.Errorf("the one that was given up ended with %s", last)
	}
}

func TestWebRequest_AListenerAddsListenersOfWebSockets(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	w, seen := s.WebRequest(), make(chan string, 10)
	webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{URLs: []string{"http://*/*"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
		for range 2 {
			webRequestAdded(t)(w.OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
				seen <- d.URL
				return BeforeRequestResult{}
			}))
		}
		return BeforeRequestResult{}
	}))
	if got := webRequestFetch(t, page, "/small"); got != "small" {
		t.Errorf("a fetch got %q", got)
	}
	for len(seen) > 0 {
		<-seen
	}
	url := server.WSURL("localhost", "/ws?added")
	if got := socketSaid(t, page, url, "x"); got != "x" || next(t, seen) != url {
		t.Errorf("it said %q", got)
	}
}

func TestWebRequest_ASessionWithoutAGatewayDoesNotSeeWebSockets(t *testing.T) {
	server := sharedServer(t)
	s := sessionOf(t, sharedBrowser(t), t.Name(), PartitionOptions{NoGateway: true})
	page := testPage(t, s, server.URL("localhost", "/fetches?n=0"))
	l := newSocketLog(t, s.WebRequest())
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, webRequestCancel))
	if got := socketSaid(t, page, server.WSURL("localhost", "/ws"), "x"); got != "x" || len(l.events) > 0 {
		t.Errorf("it said %q, after %v", got, l.events)
	}
	if got := webRequestFetch(t, page, "/small"); got != "failed" {
		t.Errorf("a fetch got %q", got)
	}
}

func TestWebRequest_SeesWebSocketsAfterACrash(t *testing.T) {
	server := sharedServer(t)
	s := namedSession(t, "persist:"+t.Name())
	testPage(t, s, server.URL("localhost", "/fetches?n=0"))
	l := newSocketLog(t, s.WebRequest())
	kill(t, s)
	page := testPage(t, s, server.URL("localhost", "/fetches?n=0"))
	url := server.WSSURL("good.test", "/ws?again")
	if got := socketSaid(t, page, url, "again"); got != "again" {
		t.Errorf("it said %q", got)
	}
	l.want(t, url, socketOpens...)
}

// Chromium knows only the gateway, and the listeners hear of the server.
func TestWebRequest_TheIPIsThatOfTheServer(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("the machine has no second loopback address: ", err)
	}
	other := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	})}
	go other.Serve(l)
	defer other.Close()
	ips := make(chan string, 10)
	webRequestAdded(t)(s.WebRequest().OnCompleted(WebRequestFilter{}, func(_ context.Context, d *CompletedDetails) { ips <- d.IP }))
	webRequestFetch(t, page, server.URL("localhost", "/small"))
	if got := next(t, ips); got != "127.0.0.1" {
		t.Errorf("the IP is %s", got)
	}
	webRequestFetch(t, page, "http://"+l.Addr().String()+"/")
	if got := next(t, ips); got != "127.0.0.2" {
		t.Errorf("the IP is %s", got)
	}
}

func TestWebRequest_ListenersOfWebSocketsLeaveOtherRequestsAlone(t *testing.T) {
	t.Parallel()
	s, page, server := socketPage(t)
	before := webRequestDomains(t, page)
	l := newSocketLog(t, s.WebRequest())
	if now := webRequestDomains(t, page); now != before {
		t.Errorf("it was %s, and is %s", before, now)
	}
	webRequestAdded(t)(s.WebRequest().OnCompleted(WebRequestFilter{URLs: []string{"ws://*/*"}}, func(context.Context, *CompletedDetails) {}))
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: []string{"http://*/*"}}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult {
		return BeforeRequestResult{}
	}))
	webRequestFetch(t, page, server.URL("localhost", "/small"))
	traffic := s.WebRequest().traffic
	traffic.mu.Lock()
	if n := len(traffic.following); n != 0 {
		t.Errorf("%d requests are followed", n)
	}
	traffic.mu.Unlock()
	url := server.WSURL("localhost", "/ws?alone")
	if got := socketSaid(t, page, url, "x"); got != "x" {
		t.Errorf("it said %q", got)
	}
	l.want(t, url, socketOpens...)
}
