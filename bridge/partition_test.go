package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFromPartition_SES0039_SameStringSameSession(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	first, err := b.FromPartition(ctx, "identity", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Close(ctx) })
	second, err := b.FromPartition(ctx, "identity", PartitionOptions{NoCache: true})
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Error("two sessions for one partition")
	}
	if second.opts.NoCache {
		t.Error("CX04: the options of the second call count")
	}
}

func TestFromPartition_CX01_PersistAloneIsTheDefaultSession(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	for _, partition := range []string{"", "persist:"} {
		s, err := b.FromPartition(ctx, partition, PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if s != b.DefaultSession() {
			t.Errorf("SES-0033: %q is not the default session", partition)
		}
		if !s.IsPersistent() || s.StoragePath() == "" {
			t.Errorf("the default session is not on disk: %q", s.StoragePath())
		}
	}
}

func TestFromPartition_CX02_KindsOfNamesDoNotCollide(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	memory, err := b.FromPartition(ctx, "x", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	disk, err := b.FromPartition(ctx, "persist:x", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { memory.Close(ctx); disk.Close(ctx) })
	if memory == disk {
		t.Fatal("x and persist:x are one session")
	}
	if memory.IsPersistent() || memory.StoragePath() != "" {
		t.Errorf("SES-2162: the session in memory has a storage path %q", memory.StoragePath())
	}
	if !disk.IsPersistent() || filepath.Base(disk.StoragePath()) != "x" {
		t.Errorf("the persistent session is in %q", disk.StoragePath())
	}
}

func TestFromPartition_NamesThatDifferDoNotShareADirectory(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"foo", "Foo", "FOO", "%46oo", "a/b", "a%2fb", "..", ".", "a.b", "ä", "Ä", " ", "con", "x\x00y"} {
		dir := filepath.Base(partitionDir("/data", name))
		if other, ok := seen[dir]; ok {
			t.Errorf("%q and %q share the directory %q", name, other, dir)
		}
		seen[dir] = name
		if filepath.Dir(partitionDir("/data", name)) != filepath.FromSlash("/data/Partitions") {
			t.Errorf("%q leaves the directory: %q", name, partitionDir("/data", name))
		}
	}
}

func TestFromPath_CX07_BadPathsAreRefusedWithElectronsTexts(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	for path, text := range map[string]string{"": "An empty path was specified", "rel/dir": "An absolute path was not provided"} {
		_, err := b.FromPath(ctx, path, PartitionOptions{})
		var invalid *InvalidArgumentError
		if !errors.As(err, &invalid) || err.Error() != text {
			t.Errorf("FromPath(%q): %v, want %q", path, err, text)
		}
	}
}

func TestFromPath_SES0045_StoragePathIsThePath(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	dir := filepath.Join(publicTempDir(t), "session")
	first, err := b.FromPath(ctx, dir, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Close(ctx) })
	second, err := b.FromPath(ctx, dir, PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Error("CX08: two sessions for one path")
	}
	if first.StoragePath() != dir || !first.IsPersistent() {
		t.Errorf("storage path %q, want %q", first.StoragePath(), dir)
	}
}

// publicTempDir is a temporary directory that an unprivileged user can enter.
func publicTempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "session-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestSessionCreated_SES2149_IsToldInsideTheCall(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	var told []*Session
	b.OnSessionCreated(func(s *Session) { told = append(told, s) })
	t.Cleanup(func() { b.OnSessionCreated(nil) })
	s, err := b.FromPartition(ctx, "created", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(ctx) })
	if len(told) != 1 || told[0] != s {
		t.Errorf("told of %v, want the new session once", told)
	}
	if _, err := b.FromPartition(ctx, "created", PartitionOptions{}); err != nil || len(told) != 1 {
		t.Errorf("told again of a session that was there: %v, %v", told, err)
	}
}

func TestSessions_WVW1506_StorageIsApart(t *testing.T) {
	ctx, b, server := testContext(t), sharedBrowser(t), sharedServer(t)
	url := server.URL("a.test", "/echo")
	for _, partition := range []string{"apart-1", "apart-2"} {
		s, err := b.FromPartition(ctx, partition, PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(ctx) })
		page, err := s.NewPage(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		const visit = `(localStorage.visits = 1 + Number(localStorage.visits ?? 0), document.cookie = 'visits=' + localStorage.visits, document.cookie)`
		for _, want := range []string{"visits=1", "visits=2"} {
			if got, err := Evaluate[string](ctx, page, visit); err != nil || got != want {
				t.Errorf("%s: %q, %v, want %q", partition, got, err, want)
			}
		}
	}
}

func TestSessionClose_GivesBackWhatASessionInMemoryTook(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	s, err := b.FromPartition(ctx, "closed", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.NewPage(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := page.Title(ctx); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("a page of a closed session: %v", err)
	}
	if _, err := s.NewPage(ctx, ""); !errors.Is(err, ErrSessionClosed) {
		t.Errorf("a new page in a closed session: %v", err)
	}
	again, err := b.FromPartition(ctx, "closed", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close(ctx) })
	if again == s {
		t.Error("a closed session is handed out again")
	}
}

func TestSessionClose_RefusesTheDefaultSession(t *testing.T) {
	err := sharedBrowser(t).DefaultSession().Close(testContext(t))
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) {
		t.Errorf("closing the default session: %v", err)
	}
}

func TestLaunch_RefusesSchemesThatAreNotOnesOwn(t *testing.T) {
	for _, names := range [][]string{{"http"}, {"APP"}, {""}, {"chrome-x"}, {"app", "app"}} {
		var o Options
		for _, name := range names {
			o.PrivilegedSchemes = append(o.PrivilegedSchemes, PrivilegedScheme{Scheme: name})
		}
		var invalid *InvalidArgumentError
		if _, err := Launch(testContext(t), o); !errors.As(err, &invalid) {
			t.Errorf("%q: %v", names, err)
		}
	}
}
