package bridge

import (
	"slices"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	"golang.org/x/net/http/httpguts"
)

// Header is one header field. Names keep their case.
type Header = cdp.Header

// Headers are the header fields of a request or response, in their order. A name
// can come more than once. Its methods do not look at the case of names.
type Headers []Header

// Get is the first value of a name, empty if there is none.
func (h Headers) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Values are all values of a name.
func (h Headers) Values(name string) []string {
	var values []string
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Add adds a field.
func (h *Headers) Add(name, value string) { *h = append(*h, Header{Name: name, Value: value}) }

// Set replaces all fields of a name by one, in the place of the first.
func (h *Headers) Set(name, value string) {
	at := slices.IndexFunc(*h, func(f Header) bool { return strings.EqualFold(f.Name, name) })
	if at < 0 {
		h.Add(name, value)
		return
	}
	(*h)[at] = Header{Name: name, Value: value}
	rest := (*h)[at+1:]
	rest = slices.DeleteFunc(rest, func(f Header) bool { return strings.EqualFold(f.Name, name) })
	*h = (*h)[:at+1+len(rest)]
}

// Del takes all fields of a name away.
func (h *Headers) Del(name string) {
	*h = slices.DeleteFunc(*h, func(f Header) bool { return strings.EqualFold(f.Name, name) })
}

// toSend are the fields that can be sent, each name once: Chromium would take
// the last of several.
func (h Headers) toSend() Headers {
	out := Headers{}
	for _, f := range h {
		if !validHeader(f) {
			continue
		}
		if at := slices.IndexFunc(out, func(o Header) bool { return strings.EqualFold(o.Name, f.Name) }); at >= 0 {
			out[at].Value += ", " + f.Value
			continue
		}
		out = append(out, f)
	}
	return out
}

// toShow are the fields before the first that is invalid.
func (h Headers) toShow() Headers {
	out := Headers{}
	for _, f := range h {
		if !validHeader(f) {
			break
		}
		out = append(out, f)
	}
	return out
}

func validHeader(f Header) bool {
	return httpguts.ValidHeaderFieldName(f.Name) && !strings.ContainsAny(f.Value, "\x00\r\n")
}
