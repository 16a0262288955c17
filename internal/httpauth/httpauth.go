// Package httpauth answers the challenges of servers and proxies that ask for
// credentials, by the schemes Basic and Digest.
package httpauth

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/icholy/digest"
)

// Challenge is a question for credentials that can be answered.
type Challenge struct {
	Scheme string // "basic" or "digest"
	Realm  string

	digest *digest.Challenge
	count  int // of the answers to the challenge of scheme digest
}

// Find returns the strongest challenge of a response that can be answered, from
// the header field WWW-Authenticate or Proxy-Authenticate. It is nil if there is
// none.
func Find(h http.Header, field string) *Challenge {
	var basic *Challenge
	for _, text := range h.Values(field) {
		switch c, err := digest.ParseChallenge(text); {
		case err == nil && digest.CanDigest(c):
			return &Challenge{Scheme: "digest", Realm: c.Realm, digest: c}
		case basic == nil:
			basic = parseBasic(text)
		}
	}
	return basic
}

// parseBasic reads a challenge of the scheme Basic, whose parameters are
// written as those of Digest are.
func parseBasic(text string) *Challenge {
	scheme, parameters, _ := strings.Cut(text, " ")
	if !strings.EqualFold(scheme, "basic") {
		return nil
	}
	c := &Challenge{Scheme: "basic"}
	if d, err := digest.ParseChallenge(digest.Prefix + parameters); err == nil {
		c.Realm = d.Realm
	}
	return c
}

// Stale reports that the last answer had the right credentials and was too old:
// the same ones answer this challenge.
func (c *Challenge) Stale() bool { return c.digest != nil && c.digest.Stale }

// Authorization is the value of the header field that answers the challenge for
// a request with a method and a URI as the request line has it. It can be called
// for further requests, one at a time.
func (c *Challenge) Authorization(user, password, method, uri string) (string, error) {
	if c.digest == nil {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
	}
	c.count++
	answer, err := digest.Digest(c.digest, digest.Options{Method: method, URI: uri, Count: c.count, Username: user, Password: password})
	if err != nil {
		return "", err
	}
	return answer.String(), nil
}
