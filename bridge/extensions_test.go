package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// extensionDir writes an extension with these files beside its manifest. The
// directory is open to the bridge alone.
func extensionDir(t *testing.T, manifest map[string]any, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]any{"manifest_version": 3, "name": "Red", "version": "1.2"}
	maps.Copy(all, manifest)
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	files = maps.Clone(files)
	if files == nil {
		files = map[string]string{}
	}
	files["manifest.json"] = string(data)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// extensionRed is an extension that paints every page red.
func extensionRed(t *testing.T) string {
	return extensionDir(t, map[string]any{
		"permissions":     []string{"storage"},
		"background":      map[string]any{"service_worker": "worker.js"},
		"content_scripts": []any{map[string]any{"matches": []string{"<all_urls>"}, "js": []string{"red.js"}, "run_at": "document_start"}},
	}, map[string]string{
		"red.js":    `document.documentElement.style.backgroundColor = 'red'`,
		"worker.js": `chrome.runtime.onMessage.addListener((m, s, answer) => answer('worker heard ' + m))`,
		"ui.html":   `<!doctype html><title>UI</title><script src="ui.js"></script>`,
		"ui.js":     `document.title = 'script ran'`,
	})
}

func extensionLoad(t *testing.T, s *Session, dir string, o LoadExtensionOptions) Extension {
	t.Helper()
	e, err := s.LoadExtension(testContext(t), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// extensionColour is the background of a new page of the session.
func extensionColour(t *testing.T, s *Session) string {
	t.Helper()
	page := testPage(t, s, shared.server.URL("a.test", "/page/extension"))
	defer page.Close(context.Background())
	return evaluated[string](t, page, `document.documentElement.style.backgroundColor`)
}

// extensionEvents collects the events of a session's extensions.
func extensionEvents(t *testing.T, s *Session) func(n int) []string {
	all := s.ExtensionEvents(testContext(t))
	events := make(chan ExtensionEvent, 100)
	go func() {
		for e := range all {
			events <- e
		}
	}()
	return func(n int) []string {
		t.Helper()
		var got []string
		for range n {
			select {
			case e := <-events:
				got = append(got, e.Type+" "+e.Extension.Name)
			case <-testContext(t).Done():
				t.Fatalf("the events were %v", got)
			}
		}
		return got
	}
}

func TestExtensions_LoadRunAndRemove(t *testing.T) {
	s := testSession(t, "persistent")
	next := extensionEvents(t, s)
	dir := extensionRed(t)
	e := extensionLoad(t, s, dir, LoadExtensionOptions{})
	t.Run("CX83 EXT-0240 loaded comes before ready", func(t *testing.T) {
		wantEqual(t, "events", next(2), []string{"extension-loaded Red", "extension-ready Red"})
	})
	t.Run("EXT-0209 what an extension is", func(t *testing.T) {
		wantEqual(t, "extension", []string{e.Name, e.Path, e.Version, e.URL, fmt.Sprint(e.Manifest["name"])}, []string{"Red", dir, "1.2", "chrome-extension://" + e.ID + "/", "Red"})
	})
	t.Run("EXT-0272 by its id", func(t *testing.T) {
		found, ok := s.Extension(e.ID)
		wantEqual(t, "extension", found, e)
		if _, none := s.Extension("nosuchid"); !ok || none {
			t.Error("the wrong ones are there")
		}
	})
	t.Run("EXT-0184 EXT-0716 its content script runs", func(t *testing.T) {
		wantEqual(t, "colour", extensionColour(t, s), "red")
	})
	t.Run("EXT-0278 in its session alone", func(t *testing.T) {
		wantEqual(t, "colour in the default session", extensionColour(t, testSession(t, "default")), "")
		wantEqual(t, "colour in memory", extensionColour(t, testSession(t, "memory")), "")
	})
	t.Run("EXT-0906 EXT-0916 EXT-1043 EXT-0371 its page, worker and storage", func(t *testing.T) {
		page := testPage(t, s, e.URL+"ui.html")
		wantEqual(t, "title", evaluated[string](t, page, `document.title`), "script ran")
		wantEqual(t, "answer", evaluated[string](t, page, `chrome.runtime.sendMessage('hello')`), "worker heard hello")
		evaluated[any](t, page, `chrome.storage.local.set({kept: 'yes'})`)
	})
	t.Run("it reloads itself", func(t *testing.T) {
		page := testPage(t, s, e.URL+"ui.html")
		_, _ = Evaluate[any](testContext(t), page, `void chrome.runtime.reload()`)
		wantEqual(t, "events", next(3), []string{"extension-unloaded Red", "extension-loaded Red", "extension-ready Red"})
	})
	t.Run("EXT-0264 EXT-0222 removed, with its storage kept", func(t *testing.T) {
		wantEqual(t, "extensions", s.Extensions(), []Extension{e})
		if err := s.RemoveExtension(testContext(t), e.ID); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "extensions", s.Extensions(), []Extension{})
		wantEqual(t, "events", next(1), []string{"extension-unloaded Red"})
		wantEqual(t, "colour", extensionColour(t, s), "")
		again := extensionLoad(t, s, dir, LoadExtensionOptions{})
		wantEqual(t, "the extension again", again, e)
		page := testPage(t, s, e.URL+"ui.html")
		wantEqual(t, "stored", evaluated[string](t, page, `chrome.storage.local.get('kept').then(all => all.kept)`), "yes")
	})
	if err := s.RemoveExtension(testContext(t), e.ID); err != nil {
		t.Fatal(err)
	}
}

func TestExtensions_Refused(t *testing.T) {
	s := testSession(t, "persistent")
	var invalid *InvalidArgumentError
	refuse := func(s *Session, dir, text string) error {
		t.Helper()
		_, err := s.LoadExtension(testContext(t), dir, LoadExtensionOptions{})
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("loading %s: %v, want %s", dir, err, text)
		}
		return err
	}
	if err := refuse(s, "relative", "The path to the extension in 'loadExtension' must be absolute"); !errors.As(err, &invalid) {
		t.Errorf("%T", err)
	}
	t.Run("EXT-0287 in memory", func(t *testing.T) {
		refuse(testSession(t, "memory"), extensionRed(t), "Extensions cannot be loaded in a temporary session")
	})
	refuse(s, "/no/such/directory", "Extension directory not found: /no/such/directory")
	t.Run("EXT-0197 without a manifest", func(t *testing.T) {
		dir := t.TempDir()
		refuse(s, dir, "Loading extension at "+dir+" failed with: Manifest file is missing or unreadable")
	})
	t.Run("EXT-0153 for a later Chromium", func(t *testing.T) {
		refuse(s, extensionDir(t, map[string]any{"minimum_chrome_version": "999"}, nil), "This extension requires Chromium version 999 or greater.")
	})
	for name, broken := range map[string]struct{ manifest, text string }{
		"bad JSON":       {`{"name": `, "failed with: "},
		"no name":        {`{"manifest_version": 3, "version": "1"}`, "name"},
		"no version":     {`{"manifest_version": 3, "name": "x"}`, "version"},
		"version 2":      {`{"manifest_version": 2, "name": "x", "version": "1"}`, "manifest version"},
		"missing script": {`{"manifest_version": 3, "name": "x", "version": "1", "content_scripts": [{"matches": ["<all_urls>"], "js": ["none.js"]}]}`, "none.js"},
		"missing worker": {`{"manifest_version": 3, "name": "x", "version": "1", "background": {"service_worker": "none.js"}}`, "Could not load background script"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(broken.manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			var refused *ExtensionError
			if err := refuse(s, dir, broken.text); !errors.As(err, &refused) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
	wantEqual(t, "extensions", s.Extensions(), []Extension{})
}

func TestExtensions_FileAccessOnlyWhereItIsAllowed(t *testing.T) {
	dir, files := extensionRed(t), testDir(t)
	if err := os.Chmod(files, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files, "page.html"), []byte("<!doctype html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	for kind, allowed := range map[string]bool{"default": false, "persistent": true} {
		s := testSession(t, kind)
		e := extensionLoad(t, s, dir, LoadExtensionOptions{AllowFileAccess: allowed})
		page := testPage(t, s, "file://"+filepath.Join(files, "page.html"))
		colour := evaluated[string](t, page, `document.documentElement.style.backgroundColor`)
		if (colour == "red") != allowed {
			t.Errorf("file access %v: the page is %q", allowed, colour)
		}
		wantEqual(t, "colour of http", extensionColour(t, s), "red")
		if err := s.RemoveExtension(testContext(t), e.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExtensions_LoadedAgainAfterACrashOfChromium(t *testing.T) {
	b, server := ownBrowser(t)
	s := b.DefaultSession()
	e := extensionLoad(t, s, extensionRed(t), LoadExtensionOptions{})
	next := extensionEvents(t, s)
	kill(t, s)
	page := testPage(t, s, server.URL("a.test", "/page/after"))
	wantEqual(t, "colour", evaluated[string](t, page, `document.documentElement.style.backgroundColor`), "red")
	wantEqual(t, "events", next(3), []string{"extension-unloaded Red", "extension-loaded Red", "extension-ready Red"})
	wantEqual(t, "extensions", s.Extensions(), []Extension{e})
}

func TestExtensions_ThousandsOfFiles(t *testing.T) {
	s := testSession(t, "persistent")
	dir := extensionRed(t)
	for i := range atSize(1_000, 10_000) {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".txt")), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := extensionLoad(t, s, dir, LoadExtensionOptions{})
	wantEqual(t, "colour", extensionColour(t, s), "red")
	if err := s.RemoveExtension(testContext(t), e.ID); err != nil {
		t.Fatal(err)
	}
}
