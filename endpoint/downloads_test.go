package endpoint

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestDownloads_AClientDecidesWhereAFileGoesAndIsToldOfItsEnd(t *testing.T) {
	s, dir := serve(t, Options{}), t.TempDir()
	c := dial(t, s.ws(s.partition("downloads")))
	c.call("", "Session.enable", map[string]any{})
	c.call("", "Session.setDownloadHandler", map[string]any{"enabled": true})
	c.call("", "Session.downloadURL", map[string]any{"url": shared.site.URL("a.test", "/download/range?size=5000&name=a.bin")})
	asked := c.event("Session.willDownload")
	item := asked.field("item").(map[string]any)
	if item["filename"] != "a.bin" || item["totalBytes"] != 5000.0 || asked.field("targetId") != nil {
		t.Errorf("asked %s", asked.Params)
	}
	path := filepath.Join(dir, "made", "b.bin")
	c.call("", "Session.answerWillDownload", map[string]any{"requestId": asked.field("requestId"), "savePath": path})
	done := c.event("Session.downloadDone")
	if item := done.field("item").(map[string]any); done.field("state") != "completed" || item["savePath"] != path {
		t.Errorf("told %s", done.Params)
	}
	if data, err := os.ReadFile(path); string(data) != string(fixture.Content(0, 5000)) || err != nil {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if got := c.call("", "Session.downloadGet", map[string]any{"id": item["id"]})["item"].(map[string]any); got["state"] != "completed" {
		t.Errorf("it is %v", got)
	}
	if f := c.try("", "Session.downloadPause", map[string]any{"id": "none"}); f.Error == nil || f.Error.Code != -32602 {
		t.Errorf("a download that there is not: %+v", f)
	}
	if f := c.try("", "Session.createInterruptedDownload", map[string]any{"path": path, "urlChain": []string{"http://a.test/"}, "length": 0}); f.Error == nil || f.Error.Message != "Must pass non-empty path, urlChain and length." {
		t.Errorf("no length: %+v", f.Error)
	}
}

func TestDownloads_WhatIsPreventedOrNotAnsweredIsCancelled(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("prevented")
	c, watcher := dial(t, s.ws(partition)), dial(t, s.ws(partition))
	watcher.call("", "Session.enable", map[string]any{})
	c.call("", "Session.setDownloadHandler", map[string]any{"enabled": true})
	for _, end := range []func(asked frame){
		func(asked frame) {
			c.call("", "Session.answerWillDownload", map[string]any{"requestId": asked.field("requestId"), "preventDefault": true})
		},
		func(frame) { c.ws.CloseNow() },
	} {
		c.call("", "Session.downloadURL", map[string]any{"url": shared.site.URL("a.test", "/download/range?size=5000&name=c.bin")})
		end(c.event("Session.willDownload"))
		if done := watcher.event("Session.downloadDone"); done.field("state") != "cancelled" && done.field("state") != "" {
			t.Errorf("told %s", done.Params)
		}
	}
}

func TestDownloads_AScopedTokenOpensItsDirectoriesOnly(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, Options{ScopedTokens: []ScopedToken{{Partition: "scoped-downloads", Token: "scoped-downloads", Dirs: []string{dir}}}})
	c := dial(t, "ws://"+s.address+"/devtools/browser/scoped-downloads?token=scoped-downloads")
	outside := filepath.Join(filepath.Dir(dir), "outside")
	for method, params := range map[string]map[string]any{
		"Session.setDownloadPath":           {"path": outside},
		"Session.createInterruptedDownload": {"path": outside, "urlChain": []string{"http://a.test/"}, "length": 1},
		"Session.downloadURL":               {"url": "file:///etc/passwd"},
		"Session.answerWillDownload":        {"requestId": "1", "savePath": outside},
	} {
		if f := c.try("", method, params); f.Error == nil || f.Error.Code != -32000 {
			t.Errorf("%s: %+v", method, f)
		}
	}
	c.call("", "Session.setDownloadPath", map[string]any{"path": dir})
}
