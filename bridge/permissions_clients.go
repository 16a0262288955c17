package bridge

import (
	"slices"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/permissions"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// permissionOverride is what a client has said of a permission.
type permissionOverride struct {
	contextID string
	origin    string // empty for all
	query     permissions.Query
	rest      bool // it is of whatever has none of its own
	granted   bool
}

// permissionOverrides are what a client has said with Browser.setPermission and
// Browser.grantPermissions. As in Chromium they go with the client.
type permissionOverrides struct {
	decider *permissionDecider

	mu      sync.Mutex // held while they are changed
	list    []permissionOverride
	dropped bool
}

// overrideList is what a client has said, as the rules hold it.
type overrideList struct {
	client *permissionOverrides
	list   []permissionOverride
}

func (d *permissionDecider) newOverrides() *permissionOverrides {
	return &permissionOverrides{decider: d}
}

// drop takes back what the client has said.
func (o *permissionOverrides) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped = true
	if len(o.list) > 0 {
		o.set(nil)
	}
}

func (o *permissionOverrides) set(list []permissionOverride) {
	o.list = list
	o.decider.change(func(r *permissionRules) {
		r.overrides = slices.DeleteFunc(slices.Clone(r.overrides), func(other overrideList) bool { return other.client == o })
		if len(list) > 0 {
			r.overrides = append(r.overrides, overrideList{o, list})
		}
	})
}

// command carries out one of the client's commands.
func (o *permissionOverrides) command(contextID, method string, params []byte) error {
	var p struct {
		Permission  permissions.Descriptor `json:"permission"`
		Permissions []string               `json:"permissions"`
		Setting     string                 `json:"setting"`
		Origin      string                 `json:"origin"`
	}
	if len(params) > 0 {
		if err := jsonv2.Unmarshal(params, &p); err != nil {
			return &cdp.Error{Code: -32602, Message: "Invalid parameters: " + err.Error()}
		}
	}
	origin, err := overrideOrigin(p.Origin)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped {
		return nil
	}
	list := slices.Clone(o.list)
	without := func(which func(permissionOverride) bool) {
		list = slices.DeleteFunc(list, func(other permissionOverride) bool { return other.contextID == contextID && which(other) })
	}
	switch method {
	case "Browser.resetPermissions":
		without(func(permissionOverride) bool { return true })
	case "Browser.setPermission":
		query, ok := permissions.FromQuery(p.Permission)
		if !ok {
			return &cdp.Error{Code: -32602, Message: "Permission can't be granted in current context."}
		}
		without(func(other permissionOverride) bool {
			return other.origin == origin && !other.rest && other.query == query
		})
		if p.Setting != "prompt" {
			list = append(list, permissionOverride{contextID: contextID, origin: origin, query: query, granted: p.Setting == "granted"})
		}
	case "Browser.grantPermissions": // and denies the others
		without(func(other permissionOverride) bool { return other.origin == origin })
		for _, name := range p.Permissions {
			query, ok := grantedTypes()[name]
			if !ok {
				return &cdp.Error{Code: -32602, Message: "Unknown permission type: " + name}
			}
			list = append(list, permissionOverride{contextID: contextID, origin: origin, query: query, granted: true})
		}
		list = append(list, permissionOverride{contextID: contextID, origin: origin, rest: true})
	}
	o.set(list)
	return nil
}

func overrideOrigin(origin string) (string, error) {
	if origin == "" {
		return "", nil
	}
	parsed, err := permissions.ParseOrigin(origin)
	if err != nil {
		return "", &cdp.Error{Code: -32602, Message: err.Error()}
	}
	return parsed, nil
}

// grantedTypes are what the names of Browser.grantPermissions mean.
func grantedTypes() map[string]permissions.Query {
	query := func(p Permission) permissions.Query { return permissions.Query{Permission: p} }
	return map[string]permissions.Query{
		"ar":                       query(PermissionAR),
		"audioCapture":             {Permission: PermissionMedia, MediaType: permissions.Audio},
		"automaticFullscreen":      query(PermissionAutomaticFullscreen),
		"backgroundFetch":          query(PermissionBackgroundFetch),
		"backgroundSync":           query(PermissionBackgroundSync),
		"cameraPanTiltZoom":        {Permission: PermissionMedia, MediaType: permissions.Video},
		"capturedSurfaceControl":   query(PermissionCapturedSurfaceControl),
		"clipboardReadWrite":       query(PermissionClipboardRead),
		"clipboardSanitizedWrite":  query(PermissionClipboardSanitizedWrite),
		"displayCapture":           query(PermissionDisplayCapture),
		"durableStorage":           query(PermissionPersistentStorage),
		"geolocation":              query(PermissionGeolocation),
		"handTracking":             query(PermissionHandTracking),
		"idleDetection":            query(PermissionIdleDetection),
		"keyboardLock":             query(PermissionKeyboardLock),
		"localFonts":               query(PermissionLocalFonts),
		"localNetwork":             query(PermissionLocalNetwork),
		"localNetworkAccess":       query(PermissionLocalNetworkAccess),
		"loopbackNetwork":          query(PermissionLoopbackNetwork),
		"midi":                     query(PermissionMIDI),
		"midiSysex":                query(PermissionMIDISysex),
		"nfc":                      query(PermissionNFC),
		"notifications":            query(PermissionNotifications),
		"paymentHandler":           query(PermissionPaymentHandler),
		"periodicBackgroundSync":   query(PermissionPeriodicBackgroundSync),
		"pointerLock":              query(PermissionPointerLock),
		"protectedMediaIdentifier": query(PermissionMediaKeySystem),
		"sensors":                  query(PermissionSensors),
		"smartCard":                query(PermissionSmartCard),
		"speakerSelection":         query(PermissionSpeakerSelection),
		"storageAccess":            query(PermissionStorageAccess),
		"topLevelStorageAccess":    query(PermissionTopLevelStorageAccess),
		"videoCapture":             {Permission: PermissionMedia, MediaType: permissions.Video},
		"vr":                       query(PermissionVR),
		"wakeLockScreen":           query(PermissionScreenWakeLock),
		"wakeLockSystem":           query(PermissionSystemWakeLock),
		"webAppInstallation":       query(PermissionWebAppInstallation),
		"webPrinting":              query(PermissionWebPrinting),
		"windowManagement":         query(PermissionWindowManagement),
	}
}

// overridden is what clients have said of a permission, the newest first. page is nil
// for what belongs to an origin and not to a page.
func (r *permissionRules) overridden(page *WebContents, embedding string, p Permission, mediaTypes ...string) (granted, found bool) {
	if len(mediaTypes) == 0 {
		mediaTypes = []string{""}
	}
	granted = true
	for _, mediaType := range mediaTypes {
		one, said := r.overriddenOne(page, embedding, permissions.Query{Permission: p, MediaType: mediaType})
		granted, found = granted && (one || !said), found || said
	}
	return granted, found
}

func (r *permissionRules) overriddenOne(page *WebContents, embedding string, q permissions.Query) (granted, found bool) {
	embedding, _ = permissions.ParseOrigin(embedding)
	for _, said := range slices.Backward(r.overrides) {
		// One for the origin wins over one for all.
		for _, origin := range []string{embedding, ""} {
			if granted, found := said.find(page, origin, q); found {
				return granted, true
			}
		}
	}
	return false, false
}

func (o *overrideList) find(page *WebContents, origin string, q permissions.Query) (granted, found bool) {
	for _, said := range slices.Backward(o.list) {
		here := page == nil || said.contextID == page.target.BrowserContextID()
		if !here || said.origin != origin {
			continue
		}
		if said.query == q && !said.rest {
			return said.granted, true
		}
		found = found || said.rest
	}
	return false, found
}
