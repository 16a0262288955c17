package endpoint

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// metrics are what /metrics tells.
type metrics struct {
	registry *prometheus.Registry
	clients  prometheus.Gauge
	accepted prometheus.Counter
	cutOff   prometheus.Counter
	refused  prometheus.Counter
	frames   *prometheus.CounterVec
	bytes    *prometheus.CounterVec
}

func newMetrics(b *bridge.Browser) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bridge", Name: name, Help: help})
	}
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "bridge", Name: name, Help: help}, []string{"direction"})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "bridge", Name: name, Help: help}, value)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		clients:  prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "bridge", Name: "clients", Help: "Clients that are connected."}),
		accepted: counter("clients_accepted_total", "Clients that have connected."),
		cutOff:   counter("clients_cut_off_total", "Clients that were cut off because they did not read."),
		refused:  counter("requests_refused_total", "Requests without a valid token."),
		frames:   vec("frames_total", "Frames of the protocol, in from clients and out to them."),
		bytes:    vec("frame_bytes_total", "Bytes of these frames."),
	}
	m.registry.MustRegister(
		m.clients, m.accepted, m.cutOff, m.refused, m.frames, m.bytes,
		gauge("sessions", "Sessions that are open.", func() float64 { return float64(len(b.Sessions())) }),
		gauge("hosts", "Chromium processes that run.", func() float64 { return float64(len(b.Hosts())) }),
		gauge("pages", "Pages that are open.", func() float64 {
			pages := 0
			for _, s := range b.Sessions() {
				pages += len(s.Pages())
			}
			return float64(pages)
		}),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}
