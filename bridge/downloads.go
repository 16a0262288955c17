package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// ErrDownloadDestroyed is the error of a call on a download that a handler has
// prevented. The getters of such an item give zero values.
var ErrDownloadDestroyed = errors.New("DownloadItem used after being destroyed")

// WillDownloadEvent is a download that begins: Electron's event will-download.
type WillDownloadEvent struct {
	// Item is the download. SetSavePath says where it goes.
	Item *DownloadItem
	// WebContents is the page that downloads, nil for Session.DownloadURL and
	// CreateInterruptedDownload.
	WebContents *WebContents

	prevented bool
}

// PreventDefault ends the download: nothing of it is kept, and the item is
// destroyed when the handler returns. The server may have been asked already.
func (e *WillDownloadEvent) PreventDefault() { e.prevented = true }

// DownloadURLOptions are the options of Session.DownloadURL.
type DownloadURLOptions struct {
	// Headers are added to those of the request.
	Headers map[string]string
}

// InterruptedDownload is a download that was not finished, such as one of an
// earlier run. Path, URLChain and Length are required.
type InterruptedDownload struct {
	// Path is the absolute path of the part that there is, and of the file when
	// it is complete.
	Path string
	// URLChain are the addresses that led to the file, the last one its own.
	URLChain []string
	MimeType string
	// Offset is how many bytes of the file are there; Length is how many it has.
	Offset, Length int64
	// LastModified and ETag are those of the server's answer. Without either
	// nobody can tell whether the file is still the same, and the download starts
	// over.
	LastModified, ETag string
	// StartTime is when the download began, in seconds since 1970; 0 means now.
	StartTime float64
}

// Downloads returns an iterator over the downloads that begin in the session from
// now on, whoever asked for them. It ends with ctx and with the session.
//
// While somebody iterates, or has set OnWillDownload, the documents that pages of
// the session ask for are paused for a moment, to know what a download is: that
// makes many small requests about one and a half times as slow. Not in a browser
// that the bridge did not start, which keeps its downloads to itself.
func (s *Session) Downloads(ctx context.Context) iter.Seq[*DownloadItem] {
	s.downloads.listen(1)
	return s.downloads.items.listen(ctx, func() { s.downloads.listen(-1) })
}

// OnWillDownload sets the handler that is asked about each download before it is
// put anywhere; nil removes it. It is Electron's event will-download.
//
// Chromium goes on loading while the handler thinks, into a directory of the
// bridge's own. Without a handler, and without a save path, a download goes to
// the directory of SetDownloadPath under the name that it suggests, with a number
// where that is taken. Electron asks the user instead. See Downloads for what it
// costs.
func (s *Session) OnWillDownload(handler func(*WillDownloadEvent)) {
	s.downloads.setHandler(handler)
}

// SetDownloadPath sets the directory of downloads that nobody gives a path: by
// default the one of the user who runs the bridge. It is made when it is needed.
// It is Electron's ses.setDownloadPath.
func (s *Session) SetDownloadPath(path string) error {
	if !filepath.IsAbs(path) {
		return invalidArgument("The download path must be absolute")
	}
	s.downloads.mu.Lock()
	defer s.downloads.mu.Unlock()
	s.downloads.dir = filepath.Clean(path)
	return nil
}

// DownloadURL begins a download of an http, https or file URL, with the session's
// cookies and settings. What becomes of it is told by OnWillDownload and
// Downloads, as soon as the server has answered. It is Electron's
// ses.downloadURL. A server's refusal (a status from 400 on) gives an interrupted
// download of no bytes.
func (s *Session) DownloadURL(ctx context.Context, url string, o DownloadURLOptions) error {
	at, err := s.downloadsAt(ctx)
	if err != nil {
		return fmt.Errorf("downloading %s: %w", url, err)
	}
	r := downloadRequest{url: url}
	for name, value := range o.Headers {
		r.headers = append(r.headers, cdp.Header{Name: name, Value: value})
	}
	if err := r.check(); err != nil {
		return err
	}
	s.downloads.fetch(at, r)
	return nil
}

// CreateInterruptedDownload makes an interrupted download of what is left of an
// earlier one. OnWillDownload and Downloads tell of it; it goes on when its
// Resume is called, and starts over if the server has another file by now. It is
// Electron's ses.createInterruptedDownload.
func (s *Session) CreateInterruptedDownload(ctx context.Context, o InterruptedDownload) error {
	switch {
	case o.Path == "" || len(o.URLChain) == 0 || o.Length == 0:
		return invalidArgument("Must pass non-empty path, urlChain and length.")
	case o.Offset >= o.Length || o.Offset < 0:
		return invalidArgument("Must pass an offset value less than length.")
	case !filepath.IsAbs(o.Path):
		return invalidArgument("The path of an interrupted download must be absolute")
	}
	at, err := s.downloadsAt(ctx)
	if err != nil {
		return fmt.Errorf("creating an interrupted download: %w", err)
	}
	s.downloads.restore(at, o)
	return nil
}

// downloadsAt is where the session is, if downloads come to the bridge there.
func (s *Session) downloadsAt(ctx context.Context) (*place, error) {
	at, err := s.place(ctx)
	if err == nil && at.host.process == nil {
		err = &UnsupportedError{Feature: "a download", Reason: "a browser that the bridge did not start keeps its downloads to itself", Instead: "use Launch"}
	}
	return at, s.explain(err)
}

// downloads are those of a session.
type downloads struct {
	session  *Session
	items    listeners[*DownloadItem]
	heads    *responseHeads
	requests atomic.Uint64 // of the bridge's own

	mu        sync.Mutex
	handler   func(*WillDownloadEvent)
	listening int
	dir       string // empty means the user's
	ended     bool
	running   sync.WaitGroup
}

func newDownloads(s *Session) *downloads {
	d := &downloads{session: s, heads: newResponseHeads(s.interception)}
	context.AfterFunc(s.life, d.items.end)
	return d
}

func (d *downloads) setHandler(handler func(*WillDownloadEvent)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	had := d.handler != nil
	d.handler = handler
	d.count(btoi(handler != nil) - btoi(had))
}

func (d *downloads) listen(by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count(by)
}

// count keeps an eye on responses while somebody wants to know of downloads.
func (d *downloads) count(by int) {
	was := d.listening > 0
	d.listening += by
	if is := d.listening > 0; is != was {
		d.heads.watch(is)
	}
}

// began takes a download that a page began, unless the session has ended. It runs
// on the connection's reader.
func (d *downloads) began(tr *transfer, t *cdp.Target) bool {
	var page *WebContents
	if top := t.Page(); top != nil {
		page = d.session.page(top.ID())
	}
	return d.begin(func() {
		d.run(d.newItem(&place{tr.host, tr.contextID}, page, d.heads.of(tr)).of(tr))
	})
}

// fetch begins a download that the program asked for.
func (d *downloads) fetch(at *place, r downloadRequest) {
	d.begin(func() {
		a := d.session.requestDownload(d.session.life, at, r)
		item := d.newItem(at, nil, a.head)
		if a.transfer == nil {
			item.info.Filename = nameInURL(item.url())
			item.interrupted(a.reason, false)
		} else {
			item.of(a.transfer)
		}
		d.run(item)
	})
}

// restore makes an item of a download that was not finished.
func (d *downloads) restore(at *place, o InterruptedDownload) {
	d.begin(func() {
		head := responseHead{chain: slices.Clone(o.URLChain), mimeType: o.MimeType, lastModified: o.LastModified, etag: o.ETag}
		item := d.newItem(at, nil, head)
		item.resumed = &o
		i := &item.info
		i.Filename, i.SavePath, i.TotalBytes, i.ReceivedBytes = filepath.Base(o.Path), o.Path, o.Length, o.Offset
		i.State, i.CanResume = DownloadInterrupted, true
		i.StartTime = cmp.Or(o.StartTime, i.StartTime)
		d.run(item)
	})
}

// run takes an item to its end.
func (d *downloads) run(item *DownloadItem) {
	d.mu.Lock()
	handler := d.handler
	d.mu.Unlock()
	item.run(handler)
}

// begin does what takes its time, unless the session has ended.
func (d *downloads) begin(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ended {
		d.running.Go(f)
	}
	return !d.ended
}

// end ends the downloads with the session, and returns when nothing is left of
// them. What is there of a file stays as a part.
func (d *downloads) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.running.Wait()
}

// directory is where downloads go that have no path.
func (d *downloads) directory() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir != "" {
		return d.dir
	}
	return userDownloads()
}

// seconds is a time as Electron gives it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
