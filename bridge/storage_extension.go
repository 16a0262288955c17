package bridge

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
)

// The protocol clears by one origin and one kind of storage at a time, and
// knows neither which origins there are nor a cache by origin. An extension can
// do all that, with chrome.browsingData. It has one permission, no background,
// and a page of its own in each context ("split"), which sees that context
// only. It is loaded when it is first needed.

//go:embed js/browsingdata
var browsingDataFiles embed.FS

// hostExtension is the extension in a Chromium process.
type hostExtension struct {
	mu  sync.Mutex
	url string // of its page, once it is loaded
}

// removalOptions are those of chrome.browsingData.
type removalOptions struct {
	Origins        []string        `json:"origins,omitzero"`
	ExcludeOrigins []string        `json:"excludeOrigins,omitzero"`
	OriginTypes    map[string]bool `json:"originTypes"`
}

// clearOrigins clears data with the options, which name origins. named says
// that the types were, too: not all types can be cleared by origins.
func (s *Session) clearOrigins(ctx context.Context, types []string, named bool, options removalOptions) error {
	if err := s.areOrigins(ctx, slices.Concat(options.Origins, options.ExcludeOrigins)); err != nil {
		return err
	}
	var failed ClearDataError
	var able []string
	for _, name := range types {
		switch {
		case name != "backgroundFetch" && name != "downloads":
			able = append(able, name)
		case named:
			failed.note(errNotByOrigin, name)
		}
	}
	if slices.Contains(able, "cache") {
		able = append(able, "cacheStorage")
	}
	if len(able) > 0 {
		failed.note(s.clearing(ctx, able, func(*place) error { return s.removeBrowsingData(ctx, options, able...) }), able...)
	}
	return failed.err()
}

var errNotByOrigin = errors.New("it is not cleared by origins")

// areOrigins lets Chromium confirm origins.
func (s *Session) areOrigins(ctx context.Context, origins []string) error {
	at, err := s.place(ctx)
	if err != nil {
		return doing("clearing storage", err)
	}
	err = s.onPage(ctx, at, func(ctx context.Context, page *cdp.Session) error {
		for _, origin := range origins {
			if err := isOrigin(ctx, page, origin); err != nil {
				return err
			}
		}
		return nil
	})
	return doing("clearing storage", s.explain(err))
}

// removeBrowsingData calls chrome.browsingData.remove in the session's context.
func (s *Session) removeBrowsingData(ctx context.Context, options removalOptions, types ...string) error {
	at, err := s.place(ctx)
	if err != nil {
		return err
	}
	page, err := at.host.browsingDataPage(ctx)
	if err != nil {
		return err
	}
	options.OriginTypes = map[string]bool{"unprotectedWeb": true, "protectedWeb": true}
	remove := map[string]bool{}
	for _, name := range types {
		remove[name] = true
	}
	call, err := withArguments("(options, types) => chrome.browsingData.remove(options, types)", []any{options, remove})
	if err != nil {
		return err
	}
	return at.host.hidden.Use(ctx, at.param(), page, func(ctx context.Context, page *cdp.Session) error {
		raw, err := page.CallRaw(ctx, "Runtime.evaluate", evaluateParams{Expression: call, AwaitPromise: true, ReturnByValue: true})
		if err != nil {
			return err
		}
		return exceptionIn(raw)
	})
}

// browsingDataPage is the address of the extension's page. It loads the
// extension where it is not loaded yet.
func (h *host) browsingDataPage(ctx context.Context) (string, error) {
	h.extension.mu.Lock()
	defer h.extension.mu.Unlock()
	if h.extension.url != "" {
		return h.extension.url, nil
	}
	if h.process == nil {
		return "", &UnsupportedError{Feature: "clearing by origins", Reason: "it takes an extension, and the bridge does not know the directories of a browser that it did not start", Instead: "use Launch, or ClearStorageData for one origin"}
	}
	dir, err := h.writeBrowsingDataFiles()
	if err != nil {
		return "", fmt.Errorf("writing the extension that clears data: %w", err)
	}
	var loaded struct {
		ID string `json:"id"`
	}
	if err := h.root().Call(ctx, "Extensions.loadUnpacked", map[string]any{"path": dir, "enableInIncognito": true}, &loaded); err != nil {
		return "", fmt.Errorf("loading the extension that clears data: %w", err)
	}
	h.extension.url = "chrome-extension://" + loaded.ID + "/page.html"
	return h.extension.url, nil
}

// writeBrowsingDataFiles writes the extension's files below the user data
// directory and returns the directory they are in.
func (h *host) writeBrowsingDataFiles() (dir string, err error) {
	files, err := chromium.OpenFiles(h.process.UserDataDir(), h.process.User())
	if err != nil {
		return "", err
	}
	defer files.Close()
	const from, to = "js/browsingdata", "Bridge/browsingdata"
	if err := files.MkdirAll(to); err != nil {
		return "", err
	}
	entries, err := browsingDataFiles.ReadDir(from)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		data, err := browsingDataFiles.ReadFile(path.Join(from, entry.Name()))
		if err != nil {
			return "", err
		}
		if err := files.WriteFile(path.Join(to, entry.Name()), data); err != nil {
			return "", err
		}
	}
	return filepath.Join(h.process.UserDataDir(), filepath.FromSlash(to)), nil
}

// note adds what has failed.
func (e *ClearDataError) note(err error, types ...string) {
	if err == nil {
		return
	}
	for _, name := range types {
		if !slices.Contains(e.FailedDataTypes, name) && name != "cacheStorage" {
			e.FailedDataTypes = append(e.FailedDataTypes, name)
		}
	}
	if e.Cause != nil {
		err = fmt.Errorf("%w; %w", e.Cause, err)
	}
	e.Cause = err
}

// err is nil if nothing has failed.
func (e *ClearDataError) err() error {
	if e.Cause == nil {
		return nil
	}
	return e
}
