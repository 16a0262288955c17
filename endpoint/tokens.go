package endpoint

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
)

// ScopedToken opens one partition only.
type ScopedToken struct {
	Partition string
	Token     string
	// Dirs are where the files are that its holder may name in commands; none
	// means no files at all.
	Dirs []string
}

// access is what a token opens: everything, or one scope.
type access struct {
	token string // as the caller gave it
	scope *ScopedToken
}

// opens reports whether a partition is open.
func (a access) opens(partition string) bool {
	return a.scope == nil || samePartition(a.scope.Partition, partition)
}

// partition is the one that is meant where none is named.
func (a access) partition() string {
	if a.scope != nil {
		return a.scope.Partition
	}
	return defaultPartition
}

// defaultPartition is the default session's name in addresses.
const defaultPartition = "persist:"

func samePartition(a, b string) bool {
	if a == "" {
		a = defaultPartition
	}
	if b == "" {
		b = defaultPartition
	}
	return a == b
}

// newToken is a token that nobody can guess.
func newToken() string {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}

// tokens are those that the server takes, by their hashes: comparing hashes takes
// the same time whatever is in them, and however long it is.
type tokens struct {
	all    [sha256.Size]byte
	scoped []scopedHash
}

type scopedHash struct {
	hash  [sha256.Size]byte
	scope *ScopedToken
}

func newTokens(token string, scoped []ScopedToken) tokens {
	t := tokens{all: sha256.Sum256([]byte(token))}
	for i := range scoped {
		t.scoped = append(t.scoped, scopedHash{sha256.Sum256([]byte(scoped[i].Token)), &scoped[i]})
	}
	return t
}

// check says what a token opens. Each is compared, so that the time does not tell
// which.
func (t tokens) check(token string) (access, bool) {
	hash := sha256.Sum256([]byte(token))
	found := subtle.ConstantTimeCompare(hash[:], t.all[:]) == 1
	a := access{token: token}
	for _, s := range t.scoped {
		if subtle.ConstantTimeCompare(hash[:], s.hash[:]) == 1 && !found {
			found, a.scope = true, s.scope
		}
	}
	return a, found && token != ""
}

// tokenOf is the token of a request: in its path, in its query or in a header.
func tokenOf(r *http.Request, inPath string) string {
	if inPath != "" {
		return inPath
	}
	if token := r.URL.Query().Get("token"); token != "" {
		return token
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}
