package permissions

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStore_AFullDiskKeepsTheOldFile(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(disk, "grants.json")
	s := opened(t, path)
	set(t, s, "https://a.test", on(USB), true)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if err := s.Set("https://b.test", Decision{Granted: true}, on(USB)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	if after, err := os.ReadFile(path); !bytes.Equal(after, before) || err != nil {
		t.Errorf("%q, %v", after, err)
	}
	if files, err := os.ReadDir(disk); len(files) != 2 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
	sameAsItsFile(t, s)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	set(t, s, "https://b.test", on(USB), true)
	sameAsItsFile(t, s)
	if !reflect.DeepEqual(opened(t, path).List(), s.List()) || len(s.List()) != 2 {
		t.Errorf("%v", s.List())
	}
}
