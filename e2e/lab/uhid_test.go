//go:build lab && linux

package lab

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
)

// inputDevice is a human interface device that the kernel lets this program be.
type inputDevice struct {
	Name            string
	Physical, Uniq  string
	Vendor, Product uint16
	Descriptor      []byte
	// Numbered says that reports begin with their number.
	Numbered bool

	file     *os.File
	outputs  chan []byte // as they came, without the number that stands for none
	features chan []byte
	started  chan struct{} // closed when the kernel has taken the descriptor
	stopped  chan struct{} // closed when it has refused it, or lets the device go
}

// The events of linux/uhid.h.
const (
	uhidDestroy        = 1
	uhidStart          = 2
	uhidStop           = 3
	uhidOutput         = 6
	uhidGetReport      = 9
	uhidGetReportReply = 10
	uhidCreate         = 11
	uhidInput          = 12
	uhidSetReport      = 13
	uhidSetReportReply = 14

	uhidData  = 4096
	uhidEvent = 4 + 4376 // the longest, uhidCreate, with its type
)

const busUSB = 3

// plug plugs the device in until the test ends. It answers requests for feature reports with the report
// that was sent last, or with its number and 1, 2, 3, 4.
func (d inputDevice) plug(t testing.TB) *inputDevice {
	t.Helper()
	d.outputs, d.features = make(chan []byte, 64), make(chan []byte, 64)
	d.started, d.stopped = make(chan struct{}), make(chan struct{})
	d.file = must[*os.File](t)(os.OpenFile("/dev/uhid", os.O_RDWR, 0))
	t.Cleanup(func() { d.file.Close() })

	var create bytes.Buffer
	text := func(s string, length int) { create.Write(append([]byte(s), make([]byte, length-len(s))...)) }
	text(d.Name, 128)
	text(d.Physical, 64)
	text(d.Uniq, 64)
	for _, field := range []any{uint16(len(d.Descriptor)), uint16(busUSB), uint32(d.Vendor), uint32(d.Product), uint32(0), uint32(0)} {
		binary.Write(&create, binary.NativeEndian, field)
	}
	create.Write(d.Descriptor)
	d.tell(t, uhidCreate, create.Bytes())
	go d.serve(t)
	return &d
}

func (d *inputDevice) unplug(t testing.TB) { t.Helper(); d.tell(t, uhidDestroy, nil) }

// input sends an input report, which begins with its number if it has one.
func (d *inputDevice) input(t testing.TB, report ...byte) {
	t.Helper()
	d.tell(t, uhidInput, append(binary.NativeEndian.AppendUint16(nil, uint16(len(report))), report...))
}

func (d *inputDevice) tell(t testing.TB, event uint32, content []byte) {
	t.Helper()
	if _, err := d.file.Write(append(binary.NativeEndian.AppendUint32(nil, event), content...)); err != nil {
		t.Errorf("uhid event %d: %v", event, err)
	}
}

// serve answers the kernel until the file is closed.
func (d *inputDevice) serve(t testing.TB) {
	feature := []byte(nil)
	event := make([]byte, uhidEvent)
	for {
		if _, err := d.file.Read(event); err != nil {
			return
		}
		content := event[4:]
		switch binary.NativeEndian.Uint32(event) {
		case uhidStart:
			close(d.started)
		case uhidStop:
			close(d.stopped)
		case uhidOutput:
			size := binary.NativeEndian.Uint16(content[uhidData:])
			d.outputs <- d.withoutZero(content[:size])
		case uhidSetReport: // id, number, type, size, data
			size := binary.NativeEndian.Uint16(content[6:])
			feature = bytes.Clone(content[8 : 8+size])
			d.features <- d.withoutZero(feature)
			d.tell(t, uhidSetReportReply, append(bytes.Clone(content[:4]), 0, 0))
		case uhidGetReport: // id, number, type
			report := feature
			if report == nil {
				report = []byte{content[4], 1, 2, 3, 4}
			}
			reply := append(bytes.Clone(content[:4]), 0, 0)
			reply = binary.NativeEndian.AppendUint16(reply, uint16(len(report)))
			d.tell(t, uhidGetReportReply, append(reply, report...))
		}
	}
}

func (d *inputDevice) withoutZero(report []byte) []byte {
	if !d.Numbered && len(report) > 0 {
		report = report[1:]
	}
	return bytes.Clone(report)
}
