package gateway

import "sync/atomic"

// Stats counts what went through a gateway.
type Stats struct {
	// BytesSent and BytesReceived are what went to servers and came from them,
	// with TLS and HTTP around it, and without what was said to proxies on the
	// way. Of a long copy they follow in steps of a mebibyte.
	BytesSent, BytesReceived int64
	// Connections are all that were made to servers, Open those of now.
	Connections int64
	Open        int
}

type counters struct {
	sent, received, connections, open atomic.Int64
}

// Stats tells what went through so far.
func (g *Gateway) Stats() Stats {
	c := &g.counters
	return Stats{
		BytesSent:     c.sent.Load(),
		BytesReceived: c.received.Load(),
		Connections:   c.connections.Load(),
		Open:          int(c.open.Load()),
	}
}
