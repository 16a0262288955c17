package permissions

import "fmt"

// Descriptor is a permission as Chromium names it: the PermissionDescriptor of
// CDP's Browser.setPermission, and the argument of a page's
// navigator.permissions.query. Its JSON is theirs.
type Descriptor struct {
	Name string `json:"name"`
	// Sysex belongs to "midi": with system exclusive messages.
	Sysex bool `json:"sysex,omitzero"`
	// UserVisibleOnly belongs to "push", where Chromium insists on it.
	UserVisibleOnly bool `json:"userVisibleOnly,omitzero"`
	// AllowWithoutSanitization belongs to "clipboard-write", which then means
	// what "clipboard-read" means.
	AllowWithoutSanitization bool `json:"allowWithoutSanitization,omitzero"`
	// AllowWithoutGesture belongs to "fullscreen", where Chromium insists on it.
	AllowWithoutGesture bool `json:"allowWithoutGesture,omitzero"`
	// PanTiltZoom belongs to "camera": moving it too.
	PanTiltZoom bool `json:"panTiltZoom,omitzero"`
}

// The media types of Media, as Electron's check handler gets them.
const (
	Audio = "audio"
	Video = "video"
)

// Query is what Electron's check handler is asked when a page calls
// navigator.permissions.query, and what a Store has a decision on.
type Query struct {
	Permission Permission `json:"permission"`
	// MediaType is Audio or Video with Media, else empty.
	MediaType string `json:"mediaType,omitzero"`
}

// checkMediaType says what is wrong with the media type.
func (q Query) checkMediaType() error {
	switch {
	case q.Permission == Media && q.MediaType != Audio && q.MediaType != Video:
		return fmt.Errorf("%q is not a media type; it is %q or %q", q.MediaType, Audio, Video)
	case q.Permission != Media && q.MediaType != "":
		return fmt.Errorf("%s has no media types, such as %q", q.Permission, q.MediaType)
	}
	return nil
}

// Native returns what to set in Chromium to grant or deny p, the permission
// itself first. One name is given where several mean the same to Chromium.
//
// It is empty for what stock Chromium has no setting for: the requests for
// those, and the answer, happen elsewhere. Among them is Fullscreen: the setting
// called "fullscreen" is that of AutomaticFullscreen. And not every setting is a
// wall: pointerLock, local-fonts and first-party storage-access go on when
// denied, and so does keyboardLock unless Chromium runs with the feature
// KeyboardLockPrompt.
func Native(p Permission) []Descriptor {
	switch p {
	case Media:
		return []Descriptor{{Name: "camera"}, {Name: "camera", PanTiltZoom: true}, {Name: "microphone"}}
	case MIDI: // which Chromium gives only together with the other
		return []Descriptor{{Name: "midi"}, {Name: "midi", Sysex: true}}
	case MIDISysex:
		return []Descriptor{{Name: "midi", Sysex: true}}
	case Sensors: // the others follow it
		return []Descriptor{{Name: "accelerometer"}}
	case AutomaticFullscreen:
		return []Descriptor{{Name: "fullscreen", AllowWithoutGesture: true}}
	case ClipboardSanitizedWrite:
		return []Descriptor{{Name: "clipboard-write"}}
	case KeyboardLock:
		return []Descriptor{{Name: "keyboard-lock"}}
	case PointerLock:
		return []Descriptor{{Name: "pointer-lock"}}
	}
	if sameName(p) {
		return []Descriptor{{Name: string(p)}}
	}
	return nil
}

// sameName says whether Chromium calls p as Electron does.
func sameName(p Permission) bool {
	switch p {
	case BackgroundFetch, BackgroundSync, CapturedSurfaceControl, ClipboardRead, DisplayCapture,
		Geolocation, IdleDetection, LocalFonts, LocalNetwork, LocalNetworkAccess, LoopbackNetwork,
		NFC, Notifications, PaymentHandler, PeriodicBackgroundSync, PersistentStorage,
		ScreenWakeLock, SpeakerSelection, StorageAccess, SystemWakeLock, TopLevelStorageAccess,
		WebAppInstallation, WindowManagement:
		return true
	}
	return false
}

// FromQuery returns what a page's query means. It is false for what Chromium
// itself refuses, so that there is nothing to answer.
func FromQuery(d Descriptor) (Query, bool) {
	switch d.Name {
	case "camera":
		return Query{Media, Video}, true
	case "microphone":
		return Query{Media, Audio}, true
	case "midi":
		if d.Sysex {
			return Query{Permission: MIDISysex}, true
		}
		return Query{Permission: MIDI}, true
	case "push":
		return Query{Permission: Notifications}, d.UserVisibleOnly
	case "clipboard-write":
		if d.AllowWithoutSanitization {
			return Query{Permission: ClipboardRead}, true
		}
		return Query{Permission: ClipboardSanitizedWrite}, true
	case "fullscreen":
		return Query{Permission: AutomaticFullscreen}, d.AllowWithoutGesture
	case "accelerometer", "ambient-light-sensor", "gyroscope", "magnetometer":
		return Query{Permission: Sensors}, true
	case "keyboard-lock":
		return Query{Permission: KeyboardLock}, true
	case "pointer-lock":
		return Query{Permission: PointerLock}, true
	}
	p := Permission(d.Name)
	return Query{Permission: p}, sameName(p)
}
