package cdp

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// wireOptions are the JSON options for what a browser sends. Page text can hold
// lone surrogates, which Chromium writes as invalid UTF-8.
var wireOptions = jsonv2.JoinOptions(jsonv2.DefaultOptionsV2(), jsonv2.AllowInvalidUTF8(true))

// envelope is the part of a frame that routing needs. Its slices point into the
// frame.
type envelope struct {
	id      int64  // of the command that a reply answers, 0 for an event
	method  []byte // of an event
	session []byte // empty for the browser session
	body    []byte // result, error or params; nil when there is none
	failed  bool   // body is an error
}

// keep returns the body for whoever keeps it: a copy, unless it is so large that
// its frame is the reader's own.
func (e *envelope) keep() jsonv2.Value {
	if len(e.body) >= ownFrame {
		return e.body
	}
	return bytes.Clone(e.body)
}

var errMalformed = errors.New("malformed frame")

const (
	replyHead   = `{"id":`
	eventHead   = `{"method":"`
	sessionTail = `,"sessionId":"`
	sessionSize = 32
)

// scan reads the envelope of a frame without reading its body. Chromium writes
//
//	{"id":N,"result":{…},"sessionId":"32 characters"}
//	{"method":"…","params":{…},"sessionId":"32 characters"}
//
// with the session left out for the browser itself. A body is an object, so
// only a frame with a session ends with a quote and a brace. Whatever has
// another shape is tokenized in full.
func scan(frame []byte, e *envelope) error {
	*e = envelope{}
	end := len(frame) - 1
	if end < 0 || frame[end] != '}' {
		return errMalformed
	}
	if at := end - 1 - sessionSize - len(sessionTail); at > 0 && frame[end-1] == '"' && string(frame[at:at+len(sessionTail)]) == sessionTail {
		e.session, end = frame[at+len(sessionTail):end-1], at
	}
	if bytes.IndexByte(e.session, '\\') >= 0 {
		return tokenize(frame, e)
	}
	if scanHead(frame, end, e) {
		return nil
	}
	return tokenize(frame, e)
}

func scanHead(frame []byte, end int, e *envelope) bool {
	switch {
	case bytes.HasPrefix(frame, []byte(replyHead)):
		i := len(replyHead)
		for ; i < end && frame[i] >= '0' && frame[i] <= '9'; i++ {
			if e.id > 1<<52 {
				return false
			}
			e.id = e.id*10 + int64(frame[i]-'0')
		}
		rest := frame[i:end]
		if bytes.HasPrefix(rest, []byte(`,"result":{`)) && rest[len(rest)-1] == '}' {
			e.body = rest[len(`,"result":`):]
			return e.id > 0
		}
		if bytes.HasPrefix(rest, []byte(`,"error":{`)) && rest[len(rest)-1] == '}' {
			e.body, e.failed = rest[len(`,"error":`):], true
			return e.id > 0
		}
	case bytes.HasPrefix(frame, []byte(eventHead)):
		name := frame[len(eventHead):end]
		n := bytes.IndexByte(name, '"')
		if n <= 0 || bytes.IndexByte(name[:n], '\\') >= 0 {
			return false
		}
		rest := name[n+1:]
		if bytes.HasPrefix(rest, []byte(`,"params":{`)) && rest[len(rest)-1] == '}' {
			e.method, e.body = name[:n], rest[len(`,"params":`):]
			return true
		}
	}
	return false
}

// tokenize reads a frame of any shape.
func tokenize(frame []byte, e *envelope) error {
	*e = envelope{}
	var d jsonv2.Decoder
	d.Reset(bytes.NewReader(frame), wireOptions)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return errMalformed
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return errMalformed
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return errMalformed
		}
		if err := e.set(key, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return errMalformed
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return errMalformed
	}
	if e.id <= 0 && len(e.method) == 0 {
		return errMalformed
	}
	return nil
}

func (e *envelope) set(key string, value jsonv2.Value) error {
	text := func() ([]byte, error) {
		var s string
		if err := jsonv2.Unmarshal(value, &s, wireOptions); err != nil {
			return nil, errMalformed
		}
		return []byte(s), nil
	}
	var err error
	switch key {
	case "id":
		e.id, err = strconv.ParseInt(string(value), 10, 64)
	case "method":
		e.method, err = text()
	case "sessionId":
		e.session, err = text()
	case "params", "result":
		e.body = bytes.Clone(value)
	case "error":
		e.body, e.failed = bytes.Clone(value), true
	}
	if err != nil {
		return errMalformed
	}
	return nil
}

// replyID reads the id at the start of a frame of which only the start is
// known.
func replyID(head []byte) int64 {
	rest, ok := bytes.CutPrefix(head, []byte(replyHead))
	if !ok {
		return 0
	}
	n := bytes.IndexByte(rest, ',')
	if n < 0 {
		return 0
	}
	id, _ := strconv.ParseInt(string(rest[:n]), 10, 64)
	return id
}

// appendCommand appends the frame of a command. method is a name that needs no
// escapes, params is JSON or empty.
func appendCommand(b []byte, id int64, session, method string, params []byte) []byte {
	b = append(b, replyHead...)
	b = strconv.AppendInt(b, id, 10)
	b = append(b, `,"method":"`...)
	b = append(b, method...)
	b = append(b, '"')
	if len(params) > 0 {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	return appendSession(b, session)
}

// appendSession ends a frame with the session that it belongs to.
func appendSession(b []byte, session string) []byte {
	if session != "" {
		b = append(b, sessionTail...)
		b = append(b, session...)
		b = append(b, '"')
	}
	return append(b, '}')
}
