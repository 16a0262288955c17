package bridge

import (
	"context"
	"iter"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// ConsoleMessage is something that a page's code, or Chromium itself, wrote to the
// console, or an exception that nobody caught.
type ConsoleMessage struct {
	// Level is the console method: "log", "info", "warning", "error", "debug",
	// and so on; "exception" for an exception that nobody caught. What Chromium
	// writes, such as of requests that failed, has the level "error", "warning",
	// "info" or "verbose".
	Level string
	// Text is the arguments as the console would print them.
	Text string
	// URL, Line and Column (from 1) say where it was written; Line is 0 where
	// that is not known, and Column 0 where only the line is.
	URL          string
	Line, Column int
}

// consoleQueue is what waits for a reader of a console.
var consoleQueue = cdp.QueueOptions{Limit: 10_000, Bytes: 16 << 20, Overflow: cdp.DropOldest}

// Console returns an iterator over what the page writes to the console from now
// on. When the reader is slow, the oldest messages that wait are dropped: beyond
// 10,000 of them, or 16 MiB. It ends with ctx and with the page, goes on after a
// crash and a reload, and is at its end at once on a page that has crashed.
// Frames in processes of their own are not listened to.
func (w *WebContents) Console(ctx context.Context) iter.Seq[ConsoleMessage] {
	if w.IsCrashed() {
		return func(func(ConsoleMessage) bool) {}
	}
	w.contexts.watch(w, w.target)
	// What Chromium remembers of the console comes before the answers to
	// Runtime.enable and Log.enable, and what is written from now on after them.
	began := make(chan iter.Seq2[cdp.Event, error], 1)
	s := w.CDP()
	s.Conn().Send(cdp.Command{Session: s, Method: "Runtime.enable"})
	release := w.session.logs.use(w.target, func() {
		began <- s.Events(ctx, consoleQueue, "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
	})
	stop := context.AfterFunc(ctx, release)
	return func(yield func(ConsoleMessage) bool) {
		defer stop()
		defer release()
		select {
		case events := <-began:
			forward(events, yield)
		case <-ctx.Done():
		}
	}
}

func forward(events iter.Seq2[cdp.Event, error], yield func(ConsoleMessage) bool) {
	for e, err := range events {
		if err != nil {
			return
		}
		if m, ok := consoleMessage(e); ok && !yield(m) {
			return
		}
	}
}

func consoleMessage(e cdp.Event) (ConsoleMessage, bool) {
	if e.Method == "Log.entryAdded" {
		return chromiumMessage(e)
	}
	var ev struct {
		Type       string         `json:"type"`
		Args       []remoteObject `json:"args"`
		StackTrace struct {
			CallFrames []struct {
				URL          string `json:"url"`
				LineNumber   int    `json:"lineNumber"`
				ColumnNumber int    `json:"columnNumber"`
			} `json:"callFrames"`
		} `json:"stackTrace"`
		ExceptionDetails exceptionDetails `json:"exceptionDetails"`
	}
	if jsonv2.Unmarshal(e.Params, &ev, jsonv2.AllowInvalidUTF8(true)) != nil {
		return ConsoleMessage{}, false
	}
	if e.Method == "Runtime.exceptionThrown" {
		thrown := ev.ExceptionDetails.err()
		return ConsoleMessage{Level: "exception", Text: thrown.Message, URL: thrown.URL, Line: thrown.Line, Column: thrown.Column}, true
	}
	texts := make([]string, len(ev.Args))
	for i, arg := range ev.Args {
		texts[i] = arg.text()
	}
	m := ConsoleMessage{Level: ev.Type, Text: strings.Join(texts, " ")}
	if len(ev.StackTrace.CallFrames) > 0 {
		at := ev.StackTrace.CallFrames[0]
		m.URL, m.Line, m.Column = customURL(at.URL), at.LineNumber+1, at.ColumnNumber+1
	}
	return m, true
}

// chromiumMessage is what Chromium itself writes to the console.
func chromiumMessage(e cdp.Event) (ConsoleMessage, bool) {
	ev, ok := decodeLogEntry(e)
	m := ConsoleMessage{Level: ev.Entry.Level, Text: ev.Entry.Text, URL: customURL(ev.Entry.URL)}
	if ev.Entry.Line != nil {
		m.Line = *ev.Entry.Line + 1
	}
	return m, ok
}

// remoteObject is a Runtime.RemoteObject, as far as printing it needs.
type remoteObject struct {
	Type           string       `json:"type"`
	Value          jsonv2.Value `json:"value"`
	Unserializable string       `json:"unserializableValue"`
	Description    string       `json:"description"`
}

// text prints a value as the console does: strings without quotes.
func (o remoteObject) text() string {
	var s string
	switch {
	case o.Type == "string" && jsonv2.Unmarshal(o.Value, &s, jsonv2.AllowInvalidUTF8(true)) == nil:
		return s
	case o.Unserializable != "":
		return o.Unserializable
	case o.Description != "":
		return o.Description
	case len(o.Value) > 0:
		return string(o.Value)
	}
	return o.Type
}
