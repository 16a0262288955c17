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
	// Message is the page's text.
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
// beforeunload lets the page be left. ctx ends with the page; the page waits for
// the answer as long as it takes.
func (w *WebContents) SetDialogHandler(handler func(ctx context.Context, d Dialog) DialogAnswer) {
	w.dialogHandler.set(handler)
}

// answerDialogs answers one dialog after the other: a page shows one at a time.
func (w *WebContents) answerDialogs(dialogs iter.Seq2[cdp.Event, error]) {
	for e, err := range dialogs {
		if err != nil {
			return
		}
		var d Dialog
		if jsonv2.Unmarshal(e.Params, &d, jsonv2.AllowInvalidUTF8(true)) != nil {
			continue
		}
		answer := DialogAnswer{Accept: d.Type == "beforeunload"}
		if handler := w.dialogHandler.get(); handler != nil {
			w.session.browser.safely("SetDialogHandler", func() { answer = handler(w.life, d) })
		}
		w.call(w.life, "Page.handleJavaScriptDialog", answer, nil)
	}
}
