package gateway

import (
	"fmt"
	"syscall"
)

// errTooManyFiles is the system's error when no file may be opened any more.
const errTooManyFiles = syscall.EMFILE

// RouteError is a server to which there is no route: the proxy settings could
// not be read, such as a PAC script that failed.
type RouteError struct {
	URL string // without a password
	Err error
}

func (e *RouteError) Error() string { return fmt.Sprintf("the route to %s: %v", e.URL, e.Err) }

// Unwrap gives the reason.
func (e *RouteError) Unwrap() error { return e.Err }

// ProxyError is a proxy that could not be reached, or did not reach the
// server.
type ProxyError struct {
	Hop    Hop
	Status int   // what an HTTP proxy answered, 0 for nothing
	Err    error // nil where Status says all
}

func (e *ProxyError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("proxy %s: status %d", e.Hop, e.Status)
	}
	return fmt.Sprintf("proxy %s: %v", e.Hop, e.Err)
}

// Unwrap gives the reason.
func (e *ProxyError) Unwrap() error { return e.Err }
