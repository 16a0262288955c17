package bridge

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// loadHeaderExtension loads an extension that adds a header to all requests and
// listens to them with chrome.webRequest.
func loadHeaderExtension(t *testing.T, s *Session) {
	t.Helper()
	at, err := s.place(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	h := at.host
	files, err := chromium.OpenFiles(h.process.UserDataDir(), h.process.User())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if err := files.MkdirAll("Bridge/headers"); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"manifest.json": `{"manifest_version": 3, "name": "headers", "version": "1", "permissions": ["webRequest", "declarativeNetRequest"], "host_permissions": ["<all_urls>"],
			"background": {"service_worker": "worker.js"},
			"declarative_net_request": {"rule_resources": [{"id": "rules", "enabled": true, "path": "rules.json"}]}}`,
		"rules.json": `[{"id": 1, "action": {"type": "modifyHeaders", "requestHeaders": [{"header": "X-Extension", "operation": "set", "value": "was here"}]},
			"condition": {"urlFilter": "*", "resourceTypes": ["main_frame", "xmlhttprequest", "websocket"]}}]`,
		"worker.js": `chrome.webRequest.onBeforeRequest.addListener(() => {}, {urls: ["<all_urls>"]})`,
	} {
		if err := files.WriteFile("Bridge/headers/"+name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	params := map[string]string{"path": filepath.Join(h.process.UserDataDir(), "Bridge", "headers")}
	if err := h.root().Call(testContext(t), "Extensions.loadUnpacked", params, nil); err != nil {
		t.Fatal(err)
	}
}

func TestWebRequest_BesideAnExtension(t *testing.T) {
	b, server := ownBrowser(t)
	s := b.DefaultSession()
	loadHeaderExtension(t, s)
	asked, sent := make(chan string, 100), make(chan *SendHeadersDetails, 100)
	if _, err := s.WebRequest().OnBeforeRequest(WebRequestFilter{}, func(_ context.Context, d *BeforeRequestDetails) BeforeRequestResult {
		asked <- d.URL
		return BeforeRequestResult{}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WebRequest().OnSendHeaders(WebRequestFilter{}, func(_ context.Context, d *SendHeadersDetails) { sent <- d }); err != nil {
		t.Fatal(err)
	}
	until := func(t *testing.T, scheme string) *SendHeadersDetails {
		t.Helper()
		for {
			if d := next(t, sent); strings.HasPrefix(d.URL, scheme+"://a.test") {
				return d
			}
		}
	}
	page := testPage(t, s, server.URL("a.test", "/small"))
	t.Run("EXT-0432 CX53 the session's listener is called", func(t *testing.T) {
		if url := next(t, asked); url != server.URL("a.test", "/small") {
			t.Error(url)
		}
		if got := until(t, "http").RequestHeaders.Get("X-Extension"); got != "was here" {
			t.Errorf("of the extension's header it sees %q", got)
		}
	})
	t.Run("EXT-0460 for WebSockets, too", func(t *testing.T) {
		want(t, page, `new Promise(done => { const ws = new WebSocket("`+server.WSURL("a.test", "/ws")+`"); ws.onopen = () => done("open"); ws.onerror = () => done("error") })`, "open")
		if got := until(t, "ws").RequestHeaders.Get("X-Extension"); got != "was here" {
			t.Errorf("of the extension's header it sees %q", got)
		}
	})
}
