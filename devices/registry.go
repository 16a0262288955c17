package devices

import (
	"context"
	"errors"
	"sync"
)

// Registry knows the devices of some sources. Those of each source come in its order.
type Registry[D Device, S Source[D]] struct {
	sources []S
	changed func(added, removed []D)

	looking sync.Mutex // held by who looks, so that changes are told one after the other
	mu      sync.Mutex
	known   [][]D  // of each source
	looked  []bool // at each source, before
}

// NewRegistry returns a registry of sources. changed is told what came and what went, one call
// after the other, also while List or Run looks. What is there at the first look came.
func NewRegistry[D Device, S Source[D]](changed func(added, removed []D), sources ...S) *Registry[D, S] {
	return &Registry[D, S]{sources: sources, changed: changed, known: make([][]D, len(sources)), looked: make([]bool, len(sources))}
}

// Run watches the sources until ctx ends. failed is told of a source that cannot be watched, or
// listed.
func (r *Registry[D, S]) Run(ctx context.Context, failed func(error)) {
	var watching sync.WaitGroup
	defer watching.Wait()
	for i, source := range r.sources {
		watching.Go(func() {
			err := source.Watch(ctx, func() {
				if err := r.look(ctx, i); err != nil && ctx.Err() == nil {
					failed(err)
				}
			})
			if err != nil && ctx.Err() == nil {
				failed(err)
			}
		})
	}
}

// List looks, and returns what there is. With an error of one source it returns what the others
// have, and what that one had before.
func (r *Registry[D, S]) List(ctx context.Context) ([]D, error) {
	var errs []error
	for i := range r.sources {
		errs = append(errs, r.look(ctx, i))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []D
	for _, devices := range r.known {
		all = append(all, devices...)
	}
	return all, errors.Join(errs...)
}

// Find returns the device with an identity and the source that has it, as of the last look.
func (r *Registry[D, S]) Find(identity string) (device D, source S, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, devices := range r.known {
		for _, d := range devices {
			if d.Identity() == identity {
				return d, r.sources[i], true
			}
		}
	}
	return device, source, false
}

// look brings what is known of a source to what it has.
func (r *Registry[D, S]) look(ctx context.Context, i int) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	now, err := r.sources[i].List(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	before, looked := r.known[i], r.looked[i]
	r.known[i], r.looked[i] = now, true
	r.mu.Unlock()
	if !looked {
		return nil
	}
	if added, removed := without(now, before), without(before, now); len(added)+len(removed) > 0 {
		r.changed(added, removed)
	}
	return nil
}

// without are the devices that are not among others.
func without[D Device](devices, others []D) (rest []D) {
	there := map[string]bool{}
	for _, d := range others {
		there[d.Identity()] = true
	}
	for _, d := range devices {
		if !there[d.Identity()] {
			rest = append(rest, d)
		}
	}
	return rest
}
