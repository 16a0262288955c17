package hid

import "slices"

// Protect gives d with the collections that pages see, and says whether there are any: a device of which
// nothing is left is not for pages at all. Left out are reports that the blocklist names, FIDO's among them,
// collections whose reports are all on it, and the top-level collections of keyboards, keypads, mice,
// pointers and system controls. Allows works on the result as on d.
func Protect(d Device) (Device, bool) {
	d.declared = d.all()
	blocked := d.blocked()
	d.Collections = []Collection{}
	for _, c := range d.declared {
		if protected(c) {
			continue
		}
		for kind := InputReport; kind <= FeatureReport; kind++ {
			c.setReports(kind, slices.DeleteFunc(slices.Clone(c.reports(kind)), func(r Report) bool {
				return blocked[kind][r.ReportID]
			}))
		}
		if len(c.InputReports)+len(c.OutputReports)+len(c.FeatureReports) > 0 {
			d.Collections = append(d.Collections, c)
		}
	}
	return d, len(d.Collections) > 0
}

// Allows says whether pages may read or write the report of that kind and id. One that the device does not
// declare is theirs unless a part of the device is protected: nobody knows what it does.
func (d Device) Allows(kind ReportKind, id byte) bool {
	if d.blocked()[kind][id] {
		return false
	}
	has := func(c Collection) bool {
		return slices.ContainsFunc(c.reports(kind), func(r Report) bool { return r.ReportID == id })
	}
	declared := slices.ContainsFunc(d.all(), has)
	return !slices.ContainsFunc(d.all(), func(c Collection) bool { return protected(c) && (!declared || has(c)) })
}

func (c *Collection) setReports(kind ReportKind, reports []Report) {
	switch kind {
	case InputReport:
		c.InputReports = reports
	case OutputReport:
		c.OutputReports = reports
	default:
		c.FeatureReports = reports
	}
}

// The usages that protect a top-level collection.
const (
	genericDesktop = 0x01
	keyboardPage   = 0x07
	fidoPage       = 0xF1D0

	pointer       = 0x01
	mouse         = 0x02
	keyboard      = 0x06
	keypad        = 0x07
	systemControl = 0x80
	systemRestart = 0x8F
	systemDock    = 0xA0
	systemDisplay = 0xB6
)

// The report that the blocklist names.
const (
	jabra       = 0x0B0E
	jabraPage   = 0xFF00
	jabraReport = 0x05
)

// protected says whether pages must not see c, whatever its reports are.
func protected(c Collection) bool {
	if c.UsagePage == keyboardPage || c.UsagePage == fidoPage {
		return true
	}
	if c.UsagePage != genericDesktop {
		return false
	}
	switch u := c.Usage; u {
	case pointer, mouse, keyboard, keypad:
		return true
	default:
		return systemControl <= u && u <= systemRestart || systemDock <= u && u <= systemDisplay
	}
}

// blocked are the ids of the reports that the blocklist names, by kind. A report id is blocked in the
// whole device, also if another collection has it too.
func (d Device) blocked() [3]map[byte]bool {
	var ids [3]map[byte]bool
	for kind := range ids {
		ids[kind] = map[byte]bool{}
		for _, c := range d.all() {
			for _, r := range c.reports(ReportKind(kind)) {
				if d.blocks(c, ReportKind(kind), r.ReportID) {
					ids[kind][r.ReportID] = true
				}
			}
		}
	}
	return ids
}

// blocks is the blocklist: FIDO, a report that Jabra keeps to itself, and security keys.
func (d Device) blocks(c Collection, kind ReportKind, id byte) bool {
	return c.UsagePage == fidoPage ||
		d.VendorID == jabra && c.UsagePage == jabraPage && kind == OutputReport && id == jabraReport ||
		slices.Contains(securityKeys[d.VendorID], d.ProductID)
}

// securityKeys are the products, by vendor, that Chromium keeps from pages as a whole.
var securityKeys = map[uint16][]uint16{
	0x096e: {0x0850, 0x0852, 0x0853, 0x0854, 0x0856, 0x0858, 0x085a, 0x085b, 0x0880}, // Feitian and relatives
	0x09c3: {0x0023},                                                                 // HID Global BlueTrust
	0x1050: {
		0x0010, 0x0018, 0x0030, 0x0110, 0x0111, 0x0112, 0x0113, 0x0114, 0x0115, 0x0116, 0x0120,
		0x0200, 0x0211, 0x0401, 0x0402, 0x0403, 0x0404, 0x0405, 0x0406, 0x0407, 0x0410,
	}, // Yubikey
	0x10c4: {0x8acf},         // U2F Zero
	0x1209: {0x4321, 0x4322}, // Mooltipass
	0x18d1: {0x5026},         // Titan
	0x1a44: {0x00bb},         // VASCO
	0x1d50: {0x60fc},         // OnlyKey
	0x1e0d: {0xf1ae, 0xf1d0}, // Keydo
	0x1ea8: {0xf025},         // Thetis
	0x20a0: {0x4287},         // Nitrokey
	0x24dc: {0x0101},         // JaCarta
	0x2581: {0xf1d0},         // Happlink
	0x2abe: {0x1002},         // Bluink
	0x2ccf: {0x0880},         // Feitian, HyperFIDO
}
