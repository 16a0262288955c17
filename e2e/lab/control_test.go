//go:build lab && linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
)

// monitor is QEMU's, which plugs and unplugs its devices.
type monitor struct {
	port    *os.File
	answers *json.Decoder
}

// qemu is the monitor, for the life of the program.
var qemu = sync.OnceValues(func() (*monitor, error) {
	port, err := os.OpenFile("/dev/virtio-ports/lab.control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	m := &monitor{port, json.NewDecoder(port)}
	return m, m.command("qmp_capabilities", nil)
})

// command gives a command of QMP and waits for the answer.
func (m *monitor) command(name string, arguments map[string]any) error {
	message := map[string]any{"execute": name}
	if arguments != nil {
		message["arguments"] = arguments
	}
	if err := json.NewEncoder(m.port).Encode(message); err != nil {
		return err
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := m.answers.Decode(&answer); err != nil {
			return err
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("QEMU: %s: %s", name, answer.Error.Desc)
		case answer.Return != nil: // not an event or the greeting
			return nil
		}
	}
}

// unplugFTDI unplugs QEMU's serial adapter.
func unplugFTDI(t testing.TB) {
	t.Helper()
	if err := must[*monitor](t)(qemu()).command("device_del", map[string]any{"id": "ftdi"}); err != nil {
		t.Fatal(err)
	}
}

// plugFTDI plugs it in again, when QEMU is done with the one before.
func plugFTDI(t testing.TB) {
	t.Helper()
	m := must[*monitor](t)(qemu())
	until(t, "QEMU to take the adapter back", func() bool {
		return m.command("device_add", map[string]any{
			"driver": "usb-serial", "id": "ftdi", "chardev": "line", "serial": "LABFTDI1", "always-plugged": true,
		}) == nil
	})
}
