package virtual

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/cdpbridge/cdpbridge/devices/hid"
)

// hidConnection is the page's end of a device that it has open.
type hidConnection struct {
	of     *HIDInterface
	life   context.Context // until it is closed (os.ErrClosed) or unplugged (hid.ErrLost)
	end    context.CancelCauseFunc
	inputs reports // under the lock of the device

	// With a script:
	acts   chan act
	played chan struct{} // closed when the script waits for nothing more
}

func (c *hidConnection) ReadInput(ctx context.Context) (byte, []byte, error) {
	ctx, end := both(ctx, c.life)
	defer end()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if await(ctx, c.of.change, func() bool { return len(c.inputs.waiting) > 0 }) != nil {
		return 0, nil, context.Cause(ctx)
	}
	report := c.inputs.take()
	return report.ID, slices.Clone(report.Data), nil // others have the same
}

func (c *hidConnection) WriteOutput(ctx context.Context, id byte, data []byte) error {
	if c.acts != nil {
		_, err := c.act(ctx, Event{Kind: OutputEvent, ReportID: id, Data: data})
		return err
	}
	return c.send(ctx, "Output", c.of.does.Output, HIDReport{id, slices.Clone(data)}, func(report HIDReport) {
		c.of.received.add(report)
	})
}

func (c *hidConnection) SendFeature(ctx context.Context, id byte, data []byte) error {
	if c.acts != nil {
		_, err := c.act(ctx, Event{Kind: SendFeatureEvent, ReportID: id, Data: data})
		return err
	}
	return c.send(ctx, "SendFeature", c.of.does.SendFeature, HIDReport{id, slices.Clone(data)}, func(report HIDReport) {
		c.of.features[report.ID] = report.Data
	})
}

func (c *hidConnection) ReceiveFeature(ctx context.Context, id byte) (data []byte, err error) {
	if c.acts != nil {
		return c.act(ctx, Event{Kind: ReceiveFeatureEvent, ReportID: id})
	}
	err = c.call(ctx, "ReceiveFeature", func(ctx context.Context) (err error) {
		if ask := c.of.does.ReceiveFeature; ask != nil {
			data, err = ask(ctx, id)
			return err
		}
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		kept, ok := c.of.features[id]
		if !ok {
			return fmt.Errorf("the device has no feature report %d", id)
		}
		data = slices.Clone(kept)
		return nil
	})
	return data, err
}

// send gives a report to a function of the device, or keeps it where there is none.
func (c *hidConnection) send(ctx context.Context, what string, take func(context.Context, byte, []byte) error, report HIDReport, keep func(HIDReport)) error {
	if len(report.Data) > maxReport {
		return fmt.Errorf("report %d: %d bytes are too many", report.ID, len(report.Data))
	}
	return c.call(ctx, what, func(ctx context.Context) error {
		if take != nil {
			return take(ctx, report.ID, report.Data)
		}
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		keep(report)
		c.of.change.Broadcast()
		return nil
	})
}

// call lets the device do something when it is its turn.
func (c *hidConnection) call(ctx context.Context, what string, do func(context.Context) error) error {
	ctx, end := both(ctx, c.life)
	defer end()
	if err := context.Cause(c.life); err != nil {
		return err
	}
	select {
	case c.of.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.of.turn }()
	if err := cmp.Or(context.Cause(c.life), context.Cause(ctx)); err != nil {
		return err // it ended as the turn came
	}
	return safely(what+" of "+c.of.device.Name, func() error { return do(ctx) })
}

func (c *hidConnection) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.end(os.ErrClosed)
	c.inputs = reports{}
	delete(c.of.opened, c)
	return nil
}

var _ hid.Connection = (*hidConnection)(nil)
