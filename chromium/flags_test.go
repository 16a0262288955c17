package chromium

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func featureLists(t *testing.T, o Options) (disabled, enabled []string) {
	t.Helper()
	args, err := flags(o, "/dir")
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for _, arg := range args {
		if name, list, ok := strings.Cut(arg, "="); ok && strings.HasSuffix(name, "able-features") {
			if lists[name] != nil {
				t.Errorf("a second %s replaces the first", name)
			}
			lists[name] = strings.Split(list, ",")
		}
	}
	return lists["--disable-features"], lists["--enable-features"]
}

func TestFeaturesAreMergedIntoOneList(t *testing.T) {
	disabled, enabled := featureLists(t, Options{
		Args:            []string{"--disable-features=One,Two", "--lang=de", "--enable-features=Three", "--disable-features=Four"},
		DisableFeatures: []string{"Two", "Five"}, EnableFeatures: []string{"Six"},
	})
	for _, f := range append([]string{"One", "Two", "Four", "Five"}, leanDisabled...) {
		if !slices.Contains(disabled, f) {
			t.Errorf("%s is not disabled: %q", f, disabled)
		}
	}
	for _, f := range []string{"Three", "Six", "KeyboardLockPrompt"} {
		if !slices.Contains(enabled, f) {
			t.Errorf("%s is not enabled: %q", f, enabled)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(disabled)))) != len(disabled) {
		t.Errorf("repetitions: %q", disabled)
	}
}

func TestCallersWordOnAFeatureWins(t *testing.T) {
	disabled, enabled := featureLists(t, Options{
		DisableFeatures: []string{"KeyboardLockPrompt"}, EnableFeatures: []string{"WebUIOmniboxPopup:a/b"},
	})
	if slices.Contains(disabled, "WebUIOmniboxPopup") || slices.Contains(enabled, "KeyboardLockPrompt") {
		t.Errorf("disabled %q, enabled %q", disabled, enabled)
	}
}

func TestFlagSetsDifferInFeaturesAlone(t *testing.T) {
	for set, want := range map[FlagSet][2]bool{Lean: {true, false}, Stock: {false, false}, Fast: {true, true}} {
		disabled, _ := featureLists(t, Options{Flags: set})
		got := [2]bool{slices.Contains(disabled, "WebUIOmniboxPopup"), slices.Contains(disabled, "BackForwardCache")}
		if got != want {
			t.Errorf("%v: %v, want %v", set, got, want)
		}
	}
}

func TestSwitchesOfThePackageAreRefused(t *testing.T) {
	for _, arg := range []string{"--user-data-dir=/x", "--remote-debugging-port=0", "--no-sandbox", "--headless", "--", "http://x.test", "-x", "--a=\x00"} {
		var refused *ArgumentError
		if _, err := flags(Options{Args: []string{arg}}, "/dir"); !errors.As(err, &refused) || refused.Arg != arg || refused.Reason == "" {
			t.Errorf("%q: %v", arg, err)
		}
	}
	if _, err := flags(Options{Flags: 7}, "/dir"); err == nil {
		t.Error("an unknown flag set is accepted")
	}
}

func TestHeadfulAndSandboxAreChosen(t *testing.T) {
	plain, _ := flags(Options{}, "/dir")
	other, _ := flags(Options{Headful: true, NoSandbox: true}, "/dir")
	if !slices.Contains(plain, "--headless") || slices.Contains(plain, "--no-sandbox") {
		t.Errorf("default: %q", plain)
	}
	if slices.Contains(other, "--headless") || !slices.Contains(other, "--no-sandbox") {
		t.Errorf("headful without sandbox: %q", other)
	}
}

func TestNobodyIsWaitedForToPickAScreen(t *testing.T) {
	args, err := flags(Options{}, "/dir")
	if err != nil || !slices.Contains(args, "--auto-reject-capture") || !slices.Contains(args, "--auto-reject-this-tab-capture") {
		t.Errorf("%q, %v", args, err)
	}
}
