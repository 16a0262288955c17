package bridge

import (
	"context"
	"fmt"
)

// DisplayMediaRequest is a page's call of getDisplayMedia: what Electron's display
// media request handler gets.
type DisplayMediaRequest struct {
	// WebContents is the page that asks, and Frame its frame.
	WebContents *WebContents
	Frame       *Frame
	// SecurityOrigin is the origin of the frame, such as "https://example.test/";
	// "null" where it is opaque.
	SecurityOrigin string
	// VideoRequested is true with all calls that Chromium lets pass, and
	// AudioRequested with those that want sound, too.
	VideoRequested bool
	AudioRequested bool
	// UserGesture says that the user has just done something in the frame.
	UserGesture bool
}

// DisplayMedia is what a page gets for its call of getDisplayMedia.
type DisplayMedia struct {
	// Video is the page to capture. It is of the same session as the page that
	// asks, and may be that page itself.
	Video *WebContents
	// Audio is the page whose sound the stream has, nil for none. Where no sound
	// was asked for it does not count.
	//
	// A page whose sound is captured is not heard on this machine meanwhile:
	// Chromium has nothing for Electron's enableLocalEcho.
	Audio *WebContents
}

// Check returns what is wrong with an answer to the request: an
// *InvalidArgumentError with Electron's text. Such an answer to a page is logged,
// and the page gets an AbortError.
func (r DisplayMediaRequest) Check(answer DisplayMedia) error {
	if r.VideoRequested && answer.Video == nil {
		return invalidArgument("Video was requested, but no video stream was provided")
	}
	return nil
}

// A DisplayMediaRequestHandler says what a page captures. With an error the page
// may not, and gets a NotAllowedError.
type DisplayMediaRequestHandler func(ctx context.Context, r DisplayMediaRequest) (DisplayMedia, error)

// SetDisplayMediaRequestHandler sets who says what pages capture that call
// getDisplayMedia; nil removes it. It is Electron's setDisplayMediaRequestHandler,
// and holds for open pages too. Without one the page gets a NotSupportedError.
//
// The permission is asked for first: PermissionMedia without media types. A page
// waits for as long as the handler takes; the context ends with the document that
// asks. A handler that panics is one that returns an error. A handler that replaces
// another one, or removes it, leaves to it what it was asked.
//
// Pages can be captured, screens and windows cannot. The page gets a
// NotReadableError where what is to be captured is gone or of another session,
// where it is captured already (a page can be by one at a time, until that one has
// stopped its tracks), and where a frame inside a page asks. The track is an
// ordinary MediaStreamTrack and no BrowserCaptureMediaStreamTrack, and its settings
// have no displaySurface. It goes on when the captured page navigates, and ends when
// that is closed. The first capture of a Chromium process takes some hundred
// milliseconds more than the next ones. It takes a browser that the bridge has
// started: in another one getDisplayMedia is as it is there.
//
// The capture is chrome.tabCapture's, with an id that is bound to the page that asked
// and to the source. Chromium's switches that pick a tab by its title would open the
// same to any page of the process that takes the title.
func (s *Session) SetDisplayMediaRequestHandler(handler DisplayMediaRequestHandler) {
	s.display.handler.set(handler)
	if handler != nil {
		s.display.listen()
	}
}

// domException is an error as a page gets it.
type domException struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

func (e *domException) Error() string { return e.Name + ": " + e.Message }

var (
	errDisplayDenied       = &domException{"NotAllowedError", "Permission denied"}
	errDisplayNotSupported = &domException{"NotSupportedError", "Not supported"}
	errDisplayFailed       = &domException{"AbortError", "Error starting capture"}
	errDisplayVideo        = &domException{"NotReadableError", "Could not start video source"}
	errDisplayAudio        = &domException{"NotReadableError", "Could not start audio source"}
)

// chosen is what a page may capture by the permission and by the handler.
func (d *displayMedia) chosen(ctx context.Context, from questioner, r DisplayMediaRequest) (DisplayMedia, error) {
	if granted, _ := d.session.permissions.request(ctx, from.request(PermissionMedia), nil); !granted {
		return DisplayMedia{}, errDisplayDenied
	}
	handler := d.handler.get()
	if handler == nil {
		return DisplayMedia{}, errDisplayNotSupported
	}
	answer, err := answered(ctx, d.session.browser, "SetDisplayMediaRequestHandler", func() (DisplayMedia, error) { return handler(ctx, r) })
	if err != nil {
		err = fmt.Errorf("%w: %w", errDisplayDenied, err)
	} else if wrong := r.Check(answer); wrong != nil {
		err = fmt.Errorf("%w: %w", errDisplayFailed, wrong)
	}
	d.session.permissions.decided(from.request(PermissionDisplayCapture), err == nil, byDisplayHandler)
	if err != nil {
		return DisplayMedia{}, err
	}
	if !r.AudioRequested {
		answer.Audio = nil
	}
	return answer, nil
}
