package bridge

import (
	"context"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// workerChannel carries what scripts of the bridge say in a worker, as a channel does
// in frames. A worker has one world: its own script gets the function too, unless ours
// runs first and takes it away.
type workerChannel struct {
	target *cdp.Target
	name   string // of the function
}

// open returns the commands that give the worker the function.
func (c workerChannel) open() []cdp.Command {
	return []cdp.Command{
		{Session: c.target.Session, Method: "Runtime.enable"},
		{Session: c.target.Session, Method: "Runtime.addBinding", Params: map[string]string{"name": c.name}},
	}
}

// hear hands on what is said until ctx or the worker ends. heard must not wait.
func (c workerChannel) hear(ctx context.Context, heard func(text string)) {
	said := c.target.Session.Events(ctx, cdp.QueueOptions{}, "Runtime.bindingCalled")
	go func() {
		for e, err := range said {
			if err != nil {
				return
			}
			if call, ok := decodeBindingCall(e); ok && call.Name == c.name {
				heard(call.Payload)
			}
		}
	}()
}

// listener is the object that an evaluation in the worker gave, as one that takes what
// Go says.
func (c workerChannel) listener(result jsonv2.Value, err error) (to address, ok bool) {
	var r struct {
		Result struct {
			ObjectID string `json:"objectId"`
		} `json:"result"`
	}
	if err != nil || jsonv2.Unmarshal(result, &r) != nil || r.Result.ObjectID == "" {
		return address{}, false
	}
	return address{c.target, map[string]any{"objectId": r.Result.ObjectID}, "this"}, true
}
