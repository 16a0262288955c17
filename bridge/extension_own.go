package bridge

import (
	"context"
	"embed"
	"fmt"
	"path"
	"path/filepath"
	"sync"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// Some of what a session needs is there for extensions only. The bridge has three
// of its own, which are loaded when they are first needed and gone with the
// process. Each has a page, which the bridge opens as a hidden one.
const (
	// browsingDataExtension has one permission and a page in each context
	// ("split"), which sees that context only.
	browsingDataExtension = "browsingdata"
	// helperExtension is for default contexts: in created ones some of its
	// interfaces are without effect and chrome.proxy can crash Chromium.
	helperExtension = "helper"
	// captureExtension names pages that others may capture. It sees the context of
	// its page only, too.
	captureExtension = "capture"
)

// captureSwitch lets the capture extension name pages that nobody has called it
// for: its id is that of the key in its manifest.
const captureSwitch = "--allowlisted-extension-id=mpepfimnibohejdoehblkefiempknghp"

//go:embed js/browsingdata js/capture js/helper
var extensionFiles embed.FS

// ownExtensions are the bridge's extensions in a Chromium process.
type ownExtensions struct {
	mu    sync.Mutex
	pages map[string]string // the address of the page, by the extension's name
}

func newOwnExtensions() *ownExtensions { return &ownExtensions{pages: map[string]string{}} }

// inExtension is inHidden with the rights of an extension of the bridge's own,
// in the place's context.
func (p *place) inExtension(ctx context.Context, name, expression string, result any, args ...any) error {
	address, err := p.host.extensionPage(ctx, name)
	if err != nil {
		return err
	}
	return p.host.inHidden(ctx, p.param(), address, expression, result, args...)
}

// extensionPage is the address of the extension's page. It loads the extension
// where it is not loaded yet.
func (h *host) extensionPage(ctx context.Context, name string) (string, error) {
	h.extensions.mu.Lock()
	defer h.extensions.mu.Unlock()
	if address := h.extensions.pages[name]; address != "" {
		return address, nil
	}
	if h.process == nil {
		return "", &UnsupportedError{Feature: "what takes an extension", Reason: "the bridge does not know the directories of a browser that it did not start", Instead: "use Launch"}
	}
	dir, err := h.writeExtension(name)
	if err != nil {
		return "", fmt.Errorf("writing the extension %s: %w", name, err)
	}
	var loaded struct {
		ID string `json:"id"`
	}
	params := map[string]any{"path": dir, "enableInIncognito": name != helperExtension}
	if err := h.root().Call(ctx, "Extensions.loadUnpacked", params, &loaded); err != nil {
		return "", fmt.Errorf("loading the extension %s: %w", name, err)
	}
	h.extensions.pages[name] = "chrome-extension://" + loaded.ID + "/page.html"
	return h.extensions.pages[name], nil
}

// writeExtension writes an extension's files below the user data directory and
// returns the directory they are in.
func (h *host) writeExtension(name string) (dir string, err error) {
	files, err := chromium.OpenFiles(h.process.UserDataDir(), h.process.User())
	if err != nil {
		return "", err
	}
	defer files.Close()
	from, to := path.Join("js", name), path.Join("Bridge", name)
	if err := files.MkdirAll(to); err != nil {
		return "", err
	}
	entries, err := extensionFiles.ReadDir(from)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		data, err := extensionFiles.ReadFile(path.Join(from, entry.Name()))
		if err != nil {
			return "", err
		}
		if err := files.WriteFile(path.Join(to, entry.Name()), data); err != nil {
			return "", err
		}
	}
	return filepath.Join(h.process.UserDataDir(), filepath.FromSlash(to)), nil
}
