//go:build unix

package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestStorage_CacheSizeReadsAHostileDirectoryWithCare(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	cache := filepath.Join(dir, "Default", "Cache", "Cache_Data")
	write := func(path string, n int) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, n), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(cache, "0123456789abcdef_0"), 100)
	write(filepath.Join(cache, "0123456789abcdef_s"), 20)
	write(filepath.Join(cache, "index"), 3)
	write(filepath.Join(outside, "0123456789abcdef_0"), 1000)
	if err := errors.Join(
		os.Symlink(filepath.Join(outside, "0123456789abcdef_0"), filepath.Join(cache, "1123456789abcdef_0")),
		os.Mkdir(filepath.Join(cache, "2123456789abcdef_0"), 0o700),
		syscall.Mkfifo(filepath.Join(cache, "3123456789abcdef_0"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if size, err := cacheSize(dir); size != 120 || err != nil {
		t.Errorf("size %d, error %v", size, err)
	}
	if err := errors.Join(os.RemoveAll(cache), os.Symlink(outside, cache)); err != nil {
		t.Fatal(err)
	}
	if size, err := cacheSize(dir); err == nil {
		t.Errorf("a cache elsewhere has size %d", size)
	}
	if size, err := cacheSize(t.TempDir()); size != 0 || err != nil {
		t.Errorf("no cache: size %d, error %v", size, err)
	}
}
