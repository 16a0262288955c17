package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cdpbridge/cdpbridge/internal/plugged"
	"github.com/cdpbridge/cdpbridge/internal/sysfs"
	"github.com/cdpbridge/cdpbridge/internal/uevent"
)

// Native is the source of this machine's ports. Nothing is opened to list them.
func Native() Source { return &ttys{root: "/"} }

// ttys are the terminal devices of Linux that are serial ports. Tests have other roots.
type ttys struct {
	root   string
	tokens plugged.Tokens
}

func (s *ttys) List(ctx context.Context) ([]Port, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	directories, err := sysfs.List(filepath.Join(s.root, "sys/class/tty"))
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	drivers, err := s.drivers()
	if err != nil {
		return nil, fmt.Errorf("list serial ports: %w", err)
	}
	ports := []Port{}
	var identities []string
	for _, directory := range directories {
		if drivers.serial(directory.Text("dev")) && !unused(directory) {
			ports = append(ports, s.describe(directory))
			identities = append(identities, directory.Identity())
		}
	}
	for i, token := range s.tokens.Of(identities) {
		ports[i].PortID = token
	}
	return ports, nil
}

func (s *ttys) describe(directory sysfs.Device) Port {
	p := Port{PortName: directory.Name(), Path: filepath.Join(s.root, "dev", directory.Name())}
	if usb, ok := directory.USB(); ok {
		p.VendorID = strconv.Itoa(usb.Number("idVendor", 16))
		p.ProductID = strconv.Itoa(usb.Number("idProduct", 16))
		p.DisplayName = usb.Text("product")
		p.SerialNumber = usb.Text("serial")
	}
	return p
}

// unused says whether a port is only a slot of the driver that has no hardware: those have the type "unknown".
func unused(directory sysfs.Device) bool { return directory.Text("type") == "0" }

// drivers are the numbers of the devices that drivers of serial ports have: other terminals are consoles and
// pseudo terminals. Chromium lists ports by the same table.
type drivers []numbers

type numbers struct{ major, first, last int }

// drivers reads lines such as "usbserial /dev/ttyUSB 188 0-511 serial".
func (s *ttys) drivers() (drivers, error) {
	content, err := os.ReadFile(filepath.Join(s.root, "proc/tty/drivers"))
	if err != nil {
		return nil, err
	}
	var table drivers
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[4] != "serial" {
			continue
		}
		first, last, isRange := strings.Cut(fields[3], "-")
		if !isRange {
			last = first
		}
		major, err1 := strconv.Atoi(fields[2])
		low, err2 := strconv.Atoi(first)
		high, err3 := strconv.Atoi(last)
		if errors.Join(err1, err2, err3) == nil {
			table = append(table, numbers{major, low, high})
		}
	}
	return table, nil
}

// serial says whether a device with a number such as "188:0" is a serial port.
func (table drivers) serial(device string) bool {
	before, after, _ := strings.Cut(device, ":")
	major, err1 := strconv.Atoi(before)
	minor, err2 := strconv.Atoi(after)
	return errors.Join(err1, err2) == nil && slices.ContainsFunc(table, func(n numbers) bool {
		return n.major == major && n.first <= minor && minor <= n.last
	})
}

func (s *ttys) Watch(ctx context.Context, changed func()) error {
	return uevent.Changes(ctx, func(e uevent.Event) bool { return e.Subsystem == "tty" }, changed)
}

func (s *ttys) Open(ctx context.Context, p Port, o Options) (Connection, error) {
	present, err := s.present(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("open serial port %s: %w", p.PortName, err)
	}
	c, err := openTTY(present.Path, o)
	if err != nil {
		return nil, fmt.Errorf("open serial port %s: %w", p.PortName, err)
	}
	// Another port may have got the name between the look and the opening.
	if _, err := s.present(ctx, p); err != nil {
		return nil, errors.Join(fmt.Errorf("open serial port %s: %w", p.PortName, err), c.Close())
	}
	return c, nil
}

// present is p as it is now.
func (s *ttys) present(ctx context.Context, p Port) (Port, error) {
	ports, err := s.List(ctx)
	if err != nil {
		return Port{}, err
	}
	i := slices.IndexFunc(ports, func(other Port) bool { return other.PortID == p.PortID })
	if i < 0 {
		return Port{}, ErrLost
	}
	return ports[i], nil
}
