package virtual

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// serialRecorder is a source whose openings are recorded.
type serialRecorder struct {
	serial.Source
	to *Recorder
}

func (r serialRecorder) Open(ctx context.Context, p serial.Port, o serial.Options) (serial.Connection, error) {
	c, err := r.Source.Open(ctx, p, o)
	if err != nil {
		return nil, err
	}
	opened := r.to.open(entry{Port: &port{p, p.BluetoothServiceClassID}, Event: Event{Options: &o}})
	return &recordedSerial{Connection: c, record: opened, outputs: Signals{DataTerminalReady: true, RequestToSend: true}}, nil
}

type recordedSerial struct {
	serial.Connection
	record *record

	mu      sync.Mutex
	outputs Signals             // as they were last recorded
	inputs  serial.InputSignals // likewise
}

func (c *recordedSerial) Read(p []byte) (int, error) {
	n, err := c.Connection.Read(p)
	if n > 0 {
		c.record.add(Event{Kind: InputEvent, Data: slices.Clone(p[:n])})
	}
	var line *serial.LineError
	if errors.As(err, &line) {
		c.record.add(Event{Kind: InputEvent, Error: string(line.Kind)})
	}
	c.record.unplugged(err)
	return n, err
}

// Write records all bytes before they are sent: what answers them comes after them.
func (c *recordedSerial) Write(p []byte) (int, error) {
	if len(p) > 0 {
		c.record.add(Event{Kind: OutputEvent, Data: slices.Clone(p)})
	}
	n, err := c.Connection.Write(p)
	c.record.unplugged(err)
	return n, err
}

func (c *recordedSerial) SetSignals(s serial.OutputSignals) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.outputs.with(s); now != c.outputs {
		c.outputs = now
		c.record.add(Event{Kind: SetSignalsEvent, Signals: &now})
	}
	err := c.Connection.SetSignals(s)
	c.record.unplugged(err)
	return err
}

func (c *recordedSerial) Signals() (serial.InputSignals, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := c.Connection.Signals()
	if err == nil && now != c.inputs {
		c.inputs = now
		c.record.add(Event{Kind: InputSignalsEvent, InputSignals: &now})
	}
	c.record.unplugged(err)
	return now, err
}

func (c *recordedSerial) Close() error {
	c.record.add(Event{Kind: CloseEvent})
	return c.Connection.Close()
}
