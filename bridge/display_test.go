package bridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// coloured is a document of a colour in which something moves.
func coloured(colour string) string {
	return `<!doctype html><title>` + colour + `</title><style>html { background: ` + colour + ` } i { position: absolute; animation: move 1s infinite alternate } @keyframes move { from { left: 0 } to { left: 200px } }</style><i>x</i>`
}

// displayPage is a page of a colour.
func displayPage(t testing.TB, s *Session, server *fixture.Server, colour string) *WebContents {
	t.Helper()
	return testPage(t, s, html(server, "a.localhost", coloured(colour)))
}

// displayed is a call of getDisplayMedia. It keeps the stream and gives the colour
// in the middle of the frames that arrive.
func displayed(options string) string {
	return settled(`navigator.mediaDevices.getDisplayMedia(` + options + `).then(async (stream) => {
		self.stream = stream;
		const video = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
		await video.play();
		for (let i = 0; i < 3; i++) await new Promise(r => video.requestVideoFrameCallback(r));
		const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext("2d");
		canvas.drawImage(video, 0, 0);
		const [r, g, b] = canvas.getImageData(video.videoWidth / 2, video.videoHeight / 2, 1, 1).data;
		self.size = video.videoWidth + "x" + video.videoHeight;
		return r > 200 && g < 60 && b < 60 ? "red" : b > 200 && r < 60 && g < 60 ? "blue" : [r, g, b].join();
	})`)
}

const (
	capturing     = `navigator.mediaDevices.getDisplayMedia()` // and nothing else
	displayTracks = `stream.getTracks().map(t => t.kind + " " + t.readyState).join()`
	displayStop   = `stream.getTracks().map(t => t.stop()).length`
	notSupported  = "NotSupportedError: Not supported"
	notReadable   = "NotReadableError: Could not start video source"
)

// shows is a handler that gives a page, with its sound.
func shows(page *WebContents) DisplayMediaRequestHandler {
	return func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
		return DisplayMedia{Video: page, Audio: page}, nil
	}
}

func TestDisplayMedia_CHR2974_IsNotSupportedWithoutAHandler(t *testing.T) {
	server := permissionServer(t)
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			page := displayPage(t, testSession(t, kind), server, "red")
			for _, options := range []string{"", "{preferCurrentTab: true}", "{audio: true}"} {
				want(t, page, settled(`navigator.mediaDevices.getDisplayMedia(`+options+`)`), notSupported)
			}
			// In frames, blank ones too, and in pop-ups.
			want(t, page, `(() => { self.child = document.createElement("iframe"); document.documentElement.append(child); return child.contentWindow.navigator.mediaDevices.getDisplayMedia().catch(e => e.message) })()`, "Not supported")
			popups := events(page.Popups(testContext(t)))
			if got := gestured(t, page, `open("").navigator.mediaDevices.getDisplayMedia().catch(e => e.message)`); got != "Not supported" {
				t.Errorf("the pop-up got %q", got)
			}
			next(t, popups).Close(testContext(t))
		})
	}
}

func TestDisplayMedia_ChromiumRefusesWhatIsWrongWithACall(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := permissionServer(t)
	s.SetDisplayMediaRequestHandler(func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
		t.Error("the handler was asked")
		return DisplayMedia{}, errors.New("no")
	})
	page := displayPage(t, s, server, "red")
	const failed = "TypeError: Failed to execute 'getDisplayMedia' on 'MediaDevices': "
	for call, result := range map[string]string{
		`navigator.mediaDevices.getDisplayMedia({video: false})`:                                      failed + "either audio or video must be requested",
		`navigator.mediaDevices.getDisplayMedia({video: {width: {exact: 100}}})`:                      failed + "exact constraints are not supported",
		`navigator.mediaDevices.getDisplayMedia({video: {width: {min: 100}}})`:                        failed + "min constraints are not supported",
		`navigator.mediaDevices.getDisplayMedia({video: false, audio: true})`:                         notSupported,
		`navigator.mediaDevices.getDisplayMedia.call({})`:                                             failed + "Illegal invocation",
		`navigator.mediaDevices.getDisplayMedia.name + MediaDevices.prototype.getDisplayMedia.length`: "getDisplayMedia0",
	} {
		want(t, page, settled(call), result)
	}
	framed := script(`navigator.mediaDevices.getDisplayMedia().catch(e => parent.postMessage(e.message, "*"))`)
	loaded(t, page, html(server, "a.localhost", script(`self.told = new Promise(r => onmessage = e => r(e.data))`)+fmt.Sprintf(`<iframe src="%s"></iframe>`, html(server, "b.localhost", framed))))
	want(t, page, "told", `Failed to execute 'getDisplayMedia' on 'MediaDevices': Access to the feature "display-capture" is disallowed by permissions policy.`)
}

func TestDisplayMedia_MED0028_MED0333_MED0356_MED0382_CapturesThePageThatTheHandlerSays(t *testing.T) {
	server := permissionServer(t)
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			red, blue := displayPage(t, s, server, "red"), displayPage(t, s, server, "blue")
			requests := make(chan DisplayMediaRequest, 1)
			var source *WebContents
			s.SetDisplayMediaRequestHandler(func(ctx context.Context, r DisplayMediaRequest) (DisplayMedia, error) {
				requests <- r
				return shows(source)(ctx, r)
			})
			defer s.SetDisplayMediaRequestHandler(nil)
			source = blue
			want(t, red, displayed(""), "blue")
			r := next(t, requests)
			if r.WebContents != red || r.Frame.ID != red.ID() || r.SecurityOrigin != server.URL("a.localhost", "/") || !r.VideoRequested || r.AudioRequested || r.UserGesture {
				t.Errorf("the handler was asked %+v", r)
			}
			want(t, red, displayTracks, "video live")
			want(t, red, displayStop, 1)
			if got := gestured(t, red, displayed("{audio: true}")); got != "blue" {
				t.Error(got)
			}
			if r := next(t, requests); !r.AudioRequested || !r.UserGesture {
				t.Errorf("the handler was asked %+v", r)
			}
			want(t, red, displayTracks, "audio live,video live")
			source = red
			want(t, red, displayed("{preferCurrentTab: true}"), "red")
			want(t, red, "stream.getVideoTracks()[0] instanceof MediaStreamTrack && stream instanceof MediaStream", true)
			if pages := s.Pages(); len(pages) != 2 {
				t.Errorf("the session has %d pages", len(pages))
			}
		})
	}
}

func TestDisplayMedia_TwoSessionsDoOppositeThings(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	one, other := namedSession(t, "one"), namedSession(t, "other")
	red, blue := displayPage(t, one, server, "red"), displayPage(t, other, server, "blue")
	none := displayPage(t, namedSession(t, "none"), server, "red")
	one.SetDisplayMediaRequestHandler(shows(red))
	other.SetDisplayMediaRequestHandler(shows(blue))
	var all sync.WaitGroup
	for page, result := range map[*WebContents]string{red: "red", blue: "blue", none: notSupported} {
		all.Go(func() {
			if got, err := Evaluate[string](testContext(t), page, displayed("{audio: true}")); got != result || err != nil {
				t.Errorf("%q (%v), want %q", got, err, result)
			}
		})
	}
	all.Wait()
}

func TestDisplayMedia_ObeysConstraints(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := displayPage(t, s, permissionServer(t), "red")
	s.SetDisplayMediaRequestHandler(shows(page))
	want(t, page, displayed("{video: {width: 320, frameRate: {max: 5}}}"), "red")
	want(t, page, "size + ' ' + stream.getVideoTracks()[0].getSettings().frameRate", "320x240 5")
	want(t, page, displayStop, 1)
	want(t, page, settled(`navigator.mediaDevices.getDisplayMedia({video: {frameRate: {max: 0}}})`), "OverconstrainedError: ")
	want(t, page, displayed("{video: {height: {max: 300}}}"), "red") // nothing was left of it
	want(t, page, "size", "400x300")
}

func TestDisplayMedia_TheSoundCanBeThatOfAnotherPage(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := permissionServer(t)
	red, blue := displayPage(t, s, server, "red"), displayPage(t, s, server, "blue")
	s.SetDisplayMediaRequestHandler(func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
		return DisplayMedia{Video: blue, Audio: red}, nil
	})
	want(t, red, displayed("{audio: true}"), "blue")
	want(t, red, displayTracks, "audio live,video live")
	want(t, red, displayStop, 2)
	s.SetDisplayMediaRequestHandler(func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
		return DisplayMedia{Video: blue}, nil
	})
	want(t, red, displayed("{audio: true}"), "blue")
	want(t, red, displayTracks, "video live")
}

func TestDisplayMedia_MED0180_MED0209_MED0264_AVideoIsNeeded(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := displayPage(t, s, permissionServer(t), "red")
	for options, answer := range map[string]DisplayMedia{"": {Audio: page}, "{audio: true}": {Audio: page}, "{video: true}": {}} {
		checked := make(chan error, 1)
		s.SetDisplayMediaRequestHandler(func(_ context.Context, r DisplayMediaRequest) (DisplayMedia, error) {
			checked <- r.Check(answer)
			return answer, nil
		})
		want(t, page, settled(`navigator.mediaDevices.getDisplayMedia(`+options+`)`), "AbortError: Error starting capture")
		var invalid *InvalidArgumentError
		if err := next(t, checked); !errors.As(err, &invalid) || invalid.Message != "Video was requested, but no video stream was provided" {
			t.Errorf("%v", err)
		}
	}
}

func TestDisplayMedia_MED0111_MED0292_ASourceThatCannotBeCaptured(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := permissionServer(t)
	red, blue := displayPage(t, s, server, "red"), displayPage(t, s, server, "blue")
	s.SetDisplayMediaRequestHandler(shows(displayPage(t, namedSession(t, "other"), server, "blue")))
	want(t, red, settled(capturing), notReadable)
	s.SetDisplayMediaRequestHandler(shows(blue))
	want(t, red, displayed(""), "blue")
	t.Run("because it is captured already", func(t *testing.T) {
		want(t, red, settled(capturing), notReadable)
		want(t, red, displayStop, 1)
		want(t, red, displayed(""), "blue")
	})
	t.Run("because it is closed", func(t *testing.T) {
		want(t, red, displayStop, 1)
		blue.Close(testContext(t))
		want(t, red, settled(capturing), notReadable)
	})
	t.Run("by a frame inside a page", func(t *testing.T) {
		s.SetDisplayMediaRequestHandler(shows(red))
		want(t, red, `(() => { const child = document.createElement("iframe"); document.documentElement.append(child); return child.contentWindow.navigator.mediaDevices.getDisplayMedia().catch(e => e.name) })()`, "NotReadableError")
		want(t, red, displayed(""), "red")
	})
}

func TestDisplayMedia_AHandlerThatSaysNo(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := displayPage(t, s, permissionServer(t), "red")
	const denied = "NotAllowedError: Permission denied"
	for _, handler := range []DisplayMediaRequestHandler{
		func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
			return DisplayMedia{Video: page}, errors.New("no")
		},
		func(context.Context, DisplayMediaRequest) (DisplayMedia, error) { panic("a handler's mistake") },
	} {
		s.SetDisplayMediaRequestHandler(handler)
		want(t, page, settled(capturing), denied)
	}
}

func TestDisplayMedia_AnswersAreToldOfForAudit(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := displayPage(t, s, permissionServer(t), "red")
	decisions := events(s.PermissionDecisions(testContext(t)))
	for _, c := range []struct {
		handler DisplayMediaRequestHandler
		granted bool
	}{
		{shows(page), true},
		{func(context.Context, DisplayMediaRequest) (DisplayMedia, error) {
			return DisplayMedia{}, errors.New("no")
		}, false},
	} {
		s.SetDisplayMediaRequestHandler(c.handler)
		want(t, page, settled(capturing+`.then(s => s.getTracks()[0].stop())`)+`.then(() => true)`, true)
		if d := next(t, decisions); d.Permission != PermissionMedia || !d.Granted || d.Rule != "default" {
			t.Errorf("%+v", d)
		}
		if d := next(t, decisions); d.Permission != PermissionDisplayCapture || d.Granted != c.granted || d.Rule != "display handler" || d.WebContents != page {
			t.Errorf("%+v", d)
		}
	}
}

func TestDisplayMedia_MED0534_AHandlerCanBeRemoved(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := displayPage(t, s, permissionServer(t), "red")
	s.SetDisplayMediaRequestHandler(shows(page))
	want(t, page, displayed(""), "red")
	s.SetDisplayMediaRequestHandler(nil)
	want(t, page, settled(capturing), notSupported)
	want(t, page, displayTracks, "video live")
}

func TestDisplayMedia_ThePermissionIsAskedForFirst(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	page := displayPage(t, s, permissionServer(t), "red")
	granted, refused := grants(PermissionMedia), grants()
	s.SetPermissionRequestHandler(granted.handle)
	want(t, page, settled(capturing), notSupported)
	if r := granted.last(t); r.Permission != PermissionMedia || len(r.MediaTypes) != 0 || r.WebContents != page || r.SecurityOrigin != originOfPage(t, page)+"/" || !r.IsMainFrame {
		t.Errorf("asked %+v", r)
	}
	var asked int
	s.SetDisplayMediaRequestHandler(func(ctx context.Context, r DisplayMediaRequest) (DisplayMedia, error) {
		asked++
		return shows(page)(ctx, r)
	})
	want(t, page, displayed(""), "red")
	want(t, page, displayStop, 1)
	s.SetPermissionRequestHandler(refused.handle)
	want(t, page, settled(capturing), "NotAllowedError: Permission denied")
	if asked != 1 || len(granted.requests()) != 2 || len(refused.requests()) != 1 {
		t.Errorf("asked the handler %d times, for permission %d and %d times", asked, len(granted.requests()), len(refused.requests()))
	}
}

func TestDisplayMedia_ATrackGoesOnWhenItsSourceNavigatesAndEndsWhenItCloses(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := permissionServer(t)
	red, blue := displayPage(t, s, server, "red"), displayPage(t, s, server, "blue")
	s.SetDisplayMediaRequestHandler(shows(blue))
	want(t, red, displayed("{audio: true}"), "blue")
	evaluated[int](t, red, `(self.ended = new Promise(r => stream.getVideoTracks()[0].onended = () => r("ended")), 1)`)
	loaded(t, blue, html(server, "b.localhost", coloured("blue")))
	want(t, red, displayTracks, "audio live,video live")
	blue.Close(testContext(t))
	want(t, red, "ended", "ended")
}

func TestDisplayMedia_ARequestEndsWithItsDocument(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := permissionServer(t)
	page, blue := displayPage(t, s, server, "red"), displayPage(t, s, server, "blue")
	begun, ended := make(chan bool, 1), make(chan error, 1)
	s.SetDisplayMediaRequestHandler(func(ctx context.Context, _ DisplayMediaRequest) (DisplayMedia, error) {
		begun <- true
		<-ctx.Done()
		ended <- ctx.Err()
		return DisplayMedia{Video: blue}, nil
	})
	beginCall(t, page, capturing)
	next(t, begun)
	loaded(t, page, html(server, "b.localhost", coloured("red")))
	if err := next(t, ended); err == nil {
		t.Error("the context goes on")
	}
	s.SetDisplayMediaRequestHandler(shows(blue))
	want(t, page, displayed(""), "blue")
	// A capture ends with its document, too.
	loaded(t, page, html(server, "a.localhost", coloured("red")))
	eventually(t, page, displayed("")+`.then(v => v === "blue")`)
}

func TestDisplayMedia_WhatGoesRoundTheScriptIsRefused(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	server := permissionServer(t)
	page := displayPage(t, s, server, "red")
	displayPage(t, s, server, "blue") // or there is nothing to pick, and nothing to refuse
	s.SetDisplayMediaRequestHandler(shows(page))
	var world struct {
		ID int `json:"executionContextId"`
	}
	ctx := testContext(t)
	if err := page.call(ctx, "Page.createIsolatedWorld", map[string]any{"frameId": page.ID(), "worldName": "round"}, &world); err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{
		`navigator.mediaDevices.getDisplayMedia()`,
		`navigator.mediaDevices.getDisplayMedia({preferCurrentTab: true})`,
		`navigator.mediaDevices.getUserMedia({video: {mandatory: {chromeMediaSource: "tab", chromeMediaSourceId: "x"}}})`,
		`navigator.mediaDevices.getUserMedia({video: {mandatory: {chromeMediaSource: "screen"}}})`,
		`navigator.mediaDevices.getUserMedia({video: {mandatory: {chromeMediaSource: "desktop", chromeMediaSourceId: "screen:0:0"}}})`,
	} {
		var r struct {
			Result struct {
				Value string `json:"value"`
			} `json:"result"`
		}
		params := map[string]any{"expression": settled(call), "contextId": world.ID, "awaitPromise": true, "returnByValue": true}
		if err := page.renderer(ctx, "Runtime.evaluate", params, &r); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(r.Result.Value, "NotAllowedError: ") && !strings.HasPrefix(r.Result.Value, "AbortError: ") {
			t.Errorf("%s: %s", call, r.Result.Value)
		}
	}
}

func TestDisplayMedia_ManyCapturesAtOnce(t *testing.T) {
	n := 6
	if os.Getenv("BRIDGE_FULL") != "" {
		n = 20
	}
	s := memorySession(t)
	server := permissionServer(t)
	var sources []*WebContents
	for range n {
		sources = append(sources, displayPage(t, s, server, "blue"))
	}
	page := displayPage(t, s, server, "red")
	free := make(chan *WebContents, len(sources))
	for _, source := range sources {
		free <- source
	}
	s.SetDisplayMediaRequestHandler(func(ctx context.Context, r DisplayMediaRequest) (DisplayMedia, error) {
		return shows(<-free)(ctx, r)
	})
	want(t, page, `Promise.all(Array.from({length: `+fmt.Sprint(n)+`}, () => navigator.mediaDevices.getDisplayMedia())).then(all => new Set(all.map(s => s.getVideoTracks()[0].readyState + s.id)).size)`, n)
	if left := len(s.Pages()); left != n+1 {
		t.Errorf("the session has %d pages", left)
	}
}
