package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// downloadRun is how far a download is. It belongs to the goroutine that runs the
// item, but for chosen.
type downloadRun struct {
	place *place
	head  responseHead

	decided   chan struct{} // closed when the handler has had its say
	prevented bool
	placed    bool // it is known where the file goes
	hopeless  bool // it cannot go on
	chosen    bool // the program has set the path; guarded by DownloadItem.mu
	taken     string

	transfer *transfer   // nil while Chromium does nothing for the item
	file     *stagedFile // what it writes
	kept     *keptFile   // what came before that
	whole    bool        // kept is the whole file
	part     string      // the name of the file beside its target, empty if it has none
	native   bool        // paused by Chromium

	resumed *InterruptedDownload
	answers chan downloadAnswer // of a request for the rest
	asking  context.CancelFunc  // nil while there is no such request

	speed downloadSpeed
}

// keptFile is the beginning of a file.
type keptFile struct {
	*os.File
	size    int64
	path    string // that a link can be made of, or empty
	discard func()
}

// updateInterval is the time between two looks at a file that grows.
const updateInterval = 200 * time.Millisecond

// run takes the download to its end.
func (d *DownloadItem) run(handler func(*WillDownloadEvent)) {
	go d.ask(handler)
	tick := time.NewTicker(updateInterval)
	defer tick.Stop()
	decided := d.decided
	d.follow()
	for !d.final() {
		var moved <-chan struct{}
		var gone <-chan struct{}
		var ticks <-chan time.Time
		if d.transfer != nil {
			moved, gone = d.transfer.moved, d.place.host.life.Done()
			if !d.native {
				ticks = tick.C
			}
		}
		select {
		case <-decided:
			decided = nil
			d.decide()
			d.follow()
		case c := <-d.commands:
			c.reply <- c.do(c.ctx)
		case <-moved:
			d.follow()
		case <-ticks:
			d.grow()
		case a := <-d.answers:
			d.answered(a)
		case <-gone:
			d.lose("CRASH")
		case <-d.session.life.Done():
			d.drop()
		}
	}
	d.leave()
}

// ask lets the program say what it wants of the download.
func (d *DownloadItem) ask(handler func(*WillDownloadEvent)) {
	defer close(d.decided)
	d.session.downloads.items.tell(d)
	if handler == nil {
		return
	}
	e := &WillDownloadEvent{Item: d, WebContents: d.page}
	d.session.browser.safely("OnWillDownload", func() { handler(e) })
	d.prevented = e.prevented
}

// decide begins to put the file where it goes.
func (d *DownloadItem) decide() {
	if d.prevented {
		d.drop()
		return
	}
	d.mu.Lock()
	set := d.info.SavePath != ""
	name := d.info.Filename
	d.mu.Unlock()
	if !set {
		path := d.session.browser.downloadNames.choose(d.session.downloads.directory(), name)
		d.taken = path
		d.mu.Lock()
		if !d.chosen {
			d.info.SavePath = path
		}
		d.mu.Unlock()
	}
	d.placed = true
	if d.hopeless {
		d.end(DownloadInterrupted)
	}
}

// follow does what Chromium's news of the download ask for.
func (d *DownloadItem) follow() {
	if d.transfer == nil || d.final() {
		return
	}
	p := d.transfer.now()
	d.update(func(i *DownloadInfo) {
		if p.TotalBytes > 0 {
			i.TotalBytes = d.kept.bytes() + int64(p.TotalBytes)
		}
	})
	switch p.State {
	case transferEnded:
		d.lose(d.reason())
	case transferCompleted:
		d.grow()
		if d.placed {
			d.finish()
		}
	default:
		d.grow()
	}
}

// grow looks at how much of the file there is.
func (d *DownloadItem) grow() {
	d.open()
	if d.file == nil {
		return
	}
	if d.placed && d.kept == nil {
		d.besideTarget()
	}
	received := d.kept.bytes() + d.file.size()
	if received == d.Info().ReceivedBytes {
		return
	}
	speed := d.speed.at(received, time.Now())
	d.update(func(i *DownloadInfo) { i.ReceivedBytes, i.CurrentBytesPerSecond = received, speed })
	d.updates.tell(DownloadProgressing)
}

// open finds the file that Chromium writes, once there is one.
func (d *DownloadItem) open() {
	if d.transfer == nil {
		return
	}
	if d.file != nil && d.file.isBehind() {
		d.file.forget()
		d.file = nil
		d.removePart()
	}
	if d.file == nil {
		d.file, _ = d.transfer.open()
	}
}

// besideTarget gives the file that grows its name beside the target, where that
// is on the same file system.
func (d *DownloadItem) besideTarget() {
	part := partPath(d.SavePath(), d.id())
	if part == d.part {
		return
	}
	d.removePart()
	d.part = part // tried, whatever comes of it
	if os.MkdirAll(filepath.Dir(part), 0o777) == nil {
		_ = linkPart(d.file.path(), d.file.File, part) // else it is copied at the end
	}
}

func (d *DownloadItem) removePart() {
	if d.part != "" {
		_ = os.Remove(d.part)
		d.part = ""
	}
}

// finish puts the file in its place.
func (d *DownloadItem) finish() {
	err := d.keep()
	if total := d.Info().TotalBytes; err == nil && total > 0 && d.kept.size != total {
		d.dropKept()
		d.interrupted("SERVER_CONTENT_LENGTH_MISMATCH", true)
		return
	}
	d.transfer, d.whole = nil, err == nil
	if err == nil {
		err = d.deliver()
	}
	if err != nil {
		d.fileFailed(err)
		return
	}
	d.end(DownloadCompleted)
}

// fileFailed is told that what was written cannot be kept, or not be put where it
// goes.
func (d *DownloadItem) fileFailed(err error) {
	d.session.browser.log.Warn("a download's file cannot be put in its place", "path", d.SavePath(), "error", err)
	d.interrupted(fileReason(err), true)
}

// deliver gives the whole file its name.
func (d *DownloadItem) deliver() error {
	target := d.SavePath()
	if d.resumed != nil && target == d.resumed.Path && d.kept.Name() == target {
		return nil // it is there
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return err
	}
	part := partPath(target, d.id())
	if part != d.part {
		d.removePart()
	}
	if err := d.kept.makePart(part); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(part)))
	}
	d.part = ""
	d.mu.Lock()
	replace := d.chosen || d.resumed != nil
	d.mu.Unlock()
	placed, err := d.session.browser.downloadNames.putInPlace(part, target, d.Info().Filename, replace)
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(part)))
	}
	if placed != target {
		d.taken = placed
		d.update(func(i *DownloadInfo) { i.SavePath = placed })
	}
	return nil
}

// makePart makes the part beside the target what it is to be.
func (k *keptFile) makePart(part string) error {
	if !isFile(part, k.File) {
		_ = os.Remove(part) // of an attempt that failed
		if k.path == "" || linkPart(k.path, k.File, part) != nil {
			return copyPart(k.File, k.size, part)
		}
	}
	return own(k.File)
}

// keep adds what Chromium has written to what there was.
func (d *DownloadItem) keep() error {
	d.open()
	if d.file == nil {
		if d.transfer != nil && d.transfer.now().State == transferCompleted {
			return errNotStaged
		}
		return nil
	}
	file := d.file
	d.file = nil
	if d.kept == nil {
		d.kept = &keptFile{file.File, file.size(), file.path(), file.discard}
		return nil
	}
	defer file.discard()
	if err := d.kept.Truncate(d.kept.size); err != nil {
		return err
	}
	n, err := io.Copy(io.NewOffsetWriter(d.kept, d.kept.size), io.NewSectionReader(file, 0, file.size()))
	d.kept.size += n
	return err
}

// bytes is how much there is of the file.
func (k *keptFile) bytes() int64 {
	if k == nil {
		return 0
	}
	return k.size
}

// dropKept forgets what there was: the file begins anew.
func (d *DownloadItem) dropKept() {
	if d.kept != nil {
		d.kept.discard()
		d.kept = nil
	}
	d.removePart()
	d.whole = false
}

// lose is told that Chromium does no more for the download.
func (d *DownloadItem) lose(reason string) {
	err := d.keep()
	d.transfer, d.native = nil, false
	if err != nil {
		d.fileFailed(err)
		return
	}
	d.interrupted(reason, d.canResume())
}

// interrupted notes why nothing goes on, and whether it can.
func (d *DownloadItem) interrupted(reason string, resumable bool) {
	d.transfer, d.hopeless = nil, !resumable
	d.update(func(i *DownloadInfo) {
		i.State, i.InterruptReason, i.CanResume, i.IsPaused, i.CurrentBytesPerSecond = DownloadInterrupted, reason, resumable, false, 0
		if d.kept != nil {
			i.ReceivedBytes = d.kept.size
		}
	})
	switch {
	case resumable:
		d.updates.tell(DownloadInterrupted)
	case d.placed:
		d.end(DownloadInterrupted)
	}
}

// canResume reports whether the file can be asked for again.
func (d *DownloadItem) canResume() bool {
	return (d.head.method == "" || d.head.method == "GET") && isWebURL(d.url())
}

// drop ends the download with nothing left of what it wrote.
func (d *DownloadItem) drop() {
	if d.asking != nil {
		d.asking()
	}
	if d.transfer != nil {
		d.transfer.abandon()
		d.file.discard()
		d.file = nil
		d.update(func(i *DownloadInfo) { i.ReceivedBytes = 0 })
	}
	d.dropKept()
	d.end(DownloadCancelled)
}

// end notes the last state.
func (d *DownloadItem) end(state DownloadState) {
	d.transfer = nil
	d.update(func(i *DownloadInfo) {
		i.State, i.EndTime, i.CurrentBytesPerSecond, i.CanResume, i.IsPaused = state, seconds(time.Now()), 0, false, false
		if state == DownloadCompleted {
			i.ReceivedBytes, i.TotalBytes, i.InterruptReason = d.kept.size, d.kept.size, ""
		}
	})
}

func (d *DownloadItem) final() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info.EndTime != 0
}

// leave lets go of all that the download holds, and tells of its end.
func (d *DownloadItem) leave() {
	d.file.discard()
	if d.kept != nil {
		d.kept.discard()
	}
	if d.taken != "" {
		d.session.browser.downloadNames.free(d.taken)
	}
	d.mu.Lock()
	state := d.info.State
	select {
	case <-d.decided:
		d.destroyed = d.prevented
	default: // the handler still thinks
	}
	d.mu.Unlock()
	d.updates.tell(state)
	d.updates.end()
	close(d.done)
}

func (d *DownloadItem) update(change func(*DownloadInfo)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.info)
	if d.info.TotalBytes > 0 {
		d.info.PercentComplete = int(100 * d.info.ReceivedBytes / d.info.TotalBytes)
	}
}

func (d *DownloadItem) id() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info.ID
}

// pause is Pause.
func (d *DownloadItem) pause(ctx context.Context) error {
	if d.transfer == nil || d.Info().IsPaused || d.final() {
		return nil
	}
	if d.place.isDefault() {
		if err := d.place.controlDownload(ctx, d.transfer.GUID, "pause"); err != nil {
			return fmt.Errorf("pausing a download: %w", err)
		}
		d.native = true
		d.grow()
	} else if err := d.breakOff(ctx); err != nil {
		return err
	}
	d.update(func(i *DownloadInfo) { i.IsPaused, i.CanResume, i.CurrentBytesPerSecond = true, true, 0 })
	d.updates.tell(DownloadProgressing)
	return nil
}

// breakOff ends Chromium's request and keeps what came of it.
func (d *DownloadItem) breakOff(ctx context.Context) error {
	if !d.head.ranges || d.head.validator() == "" || d.head.method != "GET" {
		return &UnsupportedError{Feature: "pausing this download", Reason: "the server does not say that it can continue it, and in a session that shares its process Chromium cannot pause", Instead: "use PartitionOptions.OwnProcess"}
	}
	d.grow()
	if err := d.transfer.cancel(ctx); err != nil {
		return fmt.Errorf("pausing a download: %w", err)
	}
	for d.transfer.now().State == transferRuns {
		select {
		case <-d.transfer.moved:
		case <-d.place.host.life.Done():
			return context.Cause(d.place.host.life)
		}
	}
	if d.transfer.now().State == transferCompleted {
		d.follow()
		return nil
	}
	err := d.keep()
	d.transfer = nil
	received := d.kept.bytes()
	d.update(func(i *DownloadInfo) { i.ReceivedBytes = received })
	return err
}

// resume is Resume.
func (d *DownloadItem) resume(ctx context.Context) error {
	info := d.Info()
	switch {
	case d.final() || d.asking != nil || !info.IsPaused && info.State != DownloadInterrupted:
		return nil
	case d.native:
		if err := d.place.controlDownload(ctx, d.transfer.GUID, "resume"); err != nil {
			return fmt.Errorf("resuming a download: %w", err)
		}
		d.native = false
		d.going()
		return nil
	case d.whole:
		d.going()
		d.finish()
		return nil
	}
	at, err := d.session.downloadsAt(ctx)
	if err != nil {
		return err
	}
	if err := d.openResumed(); err != nil {
		return err
	}
	d.place = at
	d.going()
	d.askForRest()
	return nil
}

func (d *DownloadItem) going() {
	d.update(func(i *DownloadInfo) {
		i.State, i.IsPaused, i.CanResume, i.InterruptReason = DownloadProgressing, false, false, ""
	})
}

// openResumed opens what an earlier run has left.
func (d *DownloadItem) openResumed() error {
	if d.resumed == nil || d.kept != nil || d.resumed.Offset == 0 {
		return nil
	}
	adoptPart(d.resumed.Path)
	file, err := os.OpenFile(d.resumed.Path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil // all of it is asked for
	}
	if err != nil {
		return fmt.Errorf("resuming a download: %w", err)
	}
	info, err := file.Stat()
	if err != nil || info.Size() < d.resumed.Offset {
		return file.Close() // it is not what it is said to be: all of it is asked for
	}
	d.kept = &keptFile{file, d.resumed.Offset, "", func() { file.Close() }}
	return nil
}

// askForRest asks the server for what is not there.
func (d *DownloadItem) askForRest() {
	r := downloadRequest{url: d.url(), referrer: d.head.referrer, offset: d.kept.bytes(), validator: d.head.validator()}
	if r.validator == "" {
		r.offset = 0
	}
	ctx, cancel := context.WithCancel(d.session.life)
	d.asking = cancel
	go func() { d.answers <- d.session.requestDownload(ctx, d.place, r) }()
}

// answered is told what the server said.
func (d *DownloadItem) answered(a downloadAnswer) {
	d.asking()
	d.asking = nil
	if a.reason != "" {
		d.interrupted(a.reason, true)
		return
	}
	if !a.rest {
		d.dropKept()
		d.update(func(i *DownloadInfo) { i.TotalBytes = 0 })
		d.setHead(a.head)
	}
	d.head.ranges, d.head.method = a.head.ranges || a.rest, a.head.method
	d.transfer = a.transfer
	d.follow()
}

// cancel is Cancel.
func (d *DownloadItem) cancel(context.Context) error {
	if d.final() {
		return nil
	}
	d.drop()
	if d.resumed != nil {
		return ignoreMissing(os.Remove(d.resumed.Path))
	}
	return nil
}

// downloadSpeed measures how fast a file grows.
type downloadSpeed struct {
	bytes int64
	when  time.Time
	rate  float64
}

// at is the speed in bytes per second, with the past second in mind.
func (s *downloadSpeed) at(bytes int64, now time.Time) int64 {
	if passed := now.Sub(s.when).Seconds(); !s.when.IsZero() && passed > 0 && bytes >= s.bytes {
		rate := float64(bytes-s.bytes) / passed
		share := min(1, passed)
		if s.rate == 0 {
			share = 1
		}
		s.rate += (rate - s.rate) * share
	}
	s.bytes, s.when = bytes, now
	return int64(s.rate)
}
