// Package protocol holds the description of the domain Session, in the form of
// Chromium's own /json/protocol.
package protocol

import (
	"bytes"
	_ "embed"
)

//go:embed session.json
var session []byte

// Session is the description of the domain Session: one element of "domains".
func Session() []byte { return bytes.Clone(session) }
