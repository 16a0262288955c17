package bridge

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// clickable says in window.clicked which element was clicked.
const clickable = `<!doctype html><meta charset="utf-8"><style>body { margin: 0; height: 4000px }</style>
<script>addEventListener('click', event => { (window.clicked ??= []).push(event.target.id + ' ' + event.isTrusted) })</script>`

func TestClick_ReachesElementsWhereverTheyAre(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	for name, html := range map[string]string{
		"plain":        `<button id="x">x</button>`,
		"below":        `<button id="x" style="position: absolute; top: 3500px">x</button>`,
		"right":        `<div style="width: 5000px"><button id="x" style="position: absolute; left: 4500px">x</button></div>`,
		"container":    `<div style="width: 200px; height: 100px; overflow: auto"><div style="height: 900px"></div><button id="x">x</button></div>`,
		"sticky":       `<div style="position: fixed; top: 0; left: 0; right: 0; height: 100px; background: red">bar</div><button id="x" style="position: absolute; top: 2000px">x</button>`,
		"late":         `<script>setTimeout(() => { const b = document.createElement('button'); b.id = 'x'; b.textContent = 'x'; document.body.append(b) }, 200)</script>`,
		"hidden":       `<button id="x" style="visibility: hidden">x</button><script>setTimeout(() => { x.style.visibility = '' }, 200)</script>`,
		"moving":       `<style>#x { position: absolute; animation: move .5s linear } @keyframes move { from { left: 0 } to { left: 500px } }</style><button id="x" style="left: 500px">x</button>`,
		"disabled":     `<button id="x" disabled>x</button><script>setTimeout(() => { x.disabled = false }, 200)</script>`,
		"covered":      `<button id="x">x</button><div id="cover" style="position: fixed; inset: 0"></div><script>setTimeout(() => cover.remove(), 200)</script>`,
		"child":        `<button id="x"><span style="pointer-events: none">x</span></button>`,
		"wrapped link": `<p style="width: 100px">some words <a id="x" href="#here">a link that is wrapped to more lines</a></p>`,
		"zoomed":       `<div style="zoom: 2"><button id="x" style="margin: 50px; transform: rotate(30deg)">x</button></div>`,
		"replaced":     `<script>let n = 0; const timer = setInterval(() => { document.querySelector('#x')?.remove(); const b = document.createElement('button'); b.id = 'x'; b.textContent = 'x'; document.body.append(b); if (++n > 20) clearInterval(timer) }, 10)</script>`,
	} {
		path := "/" + strings.ReplaceAll(name, " ", "-")
		serveHTML(server, path, clickable+"<body>"+html)
		page := testPage(t, s, server.URL("a.test", path))
		if err := page.Click(ctx, "#x"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want(t, page, "String(window.clicked)", "x true")
		page.Close(ctx)
	}
}

func TestClick_SaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	serveHTML(server, "/ways", clickable+`<body><button id="covered">x</button><button id="off" disabled>x</button><p id="none" style="display: none">x</p>
		<button id="outside" style="position: fixed; left: -500px">x</button><div id="cover" style="position: absolute; inset: 0; height: 100px"></div>`)
	page := testPage(t, s, server.URL("a.test", "/ways"))
	for selector, reason := range map[string]string{
		"#missing": "no element matches", "#covered": `<div id="cover"`, "#off": "disabled", "#none": "not visible", "#outside": "outside",
	} {
		var err error
		for limit := 400 * time.Millisecond; err == nil || strings.Contains(err.Error(), "nothing is known"); limit *= 4 {
			short, cancel := context.WithTimeout(ctx, limit)
			err = page.Click(short, selector)
			cancel()
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), selector) {
			t.Errorf("%s: %v, want %q", selector, err, reason)
		}
	}
	var thrown *JavaScriptError
	for _, selector := range []string{"##", "", "a["} {
		if err := page.Click(ctx, selector); !errors.As(err, &thrown) {
			t.Errorf("selector %q: %v", selector, err)
		}
	}
	want(t, page, "String(window.clicked)", "undefined")
}

func TestClick_InFramesAndInPagesBehindOthers(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	serveHTML(server, "/inner", clickable+`<body><div style="height: 1000px"></div><button id="x">x</button><input id="y">`)
	page := testPage(t, s, framesURL(server, "a.test", "own", server.URL("a.test", "/inner"), "foreign", server.URL("b.test", "/inner"), "deep", framesURL(server, "b.test", "bottom", server.URL("a.test", "/inner"))))
	testPage(t, s, server.URL("a.test", "/page/in-front"))
	for _, name := range []string{"own", "foreign", "bottom"} {
		f := frame(t, page, name)
		if err := f.Click(ctx, "#x"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Type(ctx, "#y", "typed ü"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want(t, f, "clicked.join() + ' ' + document.querySelector('#y').value", "x true,y true typed ü")
	}
}

func TestClick_ThatLeadsAwayOrClosesThePage(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	for _, host := range []string{"a.test", "b.test"} {
		serveHTML(server, "/to-"+host, `<a id="x" href="`+server.URL(host, "/page/there")+`">x</a>`)
		page := testPage(t, s, server.URL("a.test", "/to-"+host))
		if err := page.Click(ctx, "#x"); err != nil {
			t.Error(err)
		}
		eventuallyAt(t, page, "/page/there")
	}
	serveHTML(server, "/closes", `<button id="x" onmousedown="window.close()">x</button>`)
	opener := testPage(t, s, server.URL("a.test", "/popups?to=/closes"))
	popups := events(opener.Popups(ctx))
	if err := opener.Click(ctx, "#open"); err != nil {
		t.Fatal(err)
	}
	popup := next(t, popups)
	if err := popup.Click(ctx, "#x"); err != nil {
		t.Errorf("a click that closes the page: %v", err)
	}
	<-popup.Done()
}

func TestType_EntersTextAsAUserDoes(t *testing.T) {
	t.Parallel()
	ctx, s, server := testContext(t), memorySession(t), fixture.New(t)
	page := testPage(t, s, server.URL("a.test", "/form"))
	const text = "Hello, Wörld! \U0001F468\u200d\U0001F469 日本 é ~{}"
	if err := page.Type(ctx, "#name", text); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.querySelector('#name').value", text)
	want(t, page, "document.querySelector('#log').textContent.includes('keydown:name')", true)
	if err := page.Type(ctx, "#text", "one\ntwo\r\n\tthree"); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.querySelector('#text').value", "one\ntwo\n") // the Tab key left it
	if err := page.TypeKeys(ctx, ""); err != nil {
		t.Errorf("no text: %v", err)
	}
	serveHTML(server, "/editable", `<div id="e" contenteditable style="min-height: 50px"></div>`)
	if err := page.LoadURL(ctx, server.URL("a.test", "/editable"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := page.Type(ctx, "#e", "first\nsecondX"+kb.Backspace+kb.Home+">"); err != nil {
		t.Fatal(err)
	}
	want(t, page, "document.querySelector('#e').innerText.trim().replace(/\\n+/g, '|')", "first|>second")
	// Enter in a field sends its form.
	if err := page.LoadURL(ctx, server.URL("a.test", "/form"), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := page.Type(ctx, "#name", "sent\n"); err != nil {
		t.Fatal(err)
	}
	if r, err := server.WaitRequest(ctx, "/echo"); err != nil || r.Method != "POST" {
		t.Errorf("the form: %v, %v", r, err)
	}
	eventuallyAt(t, page, "/echo")
}
