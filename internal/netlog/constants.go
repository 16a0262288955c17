package netlog

import (
	_ "embed"
	"encoding/json"
	"maps"
	"strconv"
)

// constantsJSON are the constants of Chromium 156, which a trace does not carry.
//
//go:embed constants.json
var constantsJSON []byte

// Client is the program whose log it is.
type Client struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	OSType      string `json:"os_type"`
	CommandLine string `json:"command_line"`
}

// Constants are the first member of a log of a trace: the names of the numbers
// in events. A name that Chromium 156 did not know gets a number of its own.
type Constants struct {
	all     map[string]json.RawMessage
	types   map[string]int
	sources map[string]int
}

// NewConstants returns the constants of a log in capture mode Default.
func NewConstants(client Client) (*Constants, error) {
	c := &Constants{}
	if err := json.Unmarshal(constantsJSON, &c.all); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(c.all["logEventTypes"], &c.types); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(c.all["logSourceType"], &c.sources); err != nil {
		return nil, err
	}
	info, err := encode(client)
	c.all["clientInfo"] = info
	c.all["logCaptureMode"] = json.RawMessage(`"Default"`)
	c.all["activeFieldTrialGroups"] = json.RawMessage(`[]`)
	c.SetTickOffset(0)
	return c, err
}

// SetTickOffset sets the milliseconds from the clock of events to that of the
// calendar.
func (c *Constants) SetTickOffset(offset int64) {
	c.all["timeTickOffset"] = strconv.AppendInt(nil, offset, 10)
}

func (c *Constants) eventType(name string) int  { return number(c.types, name) }
func (c *Constants) sourceType(name string) int { return number(c.sources, name) }

// number is the number of a name, which gets the next one if it has none.
func number(names map[string]int, name string) int {
	n, known := names[name]
	if !known {
		for other := range maps.Values(names) {
			n = max(n, other+1)
		}
		names[name] = n
	}
	return n
}

// JSON encodes the constants on one line.
func (c *Constants) JSON() ([]byte, error) {
	var err error
	if c.all["logEventTypes"], err = encode(c.types); err != nil {
		return nil, err
	}
	if c.all["logSourceType"], err = encode(c.sources); err != nil {
		return nil, err
	}
	return encode(c.all)
}

// milliseconds is a time of events as the file has it: a string.
func milliseconds(nanoseconds int64) json.RawMessage {
	return strconv.AppendQuote(nil, strconv.FormatInt(nanoseconds/1e6, 10))
}
