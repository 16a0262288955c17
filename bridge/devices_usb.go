package bridge

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

// SelectUSBDeviceEvent is a page that asks for a USB device: Electron's event
// select-usb-device.
type SelectUSBDeviceEvent struct {
	DeviceRequest
	// Devices are those that fit what the page asks for. Those that pages must not
	// see, such as security keys, are missing.
	Devices []USBDevice
}

// OnSelectUSBDevice sets who chooses when a page calls navigator.usb.requestDevice();
// nil removes it. The device is chosen by its DeviceID. It is Electron's event
// select-usb-device. Without a listener the page gets a NotFoundError. Unlike those for
// other kinds of devices, an answer that comes too late grants nothing.
//
// Pages of a session with a listener, with a SetDevicePermissionHandler, with granted
// devices or with virtual ones have WebUSB as the specification says it; the devices
// are opened by the bridge. Events of theirs are not trusted ones, and configurations,
// interfaces, alternates and endpoints come from the devices alone: the constructors
// that Chromium has for them do not take these.
func (s *Session) OnSelectUSBDevice(listener func(e *SelectUSBDeviceEvent)) {
	var ask func(DeviceRequest, []USBDevice)
	if listener != nil {
		ask = func(r DeviceRequest, fitting []USBDevice) { listener(&SelectUSBDeviceEvent{r, fitting}) }
	}
	s.devices.usb.setListener(ask)
}

// USBDeviceEvents returns an iterator over the USB devices that are plugged in while a
// page that has asked for one is there, as far as they fit what it asked for, all that
// are unplugged meanwhile, and those that pages forget, from now on. It is Electron's
// events usb-device-added, usb-device-removed and usb-device-revoked.
func (s *Session) USBDeviceEvents(ctx context.Context) iter.Seq[DeviceEvent[USBDevice]] {
	return s.devices.usb.listen(ctx)
}

// USBClass is a class of USB interfaces, by Electron's name.
type USBClass string

// The classes that pages cannot use without a USBProtectedClassesHandler. There are
// other ways for pages to what they are for.
const (
	USBAudio       USBClass = "audio"
	USBAudioVideo  USBClass = "audio-video"
	USBHID         USBClass = "hid"
	USBMassStorage USBClass = "mass-storage"
	USBSmartCard   USBClass = "smart-card"
	USBVideo       USBClass = "video"
	USBWireless    USBClass = "wireless"
)

func usbClassCodes() map[USBClass]uint8 {
	return map[USBClass]uint8{USBAudio: 0x01, USBAudioVideo: 0x10, USBHID: 0x03, USBMassStorage: 0x08, USBSmartCard: 0x0B, USBVideo: 0x0E, USBWireless: 0xE0}
}

// A USBProtectedClassesHandler says which classes of interfaces pages may not claim.
// protected are all that there are, sorted.
type USBProtectedClassesHandler func(ctx context.Context, protected []USBClass) []USBClass

// SetUSBProtectedClassesHandler sets who says which classes of USB interfaces are kept
// from pages, each time that a page opens a device; nil removes it, and all are. It is
// Electron's setUSBProtectedClassesHandler. Where a handler panics, or names a class
// that there is not, all classes stay protected; in Electron none is then, and names
// that are not known are passed over.
func (s *Session) SetUSBProtectedClassesHandler(handler USBProtectedClassesHandler) {
	s.devices.usbProtected.set(handler)
}

// protectedUSBClasses are the codes of the classes that a page may not use.
func (a *deviceAccess) protectedUSBClasses(ctx context.Context) []uint8 {
	handler := a.usbProtected.get()
	if handler == nil {
		return usb.ProtectedClasses()
	}
	codes := usbClassCodes()
	all := slices.Sorted(maps.Keys(codes))
	named, err := answered(ctx, a.session.browser, "SetUSBProtectedClassesHandler", func() ([]USBClass, error) { return handler(ctx, all), nil })
	if err != nil {
		return usb.ProtectedClasses()
	}
	protected := []uint8{}
	for _, name := range named {
		code, known := codes[name]
		if !known {
			a.session.browser.log.Warn("there is no such class of USB interfaces; all are protected", "class", string(name))
			return usb.ProtectedClasses()
		}
		protected = append(protected, code)
	}
	return protected
}

func newUSBKind(a *deviceAccess) *deviceKind[USBDevice, usb.Source] {
	return newDeviceKind(a, devices.USB, deviceTraits[USBDevice, usb.Source]{
		sources:     func() []usb.Source { return []usb.Source{a.session.browser.devices.usb} },
		grant:       usbGrant,
		permission:  func(p *DevicePermission, d USBDevice) { p.USB = &d },
		page:        usbPage,
		shown:       func(d USBDevice) bool { return !usb.Blocked(d) },
		group:       USBDevice.Identity,
		wants:       wantedUSBDevices,
		forgetsLate: true,
		tellsAll:    true,
		closesLost:  true,
		open:        openUSBDevice,
	})
}

// usbGrant is what is remembered of a device. One without a serial number is another one
// after it was away.
func usbGrant(d USBDevice) devices.Grant {
	g := devices.Grant{Kind: devices.USB, Name: d.ProductName, VendorID: d.VendorID, ProductID: d.ProductID, SerialNumber: d.SerialNumber}
	if d.SerialNumber == "" {
		g.Identity = d.DeviceID
	}
	return g
}

func usbPage(d USBDevice) map[string]any {
	page := map[string]any{
		"vendorId": d.VendorID, "productId": d.ProductID,
		"usbVersionMajor": d.USBVersionMajor, "usbVersionMinor": d.USBVersionMinor, "usbVersionSubminor": d.USBVersionSubminor,
		"deviceClass": d.DeviceClass, "deviceSubclass": d.DeviceSubclass, "deviceProtocol": d.DeviceProtocol,
		"deviceVersionMajor": d.DeviceVersionMajor, "deviceVersionMinor": d.DeviceVersionMinor, "deviceVersionSubminor": d.DeviceVersionSubminor,
		"configurations": d.Configurations,
	}
	for name, value := range map[string]string{"productName": d.ProductName, "manufacturerName": d.ManufacturerName, "serialNumber": d.SerialNumber} {
		if value != "" {
			page[name] = value
		}
	}
	if d.Configuration != nil {
		page["configuration"] = d.Configuration.ConfigurationValue
	}
	return page
}

func wantedUSBDevices(q deviceQuestion) (func(USBDevice) bool, error) {
	var wanted struct {
		Filters          []usb.Filter `json:"filters"`
		ExclusionFilters []usb.Filter `json:"exclusionFilters"`
	}
	err := q.decode(&wanted)
	return func(d USBDevice) bool {
		return usb.Matches(wanted.Filters, d) && !slices.ContainsFunc(wanted.ExclusionFilters, func(f usb.Filter) bool { return f.Match(d) })
	}, err
}

func openUSBDevice(ctx context.Context, c *deviceClient, source usb.Source, d USBDevice, _ deviceQuestion) (deviceConnection, error) {
	protected := c.page.session.devices.protectedUSBClasses(ctx)
	connection, err := source.Open(ctx, d, usb.Options{})
	switch {
	case errors.Is(err, usb.ErrLost):
		return nil, errDeviceGone
	case err != nil:
		c.page.session.browser.log.Warn("a page could not open a USB device", "device", d.ProductName, "page", c.page.URL(), "error", devices.Explain(d, err))
		return nil, &domException{"SecurityError", "Access denied."}
	}
	return newOpenUSB(c, d, connection, protected), nil
}
