package devices

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

// AccessError says that this user may not use a device, and what gives the right to.
type AccessError struct {
	// Path is the node of the device: "/dev/hidraw0".
	Path string
	// Rule is a line for a file of udev's rules, on Linux. Elsewhere it is empty.
	Rule string
	Err  error
}

// RulesFile is where Rule belongs. The number lets udev's own rule that gives nodes to who is logged in come later.
const RulesFile = "/etc/udev/rules.d/70-cdpbridge.rules"

// Error says in several lines what to do.
func (e *AccessError) Error() string {
	if e.Rule == "" {
		return fmt.Sprintf("no right to use %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("no right to use %s: %v\nPut this line into %s:\n  %s\nand run: udevadm control --reload && udevadm trigger",
		e.Path, e.Err, RulesFile, e.Rule)
}

// Unwrap gives what the system said.
func (e *AccessError) Unwrap() error { return e.Err }

// Explain makes an error of opening device, which is a serial.Port, a hid.Device or a usb.Device, an
// *AccessError if it is for want of rights. Other errors stay as they are.
func Explain(device any, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	path, rule := node(device)
	if runtime.GOOS != "linux" {
		rule = ""
	}
	return &AccessError{Path: path, Rule: rule, Err: err}
}

// Access says whether this user may read and write device, without opening it: nil or an *AccessError. A device
// that is gone meanwhile gives what the system says of its path. On systems other than Linux nothing is known and
// nil is the answer.
func Access(device any) error {
	path, _ := node(device)
	if path == "" {
		return nil
	}
	return Explain(device, access(path))
}

// node is the path of a device and the rule that gives it to who is logged in, and to the group plugdev where
// nobody is.
func node(device any) (path, rule string) {
	const grant = `, MODE="0660", GROUP="plugdev", TAG+="uaccess"`
	switch d := device.(type) {
	case serial.Port:
		if vendor, product, ok := d.USB(); ok {
			return d.Path, fmt.Sprintf(`SUBSYSTEM=="tty", ATTRS{idVendor}=="%04x", ATTRS{idProduct}=="%04x"`, vendor, product) + grant
		}
		return d.Path, fmt.Sprintf(`SUBSYSTEM=="tty", KERNEL=="%s"`, d.PortName) + grant
	case hid.Device:
		// The name of the device above the node has bus, vendor and product, over USB and over Bluetooth.
		return d.Path, fmt.Sprintf(`SUBSYSTEM=="hidraw", KERNELS=="*:%04X:%04X.*"`, d.VendorID, d.ProductID) + grant
	case usb.Device:
		return d.Path, fmt.Sprintf(`SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="%04x", ATTR{idProduct}=="%04x"`,
			d.VendorID, d.ProductID) + grant
	default:
		return "", ""
	}
}
