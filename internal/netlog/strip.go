package netlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mode is how much of what is private a log has.
type Mode int

// The modes, each with more than the one before.
const (
	// Default has neither cookies nor logins nor what was transferred.
	Default Mode = iota
	// IncludeSensitive has cookies and logins.
	IncludeSensitive
	// Everything has the bytes of sockets too.
	Everything
)

// Switch is the mode as Chromium's switch --net-log-capture-mode names it, and
// the constant logCaptureMode.
func (m Mode) Switch() string {
	return [...]string{"Default", "IncludeSensitive", "Everything"}[m]
}

// secretHeaders are the headers whose values Chromium strips in mode Default,
// and authHeaders those whose values it strips but for the scheme.
var (
	secretHeaders = []string{"cookie", "set-cookie", "set-cookie2", "authorization", "proxy-authorization"}
	authHeaders   = []string{"www-authenticate", "proxy-authenticate"}
)

// Strip takes out of an event of a richer log what mode must not have, as
// Chromium itself does it. What is torn, by a process that crashed, is nil.
func Strip(event []byte, mode Mode) []byte {
	if !json.Valid(event) {
		return nil
	}
	if mode == Everything || !delicate(event) {
		return event
	}
	decoder := json.NewDecoder(bytes.NewReader(event))
	decoder.UseNumber()
	var e map[string]any
	if decoder.Decode(&e) != nil {
		return nil
	}
	if params, ok := e["params"].(map[string]any); ok {
		stripValue(params, mode)
		if len(params) == 0 {
			delete(e, "params")
		}
	}
	out, err := encode(e)
	if err != nil {
		return nil
	}
	return out
}

// delicate reports whether there may be something to take out.
func delicate(event []byte) bool {
	lower := bytes.ToLower(event)
	for _, word := range []string{`"bytes"`, "cookie", "authoriz", "authentic", "debug_data", `"domain"`} {
		if bytes.Contains(lower, []byte(word)) {
			return true
		}
	}
	return false
}

func stripValue(value any, mode Mode) any {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["bytes"].(string); ok {
			delete(v, "bytes")
		}
		for name, member := range v {
			if text, ok := member.(string); ok && mode == Default {
				v[name] = stripHeader(name, text)
				continue
			}
			v[name] = stripValue(member, mode)
		}
		if mode == Default && v["name"] != nil && v["domain"] != nil && v["path"] != nil {
			// A cookie, or what became of one.
			maps.DeleteFunc(v, func(name string, _ any) bool { return name != "operation" && name != "status" })
		}
	case []any:
		for i := range v {
			if text, ok := v[i].(string); ok && mode == Default {
				v[i] = stripLine(text)
				continue
			}
			v[i] = stripValue(v[i], mode)
		}
	}
	return value
}

// stripLine strips the value of a header that is written as "Name: value".
func stripLine(line string) string {
	name, value, found := strings.Cut(line, ": ")
	if !found {
		return line
	}
	return name + ": " + stripHeader(name, value)
}

// stripHeader is what mode Default has of a member's or header's value.
func stripHeader(name, value string) string {
	name = strings.ToLower(name)
	switch {
	case slices.Contains(secretHeaders, name), name == "debug_data":
		return stripped(value)
	case slices.Contains(authHeaders, name):
		scheme, challenge, found := strings.Cut(value, " ")
		if s := strings.ToLower(scheme); !found || s == "basic" || s == "digest" {
			return value
		}
		return scheme + " " + stripped(challenge)
	}
	return value
}

func stripped(value string) string { return fmt.Sprintf("[%d bytes were stripped]", len(value)) }
