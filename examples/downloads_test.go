package examples

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// A program says where a download goes and waits until it is there.
func Example_downloads() {
	ctx, b, server, end := start()
	defer end()
	dir, err := os.MkdirTemp("", "downloads-")
	check(err)
	defer os.RemoveAll(dir)
	s := b.DefaultSession()
	items := make(chan *bridge.DownloadItem, 1)
	s.OnWillDownload(func(e *bridge.WillDownloadEvent) {
		check(e.Item.SetSavePath(filepath.Join(dir, "report.html")))
		items <- e.Item
	})

	check(s.DownloadURL(ctx, server+"/report", bridge.DownloadURLOptions{}))
	item := <-items
	state, err := item.Wait(ctx)
	check(err)
	content, err := os.ReadFile(item.SavePath())
	check(err)
	fmt.Println(state, item.MimeType(), string(content))
	// Output: completed text/html <title>/report</title>
}
