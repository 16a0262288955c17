package bridge

import (
	"context"
	"crypto/rand"
	"iter"
	"strings"
	"sync"
	"time"
)

// DownloadState is what a download is doing.
type DownloadState string

// The states. An interrupted download is at its end if it cannot resume.
const (
	DownloadProgressing DownloadState = "progressing"
	DownloadCompleted   DownloadState = "completed"
	DownloadCancelled   DownloadState = "cancelled"
	DownloadInterrupted DownloadState = "interrupted"
)

// DownloadInfo is all that there is to know of a download at a moment.
type DownloadInfo struct {
	// ID names the download as long as the browser lives.
	ID string `json:"id"`
	// URL is the address of the file, and URLChain those that led to it, from the
	// first to URL.
	URL      string   `json:"url"`
	URLChain []string `json:"urlChain"`
	// Filename is the suggestion of the server or the page, as a plain name.
	Filename string `json:"filename"`
	// MimeType is what the server says, empty if that is not known.
	MimeType string `json:"mimeType"`
	// SavePath is where the file goes, empty until that is decided.
	SavePath string `json:"savePath"`
	// TotalBytes is 0 if it is not known.
	TotalBytes    int64 `json:"totalBytes"`
	ReceivedBytes int64 `json:"receivedBytes"`
	// PercentComplete is -1 if TotalBytes is not known.
	PercentComplete int `json:"percentComplete"`
	// CurrentBytesPerSecond is 0 while nothing moves.
	CurrentBytesPerSecond int64         `json:"currentBytesPerSecond"`
	State                 DownloadState `json:"state"`
	IsPaused              bool          `json:"isPaused"`
	// CanResume is set for a download that is paused, or interrupted and not at
	// its end.
	CanResume bool `json:"canResume"`
	// InterruptReason says why a download is interrupted: Chromium's word, such as
	// "NETWORK_FAILED", "FILE_NO_SPACE" or "SERVER_UNAUTHORIZED". Electron does
	// not tell it.
	InterruptReason string `json:"interruptReason,omitzero"`
	// HasUserGesture is always false: stock Chromium does not tell.
	HasUserGesture bool `json:"hasUserGesture"`
	// ContentDisposition, LastModifiedTime and ETag are headers of the server's
	// answer.
	ContentDisposition string `json:"contentDisposition"`
	LastModifiedTime   string `json:"lastModifiedTime"`
	ETag               string `json:"eTag"`
	// StartTime and EndTime are in seconds since 1970; EndTime is 0 before the end.
	StartTime float64 `json:"startTime"`
	EndTime   float64 `json:"endTime"`
}

// DownloadItem is a download: Electron's DownloadItem. It is safe for use by
// several goroutines, and goes on whether or not anybody holds it.
type DownloadItem struct {
	session *Session
	page    *WebContents
	updates listeners[DownloadState]
	done    chan struct{}

	commands chan downloadCommand

	mu        sync.Mutex
	info      DownloadInfo
	dialog    SaveDialogOptions
	destroyed bool

	downloadRun
}

// SaveDialogOptions are what a program wants of the dialog that asks where to
// save. There is no dialog: they are kept, and nothing else.
type SaveDialogOptions struct {
	Title                   string       `json:"title,omitzero"`
	DefaultPath             string       `json:"defaultPath,omitzero"`
	ButtonLabel             string       `json:"buttonLabel,omitzero"`
	Filters                 []FileFilter `json:"filters,omitzero"`
	Message                 string       `json:"message,omitzero"`
	NameFieldLabel          string       `json:"nameFieldLabel,omitzero"`
	ShowsTagField           bool         `json:"showsTagField,omitzero"`
	Properties              []string     `json:"properties,omitzero"`
	SecurityScopedBookmarks bool         `json:"securityScopedBookmarks,omitzero"`
}

// FileFilter is a kind of files in SaveDialogOptions.
type FileFilter struct {
	Name       string   `json:"name"`
	Extensions []string `json:"extensions"`
}

// Info is the download as it is now: the zero value for one that was prevented.
func (d *DownloadItem) Info() DownloadInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.destroyed {
		return DownloadInfo{}
	}
	info := d.info
	info.URLChain = append([]string(nil), info.URLChain...)
	return info
}

// ID is DownloadInfo.ID.
func (d *DownloadItem) ID() string { return d.Info().ID }

// WebContents is the page that downloads, nil if the program does.
func (d *DownloadItem) WebContents() *WebContents { return d.page }

// URL is DownloadInfo.URL: Electron's getURL.
func (d *DownloadItem) URL() string { return d.Info().URL }

// URLChain is DownloadInfo.URLChain: Electron's getURLChain.
func (d *DownloadItem) URLChain() []string { return d.Info().URLChain }

// Filename is DownloadInfo.Filename: Electron's getFilename. It is not that of
// the save path.
func (d *DownloadItem) Filename() string { return d.Info().Filename }

// MimeType is DownloadInfo.MimeType: Electron's getMimeType.
func (d *DownloadItem) MimeType() string { return d.Info().MimeType }

// TotalBytes is DownloadInfo.TotalBytes: Electron's getTotalBytes.
func (d *DownloadItem) TotalBytes() int64 { return d.Info().TotalBytes }

// ReceivedBytes is DownloadInfo.ReceivedBytes: Electron's getReceivedBytes.
func (d *DownloadItem) ReceivedBytes() int64 { return d.Info().ReceivedBytes }

// PercentComplete is DownloadInfo.PercentComplete: Electron's
// getPercentComplete.
func (d *DownloadItem) PercentComplete() int { return d.Info().PercentComplete }

// CurrentBytesPerSecond is DownloadInfo.CurrentBytesPerSecond: Electron's
// getCurrentBytesPerSecond.
func (d *DownloadItem) CurrentBytesPerSecond() int64 { return d.Info().CurrentBytesPerSecond }

// State is DownloadInfo.State: Electron's getState.
func (d *DownloadItem) State() DownloadState { return d.Info().State }

// IsPaused is DownloadInfo.IsPaused.
func (d *DownloadItem) IsPaused() bool { return d.Info().IsPaused }

// CanResume is DownloadInfo.CanResume.
func (d *DownloadItem) CanResume() bool { return d.Info().CanResume }

// HasUserGesture is DownloadInfo.HasUserGesture.
func (d *DownloadItem) HasUserGesture() bool { return d.Info().HasUserGesture }

// ContentDisposition is DownloadInfo.ContentDisposition: Electron's
// getContentDisposition.
func (d *DownloadItem) ContentDisposition() string { return d.Info().ContentDisposition }

// LastModifiedTime is DownloadInfo.LastModifiedTime: Electron's
// getLastModifiedTime.
func (d *DownloadItem) LastModifiedTime() string { return d.Info().LastModifiedTime }

// ETag is DownloadInfo.ETag: Electron's getETag.
func (d *DownloadItem) ETag() string { return d.Info().ETag }

// StartTime is DownloadInfo.StartTime: Electron's getStartTime.
func (d *DownloadItem) StartTime() float64 { return d.Info().StartTime }

// EndTime is DownloadInfo.EndTime: Electron's getEndTime.
func (d *DownloadItem) EndTime() float64 { return d.Info().EndTime }

// SavePath is DownloadInfo.SavePath: Electron's getSavePath. It works on items
// that were prevented, too.
func (d *DownloadItem) SavePath() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info.SavePath
}

// SetSavePath says where the file goes, on any file system. Directories on the
// way are made, and a file that is there is replaced. It counts until the
// download is complete. A relative path is below the working directory. It is
// Electron's setSavePath.
func (d *DownloadItem) SetSavePath(path string) error {
	path, err := absolute(path)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.info.SavePath, d.chosen = path, true
	return nil
}

// SaveDialogOptions are those that were set: Electron's getSaveDialogOptions.
func (d *DownloadItem) SaveDialogOptions() SaveDialogOptions {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dialog
}

// SetSaveDialogOptions keeps options of a dialog, which never opens: Electron's
// setSaveDialogOptions.
func (d *DownloadItem) SetSaveDialogOptions(o SaveDialogOptions) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialog = o
}

// Updates returns an iterator over the states from now on: "progressing" about
// five times a second while bytes come, "interrupted" where the download can
// resume, and the last state at its end. These are Electron's events updated and
// done. It ends with ctx.
func (d *DownloadItem) Updates(ctx context.Context) iter.Seq[DownloadState] {
	return d.updates.listen(ctx, nil)
}

// Done is closed when the download is at its end: Electron's event done.
func (d *DownloadItem) Done() <-chan struct{} { return d.done }

// Wait waits for the end and returns the state: "completed", "cancelled", or
// "interrupted" for a download that cannot resume.
func (d *DownloadItem) Wait(ctx context.Context) (DownloadState, error) {
	select {
	case <-d.done:
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.info.State, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Pause stops a download until Resume. It is Electron's pause.
//
// In the default session and those with a process of their own Chromium pauses.
// In the others the request ends, and Resume asks for the rest: that takes a
// server with ranges and an ETag or Last-Modified, and is an *UnsupportedError
// elsewhere.
func (d *DownloadItem) Pause(ctx context.Context) error { return d.command(ctx, d.pause) }

// Resume goes on with a download that is paused or interrupted. What the server
// has changed meanwhile, or cannot continue, starts over. It is Electron's
// resume.
func (d *DownloadItem) Resume(ctx context.Context) error { return d.command(ctx, d.resume) }

// Cancel ends a download and removes what there is of it. On one that has ended
// it does nothing. It is Electron's cancel.
func (d *DownloadItem) Cancel(ctx context.Context) error { return d.command(ctx, d.cancel) }

// downloadCommand is what somebody wants of a download, done by who runs it.
type downloadCommand struct {
	ctx   context.Context
	do    func(context.Context) error
	reply chan<- error
}

func (d *DownloadItem) command(ctx context.Context, do func(context.Context) error) error {
	reply := make(chan error, 1)
	select {
	case d.commands <- downloadCommand{ctx, do, reply}:
	case <-d.done:
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.destroyed {
			return ErrDownloadDestroyed
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newDownloadID() string { return strings.ToLower(rand.Text()) }

// newItem is an item of what is known of a download.
func (d *downloads) newItem(at *place, page *WebContents, head responseHead) *DownloadItem {
	item := &DownloadItem{session: d.session, page: page, done: make(chan struct{}), commands: make(chan downloadCommand)}
	item.place, item.answers, item.decided = at, make(chan downloadAnswer, 1), make(chan struct{})
	item.info.ID, item.info.State, item.info.StartTime, item.info.PercentComplete = newDownloadID(), DownloadProgressing, seconds(time.Now()), -1
	item.setHead(head)
	return item
}

// of makes it the item of a download of Chromium's.
func (d *DownloadItem) of(tr *transfer) *DownloadItem {
	d.transfer = tr
	d.info.TotalBytes = d.head.length
	d.info.ID, d.info.Filename = tr.GUID, safeName(tr.SuggestedFilename)
	return d
}

func (d *DownloadItem) setHead(head responseHead) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.head = head
	d.info.URLChain = nil
	for _, address := range head.chain {
		d.info.URLChain = append(d.info.URLChain, customURL(address))
	}
	d.info.URL = d.info.URLChain[len(d.info.URLChain)-1]
	d.info.MimeType, d.info.ContentDisposition, d.info.ETag, d.info.LastModifiedTime = head.mimeType, head.disposition, head.etag, head.lastModified
}

func (d *DownloadItem) url() string { return d.head.chain[len(d.head.chain)-1] }
