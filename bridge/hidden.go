package bridge

import (
	"context"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// inHidden evaluates JavaScript on a hidden page of a browser context ("" is the
// default one) and decodes its value, or what its promise gives, into result.
// With arguments the expression is a function, which is called with them.
func (h *host) inHidden(ctx context.Context, browserContext, page, expression string, result any, args ...any) error {
	call, err := withArguments(expression, args)
	if err != nil {
		return err
	}
	return h.hidden.Use(ctx, browserContext, page, func(ctx context.Context, page *cdp.Session) error {
		raw, err := page.CallRaw(ctx, "Runtime.evaluate", evaluateParams{Expression: call, AwaitPromise: true, ReturnByValue: true})
		if err != nil {
			return err
		}
		if err := exceptionIn(raw); err != nil || result == nil {
			return err
		}
		var r struct {
			Result struct {
				Value jsonv2.Value `json:"value"`
			} `json:"result"`
		}
		if err := jsonv2.Unmarshal(raw, &r); err != nil || r.Result.Value == nil {
			return err
		}
		return jsonv2.Unmarshal(r.Result.Value, result)
	})
}
