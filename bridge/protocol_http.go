package bridge

import (
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
)

// HTTPHandler makes a ProtocolHandler of an http.Handler, such as
// http.FileServerFS, whose responses are streamed. A handler that panics ends
// the request with net::ERR_FAILED.
func HTTPHandler(h http.Handler) ProtocolHandler {
	return func(r *http.Request) (*http.Response, error) {
		reader, writer := io.Pipe()
		w := &pipeResponse{header: http.Header{}, body: writer, started: make(chan struct{})}
		go w.serve(h, r)
		<-w.started
		if w.failed != nil {
			return nil, w.failed
		}
		return &http.Response{StatusCode: w.status, Header: w.sent, ContentLength: w.length, Body: reader}, nil
	}
}

// pipeResponse is the http.ResponseWriter of HTTPHandler.
type pipeResponse struct {
	header http.Header // the handler's
	body   *io.PipeWriter

	started chan struct{} // closed when what follows is settled
	status  int
	sent    http.Header
	length  int64
	failed  error
}

func (w *pipeResponse) serve(h http.Handler, r *http.Request) {
	defer func() {
		cause := recover()
		if cause == nil {
			w.start(http.StatusOK, nil, nil)
			w.body.Close()
			return
		}
		err := fmt.Errorf("%w: %v", netFailed, cause)
		if cause != http.ErrAbortHandler {
			err = fmt.Errorf("%w: the handler panicked: %v\n%s", netFailed, cause, debug.Stack())
		}
		w.start(http.StatusInternalServerError, nil, err)
		w.body.CloseWithError(err)
	}()
	h.ServeHTTP(w, r)
}

func (w *pipeResponse) Header() http.Header { return w.header }

func (w *pipeResponse) WriteHeader(status int) {
	if status >= 200 { // what is below comes before the response
		w.start(status, nil, nil)
	}
}

// start settles the head of the response, once. text is the start of the body.
func (w *pipeResponse) start(status int, text []byte, failed error) {
	if w.status != 0 {
		return
	}
	w.status, w.sent, w.length, w.failed = status, w.header.Clone(), -1, failed
	if length, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		w.length = length
	}
	if _, set := w.sent["Content-Type"]; !set && len(text) > 0 {
		w.sent.Set("Content-Type", http.DetectContentType(text))
	}
	close(w.started)
}

func (w *pipeResponse) Write(b []byte) (int, error) {
	w.start(http.StatusOK, b, nil)
	return w.body.Write(b)
}

// Flush is there for handlers that ask for it: nothing is held back.
func (w *pipeResponse) Flush() { w.start(http.StatusOK, nil, nil) }
