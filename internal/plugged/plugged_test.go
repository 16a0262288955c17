package plugged

import "testing"

func TestOf_KeepsTokensWhileADeviceIsThere(t *testing.T) {
	var tokens Tokens
	first := tokens.Of([]string{"a", "b"})
	if again := tokens.Of([]string{"b", "a", "c"}); again[0] != first[1] || again[1] != first[0] || again[2] == "" {
		t.Errorf("%v became %v", first, again)
	}
	tokens.Of([]string{"b"})
	if back := tokens.Of([]string{"a", "b"}); back[0] == first[0] || back[1] != first[1] {
		t.Errorf("%v became %v", first, back)
	}
}
