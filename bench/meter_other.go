//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"time"
)

var errNotLinux = fmt.Errorf("measuring needs /proc, which Linux has: %w", errors.ErrUnsupported)

func processCPU() (time.Duration, error) { return 0, errNotLinux }
func resetPeak(int) (int64, error)       { return 0, errNotLinux }
func peakResident(int) (int64, error)    { return 0, errNotLinux }
func treeCPU(int) (time.Duration, error) { return 0, errNotLinux }
func treeMemory(int) (int64, error)      { return 0, errNotLinux }
