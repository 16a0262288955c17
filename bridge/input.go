package bridge

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed js/actionable.js
var actionableJS string

// Click clicks the middle of the first element that a CSS selector matches, as
// a user does. It waits, until ctx ends, for an element that is visible, stands
// still, is enabled and not covered by another one, and scrolls it into view.
// What stood in the way is in the error. Elements in frames are clicked with
// Frame.Click, those in shadow trees are not found.
func (w *WebContents) Click(ctx context.Context, selector string) error {
	return click(ctx, w, selector)
}

// Click is WebContents.Click for an element of the frame.
func (f *Frame) Click(ctx context.Context, selector string) error { return click(ctx, f, selector) }

// Type clicks the first element that a CSS selector matches and types text into
// it. See TypeKeys.
func (w *WebContents) Type(ctx context.Context, selector, text string) error {
	if err := w.Click(ctx, selector); err != nil {
		return err
	}
	return w.TypeKeys(ctx, text)
}

// Type is WebContents.Type for an element of the frame.
func (f *Frame) Type(ctx context.Context, selector, text string) error {
	if err := f.Click(ctx, selector); err != nil {
		return err
	}
	in, err := f.world(ctx)
	if err != nil {
		return err
	}
	return in.typeKeys(ctx, text)
}

// TypeKeys types text into what has the focus, key by key; a line break is the
// Enter key, a tab the Tab key. Characters that no key has are inserted as an
// input method does. The constants of github.com/chromedp/chromedp/kb are the
// keys without a character.
func (w *WebContents) TypeKeys(ctx context.Context, text string) error {
	return world{page: w, target: w.target}.typeKeys(ctx, text)
}

func (in world) typeKeys(ctx context.Context, text string) error {
	for part := range keystrokes(strings.ReplaceAll(text, "\r\n", "\n")) {
		if err := in.typePart(ctx, part); err != nil {
			return fmt.Errorf("typing: %w", err)
		}
	}
	return nil
}

// keystrokes yields one key after the other, and what lies between keys in one
// piece: an emoji can be several characters.
func keystrokes(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i, r := range text {
			if !isKey(r) {
				continue
			}
			if start < i && !yield(text[start:i]) {
				return
			}
			start = i + len(string(r))
			if !yield(text[i:start]) {
				return
			}
		}
		if start < len(text) {
			yield(text[start:])
		}
	}
}

func isKey(r rune) bool {
	_, known := kb.Keys[r]
	return known || r == '\n'
}

func (in world) typePart(ctx context.Context, part string) error {
	if r := []rune(part)[0]; isKey(r) {
		for _, event := range kb.Encode(r) {
			if err := in.call(ctx, "Input.dispatchKeyEvent", event, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return in.call(ctx, "Input.insertText", map[string]string{"text": part}, nil)
}

// point is a place in the viewport, in CSS pixels.
type point struct{ x, y float64 }

func click(ctx context.Context, e Evaluator, selector string) error {
	in, box, err := actionable(ctx, e, selector, true)
	if err == nil {
		err = in.clickAt(ctx, box.middle())
	}
	if err != nil {
		return fmt.Errorf("clicking %s: %w", selector, err)
	}
	return nil
}

// clickAt presses and releases the left button. A page that closes or goes
// elsewhere because of it has been clicked.
func (in world) clickAt(ctx context.Context, at point) error {
	mouse := func(kind string, params map[string]any) error {
		params["type"], params["x"], params["y"] = kind, at.x, at.y
		return in.call(ctx, "Input.dispatchMouseEvent", params, nil)
	}
	if err := mouse("mouseMoved", map[string]any{}); err != nil {
		return err
	}
	err := mouse("mousePressed", map[string]any{"button": "left", "buttons": 1, "clickCount": 1})
	if err == nil {
		err = mouse("mouseReleased", map[string]any{"button": "left", "clickCount": 1})
	}
	if errors.Is(err, ErrPageClosed) || errors.Is(err, ErrNavigated) {
		return nil
	}
	return err
}

// rect is a place in the page, in CSS pixels of the viewport.
type rect struct{ x, y, width, height float64 }

func (r rect) middle() point { return point{r.x + r.width/2, r.y + r.height/2} }

// lookAgain is the time between two looks at an element that is not ready.
const lookAgain = 50 * time.Millisecond

// actionable waits for an element, scrolls it into view and says where it is,
// and in which world.
func actionable(ctx context.Context, e Evaluator, selector string, forClick bool) (world, rect, error) {
	expression, err := withArguments(actionableJS, []any{selector, forClick})
	if err != nil {
		return world{}, rect{}, err
	}
	obstacle := "nothing is known of it yet"
	for {
		in, box, now, err := look(ctx, e, expression)
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrNavigated):
			obstacle = "the document was replaced"
		case err != nil:
			return world{}, rect{}, err
		case now == "":
			return in, box, nil
		default:
			obstacle = now
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return world{}, rect{}, fmt.Errorf("%s: %w", obstacle, context.Cause(ctx))
		}
	}
}

// look takes one look at an element and says where it is, or what stands in the
// way.
func look(ctx context.Context, e Evaluator, expression string) (in world, box rect, obstacle string, err error) {
	if in, err = e.world(ctx); err != nil {
		return in, box, "", err
	}
	var r struct {
		Result struct {
			ObjectID string `json:"objectId"`
			Value    string `json:"value"`
		} `json:"result"`
		Exception *exceptionDetails `json:"exceptionDetails"`
	}
	params := evaluateParams{Expression: expression, AwaitPromise: true, ContextID: in.context}
	if err = in.call(ctx, "Runtime.evaluate", params, &r); err != nil {
		return in, box, "", err
	}
	switch {
	case r.Exception != nil:
		return in, box, "", r.Exception.err()
	case r.Result.ObjectID == "":
		return in, box, r.Result.Value, nil
	}
	box, obstacle, err = in.box(ctx, r.Result.ObjectID)
	return in, box, obstacle, err
}

// box is where an element is in the viewport of its target, and releases it.
func (in world) box(ctx context.Context, object string) (box rect, obstacle string, err error) {
	element := map[string]string{"objectId": object}
	defer in.target.Session.Conn().Send(cdp.Command{Session: in.target.Session, Method: "Runtime.releaseObject", Params: element})
	var r struct {
		Quads [][8]float64 `json:"quads"`
	}
	var refused *cdp.Error
	switch err := in.call(ctx, "DOM.getContentQuads", element, &r); {
	case errors.As(err, &refused), err == nil && len(r.Quads) == 0: // changed since
		return rect{}, "it is not visible", nil
	case err != nil:
		return rect{}, "", err
	}
	return bounds(r.Quads[0]), "", nil
}

// bounds is the rectangle around a quad of four points.
func bounds(q [8]float64) rect {
	left, top := min(q[0], q[2], q[4], q[6]), min(q[1], q[3], q[5], q[7])
	right, bottom := max(q[0], q[2], q[4], q[6]), max(q[1], q[3], q[5], q[7])
	return rect{left, top, right - left, bottom - top}
}
