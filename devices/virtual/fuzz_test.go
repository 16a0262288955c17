package virtual

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// fuzzHID plugs a device in, makes the calls that the bytes say, and unplugs it. A script answers each call
// or ends, so that none waits.
func fuzzHID(d HIDDevice, calls []byte) {
	b := NewHIDBus()
	defer b.Close()
	i, err := b.Plug(d)
	if err != nil {
		return
	}
	c, err := b.Open(context.Background(), i.Device())
	if err != nil {
		return
	}
	fuzzCalls(context.Background(), c, calls)
	c.Close()
	i.Unplug()
}

// fuzzCalls makes calls of a page: what, which report, how many bytes, the bytes.
func fuzzCalls(ctx context.Context, c hid.Connection, calls []byte) {
	for len(calls) >= 3 {
		what, id, n := calls[0], calls[1], min(int(calls[2]), len(calls)-3)
		data := calls[3 : 3+n]
		calls = calls[3+n:]
		switch what % 3 {
		case 0:
			_ = c.WriteOutput(ctx, id, data)
		case 1:
			_ = c.SendFeature(ctx, id, data)
		case 2:
			_, _ = c.ReceiveFeature(ctx, id)
		}
	}
}

// fuzzSerial does likewise with a port.
func fuzzSerial(p SerialPort, written []byte) {
	b := NewSerialBus()
	d, err := b.Plug(p)
	if err != nil {
		return
	}
	c, err := b.Open(context.Background(), d.Port(), serial.Options{BaudRate: 9600})
	if err != nil {
		return
	}
	_, _ = c.Write(written)
	on := len(written)%2 == 0
	_ = c.SetSignals(serial.OutputSignals{Break: &on})
	_, _ = c.Signals()
	d.Unplug()
	c.Close()
	b.Close()
}

// FuzzScript: no script, and no page, breaks the program or leaves something behind.
func FuzzScript(f *testing.F) {
	pages := [][]byte{nil, {0, 1, 4, 'p', 'i', 'n', 'g', 1, 2, 4, 's', 'e', 't', '!', 2, 2, 0}, []byte("ping")}
	for _, events := range [][]Event{pingPong().Events, {{Kind: OutputEvent, Data: []byte("ping")}, {Kind: InputEvent, Error: "parity"}, {Kind: UnplugEvent}}} {
		for _, page := range pages {
			script, err := json.Marshal(&Script{Events: events, AtOnce: true})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(script, page)
		}
	}
	f.Fuzz(func(t *testing.T, text, page []byte) {
		var forHID, forSerial Script
		if json.Unmarshal(text, &forHID) != nil || json.Unmarshal(text, &forSerial) != nil {
			return
		}
		forHID.AtOnce, forSerial.AtOnce = true, true
		fuzzHID(HIDDevice{ReportDescriptor: numbered, Script: &forHID}, page)
		fuzzSerial(SerialPort{Script: &forSerial}, page)
	})
}

// FuzzReplay: no record breaks the program, and one that is read is not more than was written.
func FuzzReplay(f *testing.F) {
	_, record := recordScale(f)
	f.Add(record)
	f.Add([]byte(`{"opening":1,"event":"open","device":{"guid":"a","collections":[{"inputReports":[{"reportId":1}]}]}}
{"opening":1,"event":"input","reportId":1,"data":"cGluZw=="}
{"opening":2,"event":"open","device":{"guid":"a"}}
{"opening":1,"event":"output","reportId":1}`))
	f.Fuzz(func(t *testing.T, record []byte) {
		ports, devices, err := Replay(bytes.NewReader(record))
		if err != nil {
			return
		}
		lines := bytes.Count(record, []byte("{"))
		for _, p := range ports {
			lines -= len(p.Script.Events)
			p.Script.AtOnce = true
			fuzzSerial(p, record)
		}
		for _, d := range devices {
			lines -= len(d.Script.Events)
			d.Script.AtOnce = true
			fuzzHID(d, record)
		}
		if lines < 0 {
			t.Errorf("there are %d events too many", -lines)
		}
	})
}

// FuzzPage: a page can send anything to devices without a script, and to a loop-back.
func FuzzPage(f *testing.F) {
	f.Add([]byte{0, 1, 4, 'p', 'i', 'n', 'g', 1, 2, 4, 's', 'e', 't', '!', 2, 2, 0})
	f.Fuzz(func(t *testing.T, page []byte) {
		fuzzHID(HIDDevice{ReportDescriptor: page}, page)
		fuzzSerial(SerialPort{Serve: Loopback}, page)
		fuzzSerial(SerialPort{}, page)
	})
}
