// Package virtual makes serial ports and HID devices in software, for tests of web applications and for
// devices that are programs.
//
// A device is plugged into a [SerialBus] or a [HIDBus]. A bus is a source of devices like that of the
// machine: its devices are listed, chosen, permitted and opened as real ones are.
package virtual

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// ErrBusClosed says that a bus takes no more devices.
var ErrBusClosed = errors.New("the bus is closed")

// ErrBusy says that a device is open already.
var ErrBusy = errors.New("the device is open already")

// await waits until done is true, or ctx ends. c is locked while done is asked, and when await returns.
func await(ctx context.Context, c *sync.Cond, done func() bool) error {
	if done() {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		c.L.Lock()
		defer c.L.Unlock()
		c.Broadcast()
	})
	defer stop()
	for !done() {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.Wait()
	}
	return nil
}

// both is a context that ends with ctx, and with life.
func both(ctx, life context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(life, func() { end(context.Cause(life)) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

// safely calls what the user of the package has given. A panic is logged and becomes an error.
func safely(what string, call func() error) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			slog.Error("panic in a virtual device", "in", what, "panic", thrown, "stack", string(debug.Stack()))
			err = fmt.Errorf("%s panicked: %v", what, thrown)
		}
	}()
	return call()
}

// watchers are told when the devices of a bus have changed.
type watchers struct {
	mu  sync.Mutex
	all map[chan struct{}]bool
}

func (w *watchers) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ready := range w.all {
		select {
		case ready <- struct{}{}:
		default: // it has not looked since it was last told
		}
	}
}

// watch calls changed at once, and after each tell, until ctx ends.
func (w *watchers) watch(ctx context.Context, changed func()) error {
	ready := make(chan struct{}, 1)
	w.mu.Lock()
	if w.all == nil {
		w.all = map[chan struct{}]bool{}
	}
	w.all[ready] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, ready)
	}()
	for ctx.Err() == nil {
		changed()
		select {
		case <-ready:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
