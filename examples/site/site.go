// Package site is the small website that the program shows when it is given no address. Its
// first page counts visits in a cookie and in local storage, so that running the program twice
// shows which session remembers.
package site

import (
	"embed"
	"net/http"
)

// FS holds the site's files. index.html is the first page.
//
//go:embed *.html style.css app.js icon.svg
var FS embed.FS

// Handler serves the site. It needs the same address each time for local storage to go on
// counting: local storage belongs to scheme, host and port, while the cookie belongs to the host.
//
// The pages may load nothing from elsewhere, and browsers do not cache them.
func Handler() http.Handler {
	files := http.FileServerFS(FS)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		files.ServeHTTP(w, r)
	})
}
