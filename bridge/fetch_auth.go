package bridge

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
	"github.com/cdpbridge/cdpbridge/internal/httpauth"
)

// credentialStore is what Session.Fetch remembers of servers that asked for
// credentials, as long as the session lasts.
type credentialStore struct {
	mu     sync.Mutex
	spaces []*protectionSpace
}

// protectionSpace is a part of a server for which credentials were right.
type protectionSpace struct {
	origin    string
	challenge *httpauth.Challenge
	given     Credentials
	directory string // below it credentials are sent without being asked for
}

func newCredentialStore() *credentialStore { return &credentialStore{} }

func (c *credentialStore) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spaces = nil
}

// authorize gives a request the header that answers the space's challenge.
func (c *credentialStore) authorize(s *protectionSpace, r *http.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, err := s.challenge.Authorization(s.given.Username, s.given.Password, r.Method, r.URL.RequestURI())
	if err == nil {
		r.Header.Set("Authorization", value)
	}
	return err
}

// add remembers a space in the place of the one that was there.
func (c *credentialStore) add(s *protectionSpace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spaces = slices.DeleteFunc(c.spaces, func(other *protectionSpace) bool {
		return other.origin == s.origin && other.challenge.Realm == s.challenge.Realm
	})
	c.spaces = append(c.spaces, s)
}

// remove forgets a space whose credentials are wrong by now.
func (c *credentialStore) remove(s *protectionSpace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spaces = slices.DeleteFunc(c.spaces, func(other *protectionSpace) bool { return other == s })
}

// find is the space that which accepts.
func (c *credentialStore) find(which func(*protectionSpace) bool) *protectionSpace {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.spaces, which); i >= 0 {
		return c.spaces[i]
	}
	return nil
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

func directoryOf(u *url.URL) string {
	directory, _ := path.Split(u.EscapedPath())
	return directory
}

// login answers the server of one request of Session.Fetch.
type login struct {
	fetch   *fetch
	request *http.Request
	fromURL *url.Userinfo // until it is used
	used    *protectionSpace
	asked   bool // the session's handler was
}

// authenticated makes a request of the network and answers a server who asks for
// credentials.
func (f *fetch) authenticated(r *http.Request) (*http.Response, error) {
	l := login{fetch: f, request: r, fromURL: r.URL.User}
	if l.fromURL != nil {
		bare := *r.URL
		bare.User = nil
		r.URL = &bare
	}
	if _, own := r.Header["Authorization"]; own || !f.withCookies(r) {
		return f.session.outlet.roundTrip(r)
	}
	store := f.session.credentials
	l.used = store.find(func(s *protectionSpace) bool {
		return s.origin == originOf(r.URL) && strings.HasPrefix(r.URL.EscapedPath(), s.directory)
	})
	for {
		if l.used != nil {
			if err := store.authorize(l.used, r); err != nil {
				return nil, err
			}
		}
		response, err := f.session.outlet.roundTrip(r)
		switch {
		case err != nil:
			return nil, err
		case response.StatusCode != http.StatusUnauthorized:
			if l.used != nil {
				store.add(l.used)
			}
			return response, nil
		case !l.again(response):
			return response, nil
		}
		response.Body.Close()
	}
}

// again prepares the request to be made once more, with the credentials that
// answer a response; false leaves it at that response.
func (l *login) again(response *http.Response) bool {
	r, store := l.request, l.fetch.session.credentials
	challenge := httpauth.Find(response.Header, "WWW-Authenticate")
	if challenge == nil || !rewind(r) {
		return false
	}
	given, ok := l.credentials(challenge)
	if l.used != nil {
		store.remove(l.used)
	}
	l.used = &protectionSpace{origin: originOf(r.URL), challenge: challenge, given: given, directory: directoryOf(r.URL)}
	return ok
}

// credentials are those that the server did not get yet: those of the URL, those
// that are known, and those of the session's handler.
func (l *login) credentials(c *httpauth.Challenge) (given Credentials, ok bool) {
	u := l.request.URL
	if l.used != nil && c.Stale() {
		return l.used.given, true
	}
	if user := l.fromURL; user != nil {
		l.fromURL = nil
		password, _ := user.Password()
		return Credentials{user.Username(), password}, true
	}
	known := l.fetch.session.credentials.find(func(s *protectionSpace) bool {
		return s.origin == originOf(u) && s.challenge.Realm == c.Realm
	})
	if known != nil && (l.used == nil || known.given != l.used.given) {
		return known.given, true
	}
	again := l.asked
	l.asked = true
	return l.fetch.session.auth.ask(l.request.Context(), AuthRequest{
		URL: u.String(), Scheme: c.Scheme, Host: u.Hostname(), Port: hostport.Port(u), Realm: c.Realm, FirstAttempt: !again,
	})
}

// rewind makes the body of a request ready to be sent again, where it can be.
func rewind(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	r.Body = body
	return err == nil
}
