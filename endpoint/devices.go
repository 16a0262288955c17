package endpoint

import (
	"context"
	"fmt"

	"github.com/cdpbridge/cdpbridge/devices/virtual"
)

// deviceCommands are the commands on devices made in software.
func deviceCommands() map[string]sessionCommand {
	return map[string]sessionCommand{
		"addVirtualDevice":    addVirtualDevice,
		"removeVirtualDevice": removeVirtualDevice,
		"virtualDeviceSend":   virtualDeviceSend,
	}
}

// virtualDevice is a device that a client has made. It goes with the client.
type virtualDevice interface{ Unplug() }

func addVirtualDevice(_ context.Context, d *domain, in params) (any, error) {
	var p struct {
		Type             string `json:"type"`
		PortName         string `json:"portName"`
		Name             string `json:"name"`
		DisplayName      string `json:"displayName"`
		VendorID         uint16 `json:"vendorId"`
		ProductID        uint16 `json:"productId"`
		SerialNumber     string `json:"serialNumber"`
		ReportDescriptor []byte `json:"reportDescriptor"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	id := d.newDeviceID()
	switch p.Type {
	case "serial":
		port, err := d.session.AddVirtualSerialPort(virtual.SerialPort{
			Name: p.PortName, DisplayName: p.DisplayName, VendorID: p.VendorID, ProductID: p.ProductID, SerialNumber: p.SerialNumber,
		})
		if err != nil {
			return nil, err
		}
		d.keepDevice(id, port)
		d.work.Go(func() { d.relayPort(id, in.sessionID, port) })
	case "hid":
		device, err := d.session.AddVirtualHIDDevice(virtual.HIDDevice{
			Name: p.Name, VendorID: p.VendorID, ProductID: p.ProductID, SerialNumber: p.SerialNumber, ReportDescriptor: p.ReportDescriptor,
			Output: func(_ context.Context, report byte, data []byte) error {
				d.question(in.sessionID, "virtualDeviceData", map[string]any{"deviceId": id, "reportType": "output", "reportId": report, "data": data})
				return nil
			},
		})
		if err != nil {
			return nil, err
		}
		d.keepDevice(id, device)
	default:
		return nil, &paramsError{fmt.Errorf("type is %q and not serial or hid", p.Type)}
	}
	return map[string]any{"deviceId": id}, nil
}

// relayPort tells what pages write to a port, and the lines that they set.
func (d *domain) relayPort(id, sessionID string, port *virtual.SerialDevice) {
	d.work.Go(func() {
		for lines := range port.WatchSignals(d.life) {
			d.question(sessionID, "virtualDeviceSignals", map[string]any{
				"deviceId": id, "dataTerminalReady": lines.DataTerminalReady, "requestToSend": lines.RequestToSend, "break": lines.Break,
			})
		}
	})
	for {
		data, err := port.Receive(d.life)
		if err != nil {
			return
		}
		d.question(sessionID, "virtualDeviceData", map[string]any{"deviceId": id, "data": data})
	}
}

func (d *domain) newDeviceID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made++
	return fmt.Sprintf("virtual-%d", d.made)
}

func (d *domain) keepDevice(id string, device virtualDevice) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.devices[id] = device
}

func (d *domain) device(id string) (virtualDevice, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if device := d.devices[id]; device != nil {
		return device, nil
	}
	return nil, fmt.Errorf("this connection has made no device %q", id)
}

// unplugAll unplugs what the client has made.
func (d *domain) unplugAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, device := range d.devices {
		device.Unplug()
	}
}

func removeVirtualDevice(_ context.Context, d *domain, in params) (any, error) {
	var p struct {
		DeviceID string `json:"deviceId"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	device, err := d.device(p.DeviceID)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	delete(d.devices, p.DeviceID)
	d.mu.Unlock()
	device.Unplug()
	return nil, nil
}

func virtualDeviceSend(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		DeviceID string `json:"deviceId"`
		ReportID byte   `json:"reportId"`
		Data     []byte `json:"data"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	device, err := d.device(p.DeviceID)
	if err != nil {
		return nil, err
	}
	switch device := device.(type) {
	case *virtual.SerialDevice:
		return nil, device.Send(ctx, p.Data)
	case *virtual.HIDInterface:
		return nil, device.SendInput(ctx, p.ReportID, p.Data)
	}
	return nil, nil
}
