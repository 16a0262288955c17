package bridge

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// id tells the requests of the two interceptions apart.
func (t *traffic) id(p *cdp.PausedRequest) uint64 {
	if p.Target.Type() == cdp.TargetBrowser {
		return p.Job() | 1<<31
	}
	return p.Job()
}

// details are those of a paused request.
func (t *traffic) details(p *cdp.PausedRequest) RequestDetails {
	d := RequestDetails{ID: t.id(p), URL: customURL(p.Request.URL), Method: p.Request.Method, ResourceType: resourceType(p)}
	if page := p.Target.Page(); page != nil {
		d.WebContents = t.web.session.page(page.ID())
	}
	d.source = &pausedSource{p, d.WebContents}
	return d
}

// resourceType is Electron's word for Chromium's.
func resourceType(p *cdp.PausedRequest) ResourceType {
	if p.Target.Type() == cdp.TargetBrowser {
		return ResourceScript // of a service worker
	}
	switch p.ResourceType {
	case document:
		if page := p.Target.Page(); page != nil && page.ID() == p.FrameID {
			return ResourceMainFrame
		}
		return ResourceSubFrame
	case "Stylesheet":
		return ResourceStylesheet
	case "Script":
		return ResourceScript
	case "Image":
		return ResourceImage
	case "Font":
		return ResourceFont
	case "Media", "TextTrack":
		return ResourceMedia
	case "XHR", "Fetch", "EventSource", "Preflight":
		return ResourceXHR
	case "Ping":
		return ResourcePing
	case "CSPViolationReport":
		return ResourceCSPReport
	}
	return ResourceOther
}

// pausedSource reads details of a paused request.
type pausedSource struct {
	p    *cdp.PausedRequest
	page *WebContents
}

func (s *pausedSource) referrer() string { return customURL(s.p.Request.Header("Referer")) }

func (s *pausedSource) uploadData() []UploadData {
	var out []UploadData
	for _, part := range s.p.Request.PostData() {
		out = append(out, UploadData{Bytes: part})
	}
	return out
}

func (s *pausedSource) frame() *Frame {
	if s.page == nil {
		return nil
	}
	f, ok := s.p.Target.Frame(s.p.FrameID)
	if !ok {
		return nil
	}
	return &Frame{ID: f.ID, ParentID: f.ParentID, Name: f.Name, URL: customURL(f.URL), Origin: customURL(f.Origin), page: s.page}
}

func statusLine(code int, phrase string) string {
	return strings.TrimSpace(fmt.Sprintf("HTTP/1.1 %d %s", code, phrase))
}

// parseStatusLine reads the status and the phrase of a line such as
// "HTTP/1.1 404 Not Found".
func parseStatusLine(line string) (code int, phrase string, ok bool) {
	_, rest, _ := strings.Cut(line, " ")
	number, phrase, _ := strings.Cut(strings.TrimSpace(rest), " ")
	code, err := strconv.Atoi(number)
	return code, phrase, err == nil && code >= 100 && code <= 999
}
