package hid

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// descriptor reads a file of bytes in hexadecimal with comments.
func descriptor(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digits := ""
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "#") {
			digits += strings.Join(strings.Fields(line), "")
		}
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func named(t testing.TB, name string) []byte {
	t.Helper()
	return descriptor(t, filepath.Join("testdata/descriptors", name+".hex"))
}

func parsed(t testing.TB, b []byte) []Collection {
	t.Helper()
	collections, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return collections
}

func TestParse_RealDescriptors(t *testing.T) {
	files, err := filepath.Glob("testdata/descriptors/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no descriptors: %v", err)
	}
	for _, file := range files {
		golden := strings.TrimSuffix(file, ".hex") + ".json"
		t.Run(strings.TrimSuffix(filepath.Base(file), ".hex"), func(t *testing.T) {
			got, err := json.MarshalIndent(parsed(t, descriptor(t, file)), "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParse_MaximaAreSignedAsInChromium(t *testing.T) {
	reports := parsed(t, named(t, "keyboard"))[0].InputReports
	keys := reports[0].Items[2]
	if keys.LogicalMinimum != 0 || keys.LogicalMaximum != -1 {
		t.Errorf("keys from %d to %d", keys.LogicalMinimum, keys.LogicalMaximum)
	}
	items := parsed(t, named(t, "numbers"))[0].InputReports[0].Items
	if items[0].LogicalMinimum != -1 || items[0].LogicalMaximum != -1 || items[0].PhysicalMaximum != -1 {
		t.Errorf("numbers: %+v", items[0])
	}
}

func TestParse_ReportsAreInEveryCollectionAroundThem(t *testing.T) {
	top := parsed(t, named(t, "digitizer"))
	if len(top) != 2 || len(top[0].Children) != 2 || len(top[0].Children[1].Children) != 1 {
		t.Fatalf("collections are not nested as declared: %+v", top)
	}
	inner := top[0].Children[1].Children[0].InputReports
	if len(inner) != 1 || inner[0].ReportID != 1 || len(inner[0].Items) != 1 {
		t.Fatalf("reports of the innermost collection: %+v", inner)
	}
	for _, around := range []Collection{top[0].Children[1], top[0]} {
		if around.InputReports[0].ReportID != 1 || len(around.InputReports[0].Items) <= 1 {
			t.Errorf("reports of a collection around it: %+v", around.InputReports)
		}
	}
}

func TestParse_PushAndPop(t *testing.T) {
	reports := parsed(t, named(t, "push-pop"))[0].InputReports
	if len(reports) != 2 || reports[0].ReportID != 1 || reports[1].ReportID != 2 {
		t.Fatalf("reports %+v", reports)
	}
	if buttons := reports[0].Items[0]; buttons.ReportSize != 1 || buttons.LogicalMaximum != 1 || !buttons.IsRange {
		t.Errorf("after Push: %+v", buttons)
	}
	if axes := reports[1].Items[0]; axes.ReportSize != 10 || axes.LogicalMaximum != 1023 || axes.Usages[0] != 0x10030 {
		t.Errorf("after Pop: %+v", axes)
	}
	if nothing := reports[1].Items[1]; nothing.ReportSize != 0 || nothing.Usages[0] != 0x32 {
		t.Errorf("after one Pop too many: %+v", nothing)
	}
}

func TestParse_LongItemsArePassedOver(t *testing.T) {
	top := parsed(t, named(t, "long-item"))
	if len(top) != 1 || len(top[0].InputReports) != 1 || len(top[0].InputReports[0].Items) != 1 {
		t.Errorf("collections %+v", top)
	}
}

func TestParse_LimitsWhatADescriptorTakes(t *testing.T) {
	if _, err := Parse(make([]byte, 65536)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("65536 bytes: %v", err)
	}
	// 50 collections, then nothing but one byte input items.
	hostile := append(bytes.Repeat([]byte{0xA0}, 100), bytes.Repeat([]byte{0x80}, 65000)...)
	if _, err := Parse(hostile); !errors.Is(err, ErrTooLarge) {
		t.Errorf("items by the thousand in each of 50 collections: %v", err)
	}
	depth := 0
	for c := parsed(t, bytes.Repeat([]byte{0xA0}, 65535)); len(c) > 0; c = c[0].Children {
		depth++
	}
	if depth != 50 {
		t.Errorf("%d collections in each other", depth)
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/descriptors/*.hex")
	if err != nil || len(files) == 0 {
		f.Fatalf("no descriptors: %v", err)
	}
	for _, file := range files {
		f.Add(descriptor(f, file))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		collections, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrTooLarge) || collections != nil {
				t.Fatalf("%d collections, %v", len(collections), err)
			}
			return
		}
		d := Device{Collections: collections}
		for kind := InputReport; kind <= FeatureReport; kind++ {
			if size := d.MaxSize(kind); size < 0 || size > maxReport {
				t.Fatalf("reports of %d bytes", size)
			}
		}
		seen, ok := Protect(d)
		if ok != (len(seen.Collections) > 0) {
			t.Fatal("a device with nothing left is shown")
		}
		for _, c := range seen.Collections {
			if protected(c) {
				t.Fatalf("page %x usage %x is shown", c.UsagePage, c.Usage)
			}
			for kind := InputReport; kind <= FeatureReport; kind++ {
				for _, r := range c.reports(kind) {
					if seen.Allows(kind, r.ReportID) != d.Allows(kind, r.ReportID) {
						t.Fatal("protection changes what is allowed")
					}
				}
			}
		}
	})
}
