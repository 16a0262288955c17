package chromium

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) *User {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: nobody else can act for another user")
	}
	return unprivilegedUser()
}

func TestFilesRefusesWhatIsNotARegularFileOfTheUser(t *testing.T) {
	dir, files := openTestFiles(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.Symlink(outside, filepath.Join(dir, "link")),
		os.Link(outside, filepath.Join(dir, "hardlink")),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		os.Symlink(filepath.Dir(outside), filepath.Join(dir, "linkdir")),
		os.Mkdir(filepath.Join(dir, "dir"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "hardlink", "fifo", "linkdir/secret", "dir", "../" + filepath.Base(filepath.Dir(outside)) + "/secret"} {
		if data, err := files.ReadFile(name); err == nil {
			t.Errorf("read %s: %q", name, data)
		}
	}
	if err := files.WriteFile("linkdir/new", []byte("x")); err == nil {
		t.Error("wrote through a link to a directory outside")
	}
	if err := files.WriteFile("link", []byte("mine")); err != nil {
		t.Errorf("replacing a link: %v", err)
	}
	if data, err := os.ReadFile(outside); string(data) != "secret" || err != nil {
		t.Errorf("the file outside is %q, %v", data, err)
	}
}

func TestFilesActsWithTheUsersRights(t *testing.T) {
	u := needRoot(t)
	dir := userDataDir(t)
	if err := adopt(dir, u); err != nil {
		t.Fatal(err)
	}
	files, err := OpenFiles(dir, u)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if err := errors.Join(files.MkdirAll("a/b"), files.WriteFile("a/b/c", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "a/b", "a/b/c"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || !isOwnedBy(info, u) || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "roots"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := files.ReadFile("roots"); err == nil {
		t.Error("read a file of another user")
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := files.WriteFile("closed/x", nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("wrote where the user may not: %v", err)
	}
	// The thread is root again.
	if uid, err := unix.SetfsuidRetUid(-1); uid != 0 || err != nil {
		t.Errorf("file user is %d, %v", uid, err)
	}
}

func TestUnreachableDirectoryIsNamed(t *testing.T) {
	needRoot(t)
	closed := filepath.Join(userDataDir(t), "closed") // MkdirTemp's mode is 0700
	_, err := Start(t.Context(), Options{UserDataDir: closed})
	var unreachable *UnreachableDirError
	if !errors.As(err, &unreachable) || unreachable.Blocked != filepath.Dir(closed) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
}

func TestDirectoryOfSomebodyElseIsRefused(t *testing.T) {
	u := needRoot(t)
	dir := userDataDir(t)
	if err := os.WriteFile(filepath.Join(dir, "roots"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{UserDataDir: dir})
	var refused *DirectoryError
	var path *fs.PathError
	if !errors.As(err, &refused) || !errors.As(err, &path) || !strings.Contains(err.Error(), "give it to "+u.String()) {
		t.Errorf("%v", err)
	}
}

func TestUnusableDirectoriesAreExplained(t *testing.T) {
	file := filepath.Join(userDataDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{UserDataDir: file + "/dir"}, {TempDir: file}, {TempDir: "/nonexistent/tmp"}} {
		_, err := Start(t.Context(), o)
		var refused *DirectoryError
		if !errors.As(err, &refused) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	full := os.WriteFile("/dev/full", []byte("x"), 0)
	if err := directoryError("/dir", nil, full); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("a full disk: %v", err)
	}
}

func TestSweepLeavesWhatIsAliveOrNotOurs(t *testing.T) {
	parent := t.TempDir()
	alive, err := newScratch(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newScratch(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "kept")
	if err := errors.Join(os.WriteFile(outside, nil, 0o600), os.Symlink(filepath.Dir(outside), filepath.Join(dead.path, "link"))); err != nil {
		t.Fatal(err)
	}
	dead.lock.release()
	other := filepath.Join(parent, "bridge-notes")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(parent, "bridge-1-aaaaaaaa")
	if err := os.Symlink(filepath.Dir(outside), link); err != nil {
		t.Fatal(err)
	}
	sweep(parent)
	for path, want := range map[string]bool{alive.path: true, dead.path: false, other: true, link: true, outside: true} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := alive.remove(); err != nil {
		t.Error(err)
	}
}

func TestSweepersAndMakersOfDirectoriesRace(t *testing.T) {
	parent := t.TempDir()
	stop, swept := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-swept }()
	go func() {
		defer close(swept)
		for {
			select {
			case <-stop:
				return
			default:
				sweep(parent)
			}
		}
	}()
	for range 200 {
		s, err := newScratch(parent, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(s.tmp()); err != nil {
			t.Fatalf("a live directory was swept: %v", err)
		}
		if err := s.remove(); err != nil {
			t.Fatal(err)
		}
	}
}
