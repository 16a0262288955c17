package bridge

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// BluetoothDevice is a device in reach: Electron's BluetoothDevice.
type BluetoothDevice struct {
	DeviceID   string `json:"id"`
	DeviceName string `json:"name"` // empty while Chromium does not know it
}

// SelectBluetoothDeviceEvent is a page that asks for a Bluetooth device: Electron's
// event select-bluetooth-device.
type SelectBluetoothDeviceEvent struct {
	// DeviceChoice is the same one for all events of a page's request. Without an
	// answer, and without PreventDefault, the first device is chosen when the listener
	// returns.
	*DeviceChoice
	// Devices are those that were found by now and fit what the page asks for.
	Devices []BluetoothDevice
	// WebContents is the page that asks.
	WebContents *WebContents
}

// OnSelectBluetoothDevice sets who chooses when a page calls
// navigator.bluetooth.requestDevice(); nil removes it. It is called again with each
// device that comes into reach, until the page has its answer. Electron has it as an
// event of WebContents.
//
// Chromium's own objects talk to the device. On Linux navigator.bluetooth is there only
// with the switch --enable-features=WebBluetooth. Without a listener a page waits for
// ever: nobody sees Chromium's chooser. Chromium has nothing for Electron's
// setBluetoothPairingHandler: pair devices that need it with the system's means.
func (s *Session) OnSelectBluetoothDevice(listener func(e *SelectBluetoothDeviceEvent)) {
	s.bluetooth.listener.set(listener)
	s.bluetooth.update()
}

// bluetooth answers Chromium's chooser of Bluetooth devices, in pages of sessions that
// have a listener.
type bluetooth struct {
	session  *Session
	listener setter[func(*SelectBluetoothDeviceEvent)]

	mu    sync.Mutex
	pages map[*cdp.Target]context.CancelFunc // nil where nobody listens
}

func newBluetooth(s *Session) *bluetooth {
	return &bluetooth{session: s, pages: map[*cdp.Target]context.CancelFunc{}}
}

func (b *bluetooth) join(t *cdp.Target) []cdp.Command {
	if t.Type() != cdp.TargetPage {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages[t] = nil
	return b.bring(t)
}

func (b *bluetooth) restarted(t *cdp.Target) []cdp.Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	stop, known := b.pages[t]
	if !known {
		return nil
	}
	if stop != nil {
		stop()
		b.pages[t] = nil
	}
	return b.bring(t)
}

func (b *bluetooth) leave(t *cdp.Target) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if stop := b.pages[t]; stop != nil {
		stop()
	}
	delete(b.pages, t)
}

// update brings the open pages to whether somebody listens.
func (b *bluetooth) update() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for t := range b.pages {
		t.Session.Conn().Send(b.bring(t)...)
	}
}

// bring returns the command that begins, or ends, to listen in a page.
func (b *bluetooth) bring(t *cdp.Target) []cdp.Command {
	on, stop := b.listener.get() != nil, b.pages[t]
	switch {
	case on && stop == nil:
		var ctx context.Context
		ctx, b.pages[t] = context.WithCancel(b.session.life)
		prompts := t.Session.Events(ctx, cdp.QueueOptions{}, "DeviceAccess.deviceRequestPrompted")
		go b.follow(ctx, t, prompts)
		return []cdp.Command{{Session: t.Session, Method: "DeviceAccess.enable"}}
	case !on && stop != nil:
		stop()
		b.pages[t] = nil
		return []cdp.Command{{Session: t.Session, Method: "DeviceAccess.disable"}}
	}
	return nil
}

// bluetoothPrompt is an event DeviceAccess.deviceRequestPrompted. It is repeated with
// each device that is found.
type bluetoothPrompt struct {
	ID      string            `json:"id"`
	Devices []BluetoothDevice `json:"devices"`
}

// follow asks the listener about the prompts of a page, one event after the other.
func (b *bluetooth) follow(ctx context.Context, t *cdp.Target, prompts iter.Seq2[cdp.Event, error]) {
	var last bluetoothPrompt
	var choice *DeviceChoice
	done := func() {}
	for e, err := range prompts {
		var prompt bluetoothPrompt
		page := b.session.page(t.ID())
		if err != nil || page == nil || jsonv2.Unmarshal(e.Params, &prompt) != nil {
			break
		}
		if prompt.ID != last.ID {
			done()
			choice, done = b.choice(ctx, t, prompt.ID)
		} else if slices.Equal(prompt.Devices, last.Devices) {
			continue
		}
		last = prompt
		b.ask(choice, SelectBluetoothDeviceEvent{DeviceChoice: choice, Devices: prompt.Devices, WebContents: page})
	}
	done()
}

// choice makes the answer to a prompt. done ends it.
func (b *bluetooth) choice(ctx context.Context, t *cdp.Target, prompt string) (choice *DeviceChoice, done context.CancelFunc) {
	ctx, done = context.WithCancel(ctx)
	return &DeviceChoice{ctx: ctx, choose: func(id string) {
		if ctx.Err() != nil {
			return
		}
		answer := cdp.Command{Session: t.Session, Method: "DeviceAccess.selectPrompt", Params: map[string]string{"id": prompt, "deviceId": id}}
		if id == "" {
			answer.Method, answer.Params = "DeviceAccess.cancelPrompt", map[string]string{"id": prompt}
		}
		answer.Done = func(_ jsonv2.Value, err error) {
			if err != nil && ctx.Err() == nil {
				b.session.browser.log.Warn("the Bluetooth device that was chosen is not there", "id", id, "error", err)
			}
		}
		t.Session.Conn().Send(answer)
	}}, done
}

// ask asks the listener, unless the prompt is answered.
func (b *bluetooth) ask(choice *DeviceChoice, e SelectBluetoothDeviceEvent) {
	listener := b.listener.get()
	if listener == nil || choice.answered() {
		return
	}
	go func() {
		b.session.browser.safely("OnSelectBluetoothDevice", func() { listener(&e) })
		if choice.ended() && len(e.Devices) > 0 {
			choice.Select(e.Devices[0].DeviceID)
		}
	}()
}
