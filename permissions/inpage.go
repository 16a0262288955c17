package permissions

import (
	_ "embed"
	"strconv"

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
)

// ScriptURL is what the scripts in which the debugger has to stop call
// themselves. See IsolatedScript.
const ScriptURL = "bridge:permissions"

const sourceURL = "\n//# sourceURL=" + ScriptURL

// PageScript is what runs in each frame, in the page's own world, and asks before
// Chromium does what needs a permission. channel is a name for the events between
// this script and IsolatedScript that no page can guess.
func PageScript(channel string) string {
	return inpage.Call(pageJS, inpage.Replace(), "("+inpage.Function(checksJS)+")", strconv.Quote(channel))
}

// IsolatedScript is what runs in each frame in an isolated world. It hands a
// Question to the function bridgePermissionCall, as JSON; what it takes back is a method of
// globalThis.bridgePermissions. Where a page has to know at once it stops in the debugger, if that
// is on, with a variable question, and goes on with answer.state, "granted" or "denied".
func IsolatedScript(channel string) string {
	return inpage.Call(isolatedJS, "("+inpage.Function(checkJS)+")", strconv.Quote(channel)) + sourceURL
}

// WorkerScript is what runs in each worker before its own script. It stops in the debugger as IsolatedScript does.
func WorkerScript() string {
	return inpage.Call(workerJS, inpage.Replace(), "("+inpage.Function(checksJS)+")", "("+inpage.Function(checkJS)+")") + sourceURL
}
