package gateway

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
)

func TestPreconnect_TheNextConnectionsUseWhatWasMadeAhead(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	address := server.Listener.Addr().String()
	g := awake(t, Options{})
	for i, scheme := range []string{"http", "https"} {
		if err := g.Preconnect(t.Context(), &url.URL{Scheme: scheme, Host: address}, 4); err != nil {
			t.Fatal(err)
		}
		want := int32(4 * (i + 1))
		eventually(t, "four connections at the server", func() bool { return connections.Load() == want })
		if scheme == "http" {
			for range 4 {
				if s := got(t, browser(t, g), server.URL); s != "here" {
					t.Errorf("got %q", s)
				}
			}
		} else {
			for range 4 {
				c, r := connected(t, g, address)
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
				if h, err := readHead(r); err != nil || h.status() != 200 {
					t.Errorf("%+v %v", h, err)
				}
			}
		}
		if n := connections.Load(); n != want {
			t.Errorf("%s: %d connections, want %d", scheme, n, want)
		}
	}
	got(t, browser(t, g), server.URL)
	if n := connections.Load(); n != 9 {
		t.Errorf("%d connections, want 9", n)
	}
}

func TestPreconnect_WhatEndsIsNotUsed(t *testing.T) {
	accepted := make(chan net.Conn, 10)
	server := tcpServer(t, "127.0.0.1:0", func(c net.Conn) { accepted <- c; echo(c) })
	var gone atomic.Bool
	nobody := dead(t)
	g := awake(t, Options{MapHost: func(hostport string) (string, error) {
		if gone.Load() {
			return nobody, nil
		}
		return hostport, nil
	}})
	u := &url.URL{Scheme: "https", Host: server}
	if err := g.Preconnect(t.Context(), u, 2); err != nil {
		t.Fatal(err)
	}
	(<-accepted).(*net.TCPConn).CloseWrite()
	eventually(t, "one spare connection", func() bool { return g.Stats().Open == 1 })
	g.CloseConnections()
	eventually(t, "no spare connection", func() bool { return g.Stats().Open == 0 })
	if err := g.Preconnect(t.Context(), u, 2); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	if err := g.Preconnect(t.Context(), u, 2); err == nil {
		t.Error("a refused connection is no error")
	}
	g.Close()
	if n := g.Stats().Open; n != 0 {
		t.Errorf("%d connections are open after Close", n)
	}
	if err := g.Preconnect(t.Context(), u, 1); err == nil {
		t.Error("a closed gateway connects")
	}
}
