package bridge

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices"
)

// deviceKind is what a session does with one kind of devices.
type deviceKind[D devices.Device, S devices.Source[D]] struct {
	access *deviceAccess
	name   DeviceKind
	deviceTraits[D, S]
	listener setter[func(DeviceRequest, []D)] // who chooses
	events   listeners[DeviceEvent[D]]

	starting sync.Once
	registry *devices.Registry[D, S]

	mu       sync.Mutex
	requests map[*deviceClient]*deviceRequest[D] // the last one of each
	away     map[devices.Grant]string            // identities of what is gone and can be known again
}

// deviceTraits are what tells the kinds of devices apart.
type deviceTraits[D devices.Device, S devices.Source[D]] struct {
	sources func() []S
	// grant describes a device as a grant does, without an origin.
	grant func(D) devices.Grant
	// permission puts a device into a question for the handler.
	permission func(*DevicePermission, D)
	// page is a device as pages learn it, next to its id.
	page func(D) map[string]any
	// shown reports whether pages may be offered a device at all.
	shown func(D) bool
	// group is the id by which a device is chosen, with those that have the same.
	group func(D) string
	// wants makes a function of a page's request, which is true for what it wants.
	wants func(deviceQuestion) (func(D) bool, error)
	// forgetsLate says that a choice that comes too late grants nothing.
	forgetsLate bool
	// tellsAll says that listeners are told of all devices that go.
	tellsAll bool
	// closesLost says that open devices do not notice by themselves that they are gone.
	closesLost bool
	// open opens a device with what a page asks for.
	open func(ctx context.Context, c *deviceClient, source S, d D, q deviceQuestion) (deviceConnection, error)
}

func newDeviceKind[D devices.Device, S devices.Source[D]](a *deviceAccess, name DeviceKind, traits deviceTraits[D, S]) *deviceKind[D, S] {
	k := &deviceKind[D, S]{access: a, name: name, deviceTraits: traits, requests: map[*deviceClient]*deviceRequest[D]{}, away: map[devices.Grant]string{}}
	context.AfterFunc(a.session.life, k.events.end)
	return k
}

func (k *deviceKind[D, S]) setListener(listener func(DeviceRequest, []D)) {
	k.listener.set(listener)
	k.access.update()
}

// known are the devices, which are watched from the first use to the end of the
// session.
func (k *deviceKind[D, S]) known() *devices.Registry[D, S] {
	k.starting.Do(func() {
		k.registry = devices.NewRegistry(k.changed, k.sources()...)
		go k.registry.Run(k.access.session.life, k.failed)
	})
	return k.registry
}

func (k *deviceKind[D, S]) failed(err error) {
	k.access.session.browser.log.Warn("not all devices are found", "kind", string(k.name), "error", err)
}

// list are the devices that there are now.
func (k *deviceKind[D, S]) list(ctx context.Context) []D {
	all, err := k.known().List(ctx)
	if err != nil && ctx.Err() == nil {
		k.failed(err)
	}
	return all
}

// listen returns an iterator over what happens to devices.
func (k *deviceKind[D, S]) listen(ctx context.Context) iter.Seq[DeviceEvent[D]] {
	k.known()
	return k.events.listen(ctx, nil)
}

// changed tells pages, and who listens, of devices that came and went.
func (k *deviceKind[D, S]) changed(added, removed []D) {
	for _, d := range removed {
		k.tellRequests(DeviceRemoved, d)
		k.tellPages("disconnect", d, "")
		if k.closesLost {
			k.access.pages.close(d.Identity())
		}
		k.mu.Lock()
		if g := k.grant(d); g.Lasts() {
			k.away[g] = d.Identity()
		}
		k.mu.Unlock()
		k.unwritten(k.access.grants.Remove(func(g devices.Grant) bool { return g.Identity == d.Identity() }))
	}
	for _, d := range added {
		k.mu.Lock()
		was := k.away[k.grant(d)]
		delete(k.away, k.grant(d))
		k.mu.Unlock()
		k.tellRequests(DeviceAdded, d)
		k.tellPages("connect", d, was)
	}
	k.access.update()
}

func (k *deviceKind[D, S]) tellPages(event string, d D, was string) {
	if !k.shown(d) {
		return
	}
	k.access.pages.tell(k.name, deviceMessage{Type: event, Device: k.described(d), Was: was}, func(origin string) bool {
		return k.permits(k.access.session.life, origin, d)
	})
}

// described is a device as pages learn it.
func (k *deviceKind[D, S]) described(d D) map[string]any {
	page := k.page(d)
	page["id"] = d.Identity()
	return page
}

func (k *deviceKind[D, S]) allDescribed(all []D) []map[string]any {
	described := []map[string]any{}
	for _, d := range all {
		described = append(described, k.described(d))
	}
	return described
}

// permits reports whether pages of an origin may use a device.
func (k *deviceKind[D, S]) permits(ctx context.Context, origin string, d D) bool {
	g := k.grant(d)
	g.Origin = origin
	handler := k.access.handler.get()
	if handler == nil || !g.Lasts() {
		return k.access.grants.Has(g)
	}
	p := DevicePermission{DeviceType: k.name, Origin: origin}
	k.permission(&p, d)
	granted, err := answered(ctx, k.access.session.browser, "SetDevicePermissionHandler", func() (bool, error) { return handler(ctx, p), nil })
	return granted && err == nil
}

func (k *deviceKind[D, S]) permitted(ctx context.Context, origin, identity string) bool {
	d, _, found := k.known().Find(identity)
	return found && k.permits(ctx, origin, d)
}

// remember lets pages of an origin use a device from now on.
func (k *deviceKind[D, S]) remember(origin string, d D) {
	g := k.grant(d)
	g.Origin = origin
	if k.access.handler.get() == nil || !g.Lasts() {
		k.unwritten(k.access.grants.Add(g))
	}
}

// unwritten tells of grants that are not as their file says.
func (k *deviceKind[D, S]) unwritten(err error) {
	if err != nil {
		k.access.session.browser.log.Error("the devices that pages may use are not remembered", "error", err)
	}
}

// errDeviceGone is what pages get for a device that is not there, or not for them.
var errDeviceGone = &domException{"NetworkError", "The device has been lost."}

func (k *deviceKind[D, S]) answer(ctx context.Context, from deviceAsker, q deviceQuestion) (any, error) {
	held := from.client.opened(q.Device)
	switch q.op {
	case "getDevices", "requestDevice", "open", "forget", "close":
		q.turn.end(ctx)
	}
	switch q.op {
	case "getDevices":
		all := slices.DeleteFunc(k.list(ctx), func(d D) bool { return !k.shown(d) || !k.permits(ctx, from.embedding, d) })
		return k.allDescribed(all), nil
	case "requestDevice":
		chosen, err := k.request(ctx, from, q)
		return k.allDescribed(chosen), err
	case "open":
		return nil, k.opening(ctx, from, q)
	case "forget":
		return nil, k.forget(from, q.Device)
	}
	switch {
	case held == nil || held.kind != deviceAnswerer(k):
		return nil, errDeviceGone
	case q.op == "close":
		from.client.close(q.Device, held)
		return nil, nil
	}
	return held.connection.do(ctx, q)
}

// opening opens a device for a client.
func (k *deviceKind[D, S]) opening(ctx context.Context, from deviceAsker, q deviceQuestion) error {
	d, source, found := k.known().Find(q.Device)
	if !found || !k.shown(d) || !k.permits(ctx, from.embedding, d) {
		return errDeviceGone
	}
	connection, err := k.open(ctx, from.client, source, d, q)
	if err != nil {
		return err
	}
	if !from.client.hold(q.Device, &openDevice{k, connection}) {
		connection.close()
		return &domException{"InvalidStateError", "The device is open already."}
	}
	return nil
}

// forget takes a device from the pages of an origin.
func (k *deviceKind[D, S]) forget(from deviceAsker, identity string) error {
	d, _, found := k.known().Find(identity)
	if !found {
		return nil
	}
	g := k.grant(d)
	g.Origin = from.embedding
	k.unwritten(k.access.grants.Remove(g.Covers))
	k.access.pages.review()
	k.events.tell(DeviceEvent[D]{Type: DeviceRevoked, Device: d, WebContents: from.page, Frame: from.frame, Origin: from.embedding})
	return nil
}
