package permissions

import (
	_ "embed"

	"github.com/cdpbridge/cdpbridge/internal/inpage"
)

var (
	//go:embed js/page.js
	pageJS string
	//go:embed js/isolated.js
	isolatedJS string
	//go:embed js/worker.js
	workerJS string
	//go:embed js/checks.js
	checksJS string
	//go:embed js/check.js
	checkJS string
	//go:embed js/files.js
	filesJS string
	//go:embed js/nowriting.js
	noWritingJS string
)

// PageScript is what runs in each frame, in the page's own world, and asks before
// Chromium does what needs a permission. channel is a name for the events between
// this script and IsolatedScript that no page can guess.
func PageScript(channel string) string {
	return inpage.Call(pageJS, inpage.Replace(), inpage.Own(), "("+inpage.Function(checksJS)+")", "("+inpage.Function(filesJS)+")", inpage.Talk(channel))
}

// NoWritingScript is what runs in each frame, in the page's own world, where
// Chromium would ask a person before it writes to a file and nobody is there. It
// needs no other script.
func NoWritingScript() string {
	return inpage.Call(noWritingJS, inpage.Replace(), inpage.Own(), "("+inpage.Function(filesJS)+")")
}

// IsolatedScript is what runs in each frame in an isolated world. It hands questions
// to the function bridgePermissionCall, as JSON; what it takes back is a method of
// globalThis.bridgePermissions. channel is that of PageScript. Where a page has to know
// at once the script, whose URL is url, stops in the debugger, if that is on, with a
// variable question, and goes on with answer.state, "granted" or "denied".
func IsolatedScript(channel, url string) string {
	return inpage.Call(isolatedJS, "("+inpage.Function(checkJS)+")", inpage.Listen(channel)) + "\n//# sourceURL=" + url
}

// WorkerScript is what runs in each worker before its own script. It stops in the
// debugger as IsolatedScript does.
func WorkerScript(url string) string {
	return inpage.Call(workerJS, inpage.Replace(), inpage.Own(), "("+inpage.Function(checksJS)+")", "("+inpage.Function(checkJS)+")") + "\n//# sourceURL=" + url
}
