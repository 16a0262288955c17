package virtual

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/devices/hid"
)

// numbered declares input 1 and output 1 of eight bytes each, and feature 2 of four, of a vendor's own.
var numbered = []byte{
	0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08,
	0x85, 0x01, 0x95, 0x08, 0x09, 0x02, 0x81, 0x02, 0x09, 0x03, 0x91, 0x02,
	0x85, 0x02, 0x95, 0x04, 0x09, 0x04, 0xB1, 0x02, 0xC0,
}

func testHIDBus(t testing.TB) *HIDBus {
	b := NewHIDBus()
	t.Cleanup(func() { b.Close() })
	return b
}

func plugHID(t testing.TB, b *HIDBus, d HIDDevice) *HIDInterface {
	t.Helper()
	if d.ReportDescriptor == nil {
		d.ReportDescriptor = numbered
	}
	return must[*HIDInterface](t)(b.Plug(d))
}

func openHID(t testing.TB, b *HIDBus, i *HIDInterface) hid.Connection {
	t.Helper()
	c := must[hid.Connection](t)(b.Open(testContext(t), i.Device()))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestHID_DevicesAreListedAsRealOnesAre(t *testing.T) {
	b := testHIDBus(t)
	plugHID(t, b, HIDDevice{Name: "Pad", VendorID: 1, ProductID: 2, SerialNumber: "S", DeviceID: "pad"})
	plugHID(t, b, HIDDevice{Name: "Pad", DeviceID: "pad"})
	other := plugHID(t, b, HIDDevice{})
	list := must[[]hid.Device](t)(b.List(testContext(t)))
	same(t, "devices", len(list), 3)
	same(t, "shared id", list[0].DeviceID, list[1].DeviceID)
	if list[0].GUID == list[1].GUID || other.Device().DeviceID == "" {
		t.Error("interfaces are not told apart")
	}
	same(t, "input size", list[0].MaxSize(hid.InputReport), 8)
	same(t, "feature size", list[0].MaxSize(hid.FeatureReport), 4)
	same(t, "numbered", list[0].HasReportID(), true)
	if _, err := b.Plug(HIDDevice{ReportDescriptor: make([]byte, 1<<17)}); !errors.Is(err, hid.ErrTooLarge) {
		t.Errorf("a descriptor that is too large: %v", err)
	}
}

func TestHID_ReportsGoBothWaysWithoutFunctions(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	i := plugHID(t, b, HIDDevice{Name: "Pad"})
	sent := begin(func() error { return i.SendInput(ctx, 1, []byte("input")) })
	c := openHID(t, b, i)
	id, data, err := c.ReadInput(ctx)
	ok(t, err)
	ok(t, <-sent)
	same(t, "input", string(rune('0'+id))+string(data), "1input")
	if err := i.SendInput(ctx, 7, nil); err == nil {
		t.Error("sent a report that is not declared")
	}
	if err := i.SendInput(ctx, 1, make([]byte, maxReport+1)); err == nil {
		t.Error("sent a report that is too long")
	}

	ok(t, c.WriteOutput(ctx, 1, []byte("output")))
	report := must[HIDReport](t)(i.Receive(ctx))
	same(t, "output", string(report.Data), "output")
	if err := c.WriteOutput(ctx, 1, make([]byte, maxReport+1)); err == nil {
		t.Error("a page has sent a report that is too long")
	}

	if _, err := c.ReceiveFeature(ctx, 2); err == nil {
		t.Error("a feature report was never set")
	}
	i.SetFeature(2, []byte("set!"))
	same(t, "feature", string(must[[]byte](t)(c.ReceiveFeature(ctx, 2))), "set!")
	ok(t, c.SendFeature(ctx, 2, []byte("sent")))
	same(t, "feature", string(must[[]byte](t)(c.ReceiveFeature(ctx, 2))), "sent")
}

func TestHID_FunctionsAnswerThePageAndMayFail(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	refused := errors.New("refused")
	var i *HIDInterface
	i = plugHID(t, b, HIDDevice{
		Output:         func(ctx context.Context, id byte, data []byte) error { return i.SendInput(ctx, id, data) },
		SendFeature:    func(context.Context, byte, []byte) error { return refused },
		ReceiveFeature: func(context.Context, byte) ([]byte, error) { panic("on purpose") },
	})
	c := openHID(t, b, i)
	ok(t, c.WriteOutput(ctx, 1, []byte("ping")))
	_, data, err := c.ReadInput(ctx)
	ok(t, err)
	same(t, "input", string(data), "ping")
	same(t, "SendFeature", c.SendFeature(ctx, 2, nil), refused)
	if _, err := c.ReceiveFeature(ctx, 2); err == nil {
		t.Error("a panic is no error")
	}
	ok(t, c.WriteOutput(ctx, 1, []byte("pong"))) // it is the next one's turn
}

func TestHID_UnplugInTheMiddleOfReadingAndWriting(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	entered := make(chan struct{})
	d := HIDDevice{Output: func(ctx context.Context, _ byte, _ []byte) error {
		close(entered)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	i := plugHID(t, b, d)
	c, reader := openHID(t, b, i), openHID(t, b, i)
	reads := begin(func() error { _, _, err := reader.ReadInput(ctx); return err })
	writes := begin(func() error { return c.WriteOutput(ctx, 1, nil) })
	<-entered
	waits := begin(func() error { return c.WriteOutput(ctx, 1, nil) })
	i.Unplug()
	same(t, "ReadInput", <-reads, hid.ErrLost)
	same(t, "WriteOutput", <-writes, hid.ErrLost)
	same(t, "WriteOutput that waited", <-waits, hid.ErrLost)
	if _, err := b.Open(ctx, i.Device()); !errors.Is(err, hid.ErrLost) {
		t.Errorf("opening the unplugged device: %v", err)
	}
	if err := i.SendInput(ctx, 1, nil); !errors.Is(err, hid.ErrLost) {
		t.Errorf("SendInput: %v", err)
	}
	again := plugHID(t, b, d)
	if again.Device().GUID == i.Device().GUID {
		t.Error("the device has its old GUID")
	}
	c = openHID(t, b, again)
	ok(t, again.SendInput(ctx, 1, []byte("last words")))
	again.Unplug()
	if _, data, err := c.ReadInput(ctx); err != nil || string(data) != "last words" {
		t.Errorf("got %q, %v", data, err)
	}
	_, _, err := c.ReadInput(ctx)
	same(t, "ReadInput at the end", err, hid.ErrLost)
}

func TestHID_CloseAndContextsEndWhatWaits(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	i := plugHID(t, b, HIDDevice{})
	c := openHID(t, b, i)
	short, end := context.WithCancel(ctx)
	reads := begin(func() error { _, _, err := c.ReadInput(short); return err })
	end()
	same(t, "ReadInput", <-reads, context.Canceled)
	reads = begin(func() error { _, _, err := c.ReadInput(ctx); return err })
	ok(t, c.Close())
	same(t, "ReadInput", <-reads, os.ErrClosed)
	same(t, "WriteOutput", c.WriteOutput(ctx, 1, nil), os.ErrClosed)
	ok(t, b.Close())
	if _, err := b.Plug(HIDDevice{}); !errors.Is(err, ErrBusClosed) {
		t.Errorf("Plug: %v", err)
	}
}

func TestHID_TheOldestReportsAreDroppedWhenNobodyReads(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	i := plugHID(t, b, HIDDevice{})
	c := openHID(t, b, i)
	for n := range uint32(maxReports + 10) {
		ok(t, i.SendInput(ctx, 1, binary.BigEndian.AppendUint32(nil, n)))
		ok(t, c.WriteOutput(ctx, 1, make([]byte, maxReport)))
	}
	_, data, err := c.ReadInput(ctx)
	ok(t, err)
	same(t, "first", binary.BigEndian.Uint32(data), 10)
	if i.received.bytes > maxReportBytes {
		t.Errorf("%d bytes wait", i.received.bytes)
	}
}

func TestHID_AThousandReportsASecondComeWithoutLoss(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	i := plugHID(t, b, HIDDevice{})
	c := openHID(t, b, i)
	const reports = 1000
	sends := begin(func() error {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := range uint32(reports) {
			<-tick.C
			if err := i.SendInput(ctx, 1, binary.BigEndian.AppendUint32(nil, n)); err != nil {
				return err
			}
		}
		return nil
	})
	for n := range uint32(reports) {
		_, data, err := c.ReadInput(ctx)
		ok(t, err)
		if got := binary.BigEndian.Uint32(data); got != n {
			t.Fatalf("got report %d, want %d", got, n)
		}
	}
	ok(t, <-sends)
}
