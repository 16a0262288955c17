package virtual

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices/hid"
)

// pingPong answers output report 1, and has a feature report 2.
func pingPong() *Script {
	return &Script{Events: []Event{
		{Kind: InputEvent, ReportID: 1, Data: []byte("hello")},
		{Kind: OutputEvent, ReportID: 1, Data: []byte("ping")},
		{Kind: InputEvent, ReportID: 1, Data: []byte("pong"), Time: 20},
		{Kind: SendFeatureEvent, ReportID: 2, Data: []byte("set!")},
		{Kind: ReceiveFeatureEvent, ReportID: 2, Data: []byte("got!")},
		{Kind: ReceiveFeatureEvent, ReportID: 2, Error: "busy"},
	}}
}

func readInput(t testing.TB, c hid.Connection) string {
	t.Helper()
	_, data, err := c.ReadInput(testContext(t))
	ok(t, err)
	return string(data)
}

// says checks that an error has words in it.
func says(t testing.TB, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("the error is %v, not %q", err, words)
	}
}

func TestScript_AHIDDeviceDoesWhatIsWritten(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	script := pingPong()
	c := openHID(t, b, plugHID(t, b, HIDDevice{Script: script}))
	same(t, "input", readInput(t, c), "hello")
	ok(t, c.WriteOutput(ctx, 1, []byte("ping")))
	same(t, "input", readInput(t, c), "pong")
	ok(t, c.SendFeature(ctx, 2, []byte("set!")))
	same(t, "feature", string(must[[]byte](t)(c.ReceiveFeature(ctx, 2))), "got!")
	_, err := c.ReceiveFeature(ctx, 2)
	says(t, err, "busy")
	ok(t, script.Wait(ctx))
}

func TestScript_TellsWhatThePageDidInstead(t *testing.T) {
	for name, test := range map[string]struct {
		page func(context.Context, hid.Connection) error
		want string
	}{
		"another report": {func(ctx context.Context, c hid.Connection) error { return c.WriteOutput(ctx, 1, []byte("pang")) },
			"script, event 2: want output 1 [70 69 6e 67], got output 1 [70 61 6e 67]"},
		"another call": {func(ctx context.Context, c hid.Connection) error { _, err := c.ReceiveFeature(ctx, 2); return err },
			"script, event 2: want output 1 [70 69 6e 67], got receiveFeature 2"},
		"nothing": {func(_ context.Context, c hid.Connection) error {
			return errors.Join(c.Close(), errors.New("got close"))
		},
			"script, event 2: want output 1 [70 69 6e 67], got close"},
	} {
		t.Run(name, func(t *testing.T) {
			b, ctx := testHIDBus(t), testContext(t)
			script := pingPong()
			c := openHID(t, b, plugHID(t, b, HIDDevice{Script: script}))
			says(t, test.page(ctx, c), "got ")
			says(t, script.Wait(ctx), test.want)
			if c.WriteOutput(ctx, 1, []byte("ping")) == nil {
				t.Error("the script goes on")
			}
		})
	}
}

func TestScript_TellsWhatThePageDidAfterTheEnd(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	script := &Script{Events: []Event{{Kind: OutputEvent, ReportID: 1}}}
	i := plugHID(t, b, HIDDevice{Script: script})
	c := openHID(t, b, i)
	ok(t, c.WriteOutput(ctx, 1, nil))
	ok(t, script.Wait(ctx))
	says(t, c.WriteOutput(ctx, 1, nil), "want close, got output 1")
	says(t, script.Wait(ctx), "script, event 2: want close, got output 1")

	script = &Script{Events: []Event{{Kind: CloseEvent}}}
	i = plugHID(t, b, HIDDevice{Script: script})
	ok(t, openHID(t, b, i).Close())
	ok(t, script.Wait(ctx))
	_, err := b.Open(ctx, i.Device())
	says(t, err, "script, event 2: want nothing more, got open")
}

func TestScript_TellsWhatHasNotHappened(t *testing.T) {
	b := testHIDBus(t)
	script := &Script{Events: pingPong().Events[1:]}
	i := plugHID(t, b, HIDDevice{Script: script})
	openHID(t, b, i)
	ctx, end := context.WithCancel(testContext(t))
	waits := begin(func() error { return script.Wait(ctx) })
	end()
	err := <-waits
	says(t, err, "output 1 [70 69 6e 67] has not happened")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	i.Unplug()
	if err := script.Wait(testContext(t)); !errors.Is(err, hid.ErrLost) {
		t.Errorf("Wait for the unplugged device: %v", err)
	}
}

func TestScript_ComesFromJSON(t *testing.T) {
	b, ctx := testHIDBus(t), testContext(t)
	var script Script
	ok(t, json.Unmarshal([]byte(`{"atOnce": true, "events": [
		{"event": "open"},
		{"event": "output", "reportId": 1, "data": "cGluZw=="},
		{"event": "input", "reportId": 1, "data": "cG9uZw==", "time": 1e300},
		{"event": "close"},
		{"event": "open"},
		{"event": "unplug"}
	]}`), &script))
	i := plugHID(t, b, HIDDevice{Script: &script})
	c := openHID(t, b, i)
	ok(t, c.WriteOutput(ctx, 1, []byte("ping")))
	same(t, "input", readInput(t, c), "pong")
	ok(t, c.Close())
	_, _, err := openHID(t, b, i).ReadInput(ctx)
	same(t, "ReadInput", err, hid.ErrLost)
	ok(t, script.Wait(ctx))
}

func TestScript_WhatADeviceCannotDoIsToldWhenItIsPluggedIn(t *testing.T) {
	b := testHIDBus(t)
	for want, d := range map[string]HIDDevice{
		`script, event 1: there is no event "dance"`:    {Script: &Script{Events: []Event{{Kind: "dance"}}}},
		"script, event 1: the report descriptor has no": {Script: &Script{Events: []Event{{Kind: InputEvent, ReportID: 9}}}},
		"a script or functions":                         {Script: pingPong(), Output: func(context.Context, byte, []byte) error { return nil }},
	} {
		d.ReportDescriptor = numbered
		_, err := b.Plug(d)
		says(t, err, want)
	}
}
