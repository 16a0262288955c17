package atomicfile

import (
	"errors"
	"os"
	"testing"
)

// testRoot is a Dir of the program's own user.
type testRoot struct{ *os.Root }

func (r testRoot) Open(name string, flag int) (*os.File, error) { return r.OpenFile(name, flag, 0o600) }

func (r testRoot) Sync(name string) error { return SyncDir(r.Root, name) }

func openRoot(t *testing.T) testRoot {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return testRoot{root}
}

// only fails unless the directory has the one file with these contents.
func only(t *testing.T, r testRoot, name, contents string) {
	t.Helper()
	if got, err := r.ReadFile(name); string(got) != contents || err != nil {
		t.Errorf("%s: %q, %v", name, got, err)
	}
	if files, err := os.ReadDir(r.Name()); len(files) != 1 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
}

func TestWrite_TheNewContentsTakeThePlaceOfTheOld(t *testing.T) {
	r := openRoot(t)
	for _, contents := range []string{"old and long", "new", ""} {
		if err := Write(r, "name", []byte(contents)); err != nil {
			t.Fatal(err)
		}
		only(t, r, "name", contents)
	}
}

// faulty is a directory in which an operation fails.
type faulty struct {
	testRoot
	rename, sync error
}

func (f faulty) Rename(from, to string) error {
	if f.rename != nil {
		return f.rename
	}
	return f.testRoot.Rename(from, to)
}

func (f faulty) Sync(string) error { return f.sync }

func TestWrite_ItsErrorSaysWhichContentsAreThere(t *testing.T) {
	r, fault := openRoot(t), errors.New("fault")
	if err := Write(r, "name", []byte("old")); err != nil {
		t.Fatal(err)
	}
	var unsure *SyncError
	if err := Write(faulty{testRoot: r, rename: fault}, "name", []byte("new")); !errors.Is(err, fault) || errors.As(err, &unsure) {
		t.Errorf("%v", err)
	}
	only(t, r, "name", "old")
	if err := Write(faulty{testRoot: r, sync: fault}, "name", []byte("new")); !errors.Is(err, fault) || !errors.As(err, &unsure) {
		t.Errorf("%v", err)
	}
	only(t, r, "name", "new")
}
