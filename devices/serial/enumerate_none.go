//go:build !linux && !windows && !(darwin && cgo)

package serial

import "errors"

func enumerate() ([]Port, error) {
	return nil, errors.New("serial ports cannot be listed by this build: macOS needs one with cgo (CGO_ENABLED=1)")
}
