//go:build unix

package permissions

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStore_ItsFileIsItsOwnersAlone(t *testing.T) {
	path := storePath(t)
	set(t, opened(t, path), "https://a.test", USB, true)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestStore_ALinkInItsPlaceIsReplaced(t *testing.T) {
	path := storePath(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	set(t, opened(t, path), "https://a.test", USB, true)
	if _, err := os.Lstat(other); !os.IsNotExist(err) {
		t.Errorf("wrote through a link: %v", err)
	}
}
