package permissions

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func compiled(t *testing.T, text string) *Compiled {
	t.Helper()
	var p Policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	c, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPolicy_DenyWinsOverAskAndAskOverAllow(t *testing.T) {
	c := compiled(t, `{
		"allow": [{"origin": "https://terminal.example.test", "permissions": ["serial", "fullscreen"]}, {"origin": "*.example.test"}],
		"ask": [{"origin": "https://*.example.test", "permissions": ["geolocation", "serial"]}],
		"deny": [{"origin": "*", "permissions": ["usb"]}, {"origin": "https://bad.example.test", "permissions": ["hid", "*"]}]
	}`)
	for _, d := range []struct {
		origin     string
		permission Permission
		want       Answer
		rule       string
	}{
		{"https://terminal.example.test", Fullscreen, Allow, "allow[0]"},
		{"https://terminal.example.test/", Fullscreen, Allow, "allow[0]"},
		{"https://terminal.example.test", Serial, Ask, "ask[0]"},
		{"http://terminal.example.test", Serial, Allow, "allow[1]"},
		{"https://terminal.example.test", USB, Deny, "deny[0]"},
		{"https://bad.example.test", Geolocation, Deny, "deny[1]"},
		{"https://other.test", Geolocation, Deny, "default"},
		{"null", Geolocation, Deny, "default"},
		{"null", USB, Deny, "deny[0]"},
		{"nonsense", USB, Deny, "deny[0]"},
	} {
		if got, rule := c.Decide(d.origin, d.permission); got != d.want || rule != d.rule {
			t.Errorf("%s of %s: %v by %s, want %v by %s", d.permission, d.origin, got, rule, d.want, d.rule)
		}
	}
}

func TestPolicy_WhereNoRuleFitsTheDefaultAnswers(t *testing.T) {
	for text, want := range map[string]Answer{`{}`: Deny, `{"default": "allow"}`: Allow, `{"default": "ask"}`: Ask, `{"default": "deny"}`: Deny} {
		if got, rule := compiled(t, text).Decide("https://a.test", Media); got != want || rule != "default" {
			t.Errorf("%s: %v by %s", text, got, rule)
		}
	}
	if got, _ := new(Compiled).Decide("https://a.test", Media); got != Deny {
		t.Errorf("a policy that was never compiled says %v", got)
	}
}

func TestPolicy_EveryMistakeIsNamedByItsPath(t *testing.T) {
	p := Policy{
		Allow:   []Rule{{Origin: "*"}, {Origin: "*", Permissions: []Permission{Media, "camera"}}, {Origin: "https://a*"}},
		Deny:    []Rule{{}},
		Ask:     []Rule{{Origin: "https://a.test/", Permissions: []Permission{Everything, "x"}}},
		Default: 7,
	}
	c, err := p.Compile()
	if c != nil || err == nil {
		t.Fatalf("%v, %v", c, err)
	}
	var paths []string
	for line := range strings.Lines(err.Error()) {
		path, _, _ := strings.Cut(line, ": ")
		paths = append(paths, path)
	}
	want := []string{"deny[0].origin", "ask[0].permissions[1]", "allow[1].permissions[1]", "allow[2].origin", "default"}
	if !slices.Equal(paths, want) {
		t.Errorf("%q, want %q", paths, want)
	}
	var wrong *PolicyError
	var name *UnknownError
	if !errors.As(err, &wrong) || wrong.Path != want[0] || !errors.As(err, &name) {
		t.Errorf("%v", err)
	}
}

func TestPolicy_AnswersAreWords(t *testing.T) {
	for a, word := range map[Answer]string{Deny: "deny", Allow: "allow", Ask: "ask"} {
		text, err := a.MarshalText()
		var back Answer
		if err := errors.Join(err, back.UnmarshalText(text)); err != nil || string(text) != word || back != a || a.String() != word {
			t.Errorf("%v: %q, %v, %v", a, text, back, err)
		}
	}
	var a Answer
	for _, word := range []string{"", "Allow", "yes"} {
		if err := a.UnmarshalText([]byte(word)); err == nil || a != Deny {
			t.Errorf("%q is %v", word, a)
		}
	}
	if _, err := Answer(3).MarshalText(); err == nil || Answer(3).String() != "Answer(3)" {
		t.Errorf("%v, %v", Answer(3), err)
	}
	text, err := json.Marshal(Policy{Allow: []Rule{{Origin: "*"}}, Default: Ask})
	if string(text) != `{"allow":[{"origin":"*"}],"default":"ask"}` || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func TestPolicy_ACompiledPolicyDoesNotFollowChangesOfItsData(t *testing.T) {
	p := Policy{Allow: []Rule{{Origin: "*", Permissions: []Permission{Media}}}}
	c, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	p.Allow[0].Permissions[0] = USB
	if got, _ := c.Decide("https://a.test", USB); got != Deny {
		t.Error(got)
	}
}
