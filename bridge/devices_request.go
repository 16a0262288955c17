package bridge

import (
	"context"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/permissions"
)

// DeviceRequest is a page that asks for a device, with the answer.
type DeviceRequest struct {
	*DeviceChoice
	// WebContents is the page that asks, and Frame its frame.
	WebContents *WebContents
	Frame       *Frame
	// Origin is that of the frame and EmbeddingOrigin that of the page, without a
	// slash at the end. The device is granted to the page's.
	Origin          string
	EmbeddingOrigin string
}

// DeviceChoice is the answer to a page that asks for a device. Without an answer, and
// without PreventDefault, the page gets no device when the listener returns (of
// Bluetooth devices the first one). It is safe for use by several goroutines.
type DeviceChoice struct {
	ctx    context.Context
	choose func(id string)
	mu     sync.Mutex
	called bool
	kept   bool
}

// Context ends with the document that asks, and when it asks anew. An answer is
// nobody's then.
func (c *DeviceChoice) Context() context.Context { return c.ctx }

// PreventDefault lets the page wait for an answer that comes after the listener has
// returned. It may take its time.
func (c *DeviceChoice) PreventDefault() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = true
}

// Select gives the page the device with the id, for which there is a list in the event;
// one that is not there, or an empty id, gives it none. An answer that comes too late,
// when the listener has returned without PreventDefault, still lets the page use a HID
// device or serial port; it finds it with getDevices and getPorts.
//
// A second answer is an *InvalidArgumentError with Electron's text.
func (c *DeviceChoice) Select(id string) error {
	c.mu.Lock()
	called := c.called
	c.called = true
	c.mu.Unlock()
	if called {
		return invalidArgument("One-time callback was called more than once")
	}
	c.choose(id)
	return nil
}

// Cancel gives the page no device.
func (c *DeviceChoice) Cancel() error { return c.Select("") }

// ended reports whether a request ends when its listener has returned.
func (c *DeviceChoice) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.kept && !c.called
}

// answered reports whether there is an answer.
func (c *DeviceChoice) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.called
}

// deviceRequest is a page's wish for a device. It is told of devices that come and go
// until its document ends or asks anew.
type deviceRequest[D devices.Device] struct {
	from   deviceAsker
	wants  func(D) bool
	choice *DeviceChoice
	end    context.CancelFunc
	answer chan []D

	mu      sync.Mutex
	settled bool            // the page has its answer
	listed  map[string]bool // ids of what the listener knows
}

// settle answers the page, once.
func (r *deviceRequest[D]) settle(chosen []D) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.settled {
		r.settled = true
		r.answer <- chosen
	}
}

// late reports whether the page has gone on already.
func (r *deviceRequest[D]) late() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
}

// request asks the listener for a device.
func (k *deviceKind[D, S]) request(ctx context.Context, from deviceAsker, q deviceQuestion) (chosen []D, err error) {
	wants, err := k.wants(q)
	if err != nil {
		return nil, &domException{"TypeError", "The filters are not valid."}
	}
	if !from.active || from.frame == nil {
		return nil, &domException{"SecurityError", "Must be handling a user gesture to show a permission request."}
	}
	if !k.access.session.permissions.checked(ctx, k.check(from)) {
		return nil, nil
	}
	r := k.begin(from, wants)
	offered := slices.DeleteFunc(k.list(ctx), func(d D) bool { return !k.shown(d) || !wants(d) })
	offered = r.list(offered, k.group)
	listener := k.listener.get()
	if listener == nil {
		return nil, nil
	}
	e := DeviceRequest{r.choice, from.page, from.frame, from.origin, from.embedding}
	go func() {
		k.access.session.browser.safely("OnSelect "+string(k.name), func() { listener(e, offered) })
		if r.choice.ended() {
			r.settle(nil)
		}
	}()
	select {
	case chosen = <-r.answer:
		return chosen, nil
	case <-r.choice.ctx.Done():
		return nil, nil
	}
}

// check is the question whether a page may ask for devices at all.
func (k *deviceKind[D, S]) check(from deviceAsker) PermissionCheck {
	c := from.questioner.check(permissions.Query{Permission: Permission(k.name)})
	if k.name != devices.Serial { // as in Electron
		c.WebContents, c.Frame, c.IsMainFrame = nil, nil, false
	}
	return c
}

// begin makes a request, and ends the one before it of the same document.
func (k *deviceKind[D, S]) begin(from deviceAsker, wants func(D) bool) *deviceRequest[D] {
	r := &deviceRequest[D]{from: from, wants: wants, answer: make(chan []D, 1), listed: map[string]bool{}}
	var ctx context.Context
	ctx, r.end = context.WithCancel(from.client.life)
	r.choice = &DeviceChoice{ctx: ctx, choose: func(id string) { k.choose(r, id) }}
	k.mu.Lock()
	last := k.requests[from.client]
	k.requests[from.client] = r
	k.mu.Unlock()
	if last != nil {
		last.end()
		return r
	}
	context.AfterFunc(from.client.life, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.requests, from.client)
	})
	return r
}

// list notes what the listener knows, and returns one device for each id.
func (r *deviceRequest[D]) list(all []D, group func(D) string) (one []D) {
	r.mu.Lock()
	defer r.mu.Unlock()
	here := map[string]bool{}
	for _, d := range all {
		if id := group(d); !here[id] {
			here[id], r.listed[id] = true, true
			one = append(one, d)
		}
	}
	return one
}

// choose gives a page the devices with an id.
func (k *deviceKind[D, S]) choose(r *deviceRequest[D], id string) {
	if r.choice.ctx.Err() != nil {
		return
	}
	var chosen []D
	if id != "" {
		chosen = slices.DeleteFunc(k.list(r.choice.ctx), func(d D) bool { return k.group(d) != id || !k.shown(d) })
		if len(chosen) == 0 {
			k.access.session.browser.log.Warn("the device that was chosen is not there", "kind", string(k.name), "id", id)
		}
	}
	if !r.late() || !k.forgetsLate {
		for _, d := range chosen {
			k.remember(r.from.embedding, d)
		}
	}
	r.settle(chosen)
	k.access.update()
}

// tellRequests tells who listens of a device, for each document that asked for such.
func (k *deviceKind[D, S]) tellRequests(event DeviceEventType, d D) {
	k.mu.Lock()
	requests := make([]*deviceRequest[D], 0, len(k.requests))
	for _, r := range k.requests {
		requests = append(requests, r)
	}
	k.mu.Unlock()
	for _, r := range requests {
		if k.concerns(r, event, d) {
			k.events.tell(DeviceEvent[D]{Type: event, Device: d, WebContents: r.from.page, Frame: r.from.frame, Origin: r.from.embedding})
		}
	}
}

// concerns reports whether who listens is told of a device for a request.
func (k *deviceKind[D, S]) concerns(r *deviceRequest[D], event DeviceEventType, d D) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := k.group(d)
	listed := r.listed[id]
	if event == DeviceRemoved {
		delete(r.listed, id)
		return listed || k.tellsAll
	}
	if listed || !k.shown(d) || !r.wants(d) {
		return false
	}
	r.listed[id] = true
	return true
}
