package bridge

import (
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// logDomain has the domain Log on in a page, or a frame with a process of its own,
// for as long as somebody needs it there: what Chromium itself writes to the
// console.
type logDomain struct {
	mu    sync.Mutex
	users map[*cdp.Target]int
}

func newLogDomain() *logDomain { return &logDomain{users: map[*cdp.Target]int{}} }

// use switches the domain on until release is called. The first user is told of
// what Chromium remembers of the document, and then on is called, which may be nil.
func (d *logDomain) use(t *cdp.Target, on func()) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.users[t]++
	t.Session.Conn().Send(cdp.Command{Session: t.Session, Method: "Log.enable", Done: func(jsonv2.Value, error) {
		if on != nil {
			on()
		}
	}})
	return sync.OnceFunc(func() { d.release(t) })
}

func (d *logDomain) release(t *cdp.Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.users[t] {
	case 0: // it is gone
	case 1:
		delete(d.users, t)
		t.Session.Conn().Send(cdp.Command{Session: t.Session, Method: "Log.disable"})
	default:
		d.users[t]--
	}
}

func (*logDomain) join(*cdp.Target) []cdp.Command      { return nil }
func (*logDomain) restarted(*cdp.Target) []cdp.Command { return nil }

func (d *logDomain) leave(t *cdp.Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.users, t)
}

// logEntry is an event Log.entryAdded.
type logEntry struct {
	Entry struct {
		Level string `json:"level"`
		Text  string `json:"text"`
		URL   string `json:"url"`
		Line  *int   `json:"lineNumber"` // from 0
	} `json:"entry"`
}

func decodeLogEntry(e cdp.Event) (entry logEntry, ok bool) {
	err := jsonv2.Unmarshal(e.Params, &entry, jsonv2.AllowInvalidUTF8(true))
	return entry, err == nil
}
