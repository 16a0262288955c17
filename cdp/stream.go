package cdp

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
)

// Stream reads a stream of the domain IO. Whoever has it closes it. It is for
// one goroutine.
type Stream struct {
	ctx     context.Context
	session *Session
	handle  string
	chunk   int
	offset  *int64 // of the next read
	left    []byte
	err     error // after left
}

// StreamOptions are the options of Session.Stream. The zero value is for
// streams that only go on.
type StreamOptions struct {
	// Offset is where to begin, in bytes, for a blob: everybody who reads it has
	// the same stream. It is nil for streams that only go on.
	Offset *int64
	// Chunk is how many bytes are asked for at once; 0 means 1 MiB.
	Chunk int
}

// Stream returns the stream of a handle, which an answer of the protocol has
// given, or of "blob:" and the uuid of a blob. ctx is the life of the stream.
func (s *Session) Stream(ctx context.Context, handle string, o StreamOptions) *Stream {
	stream := &Stream{ctx: ctx, session: s, handle: handle, chunk: cmp.Or(o.Chunk, 1<<20)}
	if o.Offset != nil {
		stream.offset = new(*o.Offset)
	}
	return stream
}

func (s *Stream) Read(p []byte) (int, error) {
	for len(s.left) == 0 && s.err == nil {
		s.left, s.err = s.fetch()
	}
	if len(s.left) == 0 {
		return 0, s.err
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// fetch asks for the next chunk, which comes with io.EOF if it is the last.
func (s *Stream) fetch() ([]byte, error) {
	params := struct {
		Handle string `json:"handle"`
		Offset *int64 `json:"offset,omitzero"`
		Size   int    `json:"size"`
	}{s.handle, s.offset, s.chunk}
	var r struct {
		Data   string `json:"data"`
		Base64 bool   `json:"base64Encoded"`
		EOF    bool   `json:"eof"`
	}
	if err := s.session.Call(s.ctx, "IO.read", params, &r); err != nil {
		return nil, err
	}
	data := []byte(r.Data)
	if r.Base64 {
		var err error
		if data, err = base64.StdEncoding.DecodeString(r.Data); err != nil {
			return nil, fmt.Errorf("reading the stream %s: %w", s.handle, err)
		}
	}
	if s.offset != nil {
		*s.offset += int64(len(data))
	}
	if r.EOF {
		return data, io.EOF
	}
	return data, nil
}

// Close gives the stream back to Chromium. It does not wait.
func (s *Stream) Close() error {
	s.session.conn.Send(Command{Session: s.session, Method: "IO.close", Params: map[string]string{"handle": s.handle}})
	return nil
}
