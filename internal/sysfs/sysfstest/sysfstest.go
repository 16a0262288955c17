// Package sysfstest makes directories that look like those of Linux machines with other devices.
package sysfstest

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tree makes the files that a description names and gives the directory that stands for "/". A line of it is
//
//	path: text        a file with one line; `\n` in the text starts another
//	path = 12 01 ff   a file with these bytes
//	path -> path      a symbolic link to another path of the tree
//
// Descriptions are one file because names in sysfs have characters that files of a Go module cannot have.
func Tree(t testing.TB, description string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(description)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			Add(t, root, line)
		}
	}
	return root
}

// Add makes what one line of a description says.
func Add(t testing.TB, root, line string) {
	t.Helper()
	name, rest, ok := strings.Cut(line, " ")
	if !ok {
		t.Fatalf("line %q of a tree has no content", line)
	}
	var err error
	path := filepath.Join(root, strings.TrimSuffix(name, ":"))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasSuffix(name, ":"):
		err = os.WriteFile(path, []byte(strings.ReplaceAll(rest, `\n`, "\n")+"\n"), 0o644)
	case strings.HasPrefix(rest, "= "):
		var b []byte
		if b, err = hex.DecodeString(strings.Join(strings.Fields(rest[2:]), "")); err == nil {
			err = os.WriteFile(path, b, 0o644)
		}
	case strings.HasPrefix(rest, "-> "):
		err = os.Symlink(filepath.Join(root, rest[3:]), path)
	default:
		t.Fatalf("line %q of a tree is none of the three kinds", line)
	}
	if err != nil {
		t.Fatal(err)
	}
}
