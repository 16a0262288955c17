package virtual

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// Event is something that happens between a page and a device. A list of them is a [Script]. Each kind
// uses some of the fields; in JSON the others are left out, and data is base64.
type Event struct {
	Kind EventKind `json:"event"`
	// Time is in milliseconds since the opening. What a device does follows on the event before as much
	// later as the two times differ, and at once if it has no later one.
	Time float64 `json:"time,omitempty"`
	// ReportID and Data are those of the report, or the bytes on the line.
	ReportID byte   `json:"reportId,omitempty"`
	Data     []byte `json:"data,omitempty"`
	// Error is what the page's call fails with, in place of its answer, on a HID device. As an input of a
	// serial port it is the serial.LineErrorKind of an error of the line.
	Error string `json:"error,omitempty"`
	// Options are those that the page is to open the serial port with. Nil stands for any.
	Options *serial.Options `json:"options,omitempty"`
	// Signals are the lines that the page sets, all three of them.
	Signals *Signals `json:"signals,omitempty"`
	// InputSignals are the lines that the page reads.
	InputSignals *serial.InputSignals `json:"inputSignals,omitempty"`
}

// EventKind is a kind of events.
type EventKind string

// The kinds of events. Those of the page are awaited by a script, those of the device are made by it.
const (
	OpenEvent           EventKind = "open"           // the page opens the device
	CloseEvent          EventKind = "close"          // the page closes it
	OutputEvent         EventKind = "output"         // the page writes bytes, or sends an output report
	SendFeatureEvent    EventKind = "sendFeature"    // the page sends a feature report
	ReceiveFeatureEvent EventKind = "receiveFeature" // the page asks for a feature report, and gets Data
	SetSignalsEvent     EventKind = "setSignals"     // the page changes the lines that it sets
	InputEvent          EventKind = "input"          // the device sends bytes, or an input report
	InputSignalsEvent   EventKind = "inputSignals"   // the device changes the lines that the page reads
	UnplugEvent         EventKind = "unplug"         // the device is unplugged
)

// String is the event in the words of an error.
func (e Event) String() string {
	s := string(e.Kind)
	switch e.Kind {
	case SendFeatureEvent, ReceiveFeatureEvent:
		s += fmt.Sprintf(" %d", e.ReportID)
	case OutputEvent, InputEvent:
		if e.ReportID != 0 {
			s += fmt.Sprintf(" %d", e.ReportID)
		}
	case SetSignalsEvent:
		return fmt.Sprintf("%s %+v", s, *e.Signals)
	}
	if len(e.Data) > 0 {
		const shown = 32
		s += fmt.Sprintf(" [% x]", e.Data[:min(len(e.Data), shown)])
		if len(e.Data) > shown {
			s += fmt.Sprintf(" of %d bytes", len(e.Data))
		}
	}
	return s
}

// Script is what a device does that acts by a list of events: it waits for what the page is to do, and
// does its own part. Where the page does anything else the script ends: [Script.Wait] says what was
// expected. From then on the calls of the page fail with that on a HID device, and what it writes to a
// serial port is lost.
//
// A script is for one device, also one that is unplugged and plugged in again, and is gone through once.
// Each OpenEvent begins the events of another opening; the first one may be left out. Openings that
// overlap go on beside each other. Bytes are compared in their order however the page has cut them, and
// signals in theirs, but not one with the other.
type Script struct {
	Events []Event `json:"events"`
	// AtOnce makes the device not wait until the time of an event.
	AtOnce bool `json:"atOnce,omitempty"`

	mu     sync.Mutex
	change *sync.Cond
	begun  int          // the events of openings that have begun
	played map[int]bool // the events that have happened
	err    error        // the first that went wrong
}

// Wait waits until all events have happened. It is an error when the page has done something else, and
// when the device was unplugged in the middle. When ctx ends the error says which event has not
// happened.
func (s *Script) Wait(ctx context.Context) error {
	s.lock()
	defer s.mu.Unlock()
	err := await(ctx, s.change, func() bool { return s.err != nil || len(s.played) == len(s.Events) })
	if err == nil || s.err != nil {
		return s.err
	}
	for n, e := range s.Events {
		if !s.played[n] {
			return fmt.Errorf("script, event %d: %v has not happened: %w", n+1, e, err)
		}
	}
	return err
}

func (s *Script) lock() {
	s.mu.Lock()
	if s.change == nil {
		s.change = sync.NewCond(&s.mu)
		s.played = map[int]bool{}
	}
}

// done says that an event has happened.
func (s *Script) done(event int) {
	s.lock()
	defer s.mu.Unlock()
	s.played[event] = true
	s.change.Broadcast()
}

// fail says that an event has not happened. It gives the error that the script has ended with.
func (s *Script) fail(event int, err error) error {
	s.lock()
	defer s.mu.Unlock()
	s.err = cmp.Or(s.err, fmt.Errorf("script, event %d: %w", event+1, err))
	s.change.Broadcast()
	return s.err
}

// failed is the error that the script has ended with.
func (s *Script) failed() error {
	s.lock()
	defer s.mu.Unlock()
	return s.err
}

// instead is the error of a page that did something else.
func instead(want Event, got any) error { return fmt.Errorf("want %v, got %v", want, got) }

// opening is one opening of a device that has a script.
type opening struct {
	script   *Script
	from, to int // its events

	changes iter.Seq[Signals] // of a serial port's lines, since it was opened
}

// open begins another opening. The options are nil for a HID device.
func (s *Script) open(options *serial.Options) (*opening, error) {
	s.lock()
	o := &opening{script: s, from: s.begun, to: s.begun}
	for first := true; o.to < len(s.Events) && (first || s.Events[o.to].Kind != OpenEvent); first = false {
		o.to++
	}
	s.begun = o.to
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if o.from == o.to {
		return nil, s.fail(o.from, errors.New("want nothing more, got open"))
	}
	if first := s.Events[o.from]; first.Kind == OpenEvent {
		if first.Options != nil && options != nil && first.Options.WithDefaults() != *options {
			return nil, s.fail(o.from, fmt.Errorf("want open with %+v, got %+v", first.Options.WithDefaults(), *options))
		}
		s.done(o.from)
		o.from++
	}
	return o, nil
}

// run goes through the events of the opening, and waits for its end. play does one event, or waits for
// the page to do it.
func (o *opening) run(ctx context.Context, play func(Event) error) {
	last := 0.0
	for n := o.from; n < o.to; n++ {
		e := o.script.Events[n]
		switch e.Kind {
		case InputEvent, InputSignalsEvent, UnplugEvent:
			if !o.script.AtOnce {
				sleep(ctx, e.Time-last)
			}
		}
		last = e.Time
		if err := play(e); err != nil {
			o.script.fail(n, err)
			return
		}
		o.script.done(n)
	}
	if err := play(Event{Kind: CloseEvent}); err != nil {
		o.script.fail(o.to, err)
	}
}

// sleep waits for a number of milliseconds, at most a day, or until ctx ends.
func sleep(ctx context.Context, milliseconds float64) {
	if milliseconds <= 0 {
		return
	}
	timer := time.NewTimer(time.Duration(min(milliseconds*float64(time.Millisecond), float64(24*time.Hour))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ended is what an event was that waited for the page when the device was closed or unplugged.
func ended(want Event, cause error) error {
	if want.Kind == CloseEvent {
		return nil
	}
	if lost(cause) {
		return fmt.Errorf("%v has not happened: %w", want, cause)
	}
	return instead(want, CloseEvent)
}

func lost(err error) bool { return errors.Is(err, hid.ErrLost) || errors.Is(err, serial.ErrLost) }

// check says what of the events no device can do that knows these kinds.
func (s *Script) check(kinds []EventKind, also func(Event) error) error {
	for n, e := range s.Events {
		err := also(e)
		if !slices.Contains(kinds, e.Kind) {
			err = fmt.Errorf("there is no event %q for this device, only %q", e.Kind, kinds)
		}
		if err != nil {
			return fmt.Errorf("script, event %d: %w", n+1, err)
		}
	}
	return nil
}
