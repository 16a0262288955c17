package serial

import (
	"io"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// marked reads bytes among which the kernel marks errors: 0xFF 0x00 and the byte that came wrong, which is
// zero for a break. It doubles a byte 0xFF that came right.
type marked struct {
	from     io.Reader
	parity   bool                  // whether the line has parity bits
	counters func() (counts, bool) // not ok: the port counts nothing

	mu     sync.Mutex
	buffer [maxMark - 1 + 4096]byte
	kept   [maxMark - 1]byte // the beginning of a mark, while more is read
	raw    []byte            // what is read and not yet given, a part of buffer or of kept

	counting sync.Mutex
	seen     counts
}

// maxMark is the length of a mark.
const maxMark = 3

// counts are how often the kernel saw each error, since the machine started.
type counts struct{ framing, overrun, parity, breaks int32 }

// begin forgets what happened before the port was opened.
func (m *marked) begin() { m.seen, _ = m.counters() }

func (m *marked) discard() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.raw = nil
}

func (m *marked) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := m.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		if m.overrun() {
			return 0, &LineError{Kind: OverrunError}
		}
		if err := m.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads more behind what is there: nothing, or the beginning of a mark. Discard may take that away meanwhile.
func (m *marked) fill() error {
	m.mu.Lock()
	m.raw = m.kept[:copy(m.kept[:], m.raw)]
	m.mu.Unlock()

	n, err := m.from.Read(m.buffer[len(m.kept):])

	m.mu.Lock()
	defer m.mu.Unlock()
	start := len(m.kept) - len(m.raw)
	copy(m.buffer[start:], m.raw)
	m.raw = m.buffer[start : len(m.kept)+n]
	return err
}

// take gives bytes up to the next error, or the error if it is next.
func (m *marked) take(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for n < len(p) && len(m.raw) > 0 {
		switch {
		case m.raw[0] != 0xFF:
			p[n] = m.raw[0]
			m.raw = m.raw[1:]
			n++
		case len(m.raw) < 2:
			return n, nil
		case m.raw[1] != 0: // a doubled 0xFF
			p[n] = 0xFF
			m.raw = m.raw[2:]
			n++
		case n > 0 || len(m.raw) < 3:
			return n, nil
		default:
			wrong := m.raw[2]
			m.raw = m.raw[3:]
			return 0, &LineError{Kind: m.kind(wrong)}
		}
	}
	return n, nil
}

// kind finds out what a mark stands for, by what the kernel has counted and no earlier mark stood for.
func (m *marked) kind(wrong byte) LineErrorKind {
	now, ok := m.counters()
	m.counting.Lock()
	defer m.counting.Unlock()
	switch {
	case ok && wrong == 0 && now.breaks > m.seen.breaks:
		m.seen.breaks++
		return BreakError
	case ok && now.parity > m.seen.parity:
		m.seen.parity++
		return ParityError
	case ok && now.framing > m.seen.framing:
		m.seen.framing++
		return FramingError
	case wrong == 0:
		return BreakError
	case m.parity:
		return ParityError
	default:
		return FramingError
	}
}

// overrun says whether bytes were lost since the last time it was asked.
func (m *marked) overrun() bool {
	now, ok := m.counters()
	m.counting.Lock()
	defer m.counting.Unlock()
	lost := ok && now.overrun > m.seen.overrun
	if ok {
		m.seen.overrun = now.overrun
	}
	return lost
}

// counters asks the kernel: struct serial_icounter_struct of linux/serial.h.
func (c *tty) counters() (counts, bool) {
	var counted struct {
		cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, bufOverrun int32
		_                                                                   [9]int32
	}
	err := c.control(func(fd int) error {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGICOUNT, uintptr(unsafe.Pointer(&counted)))
		if errno != 0 {
			return errno
		}
		return nil
	})
	return counts{counted.frame, counted.overrun + counted.bufOverrun, counted.parity, counted.brk}, err == nil
}
