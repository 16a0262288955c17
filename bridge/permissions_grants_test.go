package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/cdpbridge/cdpbridge/permissions"
)

const persist = `navigator.storage.persist()`

// remembering switches the memory of a session on, and sets its handler.
func remembering(t testing.TB, s *Session, handler PermissionRequestHandler) {
	t.Helper()
	s.SetPermissionRequestHandler(handler)
	if err := s.RememberPermissions(testContext(t), true); err != nil {
		t.Fatal(err)
	}
}

// grantsBrowser is a browser on a directory, with cameras and microphones that are
// none.
func grantsBrowser(t testing.TB, server *fixture.Server, dir string, log *slog.Logger) *Browser {
	t.Helper()
	o := testOptions(server, dir)
	o.Args, o.Logger = append(o.Args, "--use-fake-device-for-media-stream"), log
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func grantsSession(t testing.TB, b *Browser, partition string) *Session {
	t.Helper()
	s, err := b.FromPartition(testContext(t), partition, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// askedTimes fails unless the handler was asked so often, and forgets it.
func (g *granting) askedTimes(t testing.TB, n int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asked) != n {
		t.Errorf("the handler was asked %d times, want %d: %+v", len(g.asked), n, g.asked)
	}
	g.asked = nil
}

// remembers fails unless the session remembers these, as "origin permission answer".
func remembers(t testing.TB, s *Session, want ...string) {
	t.Helper()
	got := []string{}
	for _, g := range s.PermissionGrants() {
		got = append(got, strings.Join(strings.Fields(fmt.Sprint(g.Origin, " ", g.Permission, " ", g.MediaType, " ", g.Granted)), " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("remembered are %q, want %q", got, want)
	}
}

func TestPermissionGrants_OutliveTheBrowser(t *testing.T) {
	server, dir := permissionServer(t), testDir(t)
	a, other := strings.TrimSuffix(server.URL("a.localhost", "/"), "/"), html(server, "b.localhost", "")
	const read = `navigator.clipboard.readText().then(() => "ok")`
	const refused = "NotAllowedError: Failed to execute 'readText' on 'Clipboard': Read permission denied."

	b := grantsBrowser(t, server, dir, nil)
	// The two sessions give opposite answers.
	kept, opposite := grantsSession(t, b, "persist:kept"), b.DefaultSession()
	storage, clipboard := grants(PermissionPersistentStorage), grants(PermissionClipboardRead)
	remembering(t, kept, storage.handle)
	remembering(t, opposite, clipboard.handle)
	file := filepath.Join(kept.StoragePath(), permissionsFile)
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file before the first answer: %v", err)
	}
	for s, g := range map[*Session]*granting{kept: storage, opposite: clipboard} {
		page := testPage(t, s, html(server, "a.localhost", ""))
		want(t, page, persist, g == storage)
		g.askedTimes(t, 1)
		want(t, page, persist, g == storage)
		g.askedTimes(t, 0)
		got := evaluated[string](t, page, settled(read))
		if (got == refused) != (g == storage) {
			t.Errorf("reading the clipboard: %s", got)
		}
		g.askedTimes(t, 1)
	}
	ofKept := []string{a + " clipboard-read false", a + " persistent-storage true"}
	ofOpposite := []string{a + " clipboard-read true", a + " persistent-storage false"}
	remembers(t, kept, ofKept...)
	remembers(t, opposite, ofOpposite...)
	if info, err := os.Lstat(file); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := grantsFiles(t, kept).ReadFile(permissionsFile); err != nil {
		t.Errorf("it is not a file of Chromium's user: %v", err)
	}

	kill(t, kept) // its process only
	page := testPage(t, kept, html(server, "a.localhost", ""))
	want(t, page, persist, true)
	storage.askedTimes(t, 0)
	loaded(t, page, other)
	want(t, page, persist, true)
	storage.askedTimes(t, 1)
	if err := kept.RevokePermission(testContext(t), server.URL("b.localhost", "/"), PermissionPersistentStorage); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = grantsBrowser(t, server, dir, nil)
	for s, of := range map[*Session][]string{grantsSession(t, b, "persist:kept"): ofKept, b.DefaultSession(): ofOpposite} {
		remembers(t, s)
		none := grants()
		remembering(t, s, none.handle)
		remembers(t, s, of...)
		page := testPage(t, s, html(server, "a.localhost", ""))
		want(t, page, persist, strings.HasSuffix(of[1], "true"))
		none.askedTimes(t, 0)
		loaded(t, page, other)
		want(t, page, persist, false)
		none.askedTimes(t, 1)
	}
}

func TestPermissionGrants_HoldForWhoRemembersThem(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	a := strings.TrimSuffix(server.URL("a.localhost", "/"), "/")
	s, forgetful := namedSession(t, "remembers"), namedSession(t, "forgets")
	g, of := grants(), grants(PermissionPersistentStorage)
	remembering(t, s, g.handle)
	forgetful.SetPermissionRequestHandler(of.handle)
	page, other := testPage(t, s, html(server, "a.localhost", "")), testPage(t, forgetful, html(server, "a.localhost", ""))
	for range 2 {
		want(t, page, persist, false)
		want(t, other, persist, true)
	}
	g.askedTimes(t, 1)
	of.askedTimes(t, 2)
	remembers(t, s, a+" persistent-storage false")
	remembers(t, forgetful)

	t.Run("without a handler", func(t *testing.T) {
		decisions := events(s.PermissionDecisions(testContext(t)))
		s.SetPermissionRequestHandler(nil)
		want(t, page, persist, false)
		if d := next(t, decisions); d.Rule != "remembered" || d.Granted {
			t.Errorf("decided %+v", d)
		}
		want(t, page, settled(`navigator.clipboard.readText().then(() => "ok")`), "ok")
		if d := next(t, decisions); d.Rule != "default" || !d.Granted {
			t.Errorf("decided %+v", d)
		}
	})
	t.Run("when it is switched off and on", func(t *testing.T) {
		g.all = []Permission{PermissionPersistentStorage}
		s.SetPermissionRequestHandler(g.handle)
		if err := s.RememberPermissions(testContext(t), false); err != nil {
			t.Fatal(err)
		}
		want(t, page, persist, true)
		g.askedTimes(t, 1)
		remembering(t, s, g.handle)
		want(t, page, persist, false)
		g.askedTimes(t, 0)
	})
	t.Run("under a policy", func(t *testing.T) {
		for _, answer := range []permissions.Answer{permissions.Allow, permissions.Ask} {
			if err := s.SetPermissionPolicy(&permissions.Policy{Default: answer}); err != nil {
				t.Fatal(err)
			}
			want(t, page, persist, answer == permissions.Allow)
		}
		g.askedTimes(t, 0)
		remembers(t, s, a+" persistent-storage false")
	})
	t.Run("until all is cleared", func(t *testing.T) {
		if err := s.ClearPermissionGrants(testContext(t)); err != nil {
			t.Fatal(err)
		}
		remembers(t, s)
		want(t, page, persist, true)
		g.askedTimes(t, 1)
	})
}

func TestPermissionGrants_BelongToTheFrameThatAsked(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionPersistentStorage)
	remembering(t, s, g.handle)
	page := testPage(t, s, html(server, "a.localhost", fmt.Sprintf(`<iframe src="%s"></iframe>`, html(server, "b.localhost", "in a frame"))))
	if granted, err := Evaluate[bool](testContext(t), page.Frames()[1], persist); !granted || err != nil {
		t.Error(granted, err)
	}
	g.askedTimes(t, 1)
	g.all = nil
	want(t, page, persist, false)
	g.askedTimes(t, 1)
	loaded(t, page, html(server, "b.localhost", "alone"))
	want(t, page, persist, true)
	g.askedTimes(t, 0)
	remembers(t, s, strings.TrimSuffix(server.URL("a.localhost", "/"), "/")+" persistent-storage false", strings.TrimSuffix(server.URL("b.localhost", "/"), "/")+" persistent-storage true")
}

func TestPermissionGrants_AnswersForTheMomentAreNotRemembered(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionFullscreen, PermissionPointerLock)
	remembering(t, s, g.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	if err := page.call(testContext(t), "Page.bringToFront", nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{`document.documentElement.requestFullscreen().then(() => document.exitFullscreen())`, `document.documentElement.requestPointerLock().then(() => document.exitPointerLock())`} {
		for range 2 {
			if got := gestured(t, page, settled(call)); got != "ok" {
				t.Errorf("%s: %s", call, got)
			}
		}
		g.askedTimes(t, 2)
	}
	t.Run("nor those to opaque origins", func(t *testing.T) {
		opaque := testPage(t, s, html(server, "a.localhost", `<iframe sandbox="allow-scripts" allow="clipboard-write *" src="`+html(server, "a.localhost", "x")+`"></iframe>`))
		for range 2 {
			if _, err := Evaluate[string](testContext(t), opaque.Frames()[1], settled(`navigator.clipboard.writeText("x")`)); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range g.requests() {
			if r.RequestingOrigin != "null" {
				t.Errorf("asked by %s", r.RequestingOrigin)
			}
		}
		g.askedTimes(t, 2)
	})
	remembers(t, s)
}

const (
	// watch keeps what a watch of the position was told last.
	watch = `new Promise(done => { navigator.geolocation.watchPosition(p => { self.position = "at " + p.coords.latitude; done(position) }, e => { self.position = "error " + e.code; done(position) }) })`
	// capture keeps a track of these types.
	capture = `navigator.mediaDevices.getUserMedia(%s).then(stream => { self.tracks = stream.getTracks(); return "ok" })`
	ended   = `tracks.every(track => track.readyState === "ended")`
)

func TestPermissionGrants_RevokingEndsWhatDocumentsDo(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	b := grantsBrowser(t, server, "", nil)
	s, untouched := grantsSession(t, b, "revoked"), grantsSession(t, b, "untouched")
	origin := strings.TrimSuffix(server.URL("a.localhost", "/"), "/")
	open := func(s *Session) (*WebContents, *granting) {
		g := grants(PermissionMedia, PermissionGeolocation)
		remembering(t, s, g.handle)
		page := testPage(t, s, html(server, "a.localhost", fmt.Sprintf(`<iframe allow="camera" src="%s"></iframe>`, html(server, "b.localhost", "in a frame"))))
		if err := page.call(testContext(t), "Emulation.setGeolocationOverride", map[string]float64{"latitude": 1, "longitude": 2, "accuracy": 3}, nil); err != nil {
			t.Fatal(err)
		}
		want(t, page, settled(fmt.Sprintf(capture, `{video: true, audio: true}`)), "ok")
		want(t, page, settled(watch), "at 1")
		g.askedTimes(t, 2)
		return page, g
	}
	page, g := open(s)
	other, _ := open(untouched)
	remembers(t, s, origin+" geolocation true", origin+" media audio true", origin+" media video true")
	want(t, page, ended, false)

	t.Run("a watch", func(t *testing.T) {
		if err := s.RevokePermission(testContext(t), origin+"/", PermissionGeolocation); err != nil {
			t.Fatal(err)
		}
		eventually(t, page, `position === "error 1"`)
		want(t, page, ended, false)
		remembers(t, s, origin+" media audio true", origin+" media video true")
	})
	t.Run("a camera and a microphone", func(t *testing.T) {
		if err := s.RevokePermission(testContext(t), strings.ToUpper(origin), PermissionMedia); err != nil {
			t.Fatal(err)
		}
		eventually(t, page, ended)
		remembers(t, s)
		g.all = nil
		want(t, page, settled(fmt.Sprintf(capture, `{video: true}`)), "NotAllowedError: Permission denied")
		g.askedTimes(t, 1)
		remembers(t, s, origin+" media video false")
	})
	t.Run("a frame's, in a page that has its own", func(t *testing.T) {
		if err := s.ClearPermissionGrants(testContext(t)); err != nil {
			t.Fatal(err)
		}
		g.all = []Permission{PermissionMedia}
		frame := page.Frames()[1]
		want(t, page, settled(fmt.Sprintf(capture, `{video: true}`)), "ok")
		want(t, frame, settled(fmt.Sprintf(capture, `{video: true}`)), "ok")
		if err := s.RevokePermission(testContext(t), server.URL("b.localhost", "/"), PermissionMedia); err != nil {
			t.Fatal(err)
		}
		eventually(t, frame, ended)
		eventually(t, page, ended) // Chromium does not tell them apart
		remembers(t, s, origin+" media video true")
		g.askedTimes(t, 2)
		want(t, page, settled(fmt.Sprintf(capture, `{video: true}`)), "ok")
		g.askedTimes(t, 0)
	})
	t.Run("and nothing of another session", func(t *testing.T) {
		want(t, other, ended, false)
		want(t, other, `position`, "at 1")
	})
	t.Run("of all", func(t *testing.T) {
		if err := untouched.ClearPermissionGrants(testContext(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, other, ended)
		eventually(t, other, `position === "error 1"`)
		remembers(t, untouched)
	})
	t.Run("unless it is named wrongly", func(t *testing.T) {
		var origin *permissions.OriginError
		if err := s.RevokePermission(testContext(t), "null", PermissionMedia); !errors.As(err, &origin) {
			t.Errorf("%v", err)
		}
		var unknown *permissions.UnknownError
		if err := s.RevokePermission(testContext(t), "https://a.test", "camera"); !errors.As(err, &unknown) || unknown.Nearest != PermissionMedia {
			t.Errorf("%v", err)
		}
	})
}

func TestPermissionGrants_AMicrophoneIsNoCamera(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := grantsSession(t, grantsBrowser(t, server, "", nil), "memory")
	g := grants(PermissionMedia)
	remembering(t, s, g.handle)
	page := testPage(t, s, html(server, "a.localhost", ""))
	const refused = "NotAllowedError: Permission denied"
	for _, step := range []struct {
		constraints string
		grants      bool // the handler
		asked       int
		got         string
	}{
		{`{audio: true}`, true, 1, "ok"},
		{`{audio: true}`, false, 0, "ok"},
		{`{video: true}`, false, 1, refused},
		{`{video: true}`, true, 0, refused},
		{`{audio: true, video: true}`, true, 0, refused}, // both are known
		{`{audio: true}`, false, 0, "ok"},
	} {
		g.all = nil
		if step.grants {
			g.all = []Permission{PermissionMedia}
		}
		want(t, page, settled(fmt.Sprintf(capture, step.constraints)), step.got)
		g.askedTimes(t, step.asked)
	}
	loaded(t, page, html(server, "b.localhost", ""))
	g.all = []Permission{PermissionMedia}
	want(t, page, settled(fmt.Sprintf(capture, `{audio: true}`)), "ok")
	want(t, page, settled(fmt.Sprintf(capture, `{audio: true, video: true}`)), "ok") // one is not
	g.askedTimes(t, 2)
	want(t, page, settled(fmt.Sprintf(capture, `{video: true}`)), "ok")
	g.askedTimes(t, 0)
}

func TestPermissionGrants_AnswerChecksWhereAPolicyAsks(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	g := grants(PermissionNotifications, PermissionPersistentStorage)
	remembering(t, s, g.handle)
	if err := s.SetPermissionPolicy(&permissions.Policy{Default: permissions.Ask}); err != nil {
		t.Fatal(err)
	}
	const states = `Promise.all(["notifications", "persistent-storage"].map(name => navigator.permissions.query({name}).then(s => s.state))).then(all => [...all, Notification.permission].join())`
	const show = `new Promise(done => { const n = new Notification("x"); n.onshow = () => done("shown"); n.onerror = () => done("error") })`
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, states, "denied,denied,denied")
	want(t, page, show, "error")
	evaluated[any](t, page, `(self.changes = [], navigator.permissions.query({name: "persistent-storage"}).then(status => { self.status = status; status.onchange = () => changes.push(status.state); return null }))`)

	want(t, page, `Notification.requestPermission().then(() => `+show+`)`, "shown") // at once
	want(t, page, persist, true)
	eventually(t, page, `changes.join() === "granted"`)
	want(t, page, states, "granted,granted,granted")

	origin := server.URL("a.localhost", "/")
	for _, p := range []Permission{PermissionPersistentStorage, PermissionNotifications} {
		if err := s.RevokePermission(testContext(t), origin, p); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, page, `changes.join() === "granted,denied"`)
	want(t, page, states, "denied,denied,denied")
	want(t, page, show, "error")

	t.Run("and not where there is a check handler", func(t *testing.T) {
		s.SetPermissionCheckHandler(func(context.Context, PermissionCheck) bool { return true })
		want(t, page, states, "granted,granted,granted")
	})
}

func TestPermissionGrants_NoGrantEscapesARevocation(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	remembering(t, s, grants().handle)
	const origin = "https://a.test"
	about := permissions.Query{Permission: PermissionGeolocation}
	r := PermissionRequest{Permission: PermissionGeolocation, RequestingOrigin: origin + "/"}
	for range 300 {
		if err := s.permissions.grants.opened().Set(origin, permissions.Decision{Granted: true}, about); err != nil {
			t.Fatal(err)
		}
		var revoked atomic.Bool
		var asking sync.WaitGroup
		began := make(chan bool, 1)
		for range 8 {
			asking.Go(func() {
				for granted := true; granted; {
					granted, _ = s.permissions.request(t.Context(), r, func() {
						if revoked.Load() {
							t.Error("it was granted after it was revoked")
						}
					})
					select {
					case began <- true:
					default:
					}
				}
			})
		}
		<-began
		if err := s.RevokePermission(testContext(t), origin, PermissionGeolocation); err != nil {
			t.Error(err)
		}
		revoked.Store(true)
		asking.Wait()
	}
}

func TestPermissionGrants_ADamagedFileIsSetAsideAndSaidSo(t *testing.T) {
	s := grantsBrowser(t, permissionServer(t), testDir(t), nil).DefaultSession()
	file := filepath.Join(s.StoragePath(), permissionsFile)
	if err := grantsFiles(t, s).WriteFile(permissionsFile, []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	var damaged *permissions.DamagedError
	if err := s.RememberPermissions(testContext(t), true); !errors.As(err, &damaged) || damaged.Path != file || damaged.Aside != file+".damaged" {
		t.Fatalf("%v", err)
	}
	if kept, err := grantsFiles(t, s).ReadFile(permissionsFile + ".damaged"); string(kept) != "damaged" || err != nil {
		t.Errorf("%q, %v", kept, err)
	}
	remembers(t, s)
	if err := s.RememberPermissions(testContext(t), true); err != nil {
		t.Error(err)
	}
}

func TestPermissionGrants_TwoSessionsNeverShareAFile(t *testing.T) {
	b := grantsBrowser(t, permissionServer(t), testDir(t), nil)
	first := grantsSession(t, b, "persist:first")
	if err := first.RememberPermissions(testContext(t), true); err != nil {
		t.Fatal(err)
	}
	kill(t, first)
	second, err := b.FromPath(testContext(t), first.StoragePath(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.RememberPermissions(testContext(t), true); err == nil || !strings.Contains(err.Error(), `"persist:first"`) {
		t.Errorf("%v", err)
	}
	if err := first.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	if err := second.RememberPermissions(testContext(t), true); err != nil {
		t.Error(err)
	}
}

func TestPermissionGrants_WhatCannotBeWrittenIsAnsweredAndLogged(t *testing.T) {
	var log strings.Builder
	server := permissionServer(t)
	b := grantsBrowser(t, server, "", slog.New(slog.NewTextHandler(&log, nil)))
	s, g := b.DefaultSession(), grants(PermissionPersistentStorage)
	remembering(t, s, g.handle)
	s.kept.end() // as good as a full disk
	page := testPage(t, s, html(server, "a.localhost", ""))
	for range 2 {
		want(t, page, persist, true)
	}
	g.askedTimes(t, 2)
	remembers(t, s)
	b.Close()
	if n := strings.Count(log.String(), "is not remembered"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}

// grantsFiles are the files of a session's directory, as its Chromium's user has them.
func grantsFiles(t testing.TB, s *Session) *chromium.Files {
	t.Helper()
	at, err := s.place(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	files, err := chromium.OpenFiles(at.host.process.UserDataDir(), at.host.process.User())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}
