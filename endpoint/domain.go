package endpoint

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// maxRunning is how many commands of the domain a client may have open.
const maxRunning = 256

// domain is the domain Session for one client.
type domain struct {
	client  *client
	session *bridge.Session
	scope   *ScopedToken // nil for the token that opens everything
	life    context.Context
	stop    context.CancelFunc
	running chan struct{} // one for each command that is open
	work    sync.WaitGroup
	once    sync.Once // follow

	mu        sync.Mutex
	enabled   map[string]bool // by the id of the protocol's session
	devices   map[string]virtualDevice
	made      int                    // devices
	downloads []*bridge.DownloadItem // that the client was told of, the latest last
}

func newDomain(c *client, scope *ScopedToken) *domain {
	d := &domain{client: c, session: c.session, scope: scope, running: make(chan struct{}, maxRunning), enabled: map[string]bool{}, devices: map[string]virtualDevice{}}
	d.life, d.stop = context.WithCancel(context.Background())
	return d
}

// end is called when the client has gone.
func (d *domain) end() {
	d.stop()
	d.client.server.questions.lost(d)
	d.unplugAll()
	d.work.Wait()
	d.unplugAll() // those that were just being made
}

// sessionCommand carries out one command. Its result is encoded as JSON; nil is none.
type sessionCommand func(ctx context.Context, d *domain, in params) (result any, err error)

// command takes a command from the client. It does not wait.
func (d *domain) command(c bridge.RawCommand) {
	name := strings.TrimPrefix(c.Method, "Session.")
	switch name {
	case "enable", "disable":
		d.mu.Lock()
		started := len(d.enabled) > 0
		if d.enabled[c.SessionID] = true; name == "disable" {
			delete(d.enabled, c.SessionID)
		}
		d.mu.Unlock()
		if name == "enable" && !started {
			d.follow()
		}
		c.Reply(struct{}{})
		return
	}
	carryOut := d.client.server.commands[name]
	if carryOut == nil {
		c.Refuse(-32601, "'"+c.Method+"' wasn't found")
		return
	}
	select {
	case d.running <- struct{}{}:
	default:
		c.Refuse(-32000, "too many commands of the domain are open")
		return
	}
	d.work.Go(func() {
		defer func() { <-d.running }()
		result, err := carryOut(d.life, d, params{json: []byte(c.Params), sessionID: c.SessionID})
		var wrong *paramsError
		var invalid *bridge.InvalidArgumentError
		var proxy *bridge.ProxyConfigError
		switch {
		case errors.As(err, &wrong):
			c.Refuse(-32602, wrong.Error())
		case errors.As(err, &invalid):
			c.Refuse(-32602, invalid.Message)
		case errors.As(err, &proxy):
			c.Refuse(-32602, proxy.Error())
		case err != nil:
			c.Refuse(-32000, err.Error())
		case result == nil:
			c.Reply(struct{}{})
		default:
			c.Reply(result)
		}
	})
}

// emit tells an event to the sessions that have the domain on.
func (d *domain) emit(event string, fields any) {
	d.mu.Lock()
	to := slices.Collect(maps.Keys(d.enabled))
	d.mu.Unlock()
	for _, id := range to {
		d.emitOn(id, event, fields)
	}
}

// emitOn tells an event to one session. One that is gone is forgotten.
func (d *domain) emitOn(sessionID, event string, fields any) {
	if d.client.raw.Emit(sessionID, "Session."+event, fields) != nil {
		d.mu.Lock()
		delete(d.enabled, sessionID)
		d.mu.Unlock()
	}
}

// params are the parameters of a command.
type params struct {
	json      []byte
	sessionID string
}

// paramsError says what is wrong with parameters.
type paramsError struct{ err error }

func (e *paramsError) Error() string { return "Invalid parameters: " + e.err.Error() }

// decode reads the parameters strictly: names that come twice or that the command
// does not have are refused.
func (p params) decode(into any) error {
	text := p.json
	if len(text) == 0 {
		text = []byte("{}")
	}
	if err := jsonv2.Unmarshal(text, into, jsonv2.RejectUnknownMembers(true)); err != nil {
		return &paramsError{err}
	}
	return nil
}

// mayUse refuses a file that the client's token does not open.
func (d *domain) mayUse(paths ...string) error {
	if d.scope == nil {
		return nil
	}
	for _, path := range paths {
		if err := d.scope.mayUse(path); err != nil {
			return err
		}
	}
	return nil
}

// errScoped refuses what reaches beyond the partition.
var errScoped = errors.New("it reaches beyond the partition of this token")
