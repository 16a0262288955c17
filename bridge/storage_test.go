package bridge

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stored is what the page /storage reports, by Electron's names.
type stored struct {
	Local   map[string]string `json:"localStorage"`
	Session map[string]string `json:"sessionStorage"`
	Cookies string            `json:"cookies"`
	Indexed []string          `json:"indexedDB"`
	Caches  []string          `json:"cacheStorage"`
	Files   []string          `json:"fileSystem"`
	Workers []string          `json:"serviceWorkers"`
}

// kinds names what there is.
func (s stored) kinds() string {
	var kinds []string
	for name, n := range map[string]int{
		"local": len(s.Local), "session": len(s.Session), "cookies": len(s.Cookies), "indexed": len(s.Indexed),
		"caches": len(s.Caches), "files": len(s.Files), "workers": len(s.Workers),
	} {
		if n > 0 {
			kinds = append(kinds, name)
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, " ")
}

const allKinds = "caches cookies files indexed local session workers"

// fill puts something into every storage of an origin and returns its page.
func fill(t *testing.T, s *Session, url string) *WebContents {
	t.Helper()
	page := testPage(t, s, url)
	refill(t, page)
	return page
}

func refill(t *testing.T, page *WebContents) {
	t.Helper()
	evaluated[any](t, page, `(async () => {
		const { fill } = await import('/storage.js');
		await fill();
		await navigator.serviceWorker.register('/sw/sw.js');
	})()`)
	if got := readStored(t, page).kinds(); got != allKinds {
		t.Fatalf("filled %s only", got)
	}
}

func readStored(t *testing.T, page *WebContents) stored {
	t.Helper()
	return evaluated[stored](t, page, `import('/storage.js').then(({report}) => report())`)
}

// wantStored waits until a page has these kinds of storage: renderers learn of
// what is cleared with some delay.
func wantStored(t *testing.T, what string, page *WebContents, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if got = readStored(t, page).kinds(); got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: there is %q, want %q", what, got, want)
			return
		}
	}
}

func without(kinds ...string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(allKinds), func(kind string) bool { return slices.Contains(kinds, kind) }), " ")
}

func clearStorage(t *testing.T, s *Session, o ClearStorageOptions) {
	t.Helper()
	if err := s.ClearStorageData(testContext(t), o); err != nil {
		t.Errorf("%+v: %v", o, err)
	}
}

func TestStorage_SES0552_ClearsTheNamedStoragesAndNoOthers(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			page := fill(t, s, shared.server.TLSURL("good.test", "/page/here"))
			other := fill(t, s, shared.server.TLSURL("h2.test", "/page/there"))
			for name, left := range map[string]string{
				"cookies": without("cookies"), "FileSystem": without("files"), "indexdb": without("indexed"),
				"localstorage": without("local", "session"), "serviceworkers": without("workers"), "CACHESTORAGE": without("caches"),
				"shadercache": allKinds, "websql": allKinds, "nope": allKinds, // CX67
			} {
				clearStorage(t, s, ClearStorageOptions{Origin: shared.server.TLSURL("good.test", "/any/path"), Storages: []string{name}})
				wantStored(t, name, page, left)
				refill(t, page)
			}
			clearStorage(t, s, ClearStorageOptions{Storages: []string{}})
			wantStored(t, "CX67 an empty list", page, allKinds)
			wantStored(t, "the other origin", other, allKinds)
		})
	}
}

func TestStorage_SES0552_ClearsLocalStorageOfFiles(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		file := filepath.Join(testDir(t), "page.html")
		if err := errors.Join(os.Chmod(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("<title>file</title>"), 0o644)); err != nil {
			t.Fatal(err)
		}
		page := testPage(t, s, "file://"+file)
		other := fill(t, s, shared.server.TLSURL("good.test", "/page/here"))
		evaluated[any](t, page, `localStorage.setItem('k', 'v')`)
		clearStorage(t, s, ClearStorageOptions{Origin: "file://", Storages: []string{"localstorage"}})
		waitUntil(t, "an empty local storage", func() bool { return evaluated[int](t, page, "localStorage.length") == 0 })
		wantStored(t, "another origin", other, allKinds)
	})
}

func TestStorage_CX66_WithoutOptionsClearsEverythingOfThisSessionOnly(t *testing.T) {
	pages := map[string][]*WebContents{}
	for _, kind := range sessionKinds {
		s := testSession(t, kind)
		for _, host := range []string{"good.test", "h2.test"} {
			pages[kind] = append(pages[kind], fill(t, s, shared.server.TLSURL(host, "/page/here")))
		}
	}
	cleared := map[string]bool{}
	for _, kind := range sessionKinds {
		clearStorage(t, pages[kind][0].Session(), ClearStorageOptions{})
		cleared[kind] = true
		for other, two := range pages {
			want := allKinds
			if cleared[other] {
				want = ""
			}
			for _, page := range two {
				wantStored(t, "after clearing "+kind+", "+other+" at "+page.URL(), page, want)
			}
		}
	}
}

func TestStorage_ClearsWithoutAnOpenPage(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			url := shared.server.TLSURL("good.test", "/page/here")
			for _, page := range append(s.Pages(), fill(t, s, url)) {
				page.Close(testContext(t))
			}
			clearStorage(t, s, ClearStorageOptions{})
			if n := len(s.Pages()); n != 0 {
				t.Errorf("%d pages are open", n)
			}
			wantStored(t, "after clearing", testPage(t, s, url), "")
		})
	}
}

func TestStorage_RefusesWhatIsNoOriginAndClearsNothing(t *testing.T) {
	s := testSession(t, "memory")
	page := fill(t, s, shared.server.TLSURL("good.test", "/page/here"))
	for _, origin := range []string{"data:x", "http://", "asdf", "about:blank", "https://?", "https://a b", "https://%zz", "javascript:1", "https://:1", "//good.test"} {
		var invalid *InvalidArgumentError
		for name, err := range map[string]error{
			"ClearStorageData":         s.ClearStorageData(testContext(t), ClearStorageOptions{Origin: origin}),
			"ClearData":                s.ClearData(testContext(t), ClearDataOptions{Origins: []string{origin}}),
			"ClearData excludeOrigins": s.ClearData(testContext(t), ClearDataOptions{ExcludeOrigins: []string{origin}}),
		} {
			if !errors.As(err, &invalid) || err.Error() != "Invalid origin: '"+origin+"'" {
				t.Errorf("%s with %q: %v", name, origin, err)
			}
		}
	}
	for _, elsewhere := range []string{"file://", "file:///tmp/x", "https://unknown.test", "http://good.test", "https://good.test:1", "ws://good.test", "https://[::1]", "https://good.test:99999", "https://..", "https://1.2.3.4.5", "https://a..b"} {
		for name, err := range map[string]error{
			"ClearStorageData": s.ClearStorageData(testContext(t), ClearStorageOptions{Origin: elsewhere, Storages: []string{"localstorage", "indexdb"}}),
			"ClearData":        s.ClearData(testContext(t), ClearDataOptions{Origins: []string{elsewhere}, DataTypes: []string{"localStorage", "indexedDB"}}),
		} {
			var invalid *InvalidArgumentError
			if err != nil && (!errors.As(err, &invalid) || err.Error() != "Invalid origin: '"+elsewhere+"'") {
				t.Errorf("%s with %q: %v", name, elsewhere, err)
			}
			if got := readStored(t, page).kinds(); got != allKinds {
				t.Fatalf("%s with %q left %q", name, elsewhere, got)
			}
		}
	}
}

func TestStorage_CX62_ClearingTellsOfEveryCookie(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, name := range []string{"a", "b"} {
			setCookie(t, s, CookieDetails{URL: "https://a.test", Name: name, Value: "1"})
		}
		changes := listen(t, s)
		clearStorage(t, s, ClearStorageOptions{Storages: []string{"cookies"}})
		wantChanges(t, s, changes, "-explicit a=1", "-explicit b=1")
	})
}

func clearData(t *testing.T, s *Session, o ClearDataOptions) {
	t.Helper()
	if err := s.ClearData(testContext(t), o); err != nil {
		t.Errorf("%+v: %v", o, err)
	}
}

func TestStorage_SES2250_ClearDataClearsEverything(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			page := fill(t, s, shared.server.TLSURL("good.test", "/page/here"))
			clearData(t, s, ClearDataOptions{})
			wantStored(t, "after clearing", page, "")
			refill(t, page)
			done := make(chan error, 2) // SES-2261
			for range 2 {
				go func() { done <- s.ClearData(testContext(t), ClearDataOptions{}) }()
			}
			if err := errors.Join(<-done, <-done); err != nil {
				t.Error(err)
			}
			wantStored(t, "after clearing twice at once", page, "")
		})
	}
}

func TestStorage_SES2277_ClearDataClearsTheNamedTypesOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		page := fill(t, s, shared.server.TLSURL("good.test", "/page/here"))
		for name, left := range map[string]string{
			"cookies": without("cookies"), "fileSystems": without("files"), "indexedDB": without("indexed"),
			"localStorage": without("local", "session"), "serviceWorkers": without("workers"), "cache": without("caches"),
			"downloads": allKinds, "webSQL": allKinds, "indexeddb": allKinds,
		} {
			clearData(t, s, ClearDataOptions{DataTypes: []string{name}})
			wantStored(t, name, page, left)
			refill(t, page)
		}
		clearData(t, s, ClearDataOptions{DataTypes: []string{}})
		clearData(t, s, ClearDataOptions{Origins: []string{}})
		wantStored(t, "CX69 empty lists", page, allKinds)
		clearData(t, s, ClearDataOptions{ExcludeOrigins: []string{}})
		wantStored(t, "CX69 nothing excluded", page, "")
	})
}

func TestStorage_SES2310_ClearDataClearsTheNamedOrigins(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			here, there := shared.server.TLSURL("good.test", "/page/here"), shared.server.TLSURL("h2.test", "/page/there")
			one, two := fill(t, s, here), fill(t, s, there)
			name := rand.Text()
			cached := func(page *WebContents) string {
				return evaluated[string](t, page, `fetch('/cached?`+name+`').then(r => r.text())`)
			}
			first := []string{cached(one), cached(two)}

			clearData(t, s, ClearDataOptions{Origins: []string{here}})
			wantStored(t, "the named origin", one, "")
			wantStored(t, "the other", two, allKinds)
			if cached(one) == first[0] || cached(two) != first[1] {
				t.Error("the cache was not cleared by origin")
			}
			refill(t, one)
			clearData(t, s, ClearDataOptions{ExcludeOrigins: []string{here}, DataTypes: []string{"cookies", "localStorage", "indexedDB"}})
			wantStored(t, "the excluded origin", one, allKinds)
			wantStored(t, "all others", two, without("cookies", "local", "session", "indexed"))
		})
	}
}

func TestStorage_SES2336_ClearDataSparesCookiesOfExcludedOrigins(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, host := range []string{"www.example.com", "example.org", "shop.example.org"} {
			setCookie(t, s, CookieDetails{URL: "https://" + host, Name: host, Value: "v"})
		}
		clearData(t, s, ClearDataOptions{ExcludeOrigins: []string{"https://example.com"}})
		wantEqual(t, "cookies", names(t, s, CookieFilter{}), "www.example.com")
	})
}

func TestStorage_CX68_ClearDataRefusesContradictions(t *testing.T) {
	s := testSession(t, "memory")
	err := s.ClearData(testContext(t), ClearDataOptions{Origins: []string{}, ExcludeOrigins: []string{}})
	if err == nil || err.Error() != "Cannot provide both 'origins' and 'excludeOrigins'" {
		t.Errorf("got %v", err)
	}
	var unsupported *UnsupportedError
	if err := s.ClearData(testContext(t), ClearDataOptions{OriginMatchingMode: "origin-in-all-contexts"}); !errors.As(err, &unsupported) {
		t.Errorf("got %v", err)
	}
	var failed *ClearDataError
	if err := s.ClearData(testContext(t), ClearDataOptions{DataTypes: []string{"backgroundFetch", "cookies"}}); !errors.As(err, &failed) || !slices.Equal(failed.FailedDataTypes, []string{"backgroundFetch"}) {
		t.Errorf("got %v", err)
	}
}

func TestStorage_ClearCacheMakesTheServerAnswerAgain(t *testing.T) {
	sessions := map[string]*WebContents{}
	for _, kind := range sessionKinds {
		sessions[kind] = testPage(t, testSession(t, kind), shared.server.TLSURL("good.test", "/page/here"))
	}
	name := rand.Text()
	get := func(kind string) string {
		return evaluated[string](t, sessions[kind], `fetch('/cached?`+name+kind+`').then(r => r.text())`)
	}
	for _, kind := range sessionKinds {
		get(kind)
	}
	for _, kind := range sessionKinds {
		wantEqual(t, kind+" before", get(kind), "1")
		if err := sessions[kind].Session().ClearCache(testContext(t)); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, kind+" after", get(kind), "2")
	}
}

func TestStorage_GetCacheSizeGrowsWithTheCache(t *testing.T) {
	own, err := sharedBrowser(t).FromPartition(testContext(t), t.Name()+"own", PartitionOptions{OwnProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close(testContext(t))
	for kind, s := range map[string]*Session{"default": testSession(t, "default"), "persistent": testSession(t, "persistent"), "own": own} {
		if err := s.ClearCache(testContext(t)); err != nil {
			t.Fatal(err)
		}
		page := testPage(t, s, shared.server.TLSURL("good.test", "/page/here"))
		size := func() int64 {
			size, err := s.GetCacheSize(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			return size
		}
		if n := size(); n > 100_000 {
			t.Errorf("%s: %d bytes in an empty cache", kind, n)
		}
		evaluated[int](t, page, `fetch('/megabyte').then(r => r.arrayBuffer()).then(b => b.byteLength)`)
		waitUntil(t, kind+": a megabyte in the cache", func() bool { n := size(); return n >= 1_000_000 && n < 1_100_000 })
		if err := s.ClearCache(testContext(t)); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, kind+": an empty cache", func() bool { return size() < 100_000 })
	}
	var unsupported *UnsupportedError
	if _, err := testSession(t, "memory").GetCacheSize(testContext(t)); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "OwnProcess") {
		t.Errorf("got %v", err)
	}
}

// waitUntil waits for what Chromium does without telling.
func waitUntil(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !true(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestStorage_LocalStorageIsOnDiskWhenTheSessionIsClosed(t *testing.T) {
	session := func() *Session {
		s, err := sharedBrowser(t).FromPartition(testContext(t), "persist:"+t.Name(), PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := session()
	page := testPage(t, s, shared.server.URL("a.test", "/page/here"))
	last := rand.Text()
	for _, value := range []string{"first", "second", last} {
		evaluated[any](t, page, `value => { localStorage.setItem('k', value) }`, value)
	}
	var unsupported *UnsupportedError
	if err := s.FlushStorageData(testContext(t)); !errors.As(err, &unsupported) {
		t.Errorf("on disk: %v", err)
	}
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s = session()
	page = testPage(t, s, shared.server.URL("a.test", "/page/here"))
	wantEqual(t, "what was kept", evaluated[string](t, page, `localStorage.getItem('k')`), last)
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := testSession(t, "memory").FlushStorageData(testContext(t)); err != nil {
		t.Errorf("in memory: %v", err)
	}
}

func TestNoCache_CX05_TheServerIsAskedEachTime(t *testing.T) {
	for _, noCache := range []bool{false, true} {
		name := rand.Text()
		s, err := sharedBrowser(t).FromPartition(testContext(t), name, PartitionOptions{NoCache: noCache})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(testContext(t))
		page := testPage(t, s, shared.server.TLSURL("good.test", "/page/here"))
		frame := `new Promise(done => {
			const frame = document.createElement('iframe');
			frame.onload = () => done();
			frame.src = '` + shared.server.TLSURL("h2.test", "/cached?frame"+name) + `';
			document.body.append(frame);
		})`
		worker := `new Promise(done => {
			const worker = new Worker(URL.createObjectURL(new Blob(["fetch('" + location.origin + "/cached?worker` + name + `').then(r => r.text()).then(postMessage)"])));
			worker.onmessage = e => done(e.data);
		})`
		fetched := func() []string {
			evaluated[any](t, page, frame)
			return []string{evaluated[string](t, page, `fetch('/cached?`+name+`').then(r => r.text())`), evaluated[string](t, page, worker)}
		}
		wantEqual(t, "first", fetched(), []string{"1", "1"})
		want, frames := []string{"1", "1"}, 1
		if noCache {
			want, frames = []string{"2", "2"}, 2
		}
		wantEqual(t, name, fetched(), want)
		count := 0
		for _, r := range shared.server.Requests() {
			if strings.HasSuffix(r.URI, "?frame"+name) {
				count++
			}
		}
		wantEqual(t, name+": requests of the frame", count, frames)
	}
}
