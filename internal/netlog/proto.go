package netlog

import (
	"encoding/binary"
	"errors"
)

var errProto = errors.New("net log: the trace is damaged")

// field is one field of a message in protocol buffers' encoding: a number or
// bytes.
type field struct {
	number int
	value  uint64
	bytes  []byte
}

// fields calls visit for each field of a message.
func fields(message []byte, visit func(field) error) error {
	for len(message) > 0 {
		f, rest, err := cutField(message)
		if err != nil {
			return err
		}
		if err := visit(f); err != nil {
			return err
		}
		message = rest
	}
	return nil
}

func cutField(b []byte) (f field, rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return f, nil, errProto
	}
	f.number, b = int(tag>>3), b[n:]
	switch tag & 7 {
	case 0:
		if f.value, n = binary.Uvarint(b); n <= 0 {
			return f, nil, errProto
		}
		return f, b[n:], nil
	case 1:
		if len(b) < 8 {
			return f, nil, errProto
		}
		f.value = binary.LittleEndian.Uint64(b)
		return f, b[8:], nil
	case 2:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, errProto
		}
		b = b[n:]
		f.bytes = b[:size]
		return f, b[size:], nil
	case 5:
		if len(b) < 4 {
			return f, nil, errProto
		}
		f.value = uint64(binary.LittleEndian.Uint32(b))
		return f, b[4:], nil
	}
	return f, nil, errProto
}
