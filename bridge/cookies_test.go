package bridge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// eachKind runs a test in the default session, which is on disk, and in one in
// memory. The cookies of the default one are cleared first: tests share it.
func eachKind(t *testing.T, test func(t *testing.T, s *Session)) {
	for _, kind := range []string{"default", "memory"} {
		t.Run(kind, func(t *testing.T) {
			s := testSession(t, kind)
			if kind == "default" {
				if err := s.cookies.remove(testContext(t), "emptying the jar", func(Cookie) bool { return true }); err != nil {
					t.Fatal(err)
				}
			}
			test(t, s)
		})
	}
}

func setCookie(t *testing.T, s *Session, details CookieDetails) {
	t.Helper()
	if err := s.Cookies().Set(testContext(t), details); err != nil {
		t.Fatalf("setting %+v: %v", details, err)
	}
}

func getCookies(t *testing.T, s *Session, filter CookieFilter) []Cookie {
	t.Helper()
	cookies, err := s.Cookies().Get(testContext(t), filter)
	if err != nil {
		t.Fatal(err)
	}
	return cookies
}

// names are those of the cookies that a filter chooses, in order.
func names(t *testing.T, s *Session, filter CookieFilter) string {
	t.Helper()
	var names []string
	for _, k := range getCookies(t, s, filter) {
		names = append(names, k.Name)
	}
	return strings.Join(names, " ")
}

func inSeconds(n float64) *float64 { return new(float64(time.Now().Unix()) + n) }

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCookies_SES0088_GetFindsWhatAServerHasSetWhateverThePort(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		testPage(t, s, shared.server.URL("a.test", "/set-cookie?0=0"))
		wantEqual(t, "cookies of the host without port", names(t, s, CookieFilter{URL: "http://a.test"}), "0")
	})
}

func TestCookies_NSE0237_CookieOfAHeaderHasElectronsFields(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		testPage(t, s, shared.server.URL("127.0.0.1", "/set-cookie?foo=bar"))
		wantEqual(t, "cookies", getCookies(t, s, CookieFilter{}), []Cookie{{
			Name: "foo", Value: "bar", Domain: "127.0.0.1", HostOnly: true, Path: "/", Session: true, SameSite: "unspecified",
		}})
	})
}

func TestCookies_SES0114_CookieWithoutExpirationIsASessionCookie(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		setCookie(t, s, CookieDetails{URL: "http://127.0.0.1/a/b", Name: "n", Value: "v"})
		wantEqual(t, "cookies", getCookies(t, s, CookieFilter{URL: "http://127.0.0.1/a/"}), []Cookie{{
			Name: "n", Value: "v", Domain: "127.0.0.1", HostOnly: true, Path: "/a", Session: true, SameSite: "lax",
		}})
	})
}

func TestCookies_SES0126_CookieNeedsNoName(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		setCookie(t, s, CookieDetails{URL: "http://a.test/", Value: "2"})
		setCookie(t, s, CookieDetails{URL: "http://a.test/", Name: "named"})
		wantEqual(t, "cookies without a name", getCookies(t, s, CookieFilter{Name: new("")}), []Cookie{{
			Value: "2", Domain: "a.test", HostOnly: true, Path: "/", Session: true, SameSite: "lax",
		}})
	})
}

func TestCookies_SES0137_SameSiteComesBackAsItWasSet(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, word := range []string{"unspecified", "no_restriction", "lax", "strict"} {
			setCookie(t, s, CookieDetails{URL: "http://127.0.0.1", Name: word, Value: "v", SameSite: word})
			wantEqual(t, word, getCookies(t, s, CookieFilter{URL: "http://127.0.0.1", Name: &word}), []Cookie{{
				Name: word, Value: "v", Domain: "127.0.0.1", HostOnly: true, Path: "/", Session: true, SameSite: word,
				Secure: word == "no_restriction",
			}})
		}
	})
}

func TestCookies_CX56_SecureIsTheDefaultWithNoRestrictionOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, word := range []string{"", "unspecified", "no_restriction", "lax", "strict"} {
			setCookie(t, s, CookieDetails{URL: "https://a.test", Name: "n" + word, SameSite: word, Value: "v"})
			k := getCookies(t, s, CookieFilter{Name: new("n" + word)})
			if len(k) != 1 || k[0].Secure != (word == "no_restriction") {
				t.Errorf("sameSite %q: %+v", word, k)
			}
		}
	})
}

func TestCookies_SES0196_SetOverwrites(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, value := range []string{"No", "Yes"} {
			setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "did-overwrite", Value: value, ExpirationDate: inSeconds(120)})
			k := getCookies(t, s, CookieFilter{URL: "http://a.test"})
			if len(k) != 1 || k[0].Value != value || k[0].Session {
				t.Errorf("after setting %s: %+v", value, k)
			}
		}
	})
}

func TestCookies_CX58_ExpirationDateZeroDeletes(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, past := range []float64{0, -5, 1} {
			setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "n", Value: "v", ExpirationDate: inSeconds(120)})
			setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "n", Value: "v", ExpirationDate: &past})
			wantEqual(t, fmt.Sprint("cookies after ", past), names(t, s, CookieFilter{}), "")
		}
	})
}

func TestCookies_NoCookieLastsLongerThan400Days(t *testing.T) {
	s := testSession(t, "memory")
	for i, far := range []float64{math.Inf(1), math.MaxFloat64, 1e11, float64(time.Now().Unix()) + 1e9} {
		name := fmt.Sprint("n", i)
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: name, ExpirationDate: &far})
		k := getCookies(t, s, CookieFilter{Name: &name})
		if len(k) != 1 || math.Abs(k[0].ExpirationDate-*inSeconds(400 * 24 * 3600)) > 60 {
			t.Errorf("until %g: %+v", far, k)
		}
	}
	if err := s.Cookies().Set(testContext(t), CookieDetails{URL: "http://a.test", Name: "n", ExpirationDate: new(math.NaN())}); err == nil {
		t.Error("not a number was taken for a date")
	}
}

func TestCookies_SES0207_RemoveTakesEveryCookieThatTheURLSees(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, d := range []CookieDetails{
			{URL: "https://www.a.test/x/y", HTTPOnly: true}, {URL: "https://www.a.test", SameSite: "strict"},
			{URL: "https://www.a.test", Domain: "a.test", SameSite: "no_restriction"},
			{URL: "https://www.a.test/z/"}, {URL: "https://a.test/"},
		} {
			d.Name, d.Value = "n", "v"
			setCookie(t, s, d)
		}
		setCookie(t, s, CookieDetails{URL: "https://www.a.test", Name: "other", Value: "v"})
		if err := s.Cookies().Remove(testContext(t), "https://www.a.test/x/y/z", "n"); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "what is left", names(t, s, CookieFilter{}), "n n other")
		wantEqual(t, "what the URL sees", names(t, s, CookieFilter{URL: "https://www.a.test/x/y/z"}), "other")
	})
}

func TestCookies_RemoveTakesCookiesThatOnlyPagesCanWrite(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		page := testPage(t, s, shared.server.TLSURL("good.test", "/page/writer"))
		evaluated[string](t, page, `document.cookie = 'n=1; Path=/ü/../x'`)
		evaluated[string](t, page, `document.cookie = '__Host-p=1; Secure; Path=/; Partitioned'`)
		if got := names(t, s, CookieFilter{}); got != "n __Host-p" {
			t.Fatalf("the page wrote %q", got)
		}
		if err := s.cookies.remove(testContext(t), "removing", func(Cookie) bool { return true }); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "what is left", names(t, s, CookieFilter{}), "")
	})
}

func TestCookies_CX60_RemovingNothingIsNoError(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "n", Value: "v"})
		for _, url := range []string{"http://b.test", "asdf", ""} {
			if err := s.Cookies().Remove(testContext(t), url, "n"); err != nil {
				t.Errorf("%q: %v", url, err)
			}
		}
		wantEqual(t, "cookies", names(t, s, CookieFilter{}), "n")
	})
}

func TestCookies_FiltersByAttributes(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		page := testPage(t, s, shared.server.TLSURL("good.test", "/page/here"))
		for _, line := range []string{"plain=1", "secure=1&Secure", "lasting=1&Max-Age=60", "http=1&HttpOnly", "path=1&Path=/p"} {
			evaluated[any](t, page, `line => fetch('/set-cookie?' + line).then(() => null)`, line)
		}
		for name, test := range map[string]struct {
			filter CookieFilter
			want   string
		}{
			"NSE0368 secure":     {CookieFilter{Secure: new(true)}, "secure"},
			"NSE0368 not secure": {CookieFilter{Secure: new(false)}, "path plain lasting http"},
			"NSE0413 session":    {CookieFilter{Session: new(true)}, "path plain secure http"},
			"NSE0413 lasting":    {CookieFilter{Session: new(false)}, "lasting"},
			"NSE0445 http":       {CookieFilter{HTTPOnly: new(true)}, "http"},
			"NSE0445 not http":   {CookieFilter{HTTPOnly: new(false)}, "path plain secure lasting"},
			"path":               {CookieFilter{Path: "/p"}, "path"},
			"path is no prefix":  {CookieFilter{Path: "/p/q"}, ""},
			"several":            {CookieFilter{HTTPOnly: new(false), Path: "/", Session: new(true)}, "plain secure"},
		} {
			wantEqual(t, name, names(t, s, test.filter), test.want)
		}
	})
}

func TestCookies_FiltersByDomain(t *testing.T) {
	for name, test := range map[string]struct {
		set   []CookieDetails
		found map[string]int // by domain in the filter
	}{
		"SES0413 subdomain":   {[]CookieDetails{{URL: "https://sub.example.com", Domain: "example.com"}}, map[string]int{"sub.example.com": 1}},
		"SES0426 unrelated":   {[]CookieDetails{{URL: "https://example.com"}}, map[string]int{"other.com": 0}},
		"SES0439 leading dot": {[]CookieDetails{{URL: "https://example.com", Domain: ".example.com"}}, map[string]int{".example.com": 1}},
		"SES0452 case":        {[]CookieDetails{{URL: "https://example.com", Domain: "Example.com"}}, map[string]int{"example.com": 1}},
		"SES0478 addresses":   {[]CookieDetails{{URL: "https://127.0.0.1", Domain: "127.0.0.1"}}, map[string]int{"127.0.0.1": 1, "127.0.0.2": 0}},
		"SES0491 several levels": {[]CookieDetails{{URL: "https://a.b.example.com", Domain: ".example.com"}},
			map[string]int{"a.b.example.com": 1, "b.example.com": 1, "example.com": 1, "otherexample.com": 0}},
		"SES0518 several": {[]CookieDetails{{URL: "https://example.com", Domain: "example.com"}, {URL: "https://other.com", Domain: "other.com"}},
			map[string]int{"example.com": 1, "other.com": 1, "": 2}},
		"CX59 host only": {[]CookieDetails{{URL: "https://sub.example.com"}}, map[string]int{"example.com": 0, "sub.example.com": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSession(t, "memory")
			for _, d := range test.set {
				d.Name, d.Value = "n", "v"
				setCookie(t, s, d)
			}
			for domain, want := range test.found {
				wantEqual(t, "found for "+domain, len(getCookies(t, s, CookieFilter{Domain: domain})), want)
			}
		})
	}
}

// TestCookies_CX61 compares with what Chromium itself sends.
func TestCookies_CX61_URLFilterIsWhatWouldBeSent(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		for _, d := range []CookieDetails{
			{URL: "https://good.test/", Name: "root"},
			{URL: "https://good.test/", Name: "http", HTTPOnly: true},
			{URL: "https://good.test/", Name: "strict", SameSite: "strict"},
			{URL: "https://good.test/", Name: "secure", Secure: new(true)},
			{URL: "https://good.test/", Name: "none", SameSite: "no_restriction"},
			{URL: "https://good.test/", Name: "domain", Domain: "good.test"},
			{URL: "https://sub.good.test/", Name: "sub"},
			{URL: "https://sub.good.test/", Name: "parent", Domain: "good.test"},
			{URL: "https://good.test/", Name: "cookies", Path: "/cookies"},
			{URL: "https://good.test/", Name: "slash", Path: "/cookies/"},
			{URL: "https://good.test/", Name: "part", Path: "/cook"},
			{URL: "https://bgood.test/", Name: "elsewhere"},
			{URL: "http://localhost/", Name: "local", Secure: new(true)},
		} {
			d.Value = "v"
			setCookie(t, s, d)
		}
		page := testPage(t, s, "")
		for _, url := range []string{
			shared.server.URL("good.test", "/cookies"), shared.server.TLSURL("good.test", "/cookies"),
			shared.server.URL("sub.good.test", "/cookies"), shared.server.URL("localhost", "/cookies"),
			shared.server.URL("good.test", "/./x/../cookies?a=/b#c"),
		} {
			if err := page.LoadURL(testContext(t), url, LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			sent := strings.ReplaceAll(strings.ReplaceAll(evaluated[string](t, page, "document.body.innerText"), "=v", ""), ";", "")
			if sent == "" {
				t.Errorf("%s: nothing was sent", url)
			}
			wantEqual(t, url, names(t, s, CookieFilter{URL: url}), sent)
		}
		wantEqual(t, "no URL", names(t, s, CookieFilter{URL: "asdf"}), "")
		wantEqual(t, "a URL without cookies", names(t, s, CookieFilter{URL: "file:///tmp"}), "")
	})
}

func TestCookies_SetRefusesWithElectronsTexts(t *testing.T) {
	s := testSession(t, "memory")
	set := CookieDetails{URL: "https://example.com", Name: "n", Value: "v"}
	change := func(f func(*CookieDetails)) CookieDetails { d := set; f(&d); return d }
	for name, test := range map[string]struct {
		details CookieDetails
		want    string
	}{
		"CX54 no URL":              {CookieDetails{Name: "a"}, "Missing required option 'url'"},
		"CX55 sameSite":            {change(func(d *CookieDetails) { d.SameSite = "x" }), "Failed to convert 'x' to an appropriate cookie same site value"},
		"SES0166 URL without host": {change(func(d *CookieDetails) { d.URL = "http://" }), reasonDomain},
		"SES0176 invalid URL":      {change(func(d *CookieDetails) { d.URL = "asdf" }), reasonDomain},
		"SES0186 character":        {change(func(d *CookieDetails) { d.Value = "test;test" }), reasonCharacter},
		"NSE0401 foreign domain":   {change(func(d *CookieDetails) { d.Domain = "other.com" }), reasonDomain},
		"domain of a host below":   {change(func(d *CookieDetails) { d.Domain = "www.example.com" }), reasonDomain},
		"public suffix":            {CookieDetails{URL: "https://example.co.uk", Name: "n", Domain: "co.uk"}, reasonDomain},
		"address":                  {CookieDetails{URL: "https://127.0.0.1", Name: "n", Domain: "0.0.1"}, reasonDomain},
		"newline":                  {change(func(d *CookieDetails) { d.Name = "a\nb" }), reasonCharacter},
		"equals sign":              {change(func(d *CookieDetails) { d.Name = "a=b" }), reasonCharacter},
		"blank at the end":         {change(func(d *CookieDetails) { d.Value = "v " }), reasonCharacter},
		"nothing":                  {CookieDetails{URL: "https://example.com"}, reasonEmpty},
		"ambiguous":                {CookieDetails{URL: "https://example.com", Value: "a=b"}, reasonAmbiguous},
		"too long":                 {change(func(d *CookieDetails) { d.Value = strings.Repeat("v", 4096) }), reasonPairSize},
		"too long a path":          {change(func(d *CookieDetails) { d.Path = "/" + strings.Repeat("p", 1024) }), reasonAttributeSize},
		"path":                     {change(func(d *CookieDetails) { d.Path = "p" }), reasonPath},
		"secure from http":         {CookieDetails{URL: "http://example.com", Name: "n", Secure: new(true)}, reasonInsecureSecure},
		"none without secure":      {change(func(d *CookieDetails) { d.SameSite, d.Secure = "no_restriction", new(false) }), reasonInsecureNone},
		"scheme":                   {CookieDetails{URL: "file:///tmp/x", Name: "n"}, reasonScheme},
		"prefix":                   {change(func(d *CookieDetails) { d.Name = "__Host-n" }), reasonPrefix},
		"hidden prefix":            {change(func(d *CookieDetails) { d.Name, d.Value = "", "__Secure-n" }), reasonPrefix},
	} {
		err := s.Cookies().Set(testContext(t), test.details)
		var refused *CookieError
		var invalid *InvalidArgumentError
		switch {
		case errors.As(err, &refused) && refused.Reason == test.want && err.Error() == "Failed to set cookie - "+test.want:
		case errors.As(err, &invalid) && err.Error() == test.want:
		default:
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	wantEqual(t, "what was stored", names(t, s, CookieFilter{}), "")
}

func TestCookies_CX57_HTTPOnlyCookieIsReplacedWithHTTPOnlyOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "n", Value: "1", HTTPOnly: true})
		err := s.Cookies().Set(testContext(t), CookieDetails{URL: "http://a.test", Name: "n", Value: "2"})
		if err == nil || err.Error() != "Failed to set cookie - "+reasonOverwriteHTTP {
			t.Errorf("got %v", err)
		}
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "n", Value: "3", HTTPOnly: true})
		wantEqual(t, "value", getCookies(t, s, CookieFilter{})[0].Value, "3")
	})
}

func TestCookies_SecureCookieIsNotReplacedFromHTTP(t *testing.T) {
	s := testSession(t, "memory")
	setCookie(t, s, CookieDetails{URL: "https://www.a.test", Name: "n", Value: "1", Domain: "a.test", Secure: new(true)})
	err := s.Cookies().Set(testContext(t), CookieDetails{URL: "http://www.a.test", Name: "n", Value: "2"})
	if err == nil || err.Error() != "Failed to set cookie - "+reasonOverwriteSecure {
		t.Errorf("got %v", err)
	}
	setCookie(t, s, CookieDetails{URL: "https://www.a.test", Name: "n", Value: "3", Domain: "a.test"})
	k := getCookies(t, s, CookieFilter{})
	if len(k) != 1 || k[0].Value != "3" || k[0].Secure {
		t.Errorf("from https: %+v", k)
	}
}

func TestCookies_SessionsKeepOppositeCookies(t *testing.T) {
	var sessions []*Session
	for _, kind := range sessionKinds {
		s := testSession(t, kind)
		setCookie(t, s, CookieDetails{URL: "http://opposite.test", Name: "of", Value: kind})
		sessions = append(sessions, s)
	}
	for i, kind := range sessionKinds {
		page := testPage(t, sessions[i], shared.server.URL("opposite.test", "/cookies"))
		wantEqual(t, "sent by "+kind, evaluated[string](t, page, "document.body.innerText"), "of="+kind)
	}
	if err := sessions[2].Cookies().Remove(testContext(t), "http://opposite.test", "of"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 1, 0} {
		wantEqual(t, sessionKinds[i], len(getCookies(t, sessions[i], CookieFilter{URL: "http://opposite.test"})), want)
	}
}

func TestCookies_SES0327_FlushedCookieSurvivesAKilledBrowser(t *testing.T) {
	server := sharedServer(t)
	dir := testDir(t)
	b, err := Launch(testContext(t), testOptions(server, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s := b.DefaultSession()
	for n := range 3 {
		setCookie(t, s, CookieDetails{URL: "https://a.test", Name: fmt.Sprint("kept", n), Value: "v", ExpirationDate: inSeconds(3600)})
		if err := s.Cookies().FlushStore(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "cookies after flushing", names(t, s, CookieFilter{}), "kept0 kept1 kept2")
	setCookie(t, s, CookieDetails{URL: "https://a.test", Name: "late", Value: "v", ExpirationDate: inSeconds(3600)})
	changes := listen(t, s)
	kill(t, s)
	wantEqual(t, "cookies of the new process", names(t, s, CookieFilter{}), "kept0 kept1 kept2")
	wantEqual(t, "what listeners learned", told(nextChanges(t, changes, 1)), []string{"?-expired-overwrite late=v"})
}

func TestCookies_SES0337_PersistentCookiesSurviveARestartOthersNot(t *testing.T) {
	server := sharedServer(t)
	dir := testDir(t)
	partitions := []string{"", "persist:kept", "memory"}
	start := func() *Browser {
		b, err := Launch(testContext(t), testOptions(server, dir))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	b := start()
	for _, name := range partitions {
		s, err := b.FromPartition(testContext(t), name, PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		setCookie(t, s, CookieDetails{URL: "https://a.test", Name: "lasting", Value: "v", ExpirationDate: inSeconds(3600)})
		setCookie(t, s, CookieDetails{URL: "https://a.test", Name: "session", Value: "v"})
		if err := s.Cookies().FlushStore(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = start()
	for i, want := range []string{"lasting", "lasting", ""} {
		s, err := b.FromPartition(testContext(t), partitions[i], PartitionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, partitions[i], names(t, s, CookieFilter{}), want)
	}
}

// nextChanges returns the next n changes.
func nextChanges(t *testing.T, changes <-chan CookieChange, n int) []CookieChange {
	t.Helper()
	var got []CookieChange
	for len(got) < n {
		select {
		case change := <-changes:
			got = append(got, change)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d changes were told, want %d: %+v", len(got), n, got)
		}
	}
	return got
}

// listen collects the changes of a session's cookies until the test ends.
func listen(t *testing.T, s *Session) <-chan CookieChange {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	changes := make(chan CookieChange)
	all := s.Cookies().Changes(ctx)
	go func() {
		for change := range all {
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	return changes
}

// toldIn is what told gives of a session in which all changes are exact, the
// default one, or of one in memory.
func toldIn(s *Session, lines ...string) []string {
	if s.IsPersistent() {
		for i, line := range lines {
			lines[i] = strings.TrimPrefix(line, "?")
		}
	}
	return lines
}

// told writes changes down as "cause name=value", with a minus for removals and
// a question mark for approximate ones.
func told(changes []CookieChange) []string {
	var lines []string
	for _, c := range changes {
		line := fmt.Sprintf("%s %s=%s", c.Cause, c.Cookie.Name, c.Cookie.Value)
		if c.Removed {
			line = "-" + line
		}
		if c.Approximate {
			line = "?" + line
		}
		lines = append(lines, line)
	}
	return lines
}

// wantChanges checks that exactly these changes come, in this order. A cookie
// that is set and removed last shows that there are no others.
func wantChanges(t *testing.T, s *Session, changes <-chan CookieChange, want ...string) {
	t.Helper()
	got := told(nextChanges(t, changes, len(want)))
	wantEqual(t, "changes", got, want)
	setCookie(t, s, CookieDetails{URL: "https://end.test", Name: "end", Value: "1"})
	if err := s.Cookies().Remove(testContext(t), "https://end.test", "end"); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "changes at the end", told(nextChanges(t, changes, 2)), []string{"inserted end=1", "-explicit end=1"})
}

func TestCookies_SES0236_ChangedInsertedThenExplicit(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		changes := listen(t, s)
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "foo", Value: "bar"})
		if err := s.Cookies().Remove(testContext(t), "http://a.test", "foo"); err != nil {
			t.Fatal(err)
		}
		if err := s.Cookies().Remove(testContext(t), "http://a.test", "foo"); err != nil { // CX60
			t.Fatal(err)
		}
		wantChanges(t, s, changes, "inserted foo=bar", "-explicit foo=bar")
	})
}

func TestCookies_SES0260_ChangedOverwriteThenInserted(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		set := func(value string, expires *float64) {
			setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "foo", Value: value, ExpirationDate: expires})
		}
		set("bar", nil)
		changes := listen(t, s)
		set("baz", nil)
		set("baz", nil)
		set("baz", inSeconds(60))
		wantChanges(t, s, changes,
			"-overwrite foo=bar", "inserted foo=baz",
			"-overwrite foo=baz", "inserted-no-change-overwrite foo=baz",
			"-overwrite foo=baz", "inserted-no-value-change-overwrite foo=baz")
	})
}

func TestCookies_SES0306_ChangedExpiredOverwrite(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "foo", Value: "bar", ExpirationDate: inSeconds(120)})
		changes := listen(t, s)
		setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "foo", Value: "baz", ExpirationDate: inSeconds(-10)})
		wantChanges(t, s, changes, "-expired-overwrite foo=bar")
	})
}

func TestCookies_CX62_ChangedTellsOfEveryWriter(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		page := testPage(t, s, shared.server.TLSURL("good.test", "/page/writer"))
		changes := listen(t, s)
		expect := func(want ...string) {
			t.Helper()
			wantEqual(t, "changes", told(nextChanges(t, changes, len(want))), toldIn(s, want...))
		}
		evaluated[string](t, page, `document.cookie = 'doc=1; Path=/'`)
		expect("?inserted doc=1")
		evaluated[string](t, page, `document.cookie = 'doc=2; Path=/'`)
		expect("?-overwrite doc=1", "?inserted doc=2")
		evaluated[any](t, page, `fetch('/set-cookie?head=1&HttpOnly').then(() => null)`)
		expect("?inserted head=1")
		evaluated[string](t, page, `document.cookie = 'doc=; Path=/; Max-Age=0'`)
		expect("?-expired-overwrite doc=2")
		evaluated[any](t, page, `cookieStore.set('store', '1').then(() => null)`)
		expect("?inserted store=1")
		evaluated[string](t, page, `document.cookie = 'short=1; Path=/; Max-Age=3'`)
		expect("?inserted short=1", "?-expired short=1")
		setCookie(t, s, CookieDetails{URL: "https://good.test", Name: "set", Value: "1"})
		expect("inserted set=1")
	})
}

func TestCookies_ChangesOfPagesAreExactInADefaultContext(t *testing.T) {
	s := testSession(t, "default")
	page := testPage(t, s, shared.server.TLSURL("exact.test", "/page/writer"))
	changes := listen(t, s)
	evaluated[any](t, page, `(() => {
		document.cookie = 'same=1; Path=/';
		document.cookie = 'same=1; Path=/';
		document.cookie = 'same=1; Path=/; SameSite=Strict';
		document.cookie = 'brief=1; Path=/';
		document.cookie = 'brief=; Path=/; Max-Age=0';
	})()`)
	wantChanges(t, s, changes, "inserted same=1",
		"-overwrite same=1", "inserted-no-change-overwrite same=1",
		"-overwrite same=1", "inserted-no-value-change-overwrite same=1",
		"inserted brief=1", "-expired-overwrite brief=1")
	evaluated[any](t, page, `(() => { for (let i = 0; i < 181; i++) document.cookie = 'n' + i + '=1; Path=/'; })()`)
	causes := map[string]int{}
	for _, c := range nextChanges(t, changes, 182) {
		causes[c.Cause]++
	}
	if causes["evicted"] == 0 || causes["inserted"]+causes["evicted"] != 182 {
		t.Errorf("causes of more cookies than a site can have: %v", causes)
	}
}

// In created contexts chrome.cookies tells nothing, and chrome.proxy crashes
// Chromium.
func TestCookies_TheHelperStaysOutOfCreatedContexts(t *testing.T) {
	s := testSession(t, "memory")
	testPage(t, testSession(t, "default"), shared.server.TLSURL("good.test", "/page/writer"))
	changes := listen(t, testSession(t, "default"))
	setCookie(t, testSession(t, "default"), CookieDetails{URL: "https://helper.test", Name: "a", Value: "1"})
	nextChanges(t, changes, 1) // the helper runs
	at, err := s.place(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if at.hasHelper() {
		t.Error("the helper works in a created context")
	}
	page := testPage(t, s, shared.server.TLSURL("good.test", "/page/writer"))
	err = page.LoadURL(testContext(t), at.host.extensions.pages[helperExtension], LoadOptions{})
	if err == nil {
		t.Error("a page of the helper opened in a created context")
	}
}

func TestCookies_ChangesOfManyWritersTellOneStory(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		page := testPage(t, s, shared.server.TLSURL("good.test", "/page/writer"))
		changes := listen(t, s)
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() {
				for i := range 30 {
					name := fmt.Sprint("n", i%7)
					err := s.Cookies().Set(testContext(t), CookieDetails{URL: "https://good.test", Name: name, Value: fmt.Sprint(i)})
					if i%3 == 0 {
						err = errors.Join(err, s.Cookies().Remove(testContext(t), "https://good.test", name))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Go(func() {
			evaluated[any](t, page, `(async () => {
				for (let i = 0; i < 60; i++) {
					document.cookie = 'n' + i % 7 + '=page' + i + (i % 4 ? '; Path=/' : '; Path=/; Max-Age=0');
					await new Promise(done => setTimeout(done, 5));
				}
			})()`)
		})
		go func() {
			writers.Wait()
			setCookie(t, s, CookieDetails{URL: "https://end.test", Name: "end", Value: "1"})
		}()
		jar := map[string]string{}
		for jar["end"] == "" {
			change := nextChanges(t, changes, 1)[0]
			name, value := change.Cookie.Name, change.Cookie.Value
			had, has := jar[name]
			switch {
			case change.Removed && (!has || had != value), !change.Removed && has:
				t.Fatalf("%+v when there was %v", change, jar)
			case change.Removed:
				delete(jar, name)
			default:
				jar[name] = value
			}
		}
		now := map[string]string{}
		for _, k := range getCookies(t, s, CookieFilter{}) {
			now[k.Name] = k.Value
		}
		wantEqual(t, "the cookies that the changes lead to", jar, now)
	})
}

func TestCookies_ChangedTellsOfEviction(t *testing.T) {
	s := testSession(t, "memory")
	page := testPage(t, s, shared.server.TLSURL("good.test", "/page/writer"))
	changes := listen(t, s)
	evaluated[any](t, page, `for (let i = 0; i < 180; i++) document.cookie = 'k' + i + '=1'`)
	nextChanges(t, changes, 180)
	evaluated[any](t, page, `document.cookie = 'last=1'`)
	causes := map[string]int{}
	for _, change := range nextChanges(t, changes, 32) {
		causes[change.Cause]++
	}
	wantEqual(t, "causes", causes, map[string]int{"evicted": 31, "inserted": 1})
}

func TestCookies_ChangesEndWithTheSession(t *testing.T) {
	s, err := sharedBrowser(t).FromPartition(testContext(t), t.Name(), PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := s.Cookies().Changes(testContext(t))
	ended := make(chan []CookieChange)
	go func() { ended <- slices.Collect(all) }()
	setCookie(t, s, CookieDetails{URL: "http://a.test", Name: "n", Value: "v"})
	if err := s.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-ended:
		wantEqual(t, "changes", told(got), []string{"inserted n=v"})
	case <-testContext(t).Done():
		t.Fatal("the iterator did not end")
	}
}

func TestCookies_NobodyLooksWhenNobodyListens(t *testing.T) {
	s := testSession(t, "memory")
	ctx, cancel := context.WithCancel(testContext(t))
	for _, changes := range []func(func(CookieChange) bool){s.Cookies().Changes(ctx), s.Cookies().Changes(ctx)} {
		go changes(func(CookieChange) bool { return true })
	}
	if s.cookies.watch == nil {
		t.Fatal("nobody looks though somebody listens")
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); ; {
		s.cookies.turn <- struct{}{}
		stopped := s.cookies.watch == nil
		s.cookies.turn.give()
		if stopped {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("somebody still looks")
		}
		time.Sleep(time.Millisecond)
	}
}
