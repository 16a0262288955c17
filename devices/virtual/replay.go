package virtual

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Replay reads what a [Recorder] has written, and gives the devices of it, to be plugged into a bus or a
// session. Each has a Script that does what the device has done, at the recorded pace unless its AtOnce is
// set, and tells where the page departs from the record. A device that was unplugged and plugged in again
// is two, the second to be plugged in when the first is gone.
func Replay(from io.Reader) ([]SerialPort, []HIDDevice, error) {
	r := replay{devices: map[string]*replayed{}, openings: map[int]*[]Event{}}
	lines := json.NewDecoder(from)
	for n := 1; ; n++ {
		var e entry
		err := lines.Decode(&e)
		if err == io.EOF {
			ports, devices := r.all()
			return ports, devices, nil
		}
		if err == nil {
			err = r.take(e)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the record of a device, line %d: %w", n, err)
		}
	}
}

// replay is what was read of a record.
type replay struct {
	devices  map[string]*replayed // by identity
	order    []*replayed
	openings map[int]*[]Event
}

// replayed is a device, and its openings in their order.
type replayed struct {
	entry
	openings []*[]Event
}

func (r *replay) take(e entry) error {
	events, known := r.openings[e.Opening]
	if e.Kind != OpenEvent {
		if !known {
			return fmt.Errorf("opening %d has not begun", e.Opening)
		}
		*events = append(*events, e.Event)
		return nil
	}
	if known {
		return fmt.Errorf("opening %d has begun already", e.Opening)
	}
	var identity string
	switch {
	case e.Port != nil && e.Device == nil:
		identity = "port " + e.Port.Identity()
	case e.Device != nil && e.Port == nil:
		identity = "device " + e.Device.Identity()
	default:
		return errors.New("it is not said which device is opened")
	}
	d := r.devices[identity]
	if d == nil {
		d = &replayed{entry: e}
		r.devices[identity] = d
		r.order = append(r.order, d)
	}
	events = &[]Event{e.Event}
	r.openings[e.Opening] = events
	d.openings = append(d.openings, events)
	return nil
}

// all are the devices, in the order in which they were opened first.
func (r *replay) all() (ports []SerialPort, devices []HIDDevice) {
	for _, d := range r.order {
		script := &Script{}
		for _, events := range d.openings {
			script.Events = append(script.Events, *events...)
		}
		if d.Port != nil {
			ports = append(ports, d.Port.replayed(script))
			continue
		}
		devices = append(devices, HIDDevice{
			Name:         d.Device.Name,
			VendorID:     d.Device.VendorID,
			ProductID:    d.Device.ProductID,
			SerialNumber: d.Device.SerialNumber,
			DeviceID:     d.Device.DeviceID,
			Collections:  d.Device.Collections,
			Script:       script,
		})
	}
	return ports, devices
}

func (p port) replayed(script *Script) SerialPort {
	vendor, product, _ := p.USB()
	return SerialPort{
		Name:                    p.PortName,
		DisplayName:             p.DisplayName,
		VendorID:                vendor,
		ProductID:               product,
		SerialNumber:            p.SerialNumber,
		BluetoothServiceClassID: p.BluetoothServiceClassID,
		Script:                  script,
	}
}
