package bridge

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// policies are the enterprise policies that the bridge sets in a Chromium
// process while it runs. They hold for the whole process. Chromium takes the
// list as a whole, so there is one owner of it.
//
// It takes a build that is not a branded stable Chrome, which has no page
// chrome://policy/test.
type policies struct {
	changing turn
	values   map[string]any
}

func newPolicies() *policies { return &policies{changing: newTurn(), values: map[string]any{}} }

// policyPage sets policies, if the preference for it was there at start (see
// package chromium).
const policyPage = "chrome://policy/test"

// setPolicyList is what that page itself calls.
const setPolicyList = `(list) => import("chrome://resources/js/cr.js").then(cr => cr.sendWithPromise("setLocalTestPolicies", list, ""))`

// setPolicy sets a policy, live; nil takes it away.
func (h *host) setPolicy(ctx context.Context, name string, value any) error {
	if err := h.policies.changing.take(ctx); err != nil {
		return err
	}
	defer h.policies.changing.give()
	if reflect.DeepEqual(h.policies.values[name], value) {
		return nil
	}
	next := maps.Clone(h.policies.values)
	next[name] = value
	if value == nil {
		delete(next, name)
	}
	type policy struct {
		Name      string `json:"name"`
		Level     int    `json:"level"`  // mandatory
		Scope     int    `json:"scope"`  // the machine
		Source    int    `json:"source"` // the platform
		Namespace string `json:"namespace"`
		Value     any    `json:"value"`
	}
	list := []policy{}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		list = append(list, policy{Name: name, Level: 1, Scope: 1, Source: 2, Namespace: "chrome", Value: next[name]})
	}
	text, err := jsonv2.Marshal(list)
	if err != nil {
		return err
	}
	if err := h.inHidden(ctx, "", policyPage, setPolicyList, nil, string(text)); err != nil {
		return fmt.Errorf("setting the policy %s: %w", name, err)
	}
	h.policies.values = next
	return nil
}
