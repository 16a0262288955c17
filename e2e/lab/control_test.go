//go:build lab && linux

package lab

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"testing"
)

// control is QEMU's monitor, which plugs and unplugs its devices.
var control struct {
	once    sync.Once
	port    *os.File
	answers *json.Decoder
	err     error
}

// command gives QEMU a command of QMP.
func command(t testing.TB, name string, arguments map[string]any) {
	t.Helper()
	control.once.Do(func() {
		if control.port, control.err = os.OpenFile("/dev/virtio-ports/lab.control", os.O_RDWR, 0); control.err != nil {
			return
		}
		control.answers = json.NewDecoder(bufio.NewReader(control.port))
	})
	if control.err != nil {
		t.Fatal(control.err)
	}
	if name != "qmp_capabilities" {
		negotiate(t)
	}
	execute(t, name, arguments)
}

var negotiated sync.Once

// negotiate makes the monitor ready for commands.
func negotiate(t testing.TB) {
	negotiated.Do(func() { execute(t, "qmp_capabilities", nil) })
}

func execute(t testing.TB, name string, arguments map[string]any) {
	t.Helper()
	message := map[string]any{"execute": name}
	if arguments != nil {
		message["arguments"] = arguments
	}
	if err := json.NewEncoder(control.port).Encode(message); err != nil {
		t.Fatal(err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := control.answers.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if answer.Error != nil {
			t.Fatalf("QEMU: %s: %s", name, answer.Error.Desc)
		}
		if answer.Return != nil { // not an event or the greeting
			return
		}
	}
}

func unplugFTDI(t testing.TB) { t.Helper(); command(t, "device_del", map[string]any{"id": "ftdi"}) }

func plugFTDI(t testing.TB) {
	t.Helper()
	command(t, "device_add", map[string]any{
		"driver": "usb-serial", "id": "ftdi", "chardev": "line", "serial": "LABFTDI1", "always-plugged": true,
	})
}
