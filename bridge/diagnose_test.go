package bridge

import (
	"testing"

	"github.com/cdpbridge/cdpbridge/chromium"
)

func TestDiagnose_FindsThisMachineFitAndTheSandboxOn(t *testing.T) {
	found := map[string]Check{}
	for _, check := range Diagnose(testContext(t), Options{}) {
		t.Logf("%-18s %-4v %s %s", check.Name, check.Status, check.Detail, check.Advice)
		if check.Status == chromium.Fail {
			t.Errorf("%s: %s", check.Name, check.Detail)
		}
		if check.Status != chromium.OK && check.Advice == "" {
			t.Errorf("%s: no advice", check.Name)
		}
		found[check.Name] = check
	}
	for _, name := range []string{"start", "sandbox in force", "lean flags"} {
		if found[name].Detail == "" || found[name].Status != chromium.OK {
			t.Errorf("%s: %+v", name, found[name])
		}
	}
}

func TestDiagnose_FindsTheStockFlagsHeavier(t *testing.T) {
	ctx := testContext(t)
	b, err := Launch(ctx, Options{Flags: Stock})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.opts.Flags = Lean // asked for, and not in effect
	if check := b.checkLean(ctx); check.Status != chromium.Warn {
		t.Errorf("%+v", check)
	}
}

func TestDiagnose_SaysThatThereIsNoBrowser(t *testing.T) {
	var failed []string
	for _, check := range Diagnose(testContext(t), Options{Binary: "/nowhere/chromium"}) {
		if check.Status == chromium.Fail {
			failed = append(failed, check.Name+": "+check.Detail)
		}
	}
	if len(failed) == 0 {
		t.Error("no finding fails without a browser")
	}
}
