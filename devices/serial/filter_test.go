package serial

import "testing"

func TestMatches(t *testing.T) {
	n := func(n uint16) *uint16 { return &n }
	ftdi := Port{VendorID: "1027", ProductID: "24577"}
	board := Port{PortName: "ttyS0"}
	bluetooth := Port{BluetoothServiceClassID: SerialPortProfile}
	own := Port{BluetoothServiceClassID: "25e97ff7-24ce-4c4c-8951-f764a708f7b5"}
	for _, c := range []struct {
		filters []Filter
		port    Port
		want    bool
	}{
		{nil, ftdi, true},
		{nil, board, true},
		{nil, bluetooth, true},
		{nil, own, false},
		{[]Filter{{USBVendorID: n(0x0403)}}, ftdi, true},
		{[]Filter{{USBVendorID: n(0x0403), USBProductID: n(1)}}, ftdi, false},
		{[]Filter{{USBVendorID: n(0x0403), USBProductID: n(1)}, {USBVendorID: n(0x0403), USBProductID: n(0x6001)}}, ftdi, true},
		{[]Filter{{USBVendorID: n(0)}}, board, false},
		{[]Filter{{BluetoothServiceClassID: "25E97FF7-24CE-4C4C-8951-F764A708F7B5"}}, own, true},
		{[]Filter{{BluetoothServiceClassID: SerialPortProfile}}, ftdi, false},
	} {
		if got := Matches(c.filters, c.port); got != c.want {
			t.Errorf("%+v, %+v: %v", c.filters, c.port, got)
		}
	}
}

func TestBlocked(t *testing.T) {
	for service, want := range map[string]bool{
		"":                                     false,
		SerialPortProfile:                      false,
		"25e97ff7-24ce-4c4c-8951-f764a708f7b5": false,
		"0000110A-0000-1000-8000-00805F9B34FB": true,
	} {
		if Blocked(Port{BluetoothServiceClassID: service}) != want {
			t.Errorf("%q is blocked: %v", service, !want)
		}
	}
}
