package bridge

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

// mediaSession is a session whose pages find a camera and a microphone, in a
// browser of the test's own. It does not answer for the user.
func mediaSession(t testing.TB) *Session {
	t.Helper()
	b, err := Launch(testContext(t), Options{Args: []string{"--use-fake-device-for-media-stream"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s, err := b.FromPartition(testContext(t), "media", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// legacyMedia is a call of one of the older functions.
func legacyMedia(name, constraints string) string {
	return settled(`new Promise((ok, no) => navigator.` + name + `(` + constraints + `, s => ok(s.constructor.name), no))`)
}

const (
	camera = `navigator.mediaDevices.getUserMedia({video: true}).then(s => s.getTracks().map(t => t.kind + " " + t.readyState).join())`
	labels = `navigator.mediaDevices.enumerateDevices().then(all => [...new Set(all.filter(d => d.label).map(d => d.kind))].sort().join())`
)

func TestMedia_CamerasAndMicrophones(t *testing.T) {
	t.Parallel()
	s := mediaSession(t)
	server := permissionServer(t)
	page := testPage(t, s, html(server, "a.localhost", ""))
	t.Run("MED-0462 without a handler a page gets them", func(t *testing.T) {
		want(t, page, settled(camera), "video live")
	})
	t.Run("MED-0317 the display handler is not asked", func(t *testing.T) {
		s.SetDisplayMediaRequestHandler(func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
			t.Error("it was asked")
			return DisplayMedia{}, errors.New("no")
		})
		defer s.SetDisplayMediaRequestHandler(nil)
		want(t, page, settled(camera), "video live")
	})
	t.Run("CHR-3543 the older function calls back", func(t *testing.T) {
		want(t, page, legacyMedia("webkitGetUserMedia", "{audio: true}"), "MediaStream")
	})
	t.Run("SES-1915 the older function succeeds when the handler says yes", func(t *testing.T) {
		handler := grants(PermissionMedia)
		s.SetPermissionRequestHandler(handler.handle)
		defer s.SetPermissionRequestHandler(nil)
		want(t, page, legacyMedia("getUserMedia", "{video: true, audio: true}"), "MediaStream")
		if r := handler.last(t); strings.Join(r.MediaTypes, ",") != "audio,video" || r.SecurityOrigin != originOfPage(t, page)+"/" {
			t.Errorf("asked %+v", r)
		}
	})
	t.Run("SES-1932 the older function fails when the handler says no", func(t *testing.T) {
		s.SetPermissionRequestHandler(grants().handle)
		defer s.SetPermissionRequestHandler(nil)
		want(t, page, legacyMedia("getUserMedia", "{video: true, audio: true}"), "NotAllowedError: Permission denied")
	})
	t.Run("CHR-2860 devices have names", func(t *testing.T) {
		want(t, page, labels, "audioinput,audiooutput,videoinput")
	})
	for id, c := range map[string]struct{ refused, left string }{
		"CHR-2869 none to whom nothing is permitted": {"audio,video", ""},
		"CHR-2879 of cameras alone":                  {"audio", "videoinput"},
		"CHR-2897 of microphones alone":              {"video", "audioinput,audiooutput"},
	} {
		t.Run(id, func(t *testing.T) {
			s.SetPermissionCheckHandler(func(_ context.Context, check PermissionCheck) bool {
				return check.Permission != PermissionMedia || !strings.Contains(c.refused, check.MediaType)
			})
			defer s.SetPermissionCheckHandler(nil)
			page := testPage(t, s, html(server, "b.localhost", "")) // another one may use them for as long as it lives
			want(t, page, labels, c.left)
		})
	}
}

// Chromium is told of the answers for a new page while the page runs already.
func TestMedia_ANewPageSeesNoNamesBeforeTheChecksAreAnswered(t *testing.T) {
	t.Parallel()
	s := mediaSession(t)
	answer := make(chan struct{})
	defer close(answer)
	var asked atomic.Int32
	s.SetPermissionCheckHandler(func(ctx context.Context, check PermissionCheck) bool {
		if check.Permission != PermissionMedia {
			return true
		}
		if asked.Add(1) <= 2 { // by the navigation, for audio and for video
			select {
			case <-answer:
			case <-ctx.Done():
			}
		}
		return false
	})
	page := testPage(t, s, html(permissionServer(t), "new.localhost", ""))
	want(t, page, labels, "")
}
