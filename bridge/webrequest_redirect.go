package bridge

import (
	"net/url"
	"strings"
)

// redirectURL is where a response leads the request for a URL, empty if it leads
// nowhere.
func redirectURL(from string, r ResponseDetails) string {
	location := r.ResponseHeaders.Get("Location")
	base, err := url.Parse(from)
	if !isRedirect(r.StatusCode) || location == "" || err != nil {
		return ""
	}
	to, err := base.Parse(location)
	if err != nil {
		return ""
	}
	return to.String()
}

// splitLines undoes how the domain Network writes a header that came more than
// once: as lines of one value.
func splitLines(h Headers) Headers {
	out := make(Headers, 0, len(h))
	for _, f := range h {
		for value := range strings.SplitSeq(f.Value, "\n") {
			out = append(out, Header{Name: f.Name, Value: value})
		}
	}
	return out
}
