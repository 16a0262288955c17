package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

const (
	// pacLimit is how long a script may take for one decision, its DNS lookups
	// included, and to be read.
	pacLimit = 10 * time.Second
	// pacRuntimes is how many decisions of a script run at the same time.
	pacRuntimes = 8
	// pacCalls is how many calls of a script may be open in each other.
	pacCalls = 1000
	// pacNesting is how deep the brackets of a script may nest. The parser's
	// stack grows with them, and its end would be the process's.
	pacNesting = 1000
)

// errPACSlow is the error of a script that ran into its limit.
var errPACSlow = errors.New("the script took too long")

// pacScript is a PAC script, ready to decide. It runs in a few runtimes, each
// with global variables of its own, so that a slow decision does not hold up
// the others. A script may use all the memory and stack of the process if it
// wants to: it is trusted that far.
type pacScript struct {
	program *goja.Program
	lookup  lookupFunc
	log     *slog.Logger
	limit   time.Duration
	// runtimes are those at rest. A nil one is yet to be made.
	runtimes chan *pacRuntime
}

// lookupFunc finds the addresses of a host.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// compilePAC reads a script and runs it once, which defines its functions.
func compilePAC(ctx context.Context, source string, lookup lookupFunc, log *slog.Logger) (*pacScript, error) {
	if nesting(source) > pacNesting {
		return nil, fmt.Errorf("the script's brackets nest deeper than %d", pacNesting)
	}
	parsing, cancel := context.WithTimeoutCause(ctx, pacLimit, errPACSlow)
	defer cancel()
	program, err := await(parsing, func() (*goja.Program, error) {
		ast, err := goja.Parse("proxy-pac-script.js", source, parser.WithDisableSourceMaps)
		if err != nil {
			return nil, err
		}
		return goja.CompileAST(ast, false)
	})
	if err != nil {
		return nil, err
	}
	s := &pacScript{program: program, lookup: lookup, log: log, limit: pacLimit, runtimes: make(chan *pacRuntime, pacRuntimes)}
	for range pacRuntimes {
		s.runtimes <- nil
	}
	_, err = s.use(ctx, func(r *pacRuntime) (string, error) {
		_, err := r.function()
		return "", err
	})
	return s, err
}

// nesting is the depth of brackets, those in texts and comments included.
func nesting(source string) int {
	depth, deepest := 0, 0
	for i := range len(source) {
		switch source[i] {
		case '(', '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// find asks the script for the proxies of a URL.
func (s *pacScript) find(ctx context.Context, t *target) (string, error) {
	return s.use(ctx, func(r *pacRuntime) (string, error) {
		return r.find(pacURL(t), t.host)
	})
}

// use runs do on a runtime. It returns when ctx ends or the limit is reached;
// a script that cannot be interrupted then keeps its runtime until it ends.
func (s *pacScript) use(ctx context.Context, do func(*pacRuntime) (string, error)) (string, error) {
	var r *pacRuntime
	select {
	case r = <-s.runtimes:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, errPACSlow)
	defer cancel()
	return await(ctx, func() (string, error) {
		r, result, err := s.run(ctx, r, do)
		s.runtimes <- r
		return result, err
	})
}

// await does not wait longer than ctx for what cannot always be interrupted.
// A panic of do is an error.
func await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type answer struct {
		result T
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() {
			if e := recover(); e != nil {
				answers <- answer{err: fmt.Errorf("panic: %v", e)}
			}
		}()
		result, err := do()
		answers <- answer{result, err}
	}()
	select {
	case a := <-answers:
		return a.result, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// run returns the runtime for further use, nil if it was left in the middle of
// something.
func (s *pacScript) run(ctx context.Context, r *pacRuntime, do func(*pacRuntime) (string, error)) (after *pacRuntime, result string, err error) {
	defer func() {
		if e := recover(); e != nil {
			after, err = nil, fmt.Errorf("panic: %v", e)
		}
	}()
	fresh := r == nil
	if fresh {
		r = newPACRuntime(s.lookup, s.log)
	}
	r.ctx = ctx
	stop := context.AfterFunc(ctx, func() { r.vm.Interrupt(context.Cause(ctx)) })
	if fresh {
		_, err = r.vm.RunProgram(s.program)
	}
	if err == nil {
		result, err = do(r)
	}
	if !stop() {
		return nil, "", context.Cause(ctx)
	}
	if fresh && err != nil {
		return nil, "", err
	}
	r.ctx = nil
	clear(r.found)
	return r, result, err
}

// pacRuntime is a JavaScript runtime for one decision at a time.
type pacRuntime struct {
	vm     *goja.Runtime
	regexp *goja.Object
	lookup lookupFunc
	log    *slog.Logger
	ctx    context.Context         // of the decision
	found  map[string][]netip.Addr // by the decision; nil for what was not found
}

func newPACRuntime(lookup lookupFunc, log *slog.Logger) *pacRuntime {
	r := &pacRuntime{vm: goja.New(), lookup: lookup, log: log, found: map[string][]netip.Addr{}}
	r.vm.SetMaxCallStackSize(pacCalls)
	r.vm.SetParserOptions(parser.WithDisableSourceMaps)
	r.regexp = r.vm.Get("RegExp").ToObject(r.vm)
	r.define()
	return r
}

// function is FindProxyForURL, or FindProxyForURLEx of scripts that have only
// that.
func (r *pacRuntime) function() (goja.Callable, error) {
	for _, name := range []string{"FindProxyForURL", "FindProxyForURLEx"} {
		if f, ok := goja.AssertFunction(r.vm.Get(name)); ok {
			return f, nil
		}
	}
	return nil, errors.New("the script has no function FindProxyForURL")
}

func (r *pacRuntime) find(url, host string) (string, error) {
	f, err := r.function()
	if err != nil {
		return "", err
	}
	v, err := f(goja.Undefined(), r.vm.ToValue(url), r.vm.ToValue(host))
	if err != nil {
		return "", err
	}
	if !goja.IsString(v) {
		return "", errors.New("FindProxyForURL() did not return a string")
	}
	result := v.String()
	if strings.ContainsFunc(result, func(c rune) bool { return c >= utf8.RuneSelf }) {
		return "", fmt.Errorf("FindProxyForURL() returned a string that is not ASCII: %q", result)
	}
	return result, nil
}

// pacURL is the URL that scripts see: never with credentials or a fragment, and
// without path and query where TLS protects them.
func pacURL(t *target) string {
	var b strings.Builder
	b.WriteString(t.scheme)
	if t.url.Opaque != "" {
		b.WriteString(":")
		writeASCII(&b, t.url.Opaque)
		return b.String()
	}
	b.WriteString("://")
	b.WriteString(t.urlHost())
	if t.port != hostport.Default(t.scheme) {
		b.WriteString(":" + t.port)
	}
	if t.scheme == "https" || t.scheme == "wss" || t.url.Path == "" {
		b.WriteString("/")
	} else {
		b.WriteString(t.url.EscapedPath())
	}
	if t.scheme != "https" && t.scheme != "wss" && (t.url.RawQuery != "" || t.url.ForceQuery) {
		b.WriteString("?")
		writeASCII(&b, t.url.RawQuery)
	}
	return b.String()
}

// writeASCII escapes what URLs do not have as it is.
func writeASCII(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			fmt.Fprintf(b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
}

// parsePACResult reads what a PAC script returned, such as
// "PROXY a:1; SOCKS b; DIRECT". As in Chromium, entries that it does not know
// are skipped, and nothing known means direct. QUIC proxies are known, but not
// supported: they do not count, and a result with nothing else is an error.
func parsePACResult(s string) (Route, error) {
	var route Route
	var quic bool
	for entry := range strings.SplitSeq(s, ";") {
		hop, err := parsePACEntry(entry)
		switch {
		case err == nil:
			route = append(route, hop)
		case errors.Is(err, errQUIC):
			quic = true
		}
	}
	switch {
	case len(route) > 0:
		return route, nil
	case quic:
		return nil, errQUIC
	}
	return Route{{Kind: Direct}}, nil
}

// parsePACEntry reads one entry: DIRECT, or PROXY, HTTPS, SOCKS, SOCKS4 or
// SOCKS5 with [user:password@]host[:port]. The credentials are beyond Chromium.
func parsePACEntry(s string) (Hop, error) {
	s = strings.TrimSpace(s)
	kind, server := s, ""
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		kind, server = s[:i], strings.TrimSpace(s[i:])
	}
	switch strings.ToUpper(kind) {
	case "DIRECT":
		return newHop(Direct, server)
	case "PROXY":
		return newHop(HTTP, server)
	case "HTTPS":
		return newHop(HTTPS, server)
	case "SOCKS", "SOCKS4":
		return newHop(SOCKS4, server)
	case "SOCKS5":
		return newHop(SOCKS5, server)
	case "QUIC":
		return Hop{}, errQUIC
	}
	return Hop{}, errors.New("not DIRECT, PROXY, HTTPS, SOCKS, SOCKS4 or SOCKS5 with a host")
}
