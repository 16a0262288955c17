//go:build !linux

package gateway

import "net"

func peerOf(conn net.Conn) (Peer, error) {
	return Peer{Local: conn.LocalAddr(), Remote: conn.RemoteAddr()}, nil
}

// OwnedBy reports whether a process holds the peer's socket. It is only known
// on Linux.
func (Peer) OwnedBy(int) (bool, error) { return false, ErrPeerUnknown }
