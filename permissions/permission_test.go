package permissions

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPermission_EveryNameThatElectronHasIsKnown(t *testing.T) {
	electron := strings.Fields(`ar automatic-fullscreen background-fetch background-sync
		captured-surface-control clipboard-read clipboard-sanitized-write
		deprecated-sync-clipboard-read display-capture fileSystem fullscreen geolocation
		geolocation-approximate hand-tracking hid idle-detection keyboardLock local-fonts
		local-network local-network-access loopback-network media mediaKeySystem midi midiSysex
		nfc notifications openExternal payment-handler periodic-background-sync
		persistent-storage pointerLock screen-wake-lock sensors serial smart-card
		speaker-selection storage-access system-wake-lock top-level-storage-access usb vr
		web-app-installation web-printing window-management unknown`)
	for i, name := range electron {
		p, err := Parse(name)
		if err != nil || string(p) != name || !p.Valid() || All()[i] != p {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
	if len(All()) != len(electron) {
		t.Errorf("%d names, want %d", len(All()), len(electron))
	}
}

func TestPermission_AMisspelledNameIsToldTheNearest(t *testing.T) {
	for name, want := range map[string]Permission{
		"geolocaton":               Geolocation,
		"Fullscreen":               Fullscreen,
		"keyboard-lock":            KeyboardLock,
		"clipboard_read":           ClipboardRead,
		"clipboard-write":          ClipboardSanitizedWrite,
		"midi-sysex":               MIDISysex,
		"open external":            OpenExternal,
		"camera":                   Media,
		"seriall":                  Serial,
		"notification":             Notifications,
		strings.Repeat("x", 1<<20): nearest(strings.Repeat("x", longestName)),
		"window-managment\x00\xff": WindowManagement,
	} {
		_, err := Parse(name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.Nearest != want || unknown.Name != name {
			t.Errorf("%.40q: %.200v", name, err)
		}
	}
	if _, err := Parse("hidd"); err == nil || err.Error() != `there is no permission "hidd"; the nearest is "hid"` {
		t.Error(err)
	}
}

func TestPermission_AListThatACallerChangesIsItsOwn(t *testing.T) {
	slices.Reverse(All())
	if All()[0] != AR {
		t.Error(All()[0])
	}
}
