package cdp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// NewPipe returns the transport of a browser started with
// --remote-debugging-pipe: each frame ends with a zero byte, in both
// directions. Closing it closes both ends.
func NewPipe(r io.ReadCloser, w io.WriteCloser) Transport {
	return &pipe{r: r, w: w, in: bufio.NewReaderSize(r, ownFrame), limit: maxFrameSize}
}

type pipe struct {
	r   io.ReadCloser
	w   io.WriteCloser
	in  *bufio.Reader
	out []byte

	limit int // of a frame that is read, in bytes
}

// ReadFrame finds the zero byte inside the read buffer. Only a frame that is
// larger than the buffer, which is of ownFrame bytes, is copied.
func (p *pipe) ReadFrame() ([]byte, error) {
	frame, err := p.in.ReadSlice(0)
	if err == nil {
		return frame[:len(frame)-1], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return nil, halfFrame(frame, err)
	}
	return p.readLarge(frame)
}

// readLarge collects a frame in chunks and joins them once, so that a large
// frame is in memory at most twice, and for a moment only.
func (p *pipe) readLarge(start []byte) ([]byte, error) {
	chunk := append(make([]byte, 0, 256<<10), start...)
	var chunks [][]byte
	size := len(start)
	for {
		part, err := p.in.ReadSlice(0)
		size += len(part)
		if size > p.limit {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = p.skipFrame()
			}
			if err != nil {
				return nil, halfFrame(chunk, err)
			}
			head := append(chunks, chunk)[0]
			return head, &FrameTooLargeError{Size: size, Limit: p.limit}
		}
		if len(chunk)+len(part) > cap(chunk) {
			chunks = append(chunks, chunk)
			chunk = make([]byte, 0, min(2*cap(chunk), 4<<20))
		}
		chunk = append(chunk, part...)
		switch {
		case err == nil:
			if len(chunks) == 0 {
				return chunk[:len(chunk)-1], nil
			}
			frame := bytes.Join(append(chunks, chunk), nil)
			return frame[:len(frame)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, halfFrame(chunk, err)
		}
	}
}

// skipFrame reads past the end of the frame that is being read.
func (p *pipe) skipFrame() error {
	for {
		_, err := p.in.ReadSlice(0)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// halfFrame is the error for a connection that ends, which is unexpected in the
// middle of a frame.
func halfFrame(part []byte, err error) error {
	if err == io.EOF && len(part) > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteFrames joins small frames into one write; a large one is not copied.
func (p *pipe) WriteFrames(frames [][]byte) error {
	p.out = p.out[:0]
	for _, f := range frames {
		if len(f) < largeWrite {
			p.out = append(append(p.out, f...), 0)
			continue
		}
		for _, b := range [][]byte{p.out, f} {
			if len(b) == 0 {
				continue
			}
			if _, err := p.w.Write(b); err != nil {
				return err
			}
		}
		p.out = append(p.out[:0], 0)
	}
	_, err := p.w.Write(p.out)
	return err
}

// largeWrite is the size in bytes from which a frame is written by itself.
const largeWrite = 64 << 10

func (p *pipe) Close() error { return errors.Join(p.w.Close(), p.r.Close()) }
