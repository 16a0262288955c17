package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"fmt"
	"io"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/chromedp/cdproto"
	"github.com/chromedp/chromedp"
)

// captured are frames that Chromium sent, one a line. The command
// bench/cmd/record makes them anew.
//
//go:embed testdata/frames.txt.gz
var captured []byte

// Frames are the captured frames.
func Frames() ([][]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(captured))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\n'}), nil
}

// replay is the pipe of a browser that sends the captured frames again and
// again: n of them, once start is closed.
type replay struct {
	start  chan struct{}
	closed chan struct{}
	once   sync.Once
	frames []byte // each with its zero byte
	sizes  []int
	at     int // in frames
	left   int // bytes
}

func newReplay(frames [][]byte, n int) *replay {
	r := &replay{start: make(chan struct{}), closed: make(chan struct{})}
	for _, f := range frames {
		r.frames = append(append(r.frames, f...), 0)
		r.sizes = append(r.sizes, len(f)+1)
	}
	r.left = n / len(frames) * len(r.frames)
	for _, size := range r.sizes[:n%len(frames)] {
		r.left += size
	}
	return r
}

func (r *replay) Read(p []byte) (int, error) {
	select {
	case <-r.start:
	case <-r.closed:
		return 0, io.ErrClosedPipe
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.frames[r.at:min(len(r.frames), r.at+r.left)])
	r.at, r.left = (r.at+n)%len(r.frames), r.left-n
	return n, nil
}

func (r *replay) Write(p []byte) (int, error) { return len(p), nil }

func (r *replay) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// route makes the client of a kind read and route the frames of a pipe, in a
// browser session that it knows and that nobody listens to. It returns what
// waits for the end.
func route(kind Kind, r *replay, sessions []string) (wait func() error, err error) {
	switch kind {
	case Bridge:
		conn := cdp.NewConn(cdp.NewPipe(r, r), cdp.ConnOptions{})
		for _, id := range sessions {
			conn.Session(id)
		}
		return func() error { <-conn.Done(); return nil }, nil
	case Raw:
		conn := newRawConn(r, r)
		return func() error { conn.run(); return nil }, nil
	case Chromedp:
		return func() error { return decodeAll(r) }, nil
	case ChromedpDefault:
	}
	return nil, fmt.Errorf("bench: no way to route frames as %q", kind)
}

// decodeAll does what chromedp does with each frame before it looks who wants
// it: the reader decodes the envelope, and the target decodes an event in full.
func decodeAll(r *replay) error {
	pipe := chromedp.NewPipeConn(r, r)
	for {
		var m cdproto.Message
		if err := pipe.Read(context.Background(), &m); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if m.ID == 0 {
			// An event that this version of cdproto does not know is skipped.
			_, _ = cdproto.UnmarshalMessage(&m, chromedp.DefaultUnmarshalOptions)
		}
	}
}

// sessionsOf are the sessions that the frames belong to.
func sessionsOf(frames [][]byte) []string {
	seen := map[string]bool{}
	var all []string
	var f frame
	for _, b := range frames {
		f.parse(b)
		if id := string(f.session); id != "" && !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all
}
