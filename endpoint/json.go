package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/bridge"
)

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "   ")
	out.Encode(value) // the caller may have gone
}

func fail(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// address is one that the caller can connect to, with the token that it gave.
func (r *request) address(path string) string {
	scheme := "ws://"
	if r.TLS != nil {
		scheme = "wss://"
	}
	return scheme + r.Host + path + "?token=" + url.QueryEscape(r.access.token)
}

// healthz answers whether every Chromium process does.
func (s *Server) healthz(w http.ResponseWriter, r *request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	if err := s.browser.Healthy(ctx); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"healthy": false, "problems": strings.Split(err.Error(), "\n")})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"healthy": true, "hosts": len(s.browser.Hosts()), "sessions": len(s.browser.Sessions())})
}

// version is /json/version.
func (s *Server) version(w http.ResponseWriter, r *request) {
	v, err := s.browser.Version(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	userAgent := v.UserAgent
	if session := s.present(r.partition); session != nil {
		if own, err := session.GetUserAgent(r.Context()); err == nil {
			userAgent = own
		}
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"Browser": v.Product, "Protocol-Version": v.ProtocolVersion, "User-Agent": userAgent,
		"V8-Version": v.JSVersion, "WebKit-Version": "537.36 (" + v.Revision + ")",
		"webSocketDebuggerUrl": r.address("/devtools/browser/" + escapePartition(r.partition)),
	})
}

// present is the session of a partition, nil if it was not created yet.
func (s *Server) present(partition string) *bridge.Session {
	for _, session := range s.browser.Sessions() {
		if samePartition(session.Partition(), partition) {
			return session
		}
	}
	return nil
}

// session is the session of the request's partition, which is created where there is
// none.
func (s *Server) session(r *request) (*bridge.Session, error) {
	q := r.URL.Query()
	return s.browser.FromPartition(r.Context(), r.partition, bridge.PartitionOptions{
		NoCache: q.Get("cache") == "false", OwnProcess: q.Get("ownProcess") == "true",
	})
}

// pageEntry is a page in /json/list.
type pageEntry struct {
	Description          string `json:"description"`
	DevtoolsFrontendURL  string `json:"devtoolsFrontendUrl"`
	ID                   string `json:"id"`
	Title                string `json:"title"`
	Type                 string `json:"type"`
	URL                  string `json:"url"`
	WebSocketDebuggerURL string `json:"webSocketDebuggerUrl"`
}

func (r *request) entry(page *bridge.WebContents) pageEntry {
	address := r.address("/devtools/page/" + page.ID())
	kind, rest, _ := strings.Cut(address, "://")
	return pageEntry{
		DevtoolsFrontendURL: "devtools://devtools/bundled/inspector.html?" + kind + "=" + url.QueryEscape(rest),
		ID:                  page.ID(), Title: page.LastTitle(), Type: "page", URL: page.URL(), WebSocketDebuggerURL: address,
	}
}

// list is /json/list. It creates no session.
func (s *Server) list(w http.ResponseWriter, r *request) {
	entries := []pageEntry{}
	if session := s.present(r.partition); session != nil {
		for _, page := range session.Pages() {
			entries = append(entries, r.entry(page))
		}
	}
	writeJSON(w, http.StatusOK, entries)
}

// newPage is /json/new. What follows the question mark is the URL, but for the
// parameters token and partition.
func (s *Server) newPage(w http.ResponseWriter, r *request) {
	if r.Method != http.MethodPut {
		http.Error(w, "Using unsafe HTTP verb "+r.Method+" to invoke /json/new. This action supports only PUT verb.", http.StatusMethodNotAllowed)
		return
	}
	parts := slices.DeleteFunc(strings.Split(r.URL.RawQuery, "&"), func(part string) bool {
		return strings.HasPrefix(part, "token=") || strings.HasPrefix(part, "partition=")
	})
	address, err := url.PathUnescape(strings.Join(parts, "&"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	session, err := s.session(r)
	if err != nil {
		fail(w, err)
		return
	}
	id, err := openPage(r, session, address)
	if err != nil {
		fail(w, err)
		return
	}
	if page := pageOf(session, id); page != nil {
		writeJSON(w, http.StatusOK, r.entry(page))
		return
	}
	http.Error(w, "the page is gone already", http.StatusInternalServerError)
}

func (s *Server) closePage(w http.ResponseWriter, r *request) {
	id := r.path[2]
	page := s.page(r, id)
	if page == nil {
		http.Error(w, "No such target id: "+id, http.StatusNotFound)
		return
	}
	if err := page.Close(r.Context()); err != nil {
		fail(w, err)
		return
	}
	w.Write([]byte("Target is closing"))
}

// page is the page with the id, in what the token opens.
func (s *Server) page(r *request, id string) *bridge.WebContents {
	for _, session := range s.browser.Sessions() {
		if !r.access.opens(session.Partition()) {
			continue
		}
		if page := pageOf(session, id); page != nil {
			return page
		}
	}
	return nil
}

func pageOf(session *bridge.Session, id string) *bridge.WebContents {
	for _, page := range session.Pages() {
		if page.ID() == id {
			return page
		}
	}
	return nil
}
