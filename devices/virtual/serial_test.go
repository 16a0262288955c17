package virtual

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

func testSerialBus(t testing.TB) *SerialBus {
	b := NewSerialBus()
	t.Cleanup(func() { b.Close() })
	return b
}

func plugSerial(t testing.TB, b *SerialBus, p SerialPort) *SerialDevice {
	t.Helper()
	return must[*SerialDevice](t)(b.Plug(p))
}

func openSerial(t testing.TB, b *SerialBus, d *SerialDevice, o serial.Options) serial.Connection {
	t.Helper()
	if o.BaudRate == 0 {
		o.BaudRate = 9600
	}
	c := must[serial.Connection](t)(b.Open(testContext(t), d.Port(), o))
	t.Cleanup(func() { c.Close() })
	return c
}

// readSerial reads n bytes.
func readSerial(t testing.TB, c serial.Connection, n int) string {
	t.Helper()
	data := make([]byte, n)
	if _, err := io.ReadFull(c, data); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// begin runs a call, and gives its error when it has returned.
func begin(call func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

func TestSerial_PortsAreListedAsRealOnesAre(t *testing.T) {
	b := testSerialBus(t)
	plugSerial(t, b, SerialPort{})
	scale := plugSerial(t, b, SerialPort{Name: "ttyUSB7", DisplayName: "Scale", VendorID: 0x0403, ProductID: 0x6001, SerialNumber: "A1"})
	phone := plugSerial(t, b, SerialPort{BluetoothServiceClassID: "01234567-89AB-CDEF-0123-456789ABCDEF"})
	list := must[[]serial.Port](t)(b.List(testContext(t)))
	names := []string{}
	for _, p := range list {
		names = append(names, p.PortName)
	}
	if want := []string{"ttyUSB7", "ttyVIRTUAL0", "ttyVIRTUAL1"}; !slices.Equal(names, want) {
		t.Errorf("names are %q, want %q", names, want)
	}
	same(t, "port", scale.Port(), serial.Port{PortID: scale.Port().PortID, PortName: "ttyUSB7", DisplayName: "Scale", VendorID: "1027", ProductID: "24577", SerialNumber: "A1"})
	same(t, "uuid", phone.Port().BluetoothServiceClassID, "01234567-89ab-cdef-0123-456789abcdef")
	if _, err := b.Plug(SerialPort{Name: "ttyUSB7"}); err == nil {
		t.Error("two ports have one name")
	}
}

func TestSerial_APortThatIsPluggedInAgainIsAnotherOne(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	first := plugSerial(t, b, SerialPort{})
	first.Unplug()
	first.Unplug()
	second := plugSerial(t, b, SerialPort{})
	same(t, "name", second.Port().PortName, first.Port().PortName)
	if second.Port().PortID == first.Port().PortID {
		t.Error("the port has its old id")
	}
	if _, err := b.Open(ctx, first.Port(), serial.Options{BaudRate: 9600}); !errors.Is(err, serial.ErrLost) {
		t.Errorf("opening the unplugged port: %v", err)
	}
	if err := first.Send(ctx, []byte("x")); !errors.Is(err, serial.ErrLost) {
		t.Errorf("sending on the unplugged port: %v", err)
	}
	openSerial(t, b, second, serial.Options{})
}

func TestSerial_ARegistrySeesPortsComeAndGo(t *testing.T) {
	b := testSerialBus(t)
	ctx, end := context.WithCancel(testContext(t))
	type change struct{ added, removed int }
	changes := make(chan change, 10)
	r := devices.NewRegistry(func(added, removed []serial.Port) { changes <- change{len(added), len(removed)} }, serial.Source(b))
	must[[]serial.Port](t)(r.List(ctx)) // what is there at first is not told
	running := begin(func() error { r.Run(ctx, func(err error) { t.Error(err) }); return nil })
	d := plugSerial(t, b, SerialPort{})
	same(t, "after plugging", <-changes, change{1, 0})
	d.Unplug()
	same(t, "after unplugging", <-changes, change{0, 1})
	plugSerial(t, b, SerialPort{})
	same(t, "after plugging again", <-changes, change{1, 0})
	b.Close()
	same(t, "after closing", <-changes, change{0, 1})
	end()
	<-running
}

func TestSerial_SendWaitsForThePage(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	scale := plugSerial(t, b, SerialPort{})
	sent := begin(func() error { return scale.Send(ctx, []byte("+001.234kg\r\n")) })
	c := openSerial(t, b, scale, serial.Options{})
	same(t, "received", readSerial(t, c, 12), "+001.234kg\r\n")
	ok(t, <-sent)

	c.Close()
	short, end := context.WithTimeout(ctx, 10*time.Millisecond)
	defer end()
	if err := scale.Send(short, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("sending to a closed port: %v", err)
	}
}

func TestSerial_ReceiveGivesWhatThePageWroteBeforeItClosed(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	printer := plugSerial(t, b, SerialPort{})
	for _, line := range []string{"one\n", "two\n"} {
		c := openSerial(t, b, printer, serial.Options{})
		must[int](t)(c.Write([]byte(line)))
		ok(t, c.Drain()) // though nobody has received it
		ok(t, c.Discard(true, true))
		ok(t, c.Close())
	}
	same(t, "received", string(must[[]byte](t)(printer.Receive(ctx))), "one\ntwo\n")

	c := openSerial(t, b, printer, serial.Options{})
	must[int](t)(c.Write([]byte("three\nfour")))
	printer.Unplug()
	lines := bufio.NewScanner(printer.Reader(ctx))
	for _, want := range []string{"three", "four"} {
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("got %q, want %q", lines.Text(), want)
		}
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
	}
	if _, err := printer.Receive(ctx); !errors.Is(err, serial.ErrLost) {
		t.Errorf("receiving from an unplugged port: %v", err)
	}
}

func TestSerial_ServeTalksToThePageInEachOpening(t *testing.T) {
	b := testSerialBus(t)
	d := plugSerial(t, b, SerialPort{Serve: func(ctx context.Context, line *Line) {
		same(t, "options", line.Options(), serial.Options{BaudRate: 19200, DataBits: 7, StopBits: 1, Parity: serial.EvenParity, Flow: serial.NoFlowControl, BufferSize: 255})
		for questions := bufio.NewScanner(line); questions.Scan(); {
			io.WriteString(line, questions.Text()+"!\n")
		}
		<-ctx.Done()
	}})
	for range 3 {
		c := openSerial(t, b, d, serial.Options{BaudRate: 19200, DataBits: 7, Parity: serial.EvenParity})
		must[int](t)(c.Write([]byte("hello\n")))
		same(t, "answer", readSerial(t, c, 7), "hello!\n")
		ok(t, c.Close())
	}
}

func TestSerial_APortIsOpenOnlyOnce(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	d := plugSerial(t, b, SerialPort{})
	c := openSerial(t, b, d, serial.Options{})
	if _, err := b.Open(ctx, d.Port(), serial.Options{BaudRate: 9600}); !errors.Is(err, ErrBusy) {
		t.Errorf("a second opening: %v", err)
	}
	ok(t, c.Close())
	ok(t, d.Closed(ctx))
	openSerial(t, b, d, serial.Options{})
	ok(t, c.Close()) // again, which is nothing to the second opening
	must[*Line](t)(d.Opened(ctx))
	if _, err := b.Open(ctx, d.Port(), serial.Options{}); err == nil {
		t.Error("opened without a baud rate")
	}
}

func TestSerial_CloseEndsWhatWaits(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	d := plugSerial(t, b, SerialPort{})
	c := openSerial(t, b, d, serial.Options{})
	line := must[*Line](t)(d.Opened(ctx))
	pageReads := begin(func() error { _, err := c.Read(make([]byte, 1)); return err })
	pageWrites := begin(func() error { _, err := c.Write(make([]byte, 2*maxReceived)); return err })
	deviceReads := begin(func() error { _, err := io.Copy(io.Discard, line); return err })
	ok(t, c.Close())
	same(t, "page's Read", <-pageReads, os.ErrClosed)
	<-pageWrites // the device may have read all
	same(t, "device's Read", <-deviceReads, nil)

	c = openSerial(t, b, d, serial.Options{})
	sends := begin(func() error { return d.Send(ctx, make([]byte, 2*minBuffer)) })
	writes := begin(func() error { _, err := c.Write(make([]byte, 2*maxReceived)); return err })
	readSerial(t, c, 1) // Send is under way
	ok(t, c.Close())
	if err := <-sends; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Send: %v", err)
	}
	same(t, "page's Write", <-writes, os.ErrClosed)
	_, err := c.Read(make([]byte, 1))
	same(t, "Read after Close", err, os.ErrClosed)
	_, err = c.Write(make([]byte, 1))
	same(t, "Write after Close", err, os.ErrClosed)
}

func TestSerial_UnplugInTheMiddleOfReadingAndWriting(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	served := make(chan error, 1)
	d := plugSerial(t, b, SerialPort{Serve: func(ctx context.Context, line *Line) {
		io.WriteString(line, "last words")
		<-ctx.Done()
		_, err := line.Write([]byte("x"))
		served <- err
	}})
	c := openSerial(t, b, d, serial.Options{})
	writes := begin(func() error { _, err := c.Write(make([]byte, 1<<20)); return err })
	drains := begin(c.Drain)
	same(t, "first", readSerial(t, c, 5), "last ")
	d.Unplug()
	if err := <-writes; !errors.Is(err, serial.ErrLost) {
		t.Errorf("Write: %v", err)
	}
	if err := <-drains; err != nil && !errors.Is(err, serial.ErrLost) {
		t.Errorf("Drain: %v", err)
	}
	if err := <-served; !errors.Is(err, serial.ErrLost) {
		t.Errorf("device's Write: %v", err)
	}
	same(t, "rest", readSerial(t, c, 5), "words")
	reads := begin(func() error { _, err := c.Read(make([]byte, 1)); return err })
	if err := <-reads; !errors.Is(err, serial.ErrLost) {
		t.Errorf("Read: %v", err)
	}
	if _, err := c.Signals(); !errors.Is(err, serial.ErrLost) {
		t.Errorf("Signals: %v", err)
	}
	if err := c.SetSignals(serial.OutputSignals{}); !errors.Is(err, serial.ErrLost) {
		t.Errorf("SetSignals: %v", err)
	}
	if err := c.Discard(true, true); !errors.Is(err, serial.ErrLost) {
		t.Errorf("Discard: %v", err)
	}
	ok(t, c.Close())

	waiting := plugSerial(t, b, SerialPort{})
	openSerial(t, b, waiting, serial.Options{})
	receives := begin(func() error { _, err := waiting.Receive(ctx); return err })
	waiting.Unplug()
	if err := <-receives; !errors.Is(err, serial.ErrLost) {
		t.Errorf("Receive: %v", err)
	}
}

func TestSerial_AReaderThatIsSlowMakesTheOtherSideWait(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	for _, asked := range []uint{0, 255, 200_000, 1 << 31} {
		d := plugSerial(t, b, SerialPort{})
		c := openSerial(t, b, d, serial.Options{BufferSize: asked})
		line := must[*Line](t)(d.Opened(ctx))
		want := int(min(max(asked, minBuffer), maxBuffer))
		short, end := context.WithCancel(ctx)
		sends := begin(func() error { return d.Send(short, make([]byte, want+1)) })
		for {
			line.toPage.mu.Lock()
			n := line.toPage.waiting.Len()
			line.toPage.mu.Unlock()
			if n == want {
				break
			}
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-sends:
			t.Errorf("buffer of %d: Send did not wait: %v", asked, err)
		default:
		}
		readSerial(t, c, 1)
		ok(t, <-sends)
		end()
		d.Unplug()
	}
}

func TestSerial_ErrorsOfTheLineComeInTheirPlaces(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	d := plugSerial(t, b, SerialPort{})
	c := openSerial(t, b, d, serial.Options{})
	line := must[*Line](t)(d.Opened(ctx))
	line.SendError(serial.BreakError)
	must[int](t)(line.Write([]byte("ab")))
	line.SendError(serial.ParityError)
	line.SendError(serial.FramingError)
	must[int](t)(line.Write([]byte("c")))
	line.SendError(serial.OverrunError)
	got := []string{}
	for range 6 {
		data := make([]byte, 10)
		n, err := c.Read(data)
		var wrong *serial.LineError
		if errors.As(err, &wrong) {
			got = append(got, string(wrong.Kind))
		} else {
			ok(t, err)
			got = append(got, string(data[:n]))
		}
	}
	if want := []string{"break", "ab", "parity", "framing", "c", "overrun"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range 10_000 {
		line.SendError(serial.BreakError)
	}
	same(t, "errors that wait", len(line.toPage.faults), maxFaults)
	ok(t, c.Discard(true, false))
	must[int](t)(line.Write([]byte("d")))
	same(t, "after Discard", readSerial(t, c, 1), "d")
}

func TestSerial_SignalsGoBothWays(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	d := plugSerial(t, b, SerialPort{})
	d.SetSignals(serial.InputSignals{RingIndicator: true})
	watched := d.WatchSignals(ctx)
	c := openSerial(t, b, d, serial.Options{})
	same(t, "lines to the page", must[serial.InputSignals](t)(c.Signals()), serial.InputSignals{RingIndicator: true})
	on, off := true, false
	ok(t, c.SetSignals(serial.OutputSignals{DataTerminalReady: &off}))
	ok(t, c.SetSignals(serial.OutputSignals{DataTerminalReady: &off}))
	ok(t, c.SetSignals(serial.OutputSignals{RequestToSend: &off, Break: &on}))
	same(t, "lines of the page", d.Signals(), Signals{Break: true})
	ok(t, c.Close())
	want := []Signals{{}, {DataTerminalReady: true, RequestToSend: true}, {RequestToSend: true}, {Break: true}, {}}
	for got := range watched {
		same(t, "change", got, want[0])
		if want = want[1:]; len(want) == 0 {
			break
		}
	}

	c = openSerial(t, b, d, serial.Options{})
	line := must[*Line](t)(d.Opened(ctx))
	ended := begin(func() error {
		for range line.WatchSignals(ctx) {
		}
		return nil
	})
	ok(t, c.Close())
	<-ended
}

func TestSerial_LoopbackJoinsSignalsAtOnce(t *testing.T) {
	b := testSerialBus(t)
	c := openSerial(t, b, plugSerial(t, b, SerialPort{Serve: Loopback}), serial.Options{})
	off := false
	all := serial.InputSignals{ClearToSend: true, DataSetReady: true, DataCarrierDetect: true}
	must[int](t)(c.Write([]byte("x")))
	same(t, "echo", readSerial(t, c, 1), "x") // the plug is there
	same(t, "at first", must[serial.InputSignals](t)(c.Signals()), all)
	ok(t, c.SetSignals(serial.OutputSignals{RequestToSend: &off}))
	same(t, "without RTS", must[serial.InputSignals](t)(c.Signals()), serial.InputSignals{DataSetReady: true, DataCarrierDetect: true})
	ok(t, c.SetSignals(serial.OutputSignals{DataTerminalReady: &off}))
	same(t, "without both", must[serial.InputSignals](t)(c.Signals()), serial.InputSignals{})
}

func TestSerial_LoopbackBringsAllBackToASlowReader(t *testing.T) {
	b := testSerialBus(t)
	c := openSerial(t, b, plugSerial(t, b, SerialPort{Serve: Loopback}), serial.Options{})
	data := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	writes := begin(func() error {
		if _, err := c.Write(data); err != nil {
			return err
		}
		return c.Drain()
	})
	var got bytes.Buffer
	for chunk := make([]byte, 40_000); got.Len() < len(data); {
		n, err := c.Read(chunk)
		ok(t, err)
		got.Write(chunk[:n])
		if got.Len()%7 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	ok(t, <-writes)
	if !bytes.Equal(got.Bytes(), data) {
		t.Error("something else came back")
	}
}

func TestSerial_ADeviceThatHasReturnedOrPanickedLeavesThePortOpen(t *testing.T) {
	b := testSerialBus(t)
	for _, serve := range []func(context.Context, *Line){
		func(_ context.Context, l *Line) { io.WriteString(l, "bye") },
		func(_ context.Context, l *Line) { io.WriteString(l, "bye"); panic("on purpose") },
	} {
		d := plugSerial(t, b, SerialPort{Serve: serve})
		c := openSerial(t, b, d, serial.Options{})
		same(t, "said", readSerial(t, c, 3), "bye")
		must[int](t)(c.Write(make([]byte, 1<<20)))
		ok(t, c.Drain())
		ok(t, d.Send(testContext(t), []byte("x")))
		same(t, "sent", readSerial(t, c, 1), "x")
	}
}

func TestSerial_CloseOfTheBusEndsAll(t *testing.T) {
	b, ctx := testSerialBus(t), testContext(t)
	returned := false
	d := plugSerial(t, b, SerialPort{Serve: func(ctx context.Context, _ *Line) { <-ctx.Done(); returned = true }})
	c := openSerial(t, b, d, serial.Options{})
	ok(t, b.Close())
	same(t, "Serve has returned", returned, true)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, serial.ErrLost) {
		t.Errorf("Read: %v", err)
	}
	if _, err := b.Plug(SerialPort{}); !errors.Is(err, ErrBusClosed) {
		t.Errorf("Plug: %v", err)
	}
	same(t, "ports", len(must[[]serial.Port](t)(b.List(ctx))), 0)
	ok(t, b.Close())
}
