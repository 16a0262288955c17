package uevent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func message(lines ...string) []byte {
	var b []byte
	for _, line := range lines {
		b = append(append(b, line...), 0)
	}
	return b
}

func TestParse(t *testing.T) {
	got := parse(message("add@/devices/1-3/hidraw/hidraw0", "ACTION=add", "DEVPATH=/devices/1-3/hidraw/hidraw0", "SUBSYSTEM=hidraw",
		"MAJOR=242", "DEVNAME=hidraw0", "SEQNUM=1"))
	want := Event{Action: "add", Subsystem: "hidraw", DevPath: "/devices/1-3/hidraw/hidraw0", DevName: "hidraw0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// fromUdev puts udev's header in front of properties.
func fromUdev(properties []byte) []byte {
	const header = 40
	b := make([]byte, header)
	copy(b, "libudev\x00")
	binary.BigEndian.PutUint32(b[8:], 0xfeedcafe)
	binary.NativeEndian.PutUint32(b[12:], header)
	binary.NativeEndian.PutUint32(b[16:], header)
	binary.NativeEndian.PutUint32(b[20:], uint32(len(properties)))
	return append(b, properties...)
}

func TestProperties_OfUdev(t *testing.T) {
	inside := message("ACTION=add", "SUBSYSTEM=usb", "DEVTYPE=usb_device")
	got, ok := properties(fromUdev(inside))
	if !ok || !bytes.Equal(got, inside) {
		t.Errorf("%q, %v", got, ok)
	}
	whole := fromUdev(inside)
	for n := range whole {
		if got, ok := properties(whole[:n]); ok {
			t.Errorf("of a message that is cut off after %d bytes: %q", n, got)
		}
	}
	if _, ok := properties(inside); ok {
		t.Error("a message without the header was taken")
	}
}

func TestWatch_TellsWhatTheKernelSays(t *testing.T) {
	file, err := os.OpenFile("/sys/class/tty/ptmx/uevent", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("events cannot be asked for: %v", err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []Event
	err = Watch(ctx, func() {
		for _, action := range []string{"change", "add"} {
			if _, err := file.WriteString(action); err != nil {
				t.Error(err)
				cancel()
			}
		}
	}, func(e Event) {
		if e.DevName == "ptmx" {
			seen = append(seen, e)
		}
		if len(seen) == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}
	actions := []string{seen[0].Action, seen[1].Action}
	if !slices.Equal(actions, []string{"change", "add"}) || seen[0].Subsystem != "tty" {
		t.Errorf("%+v", seen)
	}
}

// Any process can send to udev's group: what does not come from root must not count.
func TestWatch_BelievesOnlyRoot(t *testing.T) {
	credentials := func(uid uint32) []byte { return unix.UnixCredentials(&unix.Ucred{Pid: 1, Uid: uid}) }
	if !byRoot(credentials(0)) {
		t.Error("root is not believed")
	}
	if byRoot(credentials(1000)) || byRoot(nil) {
		t.Error("others are believed")
	}
}

func TestWatch_SaysWhenEventsWereLost(t *testing.T) {
	file, err := os.OpenFile("/sys/class/tty/ptmx/uevent", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("events cannot be asked for: %v", err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	overrun := false
	err = watch(ctx, 1, func() {
		for range 50 { // more than the smallest queue of the kernel has room for
			if _, err := file.WriteString("change"); err != nil {
				t.Error(err)
				cancel()
				return
			}
		}
	}, func(e Event) {
		if e.Action == Overrun {
			overrun = true
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || !overrun {
		t.Errorf("overrun: %v, %v", overrun, err)
	}
}

func TestChanges_CallsOnlyForWhatConcerns(t *testing.T) {
	file, err := os.OpenFile("/sys/class/tty/ptmx/uevent", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("events cannot be asked for: %v", err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	err = Changes(ctx, func(e Event) bool { return e.DevName == "ptmx" && e.Action == "add" }, func() {
		if calls++; calls == 2 {
			cancel()
			return
		}
		for _, action := range []string{"change", "change", "add"} {
			if _, err := file.WriteString(action); err != nil {
				t.Error(err)
				cancel()
			}
		}
	})
	if !errors.Is(err, context.Canceled) || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
