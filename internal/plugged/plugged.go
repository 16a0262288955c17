// Package plugged gives devices their random tokens: the same at each look while a device stays plugged
// in, another one after it was plugged in again.
package plugged

import (
	"crypto/rand"
	"sync"
)

// Tokens are the tokens of one source of devices. The zero value has none yet.
type Tokens struct {
	mu     sync.Mutex
	tokens map[string]string // by identity
}

// Of gives the tokens of the devices that are there now, in their order. A device is known by an identity
// that no later one has; those that are not there any more are forgotten.
func (t *Tokens) Of(identities []string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := make(map[string]string, len(identities))
	tokens := make([]string, len(identities))
	for i, identity := range identities {
		token, known := t.tokens[identity]
		if !known {
			token = rand.Text()
		}
		now[identity], tokens[i] = token, token
	}
	t.tokens = now
	return tokens
}
