// Package hostport names servers by host and port.
package hostport

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Default is the port of a scheme's URLs that name none, "" for a scheme without
// one.
func Default(scheme string) string {
	switch strings.ToLower(scheme) {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	case "ftp":
		return "21"
	}
	return ""
}

// Port is the port of a URL, its scheme's own where it names none, 0 if there is
// neither.
func Port(u *url.URL) int {
	n, _ := strconv.Atoi(port(u))
	return n
}

func port(u *url.URL) string { return cmp.Or(u.Port(), Default(u.Scheme)) }

// Of is the host:port of a URL's server, in lower case, "" for a URL without a
// host.
func Of(u *url.URL) string {
	if u.Hostname() == "" {
		return ""
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port(u))
}

// Split parts a host:port. IPv6 loses its brackets; what is no host:port is a host
// with the port 0.
func Split(addr string) (host string, port int) {
	host, number, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(number)
	return host, port
}
