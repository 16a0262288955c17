package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// fixed is a resolver with one answer.
type fixed Route

func (f fixed) Route(context.Context, *url.URL) (Route, error) { return Route(f), nil }

// resolverFunc is a resolver by a function.
type resolverFunc func(*url.URL) (Route, error)

func (f resolverFunc) Route(_ context.Context, u *url.URL) (Route, error) { return f(u) }

// awake is a gateway that listens.
func awake(t testing.TB, o Options) *Gateway {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	if err := g.Wake(); err != nil {
		t.Fatal(err)
	}
	return g
}

// browser is a client that uses a gateway as Chromium does.
func browser(t testing.TB, g *Gateway) *http.Client {
	t.Helper()
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: g.Addr()}), DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

// got is the body of a successful GET.
func got(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tcpServer serves each connection by a function, on 127.0.0.1 or [::1].
func tcpServer(t testing.TB, address string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	open := map[net.Conn]bool{}
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			work.Go(func() {
				defer func() {
					c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	return l.Addr().String()
}

// dead is an address where nobody listens.
func dead(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// httpProxy is a proxy that counts what it is asked for. authorized answers
// 407 with a challenge, "" lets pass.
type httpProxy struct {
	addr       string
	connects   atomic.Int32
	requests   atomic.Int32
	authorized func(*http.Request) (challenge string)
	status     atomic.Int32 // what CONNECT is answered with, 0 for 200
}

func newHTTPProxy(t testing.TB) *httpProxy {
	p := &httpProxy{}
	p.addr = tcpServer(t, "127.0.0.1:0", p.serve)
	return p
}

func (p *httpProxy) hop() Hop { return Hop{Kind: HTTP, Addr: p.addr} }

func (p *httpProxy) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if p.authorized != nil {
			if challenge := p.authorized(q); challenge != "" {
				io.Copy(io.Discard, q.Body)
				fmt.Fprintf(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: %s\r\nContent-Length: 0\r\n\r\n", challenge)
				continue
			}
		}
		if q.Method == "CONNECT" {
			p.connects.Add(1)
			if s := p.status.Load(); s != 0 {
				fmt.Fprintf(c, "HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", s)
				return
			}
			up, err := net.Dial("tcp", q.Host)
			if err != nil {
				io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
				return
			}
			defer up.Close()
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			go func() {
				io.Copy(up, r)
				up.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(c, up)
			return
		}
		p.requests.Add(1)
		q.RequestURI = ""
		a, err := http.DefaultTransport.RoundTrip(q)
		if err != nil {
			io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
			return
		}
		a.Write(c)
		a.Body.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	}
}

// socksProxy speaks SOCKS4, 4a and 5. user is who may use it, "" is everybody.
func socksProxy(t testing.TB, user, password string, saw func(string)) string {
	return tcpServer(t, "127.0.0.1:0", func(c net.Conn) {
		r := bufio.NewReader(c)
		version, _ := r.ReadByte()
		var target string
		answer := []byte{0, 90, 0, 0, 0, 0, 0, 0}
		switch version {
		case 4:
			b := make([]byte, 7)
			io.ReadFull(r, b)
			r.ReadString(0)
			host := net.IP(b[3:7]).String()
			if b[3] == 0 && b[4] == 0 && b[5] == 0 {
				host, _ = r.ReadString(0)
				host = strings.TrimSuffix(host, "\x00")
			}
			target = net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(b[1:3])))
			saw("4 " + target)
		case 5:
			n, _ := r.ReadByte()
			io.ReadFull(r, make([]byte, n))
			if user != "" {
				c.Write([]byte{5, 2})
				r.ReadByte()
				got := [2]string{}
				for i := range got {
					n, _ := r.ReadByte()
					b := make([]byte, n)
					io.ReadFull(r, b)
					got[i] = string(b)
				}
				if got != [2]string{user, password} {
					c.Write([]byte{1, 1})
					return
				}
				c.Write([]byte{1, 0})
			} else {
				c.Write([]byte{5, 0})
			}
			b := make([]byte, 4)
			io.ReadFull(r, b)
			var host string
			switch b[3] {
			case 1, 4:
				ip := make([]byte, map[byte]int{1: 4, 4: 16}[b[3]])
				io.ReadFull(r, ip)
				host = net.IP(ip).String()
			case 3:
				n, _ := r.ReadByte()
				name := make([]byte, n)
				io.ReadFull(r, name)
				host = string(name)
			}
			port := make([]byte, 2)
			io.ReadFull(r, port)
			target = net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(port)))
			saw("5 " + target)
			answer = []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		}
		up, err := net.Dial("tcp", target)
		if err != nil {
			answer[1] = 91
			c.Write(answer)
			return
		}
		defer up.Close()
		c.Write(answer)
		go io.Copy(up, r)
		io.Copy(c, up)
	})
}

// raw is a connection to a gateway with a deadline.
func raw(t testing.TB, g *Gateway) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(15 * time.Second))
	return c.(*net.TCPConn)
}

// connected is a tunnel to a server.
func connected(t testing.TB, g *Gateway, target string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c := raw(t, g)
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", target)
	r := bufio.NewReader(c)
	if h, err := readHead(r); err != nil || h.status() != 200 {
		t.Fatalf("CONNECT %s: %+v %v", target, h, err)
	}
	return c, r
}

// echo sends back what it gets, and ends when the client does.
func echo(c net.Conn) { io.Copy(c, c) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// quiet drops what servers log of broken connections.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
