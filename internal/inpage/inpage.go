// Package inpage has what the scripts share that the bridge puts into pages.
package inpage

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed replace.js
var replaceJS string

// Replace is an expression whose value is a function replace(object, name,
// handler): it puts a proxy in the place of a function or getter of the page,
// one that looks like it.
func Replace() string { return Call(replaceJS) }

// Call is a script that is one function, as a call of it with arguments, which
// are expressions themselves.
func Call(script string, arguments ...string) string {
	return fmt.Sprintf("(%s)(%s)", Function(script), strings.Join(arguments, ", "))
}

// Function is the function that a script consists of, without the lines before it
// that say what it is for.
func Function(script string) string {
	for strings.HasPrefix(script, "//") {
		_, script, _ = strings.Cut(script, "\n")
	}
	return strings.TrimSpace(script)
}
