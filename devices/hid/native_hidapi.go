//go:build !linux && hidapi && cgo

package hid

// Native is the source of this machine's devices: on this system that of hidapi.
func Native() Source { return HIDAPI() }
