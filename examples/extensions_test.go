package examples

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// A program loads an extension of its own into a session.
func Example_extensions() {
	ctx, b, server, end := start()
	defer end()
	dir, err := os.MkdirTemp("", "extension-")
	check(err)
	defer os.RemoveAll(dir)
	check(os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{
		"manifest_version": 3, "name": "Hello", "version": "1.0",
		"content_scripts": [{"matches": ["<all_urls>"], "js": ["hello.js"], "run_at": "document_start"}]
	}`), 0o600))
	check(os.WriteFile(filepath.Join(dir, "hello.js"), []byte(`document.documentElement.lang = "hello"`), 0o600))

	s := b.DefaultSession()
	extension, err := s.LoadExtension(ctx, dir, bridge.LoadExtensionOptions{})
	check(err)
	page, err := s.NewPage(ctx, server+"/page")
	check(err)
	lang, err := bridge.Evaluate[string](ctx, page, `document.documentElement.lang`)
	check(err)
	fmt.Println(extension.Name, extension.Version, lang)
	// Output: Hello 1.0 hello
}
