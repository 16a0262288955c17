package bridge

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestGateway_ServesItsOwnChromiumAlone(t *testing.T) {
	server := fixture.New(t)
	s := memorySession(t)
	setProxy(t, s, ProxyConfig{Mode: ProxyDirect})
	testPage(t, s, server.URL("a.test", "/"))
	conn, err := net.Dial("tcp", s.outlet.present().Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, "GET "+server.URL("127.0.0.1", "/page/alien")+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 {
		t.Errorf("another process is answered %q, %v", answer, err)
	}
	if server.Count("/page/alien") > 0 {
		t.Error("the request of another process went through")
	}
}

func TestGateway_IsRefusedToSessionsWithoutOne(t *testing.T) {
	s, err := sharedBrowser(t).FromPartition(testContext(t), t.Name(), PartitionOptions{NoGateway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for what, set := range map[string]func() error{
		"SetProxy":     func() error { return s.SetProxy(testContext(t), ProxyConfig{}) },
		"SetSSLConfig": func() error { return s.SetSSLConfig(testContext(t), SSLConfig{}) },
	} {
		if err := set(); !errors.As(err, new(*UnsupportedError)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if text := fetchedText(t, s, sharedServer(t).URL("127.0.0.1", "/small")); text == "" {
		t.Error("Fetch got nothing")
	}
}

func TestCloseAllConnections_EndsEverythingThatGoesThroughAGateway(t *testing.T) {
	server := fixture.New(t)
	server.Handle("/asks.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, `fetch("/begun").then(r => r.text()).then(() => postMessage("answered"), e => postMessage(e.name))`)
	})
	server.Handle("/begun", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s := memorySession(t)
	setProxy(t, s, ProxyConfig{Mode: ProxyDirect})
	page := testPage(t, s, server.URL("localhost", "/"))
	want(t, page, `new Promise(open => {
		window.worker = new Promise(done => new Worker("/asks.js").onmessage = e => done(e.data));
		const socket = new WebSocket("`+server.WSURL("localhost", "/ws")+`");
		window.socket = new Promise(done => socket.onclose = e => done(e.code));
		socket.onopen = () => open("open");
	})`, "open")
	if _, err := server.WaitRequest(testContext(t), "/begun"); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseAllConnections(testContext(t)); err != nil {
		t.Fatal(err)
	}
	want(t, page, `worker`, "TypeError")
	want(t, page, `socket`, 1006)
	want(t, page, `fetch("/small").then(r => r.status)`, 200)
}

func TestGateway_EndsWithItsSession(t *testing.T) {
	server := fixture.New(t)
	s, err := sharedBrowser(t).FromPartition(testContext(t), t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	setProxy(t, s, ProxyConfig{Mode: ProxyDirect})
	testPage(t, s, server.URL("a.test", "/"))
	address := s.outlet.present().Addr()
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	connections(t, server, 0)
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("the gateway of a closed session listens")
	}
	if err := s.SetProxy(testContext(t), ProxyConfig{}); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("setting the proxy of a closed session: %v", err)
	}
}
