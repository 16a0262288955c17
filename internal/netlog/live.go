package netlog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine bounds an event that is read. Chromium's own are smaller by far.
const maxLine = 64 << 20

// Live reads the log that Chromium writes.
type Live struct{ reader *bufio.Reader }

// NewLive returns a reader of the log in r.
func NewLive(r io.Reader) *Live { return &Live{bufio.NewReaderSize(r, 256<<10)} }

// Idle reports whether reading on would wait for Chromium.
func (l *Live) Idle() bool { return l.reader.Buffered() == 0 }

// Next is the next line, without what ends it. It is constants, an event, or
// neither, and the caller's until the next call.
func (l *Live) Next() (constants, event []byte, err error) {
	line, err := l.line()
	if err != nil {
		return nil, nil, err
	}
	line = bytes.TrimSuffix(bytes.TrimSpace(line), []byte(","))
	switch {
	case bytes.HasPrefix(line, []byte(opening)):
		return line[len(opening):], nil, nil
	case bytes.HasPrefix(line, []byte("{")) && len(line) > 1:
		return nil, bytes.TrimSuffix(line, []byte("]")), nil
	}
	return nil, nil, nil
}

func (l *Live) line() ([]byte, error) {
	line, err := l.reader.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.reader.ReadSlice('\n')
		if len(long) <= maxLine {
			long = append(long, line...)
		}
	}
	if len(long) > maxLine {
		long = nil
	}
	return long, err
}

// WithMode are constants with another capture mode in the place of mode.
func WithMode(constants []byte, mode, other Mode) []byte {
	const name = `"logCaptureMode":"`
	return bytes.Replace(constants, []byte(name+mode.Switch()+`"`), []byte(name+other.Switch()+`"`), 1)
}
