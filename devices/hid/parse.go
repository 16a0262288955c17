package hid

import (
	"errors"
	"fmt"
)

// The limits of Parse. Nothing real comes near them: Linux takes no descriptor of more than 4096 bytes.
const (
	// maxDescriptor is the length in bytes that the HID specification can express.
	maxDescriptor = 1<<16 - 1
	// maxDepth is how deep collections nest; deeper ones count as part of their parent, as in Chromium.
	maxDepth = 50
	// maxPlaced is how many items all collections have together, an item counted once for each
	// collection around it. It keeps a descriptor of a few kilobytes from taking hundreds of megabytes.
	maxPlaced = 1 << 15
)

// ErrTooLarge says that a report descriptor is longer than any device's, or made to take much memory.
var ErrTooLarge = errors.New("the report descriptor is too large")

// Parse gives the top-level collections that a report descriptor declares, as WebHID shows them: each
// report is also in the collections around the one that declares it. What makes no sense is passed over, as
// Chromium does it; so a descriptor that is cut off gives what it declares until there. ErrTooLarge is the only
// error: more than 65,535 bytes, or more than 32,768 items in all collections.
func Parse(descriptor []byte) ([]Collection, error) {
	if len(descriptor) > maxDescriptor {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(descriptor))
	}
	p := parser{}
	for len(descriptor) > 0 {
		var e element
		e, descriptor = next(descriptor)
		if p.take(e); p.placed > maxPlaced {
			return nil, fmt.Errorf("%w: more than %d items", ErrTooLarge, maxPlaced)
		}
	}
	return p.root.collections(), nil
}

// element is a short item of a descriptor. Long items have the tag longItem and no data.
type element struct {
	tag  uint8 // with the type, without the size
	size int   // of the data, in bytes
	data uint32
}

// Tags of the HID specification 1.11, 6.2.2, with the type in bits 2 and 3.
const (
	longItem = 0xFC

	input         = 0x80
	output        = 0x90
	feature       = 0xB0
	collection    = 0xA0
	endCollection = 0xC0

	usagePage       = 0x04
	logicalMinimum  = 0x14
	logicalMaximum  = 0x24
	physicalMinimum = 0x34
	physicalMaximum = 0x44
	unitExponent    = 0x54
	unit            = 0x64
	reportSize      = 0x74
	reportID        = 0x84
	reportCount     = 0x94
	push            = 0xA4
	pop             = 0xB4

	usage        = 0x08
	usageMinimum = 0x18
	usageMaximum = 0x28
)

// next takes the first item from b. One that is cut off has no data.
func next(b []byte) (element, []byte) {
	e := element{tag: b[0] &^ 3, size: int(b[0] & 3)}
	if e.size == 3 {
		e.size = 4
	}
	if e.tag == longItem {
		length := 3
		if len(b) > 1 {
			length += int(b[1])
		}
		return element{tag: longItem}, b[min(length, len(b)):]
	}
	if len(b) < 1+e.size {
		return e, nil
	}
	for i, octet := range b[1 : 1+e.size] {
		e.data |= uint32(octet) << (8 * i)
	}
	return e, b[1+e.size:]
}

// signed is the data as a number in two's complement. Maxima are read so too, as in Chromium: 0xFF in one
// byte is -1, also where the device means 255 and Linux reads 255.
func (e element) signed() int32 {
	switch e.size {
	case 1:
		return int32(int8(e.data))
	case 2:
		return int32(int16(e.data))
	default:
		return int32(e.data)
	}
}

// globals are what global items set: it holds until it is set anew.
type globals struct {
	usagePage                        uint32
	logicalMinimum, logicalMaximum   int32
	physicalMinimum, physicalMaximum int32
	unitExponent, unit               uint32
	reportSize, reportCount          uint32
}

// locals are what local items set: it holds until the next main item. Designators, strings and delimiters
// are not in WebHID; the usages between delimiters are all in the list.
type locals struct {
	usages           []uint32
	minimum, maximum uint32
}

// node is a collection that is being built.
type node struct {
	parent   *node
	children []*node
	info     Collection
}

func (n *node) collections() []Collection {
	list := make([]Collection, len(n.children))
	for i, child := range n.children {
		list[i] = child.info
		list[i].Children = child.collections()
	}
	return list
}

type parser struct {
	root    node
	current *node // nil outside of all collections
	depth   int   // of collections, those beyond maxDepth counted too
	stack   []globals
	locals  locals
	id      uint8 // Push and Pop leave it alone, as in Chromium
	placed  int
}

func (p *parser) take(e element) {
	switch e.tag {
	case collection:
		p.open(e)
	case endCollection:
		p.close()
	case input, output, feature:
		p.place(e)
	default:
		p.set(e)
		return
	}
	p.locals = locals{}
}

func (p *parser) open(e element) {
	if p.depth++; p.depth > maxDepth {
		return
	}
	parent := p.current
	if parent == nil {
		parent = &p.root
	}
	n := &node{parent: p.current, info: Collection{
		Type:           uint8(e.data),
		InputReports:   []Report{},
		OutputReports:  []Report{},
		FeatureReports: []Report{},
	}}
	if len(p.locals.usages) > 0 {
		n.info.UsagePage, n.info.Usage = uint16(p.locals.usages[0]>>16), uint16(p.locals.usages[0])
	}
	if n.info.UsagePage == 0 {
		n.info.UsagePage = uint16(p.page())
	}
	parent.children = append(parent.children, n)
	p.current = n
}

func (p *parser) close() {
	if p.depth <= maxDepth && p.current != nil {
		p.current = p.current.parent
	}
	p.depth = max(p.depth-1, 0)
}

// place adds an item to the reports of all collections that are open.
func (p *parser) place(e element) {
	if p.current == nil {
		return
	}
	item := p.item(e.data)
	for n := p.current; n != nil; n = n.parent {
		n.info.add(e.tag, p.id, item)
		p.placed++
	}
}

func (c *Collection) add(tag, id uint8, item Item) {
	reports := &c.InputReports
	switch tag {
	case output:
		reports = &c.OutputReports
	case feature:
		reports = &c.FeatureReports
	}
	for i := range *reports {
		if r := &(*reports)[i]; r.ReportID == id {
			r.Items = append(r.Items, item)
			return
		}
	}
	*reports = append(*reports, Report{ReportID: id, Items: []Item{item}})
}

func (p *parser) set(e element) {
	switch e.tag {
	case usage:
		p.locals.usages = append(p.locals.usages, p.full(e.data))
	case usageMinimum:
		p.locals.minimum = p.full(e.data)
	case usageMaximum:
		p.locals.maximum = p.full(e.data)
	case push:
		if len(p.stack) > 0 {
			p.stack = append(p.stack, p.stack[len(p.stack)-1])
		}
	case pop:
		if len(p.stack) > 0 {
			p.stack = p.stack[:len(p.stack)-1]
		}
	case reportID:
		if p.current != nil {
			p.id = uint8(e.data)
		}
	default:
		p.setGlobal(e)
	}
}

func (p *parser) setGlobal(e element) {
	var g globals
	if len(p.stack) > 0 {
		g = p.stack[len(p.stack)-1]
	}
	switch e.tag {
	case usagePage:
		g.usagePage = e.data
	case logicalMinimum:
		g.logicalMinimum = e.signed()
	case logicalMaximum:
		g.logicalMaximum = e.signed()
	case physicalMinimum:
		g.physicalMinimum = e.signed()
	case physicalMaximum:
		g.physicalMaximum = e.signed()
	case unitExponent:
		g.unitExponent = e.data
	case unit:
		g.unit = e.data
	case reportSize:
		g.reportSize = e.data
	case reportCount:
		g.reportCount = e.data
	default: // reserved, long, or local items that WebHID does not show
		return
	}
	if len(p.stack) == 0 {
		p.stack = append(p.stack, g)
		return
	}
	p.stack[len(p.stack)-1] = g
}

func (p *parser) globals() globals {
	if len(p.stack) == 0 {
		return globals{}
	}
	return p.stack[len(p.stack)-1]
}

func (p *parser) page() uint32 { return p.globals().usagePage }

// full is a usage with its page: an extended usage has one, another has that of the latest Usage Page item.
func (p *parser) full(usage uint32) uint32 {
	if usage > 0xFFFF {
		return usage
	}
	return p.page()<<16 | usage
}

// item is what a main item with these flags declares.
func (p *parser) item(flags uint32) Item {
	g := p.globals()
	item := Item{
		IsConstant:        flags&(1<<0) != 0,
		IsArray:           flags&(1<<1) == 0,
		IsAbsolute:        flags&(1<<2) == 0,
		Wrap:              flags&(1<<3) != 0,
		IsLinear:          flags&(1<<4) == 0,
		HasPreferredState: flags&(1<<5) == 0,
		HasNull:           flags&(1<<6) != 0,
		IsVolatile:        flags&(1<<7) != 0,
		IsBufferedBytes:   flags&(1<<8) != 0,

		ReportSize:      g.reportSize,
		ReportCount:     g.reportCount,
		LogicalMinimum:  g.logicalMinimum,
		LogicalMaximum:  g.logicalMaximum,
		PhysicalMinimum: g.physicalMinimum,
		PhysicalMaximum: g.physicalMaximum,

		UnitExponent:                        exponent(g.unitExponent),
		UnitSystem:                          unitSystem(g.unit),
		UnitFactorLengthExponent:            exponent(g.unit >> 4),
		UnitFactorMassExponent:              exponent(g.unit >> 8),
		UnitFactorTimeExponent:              exponent(g.unit >> 12),
		UnitFactorTemperatureExponent:       exponent(g.unit >> 16),
		UnitFactorCurrentExponent:           exponent(g.unit >> 20),
		UnitFactorLuminousIntensityExponent: exponent(g.unit >> 24),
	}
	if p.locals.minimum != p.locals.maximum {
		minimum, maximum := p.locals.minimum, p.locals.maximum
		item.IsRange, item.UsageMinimum, item.UsageMaximum = true, &minimum, &maximum
		return item
	}
	item.Usages = p.locals.usages
	if item.Usages == nil {
		item.Usages = []uint32{}
	}
	return item
}

// exponent is the number that the lowest four bits stand for. The specification means -8 by 8; Chromium,
// and so every page, reads 8.
func exponent(bits uint32) int8 {
	if e := int8(bits & 0xF); e <= 8 {
		return e
	}
	return int8(bits&0xF) - 16
}

func unitSystem(unit uint32) string {
	switch unit & 0xF {
	case 0x0:
		return "none"
	case 0x1:
		return "si-linear"
	case 0x2:
		return "si-rotation"
	case 0x3:
		return "english-linear"
	case 0x4:
		return "english-rotation"
	case 0xF:
		return "vendor-defined"
	default:
		return "reserved"
	}
}
