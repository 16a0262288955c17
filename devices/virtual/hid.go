package virtual

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices/hid"
)

// HIDDevice describes a human interface device, or one interface of a device that has several. Its
// functions are called one at a time, each while the page waits for it; ctx ends when the page closes the
// device or it is unplugged. An error, or a panic, is one of the page's call.
type HIDDevice struct {
	// Name is the product's name.
	Name                string
	VendorID, ProductID uint16
	// SerialNumber is that of the device. A page's permission for a device that has one outlives that it
	// is unplugged.
	SerialNumber string
	// ReportDescriptor says which reports there are: see [hid.Parse].
	ReportDescriptor []byte
	// Collections are what there is when ReportDescriptor is empty: a recorded device has these only.
	Collections []hid.Collection
	// DeviceID is shared by the interfaces of one physical device. An empty one is replaced by a random
	// one.
	DeviceID string

	// Output takes an output report. Without it they are kept for [HIDInterface.Receive].
	Output func(ctx context.Context, id byte, data []byte) error
	// SendFeature takes a feature report that a page sends, and ReceiveFeature makes one that a page asks
	// for. Without it a feature report is what was last sent, or set by [HIDInterface.SetFeature].
	SendFeature    func(ctx context.Context, id byte, data []byte) error
	ReceiveFeature func(ctx context.Context, id byte) ([]byte, error)

	// Script is what the device does, in place of these functions.
	Script *Script
}

// HIDBus has human interface devices made in software. It is a hid.Source. All methods may be called at
// the same time from several goroutines.
type HIDBus struct {
	watchers watchers

	mu      sync.Mutex
	devices []*HIDInterface // in the order in which they were plugged in
	closed  bool
}

var _ hid.Source = (*HIDBus)(nil)

// NewHIDBus returns a bus without devices.
func NewHIDBus() *HIDBus { return &HIDBus{} }

// Plug plugs a device in. It gets another GUID each time. It is an error if the report descriptor is too
// large or the script has events that the device cannot have, and ErrBusClosed after Close.
func (b *HIDBus) Plug(d HIDDevice) (*HIDInterface, error) {
	collections, err := hid.Parse(d.ReportDescriptor)
	if err != nil {
		return nil, fmt.Errorf("plug in a HID device: %w", err)
	}
	if len(d.ReportDescriptor) == 0 && d.Collections != nil {
		collections = d.Collections
	}
	i := newHIDInterface(b, d, collections)
	if d.Script != nil {
		if err := i.checkScript(); err != nil {
			return nil, fmt.Errorf("plug in a HID device: %w", err)
		}
	}
	b.mu.Lock()
	closed := b.closed
	if !closed {
		b.devices = append(b.devices, i)
	}
	b.mu.Unlock()
	if closed {
		i.vanish()
		return nil, fmt.Errorf("plug in a HID device: %w", ErrBusClosed)
	}
	b.watchers.tell()
	return i, nil
}

// Close unplugs all devices. Their functions may still be running when it returns; their contexts have
// ended.
func (b *HIDBus) Close() error {
	b.mu.Lock()
	b.closed = true
	devices := b.devices
	b.devices = nil
	b.mu.Unlock()
	for _, i := range devices {
		i.vanish()
	}
	b.watchers.tell()
	return nil
}

// List implements hid.Source. Devices are in the order in which they were plugged in.
func (b *HIDBus) List(ctx context.Context) ([]hid.Device, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]hid.Device, len(b.devices))
	for n, i := range b.devices {
		list[n] = i.device
	}
	return list, ctx.Err()
}

// Watch implements hid.Source. It goes on when the bus was closed.
func (b *HIDBus) Watch(ctx context.Context, changed func()) error {
	return b.watchers.watch(ctx, changed)
}

// Open implements hid.Source. A device can be open several times, as on Linux.
func (b *HIDBus) Open(ctx context.Context, d hid.Device) (hid.Connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := slices.IndexFunc(b.devices, func(i *HIDInterface) bool { return i.device.GUID == d.GUID })
	if n < 0 {
		return nil, fmt.Errorf("open %s: %w", d.Name, hid.ErrLost)
	}
	c, err := b.devices[n].open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.Name, err)
	}
	return c, nil
}

// HIDReport is a report that a page has sent.
type HIDReport struct {
	ID   byte   `json:"reportId"`
	Data []byte `json:"data"`
}

// What waits in a HID device. The oldest reports are dropped when there are more, or more bytes.
const (
	maxReports     = 8192
	maxReportBytes = 16 << 20
	// maxReport is the length of the longest report, without its id, as on Linux.
	maxReport = 16384 - 1
)

// reports are reports that wait.
type reports struct {
	waiting []HIDReport
	bytes   int
}

func (r *reports) add(report HIDReport) {
	r.waiting, r.bytes = append(r.waiting, report), r.bytes+len(report.Data)
	for len(r.waiting) > maxReports || r.bytes > maxReportBytes {
		r.take()
	}
}

func (r *reports) take() HIDReport {
	first := r.waiting[0]
	r.waiting[0] = HIDReport{}
	r.waiting, r.bytes = r.waiting[1:], r.bytes-len(first.Data)
	return first
}

// HIDInterface is a human interface device that is plugged in, seen from the device's end. Its methods may
// be called at the same time from several goroutines.
type HIDInterface struct {
	bus    *HIDBus
	does   HIDDevice
	device hid.Device
	life   context.Context // until it is unplugged
	unplug context.CancelCauseFunc
	turn   chan struct{} // has room for who calls a function

	mu       sync.Mutex
	change   *sync.Cond
	opened   map[*hidConnection]bool
	received reports
	features map[byte][]byte
}

func newHIDInterface(b *HIDBus, d HIDDevice, collections []hid.Collection) *HIDInterface {
	i := &HIDInterface{
		bus: b, does: d,
		device: hid.Device{
			DeviceID:     cmp.Or(d.DeviceID, rand.Text()),
			GUID:         rand.Text(),
			Name:         d.Name,
			VendorID:     d.VendorID,
			ProductID:    d.ProductID,
			SerialNumber: d.SerialNumber,
			Collections:  collections,
		},
		turn:     make(chan struct{}, 1),
		opened:   map[*hidConnection]bool{},
		features: map[byte][]byte{},
	}
	i.change = sync.NewCond(&i.mu)
	i.life, i.unplug = context.WithCancelCause(context.Background())
	return i
}

// Device is the device as it is listed.
func (i *HIDInterface) Device() hid.Device { return i.device }

// Opened waits until a page has the device open. It is hid.ErrLost when the device was unplugged.
func (i *HIDInterface) Opened(ctx context.Context) error {
	return i.await(ctx, func() bool { return len(i.opened) > 0 }, func() {})
}

// await waits until done is true, and then calls then, under the lock.
func (i *HIDInterface) await(ctx context.Context, done func() bool, then func()) error {
	ctx, end := both(ctx, i.life)
	defer end()
	i.mu.Lock()
	defer i.mu.Unlock()
	if await(ctx, i.change, done) != nil {
		return context.Cause(ctx)
	}
	then()
	return nil
}

// SendInput waits until a page has the device open, and sends an input report to all that have. It does
// not wait for them to read: of more than 8192 reports or 16 MiB that wait the oldest are dropped. A report
// that is shorter or longer than declared comes to the page as it is, as on Linux; one that is not declared
// is an error, as is one of more than 16,383 bytes. It is hid.ErrLost when the device was unplugged.
func (i *HIDInterface) SendInput(ctx context.Context, id byte, data []byte) error {
	err := i.sendable(id, data)
	if err == nil {
		err = i.await(ctx, func() bool { return len(i.opened) > 0 }, func() {
			report := HIDReport{id, slices.Clone(data)}
			for c := range i.opened {
				c.inputs.add(report)
			}
			i.change.Broadcast()
		})
	}
	if err != nil {
		return fmt.Errorf("send input report %d of %s: %w", id, i.device.Name, err)
	}
	return nil
}

func (i *HIDInterface) sendable(id byte, data []byte) error {
	if len(data) > maxReport {
		return fmt.Errorf("%d bytes are too many", len(data))
	}
	for _, c := range i.device.Collections {
		if slices.ContainsFunc(c.InputReports, func(r hid.Report) bool { return r.ReportID == id }) {
			return nil
		}
	}
	return fmt.Errorf("the report descriptor has no such report")
}

// Receive waits for an output report of a page. What came earlier is kept: of more than 8192 reports or
// 16 MiB that wait the oldest are dropped. It is hid.ErrLost when the device was unplugged and everything
// was received. It is for devices without an Output function or a script: with one it waits until ctx ends.
func (i *HIDInterface) Receive(ctx context.Context) (report HIDReport, err error) {
	err = i.await(ctx, func() bool { return len(i.received.waiting) > 0 }, func() { report = i.received.take() })
	if err != nil {
		return report, fmt.Errorf("receive from a page on %s: %w", i.device.Name, err)
	}
	return report, nil
}

// SetFeature sets a feature report that pages read, in a device without a ReceiveFeature function.
func (i *HIDInterface) SetFeature(id byte, data []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.features[id] = slices.Clone(data)
}

// Unplug makes the device vanish. Who has it open gets the reports that were already sent, and then
// hid.ErrLost. Unplugging again is nothing. To plug it in again, give the bus the same description.
func (i *HIDInterface) Unplug() {
	i.bus.mu.Lock()
	i.bus.devices = slices.DeleteFunc(i.bus.devices, func(o *HIDInterface) bool { return o == i })
	i.bus.mu.Unlock()
	i.vanish()
	i.bus.watchers.tell()
}

// vanish ends what goes on with a device that is not listed any more.
func (i *HIDInterface) vanish() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.unplug(hid.ErrLost)
	clear(i.opened)
}

func (i *HIDInterface) open() (*hidConnection, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.life.Err() != nil {
		return nil, hid.ErrLost
	}
	c := &hidConnection{of: i}
	var script *opening
	if i.does.Script != nil {
		var err error
		if script, err = i.does.Script.open(nil); err != nil {
			return nil, err
		}
		c.acts, c.played = make(chan act), make(chan struct{})
	}
	c.life, c.end = context.WithCancelCause(i.life)
	i.opened[c] = true
	i.change.Broadcast()
	if script != nil {
		go c.play(script) // until the connection's life ends
	}
	return c, nil
}
