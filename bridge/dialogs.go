package bridge

import (
	"context"
	"iter"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Dialog is a question that a page's script asks the user, and which stops the
// page until it is answered.
type Dialog struct {
	// Type is "alert", "confirm", "prompt" or "beforeunload".
	Type string `json:"type"`
	// Message is the page's text; Chromium shows one of its own for
	// beforeunload.
	Message string `json:"message"`
	// DefaultPrompt is what a prompt suggests.
	DefaultPrompt string `json:"defaultPrompt"`
	// URL is the address of the frame that asks.
	URL string `json:"url"`
}

// DialogAnswer answers a Dialog. The zero value is what a user says who cancels.
type DialogAnswer struct {
	// Accept is OK; for beforeunload it is to leave the page.
	Accept bool `json:"accept"`
	// PromptText answers a prompt.
	PromptText string `json:"promptText,omitzero"`
}

// SetDialogHandler sets the handler that answers the page's dialogs; nil removes
// it. Without one, and when it panics, a confirm or prompt is cancelled and a
// beforeunload lets the page be left; without one, while a client of Session.Attach
// has the domain Page on in the page, it is left to that. The page waits for the answer as long as
// it takes. ctx ends when the dialog needs no answer any more: the page is
// closed, or goes elsewhere.
func (w *WebContents) SetDialogHandler(handler func(ctx context.Context, d Dialog) DialogAnswer) {
	w.dialogHandler.set(handler)
}

// answerDialogs has each dialog answered. A page shows one at a time.
func (w *WebContents) answerDialogs(dialogs iter.Seq2[cdp.Event, error]) {
	over := func() {} // ends the context of the dialog that is open
	defer func() { over() }()
	for e, err := range dialogs {
		over()
		if err != nil {
			return
		}
		if e.Method != "Page.javascriptDialogOpening" {
			continue
		}
		var d Dialog
		if jsonv2.Unmarshal(e.Params, &d, jsonv2.AllowInvalidUTF8(true)) != nil {
			continue
		}
		d.URL = customURL(d.URL)
		ctx, cancel := context.WithCancel(w.life)
		over = cancel
		go w.answerDialog(ctx, d)
	}
}

func (w *WebContents) answerDialog(ctx context.Context, d Dialog) {
	answer := DialogAnswer{Accept: d.Type == "beforeunload"}
	handler := w.dialogHandler.get()
	if handler == nil && w.target.ClientHasPage() {
		return // it is the client's to answer
	}
	if handler != nil {
		w.session.browser.safely("SetDialogHandler", func() { answer = handler(ctx, d) })
	}
	// The call fails without harm when the dialog is over: its context is.
	w.call(ctx, "Page.handleJavaScriptDialog", answer, nil)
}
