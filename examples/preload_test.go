package examples

import (
	"context"
	"fmt"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// A preload script sees every page before the page's own scripts run, in a world
// of its own, and calls Go.
func Example_preload() {
	ctx, b, server, end := start()
	defer end()
	s := b.DefaultSession()
	seen := make(chan string, 1)
	check(bridge.Expose(ctx, s, "seen", func(ctx context.Context, from bridge.Caller, title string) (any, error) {
		seen <- title
		return nil, nil
	}))
	_, err := s.RegisterPreloadScript(ctx, bridge.PreloadScript{
		Source: `addEventListener('DOMContentLoaded', () => bridge.invoke('seen', document.title))`,
	})
	check(err)

	_, err = s.NewPage(ctx, server+"/welcome")
	check(err)
	fmt.Println(<-seen)
	// Output: /welcome
}
