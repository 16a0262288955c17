package endpoint

import (
	"context"
	"errors"
	"slices"

	"github.com/cdpbridge/cdpbridge/bridge"
)

var downloadStarts = &questionKind{event: "willDownload", answer: "answerWillDownload", each: true}

// downloadCommands are the commands on downloads.
func downloadCommands() map[string]sessionCommand {
	return map[string]sessionCommand{
		"setDownloadPath":           setDownloadPath,
		"downloadURL":               downloadURL,
		"createInterruptedDownload": createInterruptedDownload,
		"setDownloadHandler":        setDownloadHandler,
		"answerWillDownload":        answerWillDownload,
		"downloadGet": onDownload(func(_ context.Context, item *bridge.DownloadItem) (any, error) {
			return map[string]any{"item": item.Info()}, nil
		}),
		"downloadPause":  onDownload(func(ctx context.Context, item *bridge.DownloadItem) (any, error) { return nil, item.Pause(ctx) }),
		"downloadResume": onDownload(func(ctx context.Context, item *bridge.DownloadItem) (any, error) { return nil, item.Resume(ctx) }),
		"downloadCancel": onDownload(func(ctx context.Context, item *bridge.DownloadItem) (any, error) { return nil, item.Cancel(ctx) }),
	}
}

// maxDownloads is how many downloads a client can name: the latest that it was told of.
const maxDownloads = 1000

// keepDownload makes a download one that the client can name.
func (d *domain) keepDownload(item *bridge.DownloadItem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.downloads, item) {
		return
	}
	d.downloads = append(d.downloads, item)
	if len(d.downloads) > maxDownloads {
		d.downloads = slices.Delete(d.downloads, 0, 1)
	}
}

func (d *domain) download(id string) (*bridge.DownloadItem, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.IndexFunc(d.downloads, func(item *bridge.DownloadItem) bool { return item.ID() == id })
	if id == "" || at < 0 {
		return nil, &paramsError{errors.New("this connection was told of no download with this id")}
	}
	return d.downloads[at], nil
}

// followDownload tells what becomes of a download.
func (d *domain) followDownload(item *bridge.DownloadItem) {
	d.keepDownload(item)
	updates := item.Updates(d.life)
	d.work.Go(func() {
		tell := func(event string) {
			info := item.Info()
			d.emit(event, map[string]any{"item": info, "state": info.State})
		}
		for range updates {
			if item.EndTime() == 0 {
				tell("downloadUpdated")
			}
		}
		select {
		case <-item.Done():
			tell("downloadDone")
		case <-d.life.Done():
		}
	})
}

func setDownloadPath(_ context.Context, d *domain, in params) (any, error) {
	var p struct {
		Path string `json:"path"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayUse(p.Path); err != nil {
		return nil, err
	}
	return nil, d.session.SetDownloadPath(p.Path)
}

func downloadURL(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayFetch(p.URL); err != nil {
		return nil, err
	}
	return nil, d.session.DownloadURL(ctx, p.URL, bridge.DownloadURLOptions{Headers: p.Headers})
}

func createInterruptedDownload(ctx context.Context, d *domain, in params) (any, error) {
	var p struct {
		Path         string   `json:"path"`
		URLChain     []string `json:"urlChain"`
		MimeType     string   `json:"mimeType"`
		Type         string   `json:"type"` // its older name
		Offset       int64    `json:"offset"`
		Length       int64    `json:"length"`
		LastModified string   `json:"lastModified"`
		ETag         string   `json:"eTag"`
		StartTime    float64  `json:"startTime"`
	}
	if err := in.decode(&p); err != nil {
		return nil, err
	}
	if err := d.mayUse(p.Path); err != nil {
		return nil, err
	}
	for _, address := range p.URLChain {
		if err := d.mayFetch(address); err != nil {
			return nil, err
		}
	}
	if p.MimeType == "" {
		p.MimeType = p.Type
	}
	return nil, d.session.CreateInterruptedDownload(ctx, bridge.InterruptedDownload{
		Path: p.Path, URLChain: p.URLChain, MimeType: p.MimeType, Offset: p.Offset, Length: p.Length,
		LastModified: p.LastModified, ETag: p.ETag, StartTime: p.StartTime,
	})
}

// onDownload does something with the download that a command names.
func onDownload(do func(context.Context, *bridge.DownloadItem) (any, error)) sessionCommand {
	return func(ctx context.Context, d *domain, in params) (any, error) {
		var p struct {
			ID string `json:"id"`
		}
		if err := in.decode(&p); err != nil {
			return nil, err
		}
		item, err := d.download(p.ID)
		if err != nil {
			return nil, err
		}
		return do(ctx, item)
	}
}

type willDownloadAnswer struct {
	answered
	PreventDefault bool   `json:"preventDefault"`
	SavePath       string `json:"savePath"`
}

// answerWillDownload takes the answer where the token opens the path.
func answerWillDownload(ctx context.Context, d *domain, in params) (any, error) {
	var a willDownloadAnswer
	if err := in.decode(&a); err != nil {
		return nil, err
	}
	if a.SavePath != "" {
		if err := d.mayUse(a.SavePath); err != nil {
			return nil, err
		}
	}
	return answerer[willDownloadAnswer](downloadStarts)(ctx, d, in)
}

// setDownloadHandler arms and disarms who is asked where a download goes. A download
// whose client is lost before it has answered is cancelled.
func setDownloadHandler(ctx context.Context, d *domain, in params) (any, error) {
	return armer(downloadStarts, func(_ context.Context, s *bridge.Session, ask asker) error {
		if ask == nil {
			s.OnWillDownload(nil)
			return nil
		}
		s.OnWillDownload(func(e *bridge.WillDownloadEvent) {
			d.keepDownload(e.Item)
			ctx, cancel := context.WithCancel(d.client.server.life)
			defer cancel()
			go func() { // a download can end before its client has answered
				select {
				case <-e.Item.Done():
					cancel()
				case <-ctx.Done():
				}
			}()
			fields := map[string]any{"item": e.Item.Info()}
			ofPage(fields, e.WebContents, nil)
			var a willDownloadAnswer
			if !ask(ctx, fields, &a) || a.PreventDefault {
				e.PreventDefault()
			} else if a.SavePath != "" {
				e.Item.SetSavePath(a.SavePath) // absolute or not: the error is of an empty one
			}
		})
		return nil
	})(ctx, d, in)
}
