package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"

	"github.com/cdpbridge/cdpbridge/internal/httpauth"
)

// ProxyChallenge is a proxy that asks for credentials.
type ProxyChallenge struct {
	Proxy  Hop    // without credentials
	Scheme string // "basic" or "digest"
	Realm  string
	// Rejected says that the proxy did not take the ones of last time.
	Rejected bool
}

// logins remembers the credentials for proxies, by proxy and realm.
type logins struct {
	mu     sync.Mutex
	proxy  map[string]*account // the last that worked or was answered, by Hop.key
	realms map[string]*account
	asking map[string]chan struct{}
}

// account is how to log in to a proxy.
type account struct {
	user, password string
	challenge      *httpauth.Challenge
}

// ClearCredentials forgets the credentials for proxies that were asked for.
func (g *Gateway) ClearCredentials() {
	g.logins.mu.Lock()
	defer g.logins.mu.Unlock()
	g.logins.proxy, g.logins.realms = nil, nil
}

// login is one request's way past a proxy that may ask for credentials.
type login struct {
	all         *logins
	hop         Hop
	method, uri string
	account     *account // what was sent last
	user        *url.Userinfo
}

func (l *logins) begin(hop Hop, method, uri string) *login {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &login{all: l, hop: hop, method: method, uri: uri, account: l.proxy[hop.key()], user: hop.User}
}

// header is the Proxy-Authorization to send, "" for none.
func (l *login) header() string {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	a := l.account
	if a == nil {
		return ""
	}
	value, err := a.challenge.Authorization(a.user, a.password, l.method, l.uri)
	if err != nil {
		return ""
	}
	return value
}

// rejected learns from a 407 what to send next. An error means that there is
// nothing to try any more.
func (l *login) rejected(ctx context.Context, ask func(context.Context, ProxyChallenge) (string, string, bool), answer *head) error {
	const field = "Proxy-Authenticate"
	c := httpauth.Find(http.Header{field: answer.values(field)}, field)
	if c == nil {
		return &ProxyError{Hop: l.hop, Status: 407, Err: errors.New("the proxy takes neither Basic nor Digest logins")}
	}
	key := l.hop.key() + " " + c.Realm
	release, err := l.all.turn(ctx, key)
	if err != nil {
		return &ProxyError{Hop: l.hop, Status: 407, Err: err}
	}
	defer release()
	sent := l.account
	known := l.all.realm(key)
	switch {
	case sent != nil && c.Stale():
		l.use(key, sent.user, sent.password, c)
		return nil
	case known != nil && (sent == nil || known.user != sent.user || known.password != sent.password):
		l.use(key, known.user, known.password, c)
		return nil
	case l.user != nil:
		password, _ := l.user.Password()
		l.use(key, l.user.Username(), password, c)
		l.user = nil
		return nil
	}
	l.all.drop(l.hop.key(), key)
	if ask == nil {
		return &ProxyError{Hop: l.hop, Status: 407, Err: errors.New("the proxy wants a login, and nobody can be asked for one")}
	}
	plain := l.hop
	plain.User = nil
	user, password, ok := ask(ctx, ProxyChallenge{Proxy: plain, Scheme: c.Scheme, Realm: c.Realm, Rejected: sent != nil})
	if !ok {
		return &ProxyError{Hop: l.hop, Status: 407, Err: errors.New("no credentials for the proxy")}
	}
	l.use(key, user, password, c)
	return nil
}

// use takes credentials, for this request and those after it.
func (l *login) use(key, user, password string, c *httpauth.Challenge) {
	l.account = &account{user, password, c}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if l.all.proxy == nil {
		l.all.proxy, l.all.realms = map[string]*account{}, map[string]*account{}
	}
	l.all.proxy[l.hop.key()], l.all.realms[key] = l.account, l.account
}

// turn waits until nobody else asks for the same credentials.
func (l *logins) turn(ctx context.Context, key string) (release func(), err error) {
	for {
		l.mu.Lock()
		other := l.asking[key]
		if other == nil {
			mine := make(chan struct{})
			if l.asking == nil {
				l.asking = map[string]chan struct{}{}
			}
			l.asking[key] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.asking, key)
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *logins) realm(key string) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.realms[key]
}

// drop forgets credentials that were wrong.
func (l *logins) drop(proxy, realm string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.proxy, proxy)
	delete(l.realms, realm)
}
