package bench

import (
	"context"
	"io"
	"testing"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/devices/virtual"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// BenchmarkSerial has what a page gets out of a serial port that is made in software:
// how long a byte takes there and back, and how much goes through.
func BenchmarkSerial(b *testing.B) {
	server := fixture.New(b)
	browser, err := bridge.Launch(b.Context(), bridge.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := browser.Close(); err != nil {
			b.Error(err)
		}
	})
	b.Run("round-trip", func(b *testing.B) {
		page := serialPage(b, browser, server, virtual.Loopback)
		measure(b, page, `for (let i = 0; i < n; i++) {
			await writer.write(new Uint8Array(1));
			await reader.read();
		}`)
	})
	const megabyte = 1 << 20
	b.Run("from-page", func(b *testing.B) {
		page := serialPage(b, browser, server, func(_ context.Context, line *virtual.Line) { io.Copy(io.Discard, line) })
		b.SetBytes(megabyte)
		measure(b, page, `const data = new Uint8Array(1 << 20);
		for (let i = 0; i < n; i++) await writer.write(data);`)
	})
	b.Run("to-page", func(b *testing.B) {
		page := serialPage(b, browser, server, func(_ context.Context, line *virtual.Line) {
			chunk := make([]byte, 64<<10)
			for {
				if _, err := line.Write(chunk); err != nil {
					return
				}
			}
		})
		b.SetBytes(megabyte)
		measure(b, page, `for (let rest = n << 20; rest > 0;) rest -= (await reader.read()).value.length;`)
	})
}

// serialPage is a page of a session of its own that has a serial port open.
func serialPage(b *testing.B, browser *bridge.Browser, server *fixture.Server, serve func(context.Context, *virtual.Line)) *bridge.WebContents {
	s, err := browser.FromPartition(b.Context(), b.Name(), bridge.PartitionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close(context.Background()) })
	s.OnSelectSerialPort(func(e *bridge.SelectSerialPortEvent) { e.Select(e.Ports[0].PortID) })
	port := virtual.SerialPort{Name: "bench", VendorID: 1, ProductID: 2, Serve: serve}
	if _, err := s.AddVirtualSerialPort(port); err != nil {
		b.Fatal(err)
	}
	page, err := s.NewPage(b.Context(), server.URL("localhost", "/"))
	if err != nil {
		b.Fatal(err)
	}
	_, err = bridge.EvaluateWithGesture[any](b.Context(), page, `(async () => {
		const port = await navigator.serial.requestPort({filters: [{usbVendorId: 1}]});
		await port.open({baudRate: 3000000, bufferSize: 65536});
		globalThis.writer = port.writable.getWriter();
		globalThis.reader = port.readable.getReader();
	})()`)
	if err != nil {
		b.Fatal(err)
	}
	return page
}

// measure runs the body of an async function of n in a page.
func measure(b *testing.B, page *bridge.WebContents, body string) {
	b.ResetTimer()
	if _, err := bridge.Evaluate[any](b.Context(), page, "async n => {"+body+"}", b.N); err != nil {
		b.Fatal(err)
	}
}
