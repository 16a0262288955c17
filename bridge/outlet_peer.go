package bridge

import (
	"context"
	"fmt"
	"sync"

	"github.com/cdpbridge/cdpbridge/gateway"
)

// processIDs are the processes of a Chromium that can be at the other end of a
// connection to a gateway: its network service is one of them.
type processIDs struct {
	mu    sync.Mutex
	known []int
}

// owns reports whether a peer is a process of the host, by an error if it is not.
func (h *host) owns(p gateway.Peer) error {
	h.processes.mu.Lock()
	defer h.processes.mu.Unlock()
	for _, pid := range h.processes.known {
		if owned, _ := p.OwnedBy(pid); owned {
			return nil
		}
	}
	if err := h.findProcesses(h.life); err != nil { // it was started anew, or never looked for
		return err
	}
	for _, pid := range h.processes.known {
		if owned, _ := p.OwnedBy(pid); owned {
			return nil
		}
	}
	return fmt.Errorf("%v, of the user %d, is not the session's Chromium", p.Remote, p.UID)
}

func (h *host) findProcesses(ctx context.Context) error {
	var r struct {
		ProcessInfo []struct {
			Type string `json:"type"`
			ID   int    `json:"id"`
		} `json:"processInfo"`
	}
	if err := h.root().Call(ctx, "SystemInfo.getProcessInfo", nil, &r); err != nil {
		return err
	}
	h.processes.known = nil
	for _, p := range r.ProcessInfo {
		if p.Type != "renderer" { // of those there are many, and they have no sockets
			h.processes.known = append(h.processes.known, p.ID)
		}
	}
	return nil
}
