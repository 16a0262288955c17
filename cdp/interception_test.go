package cdp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// fakePage is a fake browser with one page in an interception.
func fakePage(t *testing.T) (*fakeBrowser, *Interception, *Tree) {
	life, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	i := NewInterception(life)
	f, tree := fakeTree(t, TreeOptions{
		Adopt: func(t *Target) ([]Command, bool) { return i.Join(t), true },
		Gone:  func(t *Target) { i.Leave(t) },
	})
	f.attach("", sid("S"), `{"targetId":"P","type":"page"}`)
	f.expectAll(sid("S"), "Page.enable", "Page.getFrameTree", "Target.setAutoAttach", "Runtime.runIfWaitingForDebugger")
	return f, i, tree
}

func patternsOf(t *testing.T, cmd fakeCommand) string {
	var p struct {
		Patterns           []Pattern `json:"patterns"`
		HandleAuthRequests bool      `json:"handleAuthRequests"`
	}
	if err := json.Unmarshal(cmd.Params, &p); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, pattern := range p.Patterns {
		all = append(all, pattern.URLPattern)
	}
	return fmt.Sprint(strings.Join(all, " "), " auth ", p.HandleAuthRequests)
}

func TestInterceptionIsOnOnlyWhileSomebodyAsksForIt(t *testing.T) {
	f, i, tree := fakePage(t)
	removeB := i.Add(&Route{Order: 2, Patterns: []Pattern{{URLPattern: "b*"}}})
	if got := patternsOf(t, f.expect("Fetch.enable")); got != "b* auth false" {
		t.Error(got)
	}
	removeA := i.Add(&Route{Order: 1, Patterns: []Pattern{{URLPattern: "a*"}}, Auth: func(context.Context, *PausedRequest) *AuthResponse { return nil }})
	if got := patternsOf(t, f.expect("Fetch.enable")); got != "a* b* auth true" {
		t.Error(got)
	}

	// A new target has it in its set-up, before its resume; a dedicated worker has no such domain.
	f.attach("", sid("S2"), `{"targetId":"P2","type":"page"}`)
	armed := f.expectAll(sid("S2"), "Page.enable", "Page.getFrameTree", "Target.setAutoAttach", "Fetch.enable", "Runtime.runIfWaitingForDebugger")
	if got := patternsOf(t, armed[3]); got != "a* b* auth true" {
		t.Error(got)
	}
	f.attach(sid("S2"), sid("W"), `{"targetId":"W","type":"worker"}`)
	f.expectAll(sid("W"), "Target.setAutoAttach", "Runtime.runIfWaitingForDebugger")
	f.detach("", sid("S2"))
	f.sync(tree.Conn())

	removeA()
	if got := patternsOf(t, f.expect("Fetch.enable")); got != "b* auth false" {
		t.Error(got)
	}
	removeB()
	removeB() // again, harmlessly
	f.expectAll(sid("S"), "Fetch.disable")
	if len(i.targets) != 1 {
		t.Errorf("%d targets are left", len(i.targets))
	}
}

func TestARouteCanBeForOneTarget(t *testing.T) {
	f, i, tree := fakePage(t)
	f.attach("", sid("S2"), `{"targetId":"P2","type":"page"}`)
	f.expectAll(sid("S2"), "Page.enable", "Page.getFrameTree", "Target.setAutoAttach", "Runtime.runIfWaitingForDebugger")
	asked := make(chan *PausedRequest, 2)
	remove := i.Add(&Route{Target: tree.Target("P2"), Patterns: []Pattern{{URLPattern: "a*"}}, Handle: func(ctx context.Context, p *PausedRequest) bool {
		asked <- p
		return false
	}})
	if cmd := f.expect("Fetch.enable"); cmd.SessionID != sid("S2") {
		t.Errorf("it was switched on in %s", cmd.SessionID)
	}
	defer i.Add(&Route{Patterns: []Pattern{{URLPattern: "b*"}}})()
	got := map[string]string{}
	for range 2 {
		cmd := f.expect("Fetch.enable")
		got[cmd.SessionID] = patternsOf(t, cmd)
	}
	if got[sid("S")] != "b* auth false" || got[sid("S2")] != "a* b* auth false" {
		t.Errorf("the patterns are %v", got)
	}
	f.event(sid("S"), "Fetch.requestPaused", `{"requestId":"1","request":{"url":"a"}}`)
	f.expect("Fetch.continueRequest")
	f.event(sid("S2"), "Fetch.requestPaused", `{"requestId":"2","request":{"url":"a"}}`)
	f.expect("Fetch.continueRequest")
	if p := await(t, "a request", asked); p.RequestID != "2" || len(asked) > 0 {
		t.Errorf("it was asked for %s, and %d more", p.RequestID, len(asked))
	}
	remove()
	if cmd := f.expect("Fetch.enable"); cmd.SessionID != sid("S2") || patternsOf(t, cmd) != "b* auth false" {
		t.Errorf("after it was removed: %s in %s", patternsOf(t, cmd), cmd.SessionID)
	}
}

func TestAPausedRequestGoesToTheRoutesInTheirOrder(t *testing.T) {
	f, i, _ := fakePage(t)
	asked := make(chan string, 10)
	add := func(name string, order int, handled bool) {
		i.Add(&Route{Order: order, Handle: func(ctx context.Context, p *PausedRequest) bool {
			asked <- name + " " + p.Request.URL
			if handled && strings.HasSuffix(p.Request.URL, name) {
				p.Fail(ctx, "BlockedByClient")
				return true
			}
			return false
		}})
		f.expect("Fetch.enable")
	}
	add("third", 3, false)
	add("first", 1, true)
	add("second", 1, true) // added later, asked later
	paused := func(id, url string) {
		f.event(sid("S"), "Fetch.requestPaused", fmt.Sprintf(`{"requestId":%q,"request":{"url":%q,"method":"GET","headers":{}}}`, id, url))
	}
	paused("r1", "http://x/second")
	if cmd := f.expect("Fetch.failRequest"); !strings.Contains(string(cmd.Params), `"r1"`) {
		t.Errorf("got %s", cmd.Params)
	} else {
		f.reply(cmd, "{}")
	}
	paused("r2", "http://x/none")
	if cmd := f.expect("Fetch.continueRequest"); !strings.Contains(string(cmd.Params), `"r2"`) {
		t.Errorf("got %s", cmd.Params)
	}
	for _, want := range []string{"first http://x/second", "second http://x/second", "first http://x/none", "second http://x/none", "third http://x/none"} {
		if got := await(t, "a question", asked); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	}
	// One that cannot be understood does not stand still for ever.
	f.event(sid("S"), "Fetch.requestPaused", `{"requestId":"r3","request":{"url":7}}`)
	if cmd := f.expect("Fetch.continueRequest"); !strings.Contains(string(cmd.Params), `"r3"`) {
		t.Errorf("got %s", cmd.Params)
	}
}

func TestAHandlersContextEndsWithItsTarget(t *testing.T) {
	f, i, _ := fakePage(t)
	started, ended := make(chan struct{}), make(chan struct{})
	i.Add(&Route{Handle: func(ctx context.Context, _ *PausedRequest) bool {
		close(started)
		<-ctx.Done()
		close(ended)
		return true
	}})
	f.expect("Fetch.enable")
	f.event(sid("S"), "Fetch.requestPaused", `{"requestId":"r1","request":{"url":"http://x/"}}`)
	await(t, "the handler", started)
	f.detach("", sid("S"))
	await(t, "its end", ended)
}

func TestARealPagesRequestsAreIntercepted(t *testing.T) {
	i := NewInterception(t.Context())
	tree := chromiumTree(t, TreeOptions{
		Adopt: func(t *Target) ([]Command, bool) { return i.Join(t), true },
		Gone:  func(t *Target) { i.Leave(t) },
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, password, _ := r.BasicAuth(); {
		case r.URL.Path == "/secret" && password != "sesame":
			w.Header().Set("WWW-Authenticate", `Basic realm="cave"`)
			w.WriteHeader(401)
		default:
			io.WriteString(w, "real "+r.URL.Path)
		}
	}))
	defer server.Close()
	page := newPage(t, tree, server.URL+"/page")
	get := "fetch('/%s').then(r => r.text()).catch(e => 'failed')"
	remove := i.Add(&Route{
		Patterns: []Pattern{{}},
		Handle: func(ctx context.Context, p *PausedRequest) bool {
			switch {
			case strings.HasSuffix(p.Request.URL, "/made"):
				p.Fulfill(ctx, Response{Code: 200, Body: []byte("made up")})
			case strings.HasSuffix(p.Request.URL, "/blocked"):
				p.Fail(ctx, "BlockedByClient")
			default:
				return false
			}
			return true
		},
		Auth: func(_ context.Context, p *PausedRequest) *AuthResponse {
			if p.AuthChallenge.Realm != "cave" {
				return nil
			}
			return &AuthResponse{Response: "ProvideCredentials", Username: "ali", Password: "sesame"}
		},
	})
	for path, want := range map[string]string{"made": "made up", "blocked": "failed", "other": "real /other", "secret": "real /secret"} {
		if got := mustEvaluate(t, page.Session, fmt.Sprintf(get, path)); got != `"`+want+`"` {
			t.Errorf("/%s is %s, want %s", path, got, want)
		}
	}
	remove()
	if got := mustEvaluate(t, page.Session, fmt.Sprintf(get, "made")); got != `"real /made"` {
		t.Errorf("after the end /made is %s", got)
	}
}

func TestARequestKeepsItsHandlerWhenTheLastRouteGoes(t *testing.T) {
	f, i, tree := fakePage(t)
	gate, started := make(chan struct{}), make(chan struct{})
	remove := i.Add(&Route{Patterns: []Pattern{{}}, Handle: func(ctx context.Context, p *PausedRequest) bool {
		close(started)
		<-gate
		p.Fail(ctx, "BlockedByClient")
		return true
	}})
	f.expect("Fetch.enable")
	f.event(sid("S"), "Fetch.requestPaused", `{"requestId":"interception-job-7.0","request":{"url":"http://x/"}}`)
	await(t, "the handler", started)
	remove()
	if got := patternsOf(t, f.expect("Fetch.enable")); got != "nothing: auth false" {
		t.Errorf("without a route the patterns are %s", got)
	}
	// One that was paused in between goes on.
	f.event(sid("S"), "Fetch.requestPaused", `{"requestId":"interception-job-8.0","request":{"url":"http://x/"}}`)
	if cmd := f.expect("Fetch.continueRequest"); !strings.Contains(string(cmd.Params), "interception-job-8.0") {
		t.Errorf("got %s", cmd.Params)
	}
	close(gate)
	f.reply(f.expect("Fetch.failRequest"), "{}")
	f.expectAll(sid("S"), "Fetch.disable")
	f.sync(tree.Conn())
}

func TestAHeaderThatChromiumRefusesIsLeftOut(t *testing.T) {
	f, i, _ := fakePage(t)
	i.Add(&Route{Patterns: []Pattern{{}}, Handle: func(_ context.Context, p *PausedRequest) bool {
		p.Changes.Headers = append(p.Request.Headers(), Header{"Host", "elsewhere"}, Header{"X-Last", "2"})
		return false
	}})
	f.expect("Fetch.enable")
	f.event(sid("S"), "Fetch.requestPaused", `{"requestId":"interception-job-7.0","request":{"url":"http://x/","headers":{"X-First":"1","x-case":"Kept"}}}`)
	cmd := f.expect("Fetch.continueRequest")
	f.refuse(cmd, `{"code":-32602,"message":"Unsafe header: Host"}`)
	again := f.expect("Fetch.continueRequest")
	want := `{"requestId":"interception-job-7.0","headers":[{"name":"X-First","value":"1"},{"name":"x-case","value":"Kept"},{"name":"X-Last","value":"2"}]}`
	if string(again.Params) != want {
		t.Errorf("again it was sent with %s", again.Params)
	}
}

func TestAJobIsTheSameOverRedirectsAndNeverAgain(t *testing.T) {
	first, second, later := PausedRequest{RequestID: "interception-job-7.0", arming: 1}, PausedRequest{RequestID: "interception-job-7.1", arming: 1}, PausedRequest{RequestID: "interception-job-7.0", arming: 2}
	if first.Job() != second.Job() || first.Job() == later.Job() || first.Job() == 0 {
		t.Errorf("the jobs are %d, %d and %d", first.Job(), second.Job(), later.Job())
	}
}
