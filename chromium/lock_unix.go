//go:build unix

package chromium

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks the open file; closing it, or dying, unlocks.
func lockFile(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errHeld
	}
	return err
}
