package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestEvaluate_GivesTypedValues(t *testing.T) {
	t.Parallel()
	page := testPage(t, memorySession(t), "")
	want(t, page, "1 + 1", 2)
	want(t, page, "1 + 1", 2.0)
	want(t, page, "'text'", "text")
	want(t, page, "1 < 2;", true)
	want(t, page, "new Promise(done => setTimeout(done, 10, 'late'))", "late")
	want(t, page, "undefined", "")
	want(t, page, "null", 0)
	want(t, page, "Infinity", math.Inf(1))
	want(t, page, "-Infinity", float32(math.Inf(-1)))
	want(t, page, "-0", 0)
	want(t, page, "Math.max(2 ** 53)", int64(1)<<53)
	want(t, page, "2n ** 63n - 1n", int64(math.MaxInt64))
	want(t, page, "2n ** 64n - 1n", uint64(math.MaxUint64))
	want(t, page, "'\\ud800x'", "�x")
	want(t, page, "'\U0001F600\\u0000ü'", "\U0001F600\x00ü")

	type point struct {
		X, Y float64
		Tags []string `json:"tags"`
		Next *point   `json:"next"`
	}
	for _, c := range []struct {
		expression string
		get        func(context.Context) (any, error)
		want       any
	}{
		{"({X: 1, Y: 2.5, tags: ['a', 'b'], next: {X: 3}, extra: true})", as[point](page), point{1, 2.5, []string{"a", "b"}, &point{X: 3}}},
		{"[1, 'two', null, {three: 3}]", as[any](page), []any{1.0, "two", nil, map[string]any{"three": 3.0}}},
		{"new Date(0)", as[any](page), map[string]any{}},
		{"({['__proto__']: 1})", as[map[string]int](page), map[string]int{"__proto__": 1}},
		{"undefined", as[*point](page), (*point)(nil)},
		{"Infinity", as[any](page), math.Inf(1)},
		{"10n ** 30n", as[*big.Int](page), new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)},
		{"[1, 2]", as[json.RawMessage](page), json.RawMessage("[1,2]")},
		{"document.body", as[any](page), map[string]any{}},
	} {
		got, err := c.get(context.WithValue(testContext(t), expressionKey{}, c.expression))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s is %#v, %v, want %#v", c.expression, got, err, c.want)
		}
	}
	if n, err := Evaluate[float64](testContext(t), page, "NaN"); err != nil || !math.IsNaN(n) {
		t.Errorf("NaN is %v, %v", n, err)
	}
	if n, err := Evaluate[float64](testContext(t), page, "-0"); err != nil || !math.Signbit(n) {
		t.Errorf("-0 is %v, %v", n, err)
	}
}

type expressionKey struct{}

// as is Evaluate of the context's expression with its result as any.
func as[T any](page *WebContents) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		return Evaluate[T](ctx, page, ctx.Value(expressionKey{}).(string))
	}
}

func TestEvaluate_PassesArguments(t *testing.T) {
	t.Parallel()
	ctx, page := testContext(t), testPage(t, memorySession(t), "")
	got, err := Evaluate[string](ctx, page, `(number, text, list, object, nothing) => [number, text, list[1], object.deep.x, nothing === null,
		Object.hasOwn(object, '__proto__'), typeof object.polluted].join('|') // a comment at the end`,
		1.5, "a\"b\\</script>\u2028ü", []int{1, 2}, map[string]any{"deep": map[string]int{"x": 7}, "__proto__": map[string]any{"polluted": 1}}, nil)
	if want := "1.5|a\"b\\</script>\u2028ü|2|7|true|true|undefined"; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if got, err := Evaluate[int](ctx, page, "async function (a, b) { return a + b };", 1, 2); err != nil || got != 3 {
		t.Errorf("a function with a name for its promise: %v, %v", got, err)
	}
	if _, err := Evaluate[any](ctx, page, "x => x", make(chan int)); err == nil || !strings.Contains(err.Error(), "arguments") {
		t.Errorf("an argument that JSON has no word for: %v", err)
	}
	var thrown *JavaScriptError
	if _, err := Evaluate[any](ctx, page, "'no function'", 1); !errors.As(err, &thrown) {
		t.Errorf("arguments without a function: %v", err)
	}
}

func TestEvaluate_ErrorsTellWhatThePageThrew(t *testing.T) {
	t.Parallel()
	ctx, page := testContext(t), testPage(t, memorySession(t), "")
	for expression, message := range map[string]string{
		"throw new TypeError('bad')":        "", // a statement is no expression with arguments, and fine without
		"nothing.there":                     "ReferenceError: nothing is not defined",
		"1 +":                               "SyntaxError",
		"Promise.reject(new Error('late'))": "Error: late",
		"Promise.reject('text')":            "text",
		"Promise.reject(null)":              "null",
		"Promise.reject()":                  "undefined",
		"(() => { throw {code: 7} })()":     "Object",
		"(() => { throw 'ü' })()":           " ü",
		"(() => { throw null })()":          "null",
		"(() => { throw 5n })()":            "5n",
		"document.querySelector('##')":      "is not a valid selector",
	} {
		_, err := Evaluate[any](ctx, page, expression)
		var thrown *JavaScriptError
		if !errors.As(err, &thrown) || !strings.Contains(thrown.Message, message) {
			t.Errorf("%s: %v, want %q", expression, err, message)
		}
	}
	_, err := Evaluate[any](ctx, page, "\n\n  nothing")
	var thrown *JavaScriptError
	if !errors.As(err, &thrown) || thrown.Line != 3 || thrown.Column != 3 {
		t.Errorf("the place of the error is %+v", thrown)
	}
}

func TestEvaluate_RefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	ctx, page := testContext(t), testPage(t, memorySession(t), "")
	for name, call := range map[string]func() error{
		"text for int":       func() error { _, err := Evaluate[int](ctx, page, "'text'"); return err },
		"fraction for int":   func() error { _, err := Evaluate[int](ctx, page, "1.5"); return err },
		"NaN for int":        func() error { _, err := Evaluate[int](ctx, page, "NaN"); return err },
		"large for int8":     func() error { _, err := Evaluate[int8](ctx, page, "300"); return err },
		"large BigInt":       func() error { _, err := Evaluate[int64](ctx, page, "2n ** 64n"); return err },
		"BigInt for string":  func() error { _, err := Evaluate[string](ctx, page, "1n"); return err },
		"object for string":  func() error { _, err := Evaluate[string](ctx, page, "({})"); return err },
		"number for channel": func() error { _, err := Evaluate[chan int](ctx, page, "1"); return err },
		"function":           func() error { _, err := Evaluate[any](ctx, page, "() => 1"); return err },
		"symbol":             func() error { _, err := Evaluate[any](ctx, page, "Symbol('x')"); return err },
		"cycle": func() error {
			_, err := Evaluate[any](ctx, page, "(() => { const o = {}; o.o = o; return o })()")
			return err
		},
		"BigInt inside": func() error { _, err := Evaluate[any](ctx, page, "({n: 1n})"); return err },
	} {
		if err := call(); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var invalid *InvalidArgumentError
	if _, err := Evaluate[int](ctx, page, "() => 1"); !errors.As(err, &invalid) {
		t.Errorf("a function that nobody calls: %v", err)
	}
	stillOpen(t, page)
}

func TestEvaluate_TakesLargeValuesOnceInMemory(t *testing.T) { // alone: it measures
	ctx, server := testContext(t), fixture.New(t)
	page := testPage(t, memorySession(t), server.URL("a.test", "/bigstring?mb=20"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	big, err := Evaluate[string](ctx, page, "big")
	runtime.ReadMemStats(&after)
	if err != nil || len(big) != 20<<20 {
		t.Fatalf("%d bytes, %v", len(big), err)
	}
	// The frame, its result and the string.
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 150 {
		t.Errorf("20 MiB took %d MiB", took)
	} else {
		t.Logf("20 MiB took %d MiB", took)
	}
	n, err := Evaluate[int](ctx, page, "s => s.length", big)
	if err != nil || n != 20<<20 {
		t.Errorf("the way back: %d, %v", n, err)
	}
}

func TestEvaluate_EndsWhenTheDocumentGoesAway(t *testing.T) {
	t.Parallel()
	ctx, server := testContext(t), fixture.New(t)
	page := testPage(t, memorySession(t), server.URL("a.test", "/page/one"))
	for _, host := range []string{"a.test", "b.test"} {
		ended := make(chan error, 1)
		go func() {
			_, err := Evaluate[int](ctx, page, "new Promise(() => {})")
			ended <- err
		}()
		stillOpen(t, page)
		if err := page.LoadURL(ctx, server.URL(host, "/page/two"), LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, ErrNavigated) {
			t.Errorf("to %s: %v", host, err)
		}
	}
	during, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := Evaluate[int](during, page, "new Promise(() => {})")
		ended <- err
	}()
	stillOpen(t, page)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
}

func TestEvaluateWithGesture_IsAUsersDoing(t *testing.T) {
	t.Parallel()
	ctx, server := testContext(t), fixture.New(t)
	page := testPage(t, memorySession(t), server.URL("a.test", "/page/x"))
	want(t, page, "navigator.userActivation.isActive", false)
	active, err := EvaluateWithGesture[bool](ctx, page, "navigator.userActivation.isActive")
	if err != nil || !active {
		t.Errorf("with a gesture: %v, %v", active, err)
	}
	opened, err := EvaluateWithGesture[bool](ctx, page, "url => window.open(url) !== null", server.URL("a.test", "/page/popup"))
	if err != nil || !opened {
		t.Errorf("a pop-up with a gesture: %v, %v", opened, err)
	}
}
