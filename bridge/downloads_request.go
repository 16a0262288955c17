package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// downloadRequest is a download that the bridge begins: a hidden page of the
// session goes to the address, which is nobody's link, and what it gets is made
// an attachment.
type downloadRequest struct {
	url      string
	headers  []cdp.Header
	referrer string
	// offset is where the rest of a file begins that is the same by validator.
	offset    int64
	validator string
}

func (r downloadRequest) check() error {
	u, err := url.Parse(r.url)
	if err != nil || !u.IsAbs() {
		return invalidArgument("%q is no absolute URL to download", r.url)
	}
	if !isWebURL(r.url) && u.Scheme != "file" {
		return &UnsupportedError{Feature: "downloading a " + u.Scheme + ": URL", Reason: "Chromium downloads it for pages only", Instead: "click a link with the attribute download in a page"}
	}
	for _, h := range r.headers {
		if !httpguts.ValidHeaderFieldName(h.Name) || !httpguts.ValidHeaderFieldValue(h.Value) {
			return invalidArgument("Invalid value for headers - must be an object")
		}
	}
	return nil
}

func isWebURL(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")
}

// downloadAnswer is what came of a downloadRequest.
type downloadAnswer struct {
	transfer *transfer // nil if there is no download
	head     responseHead
	rest     bool   // it is the rest of the file, and not all of it
	reason   string // why there is no download
}

// downloadPages is how many hidden pages ask for downloads at a time. Each is free
// again when the server has answered.
const downloadPages = 6

// requestDownload makes the request and waits for the server's answer.
func (s *Session) requestDownload(ctx context.Context, at *place, r downloadRequest) downloadAnswer {
	q := &downloadQuestion{downloadRequest: r, session: s}
	n := s.downloads.requests.Add(1) % downloadPages
	err := at.host.hidden.Use(ctx, at.param(), fmt.Sprintf("%s#download%d", blankPage, n), func(ctx context.Context, page *cdp.Session) error {
		return q.ask(ctx, at, page)
	})
	a := q.answer
	if len(a.head.chain) == 0 {
		a.head.chain = []string{r.url}
	}
	if a.transfer == nil && a.reason == "" {
		a.reason = interruptReason(err)
	}
	return a
}

// downloadQuestion is a downloadRequest that is being made.
type downloadQuestion struct {
	downloadRequest
	session *Session
	chain   []string

	answer downloadAnswer
}

// ask sends the page to the address. It returns when a download has begun, or an
// error that says why none has.
func (q *downloadQuestion) ask(ctx context.Context, at *place, page *cdp.Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := cdp.HiddenTarget(page)
	leave := q.session.joinHidden(t)
	defer leave()
	began, heads := make(chan *transfer, 1), make(chan downloadAnswer, 1)
	defer at.host.transfers.expect(page, at.contextID, began)()
	route := &cdp.Route{
		Target: t, Order: downloadOrder,
		Patterns: []cdp.Pattern{{URLPattern: "*", ResourceType: document}, {URLPattern: "*", ResourceType: document, RequestStage: "Response"}},
		Handle:   func(ctx context.Context, p *cdp.PausedRequest) bool { return q.handle(ctx, p, heads) },
	}
	defer q.session.interception.Add(route)()
	var navigated struct {
		ErrorText  string `json:"errorText"`
		IsDownload bool   `json:"isDownload"`
	}
	params := map[string]any{"url": q.url}
	if q.referrer != "" {
		params["referrer"], params["referrerPolicy"] = q.referrer, "unsafeUrl"
	}
	err := page.Call(ctx, "Page.navigate", params, &navigated)
	select {
	case q.answer = <-heads:
	default:
	}
	switch {
	case err != nil:
		return err
	case q.answer.reason != "":
		return errors.New(q.answer.reason)
	case !navigated.IsDownload:
		return errors.New(navigated.ErrorText)
	}
	select {
	case q.answer.transfer = <-began:
		return nil
	case <-page.Done():
		return page.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// downloadOrder puts the route behind all others, which see the request as it is.
const downloadOrder = 1000

// joinHidden makes a hidden page one of the session for those who look after its
// requests.
func (s *Session) joinHidden(t *cdp.Target) (leave func()) {
	var setup []cdp.Command
	topics := []topic{s.network, s.emulation, s.agents}
	for _, topic := range topics {
		setup = append(setup, topic.join(t)...)
	}
	for i := range setup {
		setup[i].Session = t.Session
	}
	t.Session.Conn().Send(append(setup, s.interception.Join(t)...)...)
	return func() {
		s.interception.Leave(t)
		t.Session.Conn().Send(cdp.Command{Session: t.Session, Method: "Fetch.disable"})
		for _, topic := range topics {
			topic.leave(t)
		}
	}
}

// handle makes the request for what is wanted, and a download of the answer.
func (q *downloadQuestion) handle(ctx context.Context, p *cdp.PausedRequest, heads chan<- downloadAnswer) bool {
	if p.FrameID == "" || p.ResourceType != document {
		return false
	}
	if !p.AtResponse() {
		p.ReplaceHeaders(q.withHeaders(p.Request.Headers()))
		return false
	}
	if p.ResponseErrorReason != "" {
		return false
	}
	q.chain = append(q.chain, p.Request.URL)
	if isRedirect(p.ResponseStatusCode) {
		return false
	}
	a := downloadAnswer{head: readHead(q.chain, p), rest: q.isRest(p), reason: statusReason(p.ResponseStatusCode)}
	if p.ResponseStatusCode == 206 && !a.rest {
		a.reason = "SERVER_BAD_CONTENT"
	}
	heads <- a
	if a.reason != "" {
		_ = p.Fail(ctx, "Aborted") // the page may be gone
		return true
	}
	_ = p.ContinueResponse(ctx, cdp.Response{Code: 200, Phrase: "OK", Headers: q.asAttachment(p.ResponseHeaders, a)})
	return true
}

// withHeaders are the headers of the request.
func (q *downloadQuestion) withHeaders(headers []cdp.Header) []cdp.Header {
	own := q.headers
	if q.offset > 0 {
		own = append(own[:len(own):len(own)], cdp.Header{Name: "Range", Value: fmt.Sprintf("bytes=%d-", q.offset)}, cdp.Header{Name: "If-Range", Value: q.validator})
	}
	changed := Headers(headers)
	for _, h := range own {
		changed.Set(h.Name, h.Value)
	}
	return changed
}

// isRest reports whether a response is the part of the file that was asked for.
func (q *downloadQuestion) isRest(p *cdp.PausedRequest) bool {
	want := fmt.Sprintf("bytes %d-", q.offset)
	return q.offset > 0 && p.ResponseStatusCode == 206 && strings.HasPrefix(Headers(p.ResponseHeaders).Get("Content-Range"), want)
}

// asAttachment are the headers that make Chromium download a body. Without those
// of a file that can be continued it does not ask for the rest of a rest by
// itself, which would be another part of the file.
func (q *downloadQuestion) asAttachment(headers []cdp.Header, a downloadAnswer) []cdp.Header {
	changed := Headers(append([]cdp.Header(nil), headers...))
	changed.Set("Content-Disposition", attachment(a.head.disposition))
	if a.rest {
		for _, name := range []string{"Content-Range", "Accept-Ranges", "ETag", "Last-Modified"} {
			changed.Del(name)
		}
	}
	return changed
}

// statusReason is Chromium's word for an answer that is no file, or empty.
func statusReason(status int) string {
	switch {
	case status == 200 || status == 206 || status == 203:
		return ""
	case status == 204 || status == 205 || status == 404 || status == 416:
		return "SERVER_BAD_CONTENT"
	case status == 401 || status == 407:
		return "SERVER_UNAUTHORIZED"
	case status == 403:
		return "SERVER_FORBIDDEN"
	case status >= 400:
		return "SERVER_FAILED"
	}
	return ""
}

// interruptReason is Chromium's word for a request that failed.
func interruptReason(err error) string {
	text := ""
	if err != nil {
		text = err.Error()
	}
	for part, reason := range map[string]string{
		"TIMED_OUT": "NETWORK_TIMEOUT", "INTERNET_DISCONNECTED": "NETWORK_DISCONNECTED",
		"CONNECTION_REFUSED": "NETWORK_SERVER_DOWN", "CERT_": "SERVER_CERT_PROBLEM", "INVALID_AUTH": "SERVER_UNAUTHORIZED",
		"FILE_NOT_FOUND": "FILE_FAILED", "BLOCKED_BY": "FILE_BLOCKED",
	} {
		if strings.Contains(text, part) {
			return reason
		}
	}
	return "NETWORK_FAILED"
}

// controlDownload does something with a download of a default context: "pause" or
// "resume".
func (p *place) controlDownload(ctx context.Context, guid, what string) error {
	return p.inExtension(ctx, helperExtension, `async (guid, what) => {
		const [item] = await chrome.downloads.search({filenameRegex: guid});
		if (!item) throw Error("Chromium does not know the download");
		await chrome.downloads[what](item.id);
	}`, nil, guid, what)
}

// reason is why a download broke off.
func (d *DownloadItem) reason() string {
	tr := d.transfer
	if d.place.isDefault() && d.place.host.life.Err() == nil {
		ctx, cancel := context.WithTimeout(d.session.life, closeTimeout)
		defer cancel()
		var reason string
		err := d.place.inExtension(ctx, helperExtension, `async (guid) => (await chrome.downloads.search({filenameRegex: guid}))[0]?.error ?? ""`, &reason, tr.GUID)
		if err == nil && reason != "" {
			return reason
		}
	}
	if err := tr.host.transfers.probe(); err != nil {
		return fileReason(err)
	}
	return "NETWORK_FAILED"
}
