package bridge

import (
	"errors"
	"fmt"
	"testing"
)

func TestSessionsInMemory_SpreadOverHostsThatEndWithTheLastOne(t *testing.T) {
	ctx := testContext(t)
	b, err := Launch(ctx, Options{ContextsPerHost: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var sessions []*Session
	for i := range 5 {
		s, err := b.FromPartition(ctx, fmt.Sprint("spread-", i), PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	if hosts := b.Hosts(); len(hosts) != 3 {
		t.Fatalf("5 sessions of 2 a host are in %d hosts: %+v", len(hosts), hosts)
	}
	for _, s := range sessions {
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if hosts := b.Hosts(); len(hosts) != 1 || hosts[0].Name != "the default session" {
		t.Errorf("hosts without sessions are left: %+v", hosts)
	}
}

func TestOwnProcess_GivesASessionInMemoryAHostAndLeavesNothingOnDisk(t *testing.T) {
	ctx, b := testContext(t), sharedBrowser(t)
	s, err := b.FromPartition(ctx, "own", PartitionOptions{OwnProcess: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.IsPersistent() || s.StoragePath() != "" {
		t.Errorf("a session in memory says that it is on disk: %q", s.StoragePath())
	}
	host := s.at.host
	if host == b.DefaultSession().at.host || !s.at.isDefault() {
		t.Error("it shares a process")
	}
	if _, err := s.NewPage(ctx, ""); err != nil {
		t.Error(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-host.process.Done():
	default:
		t.Error("its process goes on")
	}
}

func TestFromPartition_InTheInstantOfACrashTakesAnotherProcess(t *testing.T) {
	ctx := testContext(t)
	b, err := Launch(ctx, testOptions(sharedServer(t), testDir(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range 3 {
		b.mu.Lock()
		process := b.hosts[len(b.hosts)-1].process
		b.mu.Unlock()
		go process.Kill()
		s, err := b.FromPartition(ctx, fmt.Sprint("crash-", i), PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		// It may have been made just before the crash: its first page tells.
		if _, err := s.NewPage(ctx, ""); err != nil && !errors.Is(err, ErrHostGone) {
			t.Error(err)
		}
		<-process.Done()
	}
}
