package bridge

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

func TestLocalStreams_AreLetInBesideWhatTheCallerSays(t *testing.T) {
	l := newLocalStreams()
	defer l.close()
	given := []string{"--ip-address-space-overrides=10.0.0.1:1=public", "--ip-address-space-overrides=10.0.0.1:2=local", "--lang=fr"}
	for _, c := range []struct{ args, want []string }{
		{nil, []string{addressSpacesSwitch}},
		{given[2:], []string{"--lang=fr", addressSpacesSwitch}},
		{given, []string{given[0], given[1] + ",", "--lang=fr"}},
	} {
		before := slices.Clone(c.args)
		got, err := l.letIn(c.args)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if want == addressSpacesSwitch || want == given[1]+"," {
				c.want[i] += l.address + "=public"
			}
		}
		if !slices.Equal(got, c.want) || !slices.Equal(c.args, before) {
			t.Errorf("%q became %q, not %q", before, got, c.want)
		}
	}
}

func TestLocalStreams_PagesOfTheInternetGetThem(t *testing.T) {
	server := fixture.New(t)
	at, err := url.Parse(server.URL("a.test", "/page/far"))
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(server, testDir(t))
	o.Args = append(o.Args, addressSpacesSwitch+"127.0.0.1:"+at.Port()+"=public")
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	page := testPage(t, b.DefaultSession(), at.String())
	handles(t, b.DefaultSession(), "http", func(r *http.Request) (*http.Response, error) {
		response := textResponse("streamed")
		response.ContentLength = -1
		return response, nil
	})
	want(t, page, "fetch('/stream').then((r) => r.text())", "streamed")
}
