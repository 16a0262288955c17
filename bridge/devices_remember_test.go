package bridge

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/devices"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
	"github.com/cdpbridge/cdpbridge/permissions"
)

func TestRememberDevices_OverARestartInTheSessionThatWasAskedTo(t *testing.T) {
	t.Parallel()
	server, dir := fixture.New(t), testDir(t)
	const remembering, not = "persist:remembering", "persist:not"
	address := server.URL("localhost", "/")
	another := scale
	another.SerialNumber = ""
	first := grantsBrowser(t, server, dir, nil)
	for _, partition := range []string{remembering, not} {
		s := grantsSession(t, first, partition)
		if err := s.RememberDevices(testContext(t), partition == remembering); err != nil {
			t.Fatal(err)
		}
		plugged(t, s, scale)
		choosesScale(s)
		page := testPage(t, s, address)
		does(t, page, requestPort+countPorts, "1")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := grantsBrowser(t, server, dir, nil)
	for partition, ports := range map[string]string{remembering: "1", not: "0"} {
		s := grantsSession(t, second, partition)
		if err := s.RememberDevices(testContext(t), true); err != nil {
			t.Fatal(err)
		}
		plugged(t, s, scale)
		plugged(t, s, another)
		does(t, testPage(t, s, address), countPorts, ports)
		does(t, testPage(t, s, server.URL("a.localhost", "/")), countPorts, "0")
	}
	s := grantsSession(t, second, remembering)
	if err := s.RevokeDevices(func(devices.Grant) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := grantsSession(t, grantsBrowser(t, server, dir, nil), remembering)
	if err := third.RememberDevices(testContext(t), true); err != nil || len(third.DeviceGrants()) > 0 {
		t.Errorf("%v, %v", third.DeviceGrants(), err)
	}
}

func TestRememberDevices_ADamagedFileIsSetAside(t *testing.T) {
	t.Parallel()
	s := grantsBrowser(t, fixture.New(t), "", nil).DefaultSession()
	files := grantsFiles(t, s)
	for _, text := range []string{
		`{"version":1,"grants":[{"kind":"serial","origin":"https://a.test/path","serialNumber":"1"}]}`,
		`{"version":1,"grants":[{"kind":"serial","origin":"https://a.test"}]}`,
		`{"version":1,"grants":[{"kind":"parallel","origin":"https://a.test","serialNumber":"1"}]}`,
	} {
		if err := files.WriteFile(devicesFile, []byte(text)); err != nil {
			t.Fatal(err)
		}
		var damaged *permissions.DamagedError
		if err := s.RememberDevices(testContext(t), true); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", text, err)
		}
		if err := s.RememberDevices(testContext(t), true); err != nil || len(s.DeviceGrants()) > 0 {
			t.Errorf("%v, %v", s.DeviceGrants(), err)
		}
	}
}

func TestRememberDevices_WhatCannotBeWrittenHoldsAndIsLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	server := fixture.New(t)
	b := grantsBrowser(t, server, "", slog.New(slog.NewTextHandler(&log, nil)))
	s := b.DefaultSession()
	if err := s.RememberDevices(testContext(t), true); err != nil {
		t.Fatal(err)
	}
	plugged(t, s, scale)
	choosesScale(s)
	page := testPage(t, s, server.URL("localhost", "/"))
	s.kept.end() // as good as a full disk
	does(t, page, requestPort+countPorts, "1")
	if err := s.RevokeDevices(func(devices.Grant) bool { return true }); err == nil {
		t.Error("nobody is told that the file has the grant still")
	}
	does(t, page, countPorts, "0")
	b.Close()
	if n := strings.Count(log.String(), "are not remembered"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}
