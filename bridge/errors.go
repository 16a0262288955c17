package bridge

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
)

var (
	// ErrSessionClosed is the error of a call on a session, or on a page of a
	// session, that was closed.
	ErrSessionClosed = errors.New("the session is closed")

	// ErrPageClosed is the error of a call on a page that was closed.
	ErrPageClosed = errors.New("the page is closed")

	// ErrHostGone is the error of a call whose Chromium process has ended. The
	// error itself is a *HostGoneError.
	ErrHostGone = errors.New("the browser process is gone")

	// ErrFrameGone is the error of a call on a frame that the page no longer
	// has.
	ErrFrameGone = errors.New("the frame is gone")

	// ErrNavigated is the error of an evaluation whose document was replaced
	// before it had a result.
	ErrNavigated = errors.New("the document was replaced")

	// ErrServiceWorkerGone is the error of a call on a service worker that is
	// destroyed: unregistered, or replaced by a newer version.
	ErrServiceWorkerGone = errors.New("the service worker is gone")

	// ErrClientTooSlow is the end of a client (Session.Attach) that did not read.
	ErrClientTooSlow = cdp.ErrOverflow

	// ErrRendererGone is the error of a call on a page whose renderer process
	// has crashed. Reload or LoadURL bring the page back.
	ErrRendererGone = errors.New("the page has crashed; reload it")
)

// HostGoneError tells how a Chromium process ended. It is ErrHostGone.
type HostGoneError struct {
	// PID is the process id, 0 for a browser that the bridge did not start.
	PID int
	// Exit is how the process ended, nil for a browser that the bridge did not
	// start.
	Exit *chromium.ExitError
	// Sessions are the partitions of the sessions that the process carried.
	Sessions []string
	// Cause is what the connection said.
	Cause error
}

func (e *HostGoneError) Error() string {
	var b strings.Builder
	b.WriteString(ErrHostGone.Error())
	if e.PID != 0 {
		fmt.Fprintf(&b, " (pid %d)", e.PID)
	}
	switch {
	case e.Exit != nil:
		fmt.Fprintf(&b, ": %v", e.Exit)
	case e.Cause != nil:
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Is makes a HostGoneError an ErrHostGone.
func (e *HostGoneError) Is(target error) bool { return target == ErrHostGone }

// Unwrap gives the exit and the connection's error.
func (e *HostGoneError) Unwrap() []error {
	var errs []error
	if e.Exit != nil {
		errs = append(errs, e.Exit)
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

// InvalidArgumentError refuses an argument, with Electron's text where Electron
// has one.
type InvalidArgumentError struct {
	// Message says what is wrong.
	Message string
}

func (e *InvalidArgumentError) Error() string { return e.Message }

func invalidArgument(format string, args ...any) error {
	return &InvalidArgumentError{Message: fmt.Sprintf(format, args...)}
}

// UnsupportedError says what stock Chromium cannot do, and what can be done
// instead. docs/limits.md lists these.
type UnsupportedError struct {
	// Feature is what was asked for.
	Feature string
	// Reason is why it cannot be done.
	Reason string
	// Instead is what to do, empty if there is nothing.
	Instead string
}

func (e *UnsupportedError) Error() string {
	text := e.Feature + " is not supported: " + e.Reason
	if e.Instead != "" {
		text += "; " + e.Instead
	}
	return text
}

// LoadError is a document that could not be loaded.
type LoadError struct {
	// URL is what was to be loaded.
	URL string
	// Code is Chromium's name of the error, such as
	// "net::ERR_NAME_NOT_RESOLVED".
	Code string
}

func (e *LoadError) Error() string { return fmt.Sprintf("loading %s: %s", e.URL, e.Code) }

// JavaScriptError is an exception that a page's code threw.
type JavaScriptError struct {
	// Message is the exception as the page would print it, with its stack if it
	// is an Error.
	Message string
	// URL, Line and Column (from 1) say where it was thrown; Line is 0 where
	// that is not known.
	URL          string
	Line, Column int
}

func (e *JavaScriptError) Error() string { return "JavaScript: " + e.Message }
