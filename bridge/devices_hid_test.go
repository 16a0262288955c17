package bridge

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// vendorDefined is a report descriptor with an input, an output and a feature report of 8
// bytes, without numbers.
const vendorDefined = "0600ff0901a101150026ff00750895080902810209039102090 4b102c0"

// numbered is the same with a number, 5.
const numbered = "0600ff0901a1018505150026ff00750895080902810209039102090 4b102c0"

func descriptor(t testing.TB, text string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// pad is a human interface device.
func pad(t testing.TB) virtual.HIDDevice {
	return virtual.HIDDevice{Name: "Pad", VendorID: 0x1209, ProductID: 1, SerialNumber: "P1", ReportDescriptor: descriptor(t, vendorDefined)}
}

func hidPlugged(t testing.TB, s *Session, device virtual.HIDDevice) *virtual.HIDInterface {
	t.Helper()
	plugged, err := s.AddVirtualHIDDevice(device)
	if err != nil {
		t.Fatal(err)
	}
	return plugged
}

// choosesPad lets the first device be chosen.
func choosesPad(s *Session) {
	s.OnSelectHIDDevice(func(e *SelectHIDDeviceEvent) {
		if len(e.Devices) > 0 {
			e.Select(e.Devices[0].DeviceID)
		}
	})
}

const (
	requestHID = `const [device] = await navigator.hid.requestDevice({filters: [{vendorId: 0x1209}]});`
	openHIDs   = requestHID + `await device.open(); globalThis.device = device;`
	countHID   = `return (await navigator.hid.getDevices()).length`
	noHID      = `return await navigator.hid.requestDevice({filters: []})`
)

func TestHID_APageTalksToADevice(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	device := hidPlugged(t, s, pad(t))
	does(t, page, openHIDs+`
		globalThis.reports = [];
		device.oninputreport = e => reports.push([e instanceof HIDInputReportEvent, e.device === device, e.reportId, e.data.getUint8(0), e.data.byteLength].join());
		await device.sendReport(0, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
		return [device instanceof HIDDevice, device.opened, device.vendorId, device.productId, device.productName]`, `[true,true,4617,1,"Pad"]`)
	sent, err := device.Receive(testContext(t))
	if err != nil || sent.ID != 0 || !slices.Equal(sent.Data, []byte{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("%+v, %v", sent, err)
	}
	if err := device.SendInput(testContext(t), 0, []byte{9, 8, 7, 6, 5, 4, 3, 2}); err != nil {
		t.Error(err)
	}
	does(t, page, `while (!reports.length) await new Promise(r => setTimeout(r)); return reports`, `["true,true,0,9,8"]`)
	does(t, page, `await device.sendFeatureReport(0, new Uint8Array([8, 7, 6, 5, 4, 3, 2, 1])); const view = await device.receiveFeatureReport(0); return [view.byteLength, view.getUint8(0)]`, "[8,8]")
	does(t, page, `await device.close(); return device.opened`, "false")
}

func TestHID_NumberedReportsHaveTheirNumbers(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	numberedPad := pad(t)
	numberedPad.ReportDescriptor = descriptor(t, numbered)
	device := hidPlugged(t, s, numberedPad)
	does(t, page, openHIDs+`globalThis.report = new Promise(r => device.addEventListener('inputreport', e => r([e.reportId, e.data.byteLength])));
		await device.sendFeatureReport(5, new Uint8Array(8).fill(7));
		const view = await device.receiveFeatureReport(5);
		return [view.byteLength, view.getUint8(0), view.getUint8(1)]`, "[9,5,7]")
	if err := device.SendInput(testContext(t), 5, make([]byte, 8)); err != nil {
		t.Error(err)
	}
	does(t, page, `return await report`, "[5,8]")
}

func TestHID_CollectionsSayWhichReportsThereAre(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	hidPlugged(t, s, pad(t))
	does(t, page, requestHID+`const [c] = device.collections; return [c.usagePage, c.usage, c.type, c.children.length, c.inputReports[0].reportId, c.inputReports[0].items[0].reportSize, c.inputReports[0].items[0].logicalMaximum, c.outputReports.length, c.featureReports.length]`,
		"[65280,1,1,0,0,8,255,1,1]")
}

func TestHID_AThousandReportsASecondArrive(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	device := hidPlugged(t, s, pad(t))
	const count = 5000
	ctx := testContext(t)
	does(t, page, openHIDs+`
		globalThis.got = 0;
		globalThis.wrong = 0;
		device.oninputreport = e => { if (e.data.getUint16(0) !== got) wrong++; got++; };
		return 'open'`, "open")
	for i := range count {
		if err := device.SendInput(ctx, 0, []byte{byte(i >> 8), byte(i), 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
	}
	does(t, page, `while (got < 5000) await new Promise(r => setTimeout(r)); return wrong`, "0")
}

func TestHID_ErrorsAreChromiums(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	refusing := pad(t)
	refusing.Output = func(context.Context, byte, []byte) error { return errors.New("no") }
	hidPlugged(t, s, refusing)
	does(t, page, requestHID+`globalThis.device = device; return 'chosen'`, "chosen")
	const on, request = "Failed to execute '%s' on 'HIDDevice': ", "Failed to execute 'requestDevice' on 'HID': "
	for call, result := range map[string]string{
		`device.sendReport(0, new Uint8Array(1))`:                          "InvalidStateError: " + strings.Replace(on, "%s", "sendReport", 1) + "The device must be opened first.",
		`device.receiveFeatureReport(0)`:                                   "InvalidStateError: " + strings.Replace(on, "%s", "receiveFeatureReport", 1) + "The device must be opened first.",
		`device.sendReport(0)`:                                             "TypeError: " + strings.Replace(on, "%s", "sendReport", 1) + "2 arguments required, but only 1 present.",
		`device.sendReport(0, 'x')`:                                        "TypeError: " + strings.Replace(on, "%s", "sendReport", 1) + "The provided value is not of type '(ArrayBuffer or ArrayBufferView)'.",
		`navigator.hid.requestDevice()`:                                    "TypeError: " + request + "1 argument required, but only 0 present.",
		`navigator.hid.requestDevice({})`:                                  "TypeError: " + request + "Failed to read the 'filters' property from 'HIDDeviceRequestOptions': Required member is undefined.",
		`navigator.hid.requestDevice({filters: [{}]})`:                     "TypeError: " + request + "A filter must provide a property to filter by.",
		`navigator.hid.requestDevice({filters: [{productId: 1}]})`:         "TypeError: " + request + "A filter containing a productId must also contain a vendorId.",
		`navigator.hid.requestDevice({filters: [{usage: 1}]})`:             "TypeError: " + request + "A filter containing a usage must also contain a usagePage.",
		`navigator.hid.requestDevice({filters: [], exclusionFilters: []})`: "TypeError: " + request + "'exclusionFilters', if present, must contain at least one filter.",
		`device.open().then(() => device.open())`:                          "InvalidStateError: " + strings.Replace(on, "%s", "open", 1) + "The device is already open.",
		`device.sendReport(0, new Uint8Array(8)).then(() => 0, e => { if (/opened/.test(e)) return device.open().then(() => device.sendReport(0, new Uint8Array(8))); throw e })`: "NotAllowedError: " + strings.Replace(on, "%s", "sendReport", 1) + "Failed to write the report.",
	} {
		does(t, page, "await device.close(); return await "+call, result)
	}
}

func TestHID_ADeviceThatIsUnpluggedIsClosed(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	device := hidPlugged(t, s, pad(t))
	does(t, page, openHIDs+`
		globalThis.told = [];
		for (const type of ['connect', 'disconnect']) navigator.hid.addEventListener(type, e => told.push([type, e instanceof HIDConnectionEvent, e.device === device, e.device.opened].join()));
		return 'open'`, "open")
	device.Unplug()
	does(t, page, `while (!told.length) await new Promise(r => setTimeout(r)); return told.join() + device.opened`, "disconnect,true,true,falsefalse")
	t.Run("and is the same one when it is back", func(t *testing.T) {
		hidPlugged(t, s, pad(t))
		does(t, page, `while (told.length < 2) await new Promise(r => setTimeout(r)); await device.open(); return told[1] + device.opened`, "connect,true,true,falsetrue")
	})
}

func TestHID_CHR4822_APageGetsWhatTheListenerChooses(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	hidPlugged(t, s, pad(t))
	does(t, page, requestHID+`return device.toString() + (await navigator.hid.getDevices()).includes(device)`, "[object HIDDevice]true")
	does(t, testPage(t, s, sharedServer(t).URL("other.localhost", "/")), countHID, "0")
}

func TestHID_APageGetsNothing(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	hidPlugged(t, s, pad(t))
	t.Run("CHR-4804 without a listener", func(t *testing.T) { does(t, page, noHID, "[]") })
	for name, listener := range map[string]func(*SelectHIDDeviceEvent){
		"when it is cancelled": func(e *SelectHIDDeviceEvent) { e.Cancel() },
		"for an unknown id":    func(e *SelectHIDDeviceEvent) { e.Select("unknown") },
		"when nobody answers":  func(*SelectHIDDeviceEvent) {},
	} {
		t.Run(name, func(t *testing.T) {
			s.OnSelectHIDDevice(listener)
			does(t, page, noHID, "[]")
			does(t, page, countHID, "0")
		})
	}
	t.Run("CHR-4810 when the check handler says no", func(t *testing.T) {
		asked := make(chan bool, 1)
		s.OnSelectHIDDevice(func(*SelectHIDDeviceEvent) { asked <- true })
		s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool { return c.Permission != PermissionHID })
		does(t, page, noHID, "[]")
		if len(asked) > 0 {
			t.Error("the listener is asked all the same")
		}
	})
}

func TestHID_CHR4887_FiltersSayWhatIsListed(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	for i := range 3 {
		device := pad(t)
		device.ProductID = uint16(i + 1)
		hidPlugged(t, s, device)
	}
	keys := pad(t)
	keys.ProductID, keys.ReportDescriptor = 9, descriptor(t, "05010906a1010507 19e029e7150025017501950881 02c0") // a keyboard, which is not for pages
	hidPlugged(t, s, keys)
	listed := make(chan []uint16, 1)
	s.OnSelectHIDDevice(func(e *SelectHIDDeviceEvent) {
		var products []uint16
		for _, d := range e.Devices {
			products = append(products, d.ProductID)
		}
		listed <- products
	})
	for options, products := range map[string][]uint16{
		`{filters: []}`: {1, 2, 3},
		`{filters: [{vendorId: 0x1209, productId: 2}]}`:                                   {2},
		`{filters: [{vendorId: 1}]}`:                                                      nil,
		`{filters: [{usagePage: 0xff00, usage: 1}]}`:                                      {1, 2, 3},
		`{filters: [], exclusionFilters: [{vendorId: 0x1209, productId: 1}]}`:             {2, 3},
		`{filters: [{vendorId: 0x1209}], exclusionFilters: [{usagePage: 0xff00}]}`:        nil,
		`{filters: [{vendorId: 0x1209, productId: 3}, {vendorId: 0x1209, productId: 1}]}`: {1, 3},
	} {
		does(t, page, `return await navigator.hid.requestDevice(`+options+`)`, "[]")
		got := next(t, listed)
		slices.Sort(got)
		if !slices.Equal(got, products) {
			t.Errorf("%s lists %v, want %v", options, got, products)
		}
	}
}

func TestHID_CX28_InterfacesOfADeviceAreChosenTogether(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	for range 2 {
		device := pad(t)
		device.DeviceID = "physical"
		hidPlugged(t, s, device)
	}
	listed := make(chan []HIDDevice, 1)
	s.OnSelectHIDDevice(func(e *SelectHIDDeviceEvent) {
		listed <- e.Devices
		e.Select("physical")
	})
	does(t, page, `return (await navigator.hid.requestDevice({filters: []})).length`, "2")
	if d := next(t, listed); len(d) != 1 || d[0].DeviceID != "physical" {
		t.Errorf("%+v", d)
	}
}

func TestHID_CX23_ALateAnswerStillGrants(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	hidPlugged(t, s, pad(t))
	asked := make(chan *SelectHIDDeviceEvent, 1)
	s.OnSelectHIDDevice(func(e *SelectHIDDeviceEvent) { asked <- e })
	does(t, page, noHID, "[]")
	e := next(t, asked)
	e.Select(e.Devices[0].DeviceID)
	does(t, page, countHID, "1")
}

func TestHID_CX29_DevicesComeAndGoAlsoAfterTheChoice(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	hidPlugged(t, s, pad(t))
	told := events(s.HIDDeviceEvents(testContext(t)))
	does(t, page, requestHID+`return 'chosen'`, "chosen")
	other := pad(t)
	other.VendorID = 1
	hidPlugged(t, s, other) // not what the page wants
	other = pad(t)
	other.ProductID = 2
	device := hidPlugged(t, s, other)
	if e := next(t, told); e.Type != DeviceAdded || e.Device.ProductID != 2 || e.Frame == nil {
		t.Errorf("%+v", e)
	}
	device.Unplug()
	if e := next(t, told); e.Type != DeviceRemoved || e.Device.ProductID != 2 {
		t.Errorf("%+v", e)
	}
}

func TestHID_CHR4931_APageForgetsADevice(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	hidPlugged(t, s, pad(t))
	told := events(s.HIDDeviceEvents(testContext(t)))
	does(t, page, openHIDs+`await device.forget(); return [device.opened, (await navigator.hid.getDevices()).length, await device.open().catch(e => e.name)]`, `[false,0,"InvalidStateError"]`)
	if e := next(t, told); e.Type != DeviceRevoked || e.Device.VendorID != 0x1209 || e.Device.ProductID != 1 || e.Device.Name != "Pad" || e.Origin != originOfPage(t, page) {
		t.Errorf("%+v", e)
	}
}

func TestDevicePermissionHandler_SaysWhichHIDDevicesAPageHas(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesPad(s)
	hidPlugged(t, s, pad(t))
	asked := make(chan DevicePermission, 100)
	s.SetDevicePermissionHandler(func(_ context.Context, p DevicePermission) bool {
		asked <- p
		return true
	})
	t.Run("CHR-4858 CX32", func(t *testing.T) {
		does(t, page, countHID, "1")
		if p := next(t, asked); p.DeviceType != devices.HID || p.Origin != originOfPage(t, page) || p.HID == nil || p.HID.Name != "Pad" || p.HID.SerialNumber != "P1" {
			t.Errorf("%+v", p)
		}
		does(t, page, requestHID+`return device.productName`, "Pad")
	})
	t.Run("CX30 but not those that cannot be known again", func(t *testing.T) {
		s.SetDevicePermissionHandler(func(context.Context, DevicePermission) bool { return false })
		does(t, page, countHID, "0")
		nameless := pad(t)
		nameless.SerialNumber, nameless.VendorID = "", 0x1208
		device := hidPlugged(t, s, nameless)
		s.OnSelectHIDDevice(func(e *SelectHIDDeviceEvent) { e.Select(e.Devices[0].DeviceID) })
		does(t, page, `return (await navigator.hid.requestDevice({filters: [{vendorId: 0x1208}]})).length + (await navigator.hid.getDevices()).length`, "2")
		device.Unplug()
		does(t, page, countHID, "0")
	})
}
