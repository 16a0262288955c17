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
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
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

// replay is the pipe of a browser that sends frames again and again: n of them,
// once start is closed.
type replay struct {
	start  chan struct{}
	closed chan struct{}
	once   sync.Once
	text   []byte // the frames, each with its zero byte
	at     int    // in text
	left   int    // bytes
}

func newReplay(text []byte, n int) *replay {
	r := &replay{start: make(chan struct{}), closed: make(chan struct{}), text: text}
	frames := bytes.Count(text, []byte{0})
	r.left = n / frames * len(text)
	for range n % frames {
		r.left += 1 + bytes.IndexByte(text[r.left%len(text):], 0)
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
	n := copy(p, r.text[r.at:min(len(r.text), r.at+r.left)])
	r.at, r.left = (r.at+n)%len(r.text), r.left-n
	return n, nil
}

func (r *replay) Write(p []byte) (int, error) { return len(p), nil }

func (r *replay) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// source is a transport of frames that are in memory already: n of them.
type source struct {
	frames   [][]byte
	at, left int
}

func (s *source) ReadFrame() ([]byte, error) {
	if s.left == 0 {
		return nil, io.EOF
	}
	b := s.frames[s.at]
	s.at, s.left = (s.at+1)%len(s.frames), s.left-1
	return b, nil
}

func (s *source) WriteFrames([][]byte) error { return nil }
func (s *source) Close() error               { return nil }

// scan makes the client of a kind read the envelope of n frames and look where
// they go, which is nowhere.
func scan(kind Kind, frames [][]byte, n int) error {
	s := &source{frames: frames, left: n}
	switch kind {
	case Bridge:
		<-cdp.NewConn(s, cdp.ConnOptions{}).Done()
		return nil
	case Raw:
		c := newRawConn(nil, nil)
		var f frame
		for b, err := s.ReadFrame(); err == nil; b, err = s.ReadFrame() {
			f.parse(b)
			c.dispatch(&f)
		}
		return nil
	case Chromedp:
		for b, err := s.ReadFrame(); err == nil; b, err = s.ReadFrame() {
			var m cdproto.Message
			if err := jsonv2.Unmarshal(b, &m, chromedp.DefaultUnmarshalOptions); err != nil {
				return err
			}
		}
		return nil
	case ChromedpDefault:
	}
	return errNoFrames(kind)
}

func errNoFrames(kind Kind) error { return fmt.Errorf("bench: %q reads no frames of a file", kind) }

// route makes the client of a kind read the frames of a pipe and bring them to
// their sessions, where nobody listens, and returns what waits for the end.
func route(kind Kind, r *replay, sessions []string) (wait func() error, err error) {
	switch kind {
	case Bridge:
		conn := cdp.NewConn(cdp.NewPipe(r, r), cdp.ConnOptions{})
		for _, id := range sessions { // frames of a session that is not known are dropped
			conn.Session(id)
		}
		return func() error { <-conn.Done(); return nil }, nil
	case Raw:
		return func() error { newRawConn(r, r).run(); return nil }, nil
	case Chromedp:
		return func() error { return decode(r) }, nil
	case ChromedpDefault:
	}
	return nil, errNoFrames(kind)
}

// decode does what chromedp does with each frame before it looks who wants it:
// its reader decodes the envelope, and the target decodes an event in full.
func decode(r *replay) error {
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
