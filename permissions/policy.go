package permissions

import (
	"errors"
	"fmt"
	"slices"
)

// Answer is what a policy says to a page that asks.
type Answer uint8

// The answers of a policy.
const (
	Deny Answer = iota
	Allow
	// Ask leaves the answer to somebody else: a person, or a program.
	Ask
)

var answers = [...]string{Deny: "deny", Allow: "allow", Ask: "ask"}

func (a Answer) String() string {
	if int(a) < len(answers) {
		return answers[a]
	}
	return fmt.Sprintf("Answer(%d)", uint8(a))
}

// MarshalText writes the answer as "deny", "allow" or "ask".
func (a Answer) MarshalText() ([]byte, error) {
	if int(a) >= len(answers) {
		return nil, fmt.Errorf("%v is not an answer", a)
	}
	return []byte(answers[a]), nil
}

// UnmarshalText reads what MarshalText writes.
func (a *Answer) UnmarshalText(text []byte) error {
	i := slices.Index(answers[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is not an answer: write deny, allow or ask", text)
	}
	*a = Answer(i)
	return nil
}

// Everything stands for all permissions in a Rule.
const Everything Permission = "*"

// Rule is a set of origins and what they ask for.
type Rule struct {
	// Origin is a Pattern.
	Origin string `json:"origin" yaml:"origin"`
	// Permissions are the ones that the rule is about; none, or Everything, are
	// all of them.
	Permissions []Permission `json:"permissions,omitempty" yaml:"permissions,omitempty"`
}

// Policy answers what pages ask for by their origin. A rule of Deny wins over
// one of Ask, and that over one of Allow; where no rule fits the answer is
// Default. The zero value denies everything.
type Policy struct {
	Allow   []Rule `json:"allow,omitempty" yaml:"allow,omitempty"`
	Deny    []Rule `json:"deny,omitempty" yaml:"deny,omitempty"`
	Ask     []Rule `json:"ask,omitempty" yaml:"ask,omitempty"`
	Default Answer `json:"default,omitzero" yaml:"default,omitempty"`
}

// PolicyError is an item of a policy that is wrong.
type PolicyError struct {
	// Path says where it is, such as "allow[2].origin".
	Path string
	Err  error
}

func (e *PolicyError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap gives an *OriginError or an *UnknownError.
func (e *PolicyError) Unwrap() error { return e.Err }

// Compiled is a policy that is checked and ready to answer. It is safe for use
// by several goroutines. The zero value denies everything.
type Compiled struct {
	rules    []compiledRule // in the order in which they are tried
	fallback Answer
}

type compiledRule struct {
	name        string
	answer      Answer
	origin      Pattern
	permissions []Permission // none are all
}

// Compile checks a policy. Its error joins a *PolicyError for each item that is
// wrong.
func (p *Policy) Compile() (*Compiled, error) {
	c := &Compiled{fallback: p.Default}
	errs := []error{c.add(Deny, p.Deny), c.add(Ask, p.Ask), c.add(Allow, p.Allow)}
	if _, err := p.Default.MarshalText(); err != nil {
		errs = append(errs, &PolicyError{"default", err})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Compiled) add(a Answer, rules []Rule) error {
	var errs []error
	for i, r := range rules {
		name := fmt.Sprintf("%v[%d]", a, i)
		compiled := compiledRule{name: name, answer: a}
		var err error
		if compiled.origin, err = ParsePattern(r.Origin); err != nil {
			errs = append(errs, &PolicyError{name + ".origin", err})
		}
		for j, p := range r.Permissions {
			if p == Everything {
				continue
			}
			if _, err := Parse(string(p)); err != nil {
				errs = append(errs, &PolicyError{fmt.Sprintf("%s.permissions[%d]", name, j), err})
			}
		}
		if !slices.Contains(r.Permissions, Everything) {
			compiled.permissions = slices.Clone(r.Permissions)
		}
		c.rules = append(c.rules, compiled)
	}
	return errors.Join(errs...)
}

// Decide answers an origin that asks for p. It also names the rule that has
// decided, such as "deny[0]", or "default".
func (c *Compiled) Decide(text string, p Permission) (Answer, string) {
	o, err := parseOrigin(text)
	for _, r := range c.rules {
		about := len(r.permissions) == 0 || slices.Contains(r.permissions, p)
		if about && (r.origin.all || err == nil && r.origin.matches(o)) {
			return r.answer, r.name
		}
	}
	return c.fallback, "default"
}
