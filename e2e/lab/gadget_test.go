//go:build lab && linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gadget is a USB device that the kernel makes. Each has a bus of its own.
type gadget struct {
	Vendor, Product uint16
	Serial, Name    string
	// Functions are the names of its interfaces in configfs, such as "acm.0", each with what is written to its files.
	Functions map[string]map[string]string

	directory, controller string
}

const gadgets = "/sys/kernel/config/usb_gadget"

// plug plugs the device in until the test ends. controller is one of four ends of cables, 0 to 3.
func (g gadget) plug(t testing.TB, controller int) *gadget {
	t.Helper()
	g.controller = fmt.Sprintf("dummy_udc.%d", controller)
	g.directory = filepath.Join(gadgets, fmt.Sprintf("lab%d", controller))
	t.Cleanup(func() { g.remove(t) })

	g.write(t, "idVendor", fmt.Sprintf("%#x", g.Vendor))
	g.write(t, "idProduct", fmt.Sprintf("%#x", g.Product))
	g.write(t, "strings/0x409/manufacturer", "Laboratory")
	g.write(t, "strings/0x409/product", g.Name)
	g.write(t, "strings/0x409/serialnumber", g.Serial)
	g.write(t, "configs/c.1/MaxPower", "100")
	for name, files := range g.Functions {
		g.make(t, filepath.Join("functions", name))
		for file, content := range files {
			g.write(t, filepath.Join("functions", name, file), content)
		}
		if err := os.Symlink(filepath.Join(g.directory, "functions", name), filepath.Join(g.directory, "configs/c.1", name)); err != nil {
			t.Fatal(err)
		}
	}
	g.replug(t)
	return &g
}

// replug plugs it in anew; unplug unplugs it.
func (g *gadget) replug(t testing.TB) { t.Helper(); g.write(t, "UDC", g.controller) }
func (g *gadget) unplug(t testing.TB) { t.Helper(); g.write(t, "UDC", "\n") }

func (g *gadget) make(t testing.TB, directory string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(g.directory, directory), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (g *gadget) write(t testing.TB, file, content string) {
	t.Helper()
	g.make(t, filepath.Dir(file))
	if err := os.WriteFile(filepath.Join(g.directory, file), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// read is the content of a file of a function, without space around it.
func (g *gadget) read(t testing.TB, file string) string {
	t.Helper()
	return strings.TrimSpace(string(must[[]byte](t)(os.ReadFile(filepath.Join(g.directory, file)))))
}

// remove takes the gadget apart, in the order that configfs asks for.
func (g *gadget) remove(t testing.TB) {
	os.WriteFile(filepath.Join(g.directory, "UDC"), []byte("\n"), 0o644) // it may be unplugged
	for name := range g.Functions {
		os.Remove(filepath.Join(g.directory, "configs/c.1", name))
		os.Remove(filepath.Join(g.directory, "functions", name))
	}
	for _, directory := range []string{"configs/c.1", "strings/0x409", ""} {
		if err := os.Remove(filepath.Join(g.directory, directory)); err != nil {
			t.Error(err)
		}
	}
}

// farPort is the device's own end of a serial function, and farHID that of a HID function.
func (g *gadget) farPort(t testing.TB, function string) string {
	t.Helper()
	return "/dev/ttyGS" + g.read(t, filepath.Join("functions", function, "port_num"))
}

func (g *gadget) farHID(t testing.TB, function string) string {
	t.Helper()
	_, minor, _ := strings.Cut(g.read(t, filepath.Join("functions", function, "dev")), ":")
	return "/dev/hidg" + minor
}

// vendorHID is a function for reports of 8 bytes in and out, with a usage of the vendor's own.
func vendorHID() map[string]string {
	return map[string]string{
		"protocol": "0", "subclass": "0", "report_length": "8",
		"report_desc": "\x06\x00\xff\x09\x01\xa1\x01\x15\x00\x26\xff\x00\x75\x08\x95\x08\x09\x02\x81\x02\x95\x08\x09\x03\x91\x02\xc0",
	}
}
