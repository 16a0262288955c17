// Package page has what documents and workers run in place of Chromium's own
// navigator.serial, navigator.hid and navigator.usb: the interfaces of the
// specifications, whose devices are those of the program. It asks for all that it
// does and is no wall: the program judges each question by who asks.
package page

import (
	_ "embed"
	"fmt"

	"github.com/cdpbridge/cdpbridge/internal/inpage"
)

var (
	//go:embed js/kit.js
	kitJS string
	//go:embed js/serial.js
	serialJS string
	//go:embed js/hid.js
	hidJS string
	//go:embed js/usb.js
	usbJS string
	//go:embed js/window.js
	windowJS string
	//go:embed js/isolated.js
	isolatedJS string
	//go:embed js/worker.js
	workerJS string
)

// scripts are those of the kinds of devices.
func scripts() string {
	return fmt.Sprintf("[%s, %s, %s]", function(serialJS), function(hidJS), function(usbJS))
}

func function(script string) string { return "(" + inpage.Function(script) + ")" }

// Script is what runs in each frame, in the page's own world. channel is a name for the
// events between this script and IsolatedScript that no page can guess.
func Script(channel string) string {
	return inpage.Call(windowJS, inpage.Replace(), inpage.Talk(channel), function(kitJS), scripts())
}

// IsolatedScript is what runs in each frame in an isolated world. It hands questions to
// the function bridgeDevicesCall, as JSON: kind is the operation, such as "serial.open",
// id is for the answer, url, origin and active say who asks. Methods of
// globalThis.bridgeDevices take what goes back: answer({id, result, error}) and
// tell(kind, message). channel is that of Script.
func IsolatedScript(channel string) string {
	return inpage.Call(isolatedJS, inpage.Listen(channel))
}

// WorkerScript is what runs in each dedicated worker before its own script, where
// bridgeDevicesCall is as in IsolatedScript. Its value is an object with the methods
// of globalThis.bridgeDevices.
func WorkerScript() string {
	return inpage.Call(workerJS, inpage.Replace(), function(kitJS), scripts())
}
