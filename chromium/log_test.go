package chromium

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLogKeepsTheLastLines(t *testing.T) {
	var text strings.Builder
	for i := range logLines + 50 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	text.WriteString("no newline")
	var l logRing
	var reported []string
	l.drain(strings.NewReader(text.String()), func(line string) { reported = append(reported, line) })
	all := l.all()
	if len(all) != logLines || all[0] != "line 51" || all[logLines-1] != "no newline" || all[logLines-2] != "line 249" {
		t.Errorf("%d lines, from %q to %q", len(all), all[0], all[len(all)-1])
	}
	if len(reported) != logLines+51 || !slices.Equal(reported[51:], all) {
		t.Errorf("%d lines reported", len(reported))
	}
}

func TestLongLogLinesAreCut(t *testing.T) {
	var l logRing
	l.drain(strings.NewReader(strings.Repeat("x", 3*logLineBytes)+"\r\n\nshort\r\n"), nil)
	if all := l.all(); len(all) != 2 || len(all[0]) != logLineBytes || all[1] != "short" {
		t.Errorf("%d lines, first of %d bytes", len(all), len(all[0]))
	}
}

func TestExitNamesTheCause(t *testing.T) {
	for text, e := range map[string]*ExitError{
		"by SIGSEGV":                            {Code: -1, Signal: "SIGSEGV"},
		"exit code 3; it wrote last: b | c | d": {Code: 3, Log: []string{"a", "b", "ERROR:dbus/bus.cc: no bus", "c", "d"}},
		"another browser uses":                  {Code: profileInUse},
		"user namespaces":                       {Code: 1, Log: []string{"FATAL: No usable sandbox! Update your kernel"}},
		"as it was asked to":                    {Expected: true},
	} {
		if !strings.Contains(e.Error(), text) {
			t.Errorf("%q is not in %q", text, e.Error())
		}
	}
	if Explain([]string{"all is well"}) != "" {
		t.Error("advice without a cause")
	}
}
