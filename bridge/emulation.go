package bridge

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// NetworkEmulation is a network that a session is to have. The zero value is the
// network that there is.
type NetworkEmulation struct {
	// Offline makes all requests fail with net::ERR_INTERNET_DISCONNECTED and
	// navigator.onLine false.
	Offline bool
	// Latency is how long the first byte of a response takes at least.
	Latency time.Duration
	// DownloadThroughput and UploadThroughput are bytes per second, 0 for no
	// limit.
	DownloadThroughput, UploadThroughput float64
	// PacketLoss is the share of packets of WebRTC that are lost, in percent.
	// Requests lose none: TCP would send them again.
	PacketLoss float64
}

// Network2G is a mobile network of the second generation: 280 and 256 kbit/s,
// 800 ms.
func Network2G() NetworkEmulation { return mobileNetwork(280, 256, 800) }

// Network3G is a mobile network of the third generation: 1.6 Mbit/s and 768
// kbit/s, 300 ms.
func Network3G() NetworkEmulation { return mobileNetwork(1600, 768, 300) }

// Network4G is a mobile network of the fourth generation: 9 Mbit/s both ways,
// 170 ms.
func Network4G() NetworkEmulation { return mobileNetwork(9000, 9000, 170) }

// mobileNetwork has rates in kbit/s and a latency in milliseconds, as
// WebPageTest's profiles of connections do.
func mobileNetwork(down, up, latency int) NetworkEmulation {
	return NetworkEmulation{
		Latency:            time.Duration(latency) * time.Millisecond,
		DownloadThroughput: float64(down) * 1000 / 8,
		UploadThroughput:   float64(up) * 1000 / 8,
	}
}

// EnableNetworkEmulation gives the session's pages and workers, those that are
// open and those to come, another network: Electron's
// ses.enableNetworkEmulation. Each call replaces all values. navigator.connection
// and navigator.onLine tell of it.
//
// A page shares the rates with its frames of the same site and its dedicated
// workers; each other page and worker has them for itself. Requests that no page
// or worker makes, such as those for the main script of a service worker and those
// of Session.Fetch, have the network that there is. A shared worker has its own some
// milliseconds after its script began. It takes Chromium's network instrumentation
// (see PartitionOptions.NoCache).
func (s *Session) EnableNetworkEmulation(ctx context.Context, e NetworkEmulation) error {
	rate := func(r float64) bool { return r >= 0 && !math.IsInf(r, 1) } // and no NaN
	if e.Latency < 0 || !rate(e.DownloadThroughput) || !rate(e.UploadThroughput) || !rate(e.PacketLoss) || e.PacketLoss > 100 {
		return invalidArgument("a network has no negative latency or throughput, and a packet loss of 0 to 100 percent")
	}
	if _, err := s.present(); err != nil {
		return doing("emulating a network", err)
	}
	return doing("emulating a network", s.emulation.set(ctx, e))
}

// DisableNetworkEmulation gives the session the network that there is:
// Electron's ses.disableNetworkEmulation.
func (s *Session) DisableNetworkEmulation(ctx context.Context) error {
	return s.EnableNetworkEmulation(ctx, NetworkEmulation{})
}

// emulation gives the targets of a session their network.
type emulation struct {
	network *networkDomain

	mu      sync.Mutex
	now     NetworkEmulation
	release func() // of the domain Network, which the emulation needs; nil without one
	targets map[*cdp.Target]bool
}

func newEmulation(n *networkDomain) *emulation {
	return &emulation{network: n, targets: map[*cdp.Target]bool{}}
}

// set changes the network of all targets and waits until they have it.
func (em *emulation) set(ctx context.Context, e NetworkEmulation) error {
	var answered sync.WaitGroup
	em.change(e, &answered)
	if err := waitGroup(ctx, &answered); err != nil {
		return fmt.Errorf("waiting for the pages to have it: %w", err)
	}
	return nil
}

func (em *emulation) change(e NetworkEmulation, answered *sync.WaitGroup) {
	em.mu.Lock()
	defer em.mu.Unlock()
	if e != (NetworkEmulation{}) && em.release == nil {
		em.release = em.network.use()
	}
	em.now = e
	for t := range em.targets {
		t.Session.Conn().Send(awaited(answered, e.commands(t))...)
	}
	if e == (NetworkEmulation{}) && em.release != nil {
		em.release()
		em.release = nil
	}
}

func (em *emulation) join(t *cdp.Target) []cdp.Command {
	em.mu.Lock()
	defer em.mu.Unlock()
	em.targets[t] = true
	if em.release == nil {
		return nil
	}
	commands := em.now.commands(t)
	if t.Type() == cdp.TargetSharedWorker {
		commands = append(commands, em.again(t))
	}
	return commands
}

// again gives a shared worker its network once more as soon as it runs: Chromium
// has then forgotten what it was told before.
func (em *emulation) again(t *cdp.Target) cdp.Command {
	return cdp.Command{Session: t.Session, Method: "Runtime.evaluate", Params: evaluateParams{Expression: "0"}, Done: func(jsonv2.Value, error) {
		em.mu.Lock()
		defer em.mu.Unlock()
		t.Session.Conn().Send(em.now.commands(t)...)
	}}
}

// restarted returns the same again: a service worker that was stopped has
// forgotten it.
func (em *emulation) restarted(t *cdp.Target) []cdp.Command { return em.join(t) }

func (em *emulation) leave(t *cdp.Target) {
	em.mu.Lock()
	defer em.mu.Unlock()
	delete(em.targets, t)
}

// commands give a target the network. The first acts on requests, the second on
// what scripts are told of the network; dedicated workers refuse it and are told
// what their page is.
func (e NetworkEmulation) commands(t *cdp.Target) []cdp.Command {
	type state struct {
		Offline            bool    `json:"offline"`
		Latency            float64 `json:"latency"` // milliseconds
		DownloadThroughput float64 `json:"downloadThroughput"`
		UploadThroughput   float64 `json:"uploadThroughput"`
	}
	type conditions struct {
		state
		URLPattern string  `json:"urlPattern"`
		PacketLoss float64 `json:"packetLoss,omitzero"`
	}
	now := state{e.Offline, float64(e.Latency) / float64(time.Millisecond), e.DownloadThroughput, e.UploadThroughput}
	matched := []conditions{}
	if e != (NetworkEmulation{}) {
		matched = append(matched, conditions{state: now, PacketLoss: e.PacketLoss})
	}
	return []cdp.Command{
		{Session: t.Session, Method: "Network.emulateNetworkConditionsByRule", Params: map[string]any{"matchedNetworkConditions": matched}},
		{Session: t.Session, Method: "Network.overrideNetworkState", Params: now},
	}
}
