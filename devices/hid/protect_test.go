package hid

import "testing"

func described(t *testing.T, name string, vendor, product uint16) Device {
	t.Helper()
	return Device{VendorID: vendor, ProductID: product, Collections: parsed(t, named(t, name))}
}

func TestProtect_WhatPagesDoNotSee(t *testing.T) {
	for _, c := range []struct {
		name            string
		vendor, product uint16
		left            int
	}{
		{"keyboard", 1, 1, 0},
		{"mouse", 1, 1, 0},
		{"fido", 1, 1, 0},
		{"gamepad", 1, 1, 1},
		{"vendor", 1, 1, 1},
		{"vendor", 0x1050, 0x0407, 0}, // a Yubikey, whatever it declares
		{"headset", 1, 1, 3},
		{"headset", 0x0B0E, 1, 3},    // Jabra: only one report goes
		{"system-keyboard", 1, 1, 1}, // the consumer control is left
		{"digitizer", 1, 1, 2},
	} {
		d, ok := Protect(described(t, c.name, c.vendor, c.product))
		if len(d.Collections) != c.left || ok != (c.left > 0) {
			t.Errorf("%s of %04x:%04x: %d collections are left, %d expected; shown: %v",
				c.name, c.vendor, c.product, len(d.Collections), c.left, ok)
		}
	}
}

func TestProtect_JabraKeepsAReport(t *testing.T) {
	whole := described(t, "headset", 0x0B0E, 1)
	d, _ := Protect(whole)
	vendor := d.Collections[2]
	if len(vendor.InputReports) != 1 || len(vendor.OutputReports) != 1 || vendor.OutputReports[0].ReportID != 6 {
		t.Errorf("reports of the vendor collection: %+v", vendor)
	}
	if len(whole.Collections[2].OutputReports) != 2 {
		t.Error("the device itself has changed")
	}
	for _, seen := range []Device{whole, d} {
		if seen.Allows(OutputReport, 5) || !seen.Allows(OutputReport, 6) || !seen.Allows(InputReport, 5) {
			t.Error("what is allowed is not what is shown")
		}
	}
}

func TestAllows_ReportsOfProtectedCollections(t *testing.T) {
	d, _ := Protect(described(t, "system-keyboard", 1, 1))
	for id, allowed := range map[byte]bool{1: false, 2: false, 3: true, 9: false} {
		if d.Allows(InputReport, id) != allowed {
			t.Errorf("input report %d is allowed: %v", id, !allowed)
		}
	}
	if pad := described(t, "gamepad", 1, 1); !pad.Allows(FeatureReport, 0x81) {
		t.Error("a report that a gamepad does not declare is not allowed")
	}
}

func TestSizes(t *testing.T) {
	for name, want := range map[string][4]int{
		"gamepad":  {1, 63, 31, 36},
		"vendor":   {0, 64, 64, 8},
		"keyboard": {0, 8, 1, 0},
	} {
		d := described(t, name, 1, 1)
		numbered := 0
		if d.HasReportID() {
			numbered = 1
		}
		got := [4]int{numbered, d.MaxSize(InputReport), d.MaxSize(OutputReport), d.MaxSize(FeatureReport)}
		if got != want {
			t.Errorf("%s: %v, %v expected", name, got, want)
		}
	}
}

func TestMatches_FiltersAndExclusions(t *testing.T) {
	n := func(n uint16) *uint16 { return &n }
	d := described(t, "headset", 0x0B0E, 0x0420)
	telephony := Filter{UsagePage: n(0x0B), Usage: n(0x05)}
	for _, c := range []struct {
		filters, exclusions []Filter
		want                bool
	}{
		{nil, nil, true},
		{[]Filter{{}}, nil, true},
		{[]Filter{{VendorID: n(0x0B0E)}}, nil, true},
		{[]Filter{{VendorID: n(0x0B0E), ProductID: n(1)}}, nil, false},
		{[]Filter{{VendorID: n(1)}, telephony}, nil, true},
		{[]Filter{{UsagePage: n(0x0B), Usage: n(0x01)}}, nil, false}, // page and usage of different collections
		{[]Filter{telephony}, []Filter{{VendorID: n(0x0B0E)}}, false},
		{nil, []Filter{{VendorID: n(2)}}, true},
	} {
		if got := Matches(c.filters, c.exclusions, d); got != c.want {
			t.Errorf("filters %+v, exclusions %+v: %v", c.filters, c.exclusions, got)
		}
	}
}
