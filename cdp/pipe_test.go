package cdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// pipeOf is the transport of a browser that says the text and hangs up.
func pipeOf(text string) *pipe {
	return NewPipe(io.NopCloser(strings.NewReader(text)), nil).(*pipe)
}

func TestFramesOfEverySizeArriveWhole(t *testing.T) {
	var all bytes.Buffer
	sizes := []int{1, 2, 64<<10 - 2, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 9 << 20, 3}
	for i, n := range sizes {
		all.Write(bytes.Repeat([]byte{byte('a' + i)}, n))
		all.WriteByte(0)
	}
	p := pipeOf(all.String())
	for i, n := range sizes {
		frame, err := p.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat([]byte{byte('a' + i)}, n); !bytes.Equal(frame, want) {
			t.Errorf("frame %d has %d bytes, want %d of %c", i, len(frame), n, want[0])
		}
	}
	if _, err := p.ReadFrame(); err != io.EOF {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
}

func TestEmptyFramesAreFrames(t *testing.T) {
	p := pipeOf("\x00\x00{}\x00")
	for _, want := range []string{"", "", "{}"} {
		if frame, err := p.ReadFrame(); err != nil || string(frame) != want {
			t.Errorf("got %q, %v, want %q", frame, err, want)
		}
	}
}

func TestAConnectionThatEndsInAFrameEndsUnexpectedly(t *testing.T) {
	for name, text := range map[string]string{
		"small": `{"id":1`,
		"large": strings.Repeat("x", 300<<10),
	} {
		if frame, err := pipeOf(text).ReadFrame(); err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %d bytes, %v, want io.ErrUnexpectedEOF", name, len(frame), err)
		}
	}
	p := pipeOf(strings.Repeat("x", 600<<10))
	p.limit = 100 << 10
	if _, err := p.ReadFrame(); err != io.ErrUnexpectedEOF {
		t.Errorf("over the limit: %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestAFrameOverTheLimitIsSkippedWhole(t *testing.T) {
	const limit = 300 << 10
	for _, size := range []int{limit + 1, 2 * limit, 10 * limit} {
		p := pipeOf(`{"id":7,` + strings.Repeat("x", size) + "\x00next\x00")
		p.limit = limit
		head, err := p.ReadFrame()
		var large *FrameTooLargeError
		if !errors.As(err, &large) || large.Limit != limit || large.Size <= limit {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if replyID(head) != 7 {
			t.Errorf("the start of the frame is %.20q", head)
		}
		if frame, err := p.ReadFrame(); string(frame) != "next" || err != nil {
			t.Errorf("then: %.20q, %v", frame, err)
		}
	}
	p := pipeOf(strings.Repeat("x", limit-1) + "\x00")
	p.limit = limit
	if frame, err := p.ReadFrame(); err != nil || len(frame) != limit-1 {
		t.Errorf("a frame at the limit: %d bytes, %v", len(frame), err)
	}
}

func TestFramesAreWrittenInOrder(t *testing.T) {
	r, w := io.Pipe()
	p := NewPipe(io.NopCloser(strings.NewReader("")), w)
	large := bytes.Repeat([]byte("L"), largeWrite)
	go func() {
		p.WriteFrames([][]byte{large, []byte("a"), []byte("b"), large, large, []byte("c")})
		p.WriteFrames([][]byte{[]byte("d")})
		w.Close()
	}()
	got, err := io.ReadAll(r)
	want := bytes.Join([][]byte{large, []byte("a"), []byte("b"), large, large, []byte("c"), []byte("d"), nil}, []byte{0})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestCommandsOfOneSenderKeepTheirOrder(t *testing.T) {
	f, c := fakeConn(t, ConnOptions{})
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				a := Command{Session: c.Root(), Method: "A.a", Params: [2]int{s, 2 * i}}
				b := Command{Session: c.Root(), Method: "A.b", Params: [2]int{s, 2*i + 1}}
				c.Send(a, b)
			}
		})
	}
	var next [senders]int
	for range senders * each {
		for _, method := range []string{"A.a", "A.b"} { // what is sent together arrives together
			cmd := f.expect(method)
			var p [2]int
			if err := json.Unmarshal(cmd.Params, &p); err != nil {
				t.Fatal(err)
			}
			if p[1] != next[p[0]] {
				t.Fatalf("command %d of sender %d came, want %d", p[1], p[0], next[p[0]])
			}
			next[p[0]]++
		}
	}
	wg.Wait()
}

func TestClosingAPipeEndsItsReadersAndWriters(t *testing.T) {
	r, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := NewPipe(r, w)
	ended := make(chan error, 2)
	go func() { _, err := p.ReadFrame(); ended <- err }()
	go func() { ended <- p.WriteFrames([][]byte{make([]byte, 4<<20)}) }() // more than a pipe holds
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := await(t, "the end of a read and a write", ended); err == nil {
			t.Error("it succeeded")
		}
	}
}

// FuzzPipe holds the reader against the plainest way to split at zero bytes,
// however the bytes come in.
func FuzzPipe(f *testing.F) {
	f.Add([]byte("a\x00\x00bb\x00c"), uint16(3), uint16(1))
	f.Fuzz(func(t *testing.T, text []byte, chunk, repeat uint16) {
		text = bytes.Repeat(text, 1+int(repeat))
		if len(text) > 4<<20 {
			t.Skip()
		}
		p := NewPipe(io.NopCloser(&slowReader{text: text, chunk: 1 + int(chunk)}), nil)
		parts := bytes.Split(text, []byte{0})
		for _, want := range parts[:len(parts)-1] {
			if frame, err := p.ReadFrame(); err != nil || !bytes.Equal(frame, want) {
				t.Fatalf("got %q, %v, want %q", frame, err, want)
			}
		}
		want := io.EOF
		if len(parts[len(parts)-1]) > 0 {
			want = io.ErrUnexpectedEOF
		}
		if _, err := p.ReadFrame(); err != want {
			t.Fatalf("at the end: %v, want %v", err, want)
		}
	})
}

// slowReader gives a few bytes at a time.
type slowReader struct {
	text  []byte
	chunk int
}

func (r *slowReader) Read(b []byte) (int, error) {
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), r.chunk)], r.text)
	r.text = r.text[n:]
	return n, nil
}
