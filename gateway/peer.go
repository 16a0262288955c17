package gateway

import (
	"errors"
	"net"
	"time"
)

// ErrPeerUnknown is the error of asking who a peer is where the system does
// not tell.
var ErrPeerUnknown = errors.New("who the peer is cannot be known")

// Peer is who uses a connection to the gateway.
type Peer struct {
	Local, Remote net.Addr // as the gateway sees them
	// Known says that UID and Inode are set: the owner of the other end and
	// its socket's number. They are on Linux.
	Known bool
	UID   uint32
	Inode uint32
}

// refusalsTold is how often refused peers are logged at most.
const refusalsTold = time.Minute

// admit asks whether a connection may be used. A peer that has gone already is
// nobody.
func (g *Gateway) admit(conn net.Conn) bool {
	allow := g.settings().Allow
	if allow == nil {
		return true
	}
	peer, err := peerOf(conn)
	if err == nil {
		err = allow(peer)
	}
	if err == nil {
		return true
	}
	g.refused(err)
	return false
}

// refused counts a refused peer, and tells of it once in a while.
func (g *Gateway) refused(err error) {
	g.mu.Lock()
	g.turnedAway++
	count := g.turnedAway
	tell := time.Since(g.toldRefusal) > refusalsTold
	if tell {
		g.toldRefusal = time.Now()
	}
	g.mu.Unlock()
	if tell {
		g.log.Warn("gateway: a peer was refused", "error", err, "refused so far", count)
	}
}
