package bridge

import (
	"context"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// devicePage is a page of a session of the test's own.
func devicePage(t testing.TB) (*Session, *WebContents) {
	s := memorySession(t)
	return s, testPage(t, s, sharedServer(t).URL("localhost", "/"))
}

// choosing lets the first port be chosen.
func choosing(s *Session) {
	s.OnSelectSerialPort(func(e *SelectSerialPortEvent) {
		for _, p := range e.Ports {
			e.Select(p.PortID)
			return
		}
	})
}

// acted is an expression whose value is what an async function with a body returns, or
// the name and the message of what it throws.
func acted(body string) string {
	return "(async () => {" + body + "})().catch(e => e.name + ': ' + e.message)"
}

func TestSerial_APageTalksToALoopback(t *testing.T) {
	s, page := devicePage(t)
	choosing(s)
	if _, err := s.AddVirtualSerialPort(virtual.SerialPort{Serve: virtual.Loopback, VendorID: 0x0403, ProductID: 0x6001, SerialNumber: "A1", DisplayName: "Loop"}); err != nil {
		t.Fatal(err)
	}
	got := gestured(t, page, acted(`
		const port = await navigator.serial.requestPort({filters: [{usbVendorId: 0x0403}]});
		await port.open({baudRate: 115200});
		const writer = port.writable.getWriter();
		const reader = port.readable.getReader();
		await writer.write(new TextEncoder().encode('hello'));
		const {value} = await reader.read();
		writer.releaseLock();
		reader.releaseLock();
		await port.close();
		return JSON.stringify([new TextDecoder().decode(value), port instanceof SerialPort, JSON.stringify(port.getInfo()), (await navigator.serial.getPorts()).length, await port.close().catch(String)]);
	`))
	t.Log(got)
	_ = context.Background
}
