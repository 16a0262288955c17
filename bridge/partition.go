package bridge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// PartitionOptions are the options of FromPartition and FromPath. They count
// when the session is created; later calls with the same partition get the same
// session, whatever their options.
type PartitionOptions struct {
	// NoCache switches the HTTP cache off: Electron's {cache: false}.
	NoCache bool
	// OwnProcess gives a session in memory a Chromium process and a temporary
	// directory of its own, for what a browser context that shares a process
	// cannot do. It costs 130 to 160 MB.
	OwnProcess bool
	// CodeCachePath is where Chromium keeps the code that it has compiled, an absolute
	// path to a directory of its own, made if it is missing: what
	// Session.SetCodeCachePath sets in Electron. Empty means in the session's
	// directory. A session that shares a process keeps such code in memory: with
	// this it is an *UnsupportedError.
	CodeCachePath string
	// NoGateway gives a session that shares a process a context without the
	// address of a gateway, so that Chromium itself tells pages refused
	// connections and unknown hosts by their own codes. It then takes no proxy,
	// TLS settings or certificate handlers.
	NoGateway bool
}

// sessionKey is what makes two calls mean the same session. The zero key is the
// default session.
type sessionKey struct {
	name   string // of a partition, without persist:
	memory bool
	path   string // of a session by FromPath
}

func (k sessionKey) compare(o sessionKey) int {
	return cmp.Or(cmp.Compare(k.path, o.path), cmp.Compare(btoi(k.memory), btoi(o.memory)), cmp.Compare(k.name, o.name))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// partitionKey follows Electron: "" and "persist:" are the default session,
// "persist:x" is on disk, everything else is in memory.
func partitionKey(partition string) sessionKey {
	if name, ok := strings.CutPrefix(partition, "persist:"); ok {
		return sessionKey{name: name}
	}
	return sessionKey{name: partition, memory: partition != ""}
}

// FromPartition returns the session of a partition, creating it where it does
// not exist. "" and "persist:" are the default session, "persist:NAME" is on
// disk and "NAME" in memory. The same string always gives the same session, as
// long as it is not closed. Unlike Electron's, persist:Foo and persist:foo do
// not share a directory.
//
// A persistent session starts a Chromium process: see Launch for the errors.
func (b *Browser) FromPartition(ctx context.Context, partition string, o PartitionOptions) (*Session, error) {
	return b.session(ctx, partitionKey(partition), partition, o)
}

// FromPath returns the persistent session whose directory is path, which is
// made if it is missing. It is never the session of a partition. The errors for
// a bad path are *InvalidArgumentError with Electron's texts.
func (b *Browser) FromPath(ctx context.Context, path string, o PartitionOptions) (*Session, error) {
	switch {
	case path == "":
		return nil, invalidArgument("An empty path was specified")
	case !filepath.IsAbs(path):
		return nil, invalidArgument("An absolute path was not provided")
	}
	return b.session(ctx, sessionKey{path: filepath.Clean(path)}, path, o)
}

// session returns the session with the key. Calls for different keys do not wait
// for one another.
func (b *Browser) session(ctx context.Context, key sessionKey, name string, o PartitionOptions) (*Session, error) {
	if err := checkCodeCachePath(o.CodeCachePath); err != nil && o.CodeCachePath != "" {
		return nil, fmt.Errorf("session %q: %w", name, err)
	}
	if o.CodeCachePath != "" && key.memory && !o.OwnProcess {
		return nil, fmt.Errorf("session %q: %w", name, noCodeCache())
	}
	for {
		s, err := b.entry(key, name, o)
		if err != nil {
			return nil, fmt.Errorf("session %q: %w", name, err)
		}
		_, err = s.place(ctx)
		b.leave(s, err != nil)
		switch {
		case err == nil:
			if created := b.createdHandler.get(); s.announced.CompareAndSwap(false, true) && created != nil {
				b.safely("OnSessionCreated", func() { created(s) })
			}
			return s, nil
		case !errors.Is(err, ErrSessionClosed):
			return nil, fmt.Errorf("session %q: %w", name, err)
		}
		// It was closed while we waited for it: the next one is ours.
	}
}

// entry finds or adds the session with the key, for a caller that then leaves
// it.
func (b *Browser) entry(key sessionKey, name string, o PartitionOptions) (*Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errBrowserClosed
	}
	s := b.sessions[key]
	if s == nil {
		if b.remote != nil && !key.memory && key != (sessionKey{}) {
			return nil, &UnsupportedError{
				Feature: "a further persistent session",
				Reason:  "the browser was not started by the bridge, and a running browser takes no further directory",
				Instead: "use Launch, or a session in memory",
			}
		}
		s = newSession(b, key, name, o)
		b.sessions[key] = s
	}
	s.callers++
	return s, nil
}

var errBrowserClosed = fmt.Errorf("the bridge is closed: %w", ErrSessionClosed)

// leave forgets a session that never had a place, when the last who wanted it
// has failed.
func (b *Browser) leave(s *Session, failed bool) {
	b.mu.Lock()
	s.callers--
	forget := failed && s.callers == 0 && !s.announced.Load() && b.sessions[s.key] == s
	if forget {
		delete(b.sessions, s.key)
	}
	b.mu.Unlock()
	if forget {
		s.finish()
	}
}

// turnOf is who may start or end the Chromium process of a directory: one
// session at a time, also of two that have the same key one after the other.
func (b *Browser) turnOf(key sessionKey) turn {
	if key.memory {
		return newTurn()
	}
	if b.turns[key] == nil {
		b.turns[key] = newTurn()
	}
	return b.turns[key]
}

// partitionDir is the directory of a partition's name. It differs for names
// that differ, also on file systems that do not tell cases apart.
func partitionDir(userDataDir, name string) string {
	var dir strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			dir.WriteByte(c)
			continue
		}
		fmt.Fprintf(&dir, "%%%02x", c)
	}
	escaped := dir.String()
	if len(escaped) > 120 { // file names end at 255 bytes, Chromium's paths below add to it
		sum := sha256.Sum256([]byte(name))
		escaped = escaped[:64] + "-" + hex.EncodeToString(sum[:16])
	}
	return filepath.Join(userDataDir, "Partitions", escaped)
}
