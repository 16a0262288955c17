package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Device is the directory of a device, without symbolic links in it.
type Device string

// List gives the devices that a directory such as /sys/class/tty links to, by name. There are none if
// the directory is not there: the kernel then has nothing of the kind.
func List(directory string) ([]Device, error) {
	entries, err := os.ReadDir(directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var devices []Device
	for _, entry := range entries {
		path, err := filepath.EvalSymlinks(filepath.Join(directory, entry.Name()))
		if err != nil {
			continue // it went while the directory was read
		}
		devices = append(devices, Device(path))
	}
	return devices, nil
}

// Name is the last part of the path.
func (d Device) Name() string { return filepath.Base(string(d)) }

// Bytes is the content of a file of the device; nil if it has no such file.
func (d Device) Bytes(file string) []byte {
	b, err := os.ReadFile(filepath.Join(string(d), file))
	if err != nil {
		return nil
	}
	return b
}

// Text is the content of a file of the device without space around it.
func (d Device) Text(file string) string { return strings.TrimSpace(string(d.Bytes(file))) }

// Number is the number in a file of the device, in base 10 or 16; 0 if there is none.
func (d Device) Number(file string, base int) int {
	n, err := strconv.ParseUint(d.Text(file), base, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

// Property is a line NAME=value of the device's uevent file.
func (d Device) Property(name string) string {
	for line := range strings.Lines(d.Text("uevent")) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok && key == name {
			return value
		}
	}
	return ""
}

// Subsystem is the name of the kernel's subsystem that the device belongs to.
func (d Device) Subsystem() string {
	link, err := os.Readlink(filepath.Join(string(d), "subsystem"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

// Nearest is the device itself or the next one above it that is, and false if none is.
func (d Device) Nearest(is func(Device) bool) (Device, bool) {
	for len(d) > 1 {
		if is(d) {
			return d, true
		}
		d = Device(filepath.Dir(string(d)))
	}
	return "", false
}

// USB is the USB device that d is a part of.
func (d Device) USB() (Device, bool) {
	return d.Nearest(func(d Device) bool { return d.Bytes("idVendor") != nil && d.Bytes("busnum") != nil })
}

// Identity tells d from all devices that were ever at its path: the kernel numbers directories anew, and USB
// devices too.
func (d Device) Identity() string {
	var inode uint64
	if info, err := os.Stat(string(d)); err == nil {
		inode = info.Sys().(*syscall.Stat_t).Ino
	}
	number := ""
	if usb, ok := d.USB(); ok {
		number = usb.Text("busnum") + "." + usb.Text("devnum")
	}
	return fmt.Sprint(string(d), " ", inode, " ", number)
}
