package bridge

import (
	"context"
	"crypto/rand"
	_ "embed"
	"maps"
	"slices"
	"sync"
	"time"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

//go:embed js/cookies.js
var hearScript string

// expiryLook is the time between two looks that make Chromium notice cookies
// that have expired: it does when somebody asks for cookies.
const expiryLook = time.Second

// heardCookies are the changes of cookies that the helper hears of. A nil one
// hears nothing.
type heardCookies struct {
	at   *place
	tell func(CookieChange)
	stop context.CancelFunc
	done chan struct{} // closed when the helper hears no more

	mu       sync.Mutex
	jar      map[cookieKey]storedCookie // what there is
	removing map[cookieKey]string       // the values of what the bridge is removing
	replaced map[cookieKey]Cookie       // what an insertion follows
	marks    map[string]chan struct{}   // of those who wait for one, by its value
}

// heardChange is a change as chrome.cookies.onChanged has it. Fields of a
// cookie have Electron's names, which are Chromium's.
type heardChange struct {
	Cause   string `json:"cause"`
	Removed bool   `json:"removed"`
	Cookie  struct {
		Cookie
		PartitionKey cookiePartition `json:"partitionKey"`
	} `json:"cookie"`
}

// hearCookies begins to tell what the helper hears, until life ends. It is nil
// where the helper cannot.
func hearCookies(ctx, life context.Context, at *place, tell func(CookieChange)) *heardCookies {
	if !at.hasHelper() {
		return nil
	}
	life, stop := context.WithCancel(life)
	h := &heardCookies{
		at: at, tell: tell, stop: stop, done: make(chan struct{}), jar: map[cookieKey]storedCookie{},
		removing: map[cookieKey]string{}, replaced: map[cookieKey]Cookie{}, marks: map[string]chan struct{}{},
	}
	began := make(chan struct{})
	go func() {
		defer close(h.done)
		defer stop()
		err := at.hearInHelper(life, "cookies", hearScript, func() { close(began) }, h.hear)
		if life.Err() == nil && !at.host.ending() {
			at.host.browser.log.Warn("the helper does not hear of cookies", "host", at.host.name, "error", err)
		}
	}()
	select {
	case <-began:
		return h
	case <-h.done:
	case <-ctx.Done():
		stop()
		<-h.done
	}
	return nil
}

func (h *heardCookies) lives() bool {
	if h == nil {
		return false
	}
	select {
	case <-h.done:
		return false
	default:
		return true
	}
}

// wait returns when the helper hears no more.
func (h *heardCookies) wait(life context.Context) {
	if h == nil {
		return
	}
	look := time.NewTicker(expiryLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			ctx, cancel := context.WithTimeout(life, lookTimeout)
			_, _ = h.at.wireCookies(ctx)
			cancel()
		case <-h.done:
			return
		case <-life.Done():
			return
		}
	}
}

// catchUp returns when all that has changed so far was told: Chromium tells the
// helper with some delay. A cookie that is set now comes behind all that.
func (h *heardCookies) catchUp(ctx context.Context) error {
	mark := flushMark()
	mark.Value = rand.Text()
	came := make(chan struct{})
	h.mu.Lock()
	h.marks[mark.Value] = came
	h.mu.Unlock()
	if err := h.at.setCookies(ctx, mark); err != nil {
		return err
	}
	select {
	case <-came:
	case <-h.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return h.at.deleteCookies(ctx, []storedCookie{mark})
}

// know sets what there is.
func (h *heardCookies) know(jar []storedCookie) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jar = byKey(jar)
}

// known is what there was when the helper heard last.
func (h *heardCookies) known() []storedCookie {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.jar))
}

// removing announces that the bridge removes cookies. It does so by giving them
// an end that is past, which Chromium would tell as what it is.
func (w *cookieWatch) removing(cookies []storedCookie) {
	if w == nil || !w.heard.lives() {
		return
	}
	w.heard.mu.Lock()
	defer w.heard.mu.Unlock()
	for _, s := range cookies {
		w.heard.removing[s.key()] = s.Value
	}
}

func (h *heardCookies) hear(payload string) {
	var change heardChange
	if jsonv2.Unmarshal([]byte(payload), &change, jsonv2.AllowInvalidUTF8(true)) != nil {
		return
	}
	cookie := change.Cookie.Cookie
	h.mu.Lock()
	if isFlushMark(cookie.Domain) {
		if came := h.marks[cookie.Value]; came != nil {
			close(came)
			delete(h.marks, cookie.Value)
		}
		h.mu.Unlock()
		return
	}
	cause := h.cause(storedCookie{cookie, change.Cookie.PartitionKey}, change)
	h.mu.Unlock()
	h.tell(CookieChange{Cookie: cookie, Cause: cause, Removed: change.Removed})
}

// cause is Electron's word. Chromium says "explicit" of whatever comes.
func (h *heardCookies) cause(s storedCookie, change heardChange) string {
	key := s.key()
	if !change.Removed {
		h.jar[key] = s
		old, replaces := h.replaced[key]
		delete(h.replaced, key)
		if !replaces {
			return "inserted"
		}
		return insertion(old, s.Cookie)
	}
	delete(h.jar, key)
	switch change.Cause {
	case "overwrite":
		h.replaced[key] = s.Cookie
	case "expired_overwrite":
		value, removing := h.removing[key]
		delete(h.removing, key)
		if removing && value == s.Value {
			return "explicit"
		}
		return "expired-overwrite"
	}
	return change.Cause
}
