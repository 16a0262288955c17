package bridge

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// words of clientmethods.txt.
var methodWords = map[string]bool{"passed": true, "everywhere": true, "rewritten": true, "emulated": true, "refused": true}

func TestAttach_SaysOfEveryMethodOfTheBrowserWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	b := sharedBrowser(t)
	text, err := b.ProtocolDescription(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	var protocol struct {
		Domains []struct {
			Domain   string
			Commands []struct{ Name string }
		}
	}
	if err := json.Unmarshal(text, &protocol); err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("../cdp/clientmethods.txt")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(table)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		if !methodWords[words[0]] {
			t.Errorf("%q is not a word of the table", words[0])
		}
		for _, name := range words[2:] {
			method := words[1] + "." + name
			if said[method] != "" {
				t.Errorf("%s stands in the table twice", method)
			}
			said[method] = words[0]
		}
	}
	methods := 0
	for _, domain := range protocol.Domains {
		for _, command := range domain.Commands {
			methods++
			if method := domain.Domain + "." + command.Name; said[method] == "" {
				t.Errorf("the table says nothing of %s", method)
			}
		}
	}
	if methods < 600 {
		t.Errorf("the browser has only %d methods", methods)
	}
}

// What is refused, and what is for pages only, does not reach the browser.
func TestAttach_RefusesWhatReachesBeyondTheSession(t *testing.T) {
	t.Parallel()
	c := attach(t, memorySession(t))
	table, err := os.ReadFile("../cdp/clientmethods.txt")
	if err != nil {
		t.Fatal(err)
	}
	page := c.call("Target.createTarget", `{"url":"about:blank"}`).Result["targetId"]
	session := c.call("Target.attachToTarget", fmt.Sprintf(`{"targetId":%q,"flatten":true}`, page)).Result["sessionId"].(string)
	for line := range strings.Lines(string(table)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "passed" && words[0] != "refused" {
			continue
		}
		for _, name := range words[2:] {
			method := words[1] + "." + name
			if r := c.call(method, "{}"); r.Error == nil || !strings.Contains(r.Error.Message, "not for a client of one session") {
				t.Errorf("%s of the browser: %+v", method, r)
			}
			if words[0] == "passed" {
				continue
			}
			if r := c.callOn(session, method, "{}"); r.Error == nil || !strings.Contains(r.Error.Message, "not for a client of one session") {
				t.Errorf("%s of a page: %+v", method, r)
			}
		}
	}
}
