package cdp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

// TestMain fails when tests leave anything behind.
func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// patience is how long a test waits for what must happen before it fails.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("%s: it took more than %v", t.Name(), patience))
	t.Cleanup(cancel)
	return ctx
}

// await waits for a channel to be closed or to deliver.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// fakeBrowser is the other end of a pipe: a test scripts what it says. It is
// for races and broken frames, which a real browser does not offer on demand.
type fakeBrowser struct {
	t   testing.TB
	in  *bufio.Reader
	inC *os.File

	mu  sync.Mutex
	out io.WriteCloser
}

// fakeCommand is a command that the fake browser was sent.
type fakeCommand struct {
	ID        int64           `json:"id"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	SessionID string          `json:"sessionId"`
}

func newFake(t testing.TB) (*fakeBrowser, Transport) {
	t.Helper()
	in, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirIn, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeBrowser{t: t, in: bufio.NewReader(in), inC: in, out: out}
	t.Cleanup(f.close)
	return f, NewPipe(theirIn, theirOut)
}

// fakeConn is a connection to a fake browser.
func fakeConn(t testing.TB, o ConnOptions) (*fakeBrowser, *Conn) {
	f, transport := newFake(t)
	c := NewConn(transport, o)
	t.Cleanup(func() { c.Close() })
	return f, c
}

// next returns the next command.
func (f *fakeBrowser) next() (fakeCommand, error) {
	frame, err := f.in.ReadBytes(0)
	if err != nil {
		return fakeCommand{}, err
	}
	var cmd fakeCommand
	err = json.Unmarshal(frame[:len(frame)-1], &cmd)
	return cmd, err
}

// expect returns the next command, which must be the one named.
func (f *fakeBrowser) expect(method string) fakeCommand {
	f.t.Helper()
	f.inC.SetReadDeadline(time.Now().Add(patience))
	cmd, err := f.next()
	f.inC.SetReadDeadline(time.Time{})
	if err != nil || cmd.Method != method {
		f.t.Fatalf("the browser got %+v, %v; want %s", cmd, err, method)
	}
	return cmd
}

// expectAll is expect for several commands in their order, on one session.
func (f *fakeBrowser) expectAll(session string, methods ...string) []fakeCommand {
	f.t.Helper()
	var all []fakeCommand
	for _, m := range methods {
		cmd := f.expect(m)
		if cmd.SessionID != session {
			f.t.Fatalf("%s came on session %q, want %q", m, cmd.SessionID, session)
		}
		all = append(all, cmd)
	}
	return all
}

// raw writes bytes as they are.
func (f *fakeBrowser) raw(s string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	io.WriteString(f.out, s) // fails when the connection has ended, which tests see at their end
}

func (f *fakeBrowser) reply(cmd fakeCommand, result string) {
	f.raw(fmt.Sprintf(`{"id":%d,"result":%s%s}`, cmd.ID, result, sessionMember(cmd.SessionID)) + "\x00")
}

func (f *fakeBrowser) refuse(cmd fakeCommand, err string) {
	f.raw(fmt.Sprintf(`{"id":%d,"error":%s%s}`, cmd.ID, err, sessionMember(cmd.SessionID)) + "\x00")
}

func (f *fakeBrowser) event(session, method, params string) {
	f.raw(fmt.Sprintf(`{"method":%q,"params":%s%s}`, method, params, sessionMember(session)) + "\x00")
}

// attach tells of a new target. A session id has the 32 characters of a real
// one when it comes from sid.
func (f *fakeBrowser) attach(parent, session, info string) {
	f.event(parent, "Target.attachedToTarget", fmt.Sprintf(`{"sessionId":%q,"targetInfo":%s,"waitingForDebugger":true}`, session, info))
}

func (f *fakeBrowser) detach(parent, session string) {
	f.event(parent, "Target.detachedFromTarget", fmt.Sprintf(`{"sessionId":%q}`, session))
}

// answer answers every command in a goroutine of its own until the connection
// ends. Methods without a script get an empty result.
func (f *fakeBrowser) answer(script map[string]func(fakeCommand)) {
	go func() {
		for {
			cmd, err := f.next()
			if err != nil {
				return
			}
			if do := script[cmd.Method]; do != nil {
				do(cmd)
			} else {
				f.reply(cmd, "{}")
			}
		}
	}()
}

// sync returns when the connection has read all that was written before.
func (f *fakeBrowser) sync(c *Conn) {
	f.t.Helper()
	seen, stop := c.Root().Subscribe("Fake.sync")
	defer stop()
	f.event("", "Fake.sync", "{}")
	await(f.t, "the connection to read", seen)
}

// hangUp ends the connection from the browser's side.
func (f *fakeBrowser) hangUp() { f.out.Close() }

func (f *fakeBrowser) close() {
	f.out.Close()
	f.inC.Close()
}

func sessionMember(session string) string {
	if session == "" {
		return ""
	}
	return fmt.Sprintf(`,"sessionId":%q`, session)
}

// sid makes a session or target id of the usual length.
func sid(name string) string {
	return (strings.ToUpper(name) + strings.Repeat("0", sessionSize))[:sessionSize]
}
