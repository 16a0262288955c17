package virtual

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
)

// hidEvents are the kinds of events of a HID device.
var hidEvents = []EventKind{OpenEvent, CloseEvent, OutputEvent, SendFeatureEvent, ReceiveFeatureEvent, InputEvent, UnplugEvent}

// checkScript says what of its script the device cannot do.
func (i *HIDInterface) checkScript() error {
	if i.does.Output != nil || i.does.SendFeature != nil || i.does.ReceiveFeature != nil {
		return errors.New("a device has a script or functions, not both")
	}
	return i.does.Script.check(hidEvents, func(e Event) error {
		if e.Kind == InputEvent {
			return i.sendable(e.ReportID, e.Data)
		}
		return nil
	})
}

// act is a call of a page that waits for a script.
type act struct {
	Event
	answer chan<- answer
}

type answer struct {
	data []byte
	err  error
}

// play goes through the script while the device is open.
func (c *hidConnection) play(o *opening) {
	defer close(c.played)
	o.run(c.life, func(e Event) error {
		switch e.Kind {
		case InputEvent:
			c.of.mu.Lock()
			defer c.of.mu.Unlock()
			if c.life.Err() == nil {
				c.inputs.add(HIDReport{e.ReportID, e.Data})
				c.of.change.Broadcast()
			}
			return nil
		case UnplugEvent:
			c.of.Unplug()
			return nil
		}
		return c.expect(e)
	})
}

// expect waits for the page to do what it is to do.
func (c *hidConnection) expect(want Event) error {
	var got act
	select {
	case got = <-c.acts:
	case <-c.life.Done():
		return ended(want, context.Cause(c.life))
	}
	asks := want.Kind == ReceiveFeatureEvent // whose data is the answer
	if got.Kind != want.Kind || got.ReportID != want.ReportID || !asks && !bytes.Equal(got.Data, want.Data) {
		return instead(want, got.Event) // the call fails when Wait knows of it
	}
	switch {
	case want.Error != "":
		got.answer <- answer{err: errors.New(want.Error)}
	case asks:
		got.answer <- answer{data: slices.Clone(want.Data)}
	default:
		got.answer <- answer{}
	}
	return nil
}

// act is a call of the page. It waits until it is its turn in the script.
func (c *hidConnection) act(ctx context.Context, e Event) ([]byte, error) {
	ctx, end := both(ctx, c.life)
	defer end()
	if err := context.Cause(c.life); err != nil {
		return nil, err
	}
	answers := make(chan answer, 1)
	select {
	case c.acts <- act{e, answers}:
	case <-c.played:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case got := <-answers:
		return got.data, got.err
	case <-c.played:
		return nil, cmp.Or(c.of.does.Script.failed(), context.Cause(c.life))
	}
}
