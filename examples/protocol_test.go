package examples

import (
	"fmt"
	"net/http"
	"testing/fstest"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// A scheme of the program's own is served by an http.Handler.
func Example_customScheme() {
	ctx, b, _, end := start()
	defer end()
	files := fstest.MapFS{
		"index.html": {Data: []byte(`<title>An app</title>`)},
		"data.json":  {Data: []byte(`{"answer": 42}`)},
	}
	s := b.DefaultSession()
	check(s.Protocol().Handle("app", bridge.HTTPHandler(http.FileServerFS(files))))

	page, err := s.NewPage(ctx, "app://main/")
	check(err)
	title, err := page.Title(ctx)
	check(err)
	answer, err := bridge.Evaluate[int](ctx, page, `fetch('/data.json').then(async (r) => (await r.json()).answer)`)
	check(err)
	fmt.Println(page.URL(), title, answer)
	// Output: app://main/ An app 42
}
