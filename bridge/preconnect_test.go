package bridge

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestPreconnect_OpensAConnectionThatThePageUses(t *testing.T) {
	for _, kind := range sessionKinds {
		t.Run(kind, func(t *testing.T) {
			server := fixture.New(t)
			s := testSession(t, kind)
			if err := s.Preconnect(testContext(t), PreconnectOptions{URL: server.URL("a.test", "/path?query")}); err != nil {
				t.Fatal(err)
			}
			before := server.Connections()
			if before == 0 || len(server.Requests()) > 0 {
				connections(t, server, 1)
				before = server.Connections()
			}
			testPage(t, s, server.URL("a.test", "/small"))
			if n := server.Connections(); n != before {
				t.Errorf("%d connections ahead, %d afterwards", before, n)
			}
		})
	}
}

func TestPreconnect_BRW3167_OpensAsManyConnectionsAsAsked(t *testing.T) {
	server := fixture.New(t)
	s := memorySession(t)
	if err := s.Preconnect(testContext(t), PreconnectOptions{URL: server.URL("a.test", "/"), NumSockets: 4}); err != nil {
		t.Fatal(err)
	}
	testPage(t, s, server.URL("a.test", "/small"))
	if n := server.Connections(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
}

func TestPreconnect_BRW3176_DoesNotHappenUnasked(t *testing.T) {
	server := fixture.New(t)
	testPage(t, memorySession(t), server.URL("a.test", "/small"))
	if n := server.Connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestPreconnects_CX91_AreFollowedByNobodyInASharedProcess(t *testing.T) {
	t.Parallel()
	server, hinted := fixture.New(t), fixture.New(t)
	server.Handle("/hint", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<link rel=preconnect href="+hinted.URL("b.test", "/")+">")
	})
	s := memorySession(t)
	hints := events(s.Preconnects(t.Context()))
	testPage(t, s, server.URL("a.test", "/hint"))
	next(t, hints)
	if n := hinted.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestPreconnect_CX71_RefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	for text, o := range map[string][]PreconnectOptions{
		"Must pass non-empty valid url to session.preconnect.": {{}, {URL: "no url"}, {URL: "ftp://a.test/"}},
		"numSocketsToPreconnect is outside range [1,6]":        {{URL: "http://a.test/", NumSockets: -1}, {URL: "http://a.test/", NumSockets: 7}},
	} {
		for _, o := range o {
			if err := s.Preconnect(testContext(t), o); !errors.As(err, new(*InvalidArgumentError)) || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
}

func TestPreconnects_BRW3182_TellsOfHintsOfItsSession(t *testing.T) {
	t.Parallel()
	server := fixture.New(t)
	server.Handle("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `<//header.test>; rel=preconnect; crossorigin, </style.css>; rel=preload; as=style`)
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<link rel=preconnect href=//example.com><link rel="dns-prefetch preconnect" href=http://anonymous.test:81/path crossorigin>
			<script>
				const late = document.createElement("link");
				late.rel = "preconnect";
				document.head.append(late);
				late.href = "https://late.test";
			</script>`)
	})
	s, other := namedSession(t, "listens"), namedSession(t, "other")
	hints, none := events(s.Preconnects(t.Context())), events(other.Preconnects(t.Context()))
	page := testPage(t, s, server.URL("a.test", "/hints"))
	got := map[string]bool{}
	for range 4 {
		hint := next(t, hints)
		got[hint.PreconnectURL] = hint.AllowCredentials
		if hint.WebContents != page {
			t.Errorf("%s is of %v", hint.PreconnectURL, hint.WebContents)
		}
	}
	for url, credentials := range map[string]bool{"http://example.com/": true, "http://anonymous.test:81/": false, "https://late.test/": true, "http://header.test/": false} {
		if allowed, told := got[url]; !told || allowed != credentials {
			t.Errorf("%s: told %v, credentials %v", url, told, allowed)
		}
	}
	testPage(t, s, server.URL("a.test", "/hints")) // twice, that the first may have told all
	for range 4 {
		next(t, hints)
	}
	if len(hints) > 0 || len(none) > 0 {
		t.Errorf("%d hints more, %d in the other session", len(hints), len(none))
	}
}
