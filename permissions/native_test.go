package permissions

import (
	"encoding/json"
	"testing"
)

func TestNative_WhatIsSetIsWhatAPageFindsByItsQuery(t *testing.T) {
	for _, p := range All() {
		for i, d := range Native(p) {
			q, known := FromQuery(d)
			if !known || i == 0 && q.Permission != p {
				t.Errorf("%s sets %+v, which a page finds as %+v, %v", p, d, q, known)
			}
			if (q.MediaType != "") != (p == Media) {
				t.Errorf("%+v: media type %q", d, q.MediaType)
			}
		}
	}
}

func TestNative_DescriptorsAreWrittenAsChromiumReadsThem(t *testing.T) {
	for p, want := range map[Permission]string{
		Geolocation:             `[{"name":"geolocation"}]`,
		Media:                   `[{"name":"camera"},{"name":"camera","panTiltZoom":true},{"name":"microphone"}]`,
		MIDI:                    `[{"name":"midi"},{"name":"midi","sysex":true}]`,
		MIDISysex:               `[{"name":"midi","sysex":true}]`,
		AutomaticFullscreen:     `[{"name":"fullscreen","allowWithoutGesture":true}]`,
		ClipboardRead:           `[{"name":"clipboard-read"}]`,
		ClipboardSanitizedWrite: `[{"name":"clipboard-write"}]`,
		KeyboardLock:            `[{"name":"keyboard-lock"}]`,
		PointerLock:             `[{"name":"pointer-lock"}]`,
		Sensors:                 `[{"name":"accelerometer"}]`,
		LoopbackNetwork:         `[{"name":"loopback-network"}]`,
	} {
		if got, err := json.Marshal(Native(p)); string(got) != want || err != nil {
			t.Errorf("%s: %s, %v", p, got, err)
		}
	}
}

func TestNative_ThereIsNothingToSetForWhatChromiumRefuses(t *testing.T) {
	for _, p := range []Permission{
		AR, VR, HandTracking, SmartCard, WebPrinting, MediaKeySystem, OpenExternal, FileSystem, Fullscreen,
		HID, Serial, USB, GeolocationApproximate, DeprecatedSyncClipboardRead, Unknown, Everything, "",
	} {
		if got := Native(p); len(got) > 0 {
			t.Errorf("%s: %+v", p, got)
		}
	}
}

func TestQuery_APagesQueryHasElectronsName(t *testing.T) {
	for query, want := range map[string]Query{
		`{"name":"camera"}`:                                          {Media, Video},
		`{"name":"microphone"}`:                                      {Media, Audio},
		`{"name":"camera","panTiltZoom":true}`:                       {Media, Video},
		`{"name":"midi"}`:                                            {MIDI, ""},
		`{"name":"midi","sysex":true}`:                               {MIDISysex, ""},
		`{"name":"push","userVisibleOnly":true}`:                     {Notifications, ""},
		`{"name":"clipboard-write"}`:                                 {ClipboardSanitizedWrite, ""},
		`{"name":"clipboard-write","allowWithoutSanitization":true}`: {ClipboardRead, ""},
		`{"name":"fullscreen","allowWithoutGesture":true}`:           {AutomaticFullscreen, ""},
		`{"name":"magnetometer"}`:                                    {Sensors, ""},
		`{"name":"keyboard-lock"}`:                                   {KeyboardLock, ""},
		`{"name":"screen-wake-lock"}`:                                {ScreenWakeLock, ""},
	} {
		var d Descriptor
		if err := json.Unmarshal([]byte(query), &d); err != nil {
			t.Fatal(err)
		}
		if got, known := FromQuery(d); !known || got != want {
			t.Errorf("%s: %+v, %v", query, got, known)
		}
	}
}

func TestQuery_WhatChromiumRefusesIsNotAnswered(t *testing.T) {
	for _, d := range []Descriptor{{Name: "push"}, {Name: "fullscreen"}, {Name: "media"}, {Name: "hid"}, {Name: "keyboardLock"}, {Name: "unknown"}, {}} {
		if got, known := FromQuery(d); known {
			t.Errorf("%+v: %+v", d, got)
		}
	}
}
