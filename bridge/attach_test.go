package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// rawClient speaks the protocol frame by frame.
type rawClient struct {
	t    testing.TB
	raw  *RawConn
	next int
	seen []string // what came, as it came
}

func attach(t testing.TB, s *Session) *rawClient {
	t.Helper()
	raw, err := s.Attach(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return &rawClient{t: t, raw: raw}
}

type rawReply struct {
	ID     int
	Result map[string]any
	Error  *struct{ Message string }
}

// call sends a command of the browser's session and reads up to its answer.
func (c *rawClient) call(method, params string) rawReply {
	c.t.Helper()
	return c.callOn("", method, params)
}

// callOn is call on one of the client's sessions.
func (c *rawClient) callOn(session, method, params string) rawReply {
	c.t.Helper()
	ctx := testContext(c.t)
	c.next++
	if session != "" {
		session = fmt.Sprintf(`,"sessionId":%q`, session)
	}
	if err := c.raw.WriteFrame(ctx, fmt.Appendf(nil, `{"id":%d,"method":%q,"params":%s%s}`, c.next, method, params, session)); err != nil {
		c.t.Fatal(err)
	}
	for {
		frame, err := c.raw.ReadFrame(ctx)
		if err != nil {
			c.t.Fatal(err)
		}
		c.seen = append(c.seen, string(frame))
		var r rawReply
		if json.Unmarshal(frame, &r) == nil && r.ID == c.next {
			return r
		}
	}
}

func TestAttach_SeesItsSessionOnly(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	own, foreign := testPage(t, namedSession(t, "own"), server.URL("a.test", "/page/own")), testPage(t, namedSession(t, "foreign"), server.URL("a.test", "/page/foreign"))
	c := attach(t, own.Session())
	c.call("Target.setDiscoverTargets", `{"discover":true}`)
	c.call("Target.setAutoAttach", `{"autoAttach":true,"waitForDebuggerOnStart":false,"flatten":true}`)
	targets := c.call("Target.getTargets", `{}`)
	if all := fmt.Sprint(targets.Result); !strings.Contains(all, own.ID()) || strings.Contains(all, foreign.ID()) {
		t.Errorf("the targets are %v", all)
	}
	for _, method := range []string{"Target.attachToTarget", "Target.closeTarget", "Target.getTargetInfo", "Target.activateTarget"} {
		if r := c.call(method, fmt.Sprintf(`{"targetId":%q}`, foreign.ID())); r.Error == nil {
			t.Errorf("%s of a foreign target: %v", method, r.Result)
		}
	}
	if r := c.call("Target.attachToTarget", fmt.Sprintf(`{"targetId":%q,"flatten":true}`, own.ID())); r.Error != nil || r.Result["sessionId"] == "" {
		t.Errorf("attaching to its own target: %+v", r)
	}
	if r := c.call("Browser.crash", `{}`); r.Error == nil {
		t.Error("Browser.crash is not refused")
	}
	if all := strings.Join(c.seen, "\n"); strings.Contains(all, foreign.ID()) {
		t.Error("it was told of a foreign target")
	}
	stillOpen(t, foreign)
}

func TestAttach_WhatTheClientMakesBelongsToTheSessionAndGoesWithIt(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	kept := testPage(t, s, "")
	pages := events(s.NewPages(ctx))
	c := attach(t, s)
	made := c.call("Target.createTarget", fmt.Sprintf(`{"url":%q}`, server.URL("a.test", "/page/made")))
	page := next(t, pages)
	if page.ID() != made.Result["targetId"] || page.Session() != s {
		t.Errorf("%s was made, %s is told", made.Result["targetId"], page.ID())
	}
	eventually(t, page, "document.title === 'made'")
	context_ := c.call("Target.createBrowserContext", `{}`).Result["browserContextId"]
	c.call("Target.createTarget", fmt.Sprintf(`{"url":"about:blank","browserContextId":%q}`, context_))
	inContext := next(t, pages)
	if inContext.Session() != s {
		t.Errorf("the page of the client's context belongs to %s", inContext.Session().Partition())
	}
	if err := c.raw.Close(); err != nil {
		t.Fatal(err)
	}
	<-page.Done()
	<-inContext.Done()
	if all := s.Pages(); len(all) != 1 || all[0] != kept {
		t.Errorf("%d pages are left", len(all))
	}
	if _, err := c.raw.ReadFrame(ctx); err == nil {
		for err == nil { // what had come before
			_, err = c.raw.ReadFrame(ctx)
		}
	}
	stillOpen(t, kept)
}

func TestAttach_BrowserCloseEndsTheClientOnly(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	page := testPage(t, s, "")
	c := attach(t, s)
	if r := c.call("Browser.close", `{}`); r.Error != nil {
		t.Error(r.Error)
	}
	if _, err := c.raw.ReadFrame(ctx); err == nil {
		t.Error("the client lives on")
	}
	stillOpen(t, page)
}

func TestAttach_EndsWithTheSession(t *testing.T) {
	t.Parallel()
	ctx, s := testContext(t), memorySession(t)
	c := attach(t, s)
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	for err == nil {
		_, err = c.raw.ReadFrame(ctx)
	}
	if ctx.Err() != nil {
		t.Error(err)
	}
	if _, err := s.Attach(context.WithoutCancel(ctx)); err == nil {
		t.Error("a closed session takes a client")
	}
}
