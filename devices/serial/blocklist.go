package serial

import "strings"

// Blocked says whether no page may use p: Bluetooth services that the Bluetooth specifications define are
// not for pages, except for the Serial Port Profile. The Web Serial specification's list names no USB devices.
func Blocked(p Port) bool {
	service := strings.ToLower(p.BluetoothServiceClassID)
	return strings.HasSuffix(service, bluetoothBase) && service != SerialPortProfile
}
