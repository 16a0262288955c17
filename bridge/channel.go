package bridge

import (
	"context"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// channel carries what scripts of the bridge say in an isolated world of the
// session's frames. They have a function for it, by the name of the channel,
// which no script of a page can call. Who says it is known from Chromium.
type channel struct {
	session *Session
	world   string
	name    string // of the function
	// heard is told of each message. It must not wait.
	heard func(m worldMessage)

	mu     sync.Mutex
	open   bool
	frames map[*cdp.Target]bool // pages, and frames with a process of their own; true where it is open
}

// worldMessage is what a script has said.
type worldMessage struct {
	page *WebContents
	from *worldContext
	text string
}

// channels are those of a session, by name.
type channels map[string]*channel

// newChannel makes a channel, which is closed at first.
func (s *Session) newChannel(world, name string, heard func(worldMessage)) *channel {
	c := &channel{session: s, world: world, name: name, heard: heard, frames: map[*cdp.Target]bool{}}
	s.channels[name] = c
	return c
}

// use opens the channel in all frames, to the end of the session: Chromium cannot
// take the function back that a world has. It returns the commands for the open
// pages, each as one write.
func (c *channel) use() (updates [][]cdp.Command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	for t := range c.frames {
		if commands := c.update(t); len(commands) > 0 {
			updates = append(updates, commands)
		}
	}
	return updates
}

func (cs channels) join(t *cdp.Target) (setup []cdp.Command) {
	if !t.HasFrames() {
		return nil
	}
	for _, c := range cs {
		c.mu.Lock()
		c.frames[t] = false
		setup = append(setup, c.update(t)...)
		c.mu.Unlock()
	}
	return setup
}

func (cs channels) restarted(t *cdp.Target) (setup []cdp.Command) {
	for _, c := range cs {
		c.mu.Lock()
		if _, known := c.frames[t]; known {
			setup = append(setup, c.update(t)...)
		}
		c.mu.Unlock()
	}
	return setup
}

func (cs channels) leave(t *cdp.Target) {
	for _, c := range cs {
		c.mu.Lock()
		delete(c.frames, t)
		c.mu.Unlock()
	}
}

// update returns the commands that open the channel in a page or frame. One that
// has crashed answers nothing.
func (c *channel) update(t *cdp.Target) []cdp.Command {
	if !c.open || c.frames[t] || t.Renderer().Err() != nil {
		return nil
	}
	page := c.session.page(t.Page().ID())
	if page == nil {
		return nil
	}
	c.frames[t] = true
	// Without the domain Runtime the function is missing, or vanishes with the
	// first navigation.
	return append(page.contexts.begin(page, t), cdp.Command{Session: t.Session, Method: "Runtime.addBinding", Params: map[string]string{"name": c.name, "executionContextName": c.world}})
}

// bindingCall reads an event Runtime.bindingCalled.
type bindingCall struct {
	Name               string `json:"name"`
	Payload            string `json:"payload"`
	ExecutionContextID int    `json:"executionContextId"`
}

func decodeBindingCall(e cdp.Event) (call bindingCall, ok bool) {
	err := jsonv2.Unmarshal(e.Params, &call, jsonv2.AllowInvalidUTF8(true))
	return call, err == nil
}

// hear hands on what a script of a page says. What other worlds say under the
// name of a channel is nothing.
func (s *Session) hear(page *WebContents, from *worldContext, call bindingCall) {
	if c := s.channels[call.Name]; c != nil && from != nil && from.name == c.world {
		c.heard(worldMessage{page, from, call.Payload})
	}
}

// sendAll sends commands, each list as one write. wait waits for the answers.
func sendAll(updates [][]cdp.Command) (wait func(ctx context.Context) error) {
	var answered sync.WaitGroup
	for _, commands := range updates {
		commands[0].Session.Conn().Send(awaited(&answered, commands)...)
	}
	return func(ctx context.Context) error { return waitGroup(ctx, &answered) }
}
