package virtual

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// Recorder writes down what goes on between pages and devices, real ones or such as are made in software.
// Each event is a line of JSON: an [Event] with the number of its opening, and the device in those that
// open it. [Replay] makes devices of it.
//
// Openings that fail are not written, nor is it that bytes are dropped unread.
type Recorder struct {
	mu       sync.Mutex
	to       io.Writer
	openings int
	waiting  []*entry // of calls whose end is not known, and what came after
	err      error
}

// entry is a line of a record.
type entry struct {
	Opening int `json:"opening"`
	Event
	// In an OpenEvent, one of the two:
	Port   *port       `json:"port,omitempty"`
	Device *hid.Device `json:"device,omitempty"`

	complete bool
}

// port is a serial port with what Electron's SerialPort lacks.
type port struct {
	serial.Port
	BluetoothServiceClassID string `json:"bluetoothServiceClassId,omitempty"`
}

// NewRecorder returns a recorder that writes to w. It calls w before the page's call goes on, so that
// what is slow there makes the page slow.
func NewRecorder(w io.Writer) *Recorder { return &Recorder{to: w} }

// Serial is a source of the same ports, whose openings are recorded.
func (r *Recorder) Serial(ports serial.Source) serial.Source { return serialRecorder{ports, r} }

// HID is a source of the same devices, whose openings are recorded.
func (r *Recorder) HID(devices hid.Source) hid.Source { return hidRecorder{devices, r} }

// Err is the first error of writing. Nothing was written after it; the devices work on.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// record is that of one opening.
type record struct {
	recorder *Recorder
	opening  int
	opened   time.Time
	lost     sync.Once
}

// open begins the record of an opening.
func (r *Recorder) open(e entry) *record {
	r.mu.Lock()
	r.openings++
	of := &record{recorder: r, opening: r.openings, opened: time.Now()}
	r.mu.Unlock()
	e.Kind, e.Opening, e.complete = OpenEvent, of.opening, true
	r.add(&e)
	return of
}

// add writes an event.
func (of *record) add(e Event) { of.begin(e)(e) }

// begin keeps the place of an event. What it gives is to be called with the whole event.
func (of *record) begin(e Event) (end func(Event)) {
	e.Time = math.Round(float64(time.Since(of.opened))/1e3) / 1e3
	waits := &entry{Opening: of.opening, Event: e}
	of.recorder.add(waits)
	return func(whole Event) {
		whole.Time = e.Time
		of.recorder.end(waits, whole)
	}
}

// unplugged writes that the device is gone, once.
func (of *record) unplugged(err error) {
	if lost(err) {
		of.lost.Do(func() { of.add(Event{Kind: UnplugEvent}) })
	}
}

func (r *Recorder) add(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, e)
	r.write()
}

func (r *Recorder) end(e *entry, whole Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Event, e.complete = whole, true
	r.write()
}

// write writes the events that no call is before of whose end is not known.
func (r *Recorder) write() {
	for len(r.waiting) > 0 && r.waiting[0].complete {
		line, err := json.Marshal(r.waiting[0])
		if err == nil && r.err == nil {
			_, err = r.to.Write(append(line, '\n'))
		}
		if err != nil && r.err == nil {
			r.err = fmt.Errorf("write the record of a device: %w", err)
		}
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
	}
}
