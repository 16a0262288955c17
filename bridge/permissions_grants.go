package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/permissions"
)

// permissionsFile is what a session remembers, in its directory.
const permissionsFile = "bridge-permissions.json"

// Who decided, as PermissionDecision has it.
const (
	byHandler        = "handler"
	byDisplayHandler = "display handler"
	byClient         = "client"
	byMemory         = "remembered"
	byTooMany        = "too many"
)

// RememberPermissions makes the session remember what the request handler answers,
// by the origin that asked, the permission and the media type, and answer the same
// without the handler from then on. What is remembered holds also without a
// handler; a policy that allows or denies comes first. false ends that, and forgets
// nothing. Electron has nothing like it.
//
// A persistent session, and the default one, keep it as bridge-permissions.json in
// their directory, which is read once and belongs to the session while that is
// open; others keep it in memory, and so does a browser that the bridge did not
// start. An answer that cannot be written, on a full disk or because there are
// permissions.MaxGrants already, is given to the page all the same, logged, and not
// remembered.
//
// Camera and microphone are two decisions. A page that asks for both is answered
// from memory when both are remembered: no, if one of them was denied.
//
// Not remembered is what a policy answers by itself, what opaque origins ask for,
// and answers to more than the origin and the permission tell, or for the moment
// alone: openExternal, which has a URL, fileSystem, which has a path, storage-access
// and top-level-storage-access, which are matters between two origins,
// display-capture, fullscreen and pointerLock.
//
// Checks are answered from memory where a policy says Ask and there is no check
// handler.
//
// When the file cannot be understood the error is a *permissions.DamagedError, the
// file has been renamed, nothing is remembered, and the next call begins anew. A
// file of a newer program stays, with a *permissions.VersionError.
func (s *Session) RememberPermissions(ctx context.Context, on bool) error {
	var memory *permissions.Store
	if on {
		var err error
		if memory, err = s.permissions.grants.open(ctx, s); err != nil {
			return doing("remembering permissions", err)
		}
	}
	s.permissions.change(func(r *permissionRules) { r.memory = memory })
	return nil
}

// PermissionGrants is what the session remembers, yes and no, sorted by origin,
// permission and media type; nothing before RememberPermissions was called.
func (s *Session) PermissionGrants() []permissions.Grant {
	if store := s.permissions.grants.opened(); store != nil {
		return store.List()
	}
	return nil
}

// RevokePermission forgets what is remembered of an origin and a permission, and
// takes back what documents of the origin were granted and still have: cameras and
// microphones end, and so do watches of the position. The next request is decided
// anew.
//
// Chromium knows such permissions by page. Where a frame loses one, other frames of
// its page have what they do with it ended too, and may ask again. Who is in
// fullscreen stays there.
//
// The error is a *permissions.OriginError or a *permissions.UnknownError where it is
// given no origin or no permission, or says that the file could not be written; what
// was granted is taken back then, too, but what is remembered still holds.
func (s *Session) RevokePermission(ctx context.Context, origin string, p Permission) error {
	origin, err := permissions.ParseOrigin(origin)
	if err == nil {
		err = s.permissions.revoke(ctx, func(store *permissions.Store) error {
			_, err := store.Revoke(origin, p)
			return err
		}, func(g *documentGrant) bool { return g.origin == origin && g.permission == p })
	}
	return doing("revoking a permission", err)
}

// ClearPermissionGrants is RevokePermission for all origins and permissions.
func (s *Session) ClearPermissionGrants(ctx context.Context) error {
	err := s.permissions.revoke(ctx, (*permissions.Store).Clear, func(*documentGrant) bool { return true })
	return doing("revoking all permissions", err)
}

// permissionGrants are the decisions that a session remembers, from the first use of
// the store to the end of the session.
type permissionGrants struct {
	mu    sync.Mutex
	store *permissions.Store // nil while it is not open
}

func (g *permissionGrants) opened() *permissions.Store {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.store
}

// open returns the session's store.
func (g *permissionGrants) open(ctx context.Context, s *Session) (*permissions.Store, error) {
	if store := g.opened(); store != nil {
		return store, nil
	}
	dir, err := s.kept.open(ctx, s)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.store == nil {
		g.store, err = permissions.Open(dir, permissionsFile)
	}
	return g.store, err
}

func (g *permissionGrants) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.store = nil
}

// rememberable is what an answer is remembered for: nothing where it was for the
// moment, or for more than an origin and a permission.
func rememberable(p Permission, mediaTypes ...string) (about []permissions.Query) {
	switch p {
	case PermissionOpenExternal, PermissionFileSystem, PermissionStorageAccess, PermissionTopLevelStorageAccess,
		PermissionDisplayCapture, PermissionFullscreen, PermissionPointerLock:
		return nil
	case PermissionMedia: // without a type it is the capture of a screen
		for _, mediaType := range mediaTypes {
			about = append(about, permissions.Query{Permission: p, MediaType: mediaType})
		}
		return about
	}
	return []permissions.Query{{Permission: p}}
}

// recall is the answer that an origin was given, if that is remembered.
func (r *permissionRules) recall(origin string, p Permission, mediaTypes ...string) (granted, found bool) {
	if r.memory == nil {
		return false, false
	}
	decision, found := r.memory.Get(origin, rememberable(p, mediaTypes...)...)
	return decision.Granted, found
}

// checksMemory reports whether checks depend on what is remembered.
func (r *permissionRules) checksMemory() bool {
	return r.memory != nil && r.policy != nil && r.check == nil
}

// settle makes an answer hold: it is remembered, and what was granted is. No
// revocation comes between that. It is false where the answer was a remembered one
// and a revocation has come before, so that it is none any more.
func (d *permissionDecider) settle(r PermissionRequest, granted bool, rule string, grant func()) bool {
	d.revoking.RLock()
	defer d.revoking.RUnlock()
	rules := d.current()
	switch rule {
	case byHandler:
		d.remember(rules, r, granted)
	case byMemory:
		if again, found := rules.recall(r.RequestingOrigin, r.Permission, r.MediaTypes...); !found || again != granted {
			return false
		}
	}
	if granted && grant != nil {
		grant()
	}
	return true
}

// remember keeps an answer of the handler's.
func (d *permissionDecider) remember(rules permissionRules, r PermissionRequest, granted bool) {
	about := rememberable(r.Permission, r.MediaTypes...)
	if rules.memory == nil || len(about) == 0 {
		return
	}
	err := rules.memory.Set(r.RequestingOrigin, permissions.Decision{Granted: granted, When: time.Now()}, about...)
	var opaque *permissions.OriginError
	if err != nil && !errors.As(err, &opaque) && d.session.life.Err() == nil {
		d.session.browser.log.Warn("an answer to a permission request is not remembered", "origin", r.RequestingOrigin, "permission", r.Permission, "error", err)
	}
	if rules.checksMemory() {
		d.pages.review() // before the page that has asked goes on
	}
}

// revoke forgets decisions, and takes back the grants that which picks.
func (d *permissionDecider) revoke(ctx context.Context, forget func(*permissions.Store) error, which func(*documentGrant) bool) error {
	store, err := d.grants.open(ctx, d.session)
	d.revoking.Lock()
	if err == nil {
		err = forget(store)
	}
	d.pages.revoke(which)
	d.revoking.Unlock()
	if rules := d.current(); rules.checksMemory() {
		d.pages.review()
	}
	return err
}

// review brings what is permitted to what is remembered now, and waits until
// Chromium is told.
func (p *permissionPages) review() {
	p.mu.Lock()
	p.changes++ // an answer from before does not count
	p.mu.Unlock()
	p.reviewAll()()
}

// documentGrant is what a document was granted.
type documentGrant struct {
	origin     string // of the document, empty for an opaque one
	permission Permission
	keys       []nativeKey
	end        func() // that takes it back
}

// revoke takes back the grants that which picks, and ends what documents do with
// them.
func (p *permissionPages) revoke(which func(*documentGrant) bool) {
	var keys []nativeKey
	p.mu.Lock()
	var revoked []grantID
	for id, g := range p.grants {
		if which(g) {
			revoked = append(revoked, id)
			keys = append(keys, g.keys...)
		}
	}
	p.mu.Unlock()
	for _, id := range revoked {
		p.takeBack(id)
	}
	p.decider.native.interrupt(keys)
}

// interrupt denies what is still granted for a moment, which ends what documents
// do with it.
func (n *nativePermissions) interrupt(keys []nativeKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, key := range keys {
		entry := n.entries[key]
		if entry == nil || !entry.granted || n.at == nil || slices.Contains(keys[:i], key) {
			continue
		}
		n.tell(key, false)
		n.tell(key, true)
	}
}
