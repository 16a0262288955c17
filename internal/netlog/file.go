// Package netlog writes Chromium's net log files: from the log that Chromium
// itself writes, and from traces. It knows neither the protocol nor processes.
package netlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// disk is what a File writes to.
type disk interface {
	io.Writer
	io.WriterAt
	io.Seeker
	Truncate(size int64) error
	Close() error
}

// File is a net log on disk. However it ends, by Close, at its limit or with the
// disk full, it is a whole JSON document then. It is safe for use by several
// goroutines.
type File struct {
	limit int64 // 0 is none

	mu       sync.Mutex
	disk     disk
	size     int64   // written
	ends     []int64 // of the last two events written and those gathered
	buffer   []byte  // whole events
	header   int     // size that the constants may grow to
	events   bool    // there is one
	full     bool    // the limit is reached
	closed   bool
	err      error
	closeErr error
}

const (
	opening = `{"constants":`
	begin   = ",\n\"events\": [\n"
	finish  = "]}\n"
	// flushAt is how much is gathered between two writes.
	flushAt = 64 << 10
	// spare is the room in front of the events for names yet to come.
	spare = 8 << 10
)

// Create makes the file, or empties it, with mode 0600. limit is how large it may
// become, 0 for as large as it gets; the constants are always written.
func Create(path string, limit int64) (*File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|nonblock, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(&os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}, file.Close())
	}
	return &File{limit: limit, disk: file}, nil
}

// Start writes the constants, which are JSON on one line. With room they can
// grow a little afterwards, by Close.
func (f *File) Start(constants []byte, room bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buffer = append(append(f.buffer, opening...), constants...)
	if room {
		f.buffer = append(f.buffer, bytes.Repeat([]byte(" "), spare)...)
	}
	f.header = len(f.buffer) - len(opening)
	f.buffer = append(f.buffer, begin...)
	f.ends = append(f.ends, int64(len(f.buffer)))
	f.flush()
	return f.err
}

// Event adds an event, which is JSON on one line. It reaches the disk with the
// next Flush at the latest.
func (f *File) Event(event []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.full || f.err != nil {
		return
	}
	if f.limit > 0 && f.size+int64(len(f.buffer)+len(event)+len(finish)+2) > f.limit {
		f.full = true
		return
	}
	if f.events {
		f.buffer = append(f.buffer, ",\n"...)
	}
	f.events = true
	f.buffer = append(f.buffer, event...)
	f.ends = append(f.ends, f.size+int64(len(f.buffer)))
	if len(f.buffer) >= flushAt {
		f.flush()
	}
}

// Flush writes what is gathered.
func (f *File) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flush()
}

func (f *File) flush() {
	if len(f.buffer) == 0 || f.err != nil || f.closed {
		return
	}
	n, err := f.disk.Write(f.buffer)
	f.size += int64(n)
	f.buffer = f.buffer[:0]
	whole := slices.IndexFunc(f.ends, func(end int64) bool { return end > f.size })
	if whole < 0 {
		whole = len(f.ends)
	}
	f.ends = slices.Delete(f.ends[:whole], 0, max(0, whole-2))
	if err != nil {
		f.err = fmt.Errorf("writing the net log: %w", err)
	}
}

// Close writes the end of the file, and in the place of its constants those that
// are given, if any are and if there was room. It returns the first error that
// writing had; a second call returns the same.
func (f *File) Close(constants []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.closeErr
	}
	f.flush()
	f.closed = true
	f.closeErr = errors.Join(f.err, f.end(constants), f.disk.Close())
	return f.closeErr
}

// end writes the end of the document. On a full disk it takes the place of the
// last event.
func (f *File) end(constants []byte) error {
	if f.err != nil {
		to := int64(0)
		if len(f.ends) > 0 {
			to = f.ends[0]
		}
		if err := f.disk.Truncate(to); err != nil || to == 0 {
			return err
		}
		if _, err := f.disk.Seek(to, io.SeekStart); err != nil {
			return err
		}
	}
	if _, err := f.disk.Write([]byte(finish)); err != nil {
		return err
	}
	if len(constants) == 0 || len(constants) > f.header {
		return nil
	}
	padding := bytes.Repeat([]byte(" "), f.header-len(constants))
	_, err := f.disk.WriteAt(append(bytes.Clone(constants), padding...), int64(len(opening)))
	return err
}
