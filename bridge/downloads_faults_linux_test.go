package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDownloads_NamesOfServersArePlainNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                                 "download",
		"..":                               "download",
		"../../etc/passwd":                 "passwd",
		`..\..\boot.ini`:                   "boot.ini",
		"/etc/cron.d/x":                    "x",
		".bashrc":                          "bashrc",
		"a\x00b\nc":                        "a_b_c",
		"nul.txt":                          "_nul.txt",
		"COM1":                             "_COM1",
		"trailing. . ":                     "trailing",
		`a<b>c:"d|e?f*g`:                   "a_b_c__d_e_f_g",
		"ok name (1).tar.gz":               "ok name (1).tar.gz",
		"\u202etxt.exe":                    "_txt.exe",
		"\xffbroken":                       "_broken",
		strings.Repeat("é", 4000) + ".pdf": strings.Repeat("é", 98) + ".pdf",
	} {
		if got := safeName(name); got != want {
			t.Errorf("%.30q becomes %q, not %q", name, got, want)
		}
	}
}

func FuzzDownloads_SafeName(f *testing.F) {
	f.Add("../a\x00.txt")
	f.Add(strings.Repeat("x", 4000) + "." + strings.Repeat("y", 4000))
	f.Fuzz(func(t *testing.T, name string) {
		got := safeName(name)
		if got != filepath.Base(got) || got == "." || got == ".." || len(got) > maxName+1 || strings.ContainsAny(got, "\x00/\\") || strings.HasPrefix(got, ".") {
			t.Errorf("%q becomes %q", name, got)
		}
	})
}

func TestDownloads_UnsafeNamesStayInTheDirectory(t *testing.T) {
	server := sharedServer(t)
	server.Handle("/download/unsafe", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="`+r.URL.Query().Get("as")+`"`)
		w.Write([]byte("x"))
	})
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		inner := filepath.Join(dir, "in", "here")
		if err := s.SetDownloadPath(inner); err != nil {
			t.Fatal(err)
		}
		items := downloadItems(t, s, nil)
		for _, name := range []string{"..%2F..%2Fup.txt", "%2Fetc%2Fabs.txt", strings.Repeat("n", 4000) + ".txt", "con.txt"} {
			beginDownload(t, s, server.URL("a.test", "/download/unsafe?as="+name))
			item := nextDownload(t, items)
			downloadEnds(t, item, DownloadCompleted)
			if filepath.Dir(item.SavePath()) != inner {
				t.Errorf("%.20s went to %s", name, item.SavePath())
			}
		}
		wantFiles(t, dir, "in")
	})
}

func TestDownloads_ManyAtOnceHaveNamesOfTheirOwn(t *testing.T) {
	server := sharedServer(t)
	s, _ := downloadSession(t, "memory")
	n := atSize(50, 200)
	items := downloadItems(t, s, nil)
	release := server.Hold(t.Name())
	defer release()
	for i := range n { // Chromium makes six connections to a host
		beginDownload(t, s, server.URL(fmt.Sprintf("many%d.test", i), "/download/held?size=20000&name=same.bin&gate="+t.Name()))
	}
	running, paths := []*DownloadItem{}, map[string]bool{}
	for range n {
		running = append(running, nextDownload(t, items))
	}
	release()
	for _, item := range running {
		downloadEnds(t, item, DownloadCompleted)
		paths[item.SavePath()] = true
		wantContent(t, item.SavePath(), 20_000)
	}
	if len(paths) != n {
		t.Errorf("%d downloads have %d paths", n, len(paths))
	}
	wantNothingStaged(t, s)
}

func TestDownloads_OppositeSettingsInTwoSessions(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	one, dir := downloadSession(t, "memory")
	other, err := sharedBrowser(t).FromPartition(testContext(t), t.Name()+" other", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close(context.Background()) })
	elsewhere := t.TempDir()
	if err := other.SetDownloadPath(elsewhere); err != nil {
		t.Fatal(err)
	}
	refused := downloadItems(t, one, func(e *WillDownloadEvent) { e.PreventDefault() })
	taken := downloadItems(t, other, nil)
	for _, s := range []*Session{one, other} {
		clickDownload(t, testPage(t, s, server.URL("a.test", "/page/two")), server.URL("a.test", "/download/range?size=100&name=two.bin"), "")
	}
	downloadEnds(t, nextDownload(t, refused), DownloadCancelled)
	downloadEnds(t, nextDownload(t, taken), DownloadCompleted)
	wantFiles(t, dir)
	wantFiles(t, elsewhere, "two.bin")
}

func TestDownloads_ASessionThatClosesLeavesNothing(t *testing.T) {
	t.Parallel()
	server, dir := sharedServer(t), t.TempDir()
	s, err := sharedBrowser(t).FromPartition(testContext(t), t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	if err := s.SetDownloadPath(dir); err != nil {
		t.Fatal(err)
	}
	items := downloadItems(t, s, nil)
	release := server.Hold(t.Name())
	defer release()
	beginDownload(t, s, server.URL("a.test", "/download/held?size=200000&gate="+t.Name()))
	item := nextDownload(t, items)
	downloaded(t, item, 100_000)
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	downloadEnds(t, item, DownloadCancelled)
	wantFiles(t, dir)
	if err := s.DownloadURL(testContext(t), server.URL("a.test", "/small"), DownloadURLOptions{}); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("DownloadURL: %v", err)
	}
}

func TestDownloads_ChromiumIsKilledInTheMiddle(t *testing.T) {
	b, server := ownBrowser(t)
	for name, s := range map[string]*Session{"default": b.DefaultSession(), "memory": ownMemorySession(t, b)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := s.SetDownloadPath(dir); err != nil {
				t.Fatal(err)
			}
			items := downloadItems(t, s, nil)
			release := server.Hold(t.Name())
			defer release()
			beginDownload(t, s, server.URL("a.test", "/download/held?size=2000000&name=k.bin&gate="+t.Name()))
			item := nextDownload(t, items)
			downloaded(t, item, 1_000_000)
			downloadHolds(t, "the part is beside its target", func() bool {
				parts, _ := filepath.Glob(filepath.Join(dir, ".k.bin.*.part"))
				return len(parts) == 1
			})
			kill(t, s)
			downloadHolds(t, "the download is interrupted", func() bool { return item.State() == DownloadInterrupted })
			if i := item.Info(); !i.CanResume || i.InterruptReason != "CRASH" || i.ReceivedBytes != 1_000_000 {
				t.Errorf("%+v", i)
			}
			release()
			if err := item.Resume(testContext(t)); err != nil {
				t.Fatal(err)
			}
			downloadEnds(t, item, DownloadCompleted)
			wantContent(t, filepath.Join(dir, "k.bin"), 2_000_000)
			wantFiles(t, dir, "k.bin")
		})
	}
}

func ownMemorySession(t testing.TB, b *Browser) *Session {
	t.Helper()
	s, err := b.FromPartition(testContext(t), "memory", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDownloads_AnotherFileSystemGetsACopy(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, _ string) {
		dir := otherFileSystem(t, "50m")
		path := filepath.Join(dir, "sub", "there.bin")
		items := downloadItems(t, s, func(e *WillDownloadEvent) { e.Item.SetSavePath(path) })
		release := server.Hold(t.Name())
		defer release()
		beginDownload(t, s, server.URL("a.test", "/download/held?size=4000000&gate="+t.Name()))
		item := nextDownload(t, items)
		downloaded(t, item, 2_000_000)
		if err := item.Pause(testContext(t)); err != nil {
			t.Fatal(err)
		}
		release()
		if err := item.Resume(testContext(t)); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, path, 4_000_000)
		wantFiles(t, filepath.Dir(path), "there.bin")
	})
}

func TestDownloads_ADiskThatIsFullInterrupts(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, free string) {
		dir := otherFileSystem(t, "2m")
		path := filepath.Join(dir, "full.bin")
		items := downloadItems(t, s, func(e *WillDownloadEvent) { e.Item.SetSavePath(path) })
		beginDownload(t, s, server.URL("a.test", "/download/range?size=3000000"))
		item := nextDownload(t, items)
		downloadHolds(t, "the download is interrupted", func() bool { return item.State() == DownloadInterrupted })
		if i := item.Info(); !i.CanResume || i.InterruptReason != "FILE_NO_SPACE" {
			t.Errorf("%+v", i)
		}
		wantFiles(t, dir)
		if err := item.SetSavePath(filepath.Join(free, "full.bin")); err != nil {
			t.Fatal(err)
		}
		if err := item.Resume(testContext(t)); err != nil {
			t.Fatal(err)
		}
		downloadEnds(t, item, DownloadCompleted)
		wantContent(t, filepath.Join(free, "full.bin"), 3_000_000)
		wantNothingStaged(t, s)
	})
}

func TestDownloads_AreTheBridgesOwnFiles(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		items := downloadItems(t, s, nil)
		beginDownload(t, s, server.URL("a.test", "/download/range?size=100&name=own.bin"))
		downloadEnds(t, nextDownload(t, items), DownloadCompleted)
		info, err := os.Stat(filepath.Join(dir, "own.bin"))
		if err != nil {
			t.Fatal(err)
		}
		probe := filepath.Join(dir, "probe")
		if err := os.WriteFile(probe, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		like, err := os.Stat(probe)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != like.Mode() || fmt.Sprint(owner(info)) != fmt.Sprint(owner(like)) {
			t.Errorf("the file is %v of %v, a new one %v of %v", info.Mode(), owner(info), like.Mode(), owner(like))
		}
	})
}

func TestDownloads_OfTheProgramPassListeners(t *testing.T) {
	server := sharedServer(t)
	eachDownloadKind(t, func(t *testing.T, s *Session, dir string) {
		seen := make(chan string, 100)
		remove, err := s.WebRequest().OnBeforeSendHeaders(WebRequestFilter{URLs: []string{"*://*/download/*"}}, func(_ context.Context, d *BeforeSendHeadersDetails) BeforeSendHeadersResult {
			seen <- d.URL
			return BeforeSendHeadersResult{}
		})
		if err != nil {
			t.Fatal(err)
		}
		defer remove()
		items := downloadItems(t, s, nil)
		address := server.URL("a.test", "/download/range?size=100&name=seen.bin")
		beginDownload(t, s, address)
		downloadEnds(t, nextDownload(t, items), DownloadCompleted)
		select {
		case got := <-seen:
			if got != address {
				t.Errorf("the listener saw %s", got)
			}
		default:
			t.Error("the listener saw nothing")
		}
	})
}

// otherFileSystem is a directory on a file system of its own with so much room.
func otherFileSystem(t testing.TB, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("no file system can be mounted here:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }
