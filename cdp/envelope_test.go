package cdp

import (
	"encoding/json"
	"strings"
	"testing"
)

const s32 = "1BA2DC1C5D3E47BFD7C173E215F25127"

// Frames as Chromium 156 writes them, and as another browser may.
var wireFrames = []struct {
	name, frame           string
	id                    int64
	method, session, body string
	failed, malformed     bool
}{
	{name: "reply of the browser", frame: `{"id":1,"result":{}}`, id: 1, body: `{}`},
	{name: "reply on a session", frame: `{"id":12,"result":{"a":{"b":1}},"sessionId":"` + s32 + `"}`, id: 12, session: s32, body: `{"a":{"b":1}}`},
	{name: "large id", frame: `{"id":4503599627370496,"result":{}}`, id: 1 << 52, body: `{}`},
	{name: "error", frame: `{"id":5,"error":{"code":-32601,"message":"'Foo.bar' wasn't found"}}`, id: 5, body: `{"code":-32601,"message":"'Foo.bar' wasn't found"}`, failed: true},
	{name: "error on a session", frame: `{"id":5,"error":{"code":-32000,"message":"no"},"sessionId":"` + s32 + `"}`, id: 5, session: s32, body: `{"code":-32000,"message":"no"}`, failed: true},
	{name: "event of the browser", frame: `{"method":"Target.targetDestroyed","params":{"targetId":"T"}}`, method: "Target.targetDestroyed", body: `{"targetId":"T"}`},
	{name: "event on a session", frame: `{"method":"Page.loadEventFired","params":{"timestamp":1.5},"sessionId":"` + s32 + `"}`, method: "Page.loadEventFired", session: s32, body: `{"timestamp":1.5}`},
	{name: "event without parameters", frame: `{"method":"Inspector.targetCrashed"}`, method: "Inspector.targetCrashed"},
	{name: "event without parameters on a session", frame: `{"method":"Inspector.targetCrashed","sessionId":"` + s32 + `"}`, method: "Inspector.targetCrashed", session: s32},
	{name: "params that end with a session id", frame: `{"method":"Target.detachedFromTarget","params":{"x":1,"sessionId":"` + s32 + `"}}`, method: "Target.detachedFromTarget", body: `{"x":1,"sessionId":"` + s32 + `"}`},
	{name: "a text that looks like a session", frame: `{"method":"A.b","params":{"text":",\"sessionId\":\"` + s32 + `\"}"}}`, method: "A.b", body: `{"text":",\"sessionId\":\"` + s32 + `\"}"}`},
	{name: "short session id", frame: `{"method":"A.b","params":{},"sessionId":"S1"}`, method: "A.b", session: "S1", body: `{}`},
	{name: "long session id", frame: `{"id":1,"result":{},"sessionId":"` + s32 + s32 + `"}`, id: 1, session: s32 + s32, body: `{}`},
	{name: "session first", frame: `{"sessionId":"` + s32 + `","id":7,"result":{"a":1}}`, id: 7, session: s32, body: `{"a":1}`},
	{name: "params first", frame: `{"params":{"a":1},"method":"A.b"}`, method: "A.b", body: `{"a":1}`},
	{name: "result first", frame: `{"result":{"a":1},"id":3}`, id: 3, body: `{"a":1}`},
	{name: "unknown members", frame: `{"jsonrpc":"2.0","id":3,"result":{}}`, id: 3, body: `{}`},
	{name: "white space", frame: " { \"id\" : 3 , \"result\" : { } }", id: 3, body: `{ }`},
	{name: "escapes in the method", frame: `{"method":"A.\u0062","params":{}}`, method: "A.b", body: `{}`},
	{name: "a quote in the method", frame: `{"method":"A.\"b","params":{}}`, method: `A."b`, body: `{}`},
	{name: "escapes in the session id", frame: `{"id":1,"result":{},"sessionId":"\u0041BCDEFGHIJKLMNOPQRSTUVWXYZ"}`, id: 1, session: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", body: `{}`},
	{name: "result that is no object", frame: `{"id":1,"result":null}`, id: 1, body: `null`},
	{name: "lone surrogate", frame: `{"method":"A.b","params":{"t":"\ud800"}}`, method: "A.b", body: `{"t":"\ud800"}`},
	{name: "invalid UTF-8", frame: "{\"params\":{\"t\":\"\xed\xa0\x80\"},\"method\":\"A.b\"}", method: "A.b", body: "{\"t\":\"\xed\xa0\x80\"}"},

	{name: "nothing", frame: ``, malformed: true},
	{name: "no object", frame: `[1]`, malformed: true},
	{name: "cut", frame: `{"id":1,"result":{`, malformed: true},
	{name: "cut in a text", frame: `{"method":"A.b","params":{"a":"}`, malformed: true},
	{name: "text after the frame", frame: `{"result":{},"id":1}{}`, malformed: true},
	{name: "neither reply nor event", frame: `{"result":{}}`, malformed: true},
	{name: "complaint without an id", frame: `{"error":{"code":-32700,"message":"JSON: invalid token at position 0"}}`, malformed: true},
	{name: "id that is no number", frame: `{"id":"1","result":{}}`, malformed: true},
	{name: "id with a fraction", frame: `{"id":1.5,"result":{}}`, malformed: true},
	{name: "id of null", frame: `{"id":null,"error":{"code":1,"message":""}}`, malformed: true},
	{name: "id too large", frame: `{"id":99999999999999999999,"result":{}}`, malformed: true},
	{name: "method that is no text", frame: `{"method":5,"params":{}}`, malformed: true},
	{name: "member given twice", frame: `{"x":1,"id":1,"id":2,"result":{}}`, malformed: true},
}

func TestEveryShapeOfFrameIsRouted(t *testing.T) {
	for _, f := range wireFrames {
		t.Run(f.name, func(t *testing.T) {
			var e envelope
			err := scan([]byte(f.frame), &e)
			if f.malformed {
				if err == nil {
					t.Fatalf("%s was taken as %+v", f.frame, e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.id != f.id || string(e.method) != f.method || string(e.session) != f.session || string(e.body) != f.body || e.failed != f.failed {
				t.Errorf("%s\ngave id %d method %q session %q body %q failed %v", f.frame, e.id, e.method, e.session, e.body, e.failed)
			}
		})
	}
}

func TestRoutingAFrameAllocatesNothing(t *testing.T) {
	for _, frame := range []string{
		`{"id":12,"result":{"a":{"b":1}},"sessionId":"` + s32 + `"}`,
		`{"id":5,"error":{"code":-32000,"message":"no"}}`,
		`{"method":"Runtime.consoleAPICalled","params":{"text":"` + strings.Repeat("x", 4000) + `"},"sessionId":"` + s32 + `"}`,
	} {
		b, e := []byte(frame), envelope{}
		if n := testing.AllocsPerRun(100, func() { scan(b, &e) }); n != 0 {
			t.Errorf("%.40s… costs %v allocations", frame, n)
		}
	}
}

func TestTheIDIsReadFromTheStartOfAFrame(t *testing.T) {
	for head, want := range map[string]int64{
		`{"id":42,"result":{"data":"AAAA`: 42,
		`{"id":42`:                        0,
		`{"method":"A.b","params":{"x`:    0,
		`{"id":x,`:                        0,
		``:                                0,
	} {
		if got := replyID([]byte(head)); got != want {
			t.Errorf("%q gave %d, want %d", head, got, want)
		}
	}
}

// FuzzScan looks for frames on which the scanner panics, or on which it and the
// tokenizer disagree. Chromium writes well-formed JSON with its members in one
// order, so that is where they must agree.
func FuzzScan(f *testing.F) {
	for _, c := range wireFrames {
		f.Add([]byte(c.frame), c.id, c.method, c.session, c.body)
	}
	f.Fuzz(func(t *testing.T, raw []byte, id int64, method, session, text string) {
		var e envelope
		scan(raw, &e)
		replyID(raw)

		body := map[string]any{"text": text, "nested": map[string]string{session: method}}
		for _, frame := range []any{
			struct {
				ID        int64  `json:"id"`
				Result    any    `json:"result"`
				SessionID string `json:"sessionId,omitempty"`
			}{id, body, session},
			struct {
				ID        int64  `json:"id"`
				Error     any    `json:"error"`
				SessionID string `json:"sessionId,omitempty"`
			}{id, body, session},
			struct {
				Method    string `json:"method"`
				Params    any    `json:"params"`
				SessionID string `json:"sessionId,omitempty"`
			}{method, body, session},
		} {
			b, err := json.Marshal(frame)
			if err != nil {
				t.Skip()
			}
			var fast, full envelope
			errFast, errFull := scan(b, &fast), tokenize(b, &full)
			if (errFast == nil) != (errFull == nil) {
				t.Fatalf("%s: scan says %v, tokenize %v", b, errFast, errFull)
			}
			if errFast == nil && (fast.id != full.id || string(fast.method) != string(full.method) ||
				string(fast.session) != string(full.session) || string(fast.body) != string(full.body) || fast.failed != full.failed) {
				t.Fatalf("%s:\nscan     %+v\ntokenize %+v", b, fast, full)
			}
		}
	})
}

func TestACommandIsOneFrame(t *testing.T) {
	for want, got := range map[string][]byte{
		`{"id":1,"method":"Page.enable"}`:                                    appendCommand(nil, 1, "", "Page.enable", nil),
		`{"id":2,"method":"Page.enable","sessionId":"S"}`:                    appendCommand(nil, 2, "S", "Page.enable", nil),
		`{"id":3,"method":"A.b","params":{"x":1},"sessionId":"` + s32 + `"}`: appendCommand(nil, 3, s32, "A.b", []byte(`{"x":1}`)),
	} {
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
