package bridge

import (
	"testing"
)

// bluetoothPage is a page of a browser of the test's own that has Web Bluetooth.
func bluetoothPage(t testing.TB) (*Session, *WebContents) {
	t.Helper()
	server := sharedServer(t)
	o := testOptions(server, "")
	o.Args = append(o.Args, "--enable-features=WebBluetooth")
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s, err := b.FromPartition(testContext(t), t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, testPage(t, s, server.URL("localhost", "/"))
}

// emulatesRadio gives a browser a radio with one device in reach.
func emulatesRadio(t testing.TB, s *Session) {
	t.Helper()
	at, err := s.place(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	root := at.host.root()
	radio := map[string]any{"state": "powered-on", "leSupported": true}
	peripheral := map[string]any{"address": "09:09:09:09:09:09", "name": "Heart", "manufacturerData": []any{}, "knownServiceUuids": []string{"0000180d-0000-1000-8000-00805f9b34fb"}}
	if err := root.Call(testContext(t), "BluetoothEmulation.enable", radio, nil); err != nil {
		t.Fatal(err)
	}
	if err := root.Call(testContext(t), "BluetoothEmulation.simulatePreconnectedPeripheral", peripheral, nil); err != nil {
		t.Fatal(err)
	}
}

func TestBluetooth_APageGetsWhatTheListenerChooses(t *testing.T) {
	t.Parallel()
	s, page := bluetoothPage(t)
	t.Run("CHR-4743 nothing without a radio", func(t *testing.T) {
		does(t, page, `return await navigator.bluetooth.requestDevice({acceptAllDevices: true})`, "NotFoundError: Bluetooth adapter not available.")
	})
	emulatesRadio(t, s)
	const request = `return (await navigator.bluetooth.requestDevice({filters: [{services: ['heart_rate']}]})).name`
	const cancelled = "NotFoundError: User cancelled the requestDevice() chooser."
	events := make(chan *SelectBluetoothDeviceEvent, 10)
	s.OnSelectBluetoothDevice(func(e *SelectBluetoothDeviceEvent) {
		events <- e
		e.Select("09:09:09:09:09:09")
	})
	does(t, page, request, "Heart")
	if e := next(t, events); e.WebContents != page || len(e.Devices) != 1 || e.Devices[0].DeviceID != "09:09:09:09:09:09" {
		t.Errorf("%+v", e)
	}
	t.Run("later", func(t *testing.T) {
		s.OnSelectBluetoothDevice(func(e *SelectBluetoothDeviceEvent) {
			e.PreventDefault()
			go e.Select(e.Devices[0].DeviceID)
		})
		does(t, page, request, "Heart")
	})
	t.Run("the first one when it says nothing", func(t *testing.T) {
		s.OnSelectBluetoothDevice(func(*SelectBluetoothDeviceEvent) {})
		does(t, page, request, "Heart")
	})
	t.Run("and none when it is cancelled", func(t *testing.T) {
		s.OnSelectBluetoothDevice(func(e *SelectBluetoothDeviceEvent) { e.Cancel() })
		does(t, page, request, cancelled)
	})
}
