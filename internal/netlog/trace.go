package netlog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// traced is an event of a trace.
type traced struct {
	nanoseconds int64
	track       uint64
	kind        uint64 // sliceBegin, sliceEnd, instant
	name        string
	sourceType  string
	params      []byte
}

// Kinds of events in a trace.
const (
	sliceBegin = 1
	sliceEnd   = 2
	instant    = 3
)

// Clocks of a trace.
const (
	realtimeClock  = 1
	monotonicClock = 3
)

// Tracer reads the category netlog of Chromium's traces. An event that ends
// something has no name there: it gets that of the innermost that its source
// has open. A Tracer remembers what is open from one trace to the next. The zero
// value is ready.
type Tracer struct {
	open map[uint64]*openSource
}

type openSource struct {
	sourceType string
	names      []string
}

// maxOpen bounds what is remembered of sources that never end.
const maxOpen = 100_000

// Trace is what a trace has of the net log, in the order of time.
type Trace struct {
	// TickOffset are the milliseconds from the clock of events to that of the
	// calendar, 0 if the trace does not tell.
	TickOffset int64

	events []traced
	ids    sourceIDs
}

// Read reads a trace in protocol buffers' encoding.
func (tr *Tracer) Read(data []byte) (*Trace, error) {
	r := traceReader{trace: &Trace{}, sequences: map[uint64]*sequence{}}
	err := fields(data, func(f field) error {
		if f.number == 1 {
			return r.packet(f.bytes)
		}
		return nil
	})
	slices.SortStableFunc(r.trace.events, func(a, b traced) int { return cmp.Compare(a.nanoseconds, b.nanoseconds) })
	tr.name(r.trace)
	return r.trace, err
}

// name gives ends their names, and drops the ends of what began before anybody
// looked.
func (tr *Tracer) name(t *Trace) {
	if tr.open == nil || len(tr.open) > maxOpen {
		tr.open = map[uint64]*openSource{}
	}
	named := t.events[:0]
	for _, e := range t.events {
		switch e.kind {
		case sliceBegin:
			if tr.open[e.track] == nil {
				tr.open[e.track] = &openSource{sourceType: e.sourceType}
			}
			tr.open[e.track].names = append(tr.open[e.track].names, e.name)
		case sliceEnd:
			source := tr.open[e.track]
			if source == nil {
				continue
			}
			last := len(source.names) - 1
			e.name, e.sourceType = source.names[last], source.sourceType
			if source.names = source.names[:last]; last == 0 {
				delete(tr.open, e.track)
			}
		}
		named = append(named, e)
	}
	t.events = named
}

// sourceIDs finds the id of a source in the id of its track. Chromium makes the
// latter of the former by adding the name's hash and mixing in the parent.
type sourceIDs struct{ track, parent uint64 }

func (s sourceIDs) of(track uint64) uint64 { return (track ^ s.track) - (s.track ^ s.parent) - 1 }

// traceReader reads the packets of a trace.
type traceReader struct {
	trace     *Trace
	sequences map[uint64]*sequence
}

// sequence is the state that the packets of one writer build on.
type sequence struct {
	valid       bool // nothing that later packets need is lost
	now         int64
	incremental bool
	multiplier  int64
	eventNames  map[uint64]string
	annotation  map[uint64]string
}

const netLogTrack = "Chromium NetLog"

// Fields of the message TracePacket.
const (
	packetClocks    = 6
	packetTimestamp = 8
	packetSequence  = 10
	packetEvent     = 11
	packetInterned  = 12
	packetFlags     = 13
	packetDropped   = 42
	packetClock     = 58
	packetDefaults  = 59
	packetTrack     = 60
)

// packet reads a message TracePacket.
func (r *traceReader) packet(message []byte) error {
	p := map[int]field{}
	if err := fields(message, func(f field) error { p[f.number] = f; return nil }); err != nil {
		return err
	}
	s := r.sequence(p)
	if p[packetFlags].value&2 != 0 && !s.valid {
		return nil
	}
	if err := s.learn(p[packetInterned].bytes); err != nil {
		return err
	}
	if err := r.clocks(p[packetClocks].bytes, s); err != nil {
		return err
	}
	at := s.time(p)
	if track := p[packetTrack].bytes; track != nil {
		return r.track(track)
	}
	if event := p[packetEvent].bytes; event != nil {
		return r.event(event, s, at)
	}
	return nil
}

func (r *traceReader) sequence(p map[int]field) *sequence {
	id := p[packetSequence].value
	cleared := p[packetFlags].value&1 != 0
	if cleared || r.sequences[id] == nil {
		r.sequences[id] = &sequence{valid: cleared, multiplier: 1, eventNames: map[uint64]string{}, annotation: map[uint64]string{}}
	} else if p[packetDropped].value != 0 {
		r.sequences[id].valid = false
	}
	return r.sequences[id]
}

// learn takes the names that later packets abbreviate.
func (s *sequence) learn(interned []byte) error {
	return fields(interned, func(f field) error {
		names := map[int]map[uint64]string{2: s.eventNames, 3: s.annotation}[f.number]
		if names == nil {
			return nil
		}
		var id uint64
		var name string
		err := fields(f.bytes, func(f field) error {
			switch f.number {
			case 1:
				id = f.value
			case 2:
				name = string(f.bytes)
			}
			return nil
		})
		names[id] = name
		return err
	})
}

// clocks reads a message ClockSnapshot: the offset to the calendar, and where the
// clock of a sequence begins, which counts differences.
func (r *traceReader) clocks(snapshot []byte, s *sequence) error {
	var monotonic, realtime int64
	err := fields(snapshot, func(f field) error {
		if f.number != 1 {
			return nil
		}
		var id, at, incremental, multiplier uint64
		err := fields(f.bytes, func(f field) error {
			switch f.number {
			case 1:
				id = f.value
			case 2:
				at = f.value
			case 3:
				incremental = f.value
			case 4:
				multiplier = f.value
			}
			return nil
		})
		switch {
		case id == realtimeClock:
			realtime = int64(at)
		case id == monotonicClock:
			monotonic = int64(at)
		case incremental != 0:
			s.incremental, s.multiplier = true, int64(max(multiplier, 1))
		}
		return err
	})
	if s.incremental && monotonic != 0 {
		s.now = monotonic
	}
	if realtime != 0 && monotonic != 0 {
		r.trace.TickOffset = (realtime - monotonic) / 1e6
	}
	return err
}

// time is when a packet was written.
func (s *sequence) time(p map[int]field) int64 {
	at := int64(p[packetTimestamp].value)
	if p[packetClock].value != 0 || !s.incremental {
		return at
	}
	s.now += at * s.multiplier
	return s.now
}

// track reads a message TrackDescriptor.
func (r *traceReader) track(message []byte) error {
	var id, parent uint64
	var name string
	err := fields(message, func(f field) error {
		switch f.number {
		case 1:
			id = f.value
		case 5:
			parent = f.value
		case 2, 10:
			name = string(f.bytes)
		}
		return nil
	})
	if name == netLogTrack {
		r.trace.ids = sourceIDs{track: id, parent: parent}
	}
	return err
}

// event reads a message TrackEvent.
func (r *traceReader) event(message []byte, s *sequence, at int64) error {
	e := traced{nanoseconds: at}
	err := fields(message, func(f field) error {
		switch f.number {
		case 4:
			return e.annotate(f.bytes, s)
		case 9:
			e.kind = f.value
		case 10:
			e.name = s.eventNames[f.value]
		case 11:
			e.track = f.value
		case 23:
			e.name = string(f.bytes)
		}
		return nil
	})
	if e.params != nil && (e.name != "" || e.kind == sliceEnd) {
		r.trace.events = append(r.trace.events, e)
	}
	return err
}

// annotate reads a message DebugAnnotation.
func (e *traced) annotate(message []byte, s *sequence) error {
	var name string
	var text []byte
	err := fields(message, func(f field) error {
		switch f.number {
		case 1:
			name = s.annotation[f.value]
		case 10:
			name = string(f.bytes)
		case 6, 9:
			text = f.bytes
		}
		return nil
	})
	switch name {
	case "source_type":
		e.sourceType = string(text)
	case "params":
		e.params = text
	}
	return err
}

// Events writes the events of a trace as those of a file, with the numbers of c.
func (t *Trace) Events(c *Constants) ([][]byte, error) {
	out := make([][]byte, 0, len(t.events))
	for _, e := range t.events {
		event, err := t.event(e, c)
		if err != nil {
			return out, err
		}
		out = append(out, event)
	}
	return out, nil
}

// phases are those of a file by kinds of a trace.
var phases = map[uint64]int{sliceBegin: 1, sliceEnd: 2, instant: 0}

func (t *Trace) event(e traced, c *Constants) ([]byte, error) {
	var params map[string]json.RawMessage
	if err := json.Unmarshal(e.params, &params); err != nil {
		return nil, errProto
	}
	start := params["source_start_time"]
	delete(params, "source_start_time")
	if start == nil {
		start = milliseconds(e.nanoseconds)
	}
	return encode(struct {
		Params map[string]json.RawMessage `json:"params,omitempty"`
		Phase  int                        `json:"phase"`
		Source source                     `json:"source"`
		Time   json.RawMessage            `json:"time"`
		Type   int                        `json:"type"`
	}{params, phases[e.kind], source{t.ids.of(e.track), start, c.sourceType(e.sourceType)}, milliseconds(e.nanoseconds), c.eventType(e.name)})
}

type source struct {
	ID        uint64          `json:"id"`
	StartTime json.RawMessage `json:"start_time"`
	Type      int             `json:"type"`
}

// encode is JSON as Chromium writes it into the file: on one line, and characters
// of HTML as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
