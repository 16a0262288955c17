// Package inpage has what the scripts share that the bridge puts into pages.
package inpage

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

var (
	//go:embed replace.js
	replaceJS string
	//go:embed own.js
	ownJS string
	//go:embed talk.js
	talkJS string
	//go:embed listen.js
	listenJS string
)

// Replace is an expression whose value is a function replace(object, name,
// handler): it puts a proxy in the place of a function or getter of the page,
// one that looks like it.
func Replace() string { return Call(replaceJS) }

// Own is an expression whose value makes what a script keeps to itself, whatever the
// page has replaced: collection(kind), such as 'WeakMap', promised(begin) and
// awaitable(promise).
func Own() string { return Call(ownJS) }

// Talk is an expression whose value lets a script in the page's own world ask one in
// an isolated world that has Listen of the same name: an object with tell(message),
// ask(kind, question), askNow(kind, question) and hear(kind, listener). It is
// undefined where such a script is there already.
func Talk(name string) string { return Call(talkJS, Own(), strconv.Quote(name)) }

// Listen is the other side of Talk, in an isolated world: a function of take(message),
// which is true for what it takes, whose value is a function tell(kind, message).
func Listen(name string) string {
	return fmt.Sprintf("(take) => (%s)(%s, take)", Function(listenJS), strconv.Quote(name))
}

// Call is a script that is one function, as a call of it with arguments, which
// are expressions themselves. All of it is strict: a page that has a hand in what
// it calls cannot ask for the functions on the stack.
func Call(script string, arguments ...string) string {
	return fmt.Sprintf("(() => { 'use strict'; return (%s)(%s); })()", Function(script), strings.Join(arguments, ", "))
}

// Function is the function that a script consists of, without the lines before it
// that say what it is for.
func Function(script string) string {
	for strings.HasPrefix(script, "//") {
		_, script, _ = strings.Cut(script, "\n")
	}
	return strings.TrimSpace(script)
}
