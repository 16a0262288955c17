package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// serverVariable makes a program the server of its parent process.
const serverVariable = "BRIDGE_BENCH_SERVER"

// RunServer turns the process into the server, and returns true when it has
// ended, if StartServer has started it. Programs that use StartServer call it
// first. The server is a process of its own to keep its CPU time out of the
// clients'.
func RunServer() bool {
	if os.Getenv(serverVariable) == "" {
		return false
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Printf("http://%s\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		_ = l.Close()
	}()
	_ = http.Serve(l, site()) // its error is that the listener is closed
	return true
}

// site answers with a small page of four requests: itself, a style sheet, a
// script and an image.
func site() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern, contentType, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Cache-Control", "no-store")
			_, _ = io.WriteString(w, body)
		})
	}
	answer("/page", "text/html; charset=utf-8", `<!doctype html>
<html lang="en">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css">
<title>page</title>
<h1>A small page</h1>
<img src="/image.svg" alt="">
<script src="/script.js"></script>
</html>
`)
	answer("/style.css", "text/css", `h1 { color: teal }`)
	answer("/script.js", "text/javascript", `document.body.append('!')`)
	answer("/image.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><circle r="8" cx="8" cy="8"/></svg>`)
	answer("/small", "text/plain", "ok")
	return mux
}

// StartServer starts the server of the workloads. close ends it.
func StartServer() (url string, close func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	close = func() error {
		_ = in.Close() // what counts is how the process ends
		return cmd.Wait()
	}
	url, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, fmt.Errorf("bench: the server did not come up: %w", close())
	}
	return strings.TrimSpace(url), close, nil
}
