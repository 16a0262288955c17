package virtual

import (
	"context"
	"io"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// Loopback describes a port with a loop-back plug: it sends back what it gets, and joins the line RTS to
// CTS, and DTR to DSR and DCD. Its other properties can be set before it is plugged in.
func Loopback() SerialPort {
	return SerialPort{
		Serve: func(_ context.Context, line *Line) {
			_, _ = io.Copy(line, line) // until the line ends
		},
		Wiring: func(page Signals) serial.InputSignals {
			return serial.InputSignals{
				ClearToSend:       page.RequestToSend,
				DataSetReady:      page.DataTerminalReady,
				DataCarrierDetect: page.DataTerminalReady,
			}
		},
	}
}
