package httpauth

import (
	"net/http"
	"strings"
	"testing"
)

func TestFind_TakesTheStrongestChallengeItCanAnswer(t *testing.T) {
	for _, test := range []struct {
		name, scheme, realm string
		fields              []string
	}{
		{"none", "", "", nil},
		{"only one it does not know", "", "", []string{"Negotiate"}},
		{"basic", "basic", "a cave", []string{"Negotiate", `Basic realm="a cave", charset="UTF-8"`}},
		{"basic without a realm", "basic", "", []string{"basic"}},
		{"digest before basic", "digest", "r", []string{`Basic realm="b"`, `Digest realm="r", nonce="n", qop="auth"`}},
		{"basic for a digest of an unknown kind", "basic", "b", []string{`Digest realm="r", nonce="n", algorithm=X`, `Basic realm="b"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Find(http.Header{"Www-Authenticate": test.fields}, "WWW-Authenticate")
			if (c == nil) != (test.scheme == "") || c != nil && (c.Scheme != test.scheme || c.Realm != test.realm) {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestAuthorization_IsWhatTheSchemesSay(t *testing.T) {
	basic := Find(http.Header{"Www-Authenticate": {`Basic realm="x"`}}, "WWW-Authenticate")
	if got, err := basic.Authorization("Aladdin", "open sesame", "GET", "/"); err != nil || got != "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" {
		t.Error(got, err)
	}
	digest := Find(http.Header{"Www-Authenticate": {`Digest realm="x", nonce="n", qop="auth"`}}, "WWW-Authenticate")
	for _, count := range []string{"nc=00000001", "nc=00000002"} {
		if got, err := digest.Authorization("u", "p", "GET", "/"); err != nil || !strings.Contains(got, count) {
			t.Error(got, err)
		}
	}
}
