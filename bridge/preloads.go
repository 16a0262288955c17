package bridge

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cdpbridge/cdpbridge/cdp"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

// The types of preload scripts.
const (
	// PreloadFrame is a script that runs in frames before any script of the
	// page.
	PreloadFrame = "frame"
	// PreloadServiceWorker is a script that runs in service workers before
	// their own.
	PreloadServiceWorker = "service-worker"
)

// The worlds in which a preload script of a frame runs.
const (
	// IsolatedWorld has the document in common with the page, and no variables
	// or functions. All preload scripts of a frame share it.
	IsolatedWorld = "isolated"
	// MainWorld is the page's own.
	MainWorld = "main"
)

// PreloadScript is a script that runs before those of a page or of a service
// worker.
type PreloadScript struct {
	// Type is PreloadFrame, the default, or PreloadServiceWorker.
	Type string `json:"type"`
	// ID names the script. RegisterPreloadScript makes one up where it is
	// empty.
	ID string `json:"id"`
	// FilePath is the absolute path of a file with the script. It is read once,
	// when the script is registered: register it again when it has changed.
	FilePath string `json:"filePath,omitzero"`
	// Source is the script itself, in the place of a file.
	Source string `json:"source,omitzero"`
	// World is IsolatedWorld, the default, or MainWorld. A service worker has
	// one world only, its own.
	World string `json:"world,omitzero"`
	// AllFrames lets the script run in every frame of a page, and not in the top
	// one alone: Electron's nodeIntegrationInSubFrames. It does not reach frames
	// with the attributes sandbox (without allow-same-origin) and srcdoc.
	AllFrames bool `json:"allFrames,omitzero"`
}

// SetPreloads replaces all preload scripts of frames, however they were
// registered, by the files: Electron's setPreloads. They run in their order, in
// the isolated world of top frames. A path that is relative, and a file that
// cannot be read, stay in the list, are logged, and never run. Otherwise it is
// RegisterPreloadScript.
func (s *Session) SetPreloads(ctx context.Context, paths []string) error {
	var scripts []*preload
	for _, path := range paths {
		p := &preload{PreloadScript: PreloadScript{Type: PreloadFrame, ID: rand.Text(), FilePath: path, World: IsolatedWorld}}
		if filepath.IsAbs(path) {
			p.read(s)
		} else {
			s.browser.log.Error("preload script must have absolute path", "path", path)
		}
		scripts = append(scripts, p)
	}
	err := s.preloads.change(ctx, func(all []*preload) ([]*preload, error) {
		kept := slices.DeleteFunc(all, func(p *preload) bool { return p.Type == PreloadFrame })
		return append(kept, scripts...), nil
	})
	return doing("setting the preload scripts", s.explain(err))
}

// GetPreloads returns the paths of the preload scripts of frames, in their
// order: Electron's getPreloads.
func (s *Session) GetPreloads() []string {
	paths := []string{}
	for _, p := range s.GetPreloadScripts() {
		if p.Type == PreloadFrame && p.FilePath != "" {
			paths = append(paths, p.FilePath)
		}
	}
	return paths
}

// RegisterPreloadScript registers a script that runs before those of every page
// (in pop-ups and in the blank pages that scripts open as well) or service
// worker, after the scripts that were registered before, and returns its id. It
// holds for documents that are loaded and service workers that start from now
// on, in pages that are open too. What a page's policies forbid does not bind
// it. A script that throws is reported on the console, and the next one runs.
//
// It returns when every open page has the script, and waits for those whose
// scripts are busy. When ctx ends before, the script is registered all the same.
// A page that has crashed has it when it is loaded for the second time.
//
// Scripts in the isolated world, and those of service workers, find an object
// bridge: see Expose and Frame.Send.
//
// An *InvalidArgumentError refuses an id that is taken, a path that is not
// absolute, and a script that is none; a file that cannot be read is logged and
// never runs, as in Electron.
func (s *Session) RegisterPreloadScript(ctx context.Context, script PreloadScript) (id string, err error) {
	p := &preload{PreloadScript: script}
	if err := p.complete(); err != nil {
		return "", err
	}
	if p.FilePath != "" {
		p.read(s)
	}
	err = s.preloads.change(ctx, func(all []*preload) ([]*preload, error) {
		if slices.ContainsFunc(all, func(other *preload) bool { return other.ID == p.ID }) {
			return nil, invalidArgument("Cannot register preload script with existing ID '%s'", p.ID)
		}
		return append(all, p), nil
	})
	return p.ID, doing("registering a preload script", s.explain(err))
}

// UnregisterPreloadScript takes a preload script away. Documents and service
// workers in which it has run keep what it did. An id that is none is an
// *InvalidArgumentError.
func (s *Session) UnregisterPreloadScript(ctx context.Context, id string) error {
	err := s.preloads.change(ctx, func(all []*preload) ([]*preload, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(p *preload) bool { return p.ID == id })
		if len(left) == len(all) {
			return nil, invalidArgument("Cannot unregister preload script with non-existing ID '%s'", id)
		}
		return left, nil
	})
	return doing("unregistering a preload script", s.explain(err))
}

// GetPreloadScripts returns the preload scripts in the order of their
// registration.
func (s *Session) GetPreloadScripts() []PreloadScript {
	s.preloads.mu.Lock()
	defer s.preloads.mu.Unlock()
	scripts := make([]PreloadScript, len(s.preloads.scripts))
	for i, p := range s.preloads.scripts {
		scripts[i] = p.PreloadScript
	}
	return scripts
}

// preload is a script that is registered.
type preload struct {
	PreloadScript
	text      string // what is to run; empty is nothing
	worldName string // the bridge's own isolated world; empty means preloadWorld
	// immediately runs it in the documents that are there already, too.
	immediately bool
}

// complete fills in defaults and refuses what is no script.
func (p *preload) complete() error {
	if p.ID == "" {
		p.ID = rand.Text()
	}
	if p.Type == "" {
		p.Type = PreloadFrame
	}
	if p.World == "" && p.Type == PreloadFrame {
		p.World = IsolatedWorld
	}
	switch {
	case p.Type != PreloadFrame && p.Type != PreloadServiceWorker:
		return invalidArgument("Preload script has no type '%s'", p.Type)
	case p.FilePath == "" && p.Source == "", p.FilePath != "" && p.Source != "":
		return invalidArgument("Preload script must have either a file path or a source")
	case p.FilePath != "" && !filepath.IsAbs(p.FilePath):
		return invalidArgument("Preload script must have absolute path: %s", p.FilePath)
	case p.Type == PreloadServiceWorker && p.World == IsolatedWorld:
		return &UnsupportedError{Feature: "a preload script in an isolated world of a service worker", Reason: "Chromium gives a worker one world", Instead: "leave World out; what the script declares is its own"}
	case p.Type == PreloadServiceWorker && p.AllFrames:
		return invalidArgument("Preload script of service workers has no frames")
	case p.World != IsolatedWorld && p.World != MainWorld && p.World != "":
		return invalidArgument("Preload script has no world '%s'", p.World)
	}
	p.text = p.Source
	return nil
}

// read reads the file of a script.
func (p *preload) read(s *Session) {
	text, err := os.ReadFile(p.FilePath)
	if err != nil {
		s.browser.log.Error("unable to load preload script", "path", p.FilePath, "error", err)
		return
	}
	p.text = fmt.Sprintf("%s\n//# sourceURL=%s", text, strings.ReplaceAll(p.FilePath, "\n", ""))
}

// function is the script as a call of a function: what it declares is its own,
// as in Electron, and its lines keep their numbers. bridge is what it finds under
// this name, if anything.
func (p *preload) function(bridge string) string {
	if bridge == "" {
		return fmt.Sprintf("(function () {%s\n})();", p.text)
	}
	return fmt.Sprintf("(function (bridge) {%s\n})(%s);", p.text, bridge)
}

// inFrame is the script for frames. The isolated world has the object bridge
// among its globals.
func (p *preload) inFrame() string {
	if p.AllFrames {
		return p.function("")
	}
	return "if (window === top) " + p.function("")
}

// preloadWorld is the name of the isolated world of preload scripts.
const preloadWorld = "bridge-preload"

//go:embed js/preload.js
var preloadJS string

// preloads puts preload scripts into the targets of a session.
type preloads struct {
	session  *Session
	bridge   *preload // makes the object bridge in the isolated world, before all others
	changing turn     // of who changes the list

	mu      sync.Mutex
	own     map[string][]*preload // of the bridge itself, before all others
	scripts []*preload
	targets map[*cdp.Target]map[*preload]*placement
}

// placement is a script in a target, where Chromium knows it by a number.
type placement struct {
	identifier string // empty until it was answered
	removed    bool
}

func newPreloads(s *Session) *preloads {
	bridge := &preload{PreloadScript: PreloadScript{Type: PreloadFrame, World: IsolatedWorld, AllFrames: true}}
	bridge.text = fmt.Sprintf(`
const made = (%s)((text) => { const call = globalThis.%s; call?.(text); return !!call; });
Object.defineProperties(globalThis, {bridge: {value: made.bridge}, bridgeDeliver: {value: made.deliver}});`, strings.TrimSpace(preloadJS), callBinding)
	return &preloads{session: s, bridge: bridge, changing: newTurn(), own: map[string][]*preload{}, targets: map[*cdp.Target]map[*preload]*placement{}}
}

// change replaces the list of scripts and waits until all open pages have the
// new ones.
func (ps *preloads) change(ctx context.Context, edit func(all []*preload) ([]*preload, error)) error {
	if ps.session.life.Err() != nil {
		return ErrSessionClosed
	}
	if err := ps.changing.take(ctx); err != nil {
		return err
	}
	updates, err := ps.edited(edit)
	wait := sendAll(updates)
	ps.changing.give()
	if err != nil {
		return err
	}
	return wait(ctx)
}

// edited replaces the list of scripts and returns the commands for each target.
func (ps *preloads) edited(edit func(all []*preload) ([]*preload, error)) (updates [][]cdp.Command, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	scripts, err := edit(slices.Clone(ps.scripts))
	if err != nil {
		return nil, err
	}
	ps.scripts = scripts
	for t := range ps.targets {
		if commands := ps.update(t); len(commands) > 0 {
			updates = append(updates, commands)
		}
	}
	return updates, nil
}

// awaited makes a group wait for the answers to commands.
func awaited(group *sync.WaitGroup, commands []cdp.Command) []cdp.Command {
	group.Add(len(commands))
	for i := range commands {
		done := commands[i].Done
		commands[i].Done = func(result jsonv2.Value, err error) {
			if done != nil {
				done(result, err)
			}
			group.Done()
		}
	}
	return commands
}

// waitGroup waits for a group as long as the context lasts.
func waitGroup(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// setOwn replaces the scripts of the bridge itself that run in a world of theirs,
// or in the page's on behalf of it, for documents that are loaded from now on.
func (ps *preloads) setOwn(world string, scripts []*preload) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.bringOwn(world, scripts)
}

// addOwn adds such a script, unless it is there.
func (ps *preloads) addOwn(world string, script *preload) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if scripts := ps.own[world]; !slices.Contains(scripts, script) {
		ps.bringOwn(world, append(slices.Clip(scripts), script))
	}
}

func (ps *preloads) bringOwn(world string, scripts []*preload) {
	ps.own[world] = scripts
	for t := range ps.targets {
		t.Session.Conn().Send(ps.update(t)...)
	}
}

func (ps *preloads) join(t *cdp.Target) []cdp.Command {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case t.HasFrames():
		ps.targets[t] = map[*preload]*placement{}
		return ps.update(t)
	case t.Type() == cdp.TargetServiceWorker:
		return ps.inServiceWorker(t)
	}
	return nil
}

func (ps *preloads) restarted(t *cdp.Target) []cdp.Command {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case ps.targets[t] != nil:
		return ps.update(t)
	case t.Type() == cdp.TargetServiceWorker:
		return ps.inServiceWorker(t)
	}
	return nil
}

func (ps *preloads) leave(t *cdp.Target) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.targets, t)
}

// restored puts the scripts of the bridge itself into a document that has come back
// from the back-forward cache, where it may have been since before they were there.
func (ps *preloads) restored(t *cdp.Target) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p, at := range ps.targets[t] {
		if !p.immediately {
			continue
		}
		delete(ps.targets[t], p)
		at.removed = true
		if at.identifier != "" {
			t.Session.Conn().Send(at.remove(t))
		}
	}
	if commands := ps.update(t); ps.targets[t] != nil && len(commands) > 0 {
		t.Session.Conn().Send(commands...)
	}
}

// inFrames are the scripts that frames need, in their order.
func (ps *preloads) inFrames() []*preload {
	var scripts []*preload
	for _, p := range ps.scripts {
		if p.Type == PreloadFrame && p.text != "" {
			scripts = append(scripts, p)
		}
	}
	if slices.ContainsFunc(scripts, func(p *preload) bool { return p.World == IsolatedWorld }) {
		scripts = slices.Insert(scripts, 0, ps.bridge)
	}
	// That for getDisplayMedia keeps what Chromium has before that for permissions
	// replaces it.
	return slices.Concat(ps.own[displayWorld], ps.own[noWritingScript], ps.own[permissionWorld], ps.own[deviceWorld], ps.own[schemeWorld], ps.own[preconnectWorld], scripts)
}

// update returns the commands that bring a page, or a frame with a process of
// its own, to the present scripts. One that has crashed answers nothing.
func (ps *preloads) update(t *cdp.Target) []cdp.Command {
	if t.Renderer().Err() != nil {
		return nil
	}
	placed, scripts := ps.targets[t], ps.inFrames()
	var commands []cdp.Command
	for p, at := range placed {
		if !slices.Contains(scripts, p) {
			delete(placed, p)
			at.removed = true
			if at.identifier != "" {
				commands = append(commands, at.remove(t))
			}
		}
	}
	for _, p := range scripts {
		if placed[p] == nil {
			placed[p] = &placement{}
			commands = append(commands, ps.place(t, p, placed[p]))
		}
	}
	return commands
}

// place is the command that puts a script into a target.
func (ps *preloads) place(t *cdp.Target, p *preload, at *placement) cdp.Command {
	params := map[string]any{"source": p.inFrame()}
	if p.World == IsolatedWorld {
		params["worldName"] = cmp.Or(p.worldName, preloadWorld)
	}
	if p.immediately {
		params["runImmediately"] = true
	}
	return cdp.Command{Session: t.Session, Method: "Page.addScriptToEvaluateOnNewDocument", Params: params, Done: func(result jsonv2.Value, err error) {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		var added struct {
			Identifier string `json:"identifier"`
		}
		if err == nil {
			err = jsonv2.Unmarshal(result, &added)
		}
		switch {
		case errors.As(err, new(*cdp.FrameTooLargeError)):
			ps.session.browser.log.Error("a preload script is too large and does not run", "id", p.ID, "error", err)
		case err != nil && ps.targets[t][p] == at: // it crashed; it gets the script when it is back
			delete(ps.targets[t], p)
		case err != nil:
		case at.removed:
			t.Session.Conn().Send(placement{identifier: added.Identifier}.remove(t))
		default:
			at.identifier = added.Identifier
		}
	}}
}

func (at placement) remove(t *cdp.Target) cdp.Command {
	return cdp.Command{Session: t.Session, Method: "Page.removeScriptToEvaluateOnNewDocument", Params: map[string]string{"identifier": at.identifier}}
}

// inServiceWorker returns the scripts for a service worker that is paused before
// its own. They have one world with it: the object bridge is there under a name
// only until the last of them has run.
func (ps *preloads) inServiceWorker(t *cdp.Target) []cdp.Command {
	var commands []cdp.Command
	run := func(code string, done func(jsonv2.Value, error)) {
		commands = append(commands, cdp.Command{Session: t.Session, Method: "Runtime.evaluate", Params: evaluateParams{Expression: code}, Done: done})
	}
	for _, p := range ps.scripts {
		if p.Type == PreloadServiceWorker && p.text != "" {
			run(p.function("globalThis.bridgePreload.bridge"), ps.logThrown)
		}
	}
	if len(commands) == 0 {
		return nil
	}
	listen, make, done := ps.session.messages.inServiceWorker(t)
	scripts := commands
	commands = listen
	run(make, nil)
	commands = append(commands, scripts...)
	run("(() => { const {deliver} = bridgePreload; delete globalThis.bridgePreload; return deliver; })()", done)
	return commands
}

// logThrown logs what a script in a service worker has thrown: no page shows it.
func (ps *preloads) logThrown(result jsonv2.Value, err error) {
	if err != nil {
		return // it is gone
	}
	if err := exceptionIn(result); err != nil {
		ps.session.browser.log.Error("a preload script of a service worker has failed", "error", err)
	}
}
