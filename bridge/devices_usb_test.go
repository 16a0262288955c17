package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices"
)

const (
	usbRequest  = `const device = globalThis.device = await navigator.usb.requestDevice({filters: [{vendorId: 0x1209}]});`
	usbOpen     = usbRequest + `await device.open();`
	usbClaimed  = usbOpen + `await device.claimInterface(0);`
	usbNothing  = "NotFoundError: Failed to execute 'requestDevice' on 'USB': No device selected."
	usbCount    = `return (await navigator.usb.getDevices()).length`
	usbFailed   = "Failed to execute '%s' on 'USBDevice': %s"
	usbGone     = "The device was disconnected."
	usbNames    = `return (await navigator.usb.getDevices()).map(d => d.productName).sort().join()`
	usbContains = `const hex = (result) => result.status + ' ' + [...new Uint8Array(result.data.buffer, result.data.byteOffset, result.data.byteLength)].join();`
)

// usbDoes runs the body of an async function where a user has just done something, and
// wants what it returns, or the name and message of what it throws.
func usbDoes(t testing.TB, in Evaluator, body, result string) {
	t.Helper()
	got, err := EvaluateWithGesture[string](testContext(t), in, "(async () => {"+body+"})().then(String, e => e.name + ': ' + e.message)")
	if err != nil || got != result {
		t.Errorf("%s\ngives %q, %v, want %q", body, got, err, result)
	}
}

// usbChooses lets the first device be chosen.
func usbChooses(s *Session) {
	s.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) {
		if len(e.Devices) > 0 {
			e.Select(e.Devices[0].DeviceID)
		}
	})
}

func TestUSB_APageTalksToADevice(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbClaimed+usbContains+`
		globalThis.hex = hex;
		const out = await device.transferOut(1, new Uint8Array([1, 2, 3]).subarray(1));
		const back = await device.transferIn(1, 64);
		return [out instanceof USBOutTransferResult, out.status, out.bytesWritten, back instanceof USBInTransferResult, hex(back)].join(' ')`,
		"true ok 2 true ok 2,3")
	t.Run("by interrupts", func(t *testing.T) {
		g.interrupts <- []byte{7}
		usbDoes(t, page, `return hex(await device.transferIn(2, 8))`, "ok 7")
	})
	t.Run("by control transfers", func(t *testing.T) {
		usbDoes(t, page, `return hex(await device.controlTransferIn({requestType: 'vendor', recipient: 'device', request: 5, value: 0x102, index: 3}, 9))`, "ok 5,2,1,3,9")
		usbDoes(t, page, `return hex(await device.controlTransferIn({requestType: 'vendor', recipient: 'interface', request: 99, value: 0, index: 0}, 9))`, "stall ")
		usbDoes(t, page, `const r = await device.controlTransferOut({requestType: 'class', recipient: 'interface', request: 5, value: 0, index: 0}, new Uint8Array([4, 5])); return r.status + r.bytesWritten`, "ok2")
		usbDoes(t, page, `const r = await device.controlTransferOut({requestType: 'vendor', recipient: 'endpoint', request: 5, value: 0, index: 0x81}); return r.status + r.bytesWritten`, "ok0")
		g.wait(t, "control out class interface [4 5]")
		g.wait(t, "control out vendor endpoint []")
	})
	t.Run("and ends a halt", func(t *testing.T) {
		usbDoes(t, page, `const r = await device.transferOut(3, new ArrayBuffer(1)); return r.status + r.bytesWritten`, "stall0")
		usbDoes(t, page, `await device.clearHalt('out', 3); return await device.transferOut(3, new ArrayBuffer(1))`, "NetworkError: "+fmt.Sprintf(usbFailed, "transferOut", "A transfer error has occurred."))
		g.wait(t, "clear out 3")
	})
	t.Run("and learns that it sends too much", func(t *testing.T) {
		usbDoes(t, page, `await device.transferOut(1, new Uint8Array(10)); const r = await device.transferIn(1, 4); return r.status + r.data.byteLength`, "babble4")
	})
	t.Run("by isochronous transfers of another alternate", func(t *testing.T) {
		usbDoes(t, page, `
			await device.selectAlternateInterface(0, 1);
			const r = await device.isochronousTransferIn(4, [3, 2]);
			return [r instanceof USBIsochronousInTransferResult, r.data.byteLength, r.packets.length, ...r.packets.map(hex), device.configuration.interfaces[0].alternate.alternateSetting].join(' ')`,
			"true 5 2 ok 1,1,1 ok 2 1")
		usbDoes(t, page, `
			const r = await device.isochronousTransferOut(4, new Uint8Array([1, 2, 3]), [1, 2]);
			return [r instanceof USBIsochronousOutTransferResult, ...r.packets.map(p => p.status + p.bytesWritten)].join(' ')`,
			"true ok1 ok2")
		g.wait(t, "isochronous out [1 2 3]")
	})
	t.Run("with another configuration", func(t *testing.T) {
		usbDoes(t, page, `await device.reset(); await device.selectConfiguration(2); return device.configuration.configurationValue + ' ' + device.configuration.interfaces[0].claimed`, "2 false")
		g.wait(t, "configuration 2")
	})
	t.Run("and closes it", func(t *testing.T) {
		usbDoes(t, page, `await device.close(); return device.opened`, "false")
		g.wait(t, "close")
		usbDoes(t, page, `await device.open(); return device.opened + ' ' + device.configuration.configurationValue`, "true 2")
	})
}

func TestUSB_LargeTransfersArriveWhole(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbClaimed+`
		const sent = new Uint8Array(8 << 20).map((_, i) => i * 7 + (i >> 8));
		const out = await device.transferOut(1, sent);
		const {data} = await device.transferIn(1, sent.length);
		const got = new Uint8Array(data.buffer);
		return out.bytesWritten + ' ' + (got.length === sent.length && got.every((b, i) => b === sent[i]))`, "8388608 true")
}

func TestUSB_ADeviceIsDescribedAsChromiumDoes(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	bus.plug(t, "Gadget", "")
	usbDoes(t, page, usbRequest+`return [device, device instanceof USBDevice, device.usbVersionMajor, device.usbVersionMinor, device.usbVersionSubminor, device.deviceClass, device.deviceSubclass, device.deviceProtocol,
		device.vendorId, device.productId, device.deviceVersionMajor, device.deviceVersionMinor, device.deviceVersionSubminor,
		device.manufacturerName, device.productName, device.serialNumber === null, device.opened, Object.keys(device).length].join()`,
		"[object USBDevice],true,2,1,0,239,2,1,4617,1,3,4,5,Makers,Gadget,true,false,0")
	usbDoes(t, page, `
		const {configuration: c, configurations} = device;
		const [i] = c.interfaces, {alternate: a} = i, [e] = a.endpoints;
		return [c, c === device.configuration, configurations.includes(c), Object.isFrozen(configurations), c.configurationValue, c.configurationName, configurations[1].configurationName,
			i, i.interfaceNumber, i.claimed, i.alternates.length, a, a === i.alternates[0], a.alternateSetting, a.interfaceClass, a.interfaceSubclass, a.interfaceProtocol, a.interfaceName,
			e, e.endpointNumber, e.direction, e.type, e.packetSize].join()`,
		"[object USBConfiguration],true,true,true,1,First,,[object USBInterface],0,false,2,[object USBAlternateInterface],true,0,255,1,2,Loop,[object USBEndpoint],1,in,bulk,64")
	usbDoes(t, page, `return (await navigator.usb.getDevices())[0] === device`, "true")
	usbDoes(t, page, `return USBConfiguration.prototype.hasOwnProperty('interfaces') + USBDevice.prototype.open.toString()`, "truefunction open() { [native code] }")
}

func TestUSB_ErrorsAreChromiums(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	bus.plug(t, "Gadget", "A1")
	wants := func(t *testing.T, call, name, text string) {
		t.Helper()
		method, _, _ := strings.Cut(call, "(")
		usbDoes(t, page, "return await device."+call, name+": "+fmt.Sprintf(usbFailed, method, text))
	}
	const (
		state, absent  = "InvalidStateError", "NotFoundError"
		setup          = `{requestType: 'vendor', recipient: '%s', request: 1, value: 2, index: %d}`
		opened         = "The device must be opened first."
		noInterface    = "The interface number provided is not supported by the device in its current configuration."
		noEndpoint     = "The specified endpoint is not part of a claimed and selected alternate interface."
		notClaimed     = "The specified interface has not been claimed."
		notBuffer      = "The provided value is not of type '(ArrayBuffer or ArrayBufferView)'."
		outOfRange     = "The specified endpoint number is out of range."
		interfaceInUse = "An operation that changes interface state is in progress."
	)
	usbDoes(t, page, usbRequest+`return 'chosen'`, "chosen")
	t.Run("of arguments", func(t *testing.T) {
		wants(t, "claimInterface()", "TypeError", "1 argument required, but only 0 present.")
		wants(t, "transferOut(1)", "TypeError", "2 arguments required, but only 1 present.")
		wants(t, "transferOut(1, 'text')", "TypeError", notBuffer)
		wants(t, "controlTransferOut("+fmt.Sprintf(setup, "device", 0)+", null)", "TypeError", notBuffer)
		wants(t, "clearHalt('up', 1)", "TypeError", "The provided value 'up' is not a valid enum value of type USBDirection.")
		wants(t, "controlTransferIn({}, 1)", "TypeError", "Failed to read the 'index' property from 'USBControlTransferParameters': Required member is undefined.")
		wants(t, "controlTransferIn("+fmt.Sprintf(setup, "me", 0)+", 1)", "TypeError", "Failed to read the 'recipient' property from 'USBControlTransferParameters': The provided value 'me' is not a valid enum value of type USBRecipient.")
		wants(t, "isochronousTransferIn(1, 5)", "TypeError", "The provided value cannot be converted to a sequence.")
	})
	t.Run("of a device that is not open", func(t *testing.T) {
		for _, call := range []string{"selectConfiguration(1)", "claimInterface(0)", "releaseInterface(0)", "selectAlternateInterface(0, 0)", "clearHalt('in', 1)", "transferIn(1, 1)", "transferOut(1, new ArrayBuffer(1))",
			"isochronousTransferIn(1, [1])", "isochronousTransferOut(1, new ArrayBuffer(1), [1])", "controlTransferIn(" + fmt.Sprintf(setup, "device", 0) + ", 1)", "controlTransferOut(" + fmt.Sprintf(setup, "device", 0) + ")", "reset()"} {
			wants(t, call, state, opened)
		}
		usbDoes(t, page, `return await device.close()`, "undefined")
	})
	t.Run("of what is not there or not claimed", func(t *testing.T) {
		usbDoes(t, page, `await device.open(); return await device.open()`, "undefined")
		wants(t, "selectConfiguration(9)", absent, "The configuration value provided is not supported by the device.")
		wants(t, "claimInterface(9)", absent, noInterface)
		wants(t, "releaseInterface(9)", absent, noInterface)
		wants(t, "selectAlternateInterface(0, 1)", state, notClaimed)
		wants(t, "transferIn(1, 1)", absent, noEndpoint)
		wants(t, "transferIn(0, 1)", "IndexSizeError", outOfRange)
		wants(t, "transferIn(16, 1)", "IndexSizeError", outOfRange)
		wants(t, "controlTransferIn("+fmt.Sprintf(setup, "interface", 0)+", 1)", state, notClaimed)
		wants(t, "controlTransferIn("+fmt.Sprintf(setup, "endpoint", 0x81)+", 1)", absent, noEndpoint)
		usbDoes(t, page, `await device.releaseInterface(0); await device.selectConfiguration(1); return device.configuration.interfaces[0].claimed`, "false")
	})
	t.Run("of what is claimed", func(t *testing.T) {
		usbDoes(t, page, `await device.claimInterface(0); await device.claimInterface(0); return device.configuration.interfaces[0].claimed`, "true")
		wants(t, "selectAlternateInterface(0, 7)", absent, "The alternate setting provided is not supported by the device in its current configuration.")
		wants(t, "transferIn(3, 1)", absent, noEndpoint)
		wants(t, "transferIn(1, 2**25 + 1)", "DataError", "The data buffer exceeded its maximum size.")
		wants(t, "transferOut(1, (b => (b.transfer(), b))(new ArrayBuffer(1)))", state, "The data buffer has been detached.")
		wants(t, "isochronousTransferOut(1, new ArrayBuffer(3), [1, 1])", "DataError", "The data buffer size must match the total packet length.")
		wants(t, "isochronousTransferIn(1, [2**32 - 1, 2**32 - 1])", "DataError", "The total packet length exceeded the maximum size.")
		wants(t, "controlTransferOut({requestType: 'standard', recipient: 'device', request: 9, value: 2, index: 0})", "SecurityError", "The transfer was not allowed.")
		usbDoes(t, page, `return (await device.controlTransferIn({requestType: 'standard', recipient: 'device', request: 6, value: 0x100, index: 0}, 18)).status`, "ok")
		usbDoes(t, page, `const released = device.releaseInterface(0); return await device.claimInterface(0).finally(() => released)`, state+": "+fmt.Sprintf(usbFailed, "claimInterface", interfaceInUse))
		usbDoes(t, page, `device.close(); return await device.open()`, state+": "+fmt.Sprintf(usbFailed, "open", "An operation that changes the device state is in progress."))
	})
	t.Run("of requests", func(t *testing.T) {
		const failed = "TypeError: Failed to execute 'requestDevice' on 'USB': "
		for options, text := range map[string]string{
			``:                               failed + "1 argument required, but only 0 present.",
			`5`:                              failed + "The provided value is not of type 'USBDeviceRequestOptions'.",
			`{}`:                             failed + "Failed to read the 'filters' property from 'USBDeviceRequestOptions': Required member is undefined.",
			`{filters: 5}`:                   failed + "Failed to read the 'filters' property from 'USBDeviceRequestOptions': The provided value cannot be converted to a sequence.",
			`{filters: [5]}`:                 failed + "Failed to read the 'filters' property from 'USBDeviceRequestOptions': The provided value is not of type 'USBDeviceFilter'.",
			`{filters: [{productId: 1}]}`:    "TypeError: A filter containing a productId must also contain a vendorId.",
			`{filters: [{subclassCode: 1}]}`: "TypeError: A filter containing a subclassCode must also contain a classCode.",
			`{filters: [{classCode: 1, protocolCode: 1}]}`:      "TypeError: A filter containing a protocolCode must also contain a subclassCode.",
			`{filters: [], exclusionFilters: [{productId: 1}]}`: "TypeError: A filter containing a productId must also contain a vendorId.",
			`{filters: [{vendorId: 1}]}`:                        usbNothing,
			`{filters: [{serialNumber: 'A2'}]}`:                 usbNothing,
			`{filters: [], exclusionFilters: [{classCode: 3}]}`: usbNothing,
		} {
			usbDoes(t, page, "return await navigator.usb.requestDevice("+options+")", text)
		}
		usbDoes(t, page, `return (await navigator.usb.requestDevice({filters: [{classCode: 3}, {vendorId: 1}], exclusionFilters: [{vendorId: 1}]})).productName`, "Gadget")
		fresh := testPage(t, s, sharedServer(t).URL("localhost", "/"))
		want(t, fresh, `navigator.usb.requestDevice({filters: []}).catch(e => e.name + ': ' + e.message)`, "SecurityError: Failed to execute 'requestDevice' on 'USB': Must be handling a user gesture to show a permission request.")
	})
	t.Run("of the system", func(t *testing.T) {
		s, page, bus := usbPageOf(t)
		usbChooses(s)
		busy := bus.plug(t, "Busy", "")
		usbDoes(t, page, usbClaimed, "NetworkError: "+fmt.Sprintf(usbFailed, "claimInterface", "Unable to claim interface."))
		busy.unplug()
		bus.plug(t, "Locked", "")
		usbDoes(t, page, usbOpen, "SecurityError: "+fmt.Sprintf(usbFailed, "open", "Access denied."))
	})
}

func TestUSB_CHR5028_WithoutAListenerAPageGetsNothing(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbRequest, usbNothing)
	t.Run("neither where pages have devices", func(t *testing.T) {
		s.SetDevicePermissionHandler(func(context.Context, DevicePermission) bool { return false })
		usbDoes(t, page, usbRequest, usbNothing)
		usbDoes(t, page, usbCount, "0")
	})
	for name, listener := range map[string]func(*SelectUSBDeviceEvent){
		"when it is cancelled":     func(e *SelectUSBDeviceEvent) { e.Cancel() },
		"for an unknown id":        func(e *SelectUSBDeviceEvent) { e.Select("i-do-not-exist") },
		"when nobody answers":      func(*SelectUSBDeviceEvent) {},
		"when the listener panics": func(*SelectUSBDeviceEvent) { panic("a listener that panics") },
	} {
		t.Run("neither "+name, func(t *testing.T) {
			s.OnSelectUSBDevice(listener)
			usbDoes(t, page, usbRequest, usbNothing)
		})
	}
}

func TestUSB_CHR5034_ACheckHandlerThatDeniesIsAskedFirst(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	bus.plug(t, "Gadget", "A1")
	asked, checked := make(chan bool, 1), make(chan PermissionCheck, 10)
	s.OnSelectUSBDevice(func(*SelectUSBDeviceEvent) { asked <- true })
	s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool {
		if c.Permission == PermissionUSB {
			checked <- c
		}
		return c.Permission != PermissionUSB
	})
	usbDoes(t, page, usbRequest, usbNothing)
	if c := next(t, checked); c.RequestingOrigin != originOfPage(t, page)+"/" || c.WebContents != nil {
		t.Errorf("%+v", c)
	}
	if len(asked) > 0 {
		t.Error("the listener is asked all the same")
	}
}

func TestUSB_APageGetsWhatTheListenerChooses(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	for _, name := range []string{"First", "Second"} {
		bus.plug(t, name, name)
	}
	key := bus.plug(t, "Key", "")
	bus.mu.Lock()
	key.VendorID, key.ProductID = 0x1050, 0x0407 // that no page may have
	bus.mu.Unlock()
	asked := make(chan *SelectUSBDeviceEvent, 1)
	s.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) {
		asked <- e
		e.Select(e.Devices[1].DeviceID)
	})
	usbDoes(t, page, `return (await navigator.usb.requestDevice({filters: []})).productName`, "Second")
	e := next(t, asked)
	if len(e.Devices) != 2 || e.WebContents != page || e.Frame.ID != page.ID() || e.Origin != originOfPage(t, page) || e.EmbeddingOrigin != e.Origin {
		t.Errorf("%+v", e)
	}
	usbDoes(t, page, usbNames, "Second")
	usbDoes(t, page, `let told = ''; try { new USBConnectionEvent('connect', {device: 5}) } catch (e) { told = e.name } return told`, "TypeError")
	t.Run("and no other origin", func(t *testing.T) {
		usbDoes(t, testPage(t, s, sharedServer(t).URL("other.localhost", "/")), usbCount, "0")
	})
	t.Run("and an answer is given once", func(t *testing.T) {
		var invalid *InvalidArgumentError
		if err := e.Cancel(); !errors.As(err, &invalid) || invalid.Message != "One-time callback was called more than once" {
			t.Error(err)
		}
	})
}

func TestUSB_CX101_ALateAnswerGrantsNothing(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	bus.plug(t, "Gadget", "A1")
	asked := make(chan *SelectUSBDeviceEvent, 1)
	s.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) { asked <- e })
	usbDoes(t, page, usbRequest, usbNothing)
	e := next(t, asked)
	if err := e.Select(e.Devices[0].DeviceID); err != nil {
		t.Error(err)
	}
	usbDoes(t, page, usbCount, "0")
	t.Run("but one that takes its time does", func(t *testing.T) {
		s.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) {
			e.PreventDefault()
			asked <- e
		})
		usbDoes(t, page, `globalThis.asking = navigator.usb.requestDevice({filters: []}); return 1`, "1")
		e := next(t, asked)
		e.Select(e.Devices[0].DeviceID)
		usbDoes(t, page, `return (await asking).serialNumber`, "A1")
		usbDoes(t, page, usbCount, "1")
	})
}

func TestUSB_CX36_ListenersLearnOfAllThatAreUnplugged(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	bus.plug(t, "Gadget", "A1")
	other := bus.plug(t, "Other", "B1")
	bus.mu.Lock()
	other.VendorID = 1
	bus.mu.Unlock()
	asked := make(chan bool, 1)
	s.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) {
		e.PreventDefault()
		asked <- true
	})
	told := events(s.USBDeviceEvents(testContext(t)))
	usbDoes(t, page, `navigator.usb.requestDevice({filters: [{vendorId: 0x1209}]}); return 1`, "1")
	next(t, asked)
	other.unplug()
	if e := next(t, told); e.Type != DeviceRemoved || e.Device.ProductName != "Other" || e.WebContents != page {
		t.Errorf("%+v", e)
	}
	t.Run("but only of those that fit when they are plugged in", func(t *testing.T) {
		bus.mu.Lock()
		bus.devices = append(bus.devices, other)
		bus.mu.Unlock()
		bus.plug(t, "Third", "C1")
		if e := next(t, told); e.Type != DeviceAdded || e.Device.ProductName != "Third" || e.WebContents != page || e.Frame == nil {
			t.Errorf("%+v", e)
		}
	})
}

func TestUSB_CHR5117_APageForgetsADevice(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	told := events(s.USBDeviceEvents(testContext(t)))
	usbDoes(t, page, usbOpen+`await device.forget();`+usbCount, "0")
	e := next(t, told)
	if e.Type != DeviceRevoked || e.Device.VendorID != 0x1209 || e.Device.ProductID != 1 || e.Device.ProductName != "Gadget" || e.Origin != originOfPage(t, page) {
		t.Errorf("%+v", e)
	}
	g.wait(t, "close")
	usbDoes(t, page, `return await device.open()`, "NotFoundError: "+fmt.Sprintf(usbFailed, "open", usbGone))
	if grants := s.DeviceGrants(); len(grants) > 0 {
		t.Error(grants)
	}
}

func TestUSB_CHR5081_ThePermissionHandlerSaysWhichDevicesAPageHas(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	bus.plug(t, "Gadget", "A1")
	bus.plug(t, "Nameless", "") // of which nobody is asked
	asked := make(chan DevicePermission, 10)
	granted := true
	s.SetDevicePermissionHandler(func(_ context.Context, p DevicePermission) bool {
		asked <- p
		return granted
	})
	usbDoes(t, page, usbNames, "Gadget")
	if p := next(t, asked); p.DeviceType != devices.USB || p.Origin != originOfPage(t, page) || p.USB == nil || p.USB.SerialNumber != "A1" || p.HID != nil || p.Serial != nil {
		t.Errorf("%+v", p)
	}
	usbDoes(t, page, usbOpen+`return device.opened`, "true")
	granted = false
	usbDoes(t, page, usbCount, "0")
	usbDoes(t, page, `await device.close(); return await device.open()`, "NotFoundError: "+fmt.Sprintf(usbFailed, "open", usbGone))
	if grants := s.DeviceGrants(); len(grants) > 0 {
		t.Error(grants)
	}
}

func TestUSB_ProtectedClassesAreKeptFromPages(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	const again = usbOpen + `await device.claimInterface(0); await device.claimInterface(1).finally(() => device.close()); return 'claimed'`
	refused := "SecurityError: " + fmt.Sprintf(usbFailed, "claimInterface", "The requested interface implements a protected class.")
	usbDoes(t, page, again, refused)
	asked := make(chan []USBClass, 10)
	handler := func(protected ...USBClass) USBProtectedClassesHandler {
		return func(_ context.Context, all []USBClass) []USBClass {
			asked <- all
			return protected
		}
	}
	t.Run("unless the handler says so", func(t *testing.T) {
		s.SetUSBProtectedClassesHandler(handler(USBAudio))
		usbDoes(t, page, again, "claimed")
		if all := next(t, asked); !slices.Equal(all, []USBClass{"audio", "audio-video", "hid", "mass-storage", "smart-card", "video", "wireless"}) {
			t.Error(all)
		}
		s.SetUSBProtectedClassesHandler(handler(USBAudio, USBHID))
		usbDoes(t, page, again, refused)
	})
	t.Run("CX37 and all are when the handler panics", func(t *testing.T) {
		s.SetUSBProtectedClassesHandler(func(context.Context, []USBClass) []USBClass { panic("a handler that panics") })
		usbDoes(t, page, again, refused)
	})
	t.Run("and all are when it names a class that there is not", func(t *testing.T) {
		s.SetUSBProtectedClassesHandler(handler("mass_storage"))
		usbDoes(t, page, again, refused)
	})
	t.Run("also by requests to the device", func(t *testing.T) {
		s.SetUSBProtectedClassesHandler(nil)
		usbDoes(t, page, usbOpen+`return await device.controlTransferOut({requestType: 'class', recipient: 'device', request: 9, value: 0, index: 1})`,
			"SecurityError: "+fmt.Sprintf(usbFailed, "controlTransferOut", "The transfer was not allowed."))
	})
	if slices.Contains(g.said(), "control out class device []") {
		t.Error("the request has arrived")
	}
}

func TestUSB_ADeviceThatIsUnpluggedEndsWhatWaits(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbClaimed+`
		globalThis.told = [];
		for (const type of ['connect', 'disconnect']) navigator.usb.addEventListener(type, e => told.push(type + (e instanceof USBConnectionEvent) + (e.device === device)));
		navigator.usb.ondisconnect = () => told.push('handler');
		globalThis.waiting = device.transferIn(2, 8).catch(e => e.name + ': ' + e.message);
		return device.opened`, "true")
	g.wait(t, "waiting")
	g.unplug()
	g.wait(t, "close")
	usbDoes(t, page, `return await waiting`, "NotFoundError: "+fmt.Sprintf(usbFailed, "transferIn", usbGone))
	eventually(t, page, `told.length === 2`)
	usbDoes(t, page, `return told.join() + ' ' + device.opened + ' ' + device.configuration.interfaces[0].claimed`, "disconnecttruetrue,handler false false")
	usbDoes(t, page, `return await device.open()`, "NotFoundError: "+fmt.Sprintf(usbFailed, "open", usbGone))
	t.Run("and is granted when it is back, as another object", func(t *testing.T) {
		bus.plug(t, "Gadget", "A1")
		eventually(t, page, `told.length === 3`)
		usbDoes(t, page, `const [again] = await navigator.usb.getDevices(); await again.open(); return told[2] + (again === device)`, "connecttruefalsefalse")
	})
	t.Run("and is not without a serial number", func(t *testing.T) {
		s, page, bus := usbPageOf(t)
		usbChooses(s)
		g := bus.plug(t, "Nameless", "")
		usbDoes(t, page, usbRequest+`globalThis.gone = new Promise(r => navigator.usb.ondisconnect = r);`+usbCount, "1")
		g.unplug()
		usbDoes(t, page, `await gone; return 1`, "1")
		bus.plug(t, "Nameless", "")
		usbDoes(t, page, usbCount, "0")
	})
}

func TestUSB_WhatIsUnderWayEndsWhenAPageClosesOrReleases(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	bus.plug(t, "Gadget", "A1")
	cancelled := "AbortError: " + fmt.Sprintf(usbFailed, "transferIn", "The transfer was cancelled.")
	const waits = `globalThis.waiting = device.transferIn(2, 8).catch(e => e.name + ': ' + e.message);`
	usbDoes(t, page, usbClaimed+waits+`await device.releaseInterface(0); return await waiting`, cancelled)
	usbDoes(t, page, `await device.claimInterface(0);`+waits+`await device.selectAlternateInterface(0, 1); return await waiting`, cancelled)
	usbDoes(t, page, `await device.selectAlternateInterface(0, 0);`+waits+`await device.close(); return await waiting`, cancelled)
	usbDoes(t, page, `await device.open(); return device.opened`, "true")
}

func TestUSB_TransfersAreDoneInTheOrderInWhichAPageAsks(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbClaimed+`
		const order = [...Array(200).keys()];
		const sent = order.map(i => device.transferOut(1, new Uint8Array([i])));
		const got = await Promise.all([...order.slice(0, 50).map(() => device.transferIn(1, 1)), ...sent].slice(0, 50));
		for (const _ of order.slice(50)) got.push(await device.transferIn(1, 1));
		await Promise.all(sent);
		return got.every(({data}, i) => data.getUint8(0) === i)`, "true")
}

func TestUSB_DevicesAreClosedWithTheirDocument(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbClaimed+`device.transferIn(2, 8); return 1`, "1")
	g.wait(t, "waiting")
	if err := page.LoadURL(testContext(t), sharedServer(t).URL("other.localhost", "/"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	g.wait(t, "close")
}

func TestUSB_RevokedDevicesAreClosed(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbClaimed+`globalThis.waiting = device.transferIn(2, 8).catch(e => e.name + ': ' + e.message); return 1`, "1")
	g.wait(t, "waiting")
	grants := s.DeviceGrants()
	if len(grants) != 1 || grants[0].Kind != devices.USB || grants[0].Name != "Gadget" || !grants[0].Lasts() {
		t.Errorf("%+v", grants)
	}
	if err := s.RevokeDevices(func(g devices.Grant) bool { return g.Name == "Gadget" }); err != nil {
		t.Error(err)
	}
	g.wait(t, "close")
	usbDoes(t, page, `return await waiting`, "NotFoundError: "+fmt.Sprintf(usbFailed, "transferIn", usbGone))
	eventually(t, page, `!device.opened`)
	usbDoes(t, page, usbCount, "0")
	usbDoes(t, page, usbOpen+`return device.opened`, "true")
}

func TestUSB_TwoSessionsOfOppositeSettings(t *testing.T) {
	t.Parallel()
	yes, no := namedSession(t, "yes"), namedSession(t, "no")
	for _, s := range []*Session{yes, no} {
		usbBusOf(s).plug(t, "Gadget", "A1")
	}
	usbChooses(yes)
	no.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) { e.Cancel() })
	yes.SetUSBProtectedClassesHandler(func(context.Context, []USBClass) []USBClass { return nil })
	address := sharedServer(t).URL("localhost", "/")
	granted, denied := testPage(t, yes, address), testPage(t, no, address)
	for range 10 {
		usbDoes(t, granted, usbOpen+`await device.claimInterface(1); await device.close();`+usbCount, "1")
		usbDoes(t, denied, usbRequest, usbNothing)
		usbDoes(t, denied, usbCount, "0")
	}
}

// usbResponds is a page of the fixture with headers.
func usbResponds(t testing.TB, host, body string, headers ...string) string {
	q := url.Values{"type": {"text/html"}, "body": {body}, "header": headers}
	return sharedServer(t).URL(host, "/respond?"+q.Encode())
}

func TestUSB_FramesOfOtherSitesNeedThePagesLeave(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	g := usbBusOf(s).plug(t, "Gadget", "A1")
	asked := make(chan *SelectUSBDeviceEvent, 1)
	s.OnSelectUSBDevice(func(e *SelectUSBDeviceEvent) {
		asked <- e
		e.Select(e.Devices[0].DeviceID)
	})
	inner := sharedServer(t).URL("b.localhost", "/")
	page := testPage(t, s, usbResponds(t, "a.localhost", fmt.Sprintf(`<iframe name="may" allow="usb" src="%s"></iframe><iframe name="not" src="%[1]s"></iframe>`, inner)))
	refused := "SecurityError: Failed to execute '%s' on 'USB': Access to the feature \"usb\" is disallowed by permissions policy."
	usbDoes(t, frame(t, page, "not"), usbRequest, fmt.Sprintf(refused, "requestDevice"))
	usbDoes(t, frame(t, page, "not"), usbCount, fmt.Sprintf(refused, "getDevices"))
	usbDoes(t, frame(t, page, "may"), usbClaimed+`return (await device.transferOut(1, new ArrayBuffer(2))).bytesWritten`, "2")
	e := next(t, asked)
	if e.Origin+"/" != inner || e.EmbeddingOrigin != originOfPage(t, page) || e.Frame.ID != frame(t, page, "may").ID {
		t.Errorf("%+v", e)
	}
	usbDoes(t, page, usbCount, "1") // it is the page's
	usbDoes(t, page, `document.querySelector('iframe').remove(); return 1`, "1")
	g.wait(t, "close")
	usbDoes(t, testPage(t, s, inner), usbCount, "0")
}

func TestUSB_WorkersUseWhatTheirPageWasGiven(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	g := bus.plug(t, "Gadget", "A1")
	usbDoes(t, page, usbRequest+`return device.opened`, "false")
	usbDoes(t, page, `
		globalThis.worker = new Worker(URL.createObjectURL(new Blob([`+"`"+`(async () => {
			const [device] = await navigator.usb.getDevices();
			await device.open();
			await device.claimInterface(0);
			await device.transferOut(1, new Uint8Array([1, 2]));
			const {status, data} = await device.transferIn(1, 2);
			return [typeof navigator.usb.requestDevice, device, device.configuration.interfaces[0], status, data.getUint8(1), typeof bridgeDevicesCall].join();
		})().then(postMessage, e => postMessage(e.name + e.message))`+"`"+`])));
		return new Promise(r => worker.onmessage = e => r(e.data))`,
		"undefined,[object USBDevice],[object USBInterface],ok,2,undefined")
	usbDoes(t, page, `worker.terminate(); return 1`, "1")
	g.wait(t, "close")
}

func TestUSB_WorksUnderAStrictContentSecurityPolicy(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	usbChooses(s)
	usbBusOf(s).plug(t, "Gadget", "A1")
	page := testPage(t, s, usbResponds(t, "localhost", "strict", "Content-Security-Policy: default-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'; sandbox allow-scripts allow-same-origin"))
	usbDoes(t, page, usbClaimed+`await device.transferOut(1, new ArrayBuffer(2)); return (await device.transferIn(1, 2)).data.byteLength`, "2")
	t.Run("and not where the page forbids it itself", func(t *testing.T) {
		page := testPage(t, s, usbResponds(t, "localhost", "none", "Permissions-Policy: usb=()"))
		usbDoes(t, page, usbRequest, "SecurityError: Failed to execute 'requestDevice' on 'USB': Access to the feature \"usb\" is disallowed by permissions policy.")
	})
}

func TestUSB_InsecurePagesHaveNone(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	usbChooses(s)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/"))
	want(t, page, `[typeof navigator.usb, typeof USBDevice, isSecureContext].join()`, "undefined,undefined,false")
}

// What a page says that does not keep to the script.
func TestUSB_NoPageReachesWhatItWasNotGiven(t *testing.T) {
	t.Parallel()
	s, page, bus := usbPageOf(t)
	usbChooses(s)
	mine, other := bus.plug(t, "Gadget", "A1"), bus.plug(t, "Other", "B1")
	usbDoes(t, page, usbRequest+`return device.productName`, "Gadget")
	client := s.devices.pages.all()[0]
	ask := func(op, device, more string) string {
		q := deviceQuestion{URL: page.URL(), Origin: originOfPage(t, page), Allowed: true}
		q.text = fmt.Sprintf(`{"kind":"usb.%s","device":"%s"%s}`, op, device, more)
		if err := q.decode(&q); err != nil {
			t.Fatal(err)
		}
		if _, err := s.devices.pages.answer(client, q); err != nil {
			return err.Error()
		}
		return "ok"
	}
	const lost, setup = "NetworkError: The device has been lost.", `,"setup":{"requestType":"%s","recipient":"%s","request":%d,"value":1,"index":%d}`
	for _, c := range [][4]string{
		{"open", other.DeviceID, "", lost},
		{"transferIn", other.DeviceID, `,"endpoint":1,"length":1`, lost},
		{"controlTransferIn", mine.DeviceID, fmt.Sprintf(setup, "vendor", "device", 1, 0), lost}, // it is not open
		{"open", mine.DeviceID, "", "ok"},
		{"open", mine.DeviceID, "", "InvalidStateError: The device is open already."},
		{"transferIn", mine.DeviceID, `,"endpoint":1,"length":1`, errUSBEndpoint.Error()},
		{"transferOut", mine.DeviceID, `,"endpoint":1,"data":"AAAA"`, errUSBEndpoint.Error()},
		{"clearHalt", mine.DeviceID, `,"endpoint":1,"direction":"in"`, errUSBEndpoint.Error()},
		{"selectAlternateInterface", mine.DeviceID, `,"interface":0,"alternate":1`, errUSBNotClaimed.Error()},
		{"claimInterface", mine.DeviceID, `,"interface":1`, errUSBProtected.Error()},
		{"claimInterface", mine.DeviceID, `,"interface":7`, errUSBInterface.Error()},
		{"controlTransferIn", mine.DeviceID, fmt.Sprintf(setup, "class", "interface", 1, 0), errUSBNotClaimed.Error()},
		{"controlTransferIn", mine.DeviceID, fmt.Sprintf(setup, "class", "endpoint", 1, 0x85), errUSBEndpoint.Error()},
		{"controlTransferIn", mine.DeviceID, fmt.Sprintf(setup, "class", "other", 1, 0x101), errUSBNotAllowed.Error()},
		{"controlTransferIn", mine.DeviceID, fmt.Sprintf(setup, "class", "somebody", 1, 0), errUSBNotAllowed.Error()},
		{"controlTransferIn", mine.DeviceID, fmt.Sprintf(setup, "reserved", "device", 1, 0), errUSBNotAllowed.Error()},
		{"controlTransferOut", mine.DeviceID, fmt.Sprintf(setup, "standard", "device", 9, 0), errUSBNotAllowed.Error()},
		{"controlTransferOut", mine.DeviceID, fmt.Sprintf(setup, "vendor", "device", 52, 1) + `,"data":"MTJlYmE5ZjkwMTAzOWIzNgA="`, errUSBNotAllowed.Error()},
		{"transferIn", mine.DeviceID, `,"endpoint":1,"length":33554433`, errUSBTooBig.Error()},
		{"transferIn", mine.DeviceID, `,"endpoint":-1`, "TypeError: The arguments are not valid."},
		{"isochronousTransferIn", mine.DeviceID, `,"endpoint":4,"lengths":[4294967295,4294967295]`, errUSBTooBig.Error()},
		{"melt", mine.DeviceID, "", "NotSupportedError: The operation is not supported."},
	} {
		if got := ask(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%s %s gives %s, want %s", c[0], c[2], got, c[3])
		}
	}
	if said := mine.said(); !slices.Equal(said, []string{"open", "open"}) && !slices.Equal(said, []string{"open", "open", "close"}) {
		t.Errorf("what has arrived: %v", said)
	}
	if said := other.said(); len(said) > 0 {
		t.Errorf("what has arrived at the other one: %v", said)
	}
}

// BenchmarkUSB_Transfers is about what the way between page and device costs.
func BenchmarkUSB_Transfers(b *testing.B) {
	s, page, bus := usbPageOf(b)
	usbChooses(s)
	bus.plug(b, "Gadget", "A1")
	usbDoes(b, page, usbClaimed+`return 1`, "1")
	for _, size := range []int{64, 64 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%d bytes out and in", size), func(b *testing.B) {
			b.SetBytes(int64(2 * size))
			usbDoes(b, page, fmt.Sprintf(`const data = new Uint8Array(%d); for (let i = 0; i < %d; i++) { await device.transferOut(1, data); await device.transferIn(1, data.length); } return 1`, size, b.N), "1")
		})
	}
}
