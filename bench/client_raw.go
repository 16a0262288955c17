package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/cdpbridge/cdpbridge/chromium"
	jsonv2 "github.com/chromedp/cdproto/cdp/jsonv2"
)

type rawClient struct {
	process *chromium.Process
	conn    *rawConn
}

func startRaw(ctx context.Context) (Client, error) {
	process, err := startChromium(ctx)
	if err != nil {
		return nil, err
	}
	r, w := process.Pipe()
	c := &rawClient{process, newRawConn(r, w)}
	go c.conn.run()
	return c, nil
}

func (c *rawClient) PID() int { return c.process.PID() }

func (c *rawClient) Close() error {
	err := c.process.Close(context.Background())
	<-c.conn.done
	return err
}

func (c *rawClient) Page(ctx context.Context) (Page, error) { return c.open(ctx, "") }

func (c *rawClient) Session(ctx context.Context) (Page, error) {
	var id string
	err := c.conn.call(ctx, "", "Target.createBrowserContext", `{}`, member("browserContextId", &id))
	if err != nil {
		return nil, err
	}
	return c.open(ctx, id)
}

// open makes a page that knows of its loads: what every client has to do.
func (c *rawClient) open(ctx context.Context, browserContext string) (Page, error) {
	p := &rawPage{conn: c.conn, browserContext: browserContext, loaded: make(chan struct{}, 1)}
	create := `{"url":"about:blank"}`
	if browserContext != "" {
		create = `{"url":"about:blank","browserContextId":"` + browserContext + `"}`
	}
	if err := p.conn.call(ctx, "", "Target.createTarget", create, member("targetId", &p.target)); err != nil {
		return nil, err
	}
	attach := `{"flatten":true,"targetId":"` + p.target + `"}`
	if err := p.conn.call(ctx, "", "Target.attachToTarget", attach, member("sessionId", &p.session)); err != nil {
		return nil, err
	}
	return p, p.conn.call(ctx, p.session, "Page.enable", `{}`, nil)
}

type rawPage struct {
	conn                            *rawConn
	browserContext, target, session string
	loaded                          chan struct{}
}

func (p *rawPage) Load(ctx context.Context, url string) error {
	p.conn.hook("Page.loadEventFired", func([]byte) {
		select {
		case p.loaded <- struct{}{}:
		default:
		}
	})
	if err := p.conn.call(ctx, p.session, "Page.navigate", `{"url":`+strconv.Quote(url)+`}`, nil); err != nil {
		return err
	}
	select { // what came before the answer was the old document's
	case <-p.loaded:
	default:
	}
	select {
	case <-p.loaded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *rawPage) Evaluate(ctx context.Context, expression string) error {
	return p.conn.call(ctx, p.session, "Runtime.evaluate", `{"expression":`+strconv.Quote(expression)+`}`, nil)
}

func (p *rawPage) Text(ctx context.Context, expression string) (string, error) {
	var text string
	params := `{"returnByValue":true,"awaitPromise":true,"expression":` + strconv.Quote(expression) + `}`
	err := p.conn.call(ctx, p.session, "Runtime.evaluate", params, member("value", &text))
	return text, err
}

func (p *rawPage) ShowConsole(ctx context.Context) error {
	return p.conn.call(ctx, p.session, "Runtime.enable", `{}`, nil)
}

// Listen decodes no more of a message than its arguments.
func (p *rawPage) Listen(ctx context.Context, n int, trigger func() error) error {
	done := make(chan error, 1)
	p.conn.hook("Runtime.consoleAPICalled", func(params []byte) {
		var ev struct {
			Args []struct {
				Value jsonv2.Value `json:"value"`
			} `json:"args"`
		}
		err := jsonv2.Unmarshal(params, &ev)
		if err == nil && len(ev.Args) != 2 {
			err = fmt.Errorf("a message of %d parts, not 2", len(ev.Args))
		}
		if n--; err != nil || n == 0 {
			select {
			case done <- err:
			default:
			}
		}
	})
	return listen(trigger, func() error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

func (p *rawPage) PassRequests(ctx context.Context, patterns int) error {
	p.conn.hook("Fetch.requestPaused", func(params []byte) {
		var id string
		member("requestId", &id)(params)
		// An error is that of the pipe, which the next call has too.
		_ = p.conn.send(p.session, "Fetch.continueRequest", `{"requestId":"`+id+`"}`, nil)
	})
	var enable bytes.Buffer
	for i, pattern := range urlPatterns(patterns) {
		if i > 0 {
			enable.WriteByte(',')
		}
		enable.WriteString(`{"urlPattern":"` + pattern + `"}`)
	}
	return p.conn.call(ctx, p.session, "Fetch.enable", `{"patterns":[`+enable.String()+`]}`, nil)
}

func (p *rawPage) Close(ctx context.Context) error {
	if p.browserContext == "" {
		return p.conn.call(ctx, "", "Target.closeTarget", `{"targetId":"`+p.target+`"}`, nil)
	}
	return p.conn.call(ctx, "", "Target.disposeBrowserContext", `{"browserContextId":"`+p.browserContext+`"}`, nil)
}

// member copies the text of the first string member of that name, which needs no
// unescaping in what this client asks for.
func member(name string, text *string) func(body []byte) {
	return func(body []byte) {
		_, rest, _ := bytes.Cut(body, []byte(`"`+name+`":"`))
		if n := bytes.IndexByte(rest, '"'); n >= 0 {
			*text = string(rest[:n])
		}
	}
}
