package bridge

import (
	"fmt"
	"net/http"
	"testing"
)

// talks opens the port and says what comes back.
const talks = openPort + `
	const writer = port.writable.getWriter();
	const reader = port.readable.getReader();
	await writer.write(new Uint8Array([42]));
	const {value} = await reader.read();
	writer.releaseLock();
	reader.releaseLock();
	await port.close();
	return value[0]`

const notAllowed = "SecurityError: Failed to execute '%s' on 'Serial': Access to the feature \"serial\" is disallowed by permissions policy."

func TestDevices_FramesHaveWhatThePageHas(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), permissionServer(t)
	asked := make(chan *SelectSerialPortEvent, 10)
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) {
		asked <- e
		e.Select(e.Ports[0].PortID)
	})
	plugged(t, s, loopback())
	page := testPage(t, s, html(server, "localhost", fmt.Sprintf(
		`<iframe name="same" src="%s"></iframe><iframe name="other" allow="serial; hid" src="%[2]s"></iframe><iframe name="refused" src="%[2]s"></iframe><iframe name="boxed" sandbox="allow-scripts" src="%[2]s"></iframe>`,
		html(server, "localhost", "same"), html(server, "other.localhost", "other"))))
	t.Run("those of the same origin", func(t *testing.T) {
		does(t, frame(t, page, "same"), talks, "42")
		if e := next(t, asked); e.Frame.Name != "same" || e.Origin != originOfPage(t, page) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("those of other sites that it lets", func(t *testing.T) {
		does(t, frame(t, page, "other"), countPorts, "1")
		does(t, frame(t, page, "other"), talks, "42")
		if e := next(t, asked); e.Frame.Name != "other" || e.Origin == e.EmbeddingOrigin || e.EmbeddingOrigin != originOfPage(t, page) {
			t.Errorf("%+v", e)
		}
	})
	for _, name := range []string{"refused", "boxed"} {
		t.Run("and not those that are "+name, func(t *testing.T) {
			does(t, frame(t, page, name), countPorts, fmt.Sprintf(notAllowed, "getPorts"))
			does(t, frame(t, page, name), requestPort, fmt.Sprintf(notAllowed, "requestPort"))
		})
	}
}

// inWorker is an expression that runs the body of an async function in a dedicated
// worker whose script is at an address, or in a blob.
func inWorker(address, body string) string {
	return fmt.Sprintf(`new Promise((done, fail) => {
		const worker = new Worker(%s || URL.createObjectURL(new Blob(['onmessage = e => eval(e.data).then(postMessage)'])));
		worker.onmessage = e => done(e.data);
		worker.onerror = e => fail(new Error(e.message));
		worker.postMessage(%q);
	})`, address, acted(body))
}

func TestDevices_WorkersHaveWhatThePageHas(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), permissionServer(t)
	choosesScale(s)
	plugged(t, s, loopback())
	server.Handle("/device-worker.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "onmessage = e => eval(e.data).then(postMessage)")
	})
	page := testPage(t, s, html(server, "localhost", fmt.Sprintf(
		`<iframe name="other" allow="serial" src="%[1]s"></iframe><iframe name="refused" src="%[2]s"></iframe>`,
		html(server, "other.localhost", "other"), html(server, "third.localhost", "refused"))))
	const use = `const [port] = await navigator.serial.getPorts(); if (!port) return 'none';` + `
		await port.open({baudRate: 1});
		const writer = port.writable.getWriter();
		const reader = port.readable.getReader();
		await writer.write(new Uint8Array([42]));
		const {value} = await reader.read();
		writer.releaseLock();
		reader.releaseLock();
		await port.close();
		return [value[0], port instanceof SerialPort, typeof navigator.serial.requestPort]`
	const used = `[42,true,"undefined"]`
	want(t, page, inWorker(`""`, use), "none")
	does(t, page, requestPort+`return 'chosen'`, "chosen")
	for name, address := range map[string]string{"of an address": `"/device-worker.js"`, "of a blob": `""`} {
		t.Run(name, func(t *testing.T) { want(t, page, inWorker(address, use), used) })
	}
	t.Run("in a frame that may", func(t *testing.T) { does(t, frame(t, page, "other"), "return "+inWorker(`""`, use), used) })
	t.Run("and not in one that may not", func(t *testing.T) {
		does(t, frame(t, page, "refused"), "return "+inWorker(`""`, use), fmt.Sprintf(notAllowed, "getPorts"))
	})
}

func TestDevices_WorkUnderAStrictPolicyForContent(t *testing.T) {
	t.Parallel()
	s, server := memorySession(t), permissionServer(t)
	choosesScale(s)
	plugged(t, s, loopback())
	server.Handle("/strict", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'; sandbox allow-scripts allow-same-origin")
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<p>strict")
	})
	does(t, testPage(t, s, server.URL("localhost", "/strict")), talks, "42")
}

func TestDevices_AreAbsentInInsecureContexts(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	choosesScale(s)
	page := testPage(t, s, sharedServer(t).URL("a.test", "/"))
	does(t, page, `return [typeof navigator.serial, typeof navigator.hid, typeof Serial, typeof HID, typeof bridgeDevicesCall]`, `["undefined","undefined","undefined","undefined","undefined"]`)
}

func TestDevices_ThePagesWorldHasNothingOfTheBridges(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	does(t, page, `return [SerialPort.prototype.open, navigator.serial.requestPort, HID.prototype.requestDevice,
		Object.getOwnPropertyDescriptor(SerialPort.prototype, 'readable').get].every(f => /\[native code\]/.test(Function.prototype.toString.call(f)))
		+ ' ' + Object.getOwnPropertyNames(globalThis).filter(n => /bridge/i.test(n))`, "true ")
}

func TestDevices_ASessionThatGivesNoneAnswersAsElectron(t *testing.T) {
	t.Parallel()
	page := testPage(t, memorySession(t), sharedServer(t).URL("localhost", "/"))
	does(t, page, `return await navigator.serial.requestPort()`, noPort)
	t.Run("CHR-4804", func(t *testing.T) { does(t, page, `return await navigator.hid.requestDevice({filters: []})`, "[]") })
	does(t, page, `return [await navigator.serial.getPorts(), await navigator.hid.getDevices()]`, "[[],[]]")
}

func TestDevices_OutliveTheBackForwardCache(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	choosesScale(s)
	plugged(t, s, loopback())
	first := page.URL()
	does(t, page, requestPort+`globalThis.marked = true; return 'chosen'`, "chosen")
	if err := page.LoadURL(testContext(t), sharedServer(t).URL("other.localhost", "/"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	does(t, page, countPorts, "0")
	if err := page.GoBack(testContext(t), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	want(t, page, "location.href", first)
	does(t, page, talks, "42")
}

// A page that knows how the scripts talk asks the program itself.
func TestDevices_WhatAPageMakesUpGetsItNothing(t *testing.T) {
	t.Parallel()
	s, page := devicePage(t)
	device := plugged(t, s, loopback())
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) { e.Cancel() })
	id := device.Port().PortID
	does(t, page, countPorts, "0") // the scripts are there
	client := s.devices.pages.client(page, page.contexts.inWorld(deviceWorld)[0])
	for _, question := range []string{
		fmt.Sprintf(`{"kind": "serial.open", "id": 1, "device": %q, "options": {"baudRate": 1}, "allowed": true}`, id),
		fmt.Sprintf(`{"kind": "serial.read", "id": 1, "device": %q, "allowed": true}`, id),
		fmt.Sprintf(`{"kind": "serial.write", "id": 1, "device": %q, "data": "AAAA", "allowed": true}`, id),
		fmt.Sprintf(`{"kind": "hid.sendReport", "id": 1, "device": %q, "data": "AAAA", "allowed": true}`, id),
		`{"kind": "serial.requestDevice", "id": 1, "allowed": true, "active": false}`,
		`{"kind": "serial.requestDevice", "id": 1, "filters": 5, "allowed": true, "active": true}`,
		`{"kind": "serial.open", "id": 1, "device": 5, "allowed": true}`,
		`{"kind": "__proto__.open", "id": 1, "allowed": true}`,
		`{"kind": "serial", "id": 1, "allowed": true}`,
	} {
		q := deviceQuestion{text: question}
		err := q.decode(&q)
		if err == nil {
			_, err = s.devices.pages.answer(client, q)
		}
		if err == nil {
			t.Errorf("%s\nis answered", question)
		}
	}
	if grants := s.DeviceGrants(); len(grants) > 0 {
		t.Error(grants)
	}
}
