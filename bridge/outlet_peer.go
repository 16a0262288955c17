package bridge

import (
	"context"
	"fmt"
	"slices"
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
	owned := func(pid int) bool {
		owned, _ := p.OwnedBy(pid)
		return owned
	}
	if slices.ContainsFunc(h.processes.known, owned) {
		return nil
	}
	if err := h.findProcesses(h.life); err != nil { // it was started anew, or never looked for
		return err
	}
	if slices.ContainsFunc(h.processes.known, owned) {
		return nil
	}
	return fmt.Errorf("%v, of the user %d, is not the session's Chromium", p.Remote, p.UID)
}

func (h *host) findProcesses(ctx context.Context) error {
	all, err := h.processInfo(ctx)
	if err != nil {
		return err
	}
	h.processes.known = nil
	for _, p := range all {
		if p.Type != "renderer" { // of those there are many, and they have no sockets
			h.processes.known = append(h.processes.known, p.ID)
		}
	}
	return nil
}

// processInfo is a process of a Chromium.
type processInfo struct {
	Type string `json:"type"` // such as "browser" or "renderer"
	ID   int    `json:"id"`
}

// processInfo tells the processes of the host.
func (h *host) processInfo(ctx context.Context) ([]processInfo, error) {
	var r struct {
		ProcessInfo []processInfo `json:"processInfo"`
	}
	err := h.root().Call(ctx, "SystemInfo.getProcessInfo", nil, &r)
	return r.ProcessInfo, err
}
