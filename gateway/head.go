package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// headLimit is the greatest size of the head of a request or of a proxy's
// answer.
const headLimit = 256 << 10

// head is the head of an HTTP/1 message, as it came.
type head struct {
	first  string // the request line or the status line
	fields []field
}

type field struct {
	name string
	line string // "name: value" as it came, without the line's end
}

func (f field) value() string { return strings.Trim(f.line[len(f.name)+1:], " \t") }

// malformedError is a message that is not HTTP/1, or not safely so.
type malformedError struct{ reason string }

func (e *malformedError) Error() string { return "malformed message: " + e.reason }

func malformed(format string, arguments ...any) error {
	return &malformedError{fmt.Sprintf(format, arguments...)}
}

// readHead reads a head with its empty line. It is io.EOF when there is
// nothing to read at all.
func readHead(r *bufio.Reader) (*head, error) {
	left := headLimit
	first, err := readLine(r, &left)
	if err != nil {
		return nil, err
	}
	h := &head{first: first}
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return nil, noEOF(err)
		}
		if line == "" {
			return h, nil
		}
		name, _, colon := strings.Cut(line, ":")
		if !colon || !isToken(name) {
			return nil, malformed("header line %.40q", line)
		}
		h.fields = append(h.fields, field{name: name, line: line})
	}
}

// readLine reads a line that ends with CRLF, and nothing else does.
func readLine(r *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if *left -= len(part); *left < 0 {
			return "", malformed("a head of more than %d bytes", headLimit)
		}
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			if err == io.EOF && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.ContainsAny(text, "\r\x00") {
		return "", malformed("a line that does not end with CRLF")
	}
	return string(text), nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isToken reports whether a string is a token, as names of headers are. An
// empty one is not, nor is the beginning of a folded line.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// values are the values of a header, in order.
func (h *head) values(name string) []string {
	var all []string
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			all = append(all, f.value())
		}
	}
	return all
}

// mentions reports whether a header lists a token.
func (h *head) mentions(name, token string) bool {
	for _, value := range h.values(name) {
		for one := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(one), token) {
				return true
			}
		}
	}
	return false
}

// drop removes a header.
func (h *head) drop(name string) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !strings.EqualFold(f.name, name) {
			kept = append(kept, f)
		}
	}
	h.fields = kept
}

func (h *head) add(name, value string) {
	h.fields = append(h.fields, field{name: name, line: name + ": " + value})
}

// bytes is the head as it goes over the wire.
func (h *head) bytes() []byte {
	var b bytes.Buffer
	b.WriteString(h.first)
	b.WriteString("\r\n")
	for _, f := range h.fields {
		b.WriteString(f.line)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// body is how the body of a request is framed.
type body struct {
	length  int64 // bytes, 0 for none
	chunked bool
}

// body judges the framing of a request. What two readers could understand
// differently is refused.
func (h *head) body() (body, error) {
	lengths, encodings := h.values("Content-Length"), h.values("Transfer-Encoding")
	switch {
	case len(lengths)+len(encodings) > 1:
		return body{}, malformed("a body framed twice")
	case len(encodings) == 1:
		if !strings.EqualFold(encodings[0], "chunked") {
			return body{}, malformed("transfer encoding %.40q", encodings[0])
		}
		return body{chunked: true}, nil
	case len(lengths) == 1:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || strings.HasPrefix(lengths[0], "+") {
			return body{}, malformed("content length %.40q", lengths[0])
		}
		return body{length: int64(n)}, nil
	}
	return body{}, nil
}

// copy copies a body with its framing, byte for byte. The reader stands
// behind it then.
func (b body) copy(w io.Writer, r *bufio.Reader) error {
	if !b.chunked {
		_, err := io.CopyN(w, r, b.length)
		return noEOF(err)
	}
	for {
		left := headLimit
		line, err := readLine(r, &left)
		if err != nil {
			return noEOF(err)
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(strings.TrimRight(digits, " \t"), 16, 63)
		if err != nil || strings.HasPrefix(digits, "+") {
			return malformed("chunk of size %.20q", line)
		}
		if _, err := io.WriteString(w, line+"\r\n"); err != nil {
			return err
		}
		if size == 0 {
			return copyTrailer(w, r)
		}
		if _, err := io.CopyN(w, r, int64(size)); err != nil {
			return noEOF(err)
		}
		if end, err := readLine(r, &left); err != nil || end != "" {
			return errors.Join(malformed("chunk longer than its size"), err)
		}
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return err
		}
	}
}

func copyTrailer(w io.Writer, r *bufio.Reader) error {
	left := headLimit
	for {
		line, err := readLine(r, &left)
		if err != nil {
			return noEOF(err)
		}
		if _, err := io.WriteString(w, line+"\r\n"); err != nil || line == "" {
			return err
		}
	}
}
