package virtual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// serialEvents are the kinds of events of a serial port.
var serialEvents = []EventKind{OpenEvent, CloseEvent, OutputEvent, SetSignalsEvent, InputEvent, InputSignalsEvent, UnplugEvent}

// checkScript says what of its script the port cannot do.
func (p SerialPort) checkScript() error {
	if p.Script == nil {
		return nil
	}
	if p.Serve != nil {
		return errors.New("a port has a script or Serve, not both")
	}
	return p.Script.check(serialEvents, func(e Event) error {
		switch {
		case e.Kind == SetSignalsEvent && e.Signals == nil, e.Kind == InputSignalsEvent && e.InputSignals == nil:
			return errors.New("the signals are missing")
		case e.Kind == InputEvent && e.Error != "":
			switch kind := serial.LineErrorKind(e.Error); kind {
			case serial.BreakError, serial.FramingError, serial.ParityError, serial.OverrunError:
			default:
				return fmt.Errorf("there is no error %q of the line", kind)
			}
		}
		return nil
	})
}

// serve is a Serve that goes through the script.
func (o *opening) serve(ctx context.Context, l *Line) {
	change, stop := iter.Pull(o.changes)
	defer stop()
	change() // what opening has set
	o.run(ctx, func(e Event) error {
		switch e.Kind {
		case OutputEvent:
			return l.expect(e)
		case SetSignalsEvent:
			return l.expectSignals(e, change)
		case InputEvent:
			if e.Error != "" {
				l.SendError(serial.LineErrorKind(e.Error))
			}
			_, _ = l.Write(e.Data) // a page that has closed the port misses it
		case InputSignalsEvent:
			l.SetSignals(*e.InputSignals)
		case UnplugEvent:
			l.device.Unplug()
		case CloseEvent:
			more := make([]byte, 64)
			if n, _ := l.Read(more); n > 0 {
				return instead(e, Event{Kind: OutputEvent, Data: more[:n]})
			}
			return ended(e, context.Cause(ctx))
		}
		return nil
	})
}

// expect waits for the page to write bytes.
func (l *Line) expect(want Event) error {
	rest, into := want.Data, make([]byte, min(len(want.Data), minBuffer))
	for len(rest) > 0 {
		n, err := l.Read(into[:min(len(rest), len(into))])
		if err == io.EOF {
			return ended(want, context.Cause(l.life))
		}
		if !bytes.HasPrefix(rest, into[:n]) {
			at := len(want.Data) - len(rest)
			return fmt.Errorf("%w from byte %d on", instead(want, Event{Kind: OutputEvent, Data: into[:n]}), at)
		}
		rest = rest[n:]
	}
	return nil
}

// expectSignals waits for the page to change the lines that it sets. The last change is that of closing.
func (l *Line) expectSignals(want Event, change func() (Signals, bool)) error {
	got, ok := change()
	if ok && got == *want.Signals {
		return nil
	}
	if l.life.Err() != nil {
		return ended(want, context.Cause(l.life))
	}
	return instead(want, Event{Kind: SetSignalsEvent, Signals: &got})
}
