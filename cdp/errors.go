package cdp

import (
	"errors"
	"fmt"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

var (
	// ErrClosed is the error of a call on a connection that has ended. The
	// error that a call returns wraps it together with the cause.
	ErrClosed = errors.New("the connection to the browser is closed")

	// ErrDetached is the error of a call on a session whose target is gone or
	// that was detached from it.
	ErrDetached = errors.New("the target is gone")

	// ErrCrashed is the error of the calls that waited for a renderer process
	// when it died. The target remains: Page.reload and Page.navigate start a
	// new process.
	ErrCrashed = errors.New("the renderer process has crashed")

	// ErrOverflow ends a subscription whose reader was too slow: its queue was
	// full and its policy was to end instead of losing events unseen.
	ErrOverflow = errors.New("the subscriber is too slow, events were lost")
)

// Error is the browser's refusal of a command.
type Error struct {
	// Method is the command that was refused.
	Method string `json:"-"`
	// Code is a JSON-RPC code: -32601 for an unknown command, -32602 for wrong
	// parameters, -32000 for a command that failed.
	Code int `json:"code"`
	// Message is the browser's own text.
	Message string `json:"message"`
	// Data holds details where the browser gives any, such as which parameter
	// is wrong.
	Data string `json:"data,omitzero"`
}

func (e *Error) Error() string {
	if e.Data != "" {
		return fmt.Sprintf("%s: %s (%d): %s", e.Method, e.Message, e.Code, e.Data)
	}
	return fmt.Sprintf("%s: %s (%d)", e.Method, e.Message, e.Code)
}

// FrameTooLargeError says that a frame was refused for its size. A command over
// the browser's limit is never written: Chromium closes the whole connection
// when one arrives.
type FrameTooLargeError struct {
	// Method is the command, empty for a frame that the browser sent.
	Method string
	// Size is the size of the frame in bytes.
	Size int
	// Limit is the largest size in bytes.
	Limit int
}

func (e *FrameTooLargeError) Error() string {
	if e.Method == "" {
		return fmt.Sprintf("the browser sent a frame of more than %d bytes; ask for less at once", e.Limit)
	}
	return fmt.Sprintf("%s: a frame of %d bytes is over the browser's limit of %d; send the data in parts", e.Method, e.Size, e.Limit)
}

// decodeError turns the "error" member of a reply into an *Error.
func decodeError(method string, body []byte) error {
	e := &Error{Method: method}
	var wire struct {
		Code    int          `json:"code"`
		Message string       `json:"message"`
		Data    jsonv2.Value `json:"data"`
	}
	if err := jsonv2.Unmarshal(body, &wire, wireOptions); err != nil {
		e.Code, e.Message = -32700, "an error that could not be decoded: "+string(body)
		return e
	}
	e.Code, e.Message = wire.Code, wire.Message
	if len(wire.Data) > 0 {
		var text string
		if jsonv2.Unmarshal(wire.Data, &text, wireOptions) == nil {
			e.Data = text
		} else {
			e.Data = string(wire.Data)
		}
	}
	return e
}
