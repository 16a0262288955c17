package bridge

import (
	"context"
	"fmt"
	"strings"

	"github.com/cdpbridge/cdpbridge/cdp"
	"github.com/cdpbridge/cdpbridge/chromium"
)

// Check is one finding of Diagnose.
type Check = chromium.Check

// Diagnose looks at the machine, and then at a browser that it starts with the
// options on a temporary directory: whether its sandbox is on and whether the
// lean flags took effect.
func Diagnose(ctx context.Context, o Options) []Check {
	checks := chromium.Diagnose(ctx, o.chromium())
	o.UserDataDir = ""
	b, err := Launch(ctx, o)
	if err != nil {
		return append(checks, Check{Name: "start", Status: chromium.Fail, Detail: err.Error(), Advice: "see the findings above; bridge doctor -v shows what Chromium writes"})
	}
	defer b.Close()
	checks = append(checks, Check{Name: "start", Detail: "Chromium starts and answers"})
	return append(checks, b.checkSandbox(ctx), b.checkLean(ctx))
}

// checkSandbox asks Chromium's own page on its sandbox.
func (b *Browser) checkSandbox(ctx context.Context) Check {
	check := Check{Name: "sandbox in force"}
	var text string
	h := b.hosts[0]
	err := h.hidden.Use(ctx, "", "chrome://sandbox/", func(ctx context.Context, s *cdp.Session) error {
		var r struct {
			Result struct {
				Value string `json:"value"`
			} `json:"result"`
		}
		err := s.Call(ctx, "Runtime.evaluate", map[string]any{"expression": "document.body.innerText", "returnByValue": true}, &r)
		text = strings.TrimSpace(r.Result.Value)
		return err
	})
	verdict := text[strings.LastIndexByte(text, '\n')+1:]
	switch {
	case err != nil:
		check.Status, check.Detail = chromium.Warn, fmt.Sprintf("Chromium's page chrome://sandbox could not be asked: %v", err)
		check.Advice = "look at it in a headful browser"
	case strings.Contains(verdict, "adequately sandboxed"):
		check.Detail = "Chromium says: " + verdict
	case b.opts.NoSandbox:
		check.Status, check.Detail, check.Advice = chromium.Warn, "the sandbox is off, as asked for", "leave NoSandbox out wherever the machine allows a sandbox"
	default:
		check.Status, check.Detail = chromium.Fail, "Chromium says: "+verdict
		check.Advice = "allow unprivileged user namespaces, or install Chromium's setuid sandbox"
	}
	return check
}

// checkLean looks for Chromium's own pop-up pages, of which every window has two
// unless the lean flags keep them away. The names of features change with
// versions.
func (b *Browser) checkLean(ctx context.Context) Check {
	check := Check{Name: "lean flags"}
	if b.opts.Flags == Stock {
		check.Detail = "not asked for"
		return check
	}
	page, err := b.DefaultSession().NewPage(ctx, "")
	if err == nil {
		defer page.Close(ctx)
	}
	var targets struct {
		TargetInfos []cdp.TargetInfo `json:"targetInfos"`
	}
	if err == nil {
		filter := []map[string]any{{"type": "browser_ui"}, {"exclude": true}}
		err = b.hosts[0].root().Call(ctx, "Target.getTargets", map[string]any{"filter": filter}, &targets)
	}
	switch {
	case err != nil:
		check.Status, check.Detail, check.Advice = chromium.Warn, err.Error(), "run bridge doctor -v"
	case len(targets.TargetInfos) > 0:
		check.Status = chromium.Warn
		check.Detail = fmt.Sprintf("Chromium opened %d pages of its own, such as %s: each session takes more memory", len(targets.TargetInfos), targets.TargetInfos[0].URL)
		check.Advice = "nothing is wrong; this version of Chromium names its features otherwise"
	default:
		check.Detail = "in effect"
	}
	return check
}

// chromium are the options as the process takes them.
func (o Options) chromium() chromium.Options {
	return chromium.Options{
		Binary:      o.Binary,
		UserDataDir: o.UserDataDir,
		Headful:     o.Headful,
		Flags:       o.Flags,
		Args:        o.Args,
		NoSandbox:   o.NoSandbox,
		User:        o.User,
		NetLog:      o.chromiumNetLog(),
	}
}
