package endpoint

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	protocols "github.com/cdpbridge/cdpbridge/docs/protocol"
)

func (f frame) field(name string) any {
	var fields map[string]any
	json.Unmarshal(f.Params, &fields)
	return fields[name]
}

const askToNotify = "Notification.requestPermission()"

func TestQuestions_APermissionIsAskedOnceOfTheConnectionThatArmedItLast(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("permission")
	first, last := dial(t, s.ws(partition)), dial(t, s.ws(partition))
	_, page := first.page(shared.site.TLSURL("a.test", "/page/asks"))
	first.call(page, "Session.enable", map[string]any{})
	first.call("", "Session.setPermissionRequestHandler", map[string]any{"enabled": true})
	last.call("", "Session.setPermissionRequestHandler", map[string]any{"enabled": true})
	evaluate := map[string]any{"expression": "window.asked = " + askToNotify + "; 1"}
	first.call(page, "Runtime.evaluate", evaluate)
	asked := last.event("Session.permissionRequested")
	if asked.field("permission") != "notifications" {
		t.Errorf("asked %s", asked.Params)
	}
	answer := map[string]any{"requestId": asked.field("requestId"), "granted": false}
	if f := first.try("", "Session.answerPermissionRequest", answer); f.Error == nil || f.Error.Code != -32000 {
		t.Errorf("another connection answers: %+v", f)
	}
	last.call("", "Session.answerPermissionRequest", answer)
	if f := last.try("", "Session.answerPermissionRequest", answer); f.Error == nil || f.Error.Message != "One-time callback was called more than once" {
		t.Errorf("a second answer: %+v", f.Error)
	}
	if got := first.evaluate(page, "asked"); got != "denied" {
		t.Errorf("the page was %v", got)
	}
	// The one that armed it before is asked again, on the session that has the domain on.
	last.call("", "Session.setPermissionRequestHandler", map[string]any{"enabled": false})
	first.call(page, "Runtime.evaluate", evaluate)
	asked = first.event("Session.permissionRequested")
	if asked.SessionID != page {
		t.Errorf("asked on %q", asked.SessionID)
	}
	// A lost connection fails closed, until somebody arms or disarms.
	first.ws.CloseNow()
	last.call("", "Target.setDiscoverTargets", map[string]any{"discover": true})
	_, page = last.page(shared.site.TLSURL("a.test", "/page/asks"))
	if got := last.evaluate(page, askToNotify); got != "denied" {
		t.Errorf("after the connection was lost it is %v", got)
	}
	last.call("", "Session.setPermissionRequestHandler", map[string]any{"enabled": false})
	if got := last.evaluate(page, askToNotify); got != "granted" {
		t.Errorf("without a handler it is %v", got)
	}
}

func TestQuestions_AListenerOfRequestsAnswersAndAllGoesOnWithoutIt(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("requests")
	c, pages := dial(t, s.ws(partition)), dial(t, s.ws(partition))
	_, page := pages.page(shared.site.URL("a.test", "/page/requests"))
	c.call("", "Session.setWebRequestListener", map[string]any{"event": "onBeforeRequest", "filter": map[string]any{"urls": []string{"*://*/echo*"}}, "enabled": true})
	c.call("", "Session.setWebRequestListener", map[string]any{"event": "onCompleted", "filter": map[string]any{"urls": []string{"*://*/small*"}}, "enabled": true})
	pages.call(page, "Runtime.evaluate", map[string]any{"expression": "window.got = fetch('/echo').then(r => r.status, e => 'failed'); 1"})
	asked := c.event("Session.webRequest")
	if details := asked.field("details").(map[string]any); asked.field("event") != "onBeforeRequest" || !strings.HasSuffix(details["url"].(string), "/echo") {
		t.Errorf("asked %s", asked.Params)
	}
	c.call("", "Session.answerWebRequest", map[string]any{"requestId": asked.field("requestId"), "cancel": true})
	if got := pages.evaluate(page, "got"); got != "failed" {
		t.Errorf("the request is %v", got)
	}
	pages.evaluate(page, "fetch('/small').then(r => r.text())")
	if told := c.event("Session.webRequest"); told.field("requestId") != nil || told.field("event") != "onCompleted" {
		t.Errorf("told %s", told.Params)
	}
	pages.call(page, "Runtime.evaluate", map[string]any{"expression": "window.got = fetch('/echo').then(r => r.status, e => 'failed'); 1"})
	c.event("Session.webRequest")
	c.ws.CloseNow()
	if got := pages.evaluate(page, "got"); got != 200.0 {
		t.Errorf("after the connection was lost the request is %v", got)
	}
	if f := pages.try("", "Session.setWebRequestListener", map[string]any{"event": "onNothing", "enabled": true}); f.Error == nil || f.Error.Code != -32602 {
		t.Errorf("an event that there is none: %+v", f)
	}
}

func TestQuestions_ASerialPortIsChosen(t *testing.T) {
	s := serve(t, Options{})
	c, pages := dial(t, s.ws(s.partition("serial"))), (*bareClient)(nil)
	pages = dial(t, s.ws(t.Name()+" serial"))
	_, page := pages.page(shared.site.TLSURL("a.test", "/page/serial"))
	id := c.call("", "Session.addVirtualDevice", map[string]any{"type": "serial", "portName": "ttyTEST", "vendorId": 1, "productId": 2})["deviceId"]
	c.call("", "Session.setDeviceChooser", map[string]any{"serial": true})
	pages.call(page, "Runtime.evaluate", map[string]any{"userGesture": true, "expression": `window.port = navigator.serial.requestPort();
		window.said = port.then(async p => { await p.open({baudRate: 9600}); const w = p.writable.getWriter(); await w.write(new TextEncoder().encode('hi')); w.releaseLock();
			const r = p.readable.getReader(); return new TextDecoder().decode((await r.read()).value); }); 1`})
	asked := c.event("Session.selectSerialPort")
	var portID any
	for _, port := range asked.field("portList").([]any) {
		if port := port.(map[string]any); port["portName"] == "ttyTEST" {
			portID = port["portId"]
		}
	}
	c.call("", "Session.answerSelectSerialPort", map[string]any{"requestId": asked.field("requestId"), "portId": portID})
	if data := c.event("Session.virtualDeviceData"); data.field("data") != "aGk=" || data.field("deviceId") != id {
		t.Errorf("the page wrote %s", data.Params)
	}
	c.call("", "Session.virtualDeviceSend", map[string]any{"deviceId": id, "data": "aG8="})
	if got := pages.evaluate(page, "said"); got != "ho" {
		t.Errorf("the page read %v", got)
	}
	c.call("", "Session.removeVirtualDevice", map[string]any{"deviceId": id})
	if got := pages.evaluate(page, "navigator.serial.getPorts().then(p => p.length)"); got != 0.0 {
		t.Errorf("%v ports are left", got)
	}
}

// notYet are the commands of the description that the server does not have.
var notYet = []string{
	// Extensions and the spell checker are not connected.
	"setSpellCheckerEnabled", "isSpellCheckerEnabled",
	"setSpellCheckerLanguages", "getSpellCheckerLanguages", "getAvailableSpellCheckerLanguages", "setSpellCheckerDictionaryDownloadURL",
	"listWordsInSpellCheckerDictionary", "addWordToSpellCheckerDictionary", "removeWordFromSpellCheckerDictionary",
	"loadExtension", "removeExtension", "getExtension", "getAllExtensions",
	// The library has no such handler for programs.
	"setBluetoothPairingHandler", "answerBluetoothPairing",
	// Not connected with the library's handlers.
	"setClientCertificateHandler", "answerClientCertificate", "setOpenExternalHandler", "answerOpenExternal",
}

func TestDescription_IsWhatTheServerHas(t *testing.T) {
	var description struct {
		Domain   string
		Commands []struct{ Name string }
		Events   []struct{ Name string }
	}
	if err := json.Unmarshal(protocols.Session(), &description); err != nil || description.Domain != "Session" {
		t.Fatal(description.Domain, err)
	}
	s, err := New(sharedBrowser(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{"enable": true, "disable": true}
	for _, c := range description.Commands {
		described[c.Name] = true
		if has := s.commands[c.Name] != nil || c.Name == "enable" || c.Name == "disable"; has == slices.Contains(notYet, c.Name) {
			t.Errorf("%s is described; the server has it: %v", c.Name, has)
		}
	}
	for name := range s.commands {
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
	}
}

func TestSession_BadArgumentsGetElectronsText(t *testing.T) {
	s := serve(t, Options{})
	c := dial(t, s.ws(s.partition("arguments")))
	for _, bad := range []struct {
		method string
		params any
		code   int
	}{
		{"Session.setProxy", map[string]any{"mode": "nonsense"}, -32602},
		{"Session.setProxy", map[string]any{"Mode": "direct"}, -32602},
		{"Session.setCodeCachePath", map[string]any{"path": "relative"}, -32602},
		{"Session.clearCodeCaches", map[string]any{"urls": []string{"no url"}}, -32602},
		{"Session.setSSLConfig", map[string]any{"minVersion": "tls9"}, -32602},
		{"Session.clearData", map[string]any{"origins": []string{"https://a.test"}, "excludeOrigins": []string{"https://b.test"}}, -32602},
		{"Session.nothing", map[string]any{}, -32601},
		{"Session.answerAuth", map[string]any{"requestId": "999999"}, -32602},
	} {
		if f := c.try("", bad.method, bad.params); f.Error == nil || f.Error.Code != bad.code {
			t.Errorf("%s: %+v %v", bad.method, f.Error, f.Result)
		}
	}
	c.call("", "Session.setProxy", map[string]any{"mode": "fixed_servers", "proxyRules": "proxy.test:1"})
	if got := c.call("", "Session.resolveProxy", map[string]any{"url": "http://a.example/"})["proxy"]; got != "PROXY proxy.test:1" {
		t.Errorf("the proxy is %v", got)
	}
}

func TestQuestions_AClientAnswersTheRequestsOfAScheme(t *testing.T) {
	s := serve(t, Options{})
	partition := s.partition("protocol")
	c, pages := dial(t, s.ws(partition)), dial(t, s.ws(partition))
	_, page := pages.page(shared.site.URL("a.test", "/page/protocol"))
	c.call("", "Session.protocolHandle", map[string]any{"scheme": "http"})
	if handled := c.call("", "Session.protocolIsHandled", map[string]any{"scheme": "http"})["handled"]; handled != true {
		t.Errorf("handled is %v", handled)
	}
	pages.call(page, "Runtime.evaluate", map[string]any{"expression": "window.got = fetch('/made-up', {method: 'POST', body: 'sent'}).then(r => r.text(), e => 'failed'); 1"})
	asked := c.event("Session.protocolRequest")
	for strings.HasSuffix(asked.field("url").(string), "/favicon.ico") { // which Chromium asks for when it likes
		c.call("", "Session.answerProtocolRequest", map[string]any{"requestId": asked.field("requestId"), "status": 404})
		asked = c.event("Session.protocolRequest")
	}
	if asked.field("method") != "POST" || !strings.HasSuffix(asked.field("url").(string), "/made-up") {
		t.Errorf("asked %s", asked.Params)
	}
	c.call("", "Session.answerProtocolRequest", map[string]any{"requestId": asked.field("requestId"), "status": 200, "headers": map[string]any{"Content-Type": "text/plain"}, "body": "aG8="})
	if got := pages.evaluate(page, "got"); got != "ho" {
		t.Errorf("the page got %v", got)
	}
	c.ws.CloseNow()
	for pages.call("", "Session.protocolIsHandled", map[string]any{"scheme": "http"})["handled"] != false {
	}
	if got := pages.evaluate(page, "fetch('/small').then(r => r.text())"); got != "small" {
		t.Errorf("after the connection was lost it is %v", got)
	}
}
