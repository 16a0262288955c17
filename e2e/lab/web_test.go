//go:build lab && linux

package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	godiff "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// web is the browser that the tests share. By policy its pages on localhost may use all HID devices and serial
// ports: Chromium's own ones, as long as nobody has made the bridge give them others.
type web struct {
	browser *bridge.Browser
	server  *fixture.Server
	dir     string
}

// slow is how long a browser takes on an emulated processor of a busy machine.
const slow = 2 * time.Minute

func slowContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), slow)
	t.Cleanup(cancel)
	return ctx
}

// nobody is who Chromium runs as.
const nobody = 65534

var sharedWeb struct {
	once sync.Once
	web
	err error
}

func startedWeb(t testing.TB) web {
	t.Helper()
	sharedWeb.once.Do(func() {
		begin := time.Now()
		sharedWeb.web, sharedWeb.err = startWeb()
		t.Logf("Chromium is up after %.1f s", time.Since(begin).Seconds())
	})
	if sharedWeb.err != nil {
		t.Fatal(sharedWeb.err)
	}
	return sharedWeb.web
}

func startWeb() (w web, err error) {
	if w.server, err = fixture.Start(); err != nil {
		return w, err
	}
	if w.dir, err = os.MkdirTemp("", "lab-"); err != nil {
		return w, err
	}
	origins := []string{strings.TrimSuffix(w.server.URL("localhost", ""), "/")}
	state, err := json.Marshal(map[string]any{"managed": map[string]any{
		"web_hid_allow_all_devices_for_urls": origins, "serial_allow_all_ports_for_urls": origins,
	}})
	if err != nil {
		return w, err
	}
	file := filepath.Join(w.dir, "Local State")
	if err := errors.Join(os.WriteFile(file, state, 0o600), os.Chown(file, nobody, nobody), os.Chown(w.dir, nobody, nobody)); err != nil {
		return w, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), slow)
	defer cancel()
	if err := warm(ctx); err != nil {
		return w, err
	}
	w.browser, err = bridge.Launch(ctx, bridge.Options{
		UserDataDir: w.dir,
		User:        &chromium.User{UID: nobody, GID: nobody},
		Logger:      slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	return w, err
}

// warm brings Chromium into memory: from the disk its first start takes longer than the bridge waits for the version.
func warm(ctx context.Context) error {
	binary, err := chromium.Find("")
	if err != nil {
		return err
	}
	return exec.CommandContext(ctx, binary, "--version").Run()
}

// stopWeb ends the browser, if it was started.
func stopWeb() error {
	w := sharedWeb.web
	var errs []error
	if w.browser != nil {
		errs = append(errs, w.browser.Close())
	}
	if w.server != nil {
		errs = append(errs, w.server.Close(), os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// nativePage is a page that has Chromium's own devices.
func (w web) nativePage(t testing.TB) *bridge.WebContents {
	t.Helper()
	return w.page(t, w.browser.DefaultSession(), "localhost")
}

// ourPage is a page whose devices are the bridge's, until the test ends.
func (w web) ourPage(t testing.TB, choose func(*bridge.Session)) *bridge.WebContents {
	t.Helper()
	s := w.browser.DefaultSession()
	t.Cleanup(func() {
		s.OnSelectSerialPort(nil)
		s.OnSelectHIDDevice(nil)
		if err := s.RevokeDevices(func(devices.Grant) bool { return true }); err != nil {
			t.Error(err)
		}
	})
	choose(s)
	// No policy gives Chromium's own devices, and events of theirs, to this origin.
	return w.page(t, s, "127.0.0.1")
}

func (w web) page(t testing.TB, s *bridge.Session, host string) *bridge.WebContents {
	t.Helper()
	page := must[*bridge.WebContents](t)(s.NewPage(slowContext(t), w.server.URL(host, "/")))
	t.Cleanup(func() { page.Close(context.Background()) })
	return page
}

// does is the result of the body of an async function in a page whose user has just done something.
func does[T any](t testing.TB, page *bridge.WebContents, body string) T {
	t.Helper()
	return must[T](t)(bridge.EvaluateWithGesture[T](slowContext(t), page, "(async () => {"+body+"})()"))
}

// choosesPort lets pages have the port with a serial number.
func choosesPort(number string) func(*bridge.Session) {
	return func(s *bridge.Session) {
		s.OnSelectSerialPort(func(e *bridge.SelectSerialPortEvent) {
			for _, p := range e.Ports {
				if p.SerialNumber == number {
					e.Select(p.PortID)
					return
				}
			}
		})
	}
}

// choosesHID lets pages have the device with a serial number.
func choosesHID(number string) func(*bridge.Session) {
	return func(s *bridge.Session) {
		s.OnSelectHIDDevice(func(e *bridge.SelectHIDDeviceEvent) {
			for _, d := range e.Devices {
				if d.SerialNumber == number {
					e.Select(cmp.Or(d.DeviceID, d.GUID))
					return
				}
			}
		})
	}
}

func TestWeb_CollectionsAreThoseThatChromiumShows(t *testing.T) {
	page := startedWeb(t).nativePage(t)
	all := descriptors(t)
	for _, name := range refused {
		delete(all, name)
	}
	for name, descriptor := range all {
		inputDevice{Name: name, Uniq: name, Vendor: 0x1209, Product: 0x2305, Descriptor: descriptor}.plug(t)
		listed(t, inputs(hid.Native()), name, uniq(name))
	}
	wanted := map[string][]hid.Collection{}
	for name, descriptor := range all {
		parsed := must[[]hid.Collection](t)(hid.Parse(descriptor))
		if d, shown := hid.Protect(hid.Device{VendorID: 0x1209, ProductID: 0x2305, Collections: parsed}); shown {
			wanted[name] = d.Collections
		}
	}
	shown := does[[]struct {
		Name        string `json:"name"`
		Collections []any  `json:"collections"`
	}](t, page, `
		for (let looks = 0;; looks++) {
			const all = (await navigator.hid.getDevices()).filter(d => d.vendorId === 0x1209);
			if (all.length >= `+fmt.Sprint(len(wanted))+` || looks === 50) return all.map(d => ({name: d.productName, collections: d.collections}));
			await new Promise(r => setTimeout(r, 100));
		}
	`)
	for _, d := range shown {
		if d.Name == onlyInChromium {
			continue
		}
		var ours []any
		if err := json.Unmarshal(must[[]byte](t)(json.Marshal(wanted[d.Name])), &ours); err != nil {
			t.Fatal(err)
		}
		if diff := godiff.Diff(d.Collections, ours, byID); diff != "" {
			t.Errorf("%s: - Chromium, + this parser\n%s", d.Name, diff)
		}
		delete(wanted, d.Name)
	}
	for name := range wanted {
		t.Errorf("Chromium keeps %s from pages", name)
	}
	t.Logf("%d of %d descriptors are shown by Chromium", len(shown), len(all))
}

// onlyInChromium is a mouse, of which Chromium shows a collection without reports. Protect hides it.
const onlyInChromium = "mouse"

// byID compares lists of reports whatever their order: Chromium keeps them in a table that has none.
var byID = cmpopts.SortSlices(func(a, b any) bool {
	id := func(of any) float64 {
		report, _ := of.(map[string]any)
		number, _ := report["reportId"].(float64)
		return number
	}
	return id(a) < id(b)
})

// talk opens the serial port "port" of a page, and answers how it echoes.
const talk = `
	await port.open({baudRate: 3000000, bufferSize: 65536});
	const writer = port.writable.getWriter(), reader = port.readable.getReader();
	const times = [];
	for (let i = 0; i < 20; i++) {
		const begin = performance.now();
		await writer.write(new Uint8Array([i]));
		if ((await reader.read()).value[0] !== i) throw new Error('another byte came back');
		times.push(performance.now() - begin);
	}
	const length = 131072, chunk = 8192, begin = performance.now();
	let got = 0, right = true;
	const reading = (async () => {
		while (got < length) for (const b of (await reader.read()).value) right &&= b === (got++ * 7 & 255);
	})();
	for (let at = 0; at < length; at += chunk) {
		if (at - got > 32768) await new Promise(r => setTimeout(r));
		await writer.write(Uint8Array.from({length: chunk}, (_, i) => (at + i) * 7 & 255));
	}
	await reading;
	const seconds = (performance.now() - begin) / 1000;
	reader.releaseLock();
	writer.releaseLock();
	const signals = await port.getSignals();
	await port.close();
	return {right, median: times.sort((a, b) => a - b)[10], rate: length / 1000 / seconds, signals};
`

type talked struct {
	Right   bool                `json:"right"`
	Median  float64             `json:"median"` // ms
	Rate    float64             `json:"rate"`   // KB/s
	Signals serial.InputSignals `json:"signals"`
}

func (m talked) String() string {
	return fmt.Sprintf("there and back in %.1f ms, %.0f KB/s", m.Median, m.Rate)
}

func TestWeb_APageTalksOverTheFTDI(t *testing.T) {
	w := startedWeb(t)
	listed(t, ports(serial.Native()), "QEMU's FTDI", isFTDI)
	echo(t)
	var ours talked
	t.Run("the bridge", func(t *testing.T) {
		ours = does[talked](t, w.ourPage(t, choosesPort("LABFTDI1")), `
			const port = await navigator.serial.requestPort({filters: [{usbVendorId: 0x0403, usbProductId: 0x6001}]});
		`+talk)
	})
	native := does[talked](t, w.nativePage(t), `
		const port = (await navigator.serial.getPorts()).find(p => p.getInfo().usbVendorId === 0x0403);
	`+talk)
	if !ours.Right || ours.Signals != native.Signals {
		t.Errorf("%+v, Chromium's own %+v", ours, native)
	}
	t.Logf("the bridge: %v; Chromium's own: %v", ours, native)
}

func TestWeb_UnplugWhileAPageReads(t *testing.T) {
	w := startedWeb(t)
	source := serial.Native()
	p := listed(t, ports(source), "QEMU's FTDI", isFTDI)
	page := w.ourPage(t, choosesPort("LABFTDI1"))
	does[any](t, page, `
		globalThis.port = await navigator.serial.requestPort({filters: [{usbVendorId: 0x0403}]});
		await port.open({baudRate: 115200});
		globalThis.events = [];
		for (const type of ['connect', 'disconnect']) navigator.serial.addEventListener(type, e => events.push(type + (e.target === port)));
		globalThis.read = port.readable.getReader().read().then(() => 'bytes', e => e.name);
	`)
	unplugFTDI(t)
	got := does[[]any](t, page, `
		const error = await read;
		while (events.length === 0) await new Promise(r => setTimeout(r, 5));
		return [error, port.connected, port.readable === null, ...events, (await navigator.serial.getPorts()).length];
	`)
	plugFTDI(t)
	if text := fmt.Sprint(got); text != "[NetworkError false true disconnecttrue 0]" {
		t.Error(text)
	}
	listed(t, ports(source), "QEMU's FTDI", func(again serial.Port) bool { return isFTDI(again) && again.PortID != p.PortID })
	got = does[[]any](t, page, `
		while (events.length === 1) await new Promise(r => setTimeout(r, 5));
		const same = (await navigator.serial.getPorts())[0] === port;
		await port.open({baudRate: 115200});
		await port.close();
		return [events[1], port.connected, same];
	`)
	if text := fmt.Sprint(got); text != "[connecttrue true true]" {
		t.Error(text)
	}
}

func TestWeb_TwoOfAKindAreToldApart(t *testing.T) {
	w := startedWeb(t)
	for i, number := range []string{"TWIN-A", "TWIN-B"} {
		g := gadget{Vendor: 0x1209, Product: 0x2304, Serial: number, Name: "Twin", Functions: map[string]map[string]string{"acm." + number: nil}}.plug(t, i)
		listed(t, ports(serial.Native()), number, withSerial(number))
		far := must[*os.File](t)(os.OpenFile(g.farPort(t, "acm."+number), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0))
		defer far.Close()
		raw(t, far)
		go func() { io.Copy(struct{ io.Writer }{far}, strings.NewReader(number)) }()
	}
	for _, number := range []string{"TWIN-B", "TWIN-A"} {
		t.Run(number, func(t *testing.T) {
			got := does[string](t, w.ourPage(t, choosesPort(number)), `
				const port = await navigator.serial.requestPort();
				await port.open({baudRate: 9600});
				const reader = port.readable.getReader();
				let text = '';
				while (text.length < 6) text += new TextDecoder().decode((await reader.read()).value);
				reader.releaseLock();
				await port.close();
				return text + (await navigator.serial.getPorts()).length;
			`)
			if got != number+"1" {
				t.Errorf("%s says %s", number, got)
			}
		})
	}
}

// raw keeps the kernel from answering what comes to a terminal.
func raw(t testing.TB, terminal *os.File) {
	t.Helper()
	fd := int(terminal.Fd())
	settings := must[*unix.Termios](t)(unix.IoctlGetTermios(fd, unix.TCGETS))
	settings.Lflag, settings.Oflag, settings.Iflag = 0, 0, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, settings); err != nil {
		t.Fatal(err)
	}
}

// exchangeReports opens the HID device "device" of a page, and answers how it answers.
const exchangeReports = `
	await device.open();
	const answer = () => new Promise(r => device.addEventListener('inputreport', e => r([e.reportId, ...new Uint8Array(e.data.buffer, e.data.byteOffset, e.data.byteLength)]), {once: true}));
	const times = [];
	let input;
	for (let i = 0; i < 20; i++) {
		const begin = performance.now(), answered = answer();
		await device.sendReport(7, new Uint8Array([i, 2, 3, 4]));
		input = await answered;
		times.push(performance.now() - begin);
	}
	const bytes = view => [...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)];
	const before = bytes(await device.receiveFeatureReport(7));
	await device.sendFeatureReport(7, new Uint8Array([8, 9, 10, 11]));
	const after = bytes(await device.receiveFeatureReport(7));
	await device.close();
	return {result: JSON.stringify([input, before, after, device.collections.length]), median: times.sort((a, b) => a - b)[10]};
`

func TestWeb_APageTalksToAHIDDevice(t *testing.T) {
	w := startedWeb(t)
	type exchanged struct {
		Result string  `json:"result"`
		Median float64 `json:"median"` // ms
	}
	plugged := func() *inputDevice {
		far := inputDevice{Name: "Reports", Uniq: "REPORTS", Vendor: 0x1209, Product: 0x2305, Descriptor: numbered, Numbered: true}.plug(t)
		listed(t, inputs(hid.Native()), "the device", uniq("REPORTS"))
		go func() {
			for report := range far.outputs {
				far.input(t, report...)
			}
		}()
		return far
	}
	far := plugged()
	var ours exchanged
	t.Run("the bridge", func(t *testing.T) {
		ours = does[exchanged](t, w.ourPage(t, choosesHID("REPORTS")), `
			const [device] = await navigator.hid.requestDevice({filters: [{vendorId: 0x1209, usagePage: 0xFF00}]});
		`+exchangeReports)
	})
	far.unplug(t)
	plugged() // anew, for the feature report that it had
	native := does[exchanged](t, w.nativePage(t), `
		let device;
		while (!device) device = (await navigator.hid.getDevices()).find(d => d.productName === 'Reports');
	`+exchangeReports)
	if ours.Result != native.Result || !strings.HasPrefix(ours.Result, "[[7,19,2,3,4],") {
		t.Errorf("the bridge: %s; Chromium's own: %s", ours.Result, native.Result)
	}
	t.Logf("report out, report in: the bridge %.1f ms; Chromium's own %.1f ms", ours.Median, native.Median)
}

func TestWeb_DevicesThatPagesMustNotSeeAreNotOffered(t *testing.T) {
	w := startedWeb(t)
	for _, name := range []string{"fido", "keyboard", "vendor"} {
		inputDevice{Name: name, Uniq: name, Vendor: 0x1209, Product: 0x2305, Descriptor: descriptors(t)[name]}.plug(t)
		listed(t, inputs(hid.Native()), name, uniq(name))
	}
	offered := make(chan []bridge.HIDDevice, 1)
	page := w.ourPage(t, func(s *bridge.Session) {
		s.OnSelectHIDDevice(func(e *bridge.SelectHIDDeviceEvent) { offered <- e.Devices })
	})
	does[any](t, page, `await navigator.hid.requestDevice({filters: []})`)
	seen := map[string]bool{}
	for _, d := range next(t, "the event", offered) {
		seen[d.Name] = true
	}
	if !seen["vendor"] || seen["fido"] || seen["keyboard"] || seen["QEMU QEMU USB Keyboard"] || seen["QEMU QEMU USB Mouse"] {
		t.Errorf("offered are %v", seen)
	}
}

func TestWeb_AllDevicesOfTheMachineAreListed(t *testing.T) {
	s := startedWeb(t).browser.DefaultSession()
	all := must[bridge.Devices](t)(s.Devices(slowContext(t)))
	var found []devices.Kind
	for _, p := range all.Serial {
		if isFTDI(p) {
			found = append(found, devices.Serial)
		}
	}
	for _, d := range all.HID {
		if d.Name == "QEMU QEMU USB Keyboard" {
			found = append(found, devices.HID)
		}
	}
	if len(found) != 2 {
		t.Errorf("found %v among %+v", found, all)
	}
}
