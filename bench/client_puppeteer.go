package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/cdpbridge/cdpbridge/chromium"
)

// puppeteerClient is Puppeteer in a process of Node (puppeteer/main.js), which
// has the pipe of a Chromium that was started as for the others. Each of its
// commands is one line each way: one for all the fetches of a measurement.
type puppeteerClient struct {
	ctx      context.Context // of Node
	process  *chromium.Process
	node     *exec.Cmd
	stdin    io.Closer
	commands *json.Encoder
	answers  *json.Decoder
}

func startPuppeteer(ctx context.Context) (Client, error) {
	node, program, err := findPuppeteer()
	if err != nil {
		return nil, err
	}
	process, err := startChromium(ctx)
	if err != nil {
		return nil, err
	}
	c := &puppeteerClient{ctx: ctx, process: process, node: exec.CommandContext(ctx, node, program)}
	if err := c.connect(); err != nil {
		return nil, errors.Join(err, process.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *puppeteerClient) connect() error {
	stdin, err := c.node.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := c.node.StdoutPipe()
	if err != nil {
		return err
	}
	c.stdin, c.commands, c.answers = stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)
	fromChromium, toChromium := c.process.Pipe()
	c.node.ExtraFiles = []*os.File{toChromium, fromChromium}
	c.node.Stderr = os.Stderr
	return c.node.Start()
}

// errNoPuppeteer says how to get what is missing.
var errNoPuppeteer = errors.New("puppeteer is not installed: it takes Node and `npm ci --prefix bench/puppeteer`")

// findPuppeteer returns the path of Node and of the program, which it looks for
// in the working directory's module.
func findPuppeteer() (node, program string, err error) {
	node, err = exec.LookPath("node")
	if err != nil {
		return "", "", errNoPuppeteer
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", "", err
	}
	for {
		candidate := filepath.Join(dir, "bench", "puppeteer")
		if _, err := os.Stat(filepath.Join(candidate, "node_modules", "puppeteer-core")); err == nil {
			return node, filepath.Join(candidate, "main.js"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", "", errNoPuppeteer
		}
		dir = parent
	}
}

// call does a command of main.js, one at a time. It ends with the context that
// the client was started with, which ends Node.
func (c *puppeteerClient) call(result any, command string, args ...any) error {
	if args == nil {
		args = []any{}
	}
	message := map[string]any{"command": command, "args": args}
	if err := c.commands.Encode(message); err != nil {
		return err
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  string          `json:"error"`
	}
	switch err := c.answers.Decode(&answer); {
	case err != nil:
		return fmt.Errorf("puppeteer's answer to %s: %w", command, err)
	case answer.Error != "":
		return fmt.Errorf("puppeteer's %s: %s", command, answer.Error)
	case result == nil:
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

// clientPID and clientCPU make the meter look at Node.
func (c *puppeteerClient) clientPID() int { return c.node.Process.Pid }

func (c *puppeteerClient) clientCPU() (time.Duration, error) {
	var micros int64
	err := c.call(&micros, "cpu")
	return time.Duration(micros) * time.Microsecond, err
}

func (c *puppeteerClient) PID() int { return c.process.PID() }

// Close ends Node first, since it has the pipe too.
func (c *puppeteerClient) Close() error {
	_ = c.stdin.Close() // what counts is how the process ends
	err := c.node.Wait()
	if c.ctx.Err() != nil {
		err = nil // it was killed, as it should be
	}
	return errors.Join(err, c.process.Close(context.Background()))
}

func (c *puppeteerClient) Page(context.Context) (Page, error) {
	p := &puppeteerPage{client: c}
	return p, c.call(&p.number, "open")
}

// errNotCompared is the answer to what no workload of Puppeteer's needs.
var errNotCompared = fmt.Errorf("not compared with Puppeteer: %w", errors.ErrUnsupported)

func (c *puppeteerClient) Session(context.Context) (Page, error) { return nil, errNotCompared }

type puppeteerPage struct {
	client *puppeteerClient
	number int // main.js's
}

func (p *puppeteerPage) Load(_ context.Context, url string) error {
	return p.client.call(nil, "load", p.number, url)
}

func (p *puppeteerPage) Text(_ context.Context, expression string) (text string, err error) {
	err = p.client.call(&text, "text", p.number, expression)
	return text, err
}

// PassRequests intercepts whatever the page asks for: Puppeteer has no patterns.
func (p *puppeteerPage) PassRequests(_ context.Context, patterns int) error {
	if patterns != 1 {
		return errNotCompared
	}
	return p.client.call(nil, "passRequests", p.number)
}

func (p *puppeteerPage) Evaluate(context.Context, string) error          { return errNotCompared }
func (p *puppeteerPage) ShowConsole(context.Context) error               { return errNotCompared }
func (p *puppeteerPage) Listen(context.Context, int, func() error) error { return errNotCompared }

func (p *puppeteerPage) Close(context.Context) error {
	return p.client.call(nil, "close", p.number)
}
