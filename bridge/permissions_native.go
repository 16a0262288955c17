package bridge

import (
	"errors"
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/permissions"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// nativePermissions are what Chromium itself grants and denies in a session. By
// itself a headless one denies most things and a headful one asks a person;
// Electron grants. A setting for an origin wins over one for all; both can be
// replaced, and not taken away one by one.
//
// The origin is that of the page, also for what its frames ask for: what has to
// differ between frames is granted for as long as one of them needs it.
type nativePermissions struct {
	session *Session

	mu      sync.Mutex
	at      *place
	asked   bool // requests have to be asked for: Chromium denies them
	entries map[nativeKey]*nativeEntry
}

// nativeKey is what Chromium has a setting for. embedded is empty but for what is
// a matter between a frame and its page.
type nativeKey struct {
	origin, embedded string
	permission       permissions.Descriptor
}

// nativeEntry is the setting for an origin.
type nativeEntry struct {
	checked bool // what the check said
	holds   int  // requests that were granted and need it
	granted bool // as Chromium knows it
}

// Chromium's names in Browser.grantPermissions for what a page asks for by a call
// that the bridge sees, and for all else. It refuses to grant handTracking,
// protectedMediaIdentifier, smartCard and webPrinting. Fullscreen without a gesture,
// which Electron does not have, is left out, and so is speakerSelection, which would
// show the names of loudspeakers to pages that may not use the microphone.
var (
	typesAskedFor = []string{
		"audioCapture", "videoCapture", "cameraPanTiltZoom", "displayCapture", "geolocation", "midi", "midiSysex",
		"clipboardReadWrite", "clipboardSanitizedWrite", "keyboardLock", "pointerLock", "storageAccess", "topLevelStorageAccess",
		"windowManagement", "wakeLockScreen", "durableStorage", "localFonts",
		"backgroundSync", "periodicBackgroundSync", "backgroundFetch",
	}
	otherTypes = []string{
		"ar", "vr", "capturedSurfaceControl", "idleDetection", "localNetwork", "localNetworkAccess", "loopbackNetwork", "nfc",
		"notifications", "paymentHandler", "sensors", "wakeLockSystem", "webAppInstallation",
	}
)

// askedFor are the permissions behind typesAskedFor.
var askedFor = []Permission{
	PermissionMedia, PermissionDisplayCapture, PermissionGeolocation, PermissionMIDI, PermissionMIDISysex, PermissionClipboardRead,
	PermissionClipboardSanitizedWrite, PermissionKeyboardLock, PermissionPointerLock, PermissionStorageAccess, PermissionTopLevelStorageAccess,
	PermissionWindowManagement, PermissionScreenWakeLock, PermissionPersistentStorage, PermissionLocalFonts, PermissionSpeakerSelection,
	PermissionBackgroundSync, PermissionPeriodicBackgroundSync, PermissionBackgroundFetch,
}

// nativeQueries are what Chromium itself looks at, without what it denies because
// it is asked for.
func nativeQueries(asks bool) map[permissions.Query][]permissions.Descriptor {
	queries := map[permissions.Query][]permissions.Descriptor{}
	for _, p := range permissions.All() {
		if asks && slices.Contains(askedFor, p) {
			continue
		}
		for _, d := range permissions.Native(p) {
			if q, ok := permissions.FromQuery(d); ok {
				queries[q] = append(queries[q], d)
			}
		}
	}
	return queries
}

func newNativePermissions(s *Session) *nativePermissions {
	return &nativePermissions{session: s, entries: map[nativeKey]*nativeEntry{}}
}

// placed is told where the session is from now on.
func (n *nativePermissions) placed(at *place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at = at
	clear(n.entries)
	if at.host.process == nil && !n.asked {
		return // a person's own browser is left as it is
	}
	n.setAll()
}

// set is told whether requests have to be asked for, and whether somebody answers
// checks: without, everything is permitted.
func (n *nativePermissions) set(asked, checked bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := n.asked != asked
	n.asked = asked
	if changed && n.at != nil {
		n.setAll()
	}
	for key, entry := range n.entries {
		entry.checked = entry.checked || !checked
		n.bring(key, entry)
	}
}

// setAll sets what holds where there is no setting for the origin.
func (n *nativePermissions) setAll() {
	for _, at := range n.places() {
		n.setAllIn(at, n.grantedToAll())
	}
}

func (n *nativePermissions) grantedToAll() []string {
	if n.asked {
		return otherTypes
	}
	return slices.Concat(otherTypes, typesAskedFor)
}

func (n *nativePermissions) setAllIn(at *place, granted []string) {
	params := map[string]any{"permissions": granted}
	if id := at.param(); id != "" {
		params["browserContextId"] = id
	}
	root := at.host.root()
	root.Conn().Send(cdp.Command{Session: root, Method: "Browser.grantPermissions", Params: params})
}

// places are the contexts that hold the session's pages.
func (n *nativePermissions) places() []*place {
	return append([]*place{n.at}, n.session.clientContexts()...)
}

// joined is told of a further context of the session's: what holds for the session
// holds in it.
func (n *nativePermissions) joined(at *place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at.host.process == nil && !n.asked {
		return
	}
	n.setAllIn(at, n.grantedToAll())
	for key, entry := range n.entries {
		n.tellIn(at, key, entry.granted)
	}
}

// wanted is what Chromium has to know of an entry.
func (n *nativePermissions) wanted(key nativeKey, entry *nativeEntry) bool {
	return entry.holds > 0 || entry.checked && !(n.asked && isAskedFor(key.permission))
}

func isAskedFor(d permissions.Descriptor) bool {
	query, ok := permissions.FromQuery(d)
	return ok && slices.Contains(askedFor, query.Permission)
}

// bring tells Chromium of an entry if it has changed.
func (n *nativePermissions) bring(key nativeKey, entry *nativeEntry) {
	wanted := n.wanted(key, entry)
	if wanted == entry.granted || n.at == nil {
		return
	}
	entry.granted = wanted
	n.tell(key, wanted)
}

// tell tells Chromium of a setting.
func (n *nativePermissions) tell(key nativeKey, granted bool) {
	for _, at := range n.places() {
		n.tellIn(at, key, granted)
	}
}

func (n *nativePermissions) tellIn(at *place, key nativeKey, granted bool) {
	params := map[string]any{"permission": key.permission, "setting": permissionState(granted), "origin": key.origin}
	if key.embedded != "" {
		params["embeddedOrigin"] = key.embedded
	}
	if id := at.param(); id != "" {
		params["browserContextId"] = id
	}
	root := at.host.root()
	root.Conn().Send(cdp.Command{Session: root, Method: "Browser.setPermission", Params: params, Done: func(_ jsonv2.Value, err error) {
		if err != nil && !errors.Is(err, cdp.ErrDetached) && n.session.life.Err() == nil {
			n.session.browser.log.Warn("Chromium does not take a permission", "permission", key.permission.Name, "origin", key.origin, "error", err)
		}
	}})
}

// entry is the entry of a key, made where there was none.
func (n *nativePermissions) entry(key nativeKey) *nativeEntry {
	entry := n.entries[key]
	if entry == nil {
		entry = &nativeEntry{checked: true}
		// Without a setting of its own the origin has that for all.
		entry.granted = n.wanted(key, entry)
		n.entries[key] = entry
	}
	return entry
}

// check notes what is permitted to the pages of an origin.
func (n *nativePermissions) check(origin string, descriptors []permissions.Descriptor, granted bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range descriptors {
		key := nativeKey{origin: origin, permission: d}
		if n.entries[key] == nil && granted {
			continue // as it is
		}
		entry := n.entry(key)
		entry.checked = granted
		n.bring(key, entry)
	}
}

// hold has permissions granted to the pages of an origin until release is called.
func (n *nativePermissions) hold(keys []nativeKey) (release func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	held := make([]*nativeEntry, len(keys))
	for i, key := range keys {
		entry := n.entry(key)
		held[i] = entry
		entry.holds++
		n.bring(key, entry)
	}
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for i, key := range keys {
			held[i].holds--
			if n.entries[key] == held[i] { // else the process that knew of it is gone
				n.bring(key, held[i])
			}
		}
	})
}
