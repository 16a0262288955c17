package chromium

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MinMajor is the oldest major version that is accepted. Older browsers still
// have the two headless modes apart, load extensions by command line only or
// lack the younger parts of the protocol, and would fail much later and
// obscurely. Development and tests use a far newer one.
const MinMajor = 140

// versionTimeout bounds a browser that never answers --version. A cold start
// from a slow disk takes seconds.
const versionTimeout = 20 * time.Second

// Version is what a browser says of itself.
type Version struct {
	Product                    string // "Chromium", "Google Chrome", "Microsoft Edge", …
	Major, Minor, Build, Patch int
}

// String is the product and the dotted number, as in "Chromium 156.0.8078.79".
func (v Version) String() string {
	return fmt.Sprintf("%s %d.%d.%d.%d", v.Product, v.Major, v.Minor, v.Build, v.Patch)
}

// NotABrowserError says that a program did not tell a Chromium version.
type NotABrowserError struct {
	Path   string
	Output string // the beginning of what it wrote
	Err    error  // how it ended, nil when it ended well
}

func (e *NotABrowserError) Error() string {
	said := fmt.Sprintf("it wrote %q", e.Output)
	if e.Err != nil {
		said += fmt.Sprintf(" (%v)", e.Err)
	}
	hint := cmp.Or(Explain(strings.Split(e.Output, "\n")), "give the path of a Chromium, Chrome or Edge")
	return fmt.Sprintf("chromium: %s --version named no Chromium version: %s; %s", e.Path, said, hint)
}

func (e *NotABrowserError) Unwrap() error { return e.Err }

// TooOldError says that a browser is older than MinMajor.
type TooOldError struct {
	Path    string
	Version Version
}

func (e *TooOldError) Error() string {
	return fmt.Sprintf("chromium: %s is %s, but %d or newer is needed; update it or give the path of another", e.Path, e.Version, MinMajor)
}

// ProbeVersion asks the browser at binary for its version without starting it
// for real. It gives up when ctx ends, at the latest after 20 seconds. Errors are
// *NotABrowserError and *TooOldError (with the version returned beside it).
func ProbeVersion(ctx context.Context, binary string) (Version, error) {
	limited, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	output, err := versionText(limited, binary)
	v, ok := parseVersion(output)
	if !ok {
		if errors.Is(ctx.Err(), context.Canceled) { // the caller's wish, no fault of the binary
			return Version{}, fmt.Errorf("chromium: asking %s for its version: %w", binary, context.Cause(ctx))
		}
		if limited.Err() != nil {
			err = context.Cause(limited)
		}
		return Version{}, &NotABrowserError{Path: binary, Output: output, Err: err}
	}
	if v.Major < MinMajor {
		return v, &TooOldError{Path: binary, Version: v}
	}
	return v, nil
}

// Four numbers are the mark of Chromium's kind: no other browser has them.
var versionPattern = regexp.MustCompile(`(?m)^([^\d\n]*?)\s*\b(\d+)\.(\d+)\.(\d+)\.(\d+)\b`)

func parseVersion(output string) (Version, bool) {
	m := versionPattern.FindStringSubmatch(output)
	if m == nil || m[1] == "" {
		return Version{}, false
	}
	var n [4]int
	for i := range n {
		var err error
		if n[i], err = strconv.Atoi(m[2+i]); err != nil {
			return Version{}, false
		}
	}
	return Version{Product: m[1], Major: n[0], Minor: n[1], Build: n[2], Patch: n[3]}, true
}
