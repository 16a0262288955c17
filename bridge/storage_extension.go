package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cdpbridge/cdpbridge/cdp"
)

// The protocol clears by one origin and one kind of storage at a time, and
// knows neither which origins there are nor a cache by origin. An extension can
// do all that, with chrome.browsingData.

// removalOptions are those of chrome.browsingData.
type removalOptions struct {
	Origins        []string        `json:"origins,omitzero"`
	ExcludeOrigins []string        `json:"excludeOrigins,omitzero"`
	OriginTypes    map[string]bool `json:"originTypes"`
}

// clearOrigins clears data with the options, which name origins. named says
// that the types were, too: not all types can be cleared by origins.
func (s *Session) clearOrigins(ctx context.Context, types []string, named bool, options removalOptions) error {
	if err := s.areOrigins(ctx, slices.Concat(options.Origins, options.ExcludeOrigins)); err != nil {
		return err
	}
	var failed ClearDataError
	var able []string
	for _, name := range types {
		switch {
		case name != "backgroundFetch" && name != "downloads":
			able = append(able, name)
		case named:
			failed.note(errNotByOrigin, name)
		}
	}
	if slices.Contains(able, "cache") {
		able = append(able, "cacheStorage")
	}
	if len(able) > 0 {
		failed.note(s.clearing(ctx, able, func(at *place) error { return at.removeBrowsingData(ctx, options, able...) }), able...)
	}
	return failed.err()
}

var errNotByOrigin = errors.New("it is not cleared by origins")

// areOrigins lets Chromium confirm origins.
func (s *Session) areOrigins(ctx context.Context, origins []string) error {
	at, err := s.place(ctx)
	if err != nil {
		return doing("clearing storage", err)
	}
	err = s.onPage(ctx, at, func(ctx context.Context, page *cdp.Session) error {
		for _, origin := range origins {
			if err := isOrigin(ctx, page, origin); err != nil {
				return err
			}
		}
		return nil
	})
	return doing("clearing storage", s.explain(err))
}

// removeBrowsingData calls chrome.browsingData.remove in the place's context.
func (p *place) removeBrowsingData(ctx context.Context, options removalOptions, types ...string) error {
	if options.OriginTypes == nil {
		options.OriginTypes = map[string]bool{"unprotectedWeb": true, "protectedWeb": true}
	}
	remove := map[string]bool{}
	for _, name := range types {
		remove[name] = true
	}
	return p.inExtension(ctx, browsingDataExtension, "(options, types) => chrome.browsingData.remove(options, types)", nil, options, remove)
}

// note adds what has failed.
func (e *ClearDataError) note(err error, types ...string) {
	if err == nil {
		return
	}
	for _, name := range types {
		if !slices.Contains(e.FailedDataTypes, name) && name != "cacheStorage" {
			e.FailedDataTypes = append(e.FailedDataTypes, name)
		}
	}
	if e.Cause != nil {
		err = fmt.Errorf("%w; %w", e.Cause, err)
	}
	e.Cause = err
}

// err is nil if nothing has failed.
func (e *ClearDataError) err() error {
	if e.Cause == nil {
		return nil
	}
	return e
}
