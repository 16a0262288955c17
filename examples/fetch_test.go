package examples

import (
	"fmt"
	"io"
	"net/http"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// A request of the program passes the listeners and handlers of its session.
func Example_fetch() {
	ctx, b, _, end := start()
	defer end()
	s := b.DefaultSession()
	check(s.Protocol().Handle("http", func(r *http.Request) (*http.Response, error) { // in the place of a server
		return &http.Response{Body: io.NopCloser(r.Body), Header: http.Header{"X-Seen": {r.URL.Host}}}, nil
	}))

	r, err := http.NewRequestWithContext(ctx, "GET", "http://api.example/", nil)
	check(err)
	response, err := s.Fetch(r, bridge.FetchOptions{})
	check(err)
	defer response.Body.Close()
	fmt.Println(response.StatusCode, response.Header.Get("X-Seen"))
	// Output: 200 api.example
}
