package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m, closeShared)) }

// shared is the browser that tests share, and the web server that they visit.
var shared struct {
	once    sync.Once
	browser *bridge.Browser
	site    *fixture.Server
	err     error
}

func sharedBrowser(t testing.TB) *bridge.Browser {
	t.Helper()
	shared.once.Do(func() {
		if shared.site, shared.err = fixture.Start(); shared.err != nil {
			return
		}
		serveClientsPages(shared.site)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		shared.browser, shared.err = bridge.Launch(ctx, bridge.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Args: []string{
			"--host-resolver-rules=" + shared.site.ResolverRules(),
			"--ignore-certificate-errors-spki-list=" + shared.site.SPKI(),
		}})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.browser
}

func closeShared() error {
	var errs []error
	if shared.browser != nil {
		errs = append(errs, shared.browser.Close())
	}
	if shared.site != nil {
		errs = append(errs, shared.site.Close())
	}
	return errors.Join(errs...)
}

// serveClientsPages serves a page with everything that clients look at.
func serveClientsPages(site *fixture.Server) {
	text := func(path, kind, body string) {
		site.Handle(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write([]byte(body))
		})
	}
	text("/clients", "text/html", `<title>outer</title><h1>outer</h1><script>
		const worker = new Worker('/clients/worker.js', {name: 'helper'});
		worker.onmessage = e => { window.answer = e.data; };
		worker.postMessage('hello');
		const frame = document.createElement('iframe');
		frame.src = new URLSearchParams(location.search).get('other') + '/clients/inner';
		document.body.append(frame);
		navigator.serviceWorker.register('/clients/service.js');
	</script>`)
	text("/clients/inner", "text/html", `<title>inner</title><p id="inner">inner</p>`)
	text("/clients/worker.js", "text/javascript", `onmessage = () => postMessage('from the worker');`)
	text("/clients/service.js", "text/javascript", `self.marker = 'service';`)
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// testServer is a server of the test's own on the shared browser.
type testServer struct {
	*Server
	t       testing.TB
	address string
}

func serve(t testing.TB, o Options) *testServer {
	t.Helper()
	s, err := New(sharedBrowser(t), o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(testContext(t), ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return &testServer{s, t, l.Addr().String()}
}

// partition is the name of a session in memory that ends with the test.
func (s *testServer) partition(name string) string {
	name = s.t.Name() + " " + name
	s.t.Cleanup(func() {
		if session := s.present(name); session != nil {
			session.Close(context.Background())
		}
	})
	return name
}

// http is an address below the prefix with the token and a partition.
func (s *testServer) http(partition, path string) string {
	return fmt.Sprintf("http://%s/t/%s/p/%s%s", s.address, s.Token(), url.PathEscape(partition), path)
}

func (s *testServer) ws(partition string) string {
	return fmt.Sprintf("ws://%s/devtools/browser/%s?token=%s", s.address, escapePartition(partition), s.Token())
}

// request asks the server and returns the status and the body.
func (s *testServer) request(method, address string, header http.Header) (int, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(testContext(s.t), method, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		r.Host = host
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body := make([]byte, 1<<22)
	n := 0
	for {
		more, err := response.Body.Read(body[n:])
		if n += more; err != nil {
			return response.StatusCode, string(body[:n])
		}
	}
}

// bareClient is a WebSocket and twenty lines.
type bareClient struct {
	t    testing.TB
	ws   *websocket.Conn
	next int
	seen []frame
}

type frame struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	SessionID string          `json:"sessionId"`
	Params    json.RawMessage `json:"params"`
	Result    map[string]any  `json:"result"`
	Error     *struct {
		Code    int
		Message string
	} `json:"error"`
}

func dial(t testing.TB, address string) *bareClient {
	t.Helper()
	ws, _, err := websocket.Dial(testContext(t), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	t.Cleanup(func() { ws.CloseNow() })
	return &bareClient{t: t, ws: ws}
}

func (c *bareClient) read() (f frame, err error) {
	_, text, err := c.ws.Read(testContext(c.t))
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	return f, err
}

func (c *bareClient) send(session, method string, params any) (id int) {
	c.t.Helper()
	c.next++
	text, err := json.Marshal(map[string]any{"id": c.next, "method": method, "params": params})
	if session != "" {
		text, err = json.Marshal(map[string]any{"id": c.next, "method": method, "params": params, "sessionId": session})
	}
	if err == nil {
		err = c.ws.Write(testContext(c.t), websocket.MessageText, text)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return c.next
}

// try sends a command and reads up to its answer.
func (c *bareClient) try(session, method string, params any) frame {
	c.t.Helper()
	id := c.send(session, method, params)
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("%s: %v", method, err)
		}
		if f.ID == id {
			return f
		}
		c.seen = append(c.seen, f)
	}
}

// call is try for a command that succeeds.
func (c *bareClient) call(session, method string, params any) map[string]any {
	c.t.Helper()
	f := c.try(session, method, params)
	if f.Error != nil {
		c.t.Fatalf("%s: %+v", method, f.Error)
	}
	return f.Result
}

// event is the next event of a method, of those that have come or come.
func (c *bareClient) event(method string) frame {
	c.t.Helper()
	for i, f := range c.seen {
		if f.Method == method {
			c.seen = append(c.seen[:i:i], c.seen[i+1:]...)
			return f
		}
	}
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", method, err)
		}
		if f.Method == method {
			return f
		}
		c.seen = append(c.seen, f)
	}
}

// page opens a page and attaches to it.
func (c *bareClient) page(address string) (targetID, session string) {
	c.t.Helper()
	targetID = c.call("", "Target.createTarget", map[string]any{"url": address})["targetId"].(string)
	session = c.call("", "Target.attachToTarget", map[string]any{"targetId": targetID, "flatten": true})["sessionId"].(string)
	for address != "about:blank" { // it is navigated once it is there
		f := c.try(session, "Runtime.evaluate", map[string]any{"expression": "location.href !== 'about:blank' && document.readyState === 'complete'"})
		if value, _ := f.Result["result"].(map[string]any); value["value"] == true {
			break
		}
	}
	return targetID, session
}

// evaluate is the value of an expression in a page.
func (c *bareClient) evaluate(session, expression string) any {
	c.t.Helper()
	r := c.call(session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	return r["result"].(map[string]any)["value"]
}

// gone reads until the connection ends.
func (c *bareClient) gone() {
	c.t.Helper()
	var ended net.Error
	for {
		if _, err := c.read(); err != nil {
			if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ended) && ended.Timeout() {
				c.t.Fatal("the connection lives on")
			}
			return
		}
	}
}

// installClients installs the clients of Node, once.
var installClients = sync.OnceValue(func() error {
	if _, err := os.Stat("clients/node_modules/playwright-core"); err == nil {
		return nil
	}
	out, err := exec.Command("npm", "ci", "--prefix", "clients", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
})
