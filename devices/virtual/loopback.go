package virtual

import (
	"context"
	"io"

	"github.com/cdpbridge/cdpbridge/devices/serial"
)

// Loopback is a Serve that is a loop-back plug: it sends back what it gets, and joins the line RTS to
// CTS, and DTR to DSR and DCD.
func Loopback(_ context.Context, line *Line) {
	line.Join(func(page Signals) serial.InputSignals {
		return serial.InputSignals{
			ClearToSend:       page.RequestToSend,
			DataSetReady:      page.DataTerminalReady,
			DataCarrierDetect: page.DataTerminalReady,
		}
	})
	_, _ = io.Copy(line, line) // until the line ends
}
