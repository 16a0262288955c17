package hid

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestList_InterfacesOfOnePhysicalDevice(t *testing.T) {
	root := sysfstest.Tree(t, "testdata/machine.tree")
	devices := listed(t, &hidraw{root: root})
	if len(devices) != 4 {
		t.Fatalf("%d devices: %+v", len(devices), devices)
	}
	first, second := devices[0], devices[1]
	if first.Name != "Example Lab Device" || first.VendorID != 0x1209 || first.ProductID != 0x2304 || first.SerialNumber != "LAB01" ||
		first.Path != filepath.Join(root, "dev/hidraw0") || first.Collections[0].UsagePage != 0xFF00 {
		t.Errorf("%+v", first)
	}
	if first.DeviceID != second.DeviceID || first.Identity() == second.Identity() || !strings.HasSuffix(first.DeviceID, "/1-3") {
		t.Errorf("interfaces of one device: %+v, %+v", first, second)
	}
	if devices[2].DeviceID == devices[3].DeviceID {
		t.Error("two devices of one Bluetooth adapter count as one")
	}
}

func TestList_ADevicePluggedInAgainIsAnotherOne(t *testing.T) {
	root := sysfstest.Tree(t, "testdata/machine.tree")
	source := &hidraw{root: root}
	before := listed(t, source)
	if again := listed(t, source); again[0].GUID != before[0].GUID || again[2].GUID != before[2].GUID {
		t.Error("a device that stayed has another GUID")
	}
	// The same names come back between two looks, with the number that the kernel gives anew.
	number := filepath.Join(root, "sys/devices/pci0000:00/0000:00:14.0/usb1/1-3/devnum")
	if err := os.WriteFile(number, []byte("8\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	after := listed(t, source)
	if after[0].GUID == before[0].GUID || after[1].GUID == before[1].GUID || after[2].GUID != before[2].GUID {
		t.Error("the GUIDs do not tell what was plugged in again")
	}
	if _, err := source.Open(t.Context(), before[0]); !errors.Is(err, ErrLost) {
		t.Errorf("opening the device that was there before: %v", err)
	}
}

func TestOpen_SaysWhatIsWrong(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("run as root: missing rights are not seen")
	}
	root := sysfstest.Tree(t, "testdata/machine.tree")
	source := &hidraw{root: root}
	device := listed(t, source)[0]
	if _, err := source.Open(t.Context(), device); !errors.Is(err, ErrLost) {
		t.Errorf("without a node: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(device.Path, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, err := source.Open(t.Context(), device)
	if os.Geteuid() != 0 && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without rights: %v", err)
	}
}

func TestNative_ListsThisMachine(t *testing.T) {
	nodes, _ := filepath.Glob("/sys/class/hidraw/*")
	if devices := listed(t, Native()); len(devices) > len(nodes) {
		t.Errorf("%d devices of %d nodes", len(devices), len(nodes))
	}
}
