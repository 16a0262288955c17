// Package examples shows what the bridge does, one idea a file. The examples are
// run as tests: go test ./examples
package examples
