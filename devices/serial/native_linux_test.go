package serial

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cdpbridge/cdpbridge/internal/sysfs/sysfstest"
)

func listed(t *testing.T, s Source) []Port {
	t.Helper()
	ports, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

func TestList_PortsOfAMachine(t *testing.T) {
	root := sysfstest.Tree(t, "testdata/machine.tree")
	ports := listed(t, &ttys{root: root})
	for i := range ports {
		if ports[i].PortID == "" || ports[i].Path != filepath.Join(root, "dev", ports[i].PortName) {
			t.Errorf("%+v", ports[i])
		}
		ports[i].PortID, ports[i].Path = "", ""
	}
	want := []Port{
		{PortName: "rfcomm0"},
		{PortName: "ttyACM0", VendorID: "9025", ProductID: "67"},
		{PortName: "ttyODD0"},
		{PortName: "ttyS0"},
		{PortName: "ttyUSB0", VendorID: "1027", ProductID: "24577", DisplayName: "FT232R USB UART", SerialNumber: "A9007UX1"},
	}
	if diff := cmp.Diff(want, ports); diff != "" {
		t.Error(diff)
	}
}

func TestList_APortPluggedInAgainIsAnotherOne(t *testing.T) {
	root := sysfstest.Tree(t, "testdata/machine.tree")
	source := &ttys{root: root}
	id := func(name string) string {
		ports := listed(t, source)
		i := slices.IndexFunc(ports, func(p Port) bool { return p.PortName == name })
		if i < 0 {
			t.Fatalf("no port %s", name)
		}
		return ports[i].PortID
	}
	usb, acm := id("ttyUSB0"), id("ttyACM0")
	if id("ttyUSB0") != usb {
		t.Error("a port that stayed has another id")
	}
	if err := os.WriteFile(filepath.Join(root, "sys/devices/pci0/usb1/1-3/devnum"), []byte("9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if id("ttyUSB0") == usb || id("ttyACM0") != acm {
		t.Error("ids do not tell what was plugged in again")
	}
	if _, err := source.Open(t.Context(), Port{PortID: usb, PortName: "ttyUSB0"}, Options{BaudRate: 9600}); !errors.Is(err, ErrLost) {
		t.Errorf("opening the port that was there before: %v", err)
	}
}

func TestNative_ListsThisMachine(t *testing.T) {
	for _, p := range listed(t, Native()) {
		if _, err := os.Stat("/sys/class/tty/" + p.PortName); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// The kernel says again what it said when a port came, when it is asked to by who may.
func TestWatch_ThePortsOfThisMachine(t *testing.T) {
	const asked = "/sys/class/tty/ptmx/uevent"
	file, err := os.OpenFile(asked, os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("events cannot be asked for: %v", err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- Native().Watch(ctx, func() {
			select {
			case changes <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}()
	<-changes // began
	if _, err := file.WriteString("change"); err != nil {
		t.Skipf("events cannot be asked for: %v", err)
	}
	<-changes
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}
}
