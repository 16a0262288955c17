//go:build libusb && cgo

package usb

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/gousb"
)

func TestOpen_ADeviceThatIsNotThere(t *testing.T) {
	_, err := openDevice(Device{Bus: 250, Address: 250}, Options{})
	if err == nil {
		t.Fatal("it was opened")
	}
	if library, startErr := start(); startErr == nil {
		library.Close()
		if !errors.Is(err, ErrLost) {
			t.Error(err)
		}
	}
}

func TestInOrder_InterfacesAreAtTheirNumbers(t *testing.T) {
	d := gousb.ConfigDesc{Interfaces: []gousb.InterfaceDesc{{Number: 3}, {Number: 0}, {Number: 1}}}
	inOrder(&d)
	var numbers []int
	for _, i := range d.Interfaces {
		numbers = append(numbers, i.Number)
	}
	if !slices.Equal(numbers, []int{0, 1, -1, 3}) {
		t.Errorf("%v", numbers)
	}
}

func TestSetup_Bits(t *testing.T) {
	for setup, want := range map[Setup]uint8{
		{RequestType: Standard, Recipient: ToDevice}: 0x00,
		{RequestType: Class, Recipient: ToInterface}: 0x21,
		{RequestType: Vendor, Recipient: ToEndpoint}: 0x42,
		{RequestType: Vendor, Recipient: ToOther}:    0x43,
	} {
		if got, ok := setup.bits(); !ok || got != want {
			t.Errorf("%+v: %02x, %v", setup, got, ok)
		}
	}
	if _, ok := (Setup{RequestType: "other", Recipient: ToDevice}).bits(); ok {
		t.Error("a type that does not exist was taken")
	}
}

func TestIs_FindsErrorsThatTheLibraryWrapsAsText(t *testing.T) {
	if !is(errors.New("failed to claim interface 0: "+gousb.ErrorBusy.Error()), gousb.ErrorBusy) || is(nil, gousb.ErrorBusy) {
		t.Error("busy is not recognised")
	}
	c := &connection{}
	for err, want := range map[error]Status{nil: OK, gousb.TransferStall: Stall, gousb.ErrorPipe: Stall, gousb.TransferOverflow: Babble} {
		if got, failed := c.status(t.Context(), "transfer", err); got != want || failed != nil {
			t.Errorf("%v: %s, %v", err, got, failed)
		}
	}
}
