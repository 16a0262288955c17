package bridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// ClearStorageOptions are the options of Session.ClearStorageData. The zero
// value means everything.
type ClearStorageOptions struct {
	// Origin is where to clear, such as "https://example.test"; a path does not
	// count. Empty means everywhere. Cookies go by its host: they have no ports.
	Origin string `json:"origin,omitzero"`
	// Storages is what to clear: "cookies", "filesystem", "indexdb",
	// "localstorage" (session storage too), "shadercache", "serviceworkers",
	// "cachestorage", in any case of letters. Other names are ignored, "websql"
	// among them, which Chromium no longer has. nil means everything, an empty
	// list nothing.
	Storages []string `json:"storages,omitzero"`
	// Quotas is accepted and has no effect, as in newer versions of Electron.
	Quotas []string `json:"quotas,omitzero"`
}

// storages are Electron's names of what ClearStorageData clears, and the
// protocol's.
func storages() map[string]string {
	return map[string]string{
		"cookies":        "cookies",
		"filesystem":     "file_systems",
		"filesystems":    "file_systems",
		"indexdb":        "indexeddb",
		"localstorage":   "local_storage",
		"shadercache":    "shader_cache",
		"serviceworkers": "service_workers",
		"cachestorage":   "cache_storage",
	}
}

// everything is the protocol's name of all storages.
const everything = "all"

// ClearStorageData clears what pages have stored. Pages that are open may see
// their local storage as it was for a moment. An origin that is none is an
// *InvalidArgumentError.
//
// Unlike in Electron, media device ids stay the same when cookies are cleared.
func (s *Session) ClearStorageData(ctx context.Context, o ClearStorageOptions) error {
	origin := "*"
	if o.Origin != "" {
		var err error
		if origin, err = serializedOrigin(o.Origin); err != nil {
			return err
		}
	}
	types := []string{everything}
	if o.Storages != nil {
		types = translated(o.Storages, storages(), strings.ToLower)
	}
	if origin == "file://" {
		types = withoutCookies(types)
	}
	return s.clear(ctx, origin, types)
}

// withoutCookies is for an origin without a host, for which Chromium would clear
// the cookies of all hosts. Files have none.
func withoutCookies(types []string) []string {
	if slices.Contains(types, everything) {
		types = slices.Sorted(maps.Values(storages()))
	}
	return slices.DeleteFunc(slices.Compact(types), func(name string) bool { return name == "cookies" })
}

// translated are the names that a table has, without repetitions.
func translated(names []string, table map[string]string, spelling func(string) string) []string {
	var found []string
	for _, name := range names {
		if word, ok := table[spelling(name)]; ok && !slices.Contains(found, word) {
			found = append(found, word)
		}
	}
	return found
}

// clear clears storages, by the protocol's names, of an origin or "*".
func (s *Session) clear(ctx context.Context, origin string, types []string) error {
	if len(types) == 0 {
		return nil
	}
	return s.clearing(ctx, types, func(at *place) error {
		return s.onPage(ctx, at, func(ctx context.Context, page *cdp.Session) error {
			if err := isOrigin(ctx, page, origin); err != nil {
				return err
			}
			return page.Call(ctx, "Storage.clearDataForOrigin", map[string]string{"origin": origin, "storageTypes": strings.Join(types, ",")}, nil)
		})
	})
}

// clearing runs what clears. Those who listen to cookies are told when they are
// among the types.
func (s *Session) clearing(ctx context.Context, types []string, do func(at *place) error) error {
	if slices.Contains(types, "cookies") || slices.Contains(types, everything) {
		return s.cookies.write(ctx, "clearing storage", func(at *place, _ []storedCookie) (author, error) {
			return author{removal: "explicit"}, do(at)
		})
	}
	at, err := s.place(ctx)
	if err == nil {
		err = s.explain(do(at))
	}
	return doing("clearing storage", err)
}

// isOrigin lets Chromium itself confirm an origin: for what it takes for none,
// Storage.clearDataForOrigin clears all origins without a word.
func isOrigin(ctx context.Context, page *cdp.Session, origin string) error {
	if origin == "*" {
		return nil
	}
	err := page.Call(ctx, "Storage.getUsageAndQuota", map[string]string{"origin": origin}, nil)
	if refused := (*cdp.Error)(nil); errors.As(err, &refused) {
		return invalidOrigin(origin)
	}
	return err
}

// serializedOrigin is the origin of a URL. Schemes whose URLs have none to
// Chromium are refused.
func serializedOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", invalidOrigin(text)
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "file":
		return "file://", nil
	case "http", "ws":
		host = strings.TrimSuffix(host, ":80")
	case "https", "wss":
		host = strings.TrimSuffix(host, ":443")
	case "chrome-extension":
	default:
		return "", invalidOrigin(text)
	}
	if u.Hostname() == "" {
		return "", invalidOrigin(text)
	}
	return u.Scheme + "://" + host, nil
}

func serializedOrigins(texts []string) ([]string, error) {
	var origins []string
	for _, text := range texts {
		origin, err := serializedOrigin(text)
		if err != nil {
			return nil, err
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

func invalidOrigin(text string) error { return invalidArgument("Invalid origin: '%s'", text) }

// blankPage is what the bridge opens where it needs any page of a context. No
// page can open an address of chrome:.
const blankPage = "chrome://blank/"

// FlushStorageData is Electron's flushStorageData: it writes the local storage
// of pages to disk. Chromium writes it up to a minute later, some moments after
// the last page of an origin is closed, and all of it when it ends in an orderly
// way; it has no way to be asked. So for a persistent session this is an
// *UnsupportedError, and Session.Close or Browser.Close is what returns when
// everything is written. For a session in memory there is nothing to do.
// Cookies have Cookies.FlushStore, databases need nothing.
func (s *Session) FlushStorageData(context.Context) error {
	if !s.IsPersistent() {
		return nil
	}
	return &UnsupportedError{
		Feature: "writing local storage to disk",
		Reason:  "Chromium does it when it likes",
		Instead: "close the session, which returns when all is written",
	}
}

// onPage calls f with the session of some page of the context, opening a hidden
// one where there is none: what clears acts on the context of a page, and has
// no other way to name it.
func (s *Session) onPage(ctx context.Context, at *place, f func(ctx context.Context, page *cdp.Session) error) error {
	for _, page := range s.Pages() {
		if page.IsCrashed() {
			continue
		}
		err := f(ctx, page.CDP())
		if errors.Is(err, cdp.ErrDetached) || errors.Is(err, cdp.ErrCrashed) {
			continue
		}
		return err
	}
	return at.host.hidden.Use(ctx, at.param(), blankPage, f)
}

// ClearCache empties the HTTP cache of the session. Chromium empties its cache
// of compiled code with it.
func (s *Session) ClearCache(ctx context.Context) error {
	at, err := s.place(ctx)
	if err == nil {
		err = s.explain(s.clearCache(ctx, at))
	}
	return doing("clearing the cache", err)
}

func (s *Session) clearCache(ctx context.Context, at *place) error {
	return s.onPage(ctx, at, func(ctx context.Context, page *cdp.Session) error {
		return page.Call(ctx, "Network.clearBrowserCache", nil, nil)
	})
}

// GetCacheSize returns the size of the session's HTTP cache in bytes. Chromium
// writes what it caches with some delay.
//
// It is counted on disk. A session in memory that shares a Chromium process has
// its cache in that process, which tells nobody: *UnsupportedError, unless it
// has PartitionOptions.OwnProcess.
func (s *Session) GetCacheSize(ctx context.Context) (int64, error) {
	at, err := s.place(ctx)
	if err != nil {
		return 0, fmt.Errorf("getting the size of the cache: %w", err)
	}
	switch {
	case at.host.process == nil:
		return 0, &UnsupportedError{Feature: "the size of the HTTP cache", Reason: "the browser was not started by the bridge, which does not know its directory", Instead: "use Launch"}
	case !at.isDefault():
		return 0, &UnsupportedError{Feature: "the size of the HTTP cache", Reason: "Chromium keeps that of a session in memory to itself", Instead: "use PartitionOptions.OwnProcess"}
	}
	size, err := cacheSize(at.host.process.UserDataDir())
	if err != nil {
		return 0, fmt.Errorf("getting the size of the cache: %w", err)
	}
	return size, nil
}

// cacheEntry are the files of Chromium's simple cache that hold an entry.
var cacheEntry = regexp.MustCompile(`^[0-9a-f]{16}_[01s]$`)

// cacheSize adds up what the cache below a user data directory holds. Chromium
// can write there whatever it likes: only names and sizes are looked at, and
// none outside of the directory.
func cacheSize(userDataDir string) (int64, error) {
	root, err := os.OpenRoot(userDataDir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), path.Join(profileDir, "Cache", "Cache_Data"))
	if err != nil {
		return 0, ignoreMissing(err)
	}
	var size int64
	for _, entry := range entries {
		info, err := entry.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // evicted since
		case err != nil:
			return 0, err
		case info.Mode().IsRegular() && cacheEntry.MatchString(entry.Name()):
			size += info.Size()
		}
	}
	return size, nil
}

// ClearDataOptions are the options of Session.ClearData. The zero value means
// everything.
type ClearDataOptions struct {
	// DataTypes is what to clear: "backgroundFetch", "cache" (the HTTP cache
	// and cache storage), "cookies", "downloads" (the list, not the files),
	// "fileSystems", "indexedDB", "localStorage", "serviceWorkers". Other names
	// are ignored, "webSQL" among them. nil means everything, an empty list
	// nothing.
	DataTypes []string `json:"dataTypes,omitzero"`
	// Origins is where to clear; an empty list that is not nil means nowhere.
	// Cookies go by registrable domain.
	Origins []string `json:"origins,omitzero"`
	// ExcludeOrigins is where not to clear. It and Origins exclude each other.
	ExcludeOrigins []string `json:"excludeOrigins,omitzero"`
	// AvoidClosingConnections is accepted: open connections stay open.
	AvoidClosingConnections bool `json:"avoidClosingConnections,omitzero"`
	// OriginMatchingMode is "third-parties-included", the default: an origin
	// stands for its own data and for what others have stored in its pages.
	// "origin-in-all-contexts" is an *UnsupportedError.
	OriginMatchingMode string `json:"originMatchingMode,omitzero"`
}

// ClearDataError says that not everything could be cleared.
type ClearDataError struct {
	// FailedDataTypes is what was not cleared, by the names of
	// ClearDataOptions.
	FailedDataTypes []string
	// Cause is why, nil if Chromium has no way to do it.
	Cause error
}

func (e *ClearDataError) Error() string {
	text := fmt.Sprintf("Failed to clear data (%s)", strings.Join(e.FailedDataTypes, ", "))
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *ClearDataError) Unwrap() error { return e.Cause }

// dataTypes are Electron's names of what ClearData clears, and the protocol's
// where it has one.
func dataTypes() map[string]string {
	return map[string]string{
		"backgroundFetch": "",
		"cache":           "cache_storage",
		"cookies":         "cookies",
		"downloads":       "",
		"fileSystems":     "file_systems",
		"indexedDB":       "indexeddb",
		"localStorage":    "local_storage",
		"serviceWorkers":  "service_workers",
	}
}

// ClearData clears data of the session, by kinds and by origins. Wrong options
// are an *InvalidArgumentError with Electron's texts. What could not be cleared
// is a *ClearDataError; the rest is cleared then.
//
// With origins, and for downloads, it takes an extension of the bridge's own; in
// a browser that the bridge did not start that fails. Data of background fetches
// goes only when everything goes, and the list of downloads not by origins: to
// name these types with what cannot be done is an error.
func (s *Session) ClearData(ctx context.Context, o ClearDataOptions) error {
	if o.Origins != nil && o.ExcludeOrigins != nil {
		return invalidArgument("Cannot provide both 'origins' and 'excludeOrigins'")
	}
	origins, err := serializedOrigins(o.Origins)
	if err != nil {
		return err
	}
	excluded, err := serializedOrigins(o.ExcludeOrigins)
	if err != nil {
		return err
	}
	switch o.OriginMatchingMode {
	case "", "third-parties-included":
	case "origin-in-all-contexts":
		return &UnsupportedError{Feature: "originMatchingMode origin-in-all-contexts", Reason: "Chromium clears by third-parties-included only", Instead: "leave it out"}
	default:
		return invalidArgument("Invalid value for originMatchingMode: '%s'", o.OriginMatchingMode)
	}
	types := o.DataTypes
	if types == nil {
		types = slices.Sorted(maps.Keys(dataTypes()))
	}
	types = slices.DeleteFunc(slices.Clone(types), func(name string) bool { _, known := dataTypes()[name]; return !known })
	switch {
	case len(types) == 0, o.Origins != nil && len(origins) == 0:
		return nil
	case len(origins)+len(excluded) > 0:
		return s.clearOrigins(ctx, types, o.DataTypes != nil, removalOptions{Origins: origins, ExcludeOrigins: excluded})
	}
	return s.clearTypes(ctx, types, o.DataTypes == nil)
}

// clearTypes clears data of all origins. With all set the types are those that
// there are, and whatever else the protocol knows goes too.
func (s *Session) clearTypes(ctx context.Context, types []string, all bool) error {
	var failed ClearDataError
	stores := translated(types, dataTypes(), func(name string) string { return name })
	stores = slices.DeleteFunc(stores, func(word string) bool { return word == "" })
	if all {
		stores = []string{everything}
	}
	failed.note(s.clear(ctx, "*", stores), types...)
	if slices.Contains(types, "cache") {
		failed.note(s.ClearCache(ctx), "cache")
	}
	if slices.Contains(types, "downloads") {
		failed.note(s.clearing(ctx, []string{"downloads"}, func(at *place) error { return at.removeBrowsingData(ctx, removalOptions{}, "downloads") }), "downloads")
	}
	if slices.Contains(types, "backgroundFetch") && !all {
		failed.note(errBackgroundFetch, "backgroundFetch")
	}
	return failed.err()
}

var errBackgroundFetch = errors.New("background fetches are cleared together with everything else only")
