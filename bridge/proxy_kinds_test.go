package bridge

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// newHTTPSProxy is an httpProxy that is spoken to over TLS, by the name
// proxy.test.
func newHTTPSProxy(t *testing.T, server *fixture.Server) *httpProxy {
	t.Helper()
	p := &httpProxy{}
	p.Server = httptest.NewUnstartedServer(p)
	p.Server.TLS = server.TLSConfig()
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

// socksProxy speaks SOCKS5, leads all hosts to this machine and counts what it is asked
// for.
type socksProxy struct {
	net.Listener
	mu    sync.Mutex
	asked []string
}

func newSOCKSProxy(t *testing.T) *socksProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &socksProxy{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *socksProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *socksProxy) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	hello := make([]byte, 2)
	if _, err := io.ReadFull(r, hello); err != nil {
		return
	}
	r.Discard(int(hello[1]))
	c.Write([]byte{5, 0})
	head := make([]byte, 5) // version, command, reserved, a name, its length
	if _, err := io.ReadFull(r, head); err != nil || head[3] != 3 {
		return
	}
	target := make([]byte, int(head[4])+2)
	if _, err := io.ReadFull(r, target); err != nil {
		return
	}
	port := strconv.Itoa(int(binary.BigEndian.Uint16(target[head[4]:])))
	p.mu.Lock()
	p.asked = append(p.asked, string(target[:head[4]])+":"+port)
	p.mu.Unlock()
	server, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return
	}
	defer server.Close()
	c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	go io.Copy(server, r)
	io.Copy(c, server)
}

func TestSetProxy_PagesGoByEachKindOfProxy(t *testing.T) {
	b, server := ownBrowser(t)
	plain, secure, socks := newHTTPProxy(t, ""), newHTTPSProxy(t, server), newSOCKSProxy(t)
	_, securePort, _ := net.SplitHostPort(secure.addr())
	var all sync.WaitGroup
	for rules, requests := range map[string]func() []string{
		"http://" + plain.addr():            plain.requests,
		"https://proxy.test:" + securePort:  secure.requests,
		"socks5://" + socks.Addr().String(): socks.requests,
	} {
		s, err := b.FromPartition(testContext(t), rules, PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		setProxy(t, s, ProxyConfig{ProxyRules: rules})
		all.Go(func() {
			for _, address := range []string{server.URL("a.test", "/page/one"), server.TLSURL("a.test", "/page/two")} {
				page, err := s.NewPage(testContext(t), address)
				if err != nil {
					t.Errorf("by %s: %v", rules, err)
					continue
				}
				page.Close(testContext(t))
			}
			if got := requests(); len(got) < 2 || !slices.ContainsFunc(got, func(asked string) bool { return strings.Contains(asked, "a.test") }) {
				t.Errorf("%s was asked for %v", rules, got)
			}
		})
	}
	all.Wait()
}

func TestSetProxy_AProxyOfHTTPSNeedsAGoodCertificate(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	proxy := newHTTPSProxy(t, server)
	_, port, _ := net.SplitHostPort(proxy.addr())
	s := memorySession(t)
	setProxy(t, s, ProxyConfig{ProxyRules: "https://self-signed.test:" + port})
	_, err := s.NewPage(testContext(t), server.URL("a.test", "/"))
	if loadCode(err) != "net::ERR_PROXY_CERTIFICATE_INVALID" {
		t.Errorf("%v", err)
	}
	if got := proxy.requests(); len(got) > 0 {
		t.Errorf("it was asked for %v", got)
	}
}

func TestGateway_PagesReachAddressesOfIPv6(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	for _, mode := range []string{"asleep", "awake"} {
		s := namedSession(t, mode)
		if mode == "awake" {
			setProxy(t, s, ProxyConfig{Mode: ProxyDirect})
		}
		page := testPage(t, s, server.URL+"/")
		want(t, page, "document.body.textContent", l.Addr().String())
		if sent := s.NetworkStats().BytesSent; (sent > 0) != (mode == "awake") {
			t.Errorf("%s: the gateway has sent %d bytes", mode, sent)
		}
	}
}
