package virtual

import (
	"context"
	"slices"

	"github.com/cdpbridge/cdpbridge/devices/hid"
)

// hidRecorder is a source whose openings are recorded.
type hidRecorder struct {
	hid.Source
	to *Recorder
}

func (r hidRecorder) Open(ctx context.Context, d hid.Device) (hid.Connection, error) {
	c, err := r.Source.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return recordedHID{c, r.to.open(entry{Device: &d})}, nil
}

type recordedHID struct {
	hid.Connection
	record *record
}

func (c recordedHID) ReadInput(ctx context.Context) (byte, []byte, error) {
	id, data, err := c.Connection.ReadInput(ctx)
	if err == nil {
		c.record.add(Event{Kind: InputEvent, ReportID: id, Data: slices.Clone(data)})
	}
	c.record.unplugged(err)
	return id, data, err
}

func (c recordedHID) WriteOutput(ctx context.Context, id byte, data []byte) error {
	return c.call(Event{Kind: OutputEvent, ReportID: id, Data: slices.Clone(data)}, func(*Event) error {
		return c.Connection.WriteOutput(ctx, id, data)
	})
}

func (c recordedHID) SendFeature(ctx context.Context, id byte, data []byte) error {
	return c.call(Event{Kind: SendFeatureEvent, ReportID: id, Data: slices.Clone(data)}, func(*Event) error {
		return c.Connection.SendFeature(ctx, id, data)
	})
}

func (c recordedHID) ReceiveFeature(ctx context.Context, id byte) (data []byte, err error) {
	err = c.call(Event{Kind: ReceiveFeatureEvent, ReportID: id}, func(e *Event) error {
		data, err = c.Connection.ReceiveFeature(ctx, id)
		e.Data = slices.Clone(data)
		return err
	})
	return data, err
}

// call records a call of the page in the place where it began: inputs that answer it come after it.
func (c recordedHID) call(e Event, do func(*Event) error) error {
	end := c.record.begin(e)
	err := do(&e)
	if err != nil {
		e.Error = err.Error()
	}
	end(e)
	c.record.unplugged(err)
	return err
}

func (c recordedHID) Close() error {
	c.record.add(Event{Kind: CloseEvent})
	return c.Connection.Close()
}
