package bridge

import (
	"context"
	"errors"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// hearBinding is the function that a listening page of the helper calls with
// what it hears.
const hearBinding = "tell"

var errHelperGone = errors.New("the page of the helper extension is gone")

// hasHelper reports whether the helper can work here.
func (p *place) hasHelper() bool { return p.isDefault() && p.host.process != nil }

// hearInHelper calls a script on a page of the helper's own, one for each topic,
// and hands what the script gives to tell, a string, to hear, until ctx ends.
// began is called when the script has run. Unlike a service worker the page
// stays for as long as it is wanted.
func (p *place) hearInHelper(ctx context.Context, topic, script string, began func(), hear func(payload string)) error {
	address, err := p.host.extensionPage(ctx, helperExtension)
	if err != nil {
		return err
	}
	return p.host.hidden.Use(ctx, p.param(), address+"?"+topic, func(ctx context.Context, page *cdp.Session) error {
		events := page.Events(ctx, cdp.QueueOptions{}, "Runtime.bindingCalled")
		if err := page.Call(ctx, "Runtime.enable", nil, nil); err != nil {
			return err
		}
		if err := page.Call(ctx, "Runtime.addBinding", map[string]string{"name": hearBinding}, nil); err != nil {
			return err
		}
		raw, err := page.CallRaw(ctx, "Runtime.evaluate", evaluateParams{Expression: "(" + script + ")()", AwaitPromise: true, ReturnByValue: true})
		if err == nil {
			err = exceptionIn(raw)
		}
		if err != nil {
			return err
		}
		began()
		for e, err := range events {
			if err != nil {
				return err
			}
			var called struct {
				Payload string `json:"payload"`
			}
			if jsonv2.Unmarshal(e.Params, &called, jsonv2.AllowInvalidUTF8(true)) == nil {
				hear(called.Payload)
			}
		}
		return errHelperGone
	})
}
