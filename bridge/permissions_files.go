package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cdpbridge/cdpbridge/permissions"
)

// What a page wants of a file.
const (
	readable = "readable"
	writable = "writable"
)

// noWritingScript is the name of the script for sessions that cannot be let write.
// It runs before that of the permissions, which then is asked first.
const noWritingScript = "bridge-no-writing"

// fileWriting is Chromium's own setting for pages that write to files which the
// user has given them. A default context has one: "allow", or "ask" where the
// program is to be asked, which nobody answers, so that who goes round the
// script waits for ever. It opens for as long as a request that was granted takes;
// Chromium remembers then that the page may write to that file. A created context
// can be denied it and not granted.
type fileWriting struct {
	session  *Session
	changing turn

	mu    sync.Mutex
	at    *place
	asked bool
	holds int
	set   string // as Chromium knows it, empty where that is not sure
}

func newFileWriting(s *Session) *fileWriting { return &fileWriting{session: s, changing: newTurn()} }

// contentSettings are Chromium's words and numbers.
var contentSettings = map[string]int{"allow": 1, "block": 2, "ask": 3}

// filePreferences are what a Chromium starts with whose default context is the
// session's, or nobody's: then writing is denied, lest pages wait for ever.
func filePreferences(owner *Session) map[string]any {
	settings := map[string]any{"file_system_write_guard": contentSettings["block"]}
	if owner != nil {
		settings["file_system_write_guard"] = contentSettings[owner.permissions.files.started()]
		settings["file_system_read_guard"] = contentSettings["allow"]
	}
	return map[string]any{"profile": map[string]any{"default_content_setting_values": settings}}
}

// started is the setting that the session's Chromium starts with.
func (f *fileWriting) started() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.set = nil, f.wanted()
	return f.set
}

func (f *fileWriting) wanted() string {
	if f.asked && f.holds == 0 {
		return "ask"
	}
	return "allow"
}

// placed is told where the session is from now on.
func (f *fileWriting) placed(at *place) {
	f.change(func() { f.at = at })
	var scripts []*preload
	if at.host.process != nil && !at.isDefault() && at.host.session(at.host.defaultContext) != nil {
		// The context has the setting "ask" where the default one has "allow".
		scripts = append(scripts, &preload{PreloadScript: PreloadScript{World: MainWorld, AllFrames: true}, text: permissions.NoWritingScript(), immediately: true})
	}
	f.session.preloads.setOwn(noWritingScript, scripts)
}

// setAsked is told whether the program is to be asked. It does not wait.
func (f *fileWriting) setAsked(asked bool) { f.change(func() { f.asked = asked }) }

// canSet reports whether Chromium has the setting for the session. A person's own
// browser is left as it is.
func (f *fileWriting) canSet() bool {
	return f.at != nil && f.at.host.process != nil && f.at.isDefault()
}

// change changes what is wanted, and brings it to Chromium in the background.
func (f *fileWriting) change(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
	if at := f.at; f.canSet() {
		go func() {
			if err := f.bring(at.host.life); err != nil && !at.host.ending() {
				at.host.browser.log.Warn("Chromium does not take a permission", "permission", PermissionFileSystem, "error", err)
			}
		}()
	}
}

// hold lets pages write, soon, until release is called.
func (f *fileWriting) hold() (release func()) {
	f.change(func() { f.holds++ })
	return sync.OnceFunc(func() { f.change(func() { f.holds-- }) })
}

// fileSettingPage is a small document of the settings' page.
const fileSettingPage = "chrome://settings/strings.m.js"

const setFileSetting = `(value) => new Promise((answered) => {
	globalThis.cr = {webUIResponse: (id, ok, {setting}) => answered(setting)};
	chrome.send("setDefaultValueForContentType", ["file-system-write", value]);
	chrome.send("getDefaultValueForContentType", ["now", "file-system-write"]);
})`

// bring brings Chromium to what is wanted now. It fails where a page can not be let
// write.
func (f *fileWriting) bring(ctx context.Context) error {
	if err := f.changing.take(ctx); err != nil {
		return err
	}
	defer f.changing.give()
	f.mu.Lock()
	at, wanted, set, canSet := f.at, f.wanted(), f.set, f.canSet()
	f.mu.Unlock()
	switch {
	case at != nil && at.host.process == nil || canSet && wanted == set:
		return nil
	case !canSet:
		return errors.New("pages of a session that shares its process cannot be let write to files")
	}
	var now string // what has begun is ended, also when the document is gone
	err := at.host.inHidden(at.host.life, "", fileSettingPage, setFileSetting, &now, wanted)
	if err == nil && now != wanted {
		err = fmt.Errorf("the setting for files is %q", now)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == at {
		f.set = now
	}
	return err
}

// letWrite waits until Chromium lets a document write, for which there is a hold. It
// is false where Chromium cannot be brought to that.
func (p *permissionPages) letWrite(m worldMessage, q permissionQuestion) bool {
	err := p.decider.files.bring(m.from.life)
	if err != nil {
		p.session.browser.log.Debug("a page may not write to a file", "file", q.FilePath, "error", err)
		p.takeBack(grantID{m.from, q.ID})
	}
	return err == nil
}

// fileCheck is the question whether a document may read or write a file. It
// belongs to the origin and not to the page.
func (q questioner) fileCheck(about permissionQuestion) PermissionCheck {
	c := q.check(permissions.Query{Permission: PermissionFileSystem})
	c.WebContents, c.Frame, c.IsMainFrame = nil, nil, false
	c.FilePath, c.IsDirectory, c.FileAccessType = about.FilePath, about.IsDirectory, about.FileAccessType
	return c
}
