package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// acted is an expression whose value is what an async function with a body returns, or
// the name and the message of what it throws.
func acted(body string) string {
	return "(async () => {" + body + "})().then(v => typeof v === 'object' ? JSON.stringify(v) : String(v), e => e.name + ': ' + e.message)"
}

// does runs the body of an async function in a page or frame whose user has just done
// something, and wants a result.
func does(t testing.TB, in Evaluator, body, result string) {
	t.Helper()
	got, err := EvaluateWithGesture[string](testContext(t), in, acted(body))
	if err != nil || got != result {
		t.Errorf("%s\ngives %q (%v), want %q", body, got, err, result)
	}
}

// devicePage is a page of a session of the test's own.
func devicePage(t testing.TB) (*Session, *WebContents) {
	t.Helper()
	s := memorySession(t)
	return s, testPage(t, s, sharedServer(t).URL("localhost", "/"))
}

// scale is a serial port of a USB device.
var scale = virtual.SerialPort{VendorID: 0x0403, ProductID: 0x6001, SerialNumber: "A1", DisplayName: "Scale"}

func plugged(t testing.TB, s *Session, port virtual.SerialPort) *virtual.SerialDevice {
	t.Helper()
	device, err := s.AddVirtualSerialPort(port)
	if err != nil {
		t.Fatal(err)
	}
	return device
}

// loopback is a scale that sends back what it gets.
func loopback() virtual.SerialPort {
	port := scale
	port.Serve = virtual.Loopback
	return port
}

// choosesScale lets a scale be chosen.
func choosesScale(s *Session) {
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) {
		for _, p := range e.Ports {
			if p.VendorID == "1027" {
				e.Select(p.PortID)
				return
			}
		}
	})
}

const (
	requestPort = `const port = await navigator.serial.requestPort({filters: [{usbVendorId: 0x0403}]});`
	openPort    = requestPort + `await port.open({baudRate: 115200});`
	noPort      = "NotFoundError: Failed to execute 'requestPort' on 'Serial': No port selected by the user."
	countPorts  = `return (await navigator.serial.getPorts()).length`
)

func TestSerial_APageTalksToAPort(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, loopback())
	does(t, page, openPort+`
		globalThis.port = port;
		const writer = port.writable.getWriter();
		const reader = port.readable.getReader();
		await writer.write(new TextEncoder().encode('hello'));
		const {value} = await reader.read();
		writer.releaseLock();
		reader.releaseLock();
		return new TextDecoder().decode(value) + ' ' + port.connected`, "hello true")
	does(t, page, `return await port.getSignals()`, `{"clearToSend":true,"dataCarrierDetect":true,"dataSetReady":true,"ringIndicator":false}`)
	does(t, page, `await port.setSignals({requestToSend: false}); return (await port.getSignals()).clearToSend`, "false")
	does(t, page, `await port.close(); return port.readable ?? port.writable ?? 'closed'`, "closed")
	does(t, page, `await port.open({baudRate: 9600}); return port.readable.locked`, "false")
}

func TestSerial_LargeAmountsGoThroughWithoutLoss(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, loopback())
	does(t, page, openPort+`
		const sent = new Uint8Array(2_000_000).map((_, i) => i * 7 + (i >> 8));
		const writer = port.writable.getWriter();
		const written = writer.write(sent).then(() => writer.close());
		const got = new Uint8Array(sent.length);
		let at = 0;
		const reader = port.readable.getReader();
		while (at < got.length) {
			const {value} = await reader.read();
			got.set(value, at);
			at += value.length;
		}
		await written;
		return got.every((b, i) => b === sent[i])`, "true")
}

func TestSerial_ByobReadersGetWhatTheyHaveRoomFor(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	device := plugged(t, s, scale)
	does(t, page, openPort+`globalThis.port = port; return 'open'`, "open")
	if err := device.Send(testContext(t), []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	does(t, page, `
		const reader = port.readable.getReader({mode: 'byob'});
		const parts = [];
		while (parts.join('').length < 10) parts.push(new TextDecoder().decode((await reader.read(new Uint8Array(4))).value));
		return parts.join() + (parts.every(p => p.length <= 4) ? '' : ' too long')`, "0123,4567,89")
}

func TestSerial_TheOptionsArriveAtTheDevice(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	device := plugged(t, s, scale)
	does(t, page, requestPort+`await port.open({baudRate: 9600, dataBits: 7, stopBits: 2, parity: 'odd', flowControl: 'hardware', bufferSize: 1000}); return 'open'`, "open")
	line, err := device.Opened(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", line.Options()); got != "{BaudRate:9600 DataBits:7 StopBits:2 Parity:odd Flow:hardware BufferSize:1000}" {
		t.Error(got)
	}
}

func TestSerial_ErrorsAreChromiums(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, scale)
	does(t, page, requestPort+`globalThis.port = port; return 'chosen'`, "chosen")
	const open, request = "Failed to execute 'open' on 'SerialPort': ", "Failed to execute 'requestPort' on 'Serial': "
	for call, result := range map[string]string{
		`port.open()`:                                                  "TypeError: " + open + "1 argument required, but only 0 present.",
		`port.open({})`:                                                "TypeError: " + open + "Failed to read the 'baudRate' property from 'SerialOptions': Required member is undefined.",
		`port.open({baudRate: 0})`:                                     "TypeError: " + open + "Requested baud rate must be greater than zero.",
		`port.open({baudRate: -1})`:                                    "TypeError: " + open + "Failed to read the 'baudRate' property from 'SerialOptions': Value is outside the 'unsigned long' value range.",
		`port.open({baudRate: 1, dataBits: 9})`:                        "TypeError: " + open + "Requested number of data bits must be 7 or 8.",
		`port.open({baudRate: 1, stopBits: 3})`:                        "TypeError: " + open + "Requested number of stop bits must be 1 or 2.",
		`port.open({baudRate: 1, parity: 'x'})`:                        "TypeError: " + open + "Failed to read the 'parity' property from 'SerialOptions': The provided value 'x' is not a valid enum value of type ParityType.",
		`port.open({baudRate: 1, bufferSize: 0})`:                      "TypeError: " + open + "Requested buffer size (0 bytes) must be greater than zero.",
		`port.open({baudRate: 1, bufferSize: 2**25})`:                  "TypeError: " + open + "Requested buffer size (33554432 bytes) is greater than the maximum allowed (16777216 bytes).",
		`port.close()`:                                                 "InvalidStateError: Failed to execute 'close' on 'SerialPort': The port is already closed.",
		`port.getSignals()`:                                            "InvalidStateError: Failed to execute 'getSignals' on 'SerialPort': The port is closed.",
		`navigator.serial.requestPort({filters: [{}]})`:                "TypeError: " + request + "A filter must provide a property to filter by.",
		`navigator.serial.requestPort({filters: [{usbProductId: 1}]})`: "TypeError: " + request + "A filter containing a usbProductId must also specify a usbVendorId.",
		`SerialPort.prototype.open.call({})`:                           "TypeError: Illegal invocation",
	} {
		does(t, page, "return await "+call, strings.Replace(result, "TypeError: Illegal invocation", "TypeError: Failed to execute 'open' on 'SerialPort': Illegal invocation", 1))
	}
	does(t, page, `await port.open({baudRate: 1}); return await port.open({baudRate: 1})`, "InvalidStateError: "+open+"The port is already open.")
	does(t, page, `return await port.setSignals({})`, "TypeError: Failed to execute 'setSignals' on 'SerialPort': Signals dictionary must contain at least one member.")
	does(t, page, `port.readable.getReader(); return await port.close()`, "TypeError: Failed to execute 'close' on 'SerialPort': Cannot cancel a locked stream")
	untouched := testPage(t, s, sharedServer(t).URL("localhost", "/"))
	if got := evaluated[string](t, untouched, acted(`return await navigator.serial.requestPort()`)); got != "SecurityError: "+request+"Must be handling a user gesture to show a permission request." {
		t.Error(got)
	}
}

func TestSerial_APortThatIsUnpluggedEndsWhatReads(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	device := plugged(t, s, scale)
	does(t, page, openPort+`
		globalThis.port = port;
		globalThis.told = [];
		for (const target of [port, navigator.serial]) for (const type of ['connect', 'disconnect']) {
			target.addEventListener(type, e => told.push(type + (e.target === port) + port.connected));
		}
		port.ondisconnect = () => told.push('handler');
		globalThis.reader = port.readable.getReader();
		globalThis.reading = (async () => { let text = ''; try { for (;;) text += new TextDecoder().decode((await reader.read()).value) } catch (e) { return text + e.name + e.message } })();
		return 'open'`, "open")
	if err := device.Send(testContext(t), []byte("last words ")); err != nil {
		t.Fatal(err)
	}
	device.Unplug()
	does(t, page, `return await reading`, "last words NetworkErrorThe device has been lost.")
	does(t, page, `while (told.length < 3) await new Promise(r => setTimeout(r)); return told.join() + ' ' + port.connected + ' ' + port.readable + ' ' + port.writable`, "disconnecttruefalse,handler,disconnecttruefalse false null null")
	t.Run("and is the same one when it is back", func(t *testing.T) {
		plugged(t, s, loopback())
		does(t, page, `
			while (told.length < 5) await new Promise(r => setTimeout(r));
			const [again] = await navigator.serial.getPorts();
			await again.open({baudRate: 9600});
			return told.slice(3).join() + ' ' + (again === port)`, "connecttruetrue,connecttruetrue true")
	})
}

func TestSerial_CHR4223_CHR4241_APageGetsWhatTheListenerChooses(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, scale)
	does(t, page, requestPort+`return port.toString() + (await navigator.serial.getPorts()).includes(port)`, "[object SerialPort]true")
	t.Run("and no other origin", func(t *testing.T) {
		does(t, testPage(t, s, sharedServer(t).URL("other.localhost", "/")), countPorts, "0")
	})
	t.Run("and no other session", func(t *testing.T) {
		other, page := devicePage(t)
		plugged(t, other, scale)
		does(t, page, countPorts, "0")
	})
}

func TestSerial_APageGetsNothing(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	plugged(t, s, scale)
	does(t, page, requestPort, noPort)
	listeners := map[string]func(*SelectSerialPortEvent){
		"CX34 when it is cancelled":         func(e *SelectSerialPortEvent) { e.Select("") },
		"CHR-4215 for an unknown id":        func(e *SelectSerialPortEvent) { e.Select("i-do-not-exist") },
		"when nobody answers":               func(*SelectSerialPortEvent) {},
		"when the listener panics":          func(*SelectSerialPortEvent) { panic("a listener that panics") },
		"when it is cancelled afterwards":   func(e *SelectSerialPortEvent) { e.PreventDefault(); go e.Cancel() },
		"when the id is another listener's": func(e *SelectSerialPortEvent) { e.Select("0") },
	}
	for name, listener := range listeners {
		t.Run(name, func(t *testing.T) {
			s.OnSelectSerialPort(listener)
			does(t, page, requestPort, noPort)
			does(t, page, countPorts, "0")
		})
	}
	t.Run("CHR-4206 when the check handler says no", func(t *testing.T) {
		asked := make(chan bool, 1)
		s.OnSelectSerialPort(func(*SelectSerialPortEvent) { asked <- true })
		checked := make(chan PermissionCheck, 10)
		s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool {
			if c.Permission == PermissionSerial {
				checked <- c
			}
			return c.Permission != PermissionSerial
		})
		does(t, page, requestPort, noPort)
		if c := next(t, checked); c.RequestingOrigin != originOfPage(t, page)+"/" || c.WebContents != page {
			t.Errorf("%+v", c)
		}
		if len(asked) > 0 {
			t.Error("the listener is asked all the same")
		}
		s.SetPermissionCheckHandler(nil)
	})
}

func TestSerial_CX33_PortsAreSortedByNameAndHaveTextsForNumbers(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	for _, name := range []string{"ttyV2", "ttyV0", "ttyV1"} {
		port := scale
		port.Name, port.SerialNumber = name, name
		plugged(t, s, port)
	}
	events := make(chan *SelectSerialPortEvent, 1)
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) { events <- e })
	does(t, page, requestPort, noPort)
	e := next(t, events)
	var names []string
	for _, p := range e.Ports {
		names = append(names, p.PortName)
		if p.VendorID != "1027" || p.ProductID != "24577" || len(p.PortID) < 20 {
			t.Errorf("%+v", p)
		}
	}
	if !slices.Equal(names, []string{"ttyV0", "ttyV1", "ttyV2"}) {
		t.Error(names)
	}
	if e.WebContents != page || e.Frame.ID != page.ID() || e.Origin != originOfPage(t, page) || e.EmbeddingOrigin != e.Origin {
		t.Errorf("%+v", e)
	}
}

func TestSerial_CX26_AnAnswerIsGivenOnce(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	plugged(t, s, scale)
	again := make(chan error, 1)
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) {
		e.Select(e.Ports[0].PortID)
		again <- e.Cancel()
	})
	does(t, page, requestPort+`return 'chosen'`, "chosen")
	var invalid *InvalidArgumentError
	if err := next(t, again); !errors.As(err, &invalid) || invalid.Message != "One-time callback was called more than once" {
		t.Error(err)
	}
}

func TestSerial_CX23_ALateAnswerStillGrants(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	plugged(t, s, scale)
	events := make(chan *SelectSerialPortEvent, 1)
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) { events <- e })
	does(t, page, requestPort, noPort)
	e := next(t, events)
	e.Select(e.Ports[0].PortID)
	does(t, page, countPorts, "1")
}

func TestSerial_AnAnswerMayTakeItsTime(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	plugged(t, s, scale)
	events := make(chan *SelectSerialPortEvent, 2)
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) {
		e.PreventDefault()
		events <- e
	})
	does(t, page, `globalThis.first = navigator.serial.requestPort().catch(e => e.name); return 1`, "1")
	first := next(t, events)
	t.Run("CX27 and ends when the frame asks again", func(t *testing.T) {
		does(t, page, `globalThis.second = navigator.serial.requestPort({filters: [{usbVendorId: 0x0403}]}).then(p => p.getInfo().usbVendorId); return await first`, "NotFoundError")
		<-first.Context().Done()
		first.Select(first.Ports[0].PortID)
		does(t, page, countPorts, "0")
	})
	e := next(t, events)
	e.Select(e.Ports[0].PortID)
	does(t, page, `return await second`, "1027")
	t.Run("and ends with the document", func(t *testing.T) {
		does(t, page, `navigator.serial.requestPort(); return 1`, "1")
		e := next(t, events)
		if err := page.Reload(testContext(t), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		<-e.Context().Done()
	})
}

func TestSerial_PortsComeAndGoWhileAPageAsks(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	plugged(t, s, scale)
	asked := make(chan *SelectSerialPortEvent, 1)
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) {
		e.PreventDefault()
		asked <- e
	})
	told := events(s.SerialPortEvents(testContext(t)))
	does(t, page, `globalThis.asking = `+acted(requestPort+`return port.getInfo().usbProductId`)+`; return 1`, "1")
	e := next(t, asked)
	other := scale
	other.VendorID = 1
	plugged(t, s, other) // not what the page wants
	other = scale
	other.ProductID = 2
	device := plugged(t, s, other)
	if event := next(t, told); event.Type != DeviceAdded || event.Device.ProductID != "2" || event.WebContents != page || event.Frame == nil {
		t.Errorf("%+v", event)
	}
	device.Unplug()
	if event := next(t, told); event.Type != DeviceRemoved || event.Device.ProductID != "2" {
		t.Errorf("%+v", event)
	}
	device = plugged(t, s, other)
	event := next(t, told)
	e.Select(event.Device.PortID)
	does(t, page, `return await asking`, "2")
	t.Run("and afterwards, too", func(t *testing.T) {
		device.Unplug()
		if event := next(t, told); event.Type != DeviceRemoved {
			t.Errorf("%+v", event)
		}
	})
}

func TestSerial_CHR4259_APageForgetsAPort(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, scale)
	told := events(s.SerialPortEvents(testContext(t)))
	does(t, page, requestPort+`await port.forget();`+countPorts, "0")
	event := next(t, told)
	if event.Type != DeviceRevoked || event.Device.VendorID != "1027" || event.Device.ProductID != "24577" || event.Origin != originOfPage(t, page) || event.Frame == nil {
		t.Errorf("%+v", event)
	}
	if len(s.DeviceGrants()) > 0 {
		t.Error(s.DeviceGrants())
	}
}

func TestSerial_RevokedPortsAreClosed(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	device := plugged(t, s, scale)
	does(t, page, openPort+`globalThis.reading = port.readable.getReader().read().catch(e => e.message); return 'open'`, "open")
	grants := s.DeviceGrants()
	if len(grants) != 1 || grants[0].Kind != devices.Serial || grants[0].Origin != originOfPage(t, page) || grants[0].Name != "Scale" || !grants[0].Lasts() {
		t.Errorf("%+v", grants)
	}
	if err := s.RevokeDevices(func(g devices.Grant) bool { return g.Name == "Scale" }); err != nil {
		t.Error(err)
	}
	does(t, page, `return await reading`, "The device has been lost.")
	if err := device.Closed(testContext(t)); err != nil {
		t.Error(err)
	}
	does(t, page, countPorts, "0")
}

func TestSerial_APortIsClosedWithItsDocument(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	device := plugged(t, s, scale)
	does(t, page, openPort+`return 'open'`, "open")
	if err := page.LoadURL(testContext(t), sharedServer(t).URL("other.localhost", "/"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := device.Closed(testContext(t)); err != nil {
		t.Error(err)
	}
}

func TestDevicePermissionHandler_SaysWhichPortsAPageHas(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, scale)
	plugged(t, s, virtual.SerialPort{Name: "plain"})
	asked := make(chan DevicePermission, 10)
	granted := true
	s.SetDevicePermissionHandler(func(_ context.Context, p DevicePermission) bool {
		asked <- p
		return granted
	})
	t.Run("CX32 CX35 with what tells the device, and never of those without names", func(t *testing.T) {
		does(t, page, countPorts, "1")
		p := next(t, asked)
		if p.DeviceType != devices.Serial || p.Origin != originOfPage(t, page) || p.Serial == nil || p.Serial.DisplayName != "Scale" || p.HID != nil || p.USB != nil {
			t.Errorf("%+v", p)
		}
	})
	t.Run("and nothing is remembered", func(t *testing.T) {
		granted = false
		does(t, page, requestPort+`return await port.open({baudRate: 1})`, "NetworkError: Failed to execute 'open' on 'SerialPort': Failed to open serial port.")
		does(t, page, countPorts, "0")
		if grants := s.DeviceGrants(); len(grants) > 0 {
			t.Error(grants)
		}
	})
	t.Run("a handler that panics says no", func(t *testing.T) {
		s.SetDevicePermissionHandler(func(context.Context, DevicePermission) bool { panic("a handler that panics") })
		does(t, page, countPorts, "0")
	})
	t.Run("and nobody any more", func(t *testing.T) {
		s.SetDevicePermissionHandler(nil)
		does(t, page, countPorts, "0")
	})
}

func TestSerial_TwoSessionsOfOppositeSettings(t *testing.T) {
	t.Parallel()
	yes, no := namedSession(t, "yes"), namedSession(t, "no")
	for _, s := range []*Session{yes, no} {
		plugged(t, s, loopback())
	}
	choosesScale(yes)
	no.OnSelectSerialPort(func(e *SelectSerialPortEvent) { e.Cancel() })
	url := sharedServer(t).URL("localhost", "/")
	granted, denied := testPage(t, yes, url), testPage(t, no, url)
	for range 20 {
		does(t, granted, requestPort+countPorts, "1")
		does(t, denied, requestPort+countPorts, noPort)
		does(t, denied, countPorts, "0")
	}
}

func TestSerial_WhatAPageSendsArrivesAtTheProgram(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	device := plugged(t, s, scale)
	does(t, page, openPort+`const w = port.writable.getWriter(); await w.write(new Uint8Array([1, 2, 3])); await w.close(); return 'sent'`, "sent")
	got := make([]byte, 3)
	if _, err := io.ReadFull(device.Reader(testContext(t)), got); err != nil || !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Error(got, err)
	}
}
