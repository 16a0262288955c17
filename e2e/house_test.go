package e2e

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cdpbridge/cdpbridge/"

// walls says which packages of the module a package may import: those below
// the names. What is not listed may import what it likes.
var walls = map[string][]string{
	"chromium":    {"internal/atomicfile"},
	"cdp":         {},
	"gateway":     {"internal/hostport", "internal/httpauth"},
	"devices":     {"devices", "internal/atomicfile", "internal/grantfile", "internal/inpage", "internal/plugged", "internal/sysfs", "internal/uevent"},
	"permissions": {"internal/atomicfile", "internal/grantfile", "internal/inpage"},
	"endpoint":    {"bridge", "devices/virtual", "docs/protocol", "endpoint"},
	"kiosk":       {"bridge", "kiosk"},
	"bridgetest":  {"bridge", "bridgetest", "devices/virtual"},
	"cmd/bridge":  {"bridge", "chromium", "devices", "endpoint", "kiosk", "examples/site"},
}

func TestHouse_NobodyImportsThroughAWall(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for list := json.NewDecoder(strings.NewReader(string(out))); list.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := list.Decode(&p); err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module)
		for wall, allowed := range walls {
			if !below(room, wall) {
				continue
			}
			checked++
			for _, imported := range p.Imports {
				other, ours := strings.CutPrefix(imported, module)
				if ours && !slices.ContainsFunc(allowed, func(a string) bool { return below(other, a) }) {
					t.Errorf("%s imports %s", room, other)
				}
			}
		}
	}
	if checked < 3 {
		t.Errorf("only %d packages were looked at", checked)
	}
}

// below reports whether a package is a folder or lies below it.
func below(room, folder string) bool { return room == folder || strings.HasPrefix(room, folder+"/") }
