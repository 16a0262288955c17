package bridge

import (
	"mime"
	"strconv"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// responseHead is what a server said of a download.
type responseHead struct {
	chain        []string // of addresses, the last one that of the file
	mimeType     string
	disposition  string
	etag         string
	lastModified string
	referrer     string
	method       string
	ranges       bool  // the server takes requests for a part
	length       int64 // 0 if the server does not say
}

// readHead reads the head of a response.
func readHead(chain []string, p *cdp.PausedRequest) responseHead {
	h := responseHead{chain: chain, referrer: p.Request.Header("Referer"), method: p.Request.Method}
	encoded := false
	for _, header := range p.ResponseHeaders {
		switch strings.ToLower(header.Name) {
		case "content-type":
			h.mimeType, _, _ = strings.Cut(header.Value, ";")
			h.mimeType = strings.ToLower(strings.TrimSpace(h.mimeType))
		case "content-disposition":
			h.disposition = header.Value
		case "etag":
			h.etag = header.Value
		case "last-modified":
			h.lastModified = header.Value
		case "content-length":
			h.length, _ = strconv.ParseInt(header.Value, 10, 64)
		case "content-encoding":
			encoded = header.Value != "identity"
		case "accept-ranges":
			h.ranges = strings.EqualFold(strings.TrimSpace(header.Value), "bytes")
		}
	}
	if encoded { // the length is not that of the file
		h.length = 0
	}
	return h
}

// validator is what the server can be given to know whether it still has the same
// file, empty if there is nothing: a weak ETag is of a file that may differ.
func (h responseHead) validator() string {
	if h.etag != "" && !strings.HasPrefix(h.etag, "W/") {
		return h.etag
	}
	return h.lastModified
}

// attachment is a disposition that makes Chromium download what it would show,
// under the name that the server gives.
func attachment(disposition string) string {
	if _, parameters, ok := strings.Cut(disposition, ";"); ok {
		return "attachment;" + parameters
	}
	return "attachment"
}

// nameInURL is a name for a file of which there is only an address.
func nameInURL(url string) string {
	path, _, _ := strings.Cut(url, "?")
	path, _, _ = strings.Cut(path, "#")
	if _, rest, ok := strings.Cut(path, "://"); ok {
		_, path, _ = strings.Cut(rest, "/")
	}
	return safeName(path)
}

// headsLimit is how many responses are remembered that may be of downloads.
const headsLimit = 256

// responseHeads are the heads of the documents that pages of a session were sent:
// Chromium tells of a download when its response has passed.
type responseHeads struct {
	interception *cdp.Interception
	route        *cdp.Route

	mu     sync.Mutex
	latest []headOf            // the oldest first
	chains map[uint64][]string // of requests that were redirected
}

type headOf struct {
	frameID string
	responseHead
}

func newResponseHeads(i *cdp.Interception) *responseHeads {
	h := &responseHeads{interception: i, chains: map[uint64][]string{}}
	h.route = &cdp.Route{Arrived: h.note}
	return h
}

// watch begins to note heads, or stops.
func (h *responseHeads) watch(on bool) {
	if !on {
		h.interception.Set(h.route, nil)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.latest, h.chains = nil, map[uint64][]string{}
		return
	}
	h.interception.Set(h.route, []cdp.Pattern{{URLPattern: "*", ResourceType: document, RequestStage: "Response"}})
}

func (h *responseHeads) note(p *cdp.PausedRequest) {
	if !p.AtResponse() || p.ResourceType != document {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	job := p.Job()
	chain := append(h.chains[job], p.Request.URL)
	delete(h.chains, job)
	if isRedirect(p.ResponseStatusCode) {
		if len(h.chains) == headsLimit { // of requests that never came to an end
			clear(h.chains)
		}
		h.chains[job] = chain
		return
	}
	if len(h.latest) == headsLimit {
		h.latest = h.latest[1:]
	}
	h.latest = append(h.latest, headOf{p.FrameID, readHead(chain, p)})
}

// of is the head of a download's response, with what is known of it if it was not
// noted.
func (h *responseHeads) of(tr *transfer) responseHead {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.latest) - 1; i >= 0; i-- {
		one := h.latest[i]
		if one.frameID == tr.FrameID && one.chain[len(one.chain)-1] == tr.URL {
			h.latest = append(h.latest[:i:i], h.latest[i+1:]...)
			return one.responseHead
		}
	}
	return responseHead{chain: []string{tr.URL}, mimeType: dataType(tr.URL)}
}

// dataType is the type that a data: URL names.
func dataType(url string) string {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return ""
	}
	head, _, _ := strings.Cut(rest, ",")
	kind, _, err := mime.ParseMediaType(strings.TrimSuffix(head, ";base64"))
	if err != nil {
		return "text/plain"
	}
	return kind
}
