package cdp

import (
	"context"
	"errors"
	"strings"
	"testing"
)

const hiddenInfo = `{"targetId":"H","type":"page","url":"chrome://x/","browserContextId":"C"}`

func useNothing(context.Context, *Session) error { return nil }

func TestAHiddenPageThatNobodyWaitsForAnyMoreIsClosedUnseen(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{Adopt: func(tg *Target) ([]Command, bool) { t.Errorf("%s was seen", tg.ID()); return nil, false }})
	hidden := NewHiddenPages(t.Context(), tree)
	ctx, cancel := context.WithCancel(testContext(t))
	ended := make(chan error)
	go func() { ended <- hidden.Use(ctx, "C", "chrome://x", useNothing) }()
	creating := f.expect("Target.createTarget")
	waitingForTurn, giveUp := context.WithCancel(testContext(t))
	go func() { ended <- hidden.Use(waitingForTurn, "C", "chrome://x/", useNothing) }()
	giveUp()
	if err := await(t, "the end of who waits for its turn", ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	cancel()
	if err := await(t, "the end", ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.attach("", sid("H"), hiddenInfo) // late
	f.reply(creating, `{"targetId":"H"}`)
	f.expect("Runtime.runIfWaitingForDebugger")
	if cmd := f.expect("Target.closeTarget"); !strings.Contains(string(cmd.Params), `"H"`) {
		t.Errorf("closed %s", cmd.Params)
	}
	f.detach("", sid("H"))
	f.event("", "Target.targetDestroyed", `{"targetId":"H"}`)
	f.sync(tree.Conn())
	if tree.Hidden("H") || len(tree.hidden) != 0 || len(tree.hiding) != 0 {
		t.Error("it is still noted")
	}
}

func TestAHiddenPageOfAContextThatEndsIsClosed(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{})
	life, end := context.WithCancel(context.Background())
	defer end()
	hidden := NewHiddenPages(life, tree)
	ended := make(chan error)
	open := func() {
		go func() { ended <- hidden.Use(testContext(t), "C", "chrome://x/", useNothing) }()
		creating := f.expect("Target.createTarget")
		f.attach("", sid("H"), hiddenInfo)
		f.reply(creating, `{"targetId":"H"}`)
		f.expect("Runtime.runIfWaitingForDebugger")
		f.reply(f.expect("Page.enable"), "{}")
	}
	loaded := func() {
		f.reply(f.expect("Runtime.evaluate"), `{"result":{"value":true}}`)
	}
	// While it is being opened,
	open()
	hidden.CloseContext("C")
	loaded()
	if err := await(t, "the end", ended); !errors.Is(err, ErrDetached) {
		t.Error(err)
	}
	f.expect("Target.closeTarget")
	f.detach("", sid("H"))
	// while it is open,
	open()
	loaded()
	if err := await(t, "the use", ended); err != nil {
		t.Error(err)
	}
	hidden.CloseContext("C")
	f.expect("Target.closeTarget")
	f.detach("", sid("H"))
	// and with the life of all.
	open()
	loaded()
	if err := await(t, "the use", ended); err != nil {
		t.Error(err)
	}
	end()
	f.expect("Target.closeTarget")
	if err := hidden.Use(testContext(t), "C", "chrome://x/", useNothing); !errors.Is(err, context.Canceled) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestACrashedHiddenPageEndsItsUserAndIsClosed(t *testing.T) {
	f, tree := fakeTree(t, TreeOptions{})
	hidden := NewHiddenPages(t.Context(), tree)
	ended := make(chan error)
	go func() {
		ended <- hidden.Use(testContext(t), "C", "chrome://x/", func(ctx context.Context, s *Session) error { return s.Call(ctx, "A.never", nil, nil) })
	}()
	creating := f.expect("Target.createTarget")
	f.attach("", sid("H"), hiddenInfo)
	f.reply(creating, `{"targetId":"H"}`)
	f.expect("Runtime.runIfWaitingForDebugger")
	f.reply(f.expect("Page.enable"), "{}")
	f.reply(f.expect("Runtime.evaluate"), `{"result":{"value":true}}`)
	f.expect("A.never")
	f.event("", "Target.targetCrashed", `{"targetId":"H","status":"crashed","errorCode":11}`)
	if err := await(t, "the end", ended); !errors.Is(err, ErrCrashed) {
		t.Error(err)
	}
	f.expect("Target.closeTarget")
}
