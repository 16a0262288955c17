package cdp

import "context"

// Body is the body of a response that is paused, as a stream, decoded. The first
// Read takes it from the request, which from then on can be answered with
// Fulfill or Fail only. Whoever has read it closes it. It is for one goroutine.
type Body struct {
	p      *PausedRequest
	ctx    context.Context
	stream *Stream // since it was taken
	err    error   // of taking it
}

// Body returns the body of the response. ctx is the life of the stream.
func (p *PausedRequest) Body(ctx context.Context) *Body { return &Body{p: p, ctx: ctx} }

// Taken reports whether the body was taken from the request.
func (b *Body) Taken() bool { return b.stream != nil || b.err != nil }

// bodyChunk is how much of a body is asked for at once, in bytes.
const bodyChunk = 256 << 10

func (b *Body) Read(p []byte) (int, error) {
	if !b.Taken() {
		b.take()
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.stream.Read(p)
}

func (b *Body) take() {
	session := b.p.Target.Session
	var r struct {
		Stream string `json:"stream"`
	}
	if b.err = session.Call(b.ctx, "Fetch.takeResponseBodyAsStream", map[string]string{"requestId": b.p.RequestID}, &r); b.err == nil {
		b.stream = session.Stream(b.ctx, r.Stream, StreamOptions{Chunk: bodyChunk})
	}
}

// Close gives the stream back to Chromium.
func (b *Body) Close() error {
	if b.stream == nil {
		return nil
	}
	return b.stream.Close()
}
