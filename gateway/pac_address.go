package gateway

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
)

// ownAddrs are the addresses of this machine, as Chromium chooses them for
// myIpAddressEx: those by which it would reach the internet, else those of its
// name, else those by which it would reach private networks. Loopback and
// link-local addresses are given only if there are no others.
func ownAddrs(ctx context.Context, lookup lookupFunc) []netip.Addr {
	var last []netip.Addr
	for _, candidates := range []func() []netip.Addr{
		func() []netip.Addr { return routedAddrs(ctx, "8.8.8.8", "2001:4860:4860::8888") },
		func() []netip.Addr { return namedAddrs(ctx, lookup) },
		func() []netip.Addr { return routedAddrs(ctx, "10.0.0.0", "172.16.0.0", "192.168.0.0", "fc00::") },
	} {
		var good []netip.Addr
		for _, a := range candidates() {
			if a.IsLoopback() || a.IsLinkLocalUnicast() {
				last = append(last, a)
			} else if !slices.Contains(good, a) {
				good = append(good, a)
			}
		}
		if len(good) > 0 {
			return good
		}
	}
	return last[:min(len(last), 1)]
}

// routedAddrs are the addresses from which this machine would send to others.
// Nothing is sent: connecting a UDP socket only looks up the route.
func routedAddrs(ctx context.Context, to ...string) []netip.Addr {
	var found []netip.Addr
	for _, host := range to {
		c, err := new(net.Dialer).DialContext(ctx, "udp", net.JoinHostPort(host, "80"))
		if err != nil {
			continue
		}
		if addr, ok := netip.AddrFromSlice(c.LocalAddr().(*net.UDPAddr).IP); ok {
			found = append(found, addr.Unmap())
		}
		c.Close()
	}
	return found
}

// namedAddrs are the addresses of this machine's name.
func namedAddrs(ctx context.Context, lookup lookupFunc) []netip.Addr {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	addrs, _ := lookup(ctx, name)
	return addrs
}
