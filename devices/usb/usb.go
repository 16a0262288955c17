// Package usb lists and opens the USB devices of this machine.
//
// Devices are described as Electron describes them (USBDevice), transfers are those of WebUSB. A [Source]
// is a set of devices: [Native] is that of this machine, others can be made in software.
package usb

import (
	"context"
	"errors"
)

// Device is a USB device: Electron's USBDevice. Hubs are none.
type Device struct {
	// DeviceID is a random token. A device that was unplugged and plugged in again has another one.
	DeviceID         string `json:"deviceId"`
	VendorID         uint16 `json:"vendorId"`
	ProductID        uint16 `json:"productId"`
	ProductName      string `json:"productName,omitempty"`
	SerialNumber     string `json:"serialNumber,omitempty"`
	ManufacturerName string `json:"manufacturerName,omitempty"`

	USBVersionMajor       uint8 `json:"usbVersionMajor"`
	USBVersionMinor       uint8 `json:"usbVersionMinor"`
	USBVersionSubminor    uint8 `json:"usbVersionSubminor"`
	DeviceClass           uint8 `json:"deviceClass"`
	DeviceSubclass        uint8 `json:"deviceSubclass"`
	DeviceProtocol        uint8 `json:"deviceProtocol"`
	DeviceVersionMajor    uint8 `json:"deviceVersionMajor"`
	DeviceVersionMinor    uint8 `json:"deviceVersionMinor"`
	DeviceVersionSubminor uint8 `json:"deviceVersionSubminor"`

	// Configuration is the one that was selected when the device was listed, nil if there was none.
	Configuration  *Configuration  `json:"configuration,omitempty"`
	Configurations []Configuration `json:"configurations"`

	// Bus and Address are where the device is, with numbers that the system chose at plugging in.
	Bus     int `json:"-"`
	Address int `json:"-"`
	// Path is what the operating system opens: "/dev/bus/usb/001/002". Only Linux has one.
	Path string `json:"-"`
}

// Identity is what tells this device from all others, also from itself after it was plugged in again: its DeviceID.
func (d Device) Identity() string { return d.DeviceID }

// Configuration is WebUSB's USBConfiguration.
type Configuration struct {
	ConfigurationValue uint8 `json:"configurationValue"`
	// ConfigurationName is known of the selected configuration only.
	ConfigurationName string      `json:"configurationName,omitempty"`
	Interfaces        []Interface `json:"interfaces"`
}

// Interface is WebUSB's USBInterface. Whether it is claimed is known by who has opened the device.
type Interface struct {
	InterfaceNumber uint8 `json:"interfaceNumber"`
	// Alternate is the alternate that was selected when the device was listed.
	Alternate  Alternate   `json:"alternate"`
	Alternates []Alternate `json:"alternates"`
}

// Alternate is WebUSB's USBAlternateInterface.
type Alternate struct {
	AlternateSetting  uint8 `json:"alternateSetting"`
	InterfaceClass    uint8 `json:"interfaceClass"`
	InterfaceSubclass uint8 `json:"interfaceSubclass"`
	InterfaceProtocol uint8 `json:"interfaceProtocol"`
	// InterfaceName is known of the selected alternate only.
	InterfaceName string     `json:"interfaceName,omitempty"`
	Endpoints     []Endpoint `json:"endpoints"`
}

// Endpoint is WebUSB's USBEndpoint. Control endpoints are left out, as there.
type Endpoint struct {
	EndpointNumber uint8     `json:"endpointNumber"`
	Direction      Direction `json:"direction"`
	Type           string    `json:"type"` // "bulk", "interrupt" or "isochronous"
	// PacketSize is in bytes. In a microframe an isochronous or interrupt endpoint of a high-speed device may
	// have up to three packets.
	PacketSize uint32 `json:"packetSize"`
}

// Direction is seen from the host.
type Direction string

// The directions.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// Setup is the setup packet of a control transfer: WebUSB's USBControlTransferParameters. The length is
// that of the data.
type Setup struct {
	RequestType RequestType `json:"requestType"`
	Recipient   Recipient   `json:"recipient"`
	Request     uint8       `json:"request"`
	Value       uint16      `json:"value"`
	Index       uint16      `json:"index"`
}

// RequestType says who has defined a request.
type RequestType string

// The types of requests.
const (
	Standard RequestType = "standard"
	Class    RequestType = "class"
	Vendor   RequestType = "vendor"
)

// Recipient says whom a request is for.
type Recipient string

// The recipients.
const (
	ToDevice    Recipient = "device"
	ToInterface Recipient = "interface"
	ToEndpoint  Recipient = "endpoint"
	ToOther     Recipient = "other"
)

// Status is WebUSB's USBTransferStatus: how a transfer ended that did take place.
type Status string

// The statuses. Stall: the endpoint is halted, see Connection.ClearHalt; or the device refused a control
// request. Babble: the device sent more than was asked for.
const (
	OK     Status = "ok"
	Stall  Status = "stall"
	Babble Status = "babble"
)

// Packet is one packet of an isochronous transfer.
type Packet struct {
	// Data is what came in. It is nil for packets that went out.
	Data []byte
	// Written is the number of bytes that went out.
	Written int
	Status  Status
}

// Options say how a device is opened.
type Options struct {
	// DetachKernelDriver takes an interface away from the kernel's driver when it is claimed, and gives it
	// back when it is released. Without it such an interface cannot be claimed.
	DetachKernelDriver bool
}

// Connection is an open device: what WebUSB's USBDevice does after open. Its methods may be called at the
// same time from several goroutines. Endpoints are given by their number, without the direction's bit.
// The end of ctx ends a transfer, with ctx's error.
type Connection interface {
	SelectConfiguration(ctx context.Context, value uint8) error
	ClaimInterface(ctx context.Context, number uint8) error
	ReleaseInterface(ctx context.Context, number uint8) error
	SelectAlternate(ctx context.Context, number, alternate uint8) error

	ControlIn(ctx context.Context, s Setup, length int) ([]byte, Status, error)
	ControlOut(ctx context.Context, s Setup, data []byte) (int, Status, error)
	// TransferIn and TransferOut are for bulk and interrupt endpoints.
	TransferIn(ctx context.Context, endpoint uint8, length int) ([]byte, Status, error)
	TransferOut(ctx context.Context, endpoint uint8, data []byte) (int, Status, error)
	IsochronousIn(ctx context.Context, endpoint uint8, lengths []int) ([]Packet, error)
	IsochronousOut(ctx context.Context, endpoint uint8, data []byte, lengths []int) ([]Packet, error)

	ClearHalt(ctx context.Context, direction Direction, endpoint uint8) error
	// Reset resets the device. Its interfaces stay claimed.
	Reset(ctx context.Context) error
	// Close ends transfers that are under way and releases the interfaces.
	Close() error
}

// Source is a set of devices that come and go.
type Source interface {
	// List gives the devices that are there, in the order of bus and address.
	List(ctx context.Context) ([]Device, error)
	// Watch calls changed when it began to watch and then whenever List may have another answer, one
	// call after the other, until ctx ends. It gives ctx's error then.
	Watch(ctx context.Context, changed func()) error
	// Open opens a device that List of the same source has given. One that is gone meanwhile is ErrLost,
	// also if another device has its place now.
	Open(ctx context.Context, d Device, o Options) (Connection, error)
}

var (
	// ErrLost says that the device is gone. errors.Is finds it in what a Connection's methods give.
	ErrLost = errors.New("the device has been lost")
	// ErrNotSupported says that this build or this system cannot do what was asked for.
	ErrNotSupported = errors.New("not supported")
)
