//go:build lab && linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

func isFTDI(p serial.Port) bool { return p.VendorID == "1027" && p.ProductID == "24577" }

func withSerial(number string) func(serial.Port) bool {
	return func(p serial.Port) bool { return p.SerialNumber == number }
}

func ports(s serial.Source) devices.Source[serial.Port] { return s }

// opened is an open port, closed with the test.
func opened(t testing.TB, source serial.Source, p serial.Port, o serial.Options) serial.Connection {
	t.Helper()
	c := must[serial.Connection](t)(source.Open(testContext(t), p, o))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestSerial_PortsAreDescribed(t *testing.T) {
	source := serial.Native()
	p := listed(t, ports(source), "QEMU's FTDI", isFTDI)
	if p.PortName != "ttyUSB0" || p.Path != "/dev/ttyUSB0" || p.SerialNumber != "LABFTDI1" || p.DisplayName != "QEMU USB SERIAL" {
		t.Errorf("%+v", p)
	}
	onBoard := listed(t, ports(source), "the machine's own port", func(p serial.Port) bool { return p.VendorID == "" })
	if onBoard.PortName != "ttyS0" {
		t.Errorf("a port that is no USB device: %+v", onBoard)
	}
}

// echo sends back what comes to the far end of the FTDI's line.
func echo(t testing.TB) {
	t.Helper()
	far := must[*os.File](t)(os.OpenFile("/dev/virtio-ports/lab.line", os.O_RDWR|unix.O_NONBLOCK, 0))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(struct{ io.Writer }{far}, struct{ io.Reader }{far})
	}()
	t.Cleanup(func() { far.Close(); <-ended })
}

// exchange writes bytes and reads as many, with at most 32 KiB of them under way, and compares them.
func exchange(t testing.TB, c serial.Connection, length int) {
	t.Helper()
	const window, chunk = 32 << 10, 4 << 10
	sent := make([]byte, length)
	rand.NewChaCha8([32]byte{1}).Read(sent)

	returned := make(chan struct{}, length/chunk+1)
	for range window / chunk {
		returned <- struct{}{}
	}
	go func() {
		for at := 0; at < length; at += chunk {
			if _, open := <-returned; !open {
				return
			}
			if _, err := c.Write(sent[at:min(at+chunk, length)]); err != nil {
				t.Errorf("write: %v", err)
				return
			}
		}
	}()
	defer close(returned)
	stop := context.AfterFunc(testContext(t), func() { c.Close() })
	defer stop()
	got := make([]byte, length)
	for n, window := 0, 0; n < length; {
		more, err := c.Read(got[n:])
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", n+more, length, err)
		}
		n += more
		for ; window+chunk <= n; window += chunk {
			returned <- struct{}{}
		}
	}
	if !bytes.Equal(got, sent) {
		t.Error("other bytes came back than were sent")
	}
}

func TestSerial_ALineOf3MbaudLosesNothing(t *testing.T) {
	echo(t)
	source := serial.Native()
	c := opened(t, source, listed(t, ports(source), "QEMU's FTDI", isFTDI), serial.Options{BaudRate: 3_000_000})
	const length = 1 << 20
	begin := time.Now()
	exchange(t, c, length)
	t.Logf("%.0f KB/s there and back", length/1000/time.Since(begin).Seconds())
}

func TestSerial_AllSettingsReachTheDriver(t *testing.T) {
	echo(t)
	source := serial.Native()
	p := listed(t, ports(source), "QEMU's FTDI", isFTDI)
	for _, o := range []serial.Options{
		{BaudRate: 9600, DataBits: 7, StopBits: 2, Parity: serial.EvenParity},
		{BaudRate: 115200, Parity: serial.OddParity},
		{BaudRate: 460800, Flow: serial.HardwareFlowControl},
	} {
		c := opened(t, source, p, o)
		fd := must[int](t)(unix.Open(p.Path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0))
		settings := must[*unix.Termios](t)(unix.IoctlGetTermios(fd, unix.TCGETS2))
		unix.Close(fd)
		flag := func(bit uint32) bool { return settings.Cflag&bit != 0 }
		o = o.WithDefaults()
		if uint(settings.Ospeed) != o.BaudRate || flag(unix.CSTOPB) != (o.StopBits == 2) || flag(unix.CRTSCTS) != (o.Flow == serial.HardwareFlowControl) ||
			flag(unix.PARENB) != (o.Parity != serial.NoParity) || flag(unix.PARODD) != (o.Parity == serial.OddParity) ||
			settings.Cflag&unix.CSIZE != map[uint]uint32{7: unix.CS7, 8: unix.CS8}[o.DataBits] {
			t.Errorf("%+v became %+v", o, settings)
		}
		if o.DataBits == 8 {
			exchange(t, c, 32<<10)
		}
		c.Close()
	}
}

func TestSerial_Signals(t *testing.T) {
	g := gadget{Vendor: 0x1209, Product: 0x2304, Serial: "SIGNALS", Name: "Signals", Functions: map[string]map[string]string{"acm.0": nil}}.plug(t, 0)
	source := serial.Native()
	c := opened(t, source, listed(t, ports(source), "the gadget", withSerial("SIGNALS")), serial.Options{BaudRate: 115200})
	yes, no := true, false
	for _, s := range []serial.OutputSignals{
		{DataTerminalReady: &yes, RequestToSend: &no}, {DataTerminalReady: &no, RequestToSend: &yes},
	} {
		if err := c.SetSignals(s); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := c.SetSignals(serial.OutputSignals{Break: &yes}); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("a break, which the gadget cannot send: %v", err)
	}
	if s := must[serial.InputSignals](t)(c.Signals()); s.DataSetReady || s.DataCarrierDetect {
		t.Errorf("nobody is there: %+v", s)
	}
	far := must[*os.File](t)(os.OpenFile(g.farPort(t, "acm.0"), os.O_RDWR|unix.O_NOCTTY, 0))
	until(t, "the far end to be ready", func() bool {
		s := must[serial.InputSignals](t)(c.Signals())
		return s.DataSetReady && s.DataCarrierDetect
	})
	far.Close()
	until(t, "the far end to be gone", func() bool { return !must[serial.InputSignals](t)(c.Signals()).DataSetReady })
}

func TestSerial_TwoOfAKindAreToldApart(t *testing.T) {
	source := serial.Native()
	for i, number := range []string{"TWIN-A", "TWIN-B"} {
		g := gadget{Vendor: 0x1209, Product: 0x2304, Serial: number, Name: "Twin", Functions: map[string]map[string]string{"acm." + number: nil}}.plug(t, i)
		c := opened(t, source, listed(t, ports(source), number, withSerial(number)), serial.Options{BaudRate: 115200})
		far := must[*os.File](t)(os.OpenFile(g.farPort(t, "acm."+number), os.O_RDWR|unix.O_NOCTTY, 0))
		t.Cleanup(func() { far.Close() })
		if _, err := far.WriteString(number); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(number))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != number {
			t.Errorf("%s said %q, %v", number, got, err)
		}
	}
	a, b := listed(t, ports(source), "A", withSerial("TWIN-A")), listed(t, ports(source), "B", withSerial("TWIN-B"))
	if a.PortID == b.PortID || a.VendorID != b.VendorID || a.ProductID != b.ProductID {
		t.Errorf("%+v and %+v", a, b)
	}
}

func TestSerial_Break(t *testing.T) {
	source := serial.Native()
	c := opened(t, source, listed(t, ports(source), "QEMU's FTDI", isFTDI), serial.Options{BaudRate: 115200})
	for _, on := range []bool{true, false} {
		if err := c.SetSignals(serial.OutputSignals{Break: &on}); err != nil {
			t.Errorf("break %v: %v", on, err)
		}
	}
	if s := must[serial.InputSignals](t)(c.Signals()); !s.ClearToSend || !s.DataSetReady || !s.DataCarrierDetect {
		t.Errorf("QEMU's adapter says that nobody is there: %+v", s)
	}
}

// There is an event within a second of the kernel having the device, or not any more.
func TestSerial_ComingsAndGoingsAreToldAtOnce(t *testing.T) {
	source := serial.Native()
	events := changes(t, source, withSerial("COMES"))
	g := gadget{Vendor: 0x1209, Product: 0x2304, Serial: "COMES", Name: "Comes and goes", Functions: map[string]map[string]string{"acm.0": nil}}.plug(t, 0)
	const node = "/sys/class/tty/ttyACM0"
	told := func(added bool) serial.Port {
		t.Helper()
		var seen time.Time
		until(t, "the kernel's port", func() bool {
			_, err := os.Stat(node)
			seen = time.Now()
			return (err == nil) == added
		})
		e := next(t, "the event", events)
		if late := e.at.Sub(seen); e.added != added || late > time.Second {
			t.Errorf("added %v after %v", e.added, late)
		}
		return e.device
	}
	first := told(true)
	g.unplug(t)
	if gone := told(false); gone.PortID != first.PortID {
		t.Errorf("%+v went, %+v had come", gone, first)
	}
	g.replug(t)
	if again := told(true); again.PortID == first.PortID || again.PortName != first.PortName {
		t.Errorf("%+v came after %+v", again, first)
	}
	if _, err := source.Open(testContext(t), first, serial.Options{BaudRate: 9600}); !errors.Is(err, serial.ErrLost) {
		t.Errorf("opening the one that went: %v", err)
	}
}

func TestSerial_UnplugWhileReading(t *testing.T) {
	source := serial.Native()
	events := changes(t, source, isFTDI)
	p := listed(t, ports(source), "QEMU's FTDI", isFTDI)
	c := opened(t, source, p, serial.Options{BaudRate: 115200})
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	unplugFTDI(t)
	if err := next(t, "the end of the read", read); !errors.Is(err, serial.ErrLost) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("lost")); !errors.Is(err, serial.ErrLost) {
		t.Errorf("write: %v", err)
	}
	if _, err := c.Signals(); !errors.Is(err, serial.ErrLost) {
		t.Errorf("signals: %v", err)
	}
	if gone := next(t, "the event", events); gone.added || gone.device.PortID != p.PortID {
		t.Errorf("%+v", gone)
	}
	plugFTDI(t)
	if again := next(t, "the event", events); !again.added || again.device.PortID == p.PortID || again.device.SerialNumber != p.SerialNumber {
		t.Errorf("%+v came after %+v", again, p)
	}
}
