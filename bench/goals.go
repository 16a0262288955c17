package bench

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Metric is one number of a Sample.
type Metric string

// The metrics. Times are in seconds and memory in bytes, for one operation, but
// for ClientPeak, which is that of all.
const (
	Wall          Metric = "wall"
	ClientCPU     Metric = "client CPU"
	Allocs        Metric = "allocations"
	BrowserCPU    Metric = "browser CPU"
	ClientPeak    Metric = "client memory, peak"
	BrowserMemory Metric = "browser memory"
)

// Metrics are all metrics, in the order of the table.
func Metrics() []Metric {
	return []Metric{Wall, ClientCPU, Allocs, ClientPeak, BrowserCPU, BrowserMemory}
}

func (m Metric) of(s Sample) float64 {
	n := float64(s.Ops)
	switch m {
	case Wall:
		return s.Wall.Seconds() / n
	case ClientCPU:
		return s.ClientCPU.Seconds() / n
	case Allocs:
		return float64(s.Allocs) / n
	case BrowserCPU:
		return s.BrowserCPU.Seconds() / n
	case ClientPeak:
		return float64(s.ClientPeak)
	case BrowserMemory:
		return float64(s.BrowserMemory) / n
	}
	panic("bench: no metric " + string(m))
}

// text writes a value of the metric with its unit and three digits.
func (m Metric) text(v float64) string {
	switch m {
	case Wall, ClientCPU, BrowserCPU:
		switch {
		case v < time.Millisecond.Seconds():
			return digits(v*1e6) + " µs"
		case v < time.Second.Seconds():
			return digits(v*1e3) + " ms"
		}
		return digits(v) + " s"
	case ClientPeak, BrowserMemory:
		return digits(v/(1<<20)) + " MB"
	case Allocs:
	}
	return digits(v)
}

// digits is v with three of them, and with none that say nothing.
func digits(v float64) string {
	decimals := 0
	for limit := 100.0; v < limit && decimals < 2; limit /= 10 {
		decimals++
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// Goal is a promise of the bridge on a workload. One of Less, AtMost and Like is
// set.
type Goal struct {
	Metric Metric
	// Less is by which factor the value of a peer must be larger at least.
	Less float64
	// Peer is that of Less: Puppeteer, or "" for chromedp.
	Peer Kind
	// AtMost is what the bridge's value must not exceed.
	AtMost float64
	// Like is the workload whose value must not be exceeded by more than a
	// quarter.
	Like string
}

func less(factor float64, m Metric) Goal      { return Goal{Metric: m, Less: factor} }
func atMost(value float64, m Metric) Goal     { return Goal{Metric: m, AtMost: value} }
func asMuchAs(workload string, m Metric) Goal { return Goal{Metric: m, Like: workload} }

func lessThanPuppeteer(factor float64, m Metric) Goal {
	return Goal{Metric: m, Less: factor, Peer: Puppeteer}
}

// free promises no allocations. What a tenth of one an operation allows for is
// the rest of the process, such as the commands that make a page log.
func free() Goal { return atMost(0.1, Allocs) }

const likeness = 1.25

func (g Goal) text() string {
	switch {
	case g.Less != 0 && g.Peer == Puppeteer:
		return fmt.Sprintf("Puppeteer ≥ %gx", g.Less)
	case g.Less != 0:
		return fmt.Sprintf("≥ %gx", g.Less)
	case g.Like != "":
		return fmt.Sprintf("≤ %gx of %s", likeness, g.Like)
	case g.Metric == Allocs:
		return "0"
	}
	return "≤ " + g.Metric.text(g.AtMost)
}

// met looks at the medians of the peer and of the bridge for a workload, and at
// those of the others.
func (g Goal) met(peer, bridge float64, others func(workload string, m Metric) float64) bool {
	switch {
	case g.Less != 0:
		return peer >= g.Less*bridge
	case g.Like != "":
		return bridge <= likeness*others(g.Like, g.Metric)
	}
	return bridge <= g.AtMost
}

// median is 0 for no values: NaN is no JSON.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
