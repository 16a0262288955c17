package bridge

import (
	_ "embed"
	"fmt"
	"strings"

	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// The in-page side of custom schemes.
var (
	//go:embed js/schemes/urls.js
	schemeURLsJS string
	//go:embed js/schemes/requests.js
	schemeRequestsJS string
	//go:embed js/schemes/navigations.js
	schemeNavigationsJS string
)

// scripts are what runs in frames so that their scripts can ask for URLs of the
// schemes, and navigate to them: one in the page's own world, which is for
// workers too, and one in an isolated world.
func (s schemes) scripts(registered []string) (requests, navigations string) {
	type privileges struct {
		Secure bool `json:"secure"`
		Fetch  bool `json:"fetch"`
		CORS   bool `json:"cors"`
	}
	known := map[string]privileges{}
	for _, scheme := range registered {
		p := s[scheme]
		known[scheme] = privileges{p.Secure, p.SupportFetchAPI, p.CORSEnabled}
	}
	table, err := jsonv2.Marshal(known)
	if err != nil {
		panic(err) // of names and booleans
	}
	call := func(script string) string {
		return fmt.Sprintf("(%s)((%s)(%s, %q))", strings.TrimSpace(script), strings.TrimSpace(schemeURLsJS), table, wireSuffix)
	}
	return call(schemeRequestsJS), call(schemeNavigationsJS)
}
