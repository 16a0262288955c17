package cdp

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// consoleEvent is an event as a page that logs causes it.
const consoleEvent = `{"method":"Runtime.consoleAPICalled","params":{"type":"log","args":[{"type":"string","value":"message"},{"type":"number","value":17,"description":"17"}],"executionContextId":1,"timestamp":1790000000000.123,"stackTrace":{"callFrames":[{"functionName":"","scriptId":"8","url":"http://a.test:8080/page","lineNumber":3,"columnNumber":9}]}},"sessionId":"` + s32 + `"}`

func BenchmarkScan(b *testing.B) {
	for name, frame := range map[string]string{
		"event": consoleEvent,
		"reply": `{"id":123456,"result":{"result":{"type":"number","value":42,"description":"42"}},"sessionId":"` + s32 + `"}`,
		"large": `{"id":123456,"result":{"data":"` + strings.Repeat("A", 1<<20) + `"},"sessionId":"` + s32 + `"}`,
		"other": `{"sessionId":"` + s32 + `","method":"A.b","params":{"n":1}}`, // takes the tokenizer
	} {
		b.Run(name, func(b *testing.B) {
			f, e := []byte(frame), envelope{}
			b.ReportAllocs()
			for b.Loop() {
				if err := scan(f, &e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchConn is a connection that reads n copies of a frame and ends.
func benchConn(frame string, n int) *Conn {
	return newConn(NewPipe(io.NopCloser(&repeated{frame: []byte(frame + "\x00"), left: n}), nopWriter{}), ConnOptions{})
}

type nopWriter struct{}

func (nopWriter) Write(b []byte) (int, error) { return len(b), nil }
func (nopWriter) Close() error                { return nil }

// repeated is a reader of one frame many times.
type repeated struct {
	frame []byte
	left  int
	at    int
}

func (r *repeated) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) && r.left > 0 {
		c := copy(b[n:], r.frame[r.at:])
		n += c
		if r.at += c; r.at == len(r.frame) {
			r.at = 0
			r.left--
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func BenchmarkEventThatNobodyDecodes(b *testing.B) {
	c := benchConn(consoleEvent, b.N)
	c.Session(s32)
	b.ReportAllocs()
	c.start()
	<-c.Done()
}

func TestAnEventThatNobodyWantsAllocatesNothing(t *testing.T) {
	const n = 10_000
	allocs := testing.AllocsPerRun(5, func() {
		c := benchConn(consoleEvent, n)
		c.Session(s32)
		c.start()
		<-c.Done()
	})
	if allocs > n/10 { // what the connection itself costs
		t.Errorf("%d events cost %v allocations", n, allocs)
	}
}

func BenchmarkTypedEvent(b *testing.B) {
	c := benchConn(consoleEvent, b.N)
	events := c.Session(s32).Events(context.Background(), QueueOptions{Limit: b.N + 1, Bytes: 1 << 40}, "Runtime.consoleAPICalled")
	b.ReportAllocs()
	c.start()
	n := 0
	for e, err := range events {
		var ev struct {
			Type string `json:"type"`
			Args []struct {
				Type        string       `json:"type"`
				Value       jsonv2.Value `json:"value"`
				Description string       `json:"description"`
			} `json:"args"`
			ExecutionContextID int     `json:"executionContextId"`
			Timestamp          float64 `json:"timestamp"`
		}
		if err != nil || jsonv2.Unmarshal(e.Params, &ev, wireOptions) != nil || len(ev.Args) != 2 {
			b.Fatalf("got %s, %v", e.Params, err)
		}
		n++
	}
	if n != b.N {
		b.Fatalf("%d of %d events came", n, b.N)
	}
}

// BenchmarkPipelinedCalls counts the fake browser's work too, which is the
// smallest that answers.
func BenchmarkPipelinedCalls(b *testing.B) {
	for _, inFlight := range []int{1, 64, 1000, 10_000} {
		b.Run(fmt.Sprint(inFlight), func(b *testing.B) {
			f, transport := newFake(b)
			c := NewConn(transport, ConnOptions{})
			defer c.Close()
			go func() {
				var out []byte
				for {
					frame, err := f.in.ReadSlice(0)
					if err != nil {
						return
					}
					out = append(out, replyHead...)
					out = fmt.Append(out, replyID(frame))
					out = append(out, `,"result":{"result":{"type":"number","value":42}}}`+"\x00"...)
					if f.in.Buffered() == 0 || len(out) > 32<<10 {
						f.out.Write(out)
						out = out[:0]
					}
				}
			}()
			b.ReportAllocs()
			turns := make(chan struct{}, inFlight)
			s, params := c.Root(), jsonv2.Value(`{"expression":"6*7","returnByValue":true}`)
			for b.Loop() {
				turns <- struct{}{}
				go func() {
					if _, err := s.CallRaw(context.Background(), "Runtime.evaluate", params); err != nil {
						b.Error(err)
					}
					<-turns
				}()
			}
			for range inFlight {
				turns <- struct{}{}
			}
		})
	}
}
