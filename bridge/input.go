package bridge

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/chromedp/kb"
)

//go:embed js/actionable.js
var actionableJS string

// Click clicks the middle of the first element that a CSS selector matches, as
// a user does: the element is waited for until it is visible and stands still,
// and scrolled into view. It waits until ctx ends.
func (w *WebContents) Click(ctx context.Context, selector string) error {
	box, err := w.actionable(ctx, selector)
	if err != nil {
		return fmt.Errorf("clicking %s: %w", selector, err)
	}
	x, y := box.middle()
	for _, step := range []map[string]any{
		{"type": "mouseMoved"},
		{"type": "mousePressed", "button": "left", "buttons": 1, "clickCount": 1},
		{"type": "mouseReleased", "button": "left", "clickCount": 1},
	} {
		step["x"], step["y"] = x, y
		if err := w.renderer(ctx, w.CDP(), "Input.dispatchMouseEvent", step, nil); err != nil {
			return fmt.Errorf("clicking %s: %w", selector, err)
		}
	}
	return nil
}

// Type clicks the first element that a CSS selector matches and types text into
// it, key by key. A line break is the Enter key.
func (w *WebContents) Type(ctx context.Context, selector, text string) error {
	if err := w.Click(ctx, selector); err != nil {
		return err
	}
	return w.TypeKeys(ctx, text)
}

// TypeKeys types text into what has the focus, key by key. The constants of
// github.com/chromedp/chromedp/kb are the keys without a character.
func (w *WebContents) TypeKeys(ctx context.Context, text string) error {
	for _, r := range text {
		for _, event := range kb.Encode(r) {
			if err := w.renderer(ctx, w.CDP(), "Input.dispatchKeyEvent", event, nil); err != nil {
				return fmt.Errorf("typing: %w", err)
			}
		}
	}
	return nil
}

// rect is a place in the page, in CSS pixels of the viewport.
type rect struct{ x, y, width, height float64 }

func (r rect) middle() (x, y float64) { return r.x + r.width/2, r.y + r.height/2 }

// actionable waits for an element, scrolls it into view and says where it is.
func (w *WebContents) actionable(ctx context.Context, selector string) (rect, error) {
	object, err := w.element(ctx, selector)
	if err != nil {
		return rect{}, err
	}
	release := map[string]string{"objectId": object}
	defer w.CDP().Conn().Send(cdp.Command{Session: w.CDP(), Method: "Runtime.releaseObject", Params: release})
	if err := w.renderer(ctx, w.CDP(), "DOM.scrollIntoViewIfNeeded", release, nil); err != nil {
		return rect{}, err
	}
	var r struct {
		Quads [][8]float64 `json:"quads"`
	}
	if err := w.renderer(ctx, w.CDP(), "DOM.getContentQuads", release, &r); err != nil {
		return rect{}, err
	}
	if len(r.Quads) == 0 {
		return rect{}, fmt.Errorf("the element %s takes no room in the page", selector)
	}
	return bounds(r.Quads[0]), nil
}

// element waits for an element and returns its object id.
func (w *WebContents) element(ctx context.Context, selector string) (string, error) {
	expression, err := withArguments(actionableJS, []any{selector})
	if err != nil {
		return "", err
	}
	raw, err := w.evaluate(ctx, evaluateParams{Expression: expression, AwaitPromise: true})
	if err != nil {
		return "", err
	}
	var r struct {
		Result struct {
			ObjectID string `json:"objectId"`
		} `json:"result"`
		Exception *exceptionDetails `json:"exceptionDetails"`
	}
	if err := jsonv2.Unmarshal(raw, &r); err != nil {
		return "", err
	}
	if r.Exception != nil {
		return "", r.Exception.err()
	}
	return r.Result.ObjectID, nil
}

// bounds is the rectangle around a quad of four points.
func bounds(q [8]float64) rect {
	left, top := min(q[0], q[2], q[4], q[6]), min(q[1], q[3], q[5], q[7])
	right, bottom := max(q[0], q[2], q[4], q[6]), max(q[1], q[3], q[5], q[7])
	return rect{left, top, right - left, bottom - top}
}
