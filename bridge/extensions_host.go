package bridge

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/cdpbridge/cdpbridge/chromium"
)

var (
	//go:embed js/fileaccess.js
	fileAccessScript string
	//go:embed js/management.js
	managementScript string
)

// hear lets the helper at a place tell of extensions that Chromium loads and
// unloads by itself, as one that reloads itself. The caller has the turn.
func (x *extensions) hear(ctx context.Context, at *place) error {
	if x.heardAt(at) {
		return nil
	}
	life, stop := context.WithCancel(x.session.life)
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		defer stop()
		err := at.hearInHelper(life, "management", managementScript, func() { close(began) }, x.changed)
		x.mu.Lock()
		if x.hearing == at {
			x.hearing = nil
		}
		x.mu.Unlock()
		ended <- err
	}()
	select {
	case <-began:
		x.mu.Lock()
		x.hearing = at
		x.mu.Unlock()
		return nil
	case err := <-ended:
		return err
	case <-ctx.Done():
		stop()
		<-ended
		return context.Cause(ctx)
	}
}

// heardAt reports whether the helper at a place tells of extensions.
func (x *extensions) heardAt(at *place) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.hearing == at
}

// changed is told of each extension that comes and goes.
func (x *extensions) changed(payload string) {
	var change struct {
		ID      string `json:"id"`
		Enabled bool   `json:"enabled"`
	}
	if json.Unmarshal([]byte(payload), &change) != nil {
		return
	}
	x.mu.Lock()
	e := x.find(change.ID)
	if e == nil || e.busy || e.enabled == change.Enabled {
		x.mu.Unlock()
		return
	}
	e.enabled = change.Enabled
	about := e.Extension
	x.mu.Unlock()
	if !change.Enabled {
		x.events.tell(ExtensionEvent{extensionUnloaded, about})
		return
	}
	x.events.tell(ExtensionEvent{extensionLoaded, about})
	x.events.tell(ExtensionEvent{extensionReady, about})
}

// placed loads the extensions of the session into a Chromium that was started
// again.
func (x *extensions) placed(ctx context.Context, at *place) {
	if x.session.key.memory || x.turn.take(ctx) != nil {
		return
	}
	defer x.turn.give()
	x.mu.Lock()
	all := x.loaded
	x.loaded = nil
	x.mu.Unlock()
	for _, e := range all {
		if e.enabled {
			x.events.tell(ExtensionEvent{extensionUnloaded, e.Extension})
		}
		err := x.hear(ctx, at)
		if err == nil {
			_, err = x.loadAt(ctx, at, e.Path, e.options)
		}
		if err != nil {
			x.session.browser.log.Warn("an extension is not loaded again", "session", x.session.title(), "path", e.Path, "error", err)
		}
	}
}

// copyExtension copies a directory to where Chromium's user can read it. Its
// name there, of which Chromium makes the id, depends on its path alone.
func (h *host) copyExtension(ctx context.Context, from string) (dir string, err error) {
	source, err := os.OpenRoot(from)
	if err != nil {
		return "", err
	}
	defer source.Close()
	files, err := chromium.OpenFiles(h.process.UserDataDir(), h.process.User())
	if err != nil {
		return "", err
	}
	defer files.Close()
	sum := sha256.Sum256([]byte(from))
	to := path.Join("Bridge/Extensions", hex.EncodeToString(sum[:16]))
	if err := files.RemoveAll(to); err != nil {
		return "", err
	}
	err = fs.WalkDir(source.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case name == "_metadata":
			return fs.SkipDir // Chromium's own, as Electron removes it
		case entry.IsDir():
			return files.MkdirAll(path.Join(to, name))
		case !entry.Type().IsRegular():
			return nil
		}
		return copyInto(files, path.Join(to, name), source, name)
	})
	return filepath.Join(h.process.UserDataDir(), filepath.FromSlash(to)), err
}

func copyInto(files *chromium.Files, to string, source *os.Root, from string) error {
	in, err := source.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := files.Open(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
