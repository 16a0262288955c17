package bridge

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// compiledScripts are the addresses of the scripts in a session's code cache.
func compiledScripts(t testing.TB, s *Session) (urls []string) {
	t.Helper()
	at, err := s.present()
	if err != nil {
		t.Fatal(err)
	}
	files, err := chromium.OpenFiles(at.host.process.CodeCacheDir(), at.host.process.User())
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	names, err := files.Names("js")
	if ignoreMissing(err) != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if url := cachedCode(files, path.Join("js", name)); strings.HasPrefix(url, "http") {
			urls = append(urls, url)
		}
	}
	slices.Sort(urls)
	return urls
}

// compile opens a page with scripts until Chromium keeps their code.
func compile(t *testing.T, s *Session, page string, scripts ...string) {
	t.Helper()
	w := testPage(t, s, "")
	waitUntil(t, fmt.Sprintf("%v in the code cache", scripts), func() bool {
		if err := w.LoadURL(testContext(t), page, LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		return slices.Equal(compiledScripts(t, s), scripts)
	})
	if err := w.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// compiledPage is a page with two scripts that are worth compiling.
func compiledPage(t testing.TB) (page string, scripts []string) {
	server, base := sharedServer(t), "/"+t.Name()
	code := strings.Repeat("(function(){ window.ran = (window.ran || 0) + 1; return [1,2,3].map(x => x * 2) })();\n", 2000)
	for _, name := range []string{"/one.js", "/two.js"} {
		server.Handle(base+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Cache-Control", "max-age=3600")
			fmt.Fprint(w, code)
		})
		scripts = append(scripts, server.TLSURL("good.test", base+name))
	}
	serveHTML(server, base, fmt.Sprintf(`<script src="%s"></script><script src="%s"></script>`, scripts[0], scripts[1]))
	return server.TLSURL("good.test", base), scripts
}

func TestCodeCache_IsClearedByURLAndWhole(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	page, scripts := compiledPage(t)
	var sessions []*Session
	for _, name := range []string{"cleared", "kept"} {
		s, err := sharedBrowser(t).FromPartition(ctx, "persist:"+t.Name()+name, PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(ctx)
		compile(t, s, page, scripts...)
		sessions = append(sessions, s)
	}
	cleared, kept := sessions[0], sessions[1]
	if err := cleared.ClearCodeCaches(ctx, ClearCodeCachesOptions{URLs: []string{scripts[0] + "#here", "https://good.test/other.js"}}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after one", compiledScripts(t, cleared), scripts[1:])
	w := testPage(t, cleared, page)
	want(t, w, "ran", 4000)
	if err := cleared.ClearCodeCaches(ctx, ClearCodeCachesOptions{}); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after all", len(compiledScripts(t, cleared)), 0)
	if err := w.Reload(ctx, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, w, "ran", 4000)
	wantEqual(t, "in the other session", compiledScripts(t, kept), scripts)
}

func TestCodeCache_SES2178_IsKeptAtAPathOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	page, scripts := compiledPage(t)
	b, dir := sharedBrowser(t), filepath.Join(publicTempDir(t), "code")
	var invalid *InvalidArgumentError
	for _, bad := range []string{"", "relative/path"} {
		if err := memorySession(t).SetCodeCachePath(bad); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "Absolute path must be provided to store code cache.") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := b.FromPartition(ctx, "persist:"+t.Name(), PartitionOptions{CodeCachePath: "relative"}); !errors.As(err, &invalid) {
		t.Errorf("a relative path: %v", err)
	}
	var unsupported *UnsupportedError
	if _, err := b.FromPartition(ctx, t.Name()+"shared", PartitionOptions{CodeCachePath: dir}); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "OwnProcess") {
		t.Errorf("in a process that is shared: %v", err)
	}
	open := func(o PartitionOptions) *Session {
		s, err := b.FromPartition(ctx, "persist:"+t.Name(), o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(PartitionOptions{CodeCachePath: dir})
	if err := s.SetCodeCachePath(dir); err != nil {
		t.Errorf("the path that it has: %v", err)
	}
	if err := s.SetCodeCachePath(dir + "2"); !errors.As(err, &unsupported) {
		t.Errorf("another path: %v", err)
	}
	compile(t, s, page, scripts...)
	at, err := s.present()
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the directory", at.host.process.CodeCacheDir(), dir)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s = open(PartitionOptions{})
	wantEqual(t, "scripts in the session's directory", len(compiledScripts(t, s)), 0)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	s = open(PartitionOptions{CodeCachePath: dir})
	defer s.Close(ctx)
	wantEqual(t, "scripts at the path", compiledScripts(t, s), scripts)
}

func TestCodeCache_OfASharedProcessSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	var unsupported *UnsupportedError
	if err := s.ClearCodeCaches(testContext(t), ClearCodeCachesOptions{}); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "OwnProcess") {
		t.Errorf("got %v", err)
	}
	var invalid *InvalidArgumentError
	if err := s.ClearCodeCaches(testContext(t), ClearCodeCachesOptions{URLs: []string{"one.js"}}); !errors.As(err, &invalid) {
		t.Errorf("no URL: %v", err)
	}
}
