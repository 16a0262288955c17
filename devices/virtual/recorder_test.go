package virtual

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices/hid"
	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// useScale is a page that talks to a scale, which answers what it is sent.
func useScale(t testing.TB, source serial.Source, p serial.Port) {
	t.Helper()
	ctx, off := testContext(t), false
	for _, question := range []string{"weight?", "unit?"} {
		c := must[serial.Connection](t)(source.Open(ctx, p, serial.Options{BaudRate: 9600}))
		ok(t, c.SetSignals(serial.OutputSignals{RequestToSend: &off}))
		for i := range question { // the record has it in pieces
			must[int](t)(c.Write([]byte{question[i]}))
		}
		answer := strings.ToUpper(question)
		same(t, "answer", readSerial(t, c, len(answer)), answer)
		_, err := c.Read(make([]byte, 1))
		var line *serial.LineError
		if !errors.As(err, &line) || line.Kind != serial.ParityError {
			t.Errorf("Read: %v", err)
		}
		eventuallySignals(t, c, serial.InputSignals{ClearToSend: true})
		ok(t, c.Close())
	}
}

// eventuallySignals polls the signals as a page does.
func eventuallySignals(t testing.TB, c serial.Connection, want serial.InputSignals) {
	t.Helper()
	for ctx := testContext(t); ; {
		if got := must[serial.InputSignals](t)(c.Signals()); got == want {
			return
		}
		ok(t, ctx.Err())
	}
}

// scale answers a question in capitals.
func scale(_ context.Context, l *Line) {
	question, data := "", make([]byte, 16)
	for !strings.HasSuffix(question, "?") {
		n, err := l.Read(data)
		if err != nil {
			return
		}
		question += string(data[:n])
	}
	_, _ = l.Write([]byte(strings.ToUpper(question)))
	l.SendError(serial.ParityError)
	l.SetSignals(serial.InputSignals{ClearToSend: true})
}

func recordScale(t testing.TB) (serial.Port, []byte) {
	t.Helper()
	var record bytes.Buffer
	b, recorder := testSerialBus(t), NewRecorder(&record)
	d := plugSerial(t, b, SerialPort{DisplayName: "Scale", VendorID: 0x0403, ProductID: 0x6001, BluetoothServiceClassID: "01234567-89ab-cdef-0123-456789abcdef", Serve: scale})
	useScale(t, recorder.Serial(b), d.Port())
	ok(t, recorder.Err())
	return d.Port(), record.Bytes()
}

// replayScale plugs the recorded scale in.
func replayScale(t testing.TB, record []byte, atOnce bool) (*SerialBus, *SerialDevice, *Script) {
	t.Helper()
	ports, devices, err := Replay(bytes.NewReader(record))
	ok(t, err)
	same(t, "devices", len(ports)*10+len(devices), 10)
	b := testSerialBus(t)
	ports[0].Script.AtOnce = atOnce
	return b, plugSerial(t, b, ports[0]), ports[0].Script
}

func TestReplay_ASerialPortDoesWhatItDid(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		port, record := recordScale(t)
		b, d, script := replayScale(t, record, atOnce)
		port.PortID = d.Port().PortID
		same(t, "port", d.Port(), port)
		useScale(t, b, d.Port())
		ok(t, script.Wait(testContext(t)))
	}
}

func TestReplay_TellsWhereAPageDepartsOnASerialPort(t *testing.T) {
	_, record := recordScale(t)
	for want, page := range map[string]func(c serial.Connection) error{
		"script, event 4: want output [65], got output [6f] from byte 0 on": func(c serial.Connection) error {
			off := false
			err := c.SetSignals(serial.OutputSignals{RequestToSend: &off})
			_, err2 := c.Write([]byte("wooo"))
			return errors.Join(err, err2)
		},
		"script, event 2: want setSignals {DataTerminalReady:true RequestToSend:false Break:false}, got setSignals {DataTerminalReady:true RequestToSend:true Break:true}": func(c serial.Connection) error {
			on := true
			return c.SetSignals(serial.OutputSignals{Break: &on})
		},
		"RequestToSend:false Break:false}, got close": serial.Connection.Close,
	} {
		b, d, script := replayScale(t, record, true)
		ok(t, page(openSerial(t, b, d, serial.Options{})))
		says(t, script.Wait(testContext(t)), want)
	}
	b, d, script := replayScale(t, record, true)
	_, err := b.Open(testContext(t), d.Port(), serial.Options{BaudRate: 300})
	says(t, err, "script, event 1: want open with {BaudRate:9600")
	says(t, script.Wait(testContext(t)), "got {BaudRate:300")
}

func TestReplay_AnUnpluggedSerialPortIsUnpluggedAgain(t *testing.T) {
	var record bytes.Buffer
	b, recorder, ctx := testSerialBus(t), NewRecorder(&record), testContext(t)
	d := plugSerial(t, b, SerialPort{})
	page := func(source serial.Source, p serial.Port, unplug func()) {
		c := must[serial.Connection](t)(source.Open(ctx, p, serial.Options{BaudRate: 9600}))
		unplug()
		_, err := c.Read(make([]byte, 1))
		same(t, "Read", err, serial.ErrLost)
		ok(t, c.Close())
	}
	page(recorder.Serial(b), d.Port(), d.Unplug)
	again, d, script := replayScale(t, record.Bytes(), false)
	page(again, d.Port(), func() {})
	same(t, "ports", len(must[[]serial.Port](t)(again.List(ctx))), 0)
	ok(t, script.Wait(ctx))
}

// usePad is a page that talks to a game pad, twice at once.
func usePad(t testing.TB, source hid.Source, d hid.Device) {
	t.Helper()
	ctx := testContext(t)
	first := must[hid.Connection](t)(source.Open(ctx, d))
	second := must[hid.Connection](t)(source.Open(ctx, d))
	ok(t, first.WriteOutput(ctx, 1, []byte("ping")))
	same(t, "input", readInput(t, first), "ping")
	same(t, "input", readInput(t, second), "ping")
	same(t, "feature", string(must[[]byte](t)(second.ReceiveFeature(ctx, 2))), "got!")
	says(t, first.SendFeature(ctx, 2, []byte("set!")), "refused")
	ok(t, second.Close())
	ok(t, first.Close())
}

func TestReplay_AHIDDeviceDoesWhatItDid(t *testing.T) {
	var record bytes.Buffer
	b, recorder := testHIDBus(t), NewRecorder(&record)
	var i *HIDInterface
	i = plugHID(t, b, HIDDevice{
		Name: "Pad", VendorID: 1, ProductID: 2, SerialNumber: "S", DeviceID: "pad",
		Output:         func(ctx context.Context, id byte, data []byte) error { return i.SendInput(ctx, id, data) },
		SendFeature:    func(context.Context, byte, []byte) error { return errors.New("refused") },
		ReceiveFeature: func(context.Context, byte) ([]byte, error) { return []byte("got!"), nil },
	})
	usePad(t, recorder.HID(b), i.Device())
	ok(t, recorder.Err())
	ports, devices, err := Replay(bytes.NewReader(record.Bytes()))
	ok(t, err)
	same(t, "devices", len(ports)*10+len(devices), 1)
	again := testHIDBus(t)
	d := must[*HIDInterface](t)(again.Plug(devices[0]))
	same(t, "name", d.Device().Name, "Pad")
	same(t, "input size", d.Device().MaxSize(hid.InputReport), 8)
	usePad(t, again, d.Device())
	ok(t, devices[0].Script.Wait(testContext(t)))
}

func TestReplay_WhatIsNoRecordIsTold(t *testing.T) {
	for record, want := range map[string]string{
		`{"opening": 1, "event": "output"}`: "line 1: opening 1 has not begun",
		`{"opening": 1, "event": "open"}`:   "line 1: it is not said which device",
		`{"opening": 1, "event": "open", "port": {"portId": "a"}} {"opening": 1, "event": "open"}`: "line 2: opening 1 has begun already",
		`{"opening": 1, "event": "open", "port": {"portId": "a"}`:                                  "line 1: unexpected EOF",
	} {
		_, _, err := Replay(strings.NewReader(record))
		says(t, err, want)
	}
}

func TestRecorder_ADeviceWorksOnWhenTheRecordCannotBeWritten(t *testing.T) {
	disk, full := io.Pipe()
	disk.CloseWithError(errors.New("the disk is full"))
	b, recorder := testSerialBus(t), NewRecorder(full)
	d := plugSerial(t, b, SerialPort{Serve: scale})
	useScale(t, recorder.Serial(b), d.Port())
	says(t, recorder.Err(), "the disk is full")
}
