package bridge

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// Evaluator is what runs JavaScript: a *WebContents (in its main frame) or a
// *Frame.
type Evaluator interface {
	evaluate(ctx context.Context, params evaluateParams) (jsonv2.Value, error)
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
// expression is a function, which is called with them. Values pass as JSON:
// undefined and null give the zero T; NaN and the infinities pass as numbers.
// It returns a *JavaScriptError for what the code throws.
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
	// The value is decoded straight from the frame: it can be large.
	var r struct {
		Result struct {
			Value          T      `json:"value"`
			Unserializable string `json:"unserializableValue"`
		} `json:"result"`
		Exception *exceptionDetails `json:"exceptionDetails"`
	}
	raw, err := e.evaluate(ctx, evaluateParams{Expression: expression, AwaitPromise: true, ReturnByValue: true, UserGesture: gesture})
	if err != nil {
		return zero, err
	}
	err = jsonv2.Unmarshal(raw, &r, jsonv2.AllowInvalidUTF8(true))
	switch {
	case r.Exception != nil:
		return zero, r.Exception.err()
	case err != nil:
		if thrown := exceptionIn(raw); thrown != nil {
			return zero, thrown
		}
		return zero, fmt.Errorf("the value of the expression is no %v: %w", reflect.TypeFor[T](), err)
	case r.Result.Unserializable != "":
		return number[T](r.Result.Unserializable)
	}
	return r.Result.Value, nil
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
	return fmt.Sprintf("(%s)(...JSON.parse(%s))", strings.TrimSuffix(strings.TrimSpace(expression), ";"), text), nil
}

// number gives the numbers that JSON does not have.
func number[T any](text string) (T, error) {
	var value T
	var n float64
	switch text {
	case "NaN":
		n = math.NaN()
	case "Infinity":
		n = math.Inf(1)
	case "-Infinity":
		n = math.Inf(-1)
	case "-0":
		n = math.Copysign(0, -1)
	default: // a BigInt
		err := jsonv2.Unmarshal([]byte(strings.TrimSuffix(text, "n")), &value)
		return value, err
	}
	switch p := any(&value).(type) {
	case *float64:
		*p = n
	case *any:
		*p = n
	default:
		return value, fmt.Errorf("the value of the expression is %s, which is no %v", text, reflect.TypeFor[T]())
	}
	return value, nil
}

type exceptionDetails struct {
	Text         string `json:"text"`
	LineNumber   int    `json:"lineNumber"`
	ColumnNumber int    `json:"columnNumber"`
	URL          string `json:"url"`
	Exception    *struct {
		Description string       `json:"description"`
		Value       jsonv2.Value `json:"value"`
	} `json:"exception"`
}

func (d *exceptionDetails) err() error {
	e := &JavaScriptError{Message: d.Text, URL: d.URL, Line: d.LineNumber + 1, Column: d.ColumnNumber + 1}
	switch {
	case d.Exception == nil:
	case d.Exception.Description != "":
		e.Message = d.Exception.Description
	case len(d.Exception.Value) > 0:
		e.Message = d.Text + " " + string(d.Exception.Value)
	}
	return e
}

// exceptionIn finds the exception in a result whose value does not fit.
func exceptionIn(raw jsonv2.Value) error {
	var r struct {
		Exception *exceptionDetails `json:"exceptionDetails"`
	}
	if jsonv2.Unmarshal(raw, &r, jsonv2.AllowInvalidUTF8(true)) == nil && r.Exception != nil {
		return r.Exception.err()
	}
	return nil
}

func (w *WebContents) evaluate(ctx context.Context, params evaluateParams) (jsonv2.Value, error) {
	return w.evaluateOn(ctx, w.target.Session, params)
}

// evaluateOn evaluates on one of the page's sessions.
func (w *WebContents) evaluateOn(ctx context.Context, s *cdp.Session, params evaluateParams) (jsonv2.Value, error) {
	var result jsonv2.Value
	err := w.renderer(ctx, s, "Runtime.evaluate", params, &result)
	return result, err
}
