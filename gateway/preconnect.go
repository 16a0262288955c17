package gateway

import (
	"bufio"
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// spareTime is how long a connection that was made ahead waits to be used.
const spareTime = 10 * time.Second

// spares are connections that were made ahead.
type spares struct {
	mu  sync.Mutex
	all []*spare
}

type spare struct {
	up     *upstream
	r      *bufio.Reader
	target string
	route  Route
	use    purpose
	watch  chan struct{} // closed when nobody reads any more
	alive  bool          // what the watch found
}

// Preconnect connects to a server n times (Electron's preconnect), by the
// route to it. The next tunnels and requests to the server use these
// connections; those that nobody uses are closed after ten seconds. TLS is
// left to whoever uses them.
func (g *Gateway) Preconnect(ctx context.Context, u *url.URL, n int) error {
	o, target, use := g.settings(), hostport.Of(u), forTunnel
	if strings.EqualFold(u.Scheme, "http") {
		use = forRequest
	}
	route, err := o.route(ctx, u)
	if err != nil {
		g.tell(target, err)
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(ErrClosed) })()
	failed := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			up, err := g.dialRoute(ctx, o, route, target, use)
			if err == nil {
				err = g.keep(&spare{up: up, target: target, route: route, use: use})
			}
			failed[i] = err
		})
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// keep puts a connection aside. It is closed when its time is over, or the
// server closes it.
func (g *Gateway) keep(s *spare) error {
	s.r, s.watch = bufio.NewReaderSize(s.up.Conn, 512), make(chan struct{})
	s.up.SetReadDeadline(time.Now().Add(spareTime))
	g.spares.mu.Lock()
	g.spares.all = append(g.spares.all, s)
	g.spares.mu.Unlock()
	err := g.start(func() { s.up.SetReadDeadline(past) }, func() {
		defer close(s.watch)
		_, err := s.r.Peek(1)
		if g.spares.remove(s) {
			s.up.Close() // nobody has taken it
			return
		}
		s.alive = err == nil || errors.Is(err, os.ErrDeadlineExceeded)
	})
	if err != nil {
		close(s.watch) // who has taken it meanwhile does not wait
		if g.spares.remove(s) {
			s.up.Close()
		}
	}
	return err
}

// remove takes a connection off the list, and reports whether it stood there.
func (l *spares) remove(s *spare) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.all, s)
	if i >= 0 {
		l.all = slices.Delete(l.all, i, i+1)
	}
	return i >= 0
}

// spare is a connection that was made ahead, nil for none.
func (g *Gateway) spare(route Route, target string, use purpose) *upstream {
	for {
		s := g.spares.find(route, target, use)
		if s == nil {
			return nil
		}
		if !g.spares.remove(s) {
			continue
		}
		s.up.SetReadDeadline(past)
		<-s.watch
		if !s.alive {
			s.up.Close()
			continue
		}
		s.up.SetReadDeadline(time.Time{})
		s.up.Conn = withPrefix(s.up.Conn, s.r)
		return s.up
	}
}

func (l *spares) find(route Route, target string, use purpose) *spare {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.all {
		if s.use == use && s.target == target && s.route.equal(route) {
			return s
		}
	}
	return nil
}
