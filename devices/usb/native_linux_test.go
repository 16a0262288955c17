package usb

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cdpbridge/cdpbridge/internal/sysfs/sysfstest"
)

func listed(t *testing.T, s Source) []Device {
	t.Helper()
	devices, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return devices
}

// machine gives the devices of the tree, without what differs from run to run.
func machine(t *testing.T) (camera, gadget, raw Device) {
	t.Helper()
	root := sysfstest.Tree(t, "testdata/machine.tree")
	devices := listed(t, &bus{root: root})
	if len(devices) != 3 {
		t.Fatalf("%d devices: %+v", len(devices), devices)
	}
	for i := range devices {
		if devices[i].DeviceID == "" {
			t.Errorf("no id: %+v", devices[i])
		}
		devices[i].DeviceID, devices[i].Path = "", devices[i].Path[len(root):]
	}
	return devices[0], devices[1], devices[2]
}

func TestList_ADeviceWithEverything(t *testing.T) {
	_, gadget, _ := machine(t)
	alternate := func(class, subclass, protocol uint8, endpoints ...Endpoint) Alternate {
		return Alternate{InterfaceClass: class, InterfaceSubclass: subclass, InterfaceProtocol: protocol, Endpoints: endpoints}
	}
	one := func(number uint8, a Alternate) Interface {
		return Interface{InterfaceNumber: number, Alternate: a, Alternates: []Alternate{a}}
	}
	configuration := Configuration{ConfigurationValue: 1, Interfaces: []Interface{
		one(0, alternate(2, 2, 1, Endpoint{2, In, "interrupt", 10})),
		one(1, alternate(10, 0, 0, Endpoint{1, In, "bulk", 512}, Endpoint{1, Out, "bulk", 512})),
		one(2, alternate(3, 0, 0, Endpoint{3, In, "interrupt", 8}, Endpoint{2, Out, "interrupt", 8})),
	}}
	want := Device{
		VendorID: 0x1209, ProductID: 0x2304,
		ProductName: "Lab Gadget", SerialNumber: "LABSER01", ManufacturerName: "Example",
		USBVersionMajor: 2, USBVersionMinor: 1,
		DeviceClass: 0xEF, DeviceSubclass: 2, DeviceProtocol: 1,
		DeviceVersionMajor: 5, DeviceVersionMinor: 0, DeviceVersionSubminor: 3,
		Configuration: &configuration, Configurations: []Configuration{configuration},
		Bus: 1, Address: 12, Path: "/dev/bus/usb/001/012",
	}
	if diff := cmp.Diff(want, gadget); diff != "" {
		t.Error(diff)
	}
}

func TestList_AlternatesAndNamesOfWhatIsSelected(t *testing.T) {
	camera, _, raw := machine(t)
	if raw.Configuration != nil || len(raw.Configurations) != 1 {
		t.Errorf("a device that is not configured: %+v", raw)
	}
	if len(camera.Configurations) != 2 || camera.Configuration.ConfigurationName != "Default" || camera.Configurations[1].ConfigurationName != "" {
		t.Fatalf("%+v", camera)
	}
	interfaces := camera.Configuration.Interfaces
	if len(interfaces) != 2 || interfaces[0].InterfaceNumber != 0 || interfaces[1].InterfaceNumber != 3 {
		t.Fatalf("%+v", interfaces)
	}
	stream := interfaces[1]
	if len(stream.Alternates) != 2 || stream.Alternate.AlternateSetting != 1 || stream.Alternate.InterfaceName != "Stream" ||
		stream.Alternates[0].InterfaceName != "" {
		t.Errorf("%+v", stream)
	}
	if e := stream.Alternate.Endpoints; len(e) != 1 || e[0] != (Endpoint{4, In, "isochronous", 1020}) {
		t.Errorf("%+v", e)
	}
	if e := camera.Configurations[1].Interfaces[0].Alternate.Endpoints; len(e) != 1 || e[0].EndpointNumber != 6 {
		t.Errorf("control endpoints are left out: %+v", e)
	}
}

func TestList_ADevicePluggedInAgainIsAnotherOne(t *testing.T) {
	root := sysfstest.Tree(t, "testdata/machine.tree")
	source := &bus{root: root}
	before := listed(t, source)
	if again := listed(t, source); cmp.Diff(before, again) != "" {
		t.Error(cmp.Diff(before, again))
	}
	path := filepath.Join(root, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-3/devnum")
	if err := os.WriteFile(path, []byte("14\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	after := listed(t, source)
	known := func(d Device) bool {
		return slices.ContainsFunc(before, func(b Device) bool { return b.Identity() == d.Identity() })
	}
	if !known(after[0]) || !known(after[1]) || known(after[2]) || after[2].Address != 14 {
		t.Errorf("%+v", after)
	}
	if _, err := source.Open(t.Context(), before[1], Options{}); !errors.Is(err, ErrLost) {
		t.Errorf("opening the device that was there before: %v", err)
	}
}

func TestNative_ListsThisMachine(t *testing.T) {
	for _, d := range listed(t, Native()) {
		if d.DeviceClass == hub || d.Bus == 0 {
			t.Errorf("%+v", d)
		}
	}
}

func TestMatch(t *testing.T) {
	_, gadget, _ := machine(t)
	id := func(n uint16) *uint16 { return &n }
	code := func(n uint8) *uint8 { return &n }
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		filter Filter
		want   bool
	}{
		{Filter{}, true},
		{Filter{VendorID: id(0x1209)}, true},
		{Filter{VendorID: id(0x1209), ProductID: id(1)}, false},
		{Filter{SerialNumber: text("LABSER01")}, true},
		{Filter{SerialNumber: text("LABSER02")}, false},
		{Filter{ClassCode: code(0xEF)}, true},                                             // the device's
		{Filter{ClassCode: code(2), SubclassCode: code(2), ProtocolCode: code(1)}, true},  // an interface's
		{Filter{ClassCode: code(2), SubclassCode: code(2), ProtocolCode: code(0)}, false}, //
		{Filter{ClassCode: code(10), SubclassCode: code(2)}, false},                       // of two interfaces
		{Filter{VendorID: id(0x1209), ClassCode: code(3)}, true},
	} {
		if got := c.filter.Match(gadget); got != c.want {
			t.Errorf("%+v: %v", c.filter, got)
		}
	}
	if !Matches(nil, gadget) || Matches([]Filter{{VendorID: id(1)}}, gadget) {
		t.Error("no filters let everything through, others do not")
	}
}

func TestProtected(t *testing.T) {
	camera, gadget, _ := machine(t)
	protected := func(d Device) (numbers []uint8) {
		for _, i := range d.Configuration.Interfaces {
			if i.Protected(ProtectedClasses()) {
				numbers = append(numbers, i.InterfaceNumber)
			}
		}
		return numbers
	}
	if got := protected(camera); !bytes.Equal(got, []byte{0}) {
		t.Errorf("interfaces of the camera: %v", got)
	}
	if got := protected(gadget); !bytes.Equal(got, []byte{2}) {
		t.Errorf("interfaces of the gadget: %v", got)
	}
	if gadget.Configuration.Interfaces[2].Protected(nil) {
		t.Error("no class protects nothing")
	}
	if Blocked(gadget) || !Blocked(Device{VendorID: 0x1050, ProductID: 0x0407}) {
		t.Error("the blocklist is not that of the specification")
	}
}

func FuzzDescriptors(f *testing.F) {
	root := sysfstest.Tree(f, "testdata/machine.tree")
	files, err := filepath.Glob(filepath.Join(root, "sys/bus/usb/devices/*/descriptors"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no descriptors: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parse(b)
		if err != nil {
			return
		}
		for _, c := range d.Configurations {
			for _, i := range c.Interfaces {
				if len(i.Alternates) == 0 {
					t.Fatal("an interface without alternates")
				}
			}
		}
	})
}
