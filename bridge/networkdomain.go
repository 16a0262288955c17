package bridge

import (
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// networkDomain is the one who switches the domain Network of a session's
// targets on and off. It is on in all of them while it has users, and makes
// many small requests about one and a half times as slow.
type networkDomain struct {
	cacheDisabled bool

	mu      sync.Mutex
	users   int
	targets map[*cdp.Target]bool
}

func newNetworkDomain(noCache bool) *networkDomain {
	n := &networkDomain{cacheDisabled: noCache, targets: map[*cdp.Target]bool{}}
	if noCache {
		n.users = 1 // Chromium heeds it only with the domain on
	}
	return n
}

// join returns what a new target needs for its set-up.
func (n *networkDomain) join(t *cdp.Target) []cdp.Command {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.targets[t] = true
	if n.users == 0 {
		return nil
	}
	commands := []cdp.Command{enableNetwork(t)}
	if n.cacheDisabled {
		commands = append(commands, cdp.Command{Session: t.Session, Method: "Network.setCacheDisabled", Params: map[string]bool{"cacheDisabled": true}})
	}
	return commands
}

// restarted returns nothing: what was on stays on.
func (n *networkDomain) restarted(*cdp.Target) []cdp.Command { return nil }

func (n *networkDomain) leave(t *cdp.Target) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.targets, t)
}

// use switches the domain on, live, until release is called.
func (n *networkDomain) use() (release func()) {
	n.change(1)
	return sync.OnceFunc(func() { n.change(-1) })
}

func (n *networkDomain) change(by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.users > 0
	n.users += by
	is := n.users > 0
	if was == is {
		return
	}
	for t := range n.targets {
		command := cdp.Command{Session: t.Session, Method: "Network.disable"}
		if is {
			command = enableNetwork(t)
		}
		t.Session.Conn().Send(command)
	}
}

// enableNetwork switches the domain on without its store of bodies, which nobody
// asks for.
func enableNetwork(t *cdp.Target) cdp.Command {
	params := map[string]int{"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}
	return cdp.Command{Session: t.Session, Method: "Network.enable", Params: params}
}
