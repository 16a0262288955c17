package hid

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wired gives a connection whose node is a socket that keeps the bounds of messages, as hidraw keeps those
// of reports, and the other end of it.
func wired(t *testing.T, d Device) (*rawConnection, *os.File) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, device := newRawConnection(os.NewFile(uintptr(ends[0]), "node"), d), os.NewFile(uintptr(ends[1]), "device")
	t.Cleanup(func() { c.Close(); device.Close() })
	return c, device
}

func TestReadInput_NumberedAndNot(t *testing.T) {
	for name, want := range map[string]byte{"vendor": 0, "gamepad": 7} {
		c, device := wired(t, described(t, name, 1, 1))
		if _, err := device.Write([]byte{7, 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		id, data, err := c.ReadInput(t.Context())
		whole := []byte{7, 1, 2, 3}
		if want != 0 {
			whole = whole[1:]
		}
		if err != nil || id != want || !bytes.Equal(data, whole) {
			t.Errorf("%s: report %d, % x, %v", name, id, data, err)
		}
	}
}

func TestWriteOutput_HasTheIDInFront(t *testing.T) {
	for _, id := range []byte{0, 5} {
		c, device := wired(t, described(t, "gamepad", 1, 1))
		if err := c.WriteOutput(t.Context(), id, []byte{8, 9}); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 16)
		if n, err := device.Read(buffer); err != nil || !bytes.Equal(buffer[:n], []byte{id, 8, 9}) {
			t.Errorf("the device got % x, %v", buffer[:n], err)
		}
	}
}

func TestReadInput_EndsWithItsContextAndReadsOn(t *testing.T) {
	c, device := wired(t, described(t, "vendor", 1, 1))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, _, err := c.ReadInput(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a context that ended: %v", err)
		}
		cancel()
	}
	if _, err := device.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, data, err := c.ReadInput(t.Context()); err != nil || len(data) != 1 {
		t.Errorf("after it: % x, %v", data, err)
	}
}

func TestClose_EndsReadInput(t *testing.T) {
	c, _ := wired(t, described(t, "vendor", 1, 1))
	ended := make(chan error)
	go func() {
		_, _, err := c.ReadInput(context.Background())
		ended <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadInput ended with %v", err)
	}
}

func TestReports_TooLongOnes(t *testing.T) {
	c, _ := wired(t, described(t, "vendor", 1, 1))
	if err := c.SendFeature(t.Context(), 0, make([]byte, 20000)); !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("a feature report of 20000 bytes: %v", err)
	}
}
