package bridge

import (
	"cmp"
	"context"
	"encoding/base64"
	"iter"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/hid"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// SelectHIDDeviceEvent is a page that asks for a human interface device: Electron's
// event select-hid-device.
type SelectHIDDeviceEvent struct {
	*DeviceChoice
	// Devices are those that fit what the page asks for, one for each physical
	// device. Those that pages must not see, such as security keys, are missing.
	Devices []HIDDevice
	// WebContents is the page that asks, and Frame its frame.
	WebContents *WebContents
	Frame       *Frame
	// Origin is that of the frame and EmbeddingOrigin that of the page, without a
	// slash at the end. The device is granted to the page's.
	Origin          string
	EmbeddingOrigin string
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
	s.devices.hidListener.set(listener)
	s.devices.update()
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
		listener:   a.selectHIDDevice,
		open:       openHIDDevice,
	})
}

func (a *deviceAccess) selectHIDDevice(r *deviceRequest[HIDDevice], offered []HIDDevice) func() {
	listener := a.hidListener.get()
	if listener == nil {
		return nil
	}
	e := &SelectHIDDeviceEvent{
		DeviceChoice: r.choice, Devices: offered, WebContents: r.from.page, Frame: r.from.frame,
		Origin: r.from.origin, EmbeddingOrigin: r.from.embedding,
	}
	return func() { listener(e) }
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

func wantedHIDDevices(question []byte) (func(HIDDevice) bool, error) {
	var q struct {
		Filters          []hid.Filter `json:"filters"`
		ExclusionFilters []hid.Filter `json:"exclusionFilters"`
	}
	if err := jsonv2.Unmarshal(question, &q, jsonv2.AllowInvalidUTF8(true)); err != nil {
		return nil, &domException{"TypeError", "The filters are not valid."}
	}
	return func(d HIDDevice) bool {
		d, _ = hid.Protect(d)
		return hid.Matches(q.Filters, q.ExclusionFilters, d)
	}, nil
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

func openHIDDevice(ctx context.Context, c *deviceClient, source hid.Source, d HIDDevice, _ []byte) (deviceConnection, error) {
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

func (h *openHID) do(ctx context.Context, turn deviceTurn, op string, question []byte) (any, error) {
	mine := h.turns.next()
	defer mine.over()
	turn.end(ctx)
	mine.wait(ctx)
	var q struct {
		Report byte   `json:"report"`
		Data   string `json:"data"`
	}
	if err := jsonv2.Unmarshal(question, &q, jsonv2.AllowInvalidUTF8(true)); err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(q.Data)
	if err != nil {
		return nil, err
	}
	switch op {
	case "sendReport":
		if !h.device.Allows(hid.OutputReport, q.Report) {
			return nil, errReportProtected
		}
		return nil, h.connection.WriteOutput(ctx, q.Report, data)
	case "sendFeatureReport":
		if !h.device.Allows(hid.FeatureReport, q.Report) {
			return nil, errReportProtected
		}
		return nil, h.connection.SendFeature(ctx, q.Report, data)
	case "receiveFeatureReport":
		if !h.device.Allows(hid.FeatureReport, q.Report) {
			return nil, errReportProtected
		}
		data, err := h.connection.ReceiveFeature(ctx, q.Report)
		if q.Report != 0 { // Chromium leaves the number of the report where the device has it
			data = append([]byte{q.Report}, data...)
		}
		return base64.StdEncoding.EncodeToString(data), err
	}
	return nil, &domException{"NotSupportedError", "The operation is not supported."}
}

// errReportProtected is of reports that pages must not read or write.
var errReportProtected = &domException{"NotAllowedError", "The report is protected."}
