package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// defaultCredentials reads in a net log which servers could have had the
// credentials of the system's user.
func defaultCredentials(t *testing.T, path string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	could := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		var event struct {
			Params struct {
				Origin string `json:"origin"`
				Scheme string `json:"scheme"`
				Allows bool   `json:"allows_default_credentials"`
			} `json:"params"`
		}
		if json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(line), ",")), &event) == nil && event.Params.Scheme == "negotiate" {
			host, _, _ := strings.Cut(strings.TrimPrefix(event.Params.Origin, "http://"), ":")
			could[host] = could[host] || event.Params.Allows
		}
	}
	return could
}

func TestAllowNTLMCredentials_CX85_IsForServersOnTheListAndForAllSessions(t *testing.T) {
	server := fixture.New(t)
	server.Handle("/negotiate", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Negotiate")
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "<title>negotiate</title>")
	})
	dir, err := os.MkdirTemp("", "bridge-ntlm-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil { // for Chromium's user
		t.Fatal(err)
	}
	o := testOptions(server, filepath.Join(dir, "user"))
	first, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	testPage(t, first.DefaultSession(), server.URL("allowed.test", "/negotiate")) // Chromium notes that there are such servers
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	o.Args = append(o.Args, "--log-net-log="+log)
	load := func(s *Session, host string) {
		t.Helper()
		page, err := s.NewPage(testContext(t), server.URL(host, "/negotiate"))
		if err != nil {
			t.Fatal(err)
		}
		page.Close(testContext(t))
	}
	// Not every start of Chromium heeds it: see AllowNTLMCredentialsForDomains.
	var b *Browser
	var created *Session
	for start := 0; ; start++ {
		if b, err = Launch(testContext(t), o); err != nil {
			t.Fatal(err)
		}
		if created, err = b.FromPartition(testContext(t), "created", PartitionOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := created.AllowNTLMCredentialsForDomains(testContext(t), "allowed.test,created.test"); err != nil {
			t.Fatal(err)
		}
		heeded := false
		for set := time.Now(); time.Since(set) < 5*time.Second; { // it takes 2 to 3 where it is heeded
			load(b.DefaultSession(), "allowed.test")
			if heeded = defaultCredentials(t, log)["allowed.test"]; heeded {
				break
			}
			time.Sleep(100 * time.Millisecond) // it tells nobody when
		}
		if heeded {
			break
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if start == 9 {
			t.Fatal("it does not take effect")
		}
	}
	defer b.Close()
	load(b.DefaultSession(), "other.test")
	load(created, "created.test")
	load(created, "allowed.test")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	could := defaultCredentials(t, log)
	if !could["created.test"] || could["other.test"] {
		t.Errorf("%v", could)
	}
}
