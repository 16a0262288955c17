//go:build hidapi && cgo

package hid

import (
	"errors"
	"testing"
)

func TestHIDAPI_ListsThisMachine(t *testing.T) {
	source := HIDAPI()
	before, again := listed(t, source), listed(t, source)
	for i := range before {
		if before[i].GUID == "" || before[i].GUID != again[i].GUID {
			t.Errorf("%+v became %+v", before[i], again[i])
		}
	}
	if _, err := source.Open(t.Context(), Device{GUID: "none"}); !errors.Is(err, ErrLost) {
		t.Errorf("opening a device that is not there: %v", err)
	}
}
