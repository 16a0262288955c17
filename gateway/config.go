package gateway

import (
	"fmt"
	"strings"
)

// The modes of a ProxyConfig.
const (
	ModeDirect       = "direct"        // no proxy for anything
	ModeAutoDetect   = "auto_detect"   // the PAC script of http://wpad/wpad.dat, direct without one
	ModePACScript    = "pac_script"    // the PAC script of PACScript
	ModeFixedServers = "fixed_servers" // ProxyRules and ProxyBypassRules
	ModeSystem       = "system"        // the environment: http_proxy, https_proxy, all_proxy, no_proxy
)

// ProxyConfig is the proxy settings of a session, as Electron's ses.setProxy
// takes them. The zero value is direct.
type ProxyConfig struct {
	// Mode is one of the modes above. Without a mode PACScript decides if it
	// is set, and ProxyRules else. What the mode does not use is ignored.
	Mode string

	// PACScript is the URL of a PAC script: http, https, file or data. Empty
	// with ModePACScript means direct. The script is mandatory: without it
	// there is no route to anything but local hosts. It runs in this process,
	// without access to it: limited in time, calls and length (1 MiB), but not
	// in the memory that it takes. Use scripts from those whom you trust.
	PACScript string

	// ProxyRules says which proxies which URLs take: a list such as
	// "proxy:8080,socks5://other,direct://", whose entries are tried in turn,
	// or such lists for schemes of URLs, "http=a,b;https=c;socks=d". The list
	// of socks= is for the schemes without their own. An entry is
	// [scheme://][user:password@]host[:port] with the schemes http (80,
	// assumed), https (443), socks4, socks5 (1080) and socks, which is socks5;
	// after socks= an entry without a scheme is SOCKS4. User and password,
	// percent-encoded where they hold any of ",;=@", are beyond Chromium. Empty
	// means direct.
	ProxyRules string

	// ProxyBypassRules are the URLs that ProxyRules does not apply to, with
	// "," or ";" between them: [scheme://]host[:port] where the host may have
	// wildcards or begin with a dot, address blocks such as 192.168.0.0/16,
	// "<local>" for names without a dot, and "<-loopback>", which sends the
	// local hosts by the proxy too that are bypassed without saying. A later
	// rule wins over an earlier one.
	ProxyBypassRules string
}

// mode is the mode that holds.
func (c ProxyConfig) mode() (string, error) {
	switch c.Mode {
	case ModeDirect, ModeAutoDetect, ModePACScript, ModeFixedServers, ModeSystem:
		return c.Mode, nil
	case "":
		if c.PACScript != "" {
			return ModePACScript, nil
		}
		return ModeFixedServers, nil
	}
	return "", &ConfigError{Field: "Mode", Reason: "Invalid mode, must be one of direct, auto_detect, pac_script, fixed_servers or system"}
}

// ConfigError is the error of settings that cannot be followed.
type ConfigError struct {
	Field  string // a field of ProxyConfig, "HostRules" or "ProxyFunc"
	Part   string // the wrong part of it, without user and password
	Reason string
}

func (e *ConfigError) Error() string {
	if e.Part == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %q: %s", e.Field, e.Part, e.Reason)
}

// wrongPart is a ConfigError about a part that may hold credentials.
func wrongPart(field, part string, reason error) *ConfigError {
	return &ConfigError{Field: field, Part: withoutUser(part), Reason: reason.Error()}
}

// withoutUser leaves out what stands before an "@".
func withoutUser(s string) string {
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		return "…" + s[at:]
	}
	return s
}
