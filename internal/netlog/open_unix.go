//go:build unix

package netlog

import "syscall"

// nonblock keeps a named pipe without a reader from holding whoever opens it.
const nonblock = syscall.O_NONBLOCK
