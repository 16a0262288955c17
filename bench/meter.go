package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// Sample is what a number of operations took.
type Sample struct {
	Ops  int           `json:"ops"`
	Wall time.Duration `json:"wallNs"`
	// ClientCPU is the CPU time of the client's process, BrowserCPU that of
	// all of Chromium's processes (in steps of 10 ms).
	ClientCPU  time.Duration `json:"clientCpuNs"`
	BrowserCPU time.Duration `json:"browserCpuNs"`
	// Allocs and AllocBytes are the allocations of a client in Go.
	Allocs     uint64 `json:"allocs"`
	AllocBytes uint64 `json:"allocBytes"`
	// ClientPeak is by how many bytes the resident memory of the client's
	// process was larger at its peak than at the start.
	ClientPeak int64 `json:"clientPeakBytes"`
	// BrowserMemory is by how many bytes the memory (PSS) of Chromium's
	// processes is larger at the end.
	BrowserMemory int64 `json:"browserMemoryBytes"`
}

// meter takes a Sample. What it does to look is outside of what it measures.
type meter struct {
	browser    int   // its first process, 0 for none
	apart      apart // the client, if it works in another process
	start      time.Time
	clientCPU  time.Duration
	browserCPU time.Duration
	allocs     runtime.MemStats
	resident   int64
	memory     int64
}

// apart is a client that works in a process of its own.
type apart interface {
	clientPID() int
	clientCPU() (time.Duration, error)
}

func startMeter(e *env) (*meter, error) {
	m := &meter{browser: e.browser()}
	m.apart, _ = e.client.(apart)
	debug.FreeOSMemory()
	var err error
	if m.memory, err = treeMemory(m.browser); err != nil {
		return nil, err
	}
	if m.resident, err = resetPeak(m.pid()); err != nil {
		return nil, err
	}
	if m.browserCPU, err = treeCPU(m.browser); err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&m.allocs)
	if m.clientCPU, err = m.cpu(); err != nil {
		return nil, err
	}
	m.start = time.Now()
	return m, nil
}

func (m *meter) stop(ops int) (Sample, error) {
	s := Sample{Ops: ops, Wall: time.Since(m.start)}
	cpu, err := m.cpu()
	if err != nil {
		return s, err
	}
	s.ClientCPU = cpu - m.clientCPU
	if m.apart == nil {
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		s.Allocs, s.AllocBytes = after.Mallocs-m.allocs.Mallocs, after.TotalAlloc-m.allocs.TotalAlloc
	}
	if cpu, err = treeCPU(m.browser); err != nil {
		return s, err
	}
	s.BrowserCPU = cpu - m.browserCPU
	peak, err := peakResident(m.pid())
	if err != nil {
		return s, err
	}
	s.ClientPeak = peak - m.resident
	memory, err := treeMemory(m.browser)
	s.BrowserMemory = memory - m.memory
	return s, err
}

// pid is the client's process.
func (m *meter) pid() int {
	if m.apart != nil {
		return m.apart.clientPID()
	}
	return os.Getpid()
}

// cpu is the CPU time of the client's process.
func (m *meter) cpu() (time.Duration, error) {
	if m.apart != nil {
		return m.apart.clientCPU()
	}
	return processCPU()
}
