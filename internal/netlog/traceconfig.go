package netlog

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// traceBuffer is how much of a trace Chromium keeps, in KiB; the oldest goes
// first.
const traceBuffer = 32 << 10

// TraceConfig is what Tracing.start takes as perfettoConfig: the category netlog
// of one process. All others would have to agree to the end of the trace, which
// takes five seconds.
func TraceConfig(pid int) string {
	const ringBuffer = 1
	buffer := numberField(numberField(nil, 1, traceBuffer), 4, ringBuffer)
	categories := bytesField(bytesField(nil, 1, []byte("*")), 2, []byte("netlog"))
	dataSource := bytesField(bytesField(nil, 1, []byte("track_event")), 113, categories)
	process := bytesField(bytesField(nil, 1, dataSource), 2, fmt.Append(nil, "org.chromium-", pid))
	config := bytesField(bytesField(nil, 1, buffer), 2, process)
	return base64.StdEncoding.EncodeToString(config)
}

func numberField(b []byte, number int, value uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(number)<<3), value)
}

func bytesField(b []byte, number int, value []byte) []byte {
	b = binary.AppendUvarint(b, uint64(number)<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}
