package bridge

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// interruptedDownload is what a program remembers of a download.
func interruptedDownload(item *DownloadItem) InterruptedDownload {
	i := item.Info()
	return InterruptedDownload{
		Path: i.SavePath, URLChain: i.URLChain, MimeType: i.MimeType, Offset: i.ReceivedBytes, Length: i.TotalBytes,
		LastModified: i.LastModifiedTime, ETag: i.ETag, StartTime: i.StartTime,
	}
}

func TestDownloads_PauseAndResume(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		page := testPage(t, s, server.URL("a.test", "/set-cookie?sid=1"))
		release := server.Hold(t.Name())
		defer release()
		clickDownload(t, page, server.URL("a.test", "/download/held?size=4000000&name=p.bin&gate="+t.Name()), "")
		item := nextDownload(t, items)
		downloaded(t, item, 2_000_000)
		for range 2 {
			if err := item.Pause(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if i := item.Info(); !i.IsPaused || !i.CanResume || i.ReceivedBytes != 2_000_000 || i.State != DownloadProgressing || i.CurrentBytesPerSecond != 0 {
				t.Errorf("paused: %+v", i)
			}
		}
		release()
		if err := item.Resume(testContext(t)); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, filepath.Join(dir, "p.bin"), 4_000_000)
		wantFiles(t, dir, "p.bin")
		wantNothingStaged(t, s)
	})
}

func TestDownloads_PauseSaysWhenAServerCannotContinue(t *testing.T) {
	t.Parallel()
	s, dir := downloadSession(t, "memory")
	server := sharedServer(t)
	server.Handle("/download/endless", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(fixture.Content(0, 100_000))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	items := downloadItems(t, s, nil)
	beginDownload(t, s, server.URL("a.test", "/download/endless"))
	item := nextDownload(t, items)
	downloaded(t, item, 100_000)
	var unsupported *UnsupportedError
	if err := item.Pause(testContext(t)); !errors.As(err, &unsupported) {
		t.Errorf("Pause: %v", err)
	}
	if item.IsPaused() || item.PercentComplete() != -1 {
		t.Errorf("%+v", item.Info())
	}
	if err := item.Cancel(testContext(t)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir)
}

func TestDownloads_CX80_InterruptedButResumableIsNotDone(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		content, whole := fixture.Content(0, 3_000_000), atomic.Bool{}
		path := "/cx80/" + strings.ReplaceAll(t.Name(), "/", "-")
		server.Handle(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("ETag", `"1"`)
			if !whole.Load() && r.Header.Get("Range") != "" {
				panic(http.ErrAbortHandler)
			}
			if !whole.Load() {
				w.Header().Set("Accept-Ranges", "bytes")
				w.Header().Set("Content-Length", "3000000")
				w.Write(content[:1_000_000])
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			http.ServeContent(w, r, "", fixture.LastModified(), bytes.NewReader(content))
		})
		states := make(chan DownloadState, 1000)
		items := downloadItems(t, s, func(e *WillDownloadEvent) {
			updates := e.Item.Updates(testContext(t))
			go func() {
				for state := range updates {
					states <- state
				}
			}()
		})
		beginDownload(t, s, server.URL("a.test", path))
		item := nextDownload(t, items)
		state := DownloadState("")
		for state != DownloadInterrupted {
			select {
			case state = <-states:
			case <-testContext(t).Done():
				t.Fatalf("nobody told: %+v", item.Info())
			}
		}
		if i := item.Info(); !i.CanResume || i.InterruptReason == "" || i.EndTime != 0 {
			t.Errorf("interrupted: %+v", i)
		}
		select {
		case <-item.Done():
			t.Error("it is done")
		default:
		}
		whole.Store(true)
		if err := item.Resume(testContext(t)); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, item.SavePath(), 3_000_000)
	})
}

func TestDownloads_AServerThatDropsIsAskedForTheRest(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		beginDownload(t, s, server.URL("a.test", "/download/cut?size=3000000&name=cut.bin"))
		downloadEnds(t, nextDownload(t, items), DownloadCompleted)
		wantContent(t, filepath.Join(dir, "cut.bin"), 3_000_000)
	})
}

func TestDownloads_CX70_ErrorsOfCreateInterruptedDownload(t *testing.T) {
	t.Parallel()
	s, _ := downloadSession(t, "memory")
	for text, o := range map[string]InterruptedDownload{
		"Must pass non-empty path, urlChain and length.":       {Path: "/tmp/x", URLChain: []string{"http://a.test/"}},
		"Must pass an offset value less than length.":          {Path: "/tmp/x", URLChain: []string{"http://a.test/"}, Offset: 5, Length: 5},
		"The path of an interrupted download must be absolute": {Path: "x", URLChain: []string{"http://a.test/"}, Length: 5},
	} {
		var invalid *InvalidArgumentError
		if err := s.CreateInterruptedDownload(testContext(t), o); !errors.As(err, &invalid) || err.Error() != text {
			t.Errorf("%+v: %v, not %q", o, err, text)
		}
	}
}

func TestDownloads_SES1775_CreateInterruptedDownload(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		before := len(server.Requests())
		o := InterruptedDownload{
			Path: filepath.Join(dir, "old.bin"), URLChain: []string{server.URL("a.test", "/interrupted")},
			MimeType: "application/pdf", Offset: 4, Length: 10, StartTime: 1.5,
		}
		items := downloadItems(t, s, func(e *WillDownloadEvent) {
			if e.Item.State() != DownloadInterrupted || !e.Item.CanResume() {
				t.Errorf("in the handler: %+v", e.Item.Info())
			}
			if err := e.Item.Cancel(testContext(t)); err != nil {
				t.Error(err)
			}
		})
		if err := s.CreateInterruptedDownload(testContext(t), o); err != nil {
			t.Fatal(err)
		}
		item := nextDownload(t, items)
		downloadEnds(t, item, DownloadCancelled)
		i := item.Info()
		if len(i.URLChain) != 1 || i.URL != o.URLChain[0] || i.MimeType != o.MimeType || i.ReceivedBytes != 4 || i.TotalBytes != 10 || i.SavePath != o.Path || i.StartTime != 1.5 {
			t.Errorf("%+v", i)
		}
		for _, r := range server.Requests()[before:] {
			if r.Path == "/interrupted" {
				t.Error("the server was asked")
			}
		}
	})
}

func TestDownloads_SES1797_CreateInterruptedDownloadCanBeResumed(t *testing.T) {
	server := sharedServer(t)
	for name, test := range map[string]struct{ offset, there int64 }{
		"from nothing":                  {0, 0},
		"from the middle":               {1_000_000, 1_000_000},
		"from less than what is there":  {1_000_000, 1_500_000},
		"from more than what is there":  {1_000_000, 500_000},
		"when the part has disappeared": {1_000_000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
				items := downloadItems(t, s, func(e *WillDownloadEvent) { e.Item.Cancel(testContext(t)) })
				address := server.URL("a.test", "/download/range?size=3000000&name=mock.pdf&type=application/pdf")
				beginDownload(t, s, address)
				first := nextDownload(t, items)
				downloadEnds(t, first, DownloadCancelled)
				o := interruptedDownload(first)
				o.Path, o.Offset = filepath.Join(dir, "mock.pdf"), test.offset
				if test.there > 0 {
					if err := os.WriteFile(o.Path, fixture.Content(0, int(test.there)), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				items = downloadItems(t, s, func(e *WillDownloadEvent) {
					if err := e.Item.Resume(testContext(t)); err != nil {
						t.Error(err)
					}
				})
				if err := s.CreateInterruptedDownload(testContext(t), o); err != nil {
					t.Fatal(err)
				}
				item := nextDownload(t, items)
				downloadEnds(t, item, DownloadCompleted)
				wantContent(t, o.Path, 3_000_000)
				wantFiles(t, dir, "mock.pdf")
				if i := item.Info(); i.Filename != "mock.pdf" || i.URL != address || i.MimeType != "application/pdf" || i.ReceivedBytes != i.TotalBytes {
					t.Errorf("%+v", i)
				}
			})
		})
	}
}

func TestDownloads_AFileThatHasChangedStartsOver(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		path := filepath.Join(dir, "changed.bin")
		if err := os.WriteFile(path, bytes.Repeat([]byte("old"), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		items := downloadItems(t, s, nil)
		o := InterruptedDownload{Path: path, URLChain: []string{server.URL("a.test", "/download/range?size=5000&etag=v2")}, Offset: 3000, Length: 4000, ETag: `"v1"`}
		if err := s.CreateInterruptedDownload(testContext(t), o); err != nil {
			t.Fatal(err)
		}
		item := nextDownload(t, items)
		if err := item.Resume(testContext(t)); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, path, 5000)
		wantFiles(t, dir, "changed.bin")
		if i := item.Info(); i.TotalBytes != 5000 || i.ETag != `"v2"` {
			t.Errorf("%+v", i)
		}
	})
}

func TestDownloads_APartOfAnEarlierRunIsContinued(t *testing.T) {
	t.Parallel()
	s, dir := downloadSession(t, "memory")
	server := sharedServer(t)
	target := filepath.Join(dir, "run.bin")
	if err := os.WriteFile(partPath(target, "0123456789"), fixture.Content(0, 1_200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	address := server.URL("part.test", "/download/range?size=3000000")
	o := InterruptedDownload{Path: target, URLChain: []string{address}, Offset: 1_000_000, Length: 3_000_000, ETag: `"v1"`}
	items := downloadItems(t, s, nil)
	if err := s.CreateInterruptedDownload(testContext(t), o); err != nil {
		t.Fatal(err)
	}
	item := nextDownload(t, items)
	if err := item.Resume(testContext(t)); err != nil {
		t.Fatal(err)
	}
	downloadEnds(t, item, DownloadCompleted)
	wantContent(t, target, 3_000_000)
	wantFiles(t, dir, "run.bin")
	var ranges []string
	for _, r := range server.Requests() {
		if strings.HasPrefix(r.Host, "part.test") {
			ranges = append(ranges, r.Header.Get("Range"))
		}
	}
	wantEqual(t, "the ranges that were asked for", ranges, []string{"bytes=1000000-"})
}

func TestDownloads_CPP0169_GoOnThoughNobodyHoldsThem(t *testing.T) {
	t.Parallel()
	s, dir := downloadSession(t, "memory")
	server := sharedServer(t)
	release := server.Hold(t.Name())
	defer release()
	began := make(chan struct{}, 1)
	s.OnWillDownload(func(*WillDownloadEvent) { began <- struct{}{} })
	beginDownload(t, s, server.URL("a.test", "/download/held?size=200000&name=gc.bin&gate="+t.Name()))
	select {
	case <-began:
	case <-testContext(t).Done():
		t.Fatal("no download began")
	}
	s.OnWillDownload(nil)
	release()
	downloadHolds(t, "the file is there", func() bool {
		_, err := os.Stat(filepath.Join(dir, "gc.bin"))
		return err == nil
	})
	wantContent(t, filepath.Join(dir, "gc.bin"), 200_000)
}

func TestDownloads_SES1441_SES1606_AWrongLoginInterrupts(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		for _, o := range []DownloadURLOptions{{Headers: map[string]string{"Authorization": "wtf-is-this"}}, {}} {
			if err := s.DownloadURL(testContext(t), server.URL("a.test", "/auth/basic"), o); err != nil {
				t.Fatal(err)
			}
			item := nextDownload(t, items)
			downloadEnds(t, item, DownloadInterrupted)
			if i := item.Info(); i.ReceivedBytes != 0 || i.TotalBytes != 0 || i.InterruptReason != "SERVER_UNAUTHORIZED" || i.CanResume {
				t.Errorf("%+v", i)
			}
		}
		wantFiles(t, dir)
	})
}

func TestDownloads_SES1731_AServerThatIsNotThereInterrupts(t *testing.T) {
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		gone, err := fixture.Start()
		if err != nil {
			t.Fatal(err)
		}
		address := gone.URL("127.0.0.1", "/x")
		gone.Close()
		items := downloadItems(t, s, func(e *WillDownloadEvent) { e.Item.SetSavePath(filepath.Join(dir, "x")) })
		beginDownload(t, s, address)
		item := nextDownload(t, items)
		downloadEnds(t, item, DownloadInterrupted)
		if item.Info().InterruptReason == "" || item.Filename() != "x" {
			t.Errorf("%+v", item.Info())
		}
		wantFiles(t, dir)
	})
}

func TestDownloads_SES1493_SES1503_SES1549_HeadersAndCookiesAreSent(t *testing.T) {
	server := sharedServer(t)
	server.Handle("/download/guarded", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		cookie, err := r.Cookie("strict")
		if user != "u" || password != "p" || r.Referer() != "http://referrer.test/page" || err != nil || cookie.Value != "1" || r.Header.Get("X-Own") != "mine" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Disposition", `attachment; filename="guarded.txt"`)
		w.Write([]byte("yes"))
	})
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		address := server.URL("headers.test", "/download/guarded")
		setCookie(t, s, CookieDetails{URL: address, Name: "strict", Value: "1", SameSite: "strict"})
		items := downloadItems(t, s, nil)
		headers := map[string]string{"Authorization": "Basic dTpw", "referer": "http://referrer.test/page", "X-Own": "mine"}
		if err := s.DownloadURL(testContext(t), address, DownloadURLOptions{Headers: headers}); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, nextDownload(t, items), DownloadCompleted)
		wantFiles(t, dir, "guarded.txt")
	})
}

func TestDownloads_SES1432_SES1596_RefusesArgumentsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s, _ := downloadSession(t, "memory")
	var invalid *InvalidArgumentError
	err := s.DownloadURL(testContext(t), "http://a.test/", DownloadURLOptions{Headers: map[string]string{"a b": "c"}})
	if !errors.As(err, &invalid) {
		t.Errorf("a header that is none: %v", err)
	}
	if err := s.DownloadURL(testContext(t), "nowhere", DownloadURLOptions{}); !errors.As(err, &invalid) {
		t.Errorf("a URL that is none: %v", err)
	}
	var unsupported *UnsupportedError
	if err := s.DownloadURL(testContext(t), "blob:http://a.test/1", DownloadURLOptions{}); !errors.As(err, &unsupported) {
		t.Errorf("a blob: %v", err)
	}
	if err := s.SetDownloadPath("relative"); !errors.As(err, &invalid) {
		t.Errorf("a relative path: %v", err)
	}
}

func TestDownloads_SES1683_DefaultFilename(t *testing.T) {
	server := sharedServer(t)
	server.Handle("/download/unnamed/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
		w.Header().Set("Content-Disposition", "inline")
		w.Write([]byte("%PDF"))
	})
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, func(e *WillDownloadEvent) { e.Item.Cancel(context.Background()) })
		beginDownload(t, s, server.URL("127.0.0.1", "/download/unnamed/?testFilename"))
		if name := nextDownload(t, items).Filename(); name != "download.pdf" {
			t.Errorf("the name is %q", name)
		}
	})
}

func TestDownloads_SES1695_SaveDialogOptionsAreKept(t *testing.T) {
	t.Parallel()
	s, _ := downloadSession(t, "memory")
	want := SaveDialogOptions{Title: "t", Message: "m", ButtonLabel: "b", DefaultPath: "/d", NameFieldLabel: "n", ShowsTagField: true, Filters: []FileFilter{{"1", []string{".1", ".2"}}}}
	items := downloadItems(t, s, func(e *WillDownloadEvent) { e.Item.SetSaveDialogOptions(want) })
	beginDownload(t, s, sharedServer(t).URL("a.test", "/small"))
	item := nextDownload(t, items)
	wantEqual(t, "the options", item.SaveDialogOptions(), want)
	downloadEnds(t, item, DownloadCompleted)
}
