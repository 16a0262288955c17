//go:build linux

package devices

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

func TestExplain_NamesTheRule(t *testing.T) {
	refused := &fs.PathError{Op: "open", Path: "/dev/x", Err: fs.ErrPermission}
	for _, c := range []struct {
		device any
		rule   string
	}{
		{
			serial.Port{Path: "/dev/x", PortName: "ttyUSB0", VendorID: "1027", ProductID: "24577"},
			`SUBSYSTEM=="tty", ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001", `,
		},
		{serial.Port{Path: "/dev/x", PortName: "ttyS0"}, `SUBSYSTEM=="tty", KERNEL=="ttyS0", `},
		{hid.Device{Path: "/dev/x", VendorID: 0x46d, ProductID: 0xc077}, `SUBSYSTEM=="hidraw", KERNELS=="*:046D:C077.*", `},
		{
			usb.Device{Path: "/dev/x", VendorID: 0x46d, ProductID: 0xc077},
			`SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="046d", ATTR{idProduct}=="c077", `,
		},
	} {
		err := Explain(c.device, refused)
		var denied *AccessError
		if !errors.As(err, &denied) || denied.Path != "/dev/x" || !errors.Is(err, fs.ErrPermission) {
			t.Fatalf("%v", err)
		}
		if denied.Rule != c.rule+`MODE="0660", GROUP="plugdev", TAG+="uaccess"` || !strings.Contains(err.Error(), denied.Rule) {
			t.Errorf("%v", err)
		}
	}
}

func TestExplain_LeavesOtherErrorsAlone(t *testing.T) {
	if err := Explain(hid.Device{}, hid.ErrLost); err != hid.ErrLost {
		t.Error(err)
	}
	if err := Explain(hid.Device{}, nil); err != nil {
		t.Error(err)
	}
}

func TestAccess_WithoutANode(t *testing.T) {
	if err := Access(serial.Port{}); err != nil {
		t.Errorf("a port made in software: %v", err)
	}
	if err := Access(serial.Port{Path: "/dev/null"}); err != nil {
		t.Errorf("a node that everybody may use: %v", err)
	}
	var denied *AccessError
	if err := Access(serial.Port{Path: "/dev/none"}); !errors.Is(err, fs.ErrNotExist) || errors.As(err, &denied) {
		t.Errorf("a node that is gone: %v", err)
	}
}
