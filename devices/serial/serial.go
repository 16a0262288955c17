// Package serial lists and opens the serial ports of this machine.
//
// Ports are described as Electron describes them (SerialPort), settings and filters are those of the
// Web Serial specification. A [Source] is a set of ports: [Native] is that of this machine, others can
// be made in software.
package serial

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Port is a serial port: Electron's SerialPort.
type Port struct {
	// PortID is a random token of the port. A port that was unplugged and plugged in again has another one.
	PortID string `json:"portId"`
	// PortName is the base name of the path: "ttyUSB0", "COM3".
	PortName string `json:"portName"`
	// DisplayName is the product string of a USB device.
	DisplayName string `json:"displayName,omitempty"`
	// VendorID and ProductID are decimal numbers. Both are empty for a port that is not of a USB device.
	VendorID  string `json:"vendorId,omitempty"`
	ProductID string `json:"productId,omitempty"`
	// SerialNumber is that of the USB device.
	SerialNumber string `json:"serialNumber,omitempty"`
	// USBDriverName is for macOS only.
	USBDriverName string `json:"usbDriverName,omitempty"`
	// DeviceInstanceID is for Windows only.
	DeviceInstanceID string `json:"deviceInstanceId,omitempty"`

	// BluetoothServiceClassID is the UUID of the service behind a Bluetooth port, in lower case.
	// The operating system's own ports have none.
	BluetoothServiceClassID string `json:"-"`
	// Path is what the operating system opens: "/dev/ttyUSB0". A port made in software has none.
	Path string `json:"-"`
}

// Identity is what tells this port from all others, also from itself after it was plugged in again: its PortID.
func (p Port) Identity() string { return p.PortID }

// USB is the vendor and product id of the USB device that the port belongs to, if it does.
func (p Port) USB() (vendor, product uint16, ok bool) {
	v, err := strconv.ParseUint(p.VendorID, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	w, err := strconv.ParseUint(p.ProductID, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	return uint16(v), uint16(w), true
}

// Options are the settings of an open port: Web Serial's SerialOptions. A zero value of a field is that
// specification's default.
type Options struct {
	// BaudRate is in bits per second. It has no default: 0 is an error.
	BaudRate uint `json:"baudRate"`
	// DataBits is 7 or 8 (default).
	DataBits uint `json:"dataBits,omitempty"`
	// StopBits is 1 (default) or 2.
	StopBits uint        `json:"stopBits,omitempty"`
	Parity   Parity      `json:"parity,omitempty"`
	Flow     FlowControl `json:"flowControl,omitempty"`
	// BufferSize is in bytes (default 255) and for those who buffer what they read and write. A
	// Connection has no buffer of its own.
	BufferSize uint `json:"bufferSize,omitempty"`
}

// Parity says which parity bit follows the data bits. The empty one is NoParity.
type Parity string

// The kinds of parity.
const (
	NoParity   Parity = "none"
	EvenParity Parity = "even"
	OddParity  Parity = "odd"
)

// FlowControl says how the two sides stop each other. The empty one is NoFlowControl.
type FlowControl string

// The kinds of flow control: none, or by the lines RTS and CTS.
const (
	NoFlowControl       FlowControl = "none"
	HardwareFlowControl FlowControl = "hardware"
)

// WithDefaults is o with the specification's defaults for what is zero.
func (o Options) WithDefaults() Options {
	if o.DataBits == 0 {
		o.DataBits = 8
	}
	if o.StopBits == 0 {
		o.StopBits = 1
	}
	if o.Parity == "" {
		o.Parity = NoParity
	}
	if o.Flow == "" {
		o.Flow = NoFlowControl
	}
	if o.BufferSize == 0 {
		o.BufferSize = 255
	}
	return o
}

// Validate says what of o no port can be set to. Zero values are fine, except for the baud rate.
func (o Options) Validate() error {
	o = o.WithDefaults()
	switch {
	case o.BaudRate == 0:
		return errors.New("the baud rate is missing")
	case o.BaudRate > 1<<31-1:
		return fmt.Errorf("baud rate %d: too large", o.BaudRate)
	case o.DataBits != 7 && o.DataBits != 8:
		return fmt.Errorf("%d data bits: only 7 and 8 are possible", o.DataBits)
	case o.StopBits != 1 && o.StopBits != 2:
		return fmt.Errorf("%d stop bits: only 1 and 2 are possible", o.StopBits)
	case o.Parity != NoParity && o.Parity != EvenParity && o.Parity != OddParity:
		return fmt.Errorf("parity %q: only none, even and odd are possible", o.Parity)
	case o.Flow != NoFlowControl && o.Flow != HardwareFlowControl:
		return fmt.Errorf("flow control %q: only none and hardware are possible", o.Flow)
	}
	return nil
}

// OutputSignals are the lines that this side sets. Nil leaves a line as it is.
type OutputSignals struct {
	DataTerminalReady *bool `json:"dataTerminalReady,omitempty"`
	RequestToSend     *bool `json:"requestToSend,omitempty"`
	// Break holds the transmit line in the break condition until it is set to false.
	Break *bool `json:"break,omitempty"`
}

// InputSignals are the lines that the other side sets.
type InputSignals struct {
	DataCarrierDetect bool `json:"dataCarrierDetect"`
	ClearToSend       bool `json:"clearToSend"`
	RingIndicator     bool `json:"ringIndicator"`
	DataSetReady      bool `json:"dataSetReady"`
}

// Connection is an open port. Its methods may be called at the same time from several goroutines, with
// one reader and one writer at a time.
type Connection interface {
	// Read waits for at least one byte and gives what is there, at most len(p) bytes. An error of the
	// line is a *LineError in its place among the bytes; reading goes on after it. ErrLost ends it.
	Read(p []byte) (int, error)
	// Write returns when the system has taken all bytes; Drain waits until they are sent.
	Write(p []byte) (int, error)
	// Drain waits until everything written is sent.
	Drain() error
	// Discard drops bytes received and not yet read, and bytes written and not yet sent.
	Discard(input, output bool) error
	SetSignals(OutputSignals) error
	Signals() (InputSignals, error)
	// Close ends calls that wait. What is not yet sent may be lost: see Drain.
	Close() error
}

// Source is a set of ports that come and go.
type Source interface {
	// List gives the ports that are there, sorted by name.
	List(ctx context.Context) ([]Port, error)
	// Watch calls changed when it began to watch and then whenever List may have another answer, one
	// call after the other, until ctx ends. It gives ctx's error then.
	Watch(ctx context.Context, changed func()) error
	// Open opens a port that List of the same source has given. One that is gone meanwhile is ErrLost,
	// also if another device has its name now.
	Open(ctx context.Context, p Port, o Options) (Connection, error)
}

// ErrLost says that the device is gone. errors.Is finds it in what a Connection's methods give.
var ErrLost = errors.New("the device has been lost")

// LineError is an error of what came over the line. The connection works on after it.
type LineError struct{ Kind LineErrorKind }

// Error says what has happened, in the words of the Web Serial specification's errors.
func (e *LineError) Error() string { return string(e.Kind) + " error on the line" }

// LineErrorKind says what was wrong with what came over the line.
type LineErrorKind string

// The kinds of line errors, with the name of the DOMException that Web Serial has for each.
const (
	BreakError   LineErrorKind = "break"   // BreakError
	FramingError LineErrorKind = "framing" // FramingError
	ParityError  LineErrorKind = "parity"  // ParityError
	OverrunError LineErrorKind = "overrun" // BufferOverrunError
)
