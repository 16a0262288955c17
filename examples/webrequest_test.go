package examples

import (
	"context"
	"fmt"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// Requests of one session are blocked, while those of another go on.
func Example_blockRequests() {
	ctx, b, server, end := start()
	defer end()
	strict, err := b.FromPartition(ctx, "strict", bridge.PartitionOptions{})
	check(err)
	remove, err := strict.WebRequest().OnBeforeRequest(
		bridge.WebRequestFilter{URLs: []string{"*://*/ads/*"}},
		func(ctx context.Context, d *bridge.BeforeRequestDetails) bridge.BeforeRequestResult {
			return bridge.BeforeRequestResult{Cancel: true}
		})
	check(err)
	defer remove()

	for _, s := range []*bridge.Session{strict, b.DefaultSession()} {
		page, err := s.NewPage(ctx, server+"/shop")
		check(err)
		answer, err := bridge.Evaluate[string](ctx, page, `fetch('/ads/1').then((r) => 'loaded', (e) => 'blocked')`)
		check(err)
		fmt.Printf("session %q: %s\n", s.Partition(), answer)
	}
	// Output:
	// session "strict": blocked
	// session "": loaded
}
