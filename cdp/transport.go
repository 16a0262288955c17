package cdp

// A Transport moves whole frames, one JSON text each, to and from a browser.
// One goroutine reads and one writes. Close ends both.
type Transport interface {
	// ReadFrame returns the next frame, which stays valid until the next call,
	// and for good if it has 64 KiB or more: large frames are not copied.
	// For a frame over the transport's limit it returns the first bytes of it
	// and a *FrameTooLargeError, and can be called again. Any other error is
	// the end of the connection.
	ReadFrame() ([]byte, error)

	// WriteFrames writes the frames in order, in as few writes as it can.
	WriteFrames(frames [][]byte) error

	// Close ends the connection. It makes ReadFrame and WriteFrames return.
	Close() error
}

// ownFrame is the size in bytes from which a frame that was read is the caller's.
const ownFrame = 64 << 10

// MaxCommandSize is the size in bytes of the largest command frame. Chromium's
// DevTools pipe reads into a buffer of 100 MiB (kReceiveBufferSizeForDevTools),
// which has to hold the frame and its zero byte, and closes the connection when
// they do not fit: in Chromium 156 a frame of 104,857,599 bytes passes and one
// of 104,857,600 ends it.
const MaxCommandSize = 100<<20 - 1

// maxFrameSize is the size in bytes of the largest frame taken from a browser.
// It guards the memory of the program; no command asks for as much.
const maxFrameSize = 1 << 30
