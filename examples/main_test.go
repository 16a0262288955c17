package examples

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// start starts a browser, and a web server that answers each path with a page of
// its name.
func start() (ctx context.Context, b *bridge.Browser, server string, end func()) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<title>"+r.URL.Path+"</title>")
	}))
	b, err := bridge.Launch(ctx, bridge.Options{
		PrivilegedSchemes: []bridge.PrivilegedScheme{{Scheme: "app", Privileges: bridge.SchemePrivileges{Standard: true, Secure: true, SupportFetchAPI: true}}},
	})
	check(err)
	return ctx, b, pages.URL, func() {
		check(b.Close())
		pages.Close()
		cancel()
	}
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
