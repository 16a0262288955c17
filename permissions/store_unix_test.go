//go:build unix

package permissions

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestStore_ItsFileIsItsOwnersAlone(t *testing.T) {
	path := storePath(t)
	set(t, opened(t, path), "https://a.test", on(USB), true)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestStore_WhatIsNotARegularFileIsNotRead(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte(`{"version":1,"grants":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(path string) error{
		"a link":         func(path string) error { return os.Symlink(outside, path) },
		"a second name":  func(path string) error { return os.Link(outside, path) },
		"a named pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory":    func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to none": func(path string) error { return os.Symlink(outside+"2", path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := storePath(t)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			s, err := Open(storeDir(t, path), storeName)
			var damaged *DamagedError
			if s != nil || err == nil || errors.As(err, &damaged) {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
}

func TestStore_NoNameIsTakenFromWhatWasSetAside(t *testing.T) {
	path := storePath(t)
	aside := path + ".damaged"
	if err := errors.Join(os.WriteFile(path, []byte("damage"), 0o600), os.Symlink("nowhere", aside)); err != nil {
		t.Fatal(err)
	}
	_, err := Open(storeDir(t, path), storeName)
	var damaged *DamagedError
	if !errors.As(err, &damaged) || damaged.Aside != aside+"2" {
		t.Errorf("%v", err)
	}
	if to, err := os.Readlink(aside); to != "nowhere" || err != nil {
		t.Errorf("%q, %v", to, err)
	}
}
