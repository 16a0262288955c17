package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/cdpbridge/cdpbridge/bridge"
)

func TestTokens_WithoutTheRightOneThereIsNothing(t *testing.T) {
	s := serve(t, Options{ScopedTokens: []ScopedToken{{Partition: "mine", Token: "scoped"}}})
	all := s.Token()
	for _, c := range []struct {
		method, path, bearer string
		want                 int
	}{
		{"GET", "/healthz", "", 200},
		{"GET", "/json/version", "", 401},
		{"GET", "/json/version", "wrong", 401},
		{"GET", "/json/version", all, 200},
		{"GET", "/json/version/?token=" + all, "", 200},
		{"GET", "/json/version?token=" + all[:20], "", 401},
		{"GET", "/json/version", "scoped", 200},
		{"GET", "/json/version?partition=mine", "scoped", 200},
		{"GET", "/json/version?partition=yours", "scoped", 401},
		{"GET", "/json/list?partition=persist%3A", "scoped", 401},
		{"GET", "/t/scoped/p/mine/json/list/", "", 200},
		{"GET", "/t/scoped/p/yours/json/list", "", 401},
		{"GET", "/t/scoped/p/mine/../yours/json/list", "", 404},
		{"GET", "/t/scoped/p/yours%2F..%2Fmine/json/list", "", 401},
		{"GET", "/devtools/browser/yours", "scoped", 401},
		{"GET", "/devtools/browser/yours?partition=mine", "scoped", 401},
		{"GET", "/devtools/browser/mine/../yours", "scoped", 404},
		{"GET", "/devtools/page/nosuchpage", "scoped", 404},
		{"GET", "/metrics", "scoped", 401},
		{"GET", "/metrics", all, 200},
		{"GET", "/metrics", "", 401},
		{"GET", "/json/new?about:blank", all, 405},
		{"PUT", "/json/new?about:blank", "", 401},
		{"GET", "/json/close/nosuchpage", all, 404},
		{"GET", "/nothing", all, 404},
	} {
		header := http.Header{}
		if c.bearer != "" {
			header.Set("Authorization", "Bearer "+c.bearer)
		}
		if status, body := s.request(c.method, "http://"+s.address+c.path, header); status != c.want {
			t.Errorf("%s %s with %q: %d %s, want %d", c.method, c.path, c.bearer, status, body, c.want)
		}
	}
	_, body := s.request("GET", "http://"+s.address+"/json/version", http.Header{"Authorization": {"Bearer scoped"}})
	if !strings.Contains(body, "/devtools/browser/mine?token=scoped") {
		t.Errorf("a scoped token without a partition means %s", body)
	}
}

func TestRequests_OfOtherSitesAndUnderOtherNamesAreRefused(t *testing.T) {
	s := serve(t, Options{AllowHosts: []string{"bridge.example"}})
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{s.address, "", 200},
		{"localhost:1", "", 200},
		{"bridge.example", "", 200},
		{"bridge.example:80", "http://bridge.example:80", 200},
		{"rebound.example", "", 403},
		{"127.0.0.2", "", 403},
		{s.address, "http://" + s.address, 200},
		{s.address, "https://" + s.address, 403},
		{s.address, "http://evil.example", 403},
		{s.address, "null", 403},
		{"localhost", "http://" + s.address, 403},
	} {
		header := http.Header{"Host": {c.host}}
		if c.origin != "" {
			header.Set("Origin", c.origin)
		}
		if status, body := s.request("GET", "http://"+s.address+"/json/version?token="+s.Token(), header); status != c.want {
			t.Errorf("host %q, origin %q: %d %s, want %d", c.host, c.origin, status, body, c.want)
		}
	}
}

func TestListen_BeyondThisMachineTakesATokenAndTLS(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:1"} {
		if l, err := Listen(testContext(t), ListenOptions{Address: address, TokenGiven: true}); err == nil {
			l.Close()
			t.Errorf("it listens on %s", address)
		}
	}
	l, err := Listen(testContext(t), ListenOptions{Address: "0.0.0.0:0", Unprotected: true})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	path := filepath.Join(t.TempDir(), "socket")
	for range 2 { // a socket that was left is replaced
		l, err := Listen(testContext(t), ListenOptions{Address: "unix:" + path})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: %v", info, err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
}

// A page in the driven browser that knows the token still has no access.
func TestPages_CannotDriveTheBrowserThatShowsThem(t *testing.T) {
	s := serve(t, Options{})
	c := dial(t, s.ws(s.partition("page")))
	_, page := c.page(shared.site.URL("a.test", "/page/evil"))
	outcome := c.evaluate(page, fmt.Sprintf(`new Promise(done => {
		const ws = new WebSocket(%q);
		ws.onopen = () => done('open');
		ws.onerror = () => done('refused');
	})`, s.ws("elsewhere")))
	if outcome != "refused" {
		t.Errorf("the WebSocket is %v", outcome)
	}
	if s.present("elsewhere") != nil {
		t.Error("the page has created a session")
	}
}

func TestScopedToken_KeepsToTheWebAndToItsFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	inside := filepath.Join(dir, "inside.txt")
	secret := filepath.Join(outside, "secret.txt")
	for _, path := range []string{inside, secret} {
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link.txt")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{})
	partition := s.partition("scoped")
	s.Server.tokens = newTokens(s.Token(), []ScopedToken{{Partition: partition, Token: "scoped", Dirs: []string{dir}}})
	c := dial(t, strings.Replace(s.ws(partition), s.Token(), "scoped", 1))
	_, page := c.page(shared.site.URL("a.test", "/page/scoped"))
	for _, address := range []string{"file:///etc/passwd", "FILE:///etc/passwd", " file:///etc/passwd", "fi\nle:///etc/passwd", "chrome://version", "about:version",
		"devtools://devtools/bundled/inspector.html", "view-source:http://a.test/", "chrome-untrusted://terminal/"} {
		for _, command := range []struct{ session, method string }{{page, "Page.navigate"}, {"", "Target.createTarget"}, {page, "Network.loadNetworkResource"}} {
			if f := c.try(command.session, command.method, map[string]any{"url": address}); f.Error == nil || !strings.Contains(f.Error.Message, "not open to this token") {
				t.Errorf("%s of %q: %+v %v", command.method, address, f.Error, f.Result)
			}
		}
	}
	c.evaluate(page, "document.body.innerHTML = '<input type=file>'")
	root := c.call(page, "DOM.getDocument", map[string]any{})["root"].(map[string]any)["nodeId"]
	input := c.call(page, "DOM.querySelector", map[string]any{"nodeId": root, "selector": "input"})["nodeId"]
	for path, open := range map[string]bool{inside: true, secret: false, link: false, dir + "/../" + filepath.Base(outside) + "/secret.txt": false, "inside.txt": false} {
		f := c.try(page, "DOM.setFileInputFiles", map[string]any{"files": []string{path}, "nodeId": input})
		if (f.Error == nil) != open {
			t.Errorf("%s: %+v", path, f.Error)
		}
		f = c.try(page, "Session.netLogStart", map[string]any{"path": path + ".json"})
		if f.Error == nil {
			c.call(page, "Session.netLogStop", map[string]any{})
		}
		if open != (f.Error == nil) && path != link { // beside the link it is inside
			t.Errorf("a net log at %s.json: %+v", path, f.Error)
		}
	}
	for method, params := range map[string]any{
		"Session.fetch":                          map[string]any{"url": "file:///etc/passwd"},
		"Session.setProxy":                       map[string]any{"pacScript": "file:///etc/passwd"},
		"Session.allowNTLMCredentialsForDomains": map[string]any{"domains": "*"},
		"Session.setPreloads":                    map[string]any{"preloads": []string{secret}},
		"Page.setDownloadBehavior":               map[string]any{"behavior": "allow", "downloadPath": outside},
	} {
		if f := c.try(page, method, params); f.Error == nil {
			t.Errorf("%s is not refused: %v", method, f.Result)
		}
	}
	if status, body := s.request("PUT", "http://"+s.address+"/json/new?file:///etc/passwd", http.Header{"Authorization": {"Bearer scoped"}}); status == 200 {
		t.Errorf("a file is opened: %s", body)
	}
}

func TestClients_CannotReachAnotherSession(t *testing.T) {
	s := serve(t, Options{})
	mine, theirs := dial(t, s.ws(s.partition("mine"))), dial(t, s.ws(s.partition("theirs")))
	target, session := theirs.page(shared.site.URL("a.test", "/page/theirs"))
	context_ := theirs.call("", "Target.createBrowserContext", map[string]any{})["browserContextId"]
	window := theirs.call("", "Browser.getWindowForTarget", map[string]any{"targetId": target})["windowId"]
	for _, c := range []struct {
		session, method string
		params          any
	}{
		{"", "Target.attachToTarget", map[string]any{"targetId": target, "flatten": true}},
		{"", "Target.closeTarget", map[string]any{"targetId": target}},
		{"", "Target.getTargetInfo", map[string]any{"targetId": target}},
		{session, "Runtime.evaluate", map[string]any{"expression": "1"}},
		{"", "Target.detachFromTarget", map[string]any{"sessionId": session}},
		{"", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context_}},
		{"", "Target.disposeBrowserContext", map[string]any{"browserContextId": context_}},
		{"", "Storage.getCookies", map[string]any{"browserContextId": context_}},
		{"", "Browser.setPermission", map[string]any{"permission": map[string]any{"name": "geolocation"}, "setting": "denied", "browserContextId": context_}},
		{"", "Browser.setDownloadBehavior", map[string]any{"behavior": "deny", "browserContextId": context_}},
		{"", "Browser.setWindowBounds", map[string]any{"windowId": window, "bounds": map[string]any{"width": 10}}},
		{"", "Browser.crash", map[string]any{}},
		{"", "Browser.crashGpuProcess", map[string]any{}},
		{"", "Target.exposeDevToolsProtocol", map[string]any{"targetId": target}},
		{"", "Target.setRemoteLocations", map[string]any{"locations": []any{}}},
		{"", "SystemInfo.getProcessInfo", map[string]any{}},
		{"", "Fetch.enable", map[string]any{}},
	} {
		if f := mine.try(c.session, c.method, c.params); f.Error == nil {
			t.Errorf("%s: %v", c.method, f.Result)
		}
	}
	if title := theirs.evaluate(session, "document.title"); title != "theirs" {
		t.Errorf("the page is %v", title)
	}
}

func TestFrames_BrokenAndHugeOnesEndNothingElse(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("frames")
	other := dial(t, s.ws(partition))
	c := dial(t, s.ws(partition))
	for _, text := range []string{"", "{", "[]", "null", `{"id":1}`, `{"id":"x","method":"a"}`, `{"id":1,"method":"Browser.getVersion","method":"Browser.close"}`,
		`{"id":1,"id":2,"method":"Browser.getVersion"}`, `{"id":1,"method":"Target.createTarget","params":{"url":"about:blank","url":"chrome://crash"}}`,
		"{\"id\":1,\"method\":\"Browser.getVersion\",\"params\":{\"\x00\":1}}", `{"id":1,"method":"Page.enable","sessionId":"\",\"x\":\""}`, strings.Repeat("[", 100_000)} {
		if err := c.ws.Write(testContext(t), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if f, err := c.read(); err != nil || f.Error == nil {
			t.Errorf("%.80q: %+v %v", text, f, err)
		}
	}
	_, page := c.page("about:blank")
	text := strings.Repeat("x", 20<<20)
	if n := c.evaluate(page, "'"+text+"'.length"); n != float64(len(text)) {
		t.Errorf("a frame of 20 MiB: %v", n)
	}
	if value := c.evaluate(page, fmt.Sprintf("'x'.repeat(%d)", len(text))); value != text {
		t.Error("a result of 20 MiB came otherwise")
	}
	c.ws.Write(testContext(t), websocket.MessageText, bytes.Repeat([]byte("x"), maxFrame+1))
	c.gone()
	other.call("", "Browser.getVersion", map[string]any{})
}

func TestClients_OneThatNeverReadsIsCutOffAndItsPagesClose(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("deaf")
	watcher := dial(t, s.ws(partition))
	watcher.call("", "Target.setDiscoverTargets", map[string]any{"discover": true})
	c := dial(t, s.ws(partition))
	_, page := c.page("about:blank")
	c.call(page, "Runtime.enable", map[string]any{})
	c.send(page, "Runtime.evaluate", map[string]any{"expression": "const big = 'x'.repeat(1e6); setInterval(() => { for (let i = 0; i < 10; i++) console.log(big + Math.random()); }, 1)"})
	watcher.event("Target.targetDestroyed")
	watcher.call("", "Browser.getVersion", map[string]any{})
}

func TestBrowserClose_EndsTheConnectionOnly(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("close")
	other, c := dial(t, s.ws(partition)), dial(t, s.ws(partition))
	c.call("", "Browser.close", map[string]any{})
	c.gone()
	other.call("", "Browser.getVersion", map[string]any{})
}

func TestPageConnection_IsOneWithThePage(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("page")
	status, text := s.request("PUT", s.http(partition, "/json/new?")+shared.site.URL("a.test", "/page/direct"), nil)
	var entry pageEntry
	if err := json.Unmarshal([]byte(text), &entry); err != nil || status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	c := dial(t, entry.WebSocketDebuggerURL)
	for c.evaluate("", "document.title") != "direct" {
	}
	c.call("", "Page.enable", map[string]any{})
	if info := c.call("", "Session.getInfo", map[string]any{}); info["partition"] != partition {
		t.Errorf("it is of %v", info["partition"])
	}
	if f := c.try("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": "other"}); f.Error == nil {
		t.Errorf("a page is made in another context: %v", f.Result)
	}
	if status, _ := s.request("GET", "http://"+s.address+"/json/close/"+entry.ID+"?token="+s.Token(), nil); status != 200 {
		t.Errorf("closing: %d", status)
	}
	c.gone()
}

func TestShutdown_EndsConnections(t *testing.T) {
	s, err := New(sharedBrowser(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(testContext(t), ListenOptions{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c := dial(t, fmt.Sprintf("ws://%s/devtools/browser/persist%%3A?token=%s", l.Addr(), s.Token()))
	c.call("", "Browser.getVersion", map[string]any{})
	ctx, cancel := context.WithTimeout(testContext(t), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	c.gone()
}

func TestPermissions_AClientSaysWhatItsPagesMay(t *testing.T) {
	s := serve(t, Options{})
	c := dial(t, s.ws(s.partition("permissions")))
	_, page := c.page(shared.site.TLSURL("a.test", "/page/permissions"))
	state := "navigator.permissions.query({name: 'geolocation'}).then(s => s.state)"
	grant := func(names ...string) {
		c.call("", "Browser.grantPermissions", map[string]any{"origin": shared.site.TLSURL("a.test", ""), "permissions": append([]string{}, names...)})
	}
	until := func(want string) {
		t.Helper()
		for ctx := testContext(t); c.evaluate(page, state) != want; {
			if ctx.Err() != nil {
				t.Fatalf("it is not %s", want)
			}
		}
	}
	grant()
	until("denied")
	grant("geolocation")
	until("granted")
	session := s.present(t.Name() + " permissions")
	session.SetPermissionCheckHandler(func(context.Context, bridge.PermissionCheck) bool { return false })
	until("granted") // the client's word is before the handler
}
