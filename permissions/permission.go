// Package permissions knows what a page may ask for, under Electron's names: what
// stands behind each name in Chromium, policies that answer by origin, and a
// store of the answers that are remembered. It talks to no browser.
package permissions

import (
	"fmt"
	"slices"
)

// Permission is the name of what a page asks for, as Electron's permission
// handlers get it.
type Permission string

// The permissions that Electron knows.
const (
	// AR is an immersive-ar session of WebXR.
	AR Permission = "ar"
	// AutomaticFullscreen is requestFullscreen without a gesture of the user.
	AutomaticFullscreen Permission = "automatic-fullscreen"
	// BackgroundFetch is a fetch that goes on after the page has gone.
	BackgroundFetch Permission = "background-fetch"
	// BackgroundSync is a service worker's one-off synchronisation.
	BackgroundSync Permission = "background-sync"
	// CapturedSurfaceControl is scrolling and zooming the tab that the page
	// captures.
	CapturedSurfaceControl Permission = "captured-surface-control"
	// ClipboardRead is navigator.clipboard.read and readText, and writing
	// formats that are not sanitized.
	ClipboardRead Permission = "clipboard-read"
	// ClipboardSanitizedWrite is navigator.clipboard.write and writeText.
	ClipboardSanitizedWrite Permission = "clipboard-sanitized-write"
	// DeprecatedSyncClipboardRead is document.execCommand("paste").
	DeprecatedSyncClipboardRead Permission = "deprecated-sync-clipboard-read"
	// DisplayCapture is getDisplayMedia, which Electron also asks for as Media
	// without a media type.
	DisplayCapture Permission = "display-capture"
	// FileSystem is reading or writing a file or a directory by the File System
	// Access API.
	FileSystem Permission = "fileSystem"
	// Fullscreen is requestFullscreen.
	Fullscreen Permission = "fullscreen"
	// Geolocation is navigator.geolocation.
	Geolocation Permission = "geolocation"
	// GeolocationApproximate is navigator.geolocation without an exact position.
	GeolocationApproximate Permission = "geolocation-approximate"
	// HandTracking is the hands' positions in a session of WebXR.
	HandTracking Permission = "hand-tracking"
	// HID is navigator.hid.
	HID Permission = "hid"
	// IdleDetection is the IdleDetector.
	IdleDetection Permission = "idle-detection"
	// KeyboardLock is navigator.keyboard.lock.
	KeyboardLock Permission = "keyboardLock"
	// LocalFonts is queryLocalFonts.
	LocalFonts Permission = "local-fonts"
	// LocalNetwork is a request to a host of the local network.
	LocalNetwork Permission = "local-network"
	// LocalNetworkAccess is a request to the local network or to this machine,
	// as it was called before there were two names.
	LocalNetworkAccess Permission = "local-network-access"
	// LoopbackNetwork is a request to this machine.
	LoopbackNetwork Permission = "loopback-network"
	// Media is getUserMedia: the camera, the microphone or both.
	Media Permission = "media"
	// MediaKeySystem is requestMediaKeySystemAccess, for protected media.
	MediaKeySystem Permission = "mediaKeySystem"
	// MIDI is requestMIDIAccess.
	MIDI Permission = "midi"
	// MIDISysex is requestMIDIAccess with system exclusive messages.
	MIDISysex Permission = "midiSysex"
	// NFC is the NDEFReader.
	NFC Permission = "nfc"
	// Notifications is Notification.requestPermission, and push messages.
	Notifications Permission = "notifications"
	// OpenExternal is a navigation to a URL that another program opens.
	OpenExternal Permission = "openExternal"
	// PaymentHandler is a service worker that handles payments.
	PaymentHandler Permission = "payment-handler"
	// PeriodicBackgroundSync is a service worker's periodic synchronisation.
	PeriodicBackgroundSync Permission = "periodic-background-sync"
	// PersistentStorage is navigator.storage.persist.
	PersistentStorage Permission = "persistent-storage"
	// PointerLock is requestPointerLock.
	PointerLock Permission = "pointerLock"
	// ScreenWakeLock is navigator.wakeLock.request.
	ScreenWakeLock Permission = "screen-wake-lock"
	// Sensors is the accelerometer, the gyroscope, the magnetometer and the
	// sensor of ambient light.
	Sensors Permission = "sensors"
	// Serial is navigator.serial.
	Serial Permission = "serial"
	// SmartCard is navigator.smartCard.
	SmartCard Permission = "smart-card"
	// SpeakerSelection is selectAudioOutput.
	SpeakerSelection Permission = "speaker-selection"
	// StorageAccess is requestStorageAccess.
	StorageAccess Permission = "storage-access"
	// SystemWakeLock is a wake lock that lets the screen go dark.
	SystemWakeLock Permission = "system-wake-lock"
	// TopLevelStorageAccess is requestStorageAccessFor.
	TopLevelStorageAccess Permission = "top-level-storage-access"
	// USB is navigator.usb.
	USB Permission = "usb"
	// VR is an immersive-vr session of WebXR.
	VR Permission = "vr"
	// WebAppInstallation is navigator.install.
	WebAppInstallation Permission = "web-app-installation"
	// WebPrinting is navigator.printing.
	WebPrinting Permission = "web-printing"
	// WindowManagement is getScreenDetails, and windows on other screens.
	WindowManagement Permission = "window-management"
	// Unknown is what Electron calls the rest.
	Unknown Permission = "unknown"
)

// All returns the permissions that Electron knows, sorted, and then Unknown.
func All() []Permission {
	return []Permission{
		AR, AutomaticFullscreen, BackgroundFetch, BackgroundSync, CapturedSurfaceControl,
		ClipboardRead, ClipboardSanitizedWrite, DeprecatedSyncClipboardRead, DisplayCapture,
		FileSystem, Fullscreen, Geolocation, GeolocationApproximate, HandTracking, HID,
		IdleDetection, KeyboardLock, LocalFonts, LocalNetwork, LocalNetworkAccess,
		LoopbackNetwork, Media, MediaKeySystem, MIDI, MIDISysex, NFC, Notifications,
		OpenExternal, PaymentHandler, PeriodicBackgroundSync, PersistentStorage, PointerLock,
		ScreenWakeLock, Sensors, Serial, SmartCard, SpeakerSelection, StorageAccess,
		SystemWakeLock, TopLevelStorageAccess, USB, VR, WebAppInstallation, WebPrinting,
		WindowManagement, Unknown,
	}
}

// Valid says whether p is one of All.
func (p Permission) Valid() bool { return slices.Contains(All(), p) }

// UnknownError is a name that is no permission's.
type UnknownError struct {
	Name string
	// Nearest is the permission that pages call so, or whose name is most like
	// it.
	Nearest Permission
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no permission %q; the nearest is %q", e.Name, string(e.Nearest))
}

// Parse reads a permission's name. Its error is an *UnknownError.
func Parse(name string) (Permission, error) {
	if p := Permission(name); p.Valid() {
		return p, nil
	}
	return "", &UnknownError{Name: name, Nearest: nearest(name)}
}
