package bench

import (
	"context"
	"errors"
	"fmt"
)

// Measure runs a workload's operations, count of them, with a client of the
// kind on a browser that is started for it.
func Measure(ctx context.Context, w Workload, kind Kind, server string, count int) (s Sample, err error) {
	e := &env{kind: kind, server: server}
	defer func() { err = errors.Join(err, e.close()) }()
	run, err := w.warm(ctx, e, count)
	if err != nil {
		return s, err
	}
	m, err := startMeter(e)
	if err != nil {
		return s, err
	}
	if err := run(ctx, count); err != nil {
		return s, fmt.Errorf("%s by %s: %w", w.Name, kind, err)
	}
	return m.stop(count)
}

// warm prepares a workload and runs a few operations, whose first ones load code
// and fill caches.
func (w *Workload) warm(ctx context.Context, e *env, count int) (func(context.Context, int) error, error) {
	run, err := w.prepare(ctx, e)
	if err == nil {
		err = run(ctx, max(min(w.Step, count), count/20))
	}
	if err != nil {
		return nil, fmt.Errorf("preparing %s for %s: %w", w.Name, e.kind, err)
	}
	return run, nil
}
