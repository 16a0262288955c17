package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// progress tells a person what goes on: one changing line on a terminal, a line
// each step elsewhere.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	shown    bool
}

func newProgress(quiet bool) *progress {
	if quiet {
		return &progress{out: io.Discard}
	}
	return &progress{out: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
}

// step says what is being done now.
func (p *progress) step(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K", fmt.Sprintf(format, args...))
		p.shown = true
		return
	}
	fmt.Fprintf(p.out, format+"\n", args...)
}

// done removes what a terminal shows.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}
