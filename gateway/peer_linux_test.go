package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestGateway_WhoHasGoneIsNobody(t *testing.T) {
	var reached atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached.Add(1) }))
	defer server.Close()
	asked := make(chan Peer, 1000)
	g, err := New(Options{Allow: func(p Peer) error {
		asked <- p
		return errors.New("a stranger")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Wake(); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 60_000)
	for range 100 {
		conn, err := net.Dial("tcp", g.Addr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", server.URL, len(body), body)
		conn.(*net.TCPConn).SetLinger(0) // a reset: the kernel then knows nobody at the other end
		conn.Close()
	}
	conn, err := net.Dial("tcp", g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadAll(conn); err != nil { // it is served after the others
		t.Fatal(err)
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d requests of nobody went through", n)
	}
	for len(asked) > 0 {
		if p := <-asked; !p.Known {
			t.Errorf("an unknown peer was asked for: %+v", p)
		}
	}
}
