package bridge

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
)

// webRequestAlone is a session in memory with a process of its own.
func webRequestAlone(t testing.TB) *Session {
	t.Helper()
	ctx := testContext(t)
	s, err := sharedBrowser(t).FromPartition(ctx, t.Name(), PartitionOptions{OwnProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.WithoutCancel(ctx)) })
	return s
}

// The main script of a service worker arrives on no target of the session.
func TestWebRequest_SeesTheScriptOfAServiceWorkerOnceInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	s, server := webRequestAlone(t), sharedServer(t)
	var mu sync.Mutex
	var seen []string
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, strings.TrimPrefix(d.URL, server.URL("localhost", ""))+" "+string(d.ResourceType))
		return BeforeRequestResult{}
	}))
	page := testPage(t, s, server.URL("localhost", "/sw/"))
	eventually(t, page, "document.title === 'done'")
	mu.Lock()
	defer mu.Unlock()
	want := []string{"/sw/ mainFrame", "/sw/sw.js script"}
	if !slices.Equal(seen, want) {
		t.Errorf("seen are %q, want %q", seen, want)
	}
}

func TestWebRequest_CancelsTheScriptOfAServiceWorker(t *testing.T) {
	t.Parallel()
	s, server := webRequestAlone(t), sharedServer(t)
	remove := webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{URLs: []string{"*://*/sw/sw.js"}, Types: []ResourceType{ResourceScript}}, webRequestCancel))
	page := testPage(t, s, server.URL("127.0.0.1", "/sw/"))
	eventually(t, page, "document.title.startsWith('failed')")
	remove()
	at, _ := s.present()
	err := at.host.root().Call(testContext(t), "Fetch.continueRequest", map[string]string{"requestId": "none"}, nil)
	if err == nil || !strings.Contains(err.Error(), "not enabled") {
		t.Errorf("after the last listener the browser's domain answers %v", err)
	}
}

func TestWebRequest_ASharedProcessIsNotInterposed(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), sharedServer(t)
	webRequestAdded(t)(s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(context.Context, *BeforeRequestDetails) BeforeRequestResult { return BeforeRequestResult{} }))
	testPage(t, s, server.URL("a.test", "/fetches?n=1"))
	at, _ := s.present()
	err := at.host.root().Call(testContext(t), "Fetch.continueRequest", map[string]string{"requestId": "none"}, nil)
	if err == nil || !strings.Contains(err.Error(), "not enabled") {
		t.Errorf("the browser's domain answers %v", err)
	}
}
