//go:build !linux

package uevent

import (
	"context"
	"errors"
)

// Watch is for Linux only: its error is errors.ErrUnsupported.
func Watch(context.Context, func(), func(Event)) error { return errors.ErrUnsupported }
