package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// downloadSession is a session of a kind whose downloads go to a directory of the
// test, which it returns.
func downloadSession(t testing.TB, kind string) (*Session, string) {
	t.Helper()
	s, dir := testSession(t, kind), t.TempDir()
	if err := s.SetDownloadPath(dir); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// eachDownloadKind runs a test in sessions whose downloads Chromium pauses, and in
// others.
func eachDownloadKind(t *testing.T, test func(t *testing.T, s *Session, dir string)) {
	for _, kind := range []string{"default", "memory"} {
		t.Run(kind, func(t *testing.T) {
			s, dir := downloadSession(t, kind)
			test(t, s, dir)
		})
	}
}

// downloadItems are the downloads of a session from now on, each after decide,
// which can be nil, has had a say.
func downloadItems(t testing.TB, s *Session, decide func(*WillDownloadEvent)) <-chan *DownloadItem {
	t.Helper()
	items := make(chan *DownloadItem, 1000)
	s.OnWillDownload(func(e *WillDownloadEvent) {
		if decide != nil {
			decide(e)
		}
		items <- e.Item
	})
	t.Cleanup(func() { s.OnWillDownload(nil) })
	return items
}

func nextDownload(t testing.TB, items <-chan *DownloadItem) *DownloadItem {
	t.Helper()
	select {
	case item := <-items:
		return item
	case <-testContext(t).Done():
		t.Fatal("no download began")
		return nil
	}
}

func beginDownload(t testing.TB, s *Session, url string) {
	t.Helper()
	if err := s.DownloadURL(testContext(t), url, DownloadURLOptions{}); err != nil {
		t.Fatal(err)
	}
}

// downloadEnds waits for the end of a download.
func downloadEnds(t testing.TB, item *DownloadItem, want DownloadState) {
	t.Helper()
	state, err := item.Wait(testContext(t))
	if err != nil {
		t.Fatalf("%v: %+v", err, item.Info())
	}
	if state != want {
		t.Fatalf("the download is %s: %+v", state, item.Info())
	}
}

// wantContent checks that a file is the fixture's content of a size.
func wantContent(t testing.TB, path string, size int) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, fixture.Content(0, size)) {
		t.Errorf("%s has %d bytes, which are not the %d that were sent", path, len(got), size)
	}
}

// wantFiles checks what is in a directory.
func wantFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the directory has %q, not %q", got, want)
	}
}

// clickDownload makes a page download what a link with the attribute leads to.
func clickDownload(t testing.TB, page *WebContents, url, name string) {
	t.Helper()
	evaluated[any](t, page, `(url, name) => {
		const link = document.createElement("a");
		Object.assign(link, {href: url, download: name});
		document.body.append(link);
		link.click();
	}`, url, name)
}

// openDownload makes a page open a pop-up that only downloads.
func openDownload(t testing.TB, page *WebContents, url, features string) {
	t.Helper()
	if _, err := EvaluateWithGesture[any](testContext(t), page, `(url, features) => { window.open(url, "_blank", features) }`, url, features); err != nil {
		t.Fatal(err)
	}
}

// downloaded waits until a download has received bytes.
func downloaded(t testing.TB, item *DownloadItem, bytes int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	updates := item.Updates(ctx)
	if item.ReceivedBytes() >= bytes {
		return
	}
	for state := range updates {
		if item.ReceivedBytes() >= bytes {
			return
		}
		if state != DownloadProgressing {
			break
		}
	}
	t.Fatalf("the download did not receive %d bytes: %+v", bytes, item.Info())
}

func TestDownloads_SES1370_DownloadURLGivesAllFields(t *testing.T) {
	server := sharedServer(t)
	server.Handle("/download/pdf", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
		w.Header().Set("Content-Disposition", "inline; filename=mock.pdf")
		w.Header().Set("ETag", `"pdf"`)
		http.ServeContent(w, r, "", fixture.LastModified(), fixture.ContentReader(5<<20))
	})
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		path := filepath.Join(dir, "made", "as needed", "other.pdf")
		items := downloadItems(t, s, func(e *WillDownloadEvent) {
			if e.WebContents != nil || e.Item.WebContents() != nil {
				t.Error("a page downloads what the program asked for")
			}
			if err := e.Item.SetSavePath(path); err != nil {
				t.Error(err)
			}
		})
		address := server.URL("a.test", "/download/pdf")
		beginDownload(t, s, server.URL("a.test", "/redirect?to="+address))
		item := nextDownload(t, items)
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, path, 5<<20)
		wantFiles(t, filepath.Dir(path), "other.pdf")
		info := item.Info()
		if info.StartTime == 0 || info.EndTime < info.StartTime {
			t.Errorf("it took from %v to %v", info.StartTime, info.EndTime)
		}
		info.StartTime, info.EndTime, info.ID = 0, 0, ""
		wantEqual(t, "the download", info, DownloadInfo{
			URL: address, URLChain: []string{server.URL("a.test", "/redirect?to="+address), address},
			Filename: "mock.pdf", MimeType: "application/pdf", SavePath: path,
			TotalBytes: 5 << 20, ReceivedBytes: 5 << 20, PercentComplete: 100, State: DownloadCompleted,
			ContentDisposition: "inline; filename=mock.pdf", ETag: `"pdf"`, LastModifiedTime: fixture.LastModified().Format(http.TimeFormat),
		})
	})
}

func TestDownloads_OfPages(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		page := testPage(t, s, server.URL("a.test", "/page/downloads"))
		address := server.URL("a.test", "/download/range?size=3000&name=sent.bin&type=application/x-thing")
		for name, begin := range map[string]func(){
			"a navigation":               func() { evaluated[any](t, page, `url => { location.href = url }`, address) },
			"a link":                     func() { clickDownload(t, page, address, "ignored") },
			"a pop-up":                   func() { openDownload(t, page, address, "") },
			"a pop-up without an opener": func() { openDownload(t, page, address, "noopener") },
			"a frame": func() {
				evaluated[any](t, page, `url => { const f = document.createElement("iframe"); f.src = url; document.body.append(f) }`, address)
			},
		} {
			begin()
			item := nextDownload(t, items)
			downloadEnds(t, item, DownloadCompleted)
			wantContent(t, item.SavePath(), 3000)
			if item.Filename() != "sent.bin" || item.MimeType() != "application/x-thing" || item.ETag() != `"v1"` {
				t.Errorf("%s: %+v", name, item.Info())
			}
			if item.WebContents() == nil || item.WebContents() != page && item.WebContents().Opener() != page {
				t.Errorf("%s: the page is %v", name, item.WebContents())
			}
		}
		wantFiles(t, dir, "sent (1).bin", "sent (2).bin", "sent (3).bin", "sent (4).bin", "sent.bin")
	})
}

func TestDownloads_OfBlobsAndData(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		page := testPage(t, s, server.URL("a.test", "/page/blobs"))
		for name, address := range map[string]string{
			"blob.txt": evaluated[string](t, page, `URL.createObjectURL(new Blob(["hello"], {type: "text/plain"}))`),
			"data.txt": "data:text/plain;base64,aGVsbG8=",
		} {
			clickDownload(t, page, address, name)
			item := nextDownload(t, items)
			downloadEnds(t, item, DownloadCompleted)
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != "hello" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			if item.URL() != address {
				t.Errorf("the URL is %s", item.URL())
			}
		}
	})
}

func TestDownloads_CX81_WithoutAHandlerGoToTheDownloadPath(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		items := s.Downloads(ctx)
		if err := os.WriteFile(filepath.Join(dir, "a.tar.gz"), []byte("there"), 0o600); err != nil {
			t.Fatal(err)
		}
		beginDownload(t, s, server.URL("a.test", "/download/range?size=100&name=a.tar.gz"))
		for item := range items {
			downloadEnds(t, item, DownloadCompleted)
			if want := filepath.Join(dir, "a (1).tar.gz"); item.SavePath() != want {
				t.Errorf("the path is %s, not %s", item.SavePath(), want)
			}
			break
		}
		wantFiles(t, dir, "a (1).tar.gz", "a.tar.gz")
		wantContent(t, filepath.Join(dir, "a (1).tar.gz"), 100)
	})
}

func TestDownloads_CX79_SES0677_PreventDefaultCancelsAndDestroys(t *testing.T) {
	server := sharedServer(t)
	server.Handle("/download/mock/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/plain")
		w.Header().Set("Content-Disposition", "inline; filename=mockFile.txt")
		fmt.Fprint(w, "mock")
	})
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		states := make(chan DownloadState, 10)
		items := downloadItems(t, s, func(e *WillDownloadEvent) {
			if !strings.HasSuffix(e.Item.URL(), "/") || e.Item.Filename() != "mockFile.txt" {
				t.Errorf("in the handler: %+v", e.Item.Info())
			}
			updates := e.Item.Updates(context.Background())
			go func() {
				for state := range updates {
					states <- state
				}
				close(states)
			}()
			e.Item.SetSavePath(filepath.Join(dir, "no.txt"))
			e.PreventDefault()
		})
		page := testPage(t, s, server.URL("a.test", "/page/prevent"))
		evaluated[any](t, page, `url => { location.href = url }`, server.URL("a.test", "/download/mock/"))
		item := nextDownload(t, items)
		downloadEnds(t, item, DownloadCancelled)
		last := DownloadState("")
		for state := range states {
			last = state
		}
		if last != DownloadCancelled {
			t.Errorf("the last event is %q", last)
		}
		if err := item.Resume(testContext(t)); !errors.Is(err, ErrDownloadDestroyed) {
			t.Errorf("Resume: %v", err)
		}
		if info := item.Info(); info.ID != "" || item.SavePath() == "" {
			t.Errorf("after it: %+v, %q", info, item.SavePath())
		}
		wantFiles(t, dir)
	})
}

func TestDownloads_CX78_SetSavePathOverwrites(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		path := filepath.Join(dir, "there.bin")
		if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		items := downloadItems(t, s, nil)
		release := server.Hold(t.Name())
		defer release()
		beginDownload(t, s, server.URL("a.test", "/download/held?size=200000&gate="+t.Name()))
		item := nextDownload(t, items)
		if err := item.SetSavePath(path); err != nil { // after the event
			t.Fatal(err)
		}
		release()
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, path, 200_000)
		wantFiles(t, dir, "there.bin")
	})
}

func TestDownloads_SES1666_CancelLeavesNothing(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		release := server.Hold(t.Name())
		defer release()
		beginDownload(t, s, server.URL("a.test", "/download/held?size=200000&name=c.bin&gate="+t.Name()))
		item := nextDownload(t, items)
		downloaded(t, item, 100_000)
		downloadHolds(t, "the part is beside its target", func() bool {
			parts, _ := filepath.Glob(filepath.Join(dir, ".c.bin.*.part"))
			return len(parts) == 1
		})
		if err := item.Cancel(testContext(t)); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, item, DownloadCancelled)
		if item.ReceivedBytes() != 0 || item.TotalBytes() != 200_000 || item.Filename() != "c.bin" {
			t.Errorf("after it: %+v", item.Info())
		}
		if err := item.Cancel(testContext(t)); err != nil {
			t.Error(err)
		}
		wantFiles(t, dir)
		wantNothingStaged(t, s)
	})
}

// downloadHolds waits until something holds.
func downloadHolds(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for ctx := testContext(t); !holds(); time.Sleep(5 * time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("it is not so that %s", what)
		}
	}
}

// wantNothingStaged checks that Chromium's directory for downloads is empty, but
// for what other tests have there.
func wantNothingStaged(t testing.TB, s *Session) {
	t.Helper()
	at, err := s.present()
	if err != nil {
		t.Fatal(err)
	}
	var staged []os.DirEntry
	defer func() {
		for _, entry := range staged {
			info, _ := entry.Info()
			t.Log("staged:", info)
		}
	}()
	downloadHolds(t, "nothing is staged", func() bool {
		var err error
		staged, err = os.ReadDir(at.host.transfers.path(""))
		return err == nil && len(staged) == 0
	})
}
