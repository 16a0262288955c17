package bridge

import (
	"context"
	"fmt"
	"sync"

	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/internal/atomicfile"
)

// keptFiles is the directory in which a session keeps what it remembers. It is opened
// at its first use and closed with the session, whatever becomes of its Chromium
// process.
type keptFiles struct {
	mu     sync.Mutex
	opened bool
	dir    atomicfile.Dir // nil where what is remembered is kept in memory
	end    func()         // that lets go of the directory, nil without one
	closed bool
}

// open returns the directory: nil for sessions in memory, and in a browser that the
// bridge did not start.
func (k *keptFiles) open(ctx context.Context, s *Session) (atomicfile.Dir, error) {
	at, err := s.place(ctx)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return nil, ErrSessionClosed
	case !k.opened && !s.key.memory && at.host.process != nil:
		if err := k.openDir(s, at.host.process); err != nil {
			return nil, err
		}
	}
	k.opened = true
	return k.dir, nil
}

// openDir opens the directory of a Chromium process. Another session may have it open
// that was in the directory before and has lost its process.
func (k *keptFiles) openDir(s *Session, p *chromium.Process) error {
	path, sessions := p.UserDataDir(), &s.browser.keptDirs
	if other, taken := sessions.LoadOrStore(path, s); taken {
		return fmt.Errorf("%s is open in %s, which has to be closed first", path, other.(*Session).title())
	}
	files, err := chromium.OpenFiles(path, p.User())
	if err != nil {
		sessions.Delete(path)
		return err
	}
	k.dir, k.end = files, func() {
		_ = files.Close()
		sessions.Delete(path)
	}
	return nil
}

func (k *keptFiles) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if k.end != nil {
		k.end()
	}
}
