package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// The policies for the credentials of the system's user: for which servers, and
// whether in created contexts too, which are Chromium's private windows.
const (
	ntlmServersPolicy  = "AuthServerAllowlist"
	ntlmContextsPolicy = "AmbientAuthenticationInPrivateModesEnabled"
	inAllContexts      = 3
)

// AllowNTLMCredentialsForDomains lets servers have the credentials of the system's
// user, by the schemes Negotiate and NTLM, without asking: those of a list such as
// "*.example.com,intranet"; "" is none. It is Electron's
// ses.allowNTLMCredentialsForDomains, and as there holds for all sessions of the
// browser, those that are started later too.
//
// It takes effect within a few seconds of the first call in a Chromium process.
// Credentials are those of Kerberos where Chromium finds its library; on Linux
// there are none for NTLM, and a Chromium whose directory has never met a server
// that asks for Negotiate loads the library at its next start only. Some processes
// of Chromium never heed the list (up to every second one, on a machine with 2
// CPUs), and nothing tells which: what a server gets then is no credentials.
func (s *Session) AllowNTLMCredentialsForDomains(ctx context.Context, domains string) error {
	b := s.browser
	b.mu.Lock()
	b.ntlmDomains = domains
	hosts := slices.Clone(b.hosts)
	b.mu.Unlock()
	var errs []error
	for _, h := range hosts {
		if err := h.allowNTLM(ctx, domains); err != nil && !errors.Is(err, ErrHostGone) {
			errs = append(errs, fmt.Errorf("in %v: %w", h, err))
		}
	}
	return doing("allowing NTLM credentials", errors.Join(errs...))
}

func (h *host) allowNTLM(ctx context.Context, domains string) error {
	if domains == "" {
		return errors.Join(h.setPolicy(ctx, ntlmServersPolicy, nil), h.setPolicy(ctx, ntlmContextsPolicy, nil))
	}
	return errors.Join(h.setPolicy(ctx, ntlmServersPolicy, domains), h.setPolicy(ctx, ntlmContextsPolicy, inAllContexts))
}
