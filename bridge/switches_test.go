package bridge

import "testing"

func TestSwitches_TheLastHolds(t *testing.T) {
	args := []string{"--a=1", "--b=2", "--a=3", "--c"}
	for name, want := range map[string]struct {
		value string
		at    int
	}{"--a=": {"3", 2}, "--b=": {"2", 1}, "--c=": {"", -1}} {
		if value, at := lastSwitch(args, name); value != want.value || at != want.at {
			t.Errorf("%s is %q at %d, want %q at %d", name, value, at, want.value, want.at)
		}
	}
}
