package bridge

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// ProtocolResponse is what the responses of the five kinds of protocols have in
// common: Electron's ProtocolResponse.
type ProtocolResponse struct {
	// Error ends the request; the rest then counts for nothing.
	Error NetError
	// StatusCode is that of HTTP; 0 means 200. With one of a redirect, the
	// header Location says where to.
	StatusCode int
	// Headers are the header of the response; a Content-Type in it wins over
	// MimeType.
	Headers http.Header
	// MimeType is the type of the body; empty means "text/html", and for files
	// what the name says.
	MimeType string
	// Charset belongs to MimeType; empty means "utf-8" for text.
	Charset string
}

// response is the response with a body. size is its length, -1 if that is not
// known; of text the character set is known.
func (p ProtocolResponse) response(body io.Reader, size int64, text bool) (*http.Response, error) {
	if p.Error != 0 {
		return nil, p.Error
	}
	r := &http.Response{StatusCode: p.StatusCode, Header: p.Headers.Clone(), Body: asCloser(body), ContentLength: size}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if _, set := r.Header["Content-Type"]; !set {
		r.Header.Set("Content-Type", p.contentType(text))
	}
	return r, nil
}

func (p ProtocolResponse) contentType(text bool) string {
	kind, charset := cmp.Or(p.MimeType, "text/html"), p.Charset
	if charset == "" && text {
		charset = "utf-8"
	}
	if charset == "" || strings.Contains(kind, "charset=") {
		return kind
	}
	return fmt.Sprintf("%s; charset=%s", kind, charset)
}

func asCloser(body io.Reader) io.ReadCloser {
	if c, ok := body.(io.ReadCloser); ok {
		return c
	}
	return io.NopCloser(body)
}

// readableByAll lets every page read a response, as Electron does for strings, buffers
// and files.
func readableByAll(r *http.Response, err error) (*http.Response, error) {
	if err == nil && r.Header.Get("Access-Control-Allow-Origin") == "" {
		r.Header.Set("Access-Control-Allow-Origin", "*")
	}
	return r, err
}

// StringResponse is the response of a string protocol.
type StringResponse struct {
	ProtocolResponse
	Data string // the body
}

func (p *StringResponse) answer(*Session, *http.Request) (*http.Response, error) {
	return readableByAll(p.response(strings.NewReader(p.Data), int64(len(p.Data)), true))
}

// BufferResponse is the response of a buffer protocol.
type BufferResponse struct {
	ProtocolResponse
	Data []byte // the body
}

func (p *BufferResponse) answer(*Session, *http.Request) (*http.Response, error) {
	return readableByAll(p.response(bytes.NewReader(p.Data), int64(len(p.Data)), false))
}

// StreamResponse is the response of a stream protocol. A Data that is an
// io.Closer is closed at the end, and when nobody wants the rest.
type StreamResponse struct {
	ProtocolResponse
	Data io.Reader // nil is an empty body
}

func (p *StreamResponse) answer(*Session, *http.Request) (*http.Response, error) {
	if p.Data == nil {
		return p.response(http.NoBody, 0, false)
	}
	return p.response(p.Data, -1, false)
}

// FileResponse is the response of a file protocol. Ranges are served.
type FileResponse struct {
	ProtocolResponse
	// Path is the file's absolute path. It is read with the rights of the
	// bridge: check what comes from a URL, or use http.FileServerFS on an
	// os.Root, which cannot be left.
	Path string
}

func (p *FileResponse) answer(_ *Session, r *http.Request) (*http.Response, error) {
	if p.Error != 0 {
		return nil, p.Error
	}
	if !filepath.IsAbs(p.Path) {
		return nil, netFileNotFound
	}
	info, err := os.Stat(p.Path) // opening a pipe would wait for its other end
	if err == nil && !info.Mode().IsRegular() {
		err = netFileNotFound
	}
	if err != nil {
		return nil, netError(err)
	}
	file, err := os.Open(p.Path)
	if err != nil {
		return nil, netError(err)
	}
	head := *p
	head.MimeType = cmp.Or(p.MimeType, mime.TypeByExtension(filepath.Ext(p.Path)), "application/octet-stream")
	return readableByAll(HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer file.Close()
		header := w.Header()
		for name, values := range p.Headers {
			header[name] = values
		}
		if _, set := header["Content-Type"]; !set {
			header.Set("Content-Type", head.contentType(false))
		}
		if p.StatusCode != 0 { // a status of its own is for the whole file
			w.WriteHeader(p.StatusCode)
			io.Copy(w, file)
			return
		}
		http.ServeContent(w, r, p.Path, info.ModTime(), file)
	}))(r))
}

// HTTPResponse is the response of an http protocol: another request answers it.
// Of ProtocolResponse it takes Error, and Headers, which are those of the request.
type HTTPResponse struct {
	ProtocolResponse
	// URL is what is asked, with http or https.
	URL string
	// Method is that of the request; empty means that of the original.
	Method string
	// Referrer is the header Referer of the request.
	Referrer string
	// Session makes the request; nil means the session of the original.
	Session *Session
	// UploadData is the body of a POST.
	UploadData []byte
	// ContentType is that of UploadData.
	ContentType string
}

func (p *HTTPResponse) answer(s *Session, original *http.Request) (*http.Response, error) {
	if p.Error != 0 {
		return nil, p.Error
	}
	r, err := http.NewRequestWithContext(original.Context(), cmp.Or(p.Method, original.Method), p.URL, bytes.NewReader(p.UploadData))
	if err != nil || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		return nil, netInvalidURL
	}
	r.Header = original.Header.Clone()
	for name, values := range p.Headers {
		r.Header[name] = values
	}
	if p.ContentType != "" {
		r.Header.Set("Content-Type", p.ContentType)
	}
	if p.Referrer != "" {
		r.Header.Set("Referer", p.Referrer)
	}
	return cmp.Or(p.Session, s).Fetch(r, FetchOptions{BypassCustomProtocolHandlers: true})
}

// protocolAnswer is a response of one of the kinds.
type protocolAnswer interface {
	answer(*Session, *http.Request) (*http.Response, error)
}

// kind makes a ProtocolHandler of a handler of one kind. A nil response is
// Electron's callback without an argument.
func kind[T any, P interface {
	*T
	protocolAnswer
}](p *Protocol, handler func(*http.Request) P) ProtocolHandler {
	if handler == nil {
		return nil
	}
	return func(r *http.Request) (*http.Response, error) {
		a := handler(r)
		if a == nil {
			return nil, netNotImplemented
		}
		return a.answer(p.session, r)
	}
}

// RegisterStringProtocol registers a scheme whose responses are text. It
// reports whether nobody else had registered it. A handler that returns nil
// ends the request with net::ERR_NOT_IMPLEMENTED; this holds for all kinds.
func (p *Protocol) RegisterStringProtocol(scheme string, handler func(*http.Request) *StringResponse) bool {
	return p.register(scheme, kind(p, handler))
}

// RegisterBufferProtocol registers a scheme whose responses are bytes.
func (p *Protocol) RegisterBufferProtocol(scheme string, handler func(*http.Request) *BufferResponse) bool {
	return p.register(scheme, kind(p, handler))
}

// RegisterFileProtocol registers a scheme whose responses are files.
func (p *Protocol) RegisterFileProtocol(scheme string, handler func(*http.Request) *FileResponse) bool {
	return p.register(scheme, kind(p, handler))
}

// RegisterHTTPProtocol registers a scheme whose responses are those of other
// requests.
func (p *Protocol) RegisterHTTPProtocol(scheme string, handler func(*http.Request) *HTTPResponse) bool {
	return p.register(scheme, kind(p, handler))
}

// RegisterStreamProtocol registers a scheme whose responses are streams.
func (p *Protocol) RegisterStreamProtocol(scheme string, handler func(*http.Request) *StreamResponse) bool {
	return p.register(scheme, kind(p, handler))
}

// InterceptStringProtocol answers requests for http, https or file, or for a
// registered scheme, with text. It reports whether nobody else had intercepted
// it.
func (p *Protocol) InterceptStringProtocol(scheme string, handler func(*http.Request) *StringResponse) bool {
	return p.intercept(scheme, kind(p, handler))
}

// InterceptBufferProtocol is InterceptStringProtocol with bytes.
func (p *Protocol) InterceptBufferProtocol(scheme string, handler func(*http.Request) *BufferResponse) bool {
	return p.intercept(scheme, kind(p, handler))
}

// InterceptFileProtocol is InterceptStringProtocol with files.
func (p *Protocol) InterceptFileProtocol(scheme string, handler func(*http.Request) *FileResponse) bool {
	return p.intercept(scheme, kind(p, handler))
}

// InterceptHTTPProtocol is InterceptStringProtocol with other requests.
func (p *Protocol) InterceptHTTPProtocol(scheme string, handler func(*http.Request) *HTTPResponse) bool {
	return p.intercept(scheme, kind(p, handler))
}

// InterceptStreamProtocol is InterceptStringProtocol with streams.
func (p *Protocol) InterceptStreamProtocol(scheme string, handler func(*http.Request) *StreamResponse) bool {
	return p.intercept(scheme, kind(p, handler))
}
