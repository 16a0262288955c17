package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	fileRefused = "NotAllowedError: Failed to execute 'createWritable' on 'FileSystemFileHandle': The request is not allowed by the user agent or the platform in the current context."
	writeFile   = `dropped.createWritable().then(async w => { await w.write("written"); await w.close(); return "written"; })`
	readFile    = `dropped.getFile().then(f => f.text())`
	fileDrop    = `<script>
		ondragover = e => e.preventDefault();
		ondrop = e => { e.preventDefault(); e.dataTransfer.items[0].getAsFileSystemHandle().then(h => { self.dropped = h }) };
		self.kept = handle => new Promise((ok, no) => {
			const opening = indexedDB.open("files");
			opening.onupgradeneeded = () => opening.result.createObjectStore("s");
			opening.onsuccess = () => {
				const transaction = opening.result.transaction("s", "readwrite"), store = transaction.objectStore("s");
				const asked = handle ? store.put(handle, "h") : store.get("h");
				transaction.oncomplete = () => ok(asked.result);
				transaction.onerror = no;
			};
		});
	</script>`
)

// fileSession is a session whose pages can be let write, of a kind. It has no
// handlers any more when the test has ended.
func fileSession(t testing.TB, kind string) *Session {
	t.Helper()
	s := testSession(t, kind)
	t.Cleanup(func() {
		s.SetPermissionRequestHandler(nil)
		s.SetPermissionCheckHandler(nil)
	})
	return s
}

// fileTree is a directory of files that Chromium's user may write to: a.txt,
// b.txt, and d with c.txt in it.
func fileTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777), os.Mkdir(filepath.Join(dir, "d"), 0o777), os.Chmod(filepath.Join(dir, "d"), 0o777))
	for _, name := range []string{"a.txt", "b.txt", "d/c.txt"} {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.WriteFile(path, []byte("hello"), 0o666), os.Chmod(path, 0o666))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// fileDropped drops a file or directory on a page, which has it as dropped.
func fileDropped(t testing.TB, page *WebContents, path string) {
	t.Helper()
	evaluated[any](t, page, "(delete self.dropped, null)")
	data := map[string]any{"items": []any{}, "files": []string{path}, "dragOperationsMask": 1}
	for _, kind := range []string{"dragEnter", "dragOver", "drop"} {
		if err := page.call(testContext(t), "Input.dispatchDragEvent", map[string]any{"type": kind, "x": 20, "y": 20, "data": data}, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, page, "!!self.dropped")
}

func fileContent(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fileAsked are a request's details.
func fileAsked(r PermissionRequest) string {
	return fmt.Sprintf("%s %s %s directory=%v main=%v", r.Permission, r.FileAccessType, r.FilePath, r.IsDirectory, r.IsMainFrame)
}

func fileRequests(g *granting) (asked []string) {
	for _, r := range g.requests() {
		asked = append(asked, fileAsked(r))
	}
	return asked
}

func TestPermissionsOfFiles_WithoutHandlersAPageWritesToWhatItWasGiven(t *testing.T) {
	server, dir := permissionServer(t), fileTree(t)
	page := testPage(t, fileSession(t, "default"), html(server, "a.localhost", fileDrop))
	fileDropped(t, page, filepath.Join(dir, "a.txt"))
	want(t, page, settled(writeFile), "written")
	want(t, page, settled(readFile), "written")
	want(t, page, `dropped.queryPermission({mode: "readwrite"})`, "granted")
	want(t, page, `kept(dropped).then(() => "kept")`, "kept")
	t.Run("CHR-1762 and after it was loaded again", func(t *testing.T) {
		loaded(t, page, html(server, "a.localhost", fileDrop))
		want(t, page, `kept().then(h => (self.dropped = h).queryPermission({mode: "read"}))`, "granted")
		want(t, page, settled(readFile), "written")
	})
}

func TestPermissionsOfFiles_CHR1496_TheHandlerSaysWhoWrites(t *testing.T) {
	server, dir := permissionServer(t), fileTree(t)
	yes, no := fileSession(t, "default"), fileSession(t, "persistent")
	granted, refused := grants(PermissionFileSystem), grants()
	yes.SetPermissionRequestHandler(granted.handle)
	no.SetPermissionRequestHandler(refused.handle)
	writes, not := testPage(t, yes, html(server, "a.localhost", fileDrop)), testPage(t, no, html(server, "a.localhost", fileDrop))
	fileDropped(t, writes, filepath.Join(dir, "a.txt"))
	fileDropped(t, not, filepath.Join(dir, "b.txt"))

	want(t, not, settled(writeFile), fileRefused)
	want(t, not, `dropped.requestPermission({mode: "readwrite"})`, "denied")
	want(t, not, settled(`dropped.remove()`), "NotAllowedError: Failed to execute 'remove' on 'FileSystemHandle': The request is not allowed by the user agent or the platform in the current context.")
	want(t, not, settled(readFile), "hello") // what the user gave is read without asking
	if r := refused.last(t); fileAsked(r) != "fileSystem writable b.txt directory=false main=true" || r.WebContents != not || r.RequestingURL != not.URL() {
		t.Errorf("asked %+v", r)
	}
	if len(refused.requests()) != 3 {
		t.Errorf("asked %q", fileRequests(refused))
	}

	want(t, writes, settled(writeFile), "written")
	want(t, writes, settled(writeFile), "written")
	want(t, writes, `dropped.queryPermission({mode: "readwrite"})`, "granted")
	if got := fileRequests(granted); !slices.Equal(got, []string{"fileSystem writable a.txt directory=false main=true"}) {
		t.Errorf("asked %q", got)
	}
	if a, b := fileContent(t, filepath.Join(dir, "a.txt")), fileContent(t, filepath.Join(dir, "b.txt")); a != "written" || b != "hello" {
		t.Errorf("the files hold %q and %q", a, b)
	}
	t.Run("and not longer than there is a handler", func(t *testing.T) {
		no.SetPermissionRequestHandler(nil)
		fileDropped(t, not, filepath.Join(dir, "b.txt"))
		want(t, not, settled(writeFile), "written")
	})
}

func TestPermissionsOfFiles_CHR1436_DirectoriesAreAskedForFileByFile(t *testing.T) {
	server, dir := permissionServer(t), fileTree(t)
	s := fileSession(t, "default")
	requests := make(chan pending, 10)
	s.SetPermissionRequestHandler(slowly(requests))
	page := testPage(t, s, html(server, "a.localhost", fileDrop))
	fileDropped(t, page, filepath.Join(dir, "d"))
	beginCall(t, page, `Promise.all([dropped.getFileHandle("c.txt"), dropped.getFileHandle("c.txt")]).then(async all => (await all[1].getFile()).text())`)
	for range 2 {
		one := next(t, requests)
		if got := fileAsked(one.PermissionRequest); got != "fileSystem readable d/c.txt directory=false main=true" || one.RequestingURL != page.URL() {
			t.Errorf("asked %s, %s", got, one.RequestingURL)
		}
		one.answer <- true
	}
	eventually(t, page, "ended")
	want(t, page, "ended", "hello")

	g := grants(PermissionFileSystem)
	s.SetPermissionRequestHandler(g.handle)
	for _, c := range []struct{ call, asked string }{
		{`(async () => { for await (const [name, handle] of dropped) { self.inside = handle; return name; } })()`, ""},
		{`inside.getFile().then(f => f.text())`, "fileSystem readable d/c.txt directory=false main=true"},
		{`dropped.getDirectoryHandle("e", {create: true}).then(h => h.name)`, "fileSystem writable d directory=true main=true"},
		{`dropped.getFileHandle("f", {create: true}).then(h => h.createWritable()).then(w => w.close()).then(() => "f")`, ""},
		{`dropped.removeEntry("f").then(() => "gone")`, ""},
	} {
		before := len(g.requests())
		if got := evaluated[string](t, page, settled(c.call)); strings.Contains(got, "Error") {
			t.Errorf("%s: %s", c.call, got)
		}
		if asked := strings.Join(fileRequests(g)[before:], ", "); asked != c.asked {
			t.Errorf("%s: asked %q, want %q", c.call, asked, c.asked)
		}
	}
	t.Run("and when no, not", func(t *testing.T) {
		s.SetPermissionRequestHandler(grants().handle)
		fileDropped(t, page, filepath.Join(dir, "d"))
		const refused = ": The request is not allowed by the user agent or the platform in the current context."
		for call, where := range map[string]string{
			`dropped.getFileHandle("c.txt")`:                  "'getFileHandle' on 'FileSystemDirectoryHandle'",
			`dropped.getDirectoryHandle("g", {create: true})`: "'getDirectoryHandle' on 'FileSystemDirectoryHandle'",
			`dropped.removeEntry("c.txt")`:                    "'removeEntry' on 'FileSystemDirectoryHandle'",
			`(async () => { for await (const handle of dropped.values()) if (handle.kind === "file") await handle.getFile(); })()`: "'getFile' on 'FileSystemFileHandle'",
		} {
			want(t, page, settled(call), "NotAllowedError: Failed to execute "+where+refused)
		}
		want(t, page, `Promise.all([dropped.requestPermission(), dropped.requestPermission({mode: "readwrite"})]).then(all => all.join())`, "granted,denied")
	})
}

func TestPermissionsOfFiles_CHR1608_ChecksAskForReadingAndForWriting(t *testing.T) {
	server, dir := permissionServer(t), fileTree(t)
	open, shut := fileSession(t, "default"), fileSession(t, "persistent")
	yes, no := &checking{origins: []string{"http://"}}, &checking{}
	open.SetPermissionCheckHandler(yes.handle)
	shut.SetPermissionCheckHandler(no.handle)
	aFile := func(c PermissionCheck) bool { return c.Permission == PermissionFileSystem }

	page := testPage(t, open, html(server, "a.localhost", fileDrop))
	fileDropped(t, page, filepath.Join(dir, "a.txt"))
	want(t, page, `dropped.queryPermission({mode: "readwrite"})`, "granted")
	checks := yes.of(aFile)
	if len(checks) != 2 || checks[0].FileAccessType != "readable" || checks[1].FileAccessType != "writable" {
		t.Fatalf("checked %+v", checks)
	}
	for _, c := range checks {
		if c.FilePath != "a.txt" || c.IsDirectory || c.WebContents != nil || c.Frame != nil || c.IsMainFrame || c.RequestingURL != page.URL() {
			t.Errorf("checked %+v", c)
		}
	}
	want(t, page, settled(writeFile), "written")

	t.Run("CHR-1662", func(t *testing.T) {
		page := testPage(t, shut, html(server, "a.localhost", fileDrop))
		fileDropped(t, page, filepath.Join(dir, "d"))
		want(t, page, `dropped.queryPermission({mode: "read"})`, "denied")
		checks := no.of(aFile)
		if len(checks) != 1 || !checks[0].IsDirectory || checks[0].FilePath != "d" || checks[0].FileAccessType != "readable" {
			t.Errorf("checked %+v", checks)
		}
		fileDropped(t, page, filepath.Join(dir, "b.txt"))
		want(t, page, settled(writeFile), fileRefused)
	})
	t.Run("CHR-1762 of a page that was loaded again", func(t *testing.T) {
		want(t, page, `kept(dropped).then(() => "kept")`, "kept")
		loaded(t, page, html(server, "a.localhost", fileDrop))
		want(t, page, `kept().then(h => (self.dropped = h).queryPermission({mode: "read"}))`, "granted")
		want(t, page, settled(readFile), "written")
	})
}

// A page that goes round the script.
func TestPermissionsOfFiles_ChromiumKeepsWhoGoesRoundTheScript(t *testing.T) {
	ctx, server, dir := testContext(t), permissionServer(t), fileTree(t)
	s, err := sharedBrowser(t).FromPartition(ctx, t.Name(), PartitionOptions{OwnProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(ctx))
	g := grants(PermissionFileSystem)
	s.SetPermissionRequestHandler(g.handle)
	fileSettingHolds(t, s)
	page := testPage(t, s, html(server, "a.localhost", fileDrop))
	// The script is taken away.
	s.preloads.setOwn(permissionWorld, nil)
	loaded(t, page, html(server, "b.localhost", fileDrop))
	fileDropped(t, page, filepath.Join(dir, "b.txt"))
	want(t, page, `dropped.queryPermission({mode: "readwrite"})`, "prompt")
	beginCall(t, page, writeFile)
	// A worker has no person to ask.
	const inWorker = `new Promise(r => {
		const worker = new Worker(URL.createObjectURL(new Blob(["onmessage = e => e.data.createWritable().then(() => postMessage('ok'), e => postMessage(e.name))"])));
		worker.onmessage = e => r(e.data);
		worker.postMessage(dropped);
	})`
	want(t, page, inWorker, "NotAllowedError")
	if len(g.requests()) > 0 {
		t.Error("the script was there")
	}
	want(t, page, "ended", "")
	if got := fileContent(t, filepath.Join(dir, "b.txt")); got != "hello" {
		t.Errorf("the file holds %q", got)
	}
	t.Run("from its start, when it was started anew", func(t *testing.T) {
		defer s.browser.OnHostGone(nil)
		kill(t, s)
		page := testPage(t, s, html(server, "b.localhost", fileDrop))
		if s.permissions.files.set != "ask" {
			t.Error("it was set later")
		}
		fileDropped(t, page, filepath.Join(dir, "b.txt"))
		want(t, page, `dropped.queryPermission({mode: "readwrite"})`, "prompt")
	})
}

// fileSettingHolds waits until Chromium has the setting, which is under way.
func fileSettingHolds(t testing.TB, s *Session) {
	t.Helper()
	if err := s.permissions.files.bring(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// A context that shares its process can not be let write.
func TestPermissionsOfFiles_SessionsThatShareAProcessAreRefusedAndNotKeptWaiting(t *testing.T) {
	server, dir := permissionServer(t), fileTree(t)
	testPage(t, testSession(t, "default"), "") // whose process has other sessions in it
	asking, quiet := namedSession(t, "asking"), namedSession(t, "quiet")
	browser, err := Launch(testContext(t), Options{}) // without a default session
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	alone, err := browser.FromPartition(testContext(t), "alone", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := grants(PermissionFileSystem)
	asking.SetPermissionRequestHandler(g.handle)
	for _, s := range []*Session{asking, quiet, alone} {
		page := testPage(t, s, html(server, "a.localhost", fileDrop))
		fileDropped(t, page, filepath.Join(dir, "a.txt"))
		want(t, page, settled(readFile), "hello")
		want(t, page, settled(writeFile), fileRefused)
		want(t, page, `dropped.requestPermission({mode: "readwrite"})`, "denied")
		want(t, page, `navigator.storage.getDirectory().then(d => d.getFileHandle("x", {create: true})).then(h => h.createWritable()).then(w => w.close()).then(() => "own")`, "own")
	}
	if got := fileRequests(g); len(got) == 0 || got[0] != "fileSystem writable a.txt directory=false main=true" {
		t.Errorf("asked %q", got)
	}
}
