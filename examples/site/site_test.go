package site

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(Handler())
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestEveryFileIsServedWithItsTypeAndTheSecurityHeaders(t *testing.T) {
	server := serve(t)
	for path, kind := range map[string]string{
		"/": "text/html", "/how.html": "text/html", "/style.css": "text/css",
		"/app.js": "text/javascript", "/icon.svg": "image/svg+xml",
	} {
		response, body := get(t, server.URL+path)
		if response.StatusCode != http.StatusOK || body == "" || !strings.HasPrefix(response.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d, %q, %d bytes; want 200 and %s", path, response.StatusCode, response.Header.Get("Content-Type"), len(body), kind)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
			if response.Header.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
	if response, _ := get(t, server.URL+"/site.go"); response.StatusCode != http.StatusNotFound {
		t.Errorf("/site.go: %d, want 404: the source is no part of the site", response.StatusCode)
	}
}

func TestPagesReferOnlyToFilesOfTheSite(t *testing.T) {
	server := serve(t)
	reference := regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	names, err := fs.Glob(FS, "*.html")
	if err != nil || !slices.Contains(names, "index.html") {
		t.Fatal(names, err)
	}
	for _, name := range names {
		_, page := get(t, server.URL+"/"+strings.TrimSuffix(name, "index.html"))
		for _, match := range reference.FindAllStringSubmatch(page, -1) {
			if strings.Contains(match[1], ":") {
				t.Errorf("%s refers to %s, which is outside", name, match[1])
				continue
			}
			if response, _ := get(t, server.URL+"/"+match[1]); response.StatusCode != http.StatusOK {
				t.Errorf("%s refers to %s, which answers %d", name, match[1], response.StatusCode)
			}
		}
	}
}

func TestEveryElementThatTheScriptFillsIsOnTheFirstPage(t *testing.T) {
	script, err := FS.ReadFile("app.js")
	if err != nil {
		t.Fatal(err)
	}
	page, err := FS.ReadFile("index.html")
	if err != nil {
		t.Fatal(err)
	}
	matches := regexp.MustCompile(`getElementById\('([^']+)'\)`).FindAllStringSubmatch(string(script), -1)
	if len(matches) == 0 {
		t.Fatal("the script fills nothing")
	}
	for _, match := range matches {
		if !strings.Contains(string(page), `id="`+match[1]+`"`) {
			t.Errorf("index.html has no element %q", match[1])
		}
	}
}
