package bridge

import (
	"context"
	"errors"
	"testing"

	"github.com/cdpbridge/cdpbridge/permissions"
)

func TestPermissionPolicy_AnswersByTheOrigin(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	a, b := namedSession(t, "a"), namedSession(t, "b")
	rule := func(host string) []permissions.Rule {
		return []permissions.Rule{{Origin: "http://" + host + ":*", Permissions: []permissions.Permission{PermissionPersistentStorage, PermissionNotifications}}}
	}
	for s, host := range map[*Session]string{a: "a.localhost", b: "b.localhost"} {
		if err := s.SetPermissionPolicy(&permissions.Policy{Allow: rule(host)}); err != nil {
			t.Fatal(err)
		}
	}
	const answers = `Promise.all([navigator.storage.persist(), Notification.permission, Notification.requestPermission(), navigator.clipboard.readText().catch(e => e.name), navigator.permissions.query({name: "camera"}).then(s => s.state)]).then(all => all.join())`
	const allowed, denied = "true,granted,granted,NotAllowedError,denied", "false,denied,denied,NotAllowedError,denied"
	for _, c := range []struct {
		session    *Session
		host, want string
	}{{a, "a.localhost", allowed}, {a, "b.localhost", denied}, {b, "a.localhost", denied}, {b, "b.localhost", allowed}} {
		want(t, testPage(t, c.session, html(server, c.host, "")), answers, c.want)
	}
}

func TestPermissionPolicy_WhatItLeavesOpenIsForTheHandlers(t *testing.T) {
	t.Parallel()
	server := permissionServer(t)
	s := memorySession(t)
	policy := &permissions.Policy{Deny: []permissions.Rule{{Origin: "*", Permissions: []permissions.Permission{PermissionClipboardRead}}}, Default: permissions.Ask}
	if err := s.SetPermissionPolicy(policy); err != nil {
		t.Fatal(err)
	}
	page := testPage(t, s, html(server, "a.localhost", ""))
	want(t, page, `navigator.storage.persist()`, false) // nobody is there to ask
	g := grants(PermissionPersistentStorage, PermissionClipboardRead)
	s.SetPermissionRequestHandler(g.handle)
	s.SetPermissionCheckHandler(func(_ context.Context, c PermissionCheck) bool { return c.Permission == PermissionGeolocation })
	decisions := events(s.PermissionDecisions(testContext(t)))
	decided := func(kind string, permission Permission, granted bool, rule string) {
		t.Helper()
		d := next(t, decisions)
		if d.Kind != kind || d.Permission != permission || d.Granted != granted || d.Rule != rule || d.WebContents != page || d.Time.IsZero() || d.RequestingURL != page.URL() {
			t.Errorf("decided %+v, want %s of %s: %t by %s", d, kind, permission, granted, rule)
		}
	}
	want(t, page, `navigator.storage.persist()`, true)
	decided("request", PermissionPersistentStorage, true, "handler")
	want(t, page, settled(`navigator.clipboard.readText()`), "NotAllowedError: Failed to execute 'readText' on 'Clipboard': Read permission denied.")
	decided("request", PermissionClipboardRead, false, "policy deny[0]")
	want(t, page, `navigator.permissions.query({name: "geolocation"}).then(s => s.state)`, "granted")
	decided("check", PermissionGeolocation, true, "handler")
	want(t, page, `navigator.permissions.query({name: "clipboard-read"}).then(s => s.state)`, "denied")
	decided("check", PermissionClipboardRead, false, "policy deny[0]")

	wrong := &permissions.Policy{Allow: []permissions.Rule{{Origin: "not an origin"}}}
	var what *permissions.PolicyError
	if err := s.SetPermissionPolicy(wrong); !errors.As(err, &what) || what.Path != "allow[0].origin" {
		t.Errorf("%v", err)
	}
	want(t, page, settled(`navigator.clipboard.readText()`), "NotAllowedError: Failed to execute 'readText' on 'Clipboard': Read permission denied.")
	if err := s.SetPermissionPolicy(nil); err != nil {
		t.Fatal(err)
	}
	want(t, page, settled(`navigator.clipboard.readText().then(() => "read")`), "read")
}
