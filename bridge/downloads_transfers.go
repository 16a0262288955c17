package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// transfers are the downloads that a Chromium process makes. Chromium writes
// each into a directory of the bridge's, under a name that is its id; what
// becomes of it there is the business of its DownloadItem.
type transfers struct {
	host *host

	mu       sync.Mutex
	all      map[string]*transfer
	expected map[*cdp.Session]expectation // by hidden page
}

// expectation is a download that a hidden page has asked for.
type expectation struct {
	contextID string
	to        chan *transfer // nil when nobody waits for it any more
}

// transfer is one download of Chromium's.
type transfer struct {
	host      *host
	contextID string
	cdp.Download

	moved chan struct{} // holds a token when there is news

	mu        sync.Mutex
	progress  transferProgress
	abandoned bool // nothing is to be left of it
}

// transferProgress is what Chromium tells of a download. It says "canceled" of
// one that broke off, too.
type transferProgress struct {
	GUID          string  `json:"guid"`
	TotalBytes    float64 `json:"totalBytes"` // 0 if it is not known
	ReceivedBytes float64 `json:"receivedBytes"`
	State         string  `json:"state"`
}

const (
	transferRuns      = "inProgress"
	transferCompleted = "completed"
	transferEnded     = "canceled"
)

func newTransfers(h *host) *transfers {
	return &transfers{host: h, all: map[string]*transfer{}, expected: map[*cdp.Session]expectation{}}
}

// stagingDir is where Chromium writes, below its user data directory.
const stagingDir = "Bridge/Downloads"

// begin makes ready for downloads. A person's own browser is left as it is.
func (ts *transfers) begin() error {
	if ts.host.process == nil {
		return nil
	}
	go ts.watch(ts.host.root().Events(ts.host.life, cdp.QueueOptions{}, "Browser.downloadProgress"))
	if err := ts.prepare(); err != nil {
		return fmt.Errorf("the directory for downloads: %w", err)
	}
	return nil
}

// prepare makes the directory, and empties it of what a process has left that
// ended all of a sudden.
func (ts *transfers) prepare() error {
	files, err := ts.files()
	if err != nil {
		return err
	}
	defer files.Close()
	if err := files.MkdirAll(stagingDir); err != nil {
		return err
	}
	names, err := files.Names(stagingDir)
	for _, name := range names {
		err = errors.Join(err, files.Remove(path.Join(stagingDir, name)))
	}
	return err
}

func (ts *transfers) files() (*chromium.Files, error) {
	return chromium.OpenFiles(ts.host.process.UserDataDir(), ts.host.process.User())
}

func (ts *transfers) path(name string) string {
	return filepath.Join(ts.host.process.UserDataDir(), filepath.FromSlash(stagingDir), name)
}

// probe writes a little where downloads are written.
func (ts *transfers) probe() error {
	files, err := ts.files()
	if err != nil {
		return err
	}
	defer files.Close()
	name := path.Join(stagingDir, "probe-"+rand.Text())
	return errors.Join(files.WriteFile(name, make([]byte, 64<<10)), files.Remove(name))
}

// lead makes the downloads of a context come to the bridge.
func (ts *transfers) lead(contextID string) {
	if ts.host.process == nil {
		return
	}
	params := map[string]any{"behavior": "allowAndName", "downloadPath": ts.path(""), "eventsEnabled": true}
	if contextID != ts.host.defaultContext {
		params["browserContextId"] = contextID
	}
	ts.host.tree.Conn().Send(cdp.Command{Session: ts.host.root(), Method: "Browser.setDownloadBehavior", Params: params, Done: func(_ jsonv2.Value, err error) {
		if err != nil && !ts.host.ending() {
			ts.host.browser.log.Warn("Chromium keeps its downloads to itself", "host", ts.host.name, "error", err)
		}
	}})
}

// began is told of each download on the connection's reader, before anything
// else is heard of it.
func (ts *transfers) began(page *cdp.Session, t *cdp.Target, d cdp.Download) {
	if ts.host.process == nil {
		return
	}
	tr := &transfer{host: ts.host, Download: d, moved: make(chan struct{}, 1), progress: transferProgress{State: transferRuns}}
	if ts.add(tr, page) {
		return
	}
	if t != nil {
		tr.contextID = t.BrowserContextID()
		if s := ts.host.session(tr.contextID); s != nil && s.downloads.began(tr, t) {
			return
		}
	}
	tr.abandon()
}

// add notes a download, and hands it over if its page is a hidden one that
// somebody has asked for it.
func (ts *transfers) add(tr *transfer, page *cdp.Session) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.all[tr.GUID] = tr
	expected := ts.expected[page]
	tr.contextID = expected.contextID
	delete(ts.expected, page)
	if expected.to == nil {
		return false
	}
	expected.to <- tr
	return true
}

// expect makes the next download of a hidden page in a context come to the
// channel, which has room for one.
func (ts *transfers) expect(page *cdp.Session, contextID string, to chan *transfer) (forget func()) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.expected[page] = expectation{contextID, to}
	return func() {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		select {
		case tr := <-to:
			tr.abandon()
		default: // it can still come
			if _, waits := ts.expected[page]; waits {
				ts.expected[page] = expectation{contextID: contextID}
			}
		}
	}
}

// contextGone removes what Chromium has left of the downloads of a context.
func (ts *transfers) contextGone(contextID string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	maps.DeleteFunc(ts.expected, func(_ *cdp.Session, e expectation) bool { return e.contextID == contextID })
	maps.DeleteFunc(ts.all, func(guid string, tr *transfer) bool {
		gone := tr.contextID == contextID
		if gone {
			ts.discard(guid)
		}
		return gone
	})
}

// watch follows the downloads until the process ends.
func (ts *transfers) watch(events iter.Seq2[cdp.Event, error]) {
	for e, err := range events {
		var p transferProgress
		if err != nil || jsonv2.Unmarshal(e.Params, &p) != nil {
			continue
		}
		ts.mu.Lock()
		tr := ts.all[p.GUID]
		if p.State != transferRuns {
			delete(ts.all, p.GUID)
		}
		ts.mu.Unlock()
		if tr != nil {
			tr.update(p)
		}
		if tr != nil && p.State != transferRuns && tr.isAbandoned() {
			ts.discard(tr.GUID)
		}
	}
}

func (tr *transfer) update(p transferProgress) {
	tr.mu.Lock()
	tr.progress = p
	tr.mu.Unlock()
	select {
	case tr.moved <- struct{}{}:
	default:
	}
}

func (tr *transfer) now() transferProgress {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.progress
}

// cancel ends the download, and Chromium removes what it has written of it.
func (tr *transfer) cancel(ctx context.Context) error {
	return tr.host.root().Call(ctx, "Browser.cancelDownload", tr.param(), nil)
}

func (tr *transfer) param() map[string]string {
	params := map[string]string{"guid": tr.GUID}
	if tr.contextID != tr.host.defaultContext {
		params["browserContextId"] = tr.contextID
	}
	return params
}

// abandon cancels the download, and sees to it that nothing is left of it: what
// is there now is removed, and what Chromium renames meanwhile once Chromium says
// that the download has ended.
func (tr *transfer) abandon() {
	tr.mu.Lock()
	tr.abandoned = true
	tr.mu.Unlock()
	root := tr.host.root()
	root.Conn().Send(cdp.Command{Session: root, Method: "Browser.cancelDownload", Params: tr.param()})
	tr.host.transfers.discard(tr.GUID)
}

func (tr *transfer) isAbandoned() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.abandoned
}

// stagedFile is what Chromium has written of a download, under a name of the
// bridge's that stays when Chromium renames or removes its own. It belongs to
// Chromium's user.
type stagedFile struct {
	*os.File
	transfers *transfers
	name      string
}

// errNotStaged is of a download of which there is no file yet, or no more.
var errNotStaged = errors.New("there is no file of the download yet")

// open finds the file of a download.
func (tr *transfer) open() (*stagedFile, error) {
	ts := tr.host.transfers
	files, err := ts.files()
	if err != nil {
		return nil, err
	}
	defer files.Close()
	kept := path.Join(stagingDir, tr.GUID+".part")
	for _, name := range []string{tr.GUID + ".crdownload", tr.GUID, tr.GUID + ".crdownload"} {
		name = path.Join(stagingDir, name)
		file, err := files.Open(name, os.O_RDWR)
		if err != nil {
			continue
		}
		if files.Link(name, kept) == nil && isFile(filepath.Join(ts.host.process.UserDataDir(), kept), file) {
			return &stagedFile{file, ts, tr.GUID}, nil
		}
		file.Close()
		files.Remove(kept)
	}
	return nil, errNotStaged
}

// isBehind reports whether Chromium has put another file in the place of this one:
// it makes an empty one first.
func (f *stagedFile) isBehind() bool {
	if f.size() > 0 {
		return false
	}
	ts := f.transfers
	return !isFile(ts.path(f.name+".crdownload"), f.File) && !isFile(ts.path(f.name), f.File)
}

// path is where the file is.
func (f *stagedFile) path() string { return f.transfers.path(f.name + ".part") }

// discard closes the file and removes all names that it has in the staging
// directory.
func (f *stagedFile) discard() {
	if f != nil {
		f.Close()
		f.transfers.discard(f.name)
	}
}

// forget closes the file, and leaves Chromium what is Chromium's.
func (f *stagedFile) forget() {
	f.Close()
	f.transfers.remove(f.name + ".part")
}

// discard removes all names of a download.
func (ts *transfers) discard(guid string) { ts.remove(guid+".part", guid, guid+".crdownload") }

func (ts *transfers) remove(names ...string) {
	files, err := ts.files()
	if err != nil {
		return // and the directory is gone
	}
	defer files.Close()
	for _, name := range names {
		files.Remove(path.Join(stagingDir, name))
	}
}

// size is how much there is of the file.
func (f *stagedFile) size() int64 {
	if f == nil {
		return 0
	}
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// isFile reports whether a path, which may be a link that somebody planted, is
// the open file itself.
func isFile(path string, file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	found, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, found)
}
