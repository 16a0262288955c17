package gateway

import (
	"errors"
	"net"
	"slices"
	"strings"
)

// HostRules are names that stand for other hosts, as Chromium's
// --host-resolver-rules. The zero value changes nothing.
type HostRules struct {
	maps     []hostMap
	excluded []string
}

type hostMap struct {
	pattern    string
	host, port string // the replacement, an empty port keeps the port
	notFound   bool
}

// ParseHostRules reads rules with commas between them: "MAP pattern
// replacement[:port]", where the pattern matches the host or host:port, may
// have wildcards, and the replacement "~NOTFOUND" (or "^NOTFOUND") makes the
// host unknown; "EXCLUDE pattern" keeps hosts from all MAP rules. The first MAP
// that matches decides. IPv6 replacements stand in brackets. A wrong rule,
// which Chromium drops, is a *ConfigError.
func ParseHostRules(s string) (HostRules, error) {
	var rules HostRules
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if err := rules.add(strings.Fields(part)); err != nil {
			return HostRules{}, wrongPart("HostRules", part, err)
		}
	}
	return rules, nil
}

func (r *HostRules) add(words []string) error {
	switch verb := strings.ToUpper(words[0]); {
	case verb == "EXCLUDE" && len(words) == 2:
		r.excluded = append(r.excluded, strings.ToLower(words[1]))
		return nil
	case verb == "MAP" && len(words) == 3:
		m := hostMap{pattern: strings.ToLower(words[1])}
		if to := strings.ToUpper(words[2]); to == "~NOTFOUND" || to == "^NOTFOUND" {
			m.notFound = true
		} else {
			var err error
			if m.host, m.port, err = splitHostPort(words[2]); err != nil {
				return err
			}
		}
		r.maps = append(r.maps, m)
		return nil
	}
	return errors.New(`a rule is "MAP pattern replacement" or "EXCLUDE pattern"`)
}

// Map is the host:port that stands for hostport, often hostport itself. For a
// host that is not to be found it is a *net.DNSError.
func (r HostRules) Map(hostport string) (string, error) {
	if len(r.maps) == 0 {
		return hostport, nil
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", err
	}
	host = strings.ToLower(host)
	i := slices.IndexFunc(r.maps, func(m hostMap) bool {
		return matchPattern(host, m.pattern) || matchPattern(net.JoinHostPort(host, port), m.pattern)
	})
	if i < 0 || slices.ContainsFunc(r.excluded, func(p string) bool { return matchPattern(host, p) }) {
		return hostport, nil
	}
	m := r.maps[i]
	if m.notFound {
		return "", &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if m.port != "" {
		port = m.port
	}
	return net.JoinHostPort(m.host, port), nil
}
