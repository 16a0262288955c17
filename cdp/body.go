package cdp

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
)

// Body is the body of a response that is paused, as a stream, decoded. The first
// Read takes it from the request, which from then on can be answered with
// Fulfill or Fail only. Whoever has read it closes it. It is for one goroutine.
type Body struct {
	p      *PausedRequest
	ctx    context.Context
	handle string
	left   []byte
	err    error // of the end
}

// Body returns the body of the response. ctx is the life of the stream.
func (p *PausedRequest) Body(ctx context.Context) *Body { return &Body{p: p, ctx: ctx} }

// Taken reports whether the body was taken from the request.
func (b *Body) Taken() bool { return b.handle != "" || b.err != nil }

// bodyChunk is how much of a body is asked for at once, in bytes.
const bodyChunk = 256 << 10

func (b *Body) Read(p []byte) (int, error) {
	if b.handle == "" && b.err == nil {
		b.take()
	}
	for len(b.left) == 0 && b.err == nil {
		b.fetch()
	}
	if len(b.left) == 0 {
		return 0, b.err
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *Body) take() {
	var r struct {
		Stream string `json:"stream"`
	}
	b.err = b.p.Target.Session.Call(b.ctx, "Fetch.takeResponseBodyAsStream", map[string]string{"requestId": b.p.RequestID}, &r)
	b.handle = r.Stream
}

func (b *Body) fetch() {
	var r struct {
		Data     string `json:"data"`
		Base64   bool   `json:"base64Encoded"`
		AtTheEnd bool   `json:"eof"`
	}
	if b.err = b.p.Target.Session.Call(b.ctx, "IO.read", map[string]any{"handle": b.handle, "size": bodyChunk}, &r); b.err != nil {
		return
	}
	b.left = []byte(r.Data)
	if r.Base64 {
		if b.left, b.err = base64.StdEncoding.DecodeString(r.Data); b.err != nil {
			b.err = fmt.Errorf("reading the body of %s: %w", b.p.Request.URL, b.err)
			return
		}
	}
	if r.AtTheEnd {
		b.err = io.EOF
	}
}

// Close gives the stream back to Chromium.
func (b *Body) Close() error {
	if b.handle == "" {
		return nil
	}
	b.p.Target.Session.conn.Send(Command{Session: b.p.Target.Session, Method: "IO.close", Params: map[string]string{"handle": b.handle}})
	return nil
}
