package bridge

import (
	"context"
	"errors"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/devices/usb"
	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
)

// Electron's names for devices.
type (
	// SerialPort is a serial port: Electron's SerialPort.
	SerialPort = serial.Port
	// HIDDevice is an interface of a human interface device: Electron's HIDDevice.
	HIDDevice = hid.Device
	// USBDevice is a USB device: Electron's USBDevice.
	USBDevice = usb.Device
	// DeviceKind is devices.HID, devices.Serial or devices.USB.
	DeviceKind = devices.Kind
)

// DevicePermission is the question whether an origin may use a device: what
// Electron's device permission handler gets.
type DevicePermission struct {
	DeviceType DeviceKind
	// Origin is that of the page, without a slash at the end.
	Origin string
	// One of these is the device.
	HID    *HIDDevice
	Serial *SerialPort
	USB    *USBDevice
}

// A DevicePermissionHandler says whether an origin may use a device.
type DevicePermissionHandler func(ctx context.Context, p DevicePermission) (granted bool)

// SetDevicePermissionHandler sets who says which devices pages may use, each time
// that they look for devices or open one; nil removes it. While there is a handler
// the session does not remember what is chosen. Without one a page has the devices
// that were chosen for its origin. It is Electron's setDevicePermissionHandler. A
// handler that panics says no.
//
// The handler is not asked for devices that cannot be known again once they were away,
// for want of a serial number, as HID devices without a name and ports that are not of
// a USB device: these are granted by choice alone, until they are unplugged.
func (s *Session) SetDevicePermissionHandler(handler DevicePermissionHandler) {
	s.devices.handler.set(handler)
	s.devices.update()
}

// DeviceGrants are the devices that pages of the session may use because they were
// chosen.
func (s *Session) DeviceGrants() []devices.Grant { return s.devices.grants.List() }

// RevokeDevices takes back the grants that which is true for, and closes what pages
// have open that they may not use any more. The error says that the file of
// RememberDevices could not be written.
func (s *Session) RevokeDevices(which func(devices.Grant) bool) error {
	err := s.devices.grants.Remove(which)
	s.devices.pages.review()
	s.devices.update()
	return doing("revoking devices", err)
}

// devicesFile is where a session remembers grants, in its directory.
const devicesFile = "bridge-devices.json"

// RememberDevices makes the session remember over restarts which devices were chosen
// for which origins, and grant at once what is remembered: the ports and devices that
// have a serial number, by which they are known again. false ends that: the file then
// stays as it is, also when grants are revoked. Electron has nothing like it.
//
// A persistent session, and the default one, keep it as bridge-devices.json in their
// directory; others have no file, and for them it does nothing, nor in a browser that
// the bridge did not start. A grant that cannot be written holds all the same, and
// that is logged.
//
// When the file cannot be understood the error is a *permissions.DamagedError, the
// file has been renamed, and the next call begins anew. A file of a newer program
// stays, with a *permissions.VersionError.
func (s *Session) RememberDevices(ctx context.Context, on bool) error {
	var dir atomicfile.Dir
	if on {
		var err error
		if dir, err = s.kept.open(ctx, s); err != nil {
			return doing("remembering devices", err)
		}
	}
	if err := s.devices.grants.Keep(dir, devicesFile); err != nil {
		return doing("remembering devices", err)
	}
	s.devices.update()
	return nil
}

// Devices are those that there are now.
type Devices struct {
	HID    []HIDDevice  `json:"hid"`
	Serial []SerialPort `json:"serial"`
	USB    []USBDevice  `json:"usb"`
}

// Devices returns the devices that pages of the session could be given: those of this
// machine and those of AddVirtualSerialPort and AddVirtualHIDDevice. With an error of
// one kind it returns the others.
func (s *Session) Devices(ctx context.Context) (Devices, error) {
	var all Devices
	var errs [3]error
	all.Serial, errs[0] = s.devices.serial.known().List(ctx)
	all.HID, errs[1] = s.devices.hid.known().List(ctx)
	all.USB, errs[2] = s.devices.usb.known().List(ctx)
	return all, doing("looking for devices", errors.Join(errs[:]...))
}

// DeviceEventType is what has happened to a device.
type DeviceEventType string

// What happens to devices.
const (
	// DeviceAdded is a device that was plugged in.
	DeviceAdded DeviceEventType = "added"
	// DeviceRemoved is a device that was unplugged.
	DeviceRemoved DeviceEventType = "removed"
	// DeviceRevoked is a device that a page has given back, with forget().
	DeviceRevoked DeviceEventType = "revoked"
)

// DeviceEvent tells of a device, D, that a page has asked for or has given back.
type DeviceEvent[D any] struct {
	Type   DeviceEventType
	Device D
	// WebContents and Frame are who has asked for devices last, or has given this one
	// back; a worker has no frame.
	WebContents *WebContents
	Frame       *Frame
	// Origin is that of the page, without a slash at the end.
	Origin string
}

// deviceAccess is what pages of a session have to do with devices.
type deviceAccess struct {
	session *Session
	pages   *devicePages
	grants  devices.Grants
	handler setter[DevicePermissionHandler]

	virtual virtualDevices

	serial       *deviceKind[SerialPort, serial.Source]
	hid          *deviceKind[HIDDevice, hid.Source]
	usb          *deviceKind[USBDevice, usb.Source]
	usbProtected setter[USBProtectedClassesHandler]
}

func newDeviceAccess(s *Session) *deviceAccess {
	a := &deviceAccess{session: s}
	a.pages = newDevicePages(a)
	a.virtual = newVirtualDevices(s)
	a.serial = newSerialKind(a)
	a.hid = newHIDKind(a)
	a.usb = newUSBKind(a)
	return a
}

// nativeDevices are those of this machine.
type nativeDevices struct {
	serial serial.Source
	hid    hid.Source
	usb    usb.Source
}

func newNativeDevices() nativeDevices {
	return nativeDevices{serial: serial.Native(), hid: hid.Native(), usb: usb.Native()}
}

// kind is what answers the questions about a kind of devices, nil for an unknown one.
func (a *deviceAccess) kind(name string) deviceAnswerer {
	switch DeviceKind(name) {
	case devices.Serial:
		return a.serial
	case devices.HID:
		return a.hid
	case devices.USB:
		return a.usb
	}
	return nil
}

// update gives pages the scripts of the devices while somebody can give them one.
func (a *deviceAccess) update() {
	chosen := a.serial.listener.get() != nil || a.hid.listener.get() != nil || a.usb.listener.get() != nil
	a.pages.use(chosen || a.handler.get() != nil || a.virtual.any() || len(a.grants.List()) > 0)
}
