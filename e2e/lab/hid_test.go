//go:build lab && linux

package lab

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/hid"
)

func inputs(s hid.Source) devices.Source[hid.Device] { return s }

func uniq(number string) func(hid.Device) bool {
	return func(d hid.Device) bool { return d.SerialNumber == number }
}

// descriptors are the report descriptors of the parser's own tests, by name.
func descriptors(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, file := range must[[]string](t)(filepath.Glob("descriptors/*.hex")) {
		digits := ""
		for line := range strings.Lines(string(must[[]byte](t)(os.ReadFile(file)))) {
			if !strings.HasPrefix(line, "#") {
				digits += strings.Join(strings.Fields(line), "")
			}
		}
		all[strings.TrimSuffix(filepath.Base(file), ".hex")] = must[[]byte](t)(hex.DecodeString(digits))
	}
	if len(all) == 0 {
		t.Fatal("no descriptors")
	}
	// Two axes of 10 bits around a button, whose size Push and Pop keep from the axes.
	all["push-and-pop"] = []byte("\x05\x01\x09\x04\xa1\x01\x15\x00\x26\xff\x03\x75\x0a\x95\x01\x09\x30\x81\x02" +
		"\xa4\x05\x09\x09\x01\x25\x01\x75\x01\x95\x04\x81\x02\xb4\x09\x31\x81\x02\xc0")
	// Maxima of one byte that have the highest bit, after minima of zero and less.
	all["one-byte-maxima"] = []byte("\x06\x00\xff\x09\x01\xa1\x01\x15\x00\x25\xff\x35\x00\x45\xff\x75\x08\x95\x01\x09\x02\x81\x02" +
		"\x15\x81\x25\x7f\x35\x81\x45\xff\x09\x03\x81\x02\xc0")
	return all
}

// plain is a device with reports of four bytes without numbers, numbered one with the number 7.
var (
	plain    = []byte("\x06\x00\xff\x09\x01\xa1\x01\x15\x00\x26\xff\x00\x75\x08\x95\x04\x09\x02\x81\x02\x09\x03\x91\x02\x09\x04\xb1\x02\xc0")
	numbered = []byte("\x06\x00\xff\x09\x01\xa1\x01\x85\x07\x15\x00\x26\xff\x00\x75\x08\x95\x04\x09\x02\x81\x02\x09\x03\x91\x02\x09\x04\xb1\x02\xc0")
)

func TestHID_DevicesAreDescribed(t *testing.T) {
	source := hid.Native()
	for _, name := range []string{"QEMU QEMU USB Keyboard", "QEMU QEMU USB Mouse"} {
		d := listed(t, inputs(source), name, func(d hid.Device) bool { return d.Name == name })
		if d.VendorID != 0x0627 || d.ProductID != 1 || len(d.Collections) == 0 {
			t.Errorf("%+v", d)
		}
		if seen, shown := hid.Protect(d); shown {
			t.Errorf("pages see %+v", seen)
		}
	}
	listed(t, inputs(source), "the tablet", func(d hid.Device) bool { return d.Name == "QEMU QEMU USB Tablet" })
}

func TestHID_CollectionsAreThoseOfTheDescriptor(t *testing.T) {
	source := hid.Native()
	for name, descriptor := range descriptors(t) {
		t.Run(name, func(t *testing.T) {
			if slices.Contains(refused, name) {
				t.Skip("the kernel does not take this descriptor")
			}
			far := inputDevice{Name: name, Uniq: name, Vendor: 0x1209, Product: 0x2305, Descriptor: descriptor}.plug(t)
			next(t, "the kernel to take the descriptor", far.started)
			d := listed(t, inputs(source), name, uniq(name))
			if d.Name != name || d.VendorID != 0x1209 || d.ProductID != 0x2305 {
				t.Errorf("%+v", d)
			}
			if diff := cmp.Diff(must[[]hid.Collection](t)(hid.Parse(descriptor)), d.Collections); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// refused are descriptors that Linux makes no device of: one has a Pop too many, one a long item, and one ends in
// the middle.
var refused = []string{"push-pop", "long-item", "truncated"}

func TestHID_Reports(t *testing.T) {
	for name, numbers := range map[string]struct {
		descriptor []byte
		id         byte
	}{"without numbers": {plain, 0}, "with numbers": {numbered, 7}} {
		t.Run(name, func(t *testing.T) {
			id := numbers.id
			far := inputDevice{Name: "Reports", Uniq: name, Vendor: 0x1209, Product: 0x2305, Descriptor: numbers.descriptor, Numbered: id != 0}.plug(t)
			source := hid.Native()
			d := listed(t, inputs(source), name, uniq(name))
			if d.HasReportID() != (id != 0) || d.MaxSize(hid.InputReport) != 4 {
				t.Errorf("%+v", d)
			}
			c := must[hid.Connection](t)(source.Open(testContext(t), d))
			defer c.Close()
			// What the device sees begins with the number, if there is one.
			whole := func(data ...byte) []byte {
				if id != 0 {
					return append([]byte{id}, data...)
				}
				return data
			}
			far.input(t, whole(9, 8, 7, 6)...)
			if got, data, err := c.ReadInput(testContext(t)); err != nil || got != id || !bytes.Equal(data, []byte{9, 8, 7, 6}) {
				t.Errorf("input: %d % x, %v", got, data, err)
			}
			if err := c.WriteOutput(testContext(t), id, []byte{1, 2, 3, 4}); err != nil {
				t.Error(err)
			}
			if got := next(t, "the output report", far.outputs); !bytes.Equal(got, whole(1, 2, 3, 4)) {
				t.Errorf("output: % x", got)
			}
			if got, err := c.ReceiveFeature(testContext(t), id); err != nil || !bytes.Equal(got, []byte{1, 2, 3, 4}) {
				t.Errorf("feature: % x, %v", got, err)
			}
			if err := c.SendFeature(testContext(t), id, []byte{4, 3, 2, 1}); err != nil {
				t.Error(err)
			}
			if got := next(t, "the feature report", far.features); !bytes.Equal(got, whole(4, 3, 2, 1)) {
				t.Errorf("feature: % x", got)
			}
			if got, err := c.ReceiveFeature(testContext(t), id); err != nil || !bytes.Equal(got, []byte{4, 3, 2, 1}) {
				t.Errorf("feature afterwards: % x, %v", got, err)
			}
		})
	}
}

func TestHID_NoReportIsLost(t *testing.T) {
	far := inputDevice{Name: "Many", Uniq: "MANY", Vendor: 0x1209, Product: 0x2305, Descriptor: plain}.plug(t)
	source := hid.Native()
	c := must[hid.Connection](t)(source.Open(testContext(t), listed(t, inputs(source), "MANY", uniq("MANY"))))
	defer c.Close()
	const count = 2000
	// The kernel keeps 64 reports for who reads; so many are under way here.
	underWay := make(chan int, 60)
	begin := time.Now()
	go func() {
		defer close(underWay)
		for i := range count {
			underWay <- i
			far.input(t, byte(i), byte(i>>8), 0, 0)
		}
	}()
	for i := range count {
		_, data, err := c.ReadInput(testContext(t))
		if err != nil || int(data[0])|int(data[1])<<8 != i {
			t.Fatalf("report %d: % x, %v", i, data, err)
		}
		<-underWay
	}
	t.Logf("%.0f reports/s", count/time.Since(begin).Seconds())
}

func TestHID_AUSBDeviceWithTwoInterfaces(t *testing.T) {
	g := gadget{
		Vendor: 0x1209, Product: 0x2306, Serial: "TWO", Name: "Two interfaces",
		Functions: map[string]map[string]string{"hid.0": vendorHID(), "hid.1": vendorHID()},
	}.plug(t, 0)
	source := hid.Native()
	var found []hid.Device
	until(t, "both interfaces", func() bool {
		found = nil
		for _, d := range must[[]hid.Device](t)(source.List(testContext(t))) {
			if d.SerialNumber == "TWO" {
				found = append(found, d)
			}
		}
		return len(found) == 2
	})
	if found[0].DeviceID != found[1].DeviceID || found[0].GUID == found[1].GUID || found[0].Name != "Laboratory Two interfaces" {
		t.Errorf("%+v", found)
	}
	said := map[string]bool{}
	for i, d := range found {
		c := must[hid.Connection](t)(source.Open(testContext(t), d))
		defer c.Close()
		if err := c.WriteOutput(testContext(t), 0, []byte{1, 2, 3, 4, 5, 6, 7, byte(i)}); err != nil {
			t.Error(err)
		}
	}
	for _, function := range []string{"hid.0", "hid.1"} {
		far := must[*os.File](t)(os.OpenFile(g.farHID(t, function), os.O_RDWR|unix.O_NONBLOCK, 0))
		defer far.Close()
		far.SetReadDeadline(time.Now().Add(limit))
		report := make([]byte, 64)
		n, err := far.Read(report)
		if err != nil || n != 8 {
			t.Fatalf("output: % x, %v", report[:n], err)
		}
		said[string(report[:n])] = true
	}
	if len(said) != 2 {
		t.Errorf("the interfaces got %v", said)
	}
}

func TestHID_ReportsOverUSB(t *testing.T) {
	g := gadget{Vendor: 0x1209, Product: 0x2306, Serial: "USB", Name: "Reports", Functions: map[string]map[string]string{"hid.0": vendorHID()}}.plug(t, 0)
	source := hid.Native()
	c := must[hid.Connection](t)(source.Open(testContext(t), listed(t, inputs(source), "the gadget", uniq("USB"))))
	defer c.Close()
	far := must[*os.File](t)(os.OpenFile(g.farHID(t, "hid.0"), os.O_RDWR|unix.O_NONBLOCK, 0))
	defer far.Close()
	deadline := time.Now().Add(limit)
	far.SetDeadline(deadline)

	if _, err := far.Write([]byte("8 bytes!")); err != nil {
		t.Fatal(err)
	}
	if id, data, err := c.ReadInput(testContext(t)); err != nil || id != 0 || string(data) != "8 bytes!" {
		t.Errorf("input: %d %q, %v", id, data, err)
	}
	if err := c.WriteOutput(testContext(t), 0, []byte("outwards")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 64)
	if n, err := far.Read(got); err != nil || string(got[:n]) != "outwards" {
		t.Errorf("output: %q, %v", got[:n], err)
	}

	read := make(chan error, 1)
	go func() {
		_, _, err := c.ReadInput(testContext(t))
		read <- err
	}()
	g.unplug(t)
	if err := next(t, "the end of the read", read); !errors.Is(err, hid.ErrLost) {
		t.Errorf("read: %v", err)
	}
	if err := c.WriteOutput(testContext(t), 0, []byte("too late")); !errors.Is(err, hid.ErrLost) {
		t.Errorf("write: %v", err)
	}
}

func TestHID_ComingsAndGoingsAreToldAtOnce(t *testing.T) {
	events := changes(t, hid.Native(), uniq("COMES"))
	var before hid.Device
	for range 3 {
		far := inputDevice{Name: "Comes and goes", Uniq: "COMES", Vendor: 0x1209, Product: 0x2305, Descriptor: plain}.plug(t)
		next(t, "the kernel to take the descriptor", far.started)
		begin := time.Now()
		came := next(t, "the device to come", events)
		if late := came.at.Sub(begin); !came.added || late > time.Second {
			t.Errorf("added %v after %v", came.added, late)
		}
		if came.device.GUID == before.GUID {
			t.Error("it is the one that went")
		}
		before = came.device
		begin = time.Now()
		far.unplug(t)
		went := next(t, "the device to go", events)
		if late := went.at.Sub(begin); went.added || late > time.Second || went.device.GUID != before.GUID {
			t.Errorf("added %v after %v: %+v", went.added, late, went.device)
		}
	}
}

func TestHID_TwoOfAKindAreToldApart(t *testing.T) {
	source := hid.Native()
	var fars []*inputDevice
	for _, number := range []string{"TWIN-A", "TWIN-B"} {
		fars = append(fars, inputDevice{Name: "Twin", Uniq: number, Vendor: 0x1209, Product: 0x2305, Descriptor: plain}.plug(t))
	}
	for i, number := range []string{"TWIN-A", "TWIN-B"} {
		c := must[hid.Connection](t)(source.Open(testContext(t), listed(t, inputs(source), number, uniq(number))))
		defer c.Close()
		if err := c.WriteOutput(testContext(t), 0, []byte(number[2:])); err != nil {
			t.Fatal(err)
		}
		if got := next(t, "the report", fars[i].outputs); string(got) != number[2:] {
			t.Errorf("%s got %q", number, got)
		}
	}
}
