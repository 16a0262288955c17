package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel who owns the other end of a loopback connection. It is an
// error if nobody does any more: what was sent before can still be read.
func peerOf(conn net.Conn) (Peer, error) {
	p := Peer{Local: conn.LocalAddr(), Remote: conn.RemoteAddr()}
	local, ok1 := p.Local.(*net.TCPAddr)
	remote, ok2 := p.Remote.(*net.TCPAddr)
	if !ok1 || !ok2 {
		return p, fmt.Errorf("the peer %v uses no TCP", p.Remote)
	}
	uid, inode, err := socketOwner(remote, local)
	if err != nil {
		return p, fmt.Errorf("asking who the peer %v is: %w", p.Remote, err)
	}
	p.Known, p.UID, p.Inode = true, uid, inode
	return p, nil
}

const (
	diagRequest = unix.SizeofNlMsghdr + 56 // struct inet_diag_req_v2
	diagAnswer  = unix.SizeofNlMsghdr + 72 // struct inet_diag_msg
	diagByKind  = 20                       // SOCK_DIAG_BY_FAMILY
)

// socketOwner looks up one TCP socket by its two ends (sock_diag(7)). The
// kernel finds it in its table, however many there are.
func socketOwner(local, remote *net.TCPAddr) (uid, inode uint32, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return 0, 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, diagQuestion(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, 0, os.NewSyscallError("sendto", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, 0, os.NewSyscallError("recvfrom", err)
	}
	order := binary.NativeEndian
	if n < diagAnswer || order.Uint16(answer[4:]) != diagByKind {
		return 0, 0, errors.New("the kernel knows no such socket")
	}
	body := answer[unix.SizeofNlMsghdr:]
	return order.Uint32(body[64:]), order.Uint32(body[68:]), nil
}

func diagQuestion(local, remote *net.TCPAddr) []byte {
	order := binary.NativeEndian
	m := make([]byte, diagRequest)
	order.PutUint32(m[0:], diagRequest)
	order.PutUint16(m[4:], diagByKind)
	order.PutUint16(m[6:], unix.NLM_F_REQUEST)
	q := m[unix.SizeofNlMsghdr:]
	from, to := local.IP.To4(), remote.IP.To4()
	q[0] = unix.AF_INET
	if from == nil || to == nil {
		q[0] = unix.AF_INET6
		from, to = local.IP.To16(), remote.IP.To16()
	}
	q[1] = unix.IPPROTO_TCP
	order.PutUint32(q[4:], ^uint32(0)) // in any state
	binary.BigEndian.PutUint16(q[8:], uint16(local.Port))
	binary.BigEndian.PutUint16(q[10:], uint16(remote.Port))
	copy(q[12:28], from)
	copy(q[28:44], to)
	for i := 48; i < 56; i++ {
		q[i] = 0xff // no cookie
	}
	return m
}

// OwnedBy reports whether a process holds the peer's socket.
func (p Peer) OwnedBy(pid int) (bool, error) {
	if !p.Known {
		return false, ErrPeerUnknown
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	socket := fmt.Sprintf("socket:[%d]", p.Inode)
	for _, f := range files {
		if name, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && name == socket {
			return true, nil
		}
	}
	return false, nil
}
