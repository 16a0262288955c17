package bridge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// connections waits until a server has so many open connections.
func connections(t *testing.T, server *fixture.Server, n int) {
	t.Helper()
	ctx := testContext(t)
	for server.OpenConnections() != n {
		select {
		case <-ctx.Done():
			t.Fatalf("%d connections are open, want %d", server.OpenConnections(), n)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestCloseAllConnections_ClosesThoseOfItsSessionOnly(t *testing.T) {
	// A server each: Chromium may open a connection more than a page needs.
	server, others := fixture.New(t), fixture.New(t)
	closing, other := namedSession(t, "closing"), namedSession(t, "other")
	const again = `fetch("/small?" + Math.random()).then(r => r.status)`
	page, control := testPage(t, closing, server.URL("a.test", "/")), testPage(t, other, others.URL("a.test", "/"))
	want(t, page, again, 200)
	want(t, control, again, 200)
	accepted, kept := server.Connections(), others.Connections()
	if err := closing.CloseAllConnections(testContext(t)); err != nil {
		t.Fatal(err)
	}
	connections(t, server, 0)
	want(t, control, again, 200)
	if n := others.Connections(); n != kept {
		t.Errorf("the other session has %d new connections", n-kept)
	}
	want(t, page, again, 200)
	if server.Connections() == accepted {
		t.Error("the session has no new connection")
	}
}

func TestCloseAllConnections_FailsRequestsOfDocumentsThatAreUnderWay(t *testing.T) {
	server := fixture.New(t)
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			page, loading := testPage(t, s, server.URL("a.test", "/")), testPage(t, s, server.URL("a.test", "/"))
			if _, err := Evaluate[any](testContext(t), page, `window.never = fetch("/never").then(() => "answered", e => e.name); 1`); err != nil {
				t.Fatal(err)
			}
			loaded := make(chan error, 1)
			go func() {
				loaded <- loading.LoadURL(context.Background(), server.URL("a.test", "/never?page"), LoadOptions{})
			}()
			for range 2 {
				if _, err := server.WaitRequest(testContext(t), "/never"); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.CloseAllConnections(testContext(t)); err != nil {
				t.Fatal(err)
			}
			want(t, page, `never`, "TypeError")
			var failed *LoadError
			if err := next(t, loaded); !errors.As(err, &failed) || failed.Code != "net::ERR_ABORTED" {
				t.Errorf("loading: %v", err)
			}
		})
	}
}

func TestResolveHost(t *testing.T) {
	server := sharedServer(t)
	o := testOptions(server, "")
	o.Args = append(o.Args[1:], "--host-resolver-rules=MAP ipv4.localhost2 10.0.0.1, MAP ipv6.localhost2 [::1], MAP notfound.localhost2 ~NOTFOUND")
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	created, err := b.FromPartition(testContext(t), "created", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ipv4, ipv6 := []ResolvedEndpoint{{"10.0.0.1", "ipv4"}}, []ResolvedEndpoint{{"::1", "ipv6"}}
	for _, test := range []struct {
		name, host, query string
		want              []ResolvedEndpoint
	}{
		{"SES-0906 resolves ipv4.localhost2", "ipv4.localhost2", "", ipv4},
		{"SES-0922 resolves ipv6.localhost2", "ipv6.localhost2", "", ipv6},
		{"SES-0930 has no A record of ipv6.localhost2", "ipv6.localhost2", "A", nil},
		{"SES-0938 fails for notfound.localhost2", "notfound.localhost2", "", nil},
		{"an IPv6 address", "::1", "AAAA", ipv6},
		{"what is no host", "http://ipv4.localhost2/", "", nil},
		{"nothing", "", "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, s := range []*Session{b.DefaultSession(), created} {
				got, err := s.ResolveHost(testContext(t), test.host, ResolveHostOptions{QueryType: test.query})
				if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.want != nil) {
					t.Errorf("%v: %v, %s", s.title(), err, diff)
				}
				if test.want == nil && !strings.Contains(err.Error(), "net::ERR_NAME_NOT_RESOLVED") {
					t.Error(err)
				}
			}
		})
	}
	if _, err := created.ResolveHost(testContext(t), "x", ResolveHostOptions{QueryType: "MX"}); !errors.As(err, new(*InvalidArgumentError)) {
		t.Errorf("a wrong query type: %v", err)
	}
}

// nameServer counts the questions that it is asked by DNS over HTTPS, and knows
// all names to be this machine.
type nameServer struct {
	mu    sync.Mutex
	asked map[string]int
}

func (n *nameServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	question, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("dns"))
	var m dnsmessage.Message
	if err != nil || m.Unpack(question) != nil || len(m.Questions) != 1 {
		http.Error(w, "no question", http.StatusBadRequest)
		return
	}
	q := m.Questions[0]
	m.Header.Response, m.Additionals = true, nil
	if q.Type == dnsmessage.TypeA {
		n.mu.Lock()
		n.asked[q.Name.String()]++
		n.mu.Unlock()
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 3600},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/dns-message")
	w.Write(answer)
}

func (n *nameServer) count(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[name+"."]
}

func TestClearHostResolverCache_MakesItsSessionAskAgain(t *testing.T) {
	server := fixture.New(t)
	names := &nameServer{asked: map[string]int{}}
	server.Handle("/dns-query", names.ServeHTTP)
	o := testOptions(server, "")
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	at, err := b.DefaultSession().place(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"DnsOverHttpsMode": "secure", "DnsOverHttpsTemplates": server.TLSURL("127.0.0.1", "/dns-query{?dns}")} {
		if err := at.host.setPolicy(testContext(t), name, value); err != nil {
			t.Fatal(err)
		}
	}
	ctx := testContext(t)
	for { // the policies take effect a moment later
		if _, err := b.DefaultSession().ResolveHost(ctx, "ready.example", ResolveHostOptions{}); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	clearing, err := b.FromPartition(testContext(t), "clearing", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(s *Session, asks int) {
		t.Helper()
		before := names.count("name.example")
		got, err := s.ResolveHost(testContext(t), "name.example", ResolveHostOptions{QueryType: "A"})
		if err != nil || fmt.Sprint(got) != "[{127.0.0.1 ipv4}]" {
			t.Fatalf("%v: %v, %v", s.title(), got, err)
		}
		if n := names.count("name.example") - before; n != asks {
			t.Errorf("%v asked %d times, want %d", s.title(), n, asks)
		}
	}
	for _, s := range []*Session{clearing, b.DefaultSession()} {
		resolve(s, 1)
		resolve(s, 0)
	}
	if err := clearing.ClearHostResolverCache(testContext(t)); err != nil {
		t.Fatal(err)
	}
	resolve(clearing, 1)
	resolve(b.DefaultSession(), 0)
}
