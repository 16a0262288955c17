package bridge

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"strings"
	"time"
)

// CookieChange is a change of a cookie: Electron's event changed.
type CookieChange struct {
	// Cookie is the cookie: as it was, if it was removed.
	Cookie Cookie `json:"cookie"`
	// Cause is "inserted", "inserted-no-change-overwrite" (the same cookie
	// again), "inserted-no-value-change-overwrite" (other attributes) for what
	// came, and "explicit", "overwrite", "expired", "evicted" or
	// "expired-overwrite" for what went.
	Cause string `json:"cause"`
	// Removed says that the cookie is gone.
	Removed bool `json:"removed"`
	// Approximate says that the cause was inferred from what was there before
	// and after. It is false for what Cookies and the members of Session did.
	Approximate bool `json:"approximate,omitzero"`
}

// Changes returns an iterator over the changes of the session's cookies from
// now on, whoever makes them. A cookie that is replaced gives two: "overwrite"
// with the old one, then an insertion. It ends with ctx and with the session.
//
// Chromium tells an extension alone of cookies, and in a default context alone:
// there the bridge's own one listens, and every change comes with its cause.
// What was lost with a Chromium that is gone is told as Approximate.
//
// For a session in memory that shares a Chromium process, and in a browser that
// the bridge did not start, changes are found by looking: ten times a second,
// less often where there are thousands of cookies, and not at all while nobody
// listens. What pages and servers change is told that much later, as
// Approximate. Of a cookie that comes and goes between two looks nothing is
// told, of one that changes twice the last change, and nothing if a page or
// server sets a cookie again as it is. PartitionOptions.OwnProcess makes them
// exact.
func (c *Cookies) Changes(ctx context.Context) iter.Seq[CookieChange] {
	if err := c.turn.take(ctx); err != nil {
		return func(func(CookieChange) bool) {}
	}
	defer c.turn.give()
	if c.watch == nil {
		c.startWatch(ctx)
	}
	if c.watch.heard.lives() {
		_ = c.watch.heard.catchUp(ctx)
	}
	c.watch.listeners++
	return c.changes.listen(ctx, c.leave)
}

func (c *Cookies) startWatch(ctx context.Context) {
	life, stop := context.WithCancel(c.session.life)
	c.watch = &cookieWatch{tell: c.changes.tell, stop: stop}
	if at, err := c.session.place(ctx); err == nil {
		c.beginWatch(ctx, life, c.watch, at)
	}
	go c.look(life, c.watch)
}

// beginWatch lets the helper listen, where it can, and tells what has changed
// while nobody listened or looked.
func (c *Cookies) beginWatch(ctx, life context.Context, watch *cookieWatch, at *place) {
	if watch.heard != nil {
		watch.jar = watch.heard.known()
		watch.heard = nil
	}
	heard := hearCookies(ctx, life, at, watch.tell)
	jar, err := at.cookies(ctx)
	if err != nil {
		if heard != nil {
			heard.stop()
		}
		return
	}
	watch.see(jar, author{})
	if heard != nil {
		heard.know(jar)
		watch.heard = heard
	}
}

// leave is told that a listener is gone.
func (c *Cookies) leave() {
	c.turn <- struct{}{}
	defer c.turn.give()
	if c.watch.listeners--; c.watch.listeners == 0 {
		c.watch.stop()
		c.watch = nil
	}
}

const (
	// lookInterval is the time between two looks at the cookies.
	lookInterval = 100 * time.Millisecond
	// lookPause is how many times as long as a look the time after it is, up to
	// lookPauseLimit: a browser that is busy is left alone for a while.
	lookPause      = 20
	lookPauseLimit = 2 * time.Second
	// lookTimeout is for a browser that does not answer.
	lookTimeout = 5 * time.Second
)

// look compares the cookies with what is known of them, again and again.
func (c *Cookies) look(life context.Context, watch *cookieWatch) {
	next := time.NewTimer(lookInterval)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-life.Done():
			if c.session.life.Err() != nil {
				c.changes.end()
			}
			return
		}
		watch.heard.wait(life)
		began := time.Now()
		c.lookOnce(life, watch)
		next.Reset(min(max(lookInterval, lookPause*time.Since(began)), lookPauseLimit))
	}
}

func (c *Cookies) lookOnce(life context.Context, watch *cookieWatch) {
	ctx, cancel := context.WithTimeout(life, lookTimeout)
	defer cancel()
	if c.turn.take(ctx) != nil {
		return
	}
	defer c.turn.give()
	at, _ := c.session.present()
	if c.watch != watch || at == nil {
		return // its process has ended: looking is no reason to start another
	}
	if watch.jar == nil || watch.heard != nil {
		c.beginWatch(ctx, life, watch, at)
		return
	}
	wire, err := at.wireCookies(ctx)
	if err != nil || bytes.Equal(wire, watch.wire) {
		return
	}
	if jar, err := readCookies(wire); err == nil {
		watch.see(jar, author{})
		watch.wire = wire
	}
}

// author is who made the changes that a look finds.
//
// The zero value is somebody unknown.
type author struct {
	removal string // the cause of what it removes
	wrote   bool   // it wrote the cookie owns, and nothing else is its doing
	owns    cookieKey
}

// cookieWatch knows the cookies as they were last seen and tells of changes.
type cookieWatch struct {
	tell      func(CookieChange)
	stop      context.CancelFunc
	listeners int

	jar  []storedCookie // nil until they were read
	wire []byte         // the same, as the browser told it

	heard *heardCookies // nil while the bridge looks
}

// looks reports whether changes are found by looking.
func (w *cookieWatch) looks() bool { return w != nil && !w.heard.lives() }

// see compares the cookies with those seen last and tells of the changes that
// the author made. It does nothing on a nil watch, and while the helper listens.
func (w *cookieWatch) see(jar []storedCookie, by author) {
	if !w.looks() {
		return
	}
	last := w.jar
	w.jar, w.wire = jar, nil
	if last == nil {
		return
	}
	before, now := byKey(last), byKey(jar)
	crowded := crowdedSites(last, jar)
	for _, old := range last {
		if _, stays := now[old.key()]; !stays {
			w.tell(by.removed(old, crowded))
		}
	}
	for _, s := range jar {
		old, was := before[s.key()]
		switch {
		case !was:
			w.tell(CookieChange{Cookie: s.Cookie, Cause: "inserted", Approximate: !by.made(s)})
		case old != s || by.wrote && by.made(s):
			w.tell(CookieChange{Cookie: old.Cookie, Cause: "overwrite", Removed: true, Approximate: !by.made(s)})
			w.tell(CookieChange{Cookie: s.Cookie, Cause: insertion(old.Cookie, s.Cookie), Approximate: !by.made(s)})
		}
	}
}

func byKey(jar []storedCookie) map[cookieKey]storedCookie {
	found := make(map[cookieKey]storedCookie, len(jar))
	for _, s := range jar {
		found[s.key()] = s
	}
	return found
}

// made reports whether the change of a cookie is certainly the author's.
func (by author) made(s storedCookie) bool {
	return by.removal != "" && (!by.wrote || by.owns == s.key())
}

// removed is the removal of a cookie, with its likely cause where the author
// did not do it. Pages and servers remove cookies by giving them an end that is
// past.
func (by author) removed(s storedCookie, crowded map[string]bool) CookieChange {
	change := CookieChange{Cookie: s.Cookie, Cause: "expired-overwrite", Removed: true, Approximate: true}
	now := float64(time.Now().UnixMilli()) / 1000
	switch {
	case by.made(s):
		change.Cause, change.Approximate = by.removal, false
	case !s.Session && s.ExpirationDate <= now:
		change.Cause = "expired"
	case crowded[cookieSite(s.Cookie)]:
		change.Cause = "evicted"
	}
	return change
}

func insertion(old, now Cookie) string {
	switch {
	case old == now:
		return "inserted-no-change-overwrite"
	case old.Value == now.Value:
		return "inserted-no-value-change-overwrite"
	}
	return "inserted"
}

// maxSiteCookies is how many cookies Chromium keeps for a registrable domain.
const maxSiteCookies = 180

// crowdedSites are those that had more cookies than Chromium keeps.
func crowdedSites(last, now []storedCookie) map[string]bool {
	before, count, crowded := byKey(last), map[string]int{}, map[string]bool{}
	for _, s := range last {
		count[cookieSite(s.Cookie)]++
	}
	for _, s := range now {
		if _, was := before[s.key()]; !was {
			count[cookieSite(s.Cookie)]++
		}
	}
	for site, n := range count {
		crowded[site] = n > maxSiteCookies
	}
	return crowded
}

// cookieSite is the registrable domain of a cookie, or its host.
func cookieSite(k Cookie) string {
	host := strings.TrimPrefix(k.Domain, ".")
	return cmp.Or(registrableDomain(host), host)
}
