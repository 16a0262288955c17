package chromium

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// scratch is the directory of one host's temporary files, bridge-<pid>-<random>.
// It belongs to the bridge, which holds its lock. In it, tmp is Chromium's TMPDIR
// (it leaves its singleton socket there when it is killed), and profile is for a
// host without a directory; both belong to Chromium's user. What stands in for
// programs of the desktop belongs to the bridge.
type scratch struct {
	path string
	lock *lock
}

var scratchPattern = regexp.MustCompile(`^bridge-\d+-[a-z2-7]{8}$`)

// newScratch makes and locks a scratch directory in parent, "" being the
// system's directory for temporary files.
func newScratch(parent string, u *User) (*scratch, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	for {
		s, err := tryScratch(parent, u)
		// A sweeper of another bridge may find the new directory before it is
		// locked, and then has removed it.
		if errors.Is(err, errHeld) || errors.Is(err, fs.ErrExist) {
			continue
		}
		if _, gone := os.Lstat(parent); errors.Is(err, fs.ErrNotExist) && gone == nil {
			continue
		}
		if err != nil {
			return nil, directoryError(parent, nil, err)
		}
		return s, nil
	}
}

func tryScratch(parent string, u *User) (*scratch, error) {
	s := &scratch{path: filepath.Join(parent, fmt.Sprintf("bridge-%d-%s", os.Getpid(), strings.ToLower(rand.Text()[:8])))}
	mode := fs.FileMode(0o700)
	if u != nil {
		mode = 0o711 // the user must get through
	}
	if err := os.Mkdir(s.path, mode); err != nil {
		return nil, err
	}
	err := s.take()
	if err == nil {
		// The umask has a word in Mkdir.
		err = errors.Join(os.Chmod(s.path, mode), makeOwned(s.tmp(), u))
	}
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// holdsSocket says whether the path of Chromium's socket in tmp is short enough:
// a socket's path ends at 107 bytes, and Chromium dies of a longer one. Its
// TMPDIR matters on Linux alone.
func (s *scratch) holdsSocket() bool {
	const socket = "/org.chromium.Chromium.XXXXXX/SingletonSocket"
	return runtime.GOOS != "linux" || len(s.tmp())+len(socket) <= 107
}

func (s *scratch) tmp() string     { return filepath.Join(s.path, "tmp") }
func (s *scratch) profile() string { return filepath.Join(s.path, "profile") }

// take locks the directory, if no live bridge holds it.
func (s *scratch) take() error {
	files, err := OpenFiles(s.path, nil)
	if err != nil {
		return err
	}
	defer files.Close()
	s.lock, _, err = acquire(files)
	return err
}

// remove removes the directory and lets go of it. A dying Chromium may still
// write for a moment, so that a directory that was emptied is not empty.
func (s *scratch) remove() error {
	err := os.RemoveAll(s.path)
	for i := 0; err != nil && i < 40; i++ {
		time.Sleep(25 * time.Millisecond)
		err = os.RemoveAll(s.path)
	}
	if s.lock != nil {
		s.lock.release()
	}
	return err
}

// makeOwned makes a directory for u alone. Its parent must be trusted.
func makeOwned(dir string, u *User) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if u == nil {
		return nil
	}
	return os.Lchown(dir, int(u.UID), int(u.GID))
}

// sweep removes the scratch directories in parent whose bridge has died. Those
// that cannot be removed stay for the next time.
func sweep(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !scratchPattern.MatchString(entry.Name()) {
			continue
		}
		s := &scratch{path: filepath.Join(parent, entry.Name())}
		if info, err := os.Lstat(s.path); err != nil || !info.IsDir() || !isOwnedBy(info, nil) {
			continue // in /tmp anybody may use the name
		}
		if s.take() == nil {
			_ = s.remove()
		}
	}
}
