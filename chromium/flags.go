package chromium

import (
	"fmt"
	"slices"
	"strings"
)

// FlagSet chooses how much of Chromium is switched off to make it lighter.
type FlagSet int

const (
	// Lean, the default, leaves out the hidden pages behind the address bar's
	// pop-ups: half the memory and CPU of a context. No page can notice.
	Lean FlagSet = iota
	// Stock leaves Chromium's features as they are, but for those that reach out to
	// servers and devices on their own account.
	Stock
	// Fast is Lean without paint holding, RenderDocument and the back-forward
	// cache, for test harnesses: history.back() loads the page again, and a page
	// can notice that.
	Fast
)

// String is the set's name in lower case.
func (f FlagSet) String() string {
	switch f {
	case Lean:
		return "lean"
	case Stock:
		return "stock"
	case Fast:
		return "fast"
	}
	return fmt.Sprintf("FlagSet(%d)", int(f))
}

// The names change with Chromium's versions; an unknown one is ignored by it.
// TestLeanHostHasNoHiddenPages notices when one has stopped working.
var (
	leanDisabled = []string{"WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "PreloadTopChromeWebUI"}
	fastDisabled = append(slices.Clone(leanDisabled), "PaintHolding", "RenderDocument", "BackForwardCache")
)

// alwaysDisabled ask servers for hints and the time, or look for cast devices, on
// their own account.
var alwaysDisabled = []string{"OptimizationHints", "NetworkTimeServiceQuerying", "MediaRouter", "DialMediaRouteProvider"}

// alwaysEnabled: keyboard lock obeys the permission keyboard-lock only with it.
var alwaysEnabled = []string{"KeyboardLockPrompt"}

// ArgumentError says that one of Options.Args cannot be passed on.
type ArgumentError struct {
	Arg    string
	Reason string // why, and what to use instead
}

func (e *ArgumentError) Error() string {
	return fmt.Sprintf("chromium: argument %q: %s", e.Arg, e.Reason)
}

// ownedSwitches are decided by the package; each with what to use instead.
var ownedSwitches = map[string]string{
	"--remote-debugging-pipe":     "the pipe is always open",
	"--remote-debugging-io-pipes": "the pipe is always open",
	"--remote-debugging-port":     "every program of the machine could drive the browser through it; serve an endpoint with a token instead",
	"--user-data-dir":             "use Options.UserDataDir",
	"--headless":                  "it is the default; use Options.Headful for a window",
	"--no-sandbox":                "use Options.NoSandbox, if it really must be",
	"--":                          "it would hide the switches after it",
}

// flags builds the whole command line after the program's name.
// There is no --disable-quic: a page sees the protocol of its requests, and
// QUIC never goes around a proxy. No --disable-gpu: without a GPU Chromium falls
// back by itself, and starting takes equally long with the switch.
func flags(o Options, userDataDir string) ([]string, error) {
	if o.Flags < Lean || o.Flags > Fast {
		return nil, &ArgumentError{Arg: o.Flags.String(), Reason: "no such flag set; use Lean, Stock or Fast"}
	}
	if err := checkArgs(o.Args); err != nil {
		return nil, err
	}
	args := []string{
		"--remote-debugging-pipe",
		"--user-data-dir=" + userDataDir,
		// Without a window of its own a start takes 80 ms and 140 ms of CPU less;
		// the first page opens one in either case.
		"--no-startup-window",
		"--no-first-run",
		"--no-default-browser-check",
		"--disable-search-engine-choice-screen",
		"--hide-crash-restore-bubble",
		"--disable-background-networking",
		"--disable-component-update",
		// The list of models for on-device inference is asked for in spite of the
		// switch before; nobody can answer at port 0. What still goes out at start,
		// with no switch against it, is ListAccounts to accounts.google.com: see
		// --log-net-log.
		"--component-updater=url-source=https://127.0.0.1:0/",
		"--disable-domain-reliability",
		"--disable-sync",
		"--disable-breakpad",
		"--metrics-recording-only",
		"--no-service-autorun",
		"--password-store=basic",
		"--use-mock-keychain",
		"--enable-unsafe-extension-debugging",
		// Without a window, getDisplayMedia would wait for ever for somebody who
		// picks a screen. The second one is for the option preferCurrentTab.
		"--auto-reject-capture",
		"--auto-reject-this-tab-capture",
	}
	if !o.Headful {
		args = append(args, "--headless")
	}
	if o.DebuggingPort {
		args = append(args, "--remote-debugging-port=0")
	}
	if o.NoSandbox {
		args = append(args, "--no-sandbox")
	}
	if sharedMemoryIsTiny() {
		args = append(args, "--disable-dev-shm-usage")
	}
	return append(args, withFeatures(o)...), nil
}

func checkArgs(args []string) error {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if reason, owned := ownedSwitches[name]; owned {
			return &ArgumentError{Arg: arg, Reason: reason}
		}
		if !strings.HasPrefix(arg, "--") {
			return &ArgumentError{Arg: arg, Reason: "a switch begins with two dashes; pages are opened through the pipe"}
		}
		if strings.ContainsRune(arg, 0) {
			return &ArgumentError{Arg: arg, Reason: "it contains a NUL byte"}
		}
	}
	return nil
}

const (
	disableFeatures = "--disable-features="
	enableFeatures  = "--enable-features="
)

// withFeatures returns o.Args with all features in one list to disable and one
// to enable, because a second list replaces the first in Chromium. What the
// caller says of a feature wins over what the package would do with it.
func withFeatures(o Options) []string {
	disabled, enabled := slices.Clone(o.DisableFeatures), slices.Clone(o.EnableFeatures)
	var args []string
	for _, arg := range o.Args {
		if list, ok := strings.CutPrefix(arg, disableFeatures); ok {
			disabled = append(disabled, strings.Split(list, ",")...)
		} else if list, ok := strings.CutPrefix(arg, enableFeatures); ok {
			enabled = append(enabled, strings.Split(list, ",")...)
		} else {
			args = append(args, arg)
		}
	}
	own := slices.Clone(alwaysDisabled)
	switch o.Flags {
	case Lean:
		own = append(own, leanDisabled...)
	case Fast:
		own = append(own, fastDisabled...)
	case Stock:
	}
	lists := []string{
		disableFeatures + strings.Join(join(disabled, without(own, enabled)), ","),
		enableFeatures + strings.Join(join(enabled, without(alwaysEnabled, disabled)), ","),
	}
	return append(lists, args...)
}

// join is both lists without blanks and repetitions.
func join(a, b []string) []string {
	var all []string
	for _, feature := range slices.Concat(a, b) {
		if feature != "" && !slices.Contains(all, feature) {
			all = append(all, feature)
		}
	}
	return all
}

func without(features, named []string) []string {
	return slices.DeleteFunc(slices.Clone(features), func(f string) bool {
		return slices.ContainsFunc(named, func(n string) bool { return featureName(n) == f })
	})
}

// featureName cuts the field trial and the parameters from "Name<Trial:param/value".
func featureName(feature string) string {
	if i := strings.IndexAny(feature, "<:"); i >= 0 {
		return feature[:i]
	}
	return feature
}
