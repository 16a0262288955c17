package bridge

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/usb"
)

// openUSB is a USB device that a document has open. The object in the document knows
// what is claimed, too, and has its own errors; what is here is what holds.
type openUSB struct {
	client     *deviceClient
	device     USBDevice
	connection usb.Connection
	protected  []uint8 // classes of interfaces
	life       context.Context
	end        context.CancelFunc

	changing sync.Mutex // held by what changes what follows
	mu       sync.Mutex
	selected *usb.Configuration
	claims   map[uint8]*usbClaim // by the interface's number
	controls deviceTurns         // of control transfers
}

// usbClaim is an interface that a document has claimed.
type usbClaim struct {
	alternate usb.Alternate
	ctx       context.Context // of transfers; ends with the claim
	cancel    context.CancelFunc
	transfers sync.WaitGroup
	pipes     map[usbPipe]*deviceTurns
}

// usbPipe is what an endpoint's transfers go through, one after the other.
type usbPipe struct {
	direction usb.Direction
	endpoint  uint8
}

// usbQuestion has what operations of an open device need.
type usbQuestion struct {
	Configuration uint8         `json:"configuration"`
	Interface     uint8         `json:"interface"`
	Alternate     uint8         `json:"alternate"`
	Endpoint      uint8         `json:"endpoint"`
	Direction     usb.Direction `json:"direction"`
	Setup         usb.Setup     `json:"setup"`
	Length        uint32        `json:"length"`
	Lengths       []uint32      `json:"lengths"` // of packets
	Data          []byte        `json:"data"`
}

// usbResult is how a transfer ended, or a packet of it.
type usbResult struct {
	Status  usb.Status `json:"status"`
	Data    []byte     `json:"data,omitzero"`
	Written int        `json:"written,omitzero"`
}

var (
	errUSBNotClaimed = &domException{"InvalidStateError", "The specified interface has not been claimed."}
	errUSBEndpoint   = &domException{"NotFoundError", "The specified endpoint is not part of a claimed and selected alternate interface."}
	errUSBInterface  = &domException{"NotFoundError", "The interface number provided is not supported by the device in its current configuration."}
	errUSBProtected  = &domException{"SecurityError", "The requested interface implements a protected class."}
	errUSBNotAllowed = &domException{"SecurityError", "The transfer was not allowed."}
	errUSBTooBig     = &domException{"DataError", "The data buffer exceeded its maximum size."}
)

// largestUSBTransfer is how many bytes Chromium takes in one transfer.
const largestUSBTransfer = 32 << 20

func newOpenUSB(c *deviceClient, d USBDevice, connection usb.Connection, protected []uint8) *openUSB {
	u := &openUSB{client: c, device: d, connection: connection, protected: protected, claims: map[uint8]*usbClaim{}}
	u.life, u.end = context.WithCancel(c.life)
	if d.Configuration != nil {
		u.selected = u.configuration(d.Configuration.ConfigurationValue)
	}
	return u
}

// close ends what is under way, too. The document is told before, so that it does not
// take it for cancelled where the device is taken away from it.
func (u *openUSB) close() {
	u.client.say("tell", devices.USB, deviceMessage{Type: "closed", Device: map[string]any{"id": u.device.DeviceID}})
	u.end()
	u.connection.Close()
}

func (u *openUSB) do(ctx context.Context, asked deviceQuestion) (any, error) {
	turn, op := asked.turn, asked.op
	var q usbQuestion
	if err := asked.decode(&q); err != nil {
		return nil, &domException{"TypeError", "The arguments are not valid."}
	}
	if !q.fits() {
		return nil, errUSBTooBig
	}
	switch op {
	case "selectConfiguration", "claimInterface", "releaseInterface", "selectAlternateInterface", "reset":
		turn.end(ctx)
		return nil, u.change(op, q)
	case "clearHalt":
		turn.end(ctx)
		return nil, u.clearHalt(q)
	case "controlTransferIn", "controlTransferOut":
		return u.control(turn, op == "controlTransferIn", q)
	case "transferIn":
		return usbTransfer(u, turn, usbPipe{usb.In, q.Endpoint}, func(ctx context.Context) (r usbResult, err error) {
			r.Data, r.Status, err = u.connection.TransferIn(ctx, q.Endpoint, int(q.Length))
			return r, err
		})
	case "transferOut":
		return usbTransfer(u, turn, usbPipe{usb.Out, q.Endpoint}, func(ctx context.Context) (r usbResult, err error) {
			r.Written, r.Status, err = u.connection.TransferOut(ctx, q.Endpoint, q.Data)
			return r, err
		})
	case "isochronousTransferIn":
		return usbTransfer(u, turn, usbPipe{usb.In, q.Endpoint}, func(ctx context.Context) ([]usbResult, error) {
			return usbResults(u.connection.IsochronousIn(ctx, q.Endpoint, q.packets()))
		})
	case "isochronousTransferOut":
		return usbTransfer(u, turn, usbPipe{usb.Out, q.Endpoint}, func(ctx context.Context) ([]usbResult, error) {
			return usbResults(u.connection.IsochronousOut(ctx, q.Endpoint, q.Data, q.packets()))
		})
	}
	return nil, errNoSuchOperation
}

// fits reports whether what is to be transferred is not too much.
func (q usbQuestion) fits() bool {
	packets := 0
	for _, length := range q.Lengths {
		packets += int(min(length, largestUSBTransfer+1))
		if packets > largestUSBTransfer {
			return false
		}
	}
	return q.Length <= largestUSBTransfer && len(q.Data) <= largestUSBTransfer
}

func (q usbQuestion) packets() []int {
	lengths := make([]int, len(q.Lengths))
	for i, length := range q.Lengths {
		lengths[i] = int(length)
	}
	return lengths
}

func usbResults(packets []usb.Packet, err error) ([]usbResult, error) {
	results := make([]usbResult, len(packets))
	for i, p := range packets {
		results[i] = usbResult{p.Status, p.Data, p.Written}
	}
	return results, err
}

// change runs one change of the configuration, an interface or an alternate at a time.
func (u *openUSB) change(op string, q usbQuestion) error {
	u.changing.Lock()
	defer u.changing.Unlock()
	switch op {
	case "selectConfiguration":
		return u.changed(u.selectConfiguration(q.Configuration), "Unable to set device configuration.")
	case "claimInterface":
		return u.changed(u.claimInterface(q.Interface), "Unable to claim interface.")
	case "releaseInterface":
		return u.changed(u.releaseInterface(q.Interface), "Unable to release interface.")
	case "selectAlternateInterface":
		return u.changed(u.selectAlternate(q.Interface, q.Alternate), "Unable to set device interface.")
	}
	return u.changed(u.reset(), "Unable to reset the device.")
}

// changed is an error of a change as Chromium names it to pages.
func (u *openUSB) changed(err error, message string) error {
	var exception *domException
	switch {
	case err == nil || errors.As(err, &exception):
		return err
	case errors.Is(err, usb.ErrLost):
		return errDeviceGone
	}
	u.client.page.session.browser.log.Warn("a page could not use a USB device", "device", u.device.ProductName, "page", u.client.page.URL(), "error", err)
	return &domException{"NetworkError", message}
}

func (u *openUSB) selectConfiguration(value uint8) error {
	selected := u.configuration(value)
	if selected == nil {
		return &domException{"NotFoundError", "The configuration value provided is not supported by the device."}
	}
	for _, number := range u.claimed() {
		u.take(number)
	}
	if err := u.connection.SelectConfiguration(u.life, value); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.selected = selected
	return nil
}

func (u *openUSB) claimInterface(number uint8) error {
	i := u.interfaceOf(number)
	switch {
	case i == nil:
		return errUSBInterface
	case i.Protected(u.protected):
		u.client.page.session.browser.log.Warn("a page may not claim an interface of a protected class", "device", u.device.ProductName, "interface", number, "page", u.client.page.URL())
		return errUSBProtected
	case slices.Contains(u.claimed(), number):
		return nil
	}
	if err := u.connection.ClaimInterface(u.life, number); err != nil {
		return err
	}
	u.give(number, i.Alternates[0])
	return nil
}

func (u *openUSB) releaseInterface(number uint8) error {
	if _, claimed := u.take(number); !claimed {
		return nil
	}
	return u.connection.ReleaseInterface(u.life, number)
}

// selectAlternate ends the transfers of the interface. If it fails the interface has no
// endpoints any more, as in Chromium, until it is released and claimed.
func (u *openUSB) selectAlternate(number, setting uint8) error {
	i := u.interfaceOf(number)
	if i == nil {
		return errUSBInterface
	}
	at := slices.IndexFunc(i.Alternates, func(a usb.Alternate) bool { return a.AlternateSetting == setting })
	if at < 0 {
		return &domException{"NotFoundError", "The alternate setting provided is not supported by the device in its current configuration."}
	}
	if _, claimed := u.take(number); !claimed {
		return errUSBNotClaimed
	}
	if err := u.connection.SelectAlternate(u.life, number, setting); err != nil {
		return errors.Join(err, u.connection.ReleaseInterface(u.life, number))
	}
	u.give(number, i.Alternates[at])
	return nil
}

// reset ends all transfers of interfaces. These stay claimed.
func (u *openUSB) reset() error {
	alternates := map[uint8]usb.Alternate{}
	for _, number := range u.claimed() {
		alternates[number], _ = u.take(number)
	}
	err := u.connection.Reset(u.life)
	for number, alternate := range alternates {
		u.give(number, alternate)
	}
	return err
}

func (u *openUSB) configuration(value uint8) *usb.Configuration {
	at := slices.IndexFunc(u.device.Configurations, func(c usb.Configuration) bool { return c.ConfigurationValue == value })
	if at < 0 {
		return nil
	}
	return &u.device.Configurations[at]
}

// interfaceOf is an interface of the configuration that is selected.
func (u *openUSB) interfaceOf(number uint8) *usb.Interface {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.selected == nil {
		return nil
	}
	at := slices.IndexFunc(u.selected.Interfaces, func(i usb.Interface) bool { return i.InterfaceNumber == number })
	if at < 0 {
		return nil
	}
	return &u.selected.Interfaces[at]
}

// claimed are the numbers of the interfaces that are claimed.
func (u *openUSB) claimed() (numbers []uint8) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for number := range u.claims {
		numbers = append(numbers, number)
	}
	return numbers
}

func (u *openUSB) give(number uint8, alternate usb.Alternate) {
	u.mu.Lock()
	defer u.mu.Unlock()
	claim := &usbClaim{alternate: alternate, pipes: map[usbPipe]*deviceTurns{}}
	for _, e := range alternate.Endpoints {
		claim.pipes[usbPipe{e.Direction, e.EndpointNumber}] = &deviceTurns{}
	}
	claim.ctx, claim.cancel = context.WithCancel(u.life)
	u.claims[number] = claim
}

// take takes a claim away, and waits until its transfers have ended.
func (u *openUSB) take(number uint8) (alternate usb.Alternate, claimed bool) {
	u.mu.Lock()
	claim := u.claims[number]
	delete(u.claims, number)
	u.mu.Unlock()
	if claim == nil {
		return alternate, false
	}
	claim.cancel()
	claim.transfers.Wait()
	return claim.alternate, true
}

// claimWith is the claim that an endpoint is part of, nil if there is none. Until its
// Done is called the claim waits.
func (u *openUSB) claimWith(pipe usbPipe) *usbClaim {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, claim := range u.claims {
		if claim.pipes[pipe] != nil {
			claim.transfers.Add(1)
			return claim
		}
	}
	return nil
}

// usbTransfer does a transfer of an endpoint that the document has claimed, after those
// that it has asked for before. Isochronous ones do not wait until these are done: what
// comes meanwhile would be lost.
func usbTransfer[R any](u *openUSB, turn deviceTurn, pipe usbPipe, transfer func(ctx context.Context) (R, error)) (any, error) {
	claim := u.claimWith(pipe)
	if claim == nil {
		return nil, errUSBEndpoint
	}
	defer claim.transfers.Done()
	turn = turn.move(claim.ctx, claim.pipes[pipe])
	defer turn.end(claim.ctx)
	if claim.isochronous(pipe) {
		turn.end(claim.ctx)
	}
	result, err := transfer(claim.ctx)
	if err != nil {
		return nil, u.transferError(claim.ctx, err)
	}
	return result, nil
}

func (c *usbClaim) isochronous(pipe usbPipe) bool {
	return slices.ContainsFunc(c.alternate.Endpoints, func(e usb.Endpoint) bool {
		return e.Type == "isochronous" && usbPipe{e.Direction, e.EndpointNumber} == pipe
	})
}

// transferError is an error of a transfer as Chromium names it to pages.
func (u *openUSB) transferError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, usb.ErrLost):
		return errDeviceGone
	case ctx.Err() != nil, errors.Is(err, os.ErrClosed):
		return &domException{"AbortError", "The transfer was cancelled."}
	}
	u.client.page.session.browser.log.Warn("a page could not use a USB device", "device", u.device.ProductName, "page", u.client.page.URL(), "error", err)
	return &domException{"NetworkError", "A transfer error has occurred."}
}

// clearHalt does not wait for transfers of the endpoint.
func (u *openUSB) clearHalt(q usbQuestion) error {
	claim := u.claimWith(usbPipe{q.Direction, q.Endpoint})
	if claim == nil {
		return errUSBEndpoint
	}
	defer claim.transfers.Done()
	return u.changed(u.connection.ClearHalt(claim.ctx, q.Direction, q.Endpoint), "Unable to clear endpoint.")
}

// control does a control transfer.
func (u *openUSB) control(turn deviceTurn, in bool, q usbQuestion) (any, error) {
	ctx, done, err := u.mayControl(in, q)
	if err != nil {
		return nil, err
	}
	defer done()
	turn = turn.move(ctx, &u.controls)
	defer turn.end(ctx)
	var r usbResult
	if in {
		r.Data, r.Status, err = u.connection.ControlIn(ctx, q.Setup, int(q.Length))
	} else {
		r.Written, r.Status, err = u.connection.ControlOut(ctx, q.Setup, q.Data)
	}
	if err != nil {
		return nil, u.transferError(ctx, err)
	}
	return r, nil
}

// mayControl reports whether a document may do a control transfer, as Chromium judges
// it: of interfaces and endpoints only to those that it has claimed, of standard
// requests only those that read, and none that could mean a protected interface. done
// is to be called after the transfer.
func (u *openUSB) mayControl(in bool, q usbQuestion) (ctx context.Context, done func(), err error) {
	ctx, done = u.life, func() {}
	s := q.Setup
	switch s.Recipient {
	case usb.ToInterface:
		if !slices.Contains(u.claimed(), uint8(s.Index)) {
			return nil, nil, errUSBNotClaimed
		}
	case usb.ToEndpoint:
		direction := usb.Out
		if s.Index&0x80 != 0 {
			direction = usb.In
		}
		claim := u.claimWith(usbPipe{direction, uint8(s.Index & 0x0f)})
		if claim == nil {
			return nil, nil, errUSBEndpoint
		}
		ctx, done = claim.ctx, claim.transfers.Done
	}
	if !u.allowed(in, s, q.Data) {
		done()
		return nil, nil, errUSBNotAllowed
	}
	return ctx, done, nil
}

func (u *openUSB) allowed(in bool, s usb.Setup, data []byte) bool {
	switch s.Recipient {
	case usb.ToDevice, usb.ToInterface, usb.ToEndpoint, usb.ToOther:
	default:
		return false
	}
	switch s.RequestType {
	case usb.Standard:
		return in && slices.Contains(readingUSBRequests(), s.Request)
	case usb.Class, usb.Vendor:
	default:
		return false
	}
	u.mu.Lock()
	configured := u.selected != nil
	u.mu.Unlock()
	if !configured {
		return false
	}
	if s.RequestType == usb.Class && s.Recipient != usb.ToEndpoint {
		if i := u.interfaceOf(uint8(s.Index)); i != nil && i.Protected(u.protected) {
			return false
		}
	}
	return in || !makesSecurityKey(s, data)
}

// readingUSBRequests are the standard requests that change nothing: for the status, a
// descriptor, the configuration, the interface and the number of a frame.
func readingUSBRequests() []uint8 { return []uint8{0x00, 0x06, 0x08, 0x0A, 0x0C} }

// makesSecurityKey reports whether a request tells an Android phone to be a security
// key. Its name for that is known to Chromium alone.
func makesSecurityKey(s usb.Setup, data []byte) bool {
	const sendString, modelName = 52, 1
	return s.RequestType == usb.Vendor && s.Request == sendString && s.Index == modelName && bytes.HasPrefix(data, []byte("12eba9f901039b36"))
}
