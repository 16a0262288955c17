package gateway

import "sync"

// recent remembers the newest values by their keys, the oldest go first.
type recent[T any] struct {
	mu     sync.Mutex
	limit  int
	values map[string]T
	order  []string // the keys, the oldest first
}

func newRecent[T any](limit int) *recent[T] {
	return &recent[T]{limit: limit, values: map[string]T{}}
}

func (r *recent[T]) get(key string) (T, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.values[key]
	return value, ok
}

func (r *recent[T]) put(key string, value T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.values[key]; !known {
		if len(r.order) == r.limit {
			delete(r.values, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, key)
	}
	r.values[key] = value
}

func (r *recent[T]) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.values[key]; !known {
		return
	}
	delete(r.values, key)
	for i, one := range r.order {
		if one == key {
			r.order = append(r.order[:i:i], r.order[i+1:]...)
			return
		}
	}
}

func (r *recent[T]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.values)
	r.order = nil
}
