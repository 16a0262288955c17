package bridge

import (
	"net/url"
	"strings"
)

// PrivilegedScheme is a scheme of the program's own and what its pages may do:
// Electron's CustomScheme. A registered scheme that is not in
// Options.PrivilegedSchemes has no privileges.
type PrivilegedScheme struct {
	// Scheme is its name in lower case, without a colon.
	Scheme string
	// Privileges are what its pages may do.
	Privileges SchemePrivileges
}

// SchemePrivileges are Electron's Privileges.
type SchemePrivileges struct {
	// Standard gives each host of the scheme an origin of its own, with cookies
	// and storage, and relative URLs. Without it a document has an opaque
	// origin.
	Standard bool
	// Secure makes the documents secure contexts.
	Secure bool
	// BypassCSP is accepted and has no effect yet: pages load from the scheme as
	// their content security policy says.
	BypassCSP bool
	// AllowServiceWorkers lets documents register service workers.
	AllowServiceWorkers bool
	// SupportFetchAPI lets fetch ask for the scheme's URLs.
	SupportFetchAPI bool
	// CORSEnabled lets other origins ask for the scheme's URLs by the rules of
	// CORS. Without it they read nothing, whatever the handler allows; fetch and
	// XMLHttpRequest of such a URL fail before the handler is asked.
	CORSEnabled bool
	// Stream is accepted: bodies are streamed always.
	Stream bool
	// CodeCache is accepted: Chromium caches compiled code by itself.
	CodeCache bool
}

// wireSuffix ends the hosts under which Chromium knows custom schemes. It asks
// no name server for names below invalid.
const wireSuffix = ".cdpbridge.invalid"

// schemes translate between the URLs of custom schemes and those that stand for
// them in Chromium, which has no way to be given a scheme:
//
//	app://host/path?query#fragment   https://host.app.cdpbridge.invalid/path?query#fragment
//	app:///path                      https://app.cdpbridge.invalid/path, where the scheme is not standard
//	app:anything                     https://app._.cdpbridge.invalid/anything, escaped
//
// with http in the place of https for a scheme that is not secure. A port is
// left out.
type schemes map[string]SchemePrivileges

func newSchemes(privileged []PrivilegedScheme) schemes {
	s := schemes{}
	for _, p := range privileged {
		s[p.Scheme] = p.Privileges
	}
	return s
}

// checkSchemes refuses what can be no scheme of the program's own.
func checkSchemes(privileged []PrivilegedScheme) error {
	seen := map[string]bool{}
	for _, p := range privileged {
		if !isCustom(p.Scheme) || seen[p.Scheme] {
			return invalidArgument("Options.PrivilegedSchemes: %q is not a scheme of one's own, in lower case and once", p.Scheme)
		}
		seen[p.Scheme] = true
	}
	return nil
}

// wire is the URL that stands for one of a custom scheme.
func (s schemes) wire(custom string) string {
	scheme, rest, _ := strings.Cut(custom, ":")
	scheme = strings.ToLower(scheme)
	origin := "http://"
	if s[scheme].Secure {
		origin = "https://"
	}
	name := schemeEscaper.Replace(scheme) + wireSuffix
	rest, hierarchical := strings.CutPrefix(rest, "//")
	if !hierarchical {
		rest, fragment, has := strings.Cut(rest, "#")
		if has {
			fragment = "#" + fragment
		}
		return origin + strings.Replace(name, ".", opaqueLabel+".", 1) + "/" + url.PathEscape(rest) + fragment
	}
	if s[scheme].Standard { // as in http, more slashes are no more than two
		rest = strings.TrimLeft(rest, "/")
	}
	host, path := rest, ""
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		host, path = rest[:at], rest[at:]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	host, _, _ = strings.Cut(host, ":")
	if host != "" {
		name = host + "." + name
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return origin + name + path
}

// Escapes of what a scheme may have and a label of a host may not.
var (
	schemeEscaper   = strings.NewReplacer("-", "-h", "+", "-p", ".", "-d")
	schemeUnescaper = strings.NewReplacer("-h", "-", "-p", "+", "-d", ".")
)

// customURL is the URL of a custom scheme that another stands for; any other URL
// comes back as it is.
func customURL(wire string) string {
	scheme, host, path, ok := splitWire(wire)
	switch {
	case !ok:
		return wire
	case host == opaqueHost:
		path, fragment, has := strings.Cut(strings.TrimPrefix(path, "/"), "#")
		if has {
			fragment = "#" + fragment
		}
		if text, err := url.PathUnescape(path); err == nil {
			path = text
		}
		return scheme + ":" + path + fragment
	}
	return scheme + "://" + host + path
}

// opaqueLabel marks the host that stands for URLs without one.
const opaqueLabel = "._"

const opaqueHost = "\x00opaque"

// splitWire takes a URL apart that stands for one of a custom scheme.
func splitWire(wire string) (scheme, host, path string, ok bool) {
	rest, ok := strings.CutPrefix(wire, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(wire, "http://"); !ok {
			return "", "", "", false
		}
	}
	name := rest
	if at := strings.IndexAny(rest, "/?#"); at >= 0 {
		name, path = rest[:at], rest[at:]
	}
	name, ok = strings.CutSuffix(name, wireSuffix)
	if !ok || name == "" {
		return "", "", "", false
	}
	if opaque, is := strings.CutSuffix(name, opaqueLabel); is {
		name, host = opaque, opaqueHost
	} else if at := strings.LastIndexByte(name, '.'); at >= 0 {
		host, name = name[:at], name[at+1:]
	}
	scheme = schemeUnescaper.Replace(name)
	return scheme, host, path, isCustom(scheme)
}

// isCustom reports whether a scheme can be the program's own. No host may stand
// for any other: a page could take it for a way to what is not its business.
func isCustom(scheme string) bool {
	return schemeName.MatchString(scheme) && !builtIn(scheme) && !reservedScheme(scheme)
}
