package bridge

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// SelectSerialPortEvent is a page that asks for a serial port: Electron's event
// select-serial-port.
type SelectSerialPortEvent struct {
	DeviceRequest
	// Ports are those that fit what the page asks for, sorted by their names.
	Ports []SerialPort
}

// OnSelectSerialPort sets who chooses when a page calls navigator.serial.requestPort();
// nil removes it. The port is chosen by its PortID. It is Electron's event
// select-serial-port. Without a listener the page gets a NotFoundError.
//
// Pages of a session with a listener, with a SetDevicePermissionHandler, with granted
// devices or with virtual ones have Web Serial as the specification says it; the ports
// are opened by the bridge. What Chromium's own serial ports have and these do not:
// they cannot be transferred to workers by postMessage, and events of theirs are not
// trusted ones.
func (s *Session) OnSelectSerialPort(listener func(e *SelectSerialPortEvent)) {
	var ask func(DeviceRequest, []SerialPort)
	if listener != nil {
		ask = func(r DeviceRequest, fitting []SerialPort) { listener(&SelectSerialPortEvent{r, fitting}) }
	}
	s.devices.serial.setListener(ask)
}

// SerialPortEvents returns an iterator over the serial ports that are plugged in and
// unplugged while a page that has asked for one is there, as far as they fit what it
// asked for, and those that pages forget, from now on. It is Electron's events
// serial-port-added, serial-port-removed and serial-port-revoked.
func (s *Session) SerialPortEvents(ctx context.Context) iter.Seq[DeviceEvent[SerialPort]] {
	return s.devices.serial.listen(ctx)
}

func newSerialKind(a *deviceAccess) *deviceKind[SerialPort, serial.Source] {
	return newDeviceKind(a, devices.Serial, deviceTraits[SerialPort, serial.Source]{
		sources:    func() []serial.Source { return []serial.Source{a.session.browser.devices.serial, a.virtual.serial} },
		grant:      serialGrant,
		permission: func(p *DevicePermission, port SerialPort) { p.Serial = &port },
		page:       serialPage,
		shown:      func(port SerialPort) bool { return !serial.Blocked(port) },
		group:      SerialPort.Identity,
		wants:      wantedPorts,
		open:       openSerialPort,
	})
}

// serialGrant is what is remembered of a port. One that has no names of a USB device is
// another one after it was away.
func serialGrant(port SerialPort) devices.Grant {
	g := devices.Grant{Kind: devices.Serial, Name: cmp.Or(port.DisplayName, port.PortName)}
	vendor, product, isUSB := port.USB()
	g.VendorID, g.ProductID = vendor, product
	if !isUSB || port.SerialNumber == "" || port.DisplayName == "" {
		g.Identity = port.PortID
		return g
	}
	g.SerialNumber = port.SerialNumber
	return g
}

func serialPage(port SerialPort) map[string]any {
	info := map[string]any{}
	if vendor, product, ok := port.USB(); ok {
		info["usbVendorId"], info["usbProductId"] = vendor, product
	}
	if port.BluetoothServiceClassID != "" {
		info["bluetoothServiceClassId"] = port.BluetoothServiceClassID
	}
	return map[string]any{"info": info}
}

func wantedPorts(q deviceQuestion) (func(SerialPort) bool, error) {
	var wanted struct {
		Filters []serial.Filter `json:"filters"`
	}
	err := q.decode(&wanted)
	return func(port SerialPort) bool { return serial.Matches(wanted.Filters, port) }, err
}

// openSerial is a serial port that a document has open. It is read ahead: Chromium
// does it too, into a pipe of the size that the page says, and a line without flow
// control loses what nobody takes.
type openSerial struct {
	client   *deviceClient
	identity string
	port     serial.Connection

	writing sync.Mutex
	mu      sync.Mutex
	changed chan struct{} // closed and renewed when there is more to read, or less
	read    []byte
	errs    []serialError
	cleared int // how often what had come was discarded
	ended   bool
}

// serialError is what went wrong on the line after some bytes.
type serialError struct {
	after int // bytes of read
	err   *domException
}

// readAhead is how many bytes of a port wait for the page. It is 3 seconds of the
// fastest lines.
const readAhead = 1 << 20

func openSerialPort(ctx context.Context, c *deviceClient, source serial.Source, port SerialPort, q deviceQuestion) (deviceConnection, error) {
	var asked struct {
		Options serial.Options `json:"options"`
	}
	failed := &domException{"NetworkError", "Failed to open serial port."}
	if err := q.decode(&asked); err != nil {
		return nil, failed
	}
	connection, err := source.Open(ctx, port, asked.Options)
	if err != nil {
		c.page.session.browser.log.Warn("a page could not open a serial port", "port", port.PortName, "page", c.page.URL(), "error", devices.Explain(port, err))
		return nil, failed
	}
	s := &openSerial{client: c, identity: port.PortID, port: connection, changed: make(chan struct{})}
	go s.pump()
	return s, nil
}

func (s *openSerial) close() { s.port.Close() }

// pump reads what comes until the port is closed or lost.
func (s *openSerial) pump() {
	chunk := make([]byte, 64<<10)
	for {
		n, err := s.port.Read(chunk)
		s.mu.Lock()
		s.read = append(s.read, chunk[:n]...)
		if err != nil {
			s.errs = append(s.errs, serialError{len(s.read), serialException(err)})
		}
		var line *serial.LineError
		s.ended = err != nil && !errors.As(err, &line)
		s.notify()
		for len(s.read) >= readAhead && !s.ended {
			changed := s.changed
			s.mu.Unlock()
			select {
			case <-changed:
			case <-s.client.life.Done():
			}
			s.mu.Lock()
			if s.client.life.Err() != nil {
				s.ended = true
			}
		}
		ended := s.ended
		s.mu.Unlock()
		if ended {
			break
		}
	}
	s.port.Close()
	s.client.say("tell", devices.Serial, deviceMessage{Type: "lost", Device: map[string]any{"id": s.identity}})
}

// notify wakes who waits for a change.
func (s *openSerial) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// serialException is an error as Chromium names it to pages.
func serialException(err error) *domException {
	var line *serial.LineError
	if !errors.As(err, &line) {
		return errDeviceGone
	}
	switch line.Kind {
	case serial.BreakError:
		return &domException{"BreakError", "Break received"}
	case serial.FramingError:
		return &domException{"FramingError", "Framing error"}
	case serial.ParityError:
		return &domException{"ParityError", "Parity error"}
	case serial.OverrunError:
		return &domException{"BufferOverrunError", "Buffer overrun"}
	}
	return &domException{"UnknownError", "An unknown system error has occurred."}
}

func (s *openSerial) do(ctx context.Context, q deviceQuestion) (any, error) {
	q.turn.end(ctx)
	var asked struct {
		Most    int                  `json:"most"`
		Data    []byte               `json:"data"`
		Input   bool                 `json:"input"`
		Output  bool                 `json:"output"`
		Signals serial.OutputSignals `json:"signals"`
	}
	if err := q.decode(&asked); err != nil {
		return nil, err
	}
	switch q.op {
	case "read":
		return s.take(ctx, asked.Most)
	case "write":
		return nil, s.write(asked.Data)
	case "drain":
		return nil, s.port.Drain()
	case "discard":
		return nil, s.discard(asked.Input, asked.Output)
	case "getSignals":
		signals, err := s.port.Signals()
		if err != nil {
			return nil, s.failure(err, "Failed to get control signals.")
		}
		return signals, nil
	case "setSignals":
		if err := s.port.SetSignals(asked.Signals); err != nil {
			return nil, s.failure(err, "Failed to set control signals.")
		}
		return nil, nil
	}
	return nil, errNoSuchOperation
}

func (s *openSerial) failure(err error, message string) error {
	if errors.Is(err, serial.ErrLost) {
		return errDeviceGone
	}
	return &domException{"NetworkError", message}
}

func (s *openSerial) write(data []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.port.Write(data)
	if err != nil && !errors.Is(err, serial.ErrLost) && s.client.life.Err() == nil {
		s.client.page.session.browser.log.Warn("a page could not write to a serial port", "page", s.client.page.URL(), "error", err)
	}
	if err != nil {
		return errDeviceGone
	}
	return nil
}

// take waits for what has come, and returns at most so many bytes of it.
func (s *openSerial) take(ctx context.Context, most int) ([]byte, error) {
	s.mu.Lock()
	cleared := s.cleared
	s.mu.Unlock()
	for {
		s.mu.Lock()
		if s.cleared != cleared { // the page does not wait any more
			s.mu.Unlock()
			return []byte{}, nil
		}
		n := min(len(s.read), max(most, 1))
		if len(s.errs) > 0 {
			n = min(n, s.errs[0].after)
		}
		switch {
		case n > 0:
			taken := s.read[:n]
			s.drop(n)
			s.mu.Unlock()
			return taken, nil
		case len(s.errs) > 0:
			err := s.errs[0].err
			if !s.ended || len(s.errs) > 1 { // the last one of a lost port stays
				s.errs = s.errs[1:]
			}
			s.mu.Unlock()
			return nil, err
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errDeviceGone
		}
	}
}

// drop takes bytes away that were read.
func (s *openSerial) drop(n int) {
	s.read = s.read[n:]
	for i := range s.errs {
		s.errs[i].after -= n
	}
	if len(s.read) == 0 {
		s.read = nil
	}
	s.notify()
}

func (s *openSerial) discard(input, output bool) error {
	err := s.port.Discard(input, output)
	if input {
		s.mu.Lock()
		s.cleared++
		s.drop(len(s.read))
		if !s.ended {
			s.errs = nil
		}
		s.mu.Unlock()
	}
	return err
}
