package serial

import bugst "go.bug.st/serial"

// mode is o for go.bug.st/serial. It has no flow control.
func mode(o Options) *bugst.Mode {
	return &bugst.Mode{
		BaudRate: int(o.BaudRate),
		DataBits: int(o.DataBits),
		StopBits: map[uint]bugst.StopBits{1: bugst.OneStopBit, 2: bugst.TwoStopBits}[o.StopBits],
		Parity:   map[Parity]bugst.Parity{NoParity: bugst.NoParity, EvenParity: bugst.EvenParity, OddParity: bugst.OddParity}[o.Parity],
	}
}
