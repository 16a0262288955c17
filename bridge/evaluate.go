package bridge

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Evaluator is what runs JavaScript: a *WebContents (in its main frame) or a
// *Frame.
type Evaluator interface {
	world(ctx context.Context) (world, error)
}

// world is where JavaScript of a frame runs.
type world struct {
	page    *WebContents
	target  *cdp.Target
	context int // 0 is that of the target's main frame
}

func (w *WebContents) world(context.Context) (world, error) {
	return world{page: w, target: w.target}, nil
}

type evaluateParams struct {
	Expression    string `json:"expression"`
	AwaitPromise  bool   `json:"awaitPromise"`
	ReturnByValue bool   `json:"returnByValue"`
	UserGesture   bool   `json:"userGesture,omitzero"`
	ContextID     int    `json:"contextId,omitzero"`
}

// Evaluate runs a JavaScript expression in the page's own world and returns its
// value, or the value of the promise that it gives, as a T. With arguments the
// expression is a function, which is called with them.
//
// Values pass as JSON. undefined and null give the zero T. NaN, the infinities
// and -0 pass as numbers, a BigInt as an integer type or *big.Int, half of a
// surrogate pair as U+FFFD. What JSON has no word for (functions, symbols,
// cycles) is refused.
//
// It returns a *JavaScriptError for what the code throws, ErrNavigated when the
// document is replaced meanwhile, and waits as long as the page does: for the
// promise, and for an open dialog.
func Evaluate[T any](ctx context.Context, e Evaluator, expression string, args ...any) (T, error) {
	return evaluate[T](ctx, e, expression, args, false)
}

// EvaluateWithGesture is Evaluate as if a user had just clicked: for what pages
// may do only then.
func EvaluateWithGesture[T any](ctx context.Context, e Evaluator, expression string, args ...any) (T, error) {
	return evaluate[T](ctx, e, expression, args, true)
}

func evaluate[T any](ctx context.Context, e Evaluator, expression string, args []any, gesture bool) (T, error) {
	var zero T
	expression, err := withArguments(expression, args)
	if err != nil {
		return zero, err
	}
	raw, err := run(ctx, e, evaluateParams{Expression: expression, AwaitPromise: true, ReturnByValue: true, UserGesture: gesture})
	if err != nil {
		return zero, err
	}
	// The value is decoded straight from the frame, once: it can be large.
	var r struct {
		Exception *exceptionDetails `json:"exceptionDetails"`
		Result    struct {
			Type           string `json:"type"`
			Value          T      `json:"value"`
			Unserializable string `json:"unserializableValue"`
		} `json:"result"`
	}
	err = jsonv2.Unmarshal(raw, &r, jsonv2.AllowInvalidUTF8(true))
	if err != nil { // perhaps for want of a T: what was thrown comes with it
		if thrown := exceptionIn(raw); thrown != nil {
			return zero, thrown
		}
	}
	switch {
	case r.Exception != nil:
		return zero, r.Exception.err()
	case r.Result.Type == "function":
		return zero, invalidArgument("the expression is a function that nobody calls: write (%s)()", clip(expression))
	case err != nil:
		return zero, fmt.Errorf("the value of the expression is no %v: %w", reflect.TypeFor[T](), err)
	case r.Result.Unserializable != "":
		return number[T](r.Result.Unserializable)
	}
	return r.Result.Value, nil
}

// clip shortens code for an error.
func clip(code string) string {
	if len(code) > 60 {
		return code[:60] + "…"
	}
	return code
}

// withArguments makes a call of a function expression. The arguments go through
// JSON.parse: in a literal, the name __proto__ would mean something else.
func withArguments(expression string, args []any) (string, error) {
	if len(args) == 0 {
		return expression, nil
	}
	list, err := jsonv2.Marshal(args)
	if err != nil {
		return "", fmt.Errorf("encoding the arguments: %w", err)
	}
	text, err := jsonv2.Marshal(string(list))
	if err != nil {
		return "", fmt.Errorf("encoding the arguments: %w", err)
	}
	// The line break ends a comment at the end of the expression.
	return fmt.Sprintf("(%s\n)(...JSON.parse(%s))", strings.TrimSuffix(strings.TrimSpace(expression), ";"), text), nil
}

// number gives the numbers that JSON does not have.
func number[T any](text string) (T, error) {
	var value T
	if digits, ok := strings.CutSuffix(text, "n"); ok { // a BigInt
		if err := jsonv2.Unmarshal([]byte(digits), &value); err != nil {
			return value, fmt.Errorf("the value of the expression is the BigInt %s, which is no %v: %w", text, reflect.TypeFor[T](), err)
		}
		return value, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return value, fmt.Errorf("the value of the expression is %s, which is no number", text)
	}
	v := reflect.ValueOf(&value).Elem()
	switch {
	case v.CanFloat():
		v.SetFloat(n)
	case v.CanInt() && n == 0, v.CanUint() && n == 0: // -0
	case v.Kind() == reflect.Interface && v.NumMethod() == 0:
		v.Set(reflect.ValueOf(n))
	default:
		return value, fmt.Errorf("the value of the expression is %s, which is no %v", text, v.Type())
	}
	return value, nil
}

type exceptionDetails struct {
	Text         string        `json:"text"`
	LineNumber   int           `json:"lineNumber"`
	ColumnNumber int           `json:"columnNumber"`
	URL          string        `json:"url"`
	Exception    *remoteObject `json:"exception"`
}

func (d *exceptionDetails) err() *JavaScriptError {
	e := &JavaScriptError{Message: d.Text, URL: customURL(d.URL), Line: d.LineNumber + 1, Column: d.ColumnNumber + 1}
	switch {
	case d.Exception == nil:
	case d.Exception.Description != "":
		e.Message = d.Exception.Description
	default:
		e.Message = d.Text + " " + d.Exception.text()
	}
	return e
}

// exceptionIn is the exception in a result, nil if there is none.
func exceptionIn(raw jsonv2.Value) error {
	var r struct {
		Exception *exceptionDetails `json:"exceptionDetails"`
	}
	if err := jsonv2.Unmarshal(raw, &r, jsonv2.AllowInvalidUTF8(true)); err != nil {
		return err
	}
	if r.Exception == nil {
		return nil
	}
	return r.Exception.err()
}

// run evaluates in the world of e and returns the result as it came. Code that
// came too late for its document has not run: it goes to the one that follows, if
// that is there.
func run(ctx context.Context, e Evaluator, params evaluateParams) (jsonv2.Value, error) {
	in, err := e.world(ctx)
	for err == nil {
		params.ContextID = in.context
		var result jsonv2.Value
		failed := in.call(ctx, "Runtime.evaluate", params, &result)
		if failed == nil {
			return result, nil
		}
		if !neverRan(failed) {
			return nil, failed
		}
		gone := in
		if in, err = e.world(ctx); in == gone {
			return nil, failed
		}
	}
	return nil, err
}

// neverRan knows Chromium's answer to code for a context that was gone before.
func neverRan(err error) bool {
	var refused *cdp.Error
	return errors.As(err, &refused) && strings.Contains(refused.Message, "Cannot find context with specified id")
}

// call sends a command that the renderer process of the world answers.
func (in world) call(ctx context.Context, method string, params, result any) error {
	return in.explain(callRenderer(ctx, in.target, method, params, result))
}

// explain puts the bridge's errors in the place of the connection's.
func (in world) explain(err error) error {
	var refused *cdp.Error
	switch {
	case errors.As(err, &refused) && documentIsGone(refused.Message),
		errors.Is(err, cdp.ErrDetached) && in.target != in.page.target && in.page.Err() == nil: // the frame left its process
		return fmt.Errorf("%w: %w", ErrNavigated, err)
	}
	return in.page.explain(err)
}

// documentIsGone knows Chromium's texts for a document that was replaced.
func documentIsGone(message string) bool {
	for _, text := range []string{"Inspected target navigated or closed", "Execution context was destroyed", "Cannot find context with specified id", "Promise was collected"} {
		if strings.Contains(message, text) {
			return true
		}
	}
	return false
}
