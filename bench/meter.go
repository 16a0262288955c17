package bench

import (
	"runtime"
	"runtime/debug"
	"time"
)

// Sample is what a number of operations took.
type Sample struct {
	Ops  int           `json:"ops"`
	Wall time.Duration `json:"wallNs"`
	// ClientCPU is the CPU time of the measuring process, BrowserCPU that of
	// all of Chromium's processes (in steps of 10 ms).
	ClientCPU  time.Duration `json:"clientCpuNs"`
	BrowserCPU time.Duration `json:"browserCpuNs"`
	// Allocs and AllocBytes are the measuring process's allocations.
	Allocs     uint64 `json:"allocs"`
	AllocBytes uint64 `json:"allocBytes"`
	// ClientPeak is by how many bytes the resident memory of the measuring
	// process was larger at its peak than at the start.
	ClientPeak int64 `json:"clientPeakBytes"`
	// BrowserMemory is by how many bytes the memory (PSS) of Chromium's
	// processes is larger at the end.
	BrowserMemory int64 `json:"browserMemoryBytes"`
}

// meter takes a Sample. What it does to look is outside of what it measures.
type meter struct {
	browser    int // its first process, 0 for none
	start      time.Time
	clientCPU  time.Duration
	browserCPU time.Duration
	allocs     runtime.MemStats
	resident   int64
	memory     int64
}

func startMeter(browser int) (*meter, error) {
	m := &meter{browser: browser}
	debug.FreeOSMemory()
	var err error
	if m.memory, err = treeMemory(browser); err != nil {
		return nil, err
	}
	if m.resident, err = resetPeak(); err != nil {
		return nil, err
	}
	if m.browserCPU, err = treeCPU(browser); err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&m.allocs)
	if m.clientCPU, err = processCPU(); err != nil {
		return nil, err
	}
	m.start = time.Now()
	return m, nil
}

func (m *meter) stop(ops int) (Sample, error) {
	s := Sample{Ops: ops, Wall: time.Since(m.start)}
	cpu, err := processCPU()
	if err != nil {
		return s, err
	}
	s.ClientCPU = cpu - m.clientCPU
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	s.Allocs, s.AllocBytes = after.Mallocs-m.allocs.Mallocs, after.TotalAlloc-m.allocs.TotalAlloc
	if cpu, err = treeCPU(m.browser); err != nil {
		return s, err
	}
	s.BrowserCPU = cpu - m.browserCPU
	peak, err := peakResident()
	if err != nil {
		return s, err
	}
	s.ClientPeak = peak - m.resident
	memory, err := treeMemory(m.browser)
	s.BrowserMemory = memory - m.memory
	return s, err
}
