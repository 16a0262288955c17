package examples

import (
	"fmt"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// A page reads from a scale that is made in software. It asks for a serial port, and
// the program chooses.
func Example_devices() {
	ctx, b, server, end := start()
	defer end()
	s := b.DefaultSession()
	scale, err := s.AddVirtualSerialPort(virtual.SerialPort{DisplayName: "Scale", VendorID: 0x0403, ProductID: 0x6001})
	check(err)
	s.OnSelectSerialPort(func(e *bridge.SelectSerialPortEvent) {
		fmt.Println("the page asks for one of", len(e.Ports))
		e.Select(e.Ports[0].PortID)
	})

	page, err := s.NewPage(ctx, server)
	check(err)
	_, err = bridge.EvaluateWithGesture[any](ctx, page, `(async () => {
		const port = await navigator.serial.requestPort({filters: [{usbVendorId: 0x0403}]});
		await port.open({baudRate: 9600});
		globalThis.lines = port.readable.pipeThrough(new TextDecoderStream()).getReader();
	})()`)
	check(err)
	check(scale.Send(ctx, []byte("1.234 kg")))
	weight, err := bridge.Evaluate[string](ctx, page, `lines.read().then(({value}) => value)`)
	check(err)
	fmt.Println(weight)
	// Output:
	// the page asks for one of 1
	// 1.234 kg
}
