package bridge

import (
	"cmp"
	"context"
	"encoding/base64"
	"iter"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/hid"
)

// SelectHIDDeviceEvent is a page that asks for a human interface device: Electron's
// event select-hid-device.
type SelectHIDDeviceEvent struct {
	DeviceRequest
	// Devices are those that fit what the page asks for, one for each physical
	// device. Those that pages must not see, such as security keys, are missing.
	Devices []HIDDevice
}

// OnSelectHIDDevice sets who chooses when a page calls navigator.hid.requestDevice();
// nil removes it. A device is chosen by its DeviceID; the page gets all interfaces that
// it has. It is Electron's event select-hid-device. Without a listener the page gets an
// empty list.
//
// Pages of a session with a listener, with a SetDevicePermissionHandler, with granted
// devices or with virtual ones have WebHID as the specification says it; the devices
// are opened by the bridge. Events of theirs are not trusted ones.
func (s *Session) OnSelectHIDDevice(listener func(e *SelectHIDDeviceEvent)) {
	var ask func(DeviceRequest, []HIDDevice)
	if listener != nil {
		ask = func(r DeviceRequest, fitting []HIDDevice) { listener(&SelectHIDDeviceEvent{r, fitting}) }
	}
	s.devices.hid.setListener(ask)
}

// HIDDeviceEvents returns an iterator over the human interface devices that are plugged
// in and unplugged while a page that has asked for one is there, as far as they fit
// what it asked for, and those that pages forget, from now on. It is Electron's events
// hid-device-added, hid-device-removed and hid-device-revoked.
func (s *Session) HIDDeviceEvents(ctx context.Context) iter.Seq[DeviceEvent[HIDDevice]] {
	return s.devices.hid.listen(ctx)
}

func newHIDKind(a *deviceAccess) *deviceKind[HIDDevice, hid.Source] {
	return newDeviceKind(a, devices.HID, deviceTraits[HIDDevice, hid.Source]{
		sources:    func() []hid.Source { return []hid.Source{a.session.browser.devices.hid, a.virtual.hid} },
		grant:      hidGrant,
		permission: func(p *DevicePermission, d HIDDevice) { p.HID = &d },
		page:       hidPage,
		shown:      func(d HIDDevice) bool { _, shown := hid.Protect(d); return shown },
		group:      func(d HIDDevice) string { return cmp.Or(d.DeviceID, d.GUID) },
		wants:      wantedHIDDevices,
		open:       openHIDDevice,
	})
}

// hidGrant is what is remembered of a device. One without a serial number or a name is
// another one after it was away.
func hidGrant(d HIDDevice) devices.Grant {
	g := devices.Grant{Kind: devices.HID, Name: d.Name, VendorID: d.VendorID, ProductID: d.ProductID, SerialNumber: d.SerialNumber}
	if d.SerialNumber == "" || d.Name == "" {
		g.Identity = d.GUID
	}
	return g
}

func hidPage(d HIDDevice) map[string]any {
	d, _ = hid.Protect(d)
	return map[string]any{"vendorId": d.VendorID, "productId": d.ProductID, "productName": d.Name, "collections": d.Collections}
}

func wantedHIDDevices(q deviceQuestion) (func(HIDDevice) bool, error) {
	var wanted struct {
		Filters          []hid.Filter `json:"filters"`
		ExclusionFilters []hid.Filter `json:"exclusionFilters"`
	}
	err := q.decode(&wanted)
	return func(d HIDDevice) bool {
		d, _ = hid.Protect(d)
		return hid.Matches(wanted.Filters, wanted.ExclusionFilters, d)
	}, err
}

// openHID is a human interface device that a document has open.
type openHID struct {
	client     *deviceClient
	device     HIDDevice
	connection hid.Connection
	turns      deviceTurns // of what the document asks for

	mu      sync.Mutex
	waiting [][2]any // input reports that the document has not been sent
	sending bool
}

// reportsWaiting is how many input reports wait for a document that does not take them.
// The oldest are dropped when there are more.
const reportsWaiting = 10_000

func openHIDDevice(ctx context.Context, c *deviceClient, source hid.Source, d HIDDevice, _ deviceQuestion) (deviceConnection, error) {
	connection, err := source.Open(ctx, d)
	if err != nil {
		c.page.session.browser.log.Warn("a page could not open a HID device", "device", d.Name, "page", c.page.URL(), "error", devices.Explain(d, err))
		return nil, errDeviceGone
	}
	h := &openHID{client: c, device: d, connection: connection}
	go h.pump()
	return h, nil
}

func (h *openHID) close() { h.connection.Close() }

// pump hands on the input reports until the device is closed or lost.
func (h *openHID) pump() {
	for {
		id, data, err := h.connection.ReadInput(h.client.life)
		if err != nil {
			break
		}
		if h.device.Allows(hid.InputReport, id) {
			h.input(id, data)
		}
	}
	h.connection.Close()
	h.client.say("tell", devices.HID, deviceMessage{Type: "closed", Device: map[string]any{"id": h.device.GUID}})
}

// input sends an input report to the document, together with all that come while it
// takes those before.
func (h *openHID) input(id byte, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waiting) == reportsWaiting {
		h.waiting = h.waiting[1:]
	}
	h.waiting = append(h.waiting, [2]any{id, base64.StdEncoding.EncodeToString(data)})
	if !h.sending {
		h.sending = true
		go h.send()
	}
}

func (h *openHID) send() {
	for {
		h.mu.Lock()
		reports := h.waiting
		h.waiting = nil
		h.sending = len(reports) > 0
		h.mu.Unlock()
		if len(reports) == 0 {
			return
		}
		h.client.deliver("tell", devices.HID, deviceMessage{Type: "input", Device: map[string]any{"id": h.device.GUID}, Data: reports})
	}
}

func (h *openHID) do(ctx context.Context, q deviceQuestion) (any, error) {
	turn := q.turn.move(ctx, &h.turns)
	defer turn.end(ctx)
	var report struct {
		ID   byte   `json:"report"`
		Data []byte `json:"data"`
	}
	if err := q.decode(&report); err != nil {
		return nil, err
	}
	switch kind, known := reportKinds()[q.op]; {
	case !known:
		return nil, errNoSuchOperation
	case !h.device.Allows(kind, report.ID):
		return nil, errReportProtected
	}
	switch q.op {
	case "sendReport":
		return nil, h.connection.WriteOutput(ctx, report.ID, report.Data)
	case "sendFeatureReport":
		return nil, h.connection.SendFeature(ctx, report.ID, report.Data)
	}
	data, err := h.connection.ReceiveFeature(ctx, report.ID)
	if report.ID != 0 { // Chromium leaves the number of the report where the device has it
		data = append([]byte{report.ID}, data...)
	}
	return data, err
}

// reportKinds are the kinds of reports that operations of a page read or write.
func reportKinds() map[string]hid.ReportKind {
	return map[string]hid.ReportKind{"sendReport": hid.OutputReport, "sendFeatureReport": hid.FeatureReport, "receiveFeatureReport": hid.FeatureReport}
}

// errReportProtected is of reports that pages must not read or write.
var errReportProtected = &domException{"NotAllowedError", "The report is protected."}
