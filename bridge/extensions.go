package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// Extension is an extension that a session has loaded: Electron's Extension.
type Extension struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Path is the directory that it was loaded from.
	Path    string `json:"path"`
	Version string `json:"version"`
	// URL is chrome-extension://ID/.
	URL string `json:"url"`
	// Manifest is manifest.json as it was when the extension was loaded, nil if
	// Chromium takes it and it is not plain JSON.
	Manifest map[string]any `json:"manifest"`
}

// LoadExtensionOptions are the options of Session.LoadExtension.
type LoadExtensionOptions struct {
	// AllowFileAccess lets the extension read file: addresses and its content
	// scripts run in file: pages.
	AllowFileAccess bool
}

// ExtensionError says why Chromium does not take an extension.
type ExtensionError struct {
	// Path is the directory.
	Path string
	// Reason is Chromium's text.
	Reason string
}

func (e *ExtensionError) Error() string {
	return fmt.Sprintf("Loading extension at %s failed with: %s", e.Path, e.Reason)
}

// ExtensionEvent tells of an extension of a session.
type ExtensionEvent struct {
	// Type is "extension-loaded", "extension-ready" or "extension-unloaded", as
	// Electron names the events.
	Type      string
	Extension Extension
}

const (
	extensionLoaded   = "extension-loaded"
	extensionReady    = "extension-ready"
	extensionUnloaded = "extension-unloaded"
)

// extensions are those that a session has loaded.
type extensions struct {
	session *Session
	events  listeners[ExtensionEvent]
	turn    turn // of who loads and removes

	mu      sync.Mutex
	loaded  []*loadedExtension // in the order of their loading
	hearing *place             // whose helper tells of extensions
}

type loadedExtension struct {
	Extension
	options LoadExtensionOptions
	busy    bool // the bridge loads or removes it now
	enabled bool
}

func newExtensions(s *Session) *extensions { return &extensions{session: s, turn: newTurn()} }

// LoadExtension loads an unpacked extension, of manifest version 3, from an
// absolute directory: Electron's loadExtension. It stays loaded until
// RemoveExtension, also when Chromium has to be started again, but not when the
// bridge is: load it each time. What it has stored is there again then.
//
// A Chromium that runs as another user than the bridge gets a copy of the
// directory: it need not be able to read the original, and what Chromium can
// write is never taken for it.
//
// The errors are Electron's: *InvalidArgumentError for a path that is not
// absolute or not a directory and in sessions in memory, *ExtensionError with
// Chromium's reason. Extensions of manifest version 2 are refused by Chromium.
func (s *Session) LoadExtension(ctx context.Context, path string, o LoadExtensionOptions) (Extension, error) {
	if !filepath.IsAbs(path) {
		return Extension{}, invalidArgument("The path to the extension in 'loadExtension' must be absolute")
	}
	if s.key.memory {
		return Extension{}, invalidArgument("Extensions cannot be loaded in a temporary session")
	}
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return Extension{}, invalidArgument("Extension directory not found: %s", path)
	}
	e, err := s.extensions.load(ctx, path, o)
	var refused *ExtensionError
	if err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("loading the extension at %s: %w", path, s.explain(err))
	}
	return e, err
}

// RemoveExtension ends an extension, and keeps what it has stored: Electron's
// removeExtension. One that is not loaded is no error.
func (s *Session) RemoveExtension(ctx context.Context, id string) error {
	if err := s.extensions.remove(ctx, id); err != nil {
		return fmt.Errorf("removing the extension %s: %w", id, s.explain(err))
	}
	return nil
}

// Extension is the extension with an id: Electron's getExtension.
func (s *Session) Extension(id string) (Extension, bool) {
	s.extensions.mu.Lock()
	defer s.extensions.mu.Unlock()
	if e := s.extensions.find(id); e != nil && e.enabled {
		return e.Extension, true
	}
	return Extension{}, false
}

// Extensions are those that LoadExtension has loaded: Electron's
// getAllExtensions.
func (s *Session) Extensions() []Extension {
	s.extensions.mu.Lock()
	defer s.extensions.mu.Unlock()
	all := []Extension{}
	for _, e := range s.extensions.loaded {
		if e.enabled {
			all = append(all, e.Extension)
		}
	}
	return all
}

// ExtensionEvents returns an iterator over what happens to the session's
// extensions from now on: Electron's events extension-loaded, extension-ready
// and extension-unloaded. An extension that reloads itself gives all three. It
// ends with ctx and with the session.
func (s *Session) ExtensionEvents(ctx context.Context) iter.Seq[ExtensionEvent] {
	return s.extensions.events.listen(ctx, nil)
}

// find needs mu.
func (x *extensions) find(id string) *loadedExtension {
	for _, e := range x.loaded {
		if e.ID == id {
			return e
		}
	}
	return nil
}

func (x *extensions) load(ctx context.Context, path string, o LoadExtensionOptions) (Extension, error) {
	at, err := x.session.place(ctx)
	if err != nil {
		return Extension{}, err
	}
	if at.host.process == nil {
		return Extension{}, &UnsupportedError{Feature: "loading extensions", Reason: "the bridge does not know the directories of a browser that it did not start", Instead: "use Launch"}
	}
	if err := x.turn.take(ctx); err != nil {
		return Extension{}, err
	}
	defer x.turn.give()
	if err := x.hear(ctx, at); err != nil {
		return Extension{}, err
	}
	return x.loadAt(ctx, at, path, o)
}

// loadAt loads an extension into a Chromium.
func (x *extensions) loadAt(ctx context.Context, at *place, path string, o LoadExtensionOptions) (Extension, error) {
	e := &loadedExtension{options: o, busy: true}
	e.Path = path
	var err error
	if e.ID, err = at.host.loadUnpacked(ctx, path); err != nil {
		return Extension{}, err
	}
	e.URL = "chrome-extension://" + e.ID + "/"
	again := x.put(e)
	if err := at.configureExtension(ctx, e); err != nil {
		x.drop(e)
		return Extension{}, err
	}
	if data, err := os.ReadFile(filepath.Join(path, "manifest.json")); err == nil {
		_ = json.Unmarshal(data, &e.Manifest)
	}
	if again {
		x.events.tell(ExtensionEvent{extensionUnloaded, e.Extension})
	}
	x.settle(e, true)
	x.events.tell(ExtensionEvent{extensionLoaded, e.Extension})
	x.events.tell(ExtensionEvent{extensionReady, e.Extension})
	return e.Extension, nil
}

// put notes an extension, in the place of an earlier one, and reports whether
// that was loaded.
func (x *extensions) put(e *loadedExtension) (again bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.find(e.ID); old != nil {
		again = old.enabled
	}
	x.loaded = append(slices.DeleteFunc(x.loaded, func(o *loadedExtension) bool { return o.ID == e.ID }), e)
	return again
}

func (x *extensions) drop(e *loadedExtension) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loaded = slices.DeleteFunc(x.loaded, func(o *loadedExtension) bool { return o == e })
}

// settle ends what the bridge does with an extension.
func (x *extensions) settle(e *loadedExtension, enabled bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.busy, e.enabled = false, enabled
}

func (x *extensions) remove(ctx context.Context, id string) error {
	if err := x.turn.take(ctx); err != nil {
		return err
	}
	defer x.turn.give()
	x.mu.Lock()
	e := x.find(id)
	if e != nil {
		e.busy = true
	}
	x.mu.Unlock()
	if e == nil {
		return nil
	}
	if at, err := x.session.present(); err != nil {
		return err
	} else if at != nil {
		// Uninstalling it would take its storage along.
		err := at.inExtension(ctx, helperExtension, "id => chrome.management.setEnabled(id, false)", nil, id)
		if err != nil {
			x.settle(e, true)
			return err
		}
	}
	x.drop(e)
	x.events.tell(ExtensionEvent{extensionUnloaded, e.Extension})
	return nil
}

// loadUnpacked loads a directory into the default context and returns the
// extension's id.
func (h *host) loadUnpacked(ctx context.Context, path string) (string, error) {
	dir := path
	if h.process.User() != nil {
		var err error
		if dir, err = h.copyExtension(ctx, path); err != nil {
			return "", err
		}
	}
	var loaded struct {
		ID string `json:"id"`
	}
	err := h.root().Call(ctx, "Extensions.loadUnpacked", map[string]any{"path": dir}, &loaded)
	if refused := (*cdp.Error)(nil); errors.As(err, &refused) {
		return "", &ExtensionError{Path: path, Reason: refused.Message}
	}
	return loaded.ID, err
}

// configureExtension enables an extension, which an earlier removal may have
// disabled, gives it the access that it may have, and learns what it is.
func (p *place) configureExtension(ctx context.Context, e *loadedExtension) error {
	var about struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	err := p.inExtension(ctx, helperExtension, `async id => {
		if (!(await chrome.management.get(id)).enabled) await chrome.management.setEnabled(id, true);
		return chrome.management.get(id);
	}`, &about, e.ID)
	if err != nil {
		return err
	}
	e.Name, e.Version = about.Name, about.Version
	err = p.host.inHidden(ctx, p.param(), "chrome://extensions/", fileAccessScript, nil, e.ID, e.options.AllowFileAccess)
	if err != nil {
		return err
	}
	// The events of all that come before this answer.
	return p.inExtension(ctx, helperExtension, "async () => void await chrome.management.getAll()", nil)
}
