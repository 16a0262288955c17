package gateway

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	// pacSize is how long a script may be, as in Chromium.
	pacSize = 1 << 20
	// pacFetch is how long its fetch may take, as in Chromium.
	pacFetch = 30 * time.Second
)

var errPACSize = fmt.Errorf("it is longer than %d bytes", pacSize)

// checkPACURL allows http, https, data and local file URLs.
func checkPACURL(address string) error {
	if isDataURL(address) {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return errors.Unwrap(err)
	}
	switch u.Scheme {
	case "http", "https":
		_, err = newTarget(u)
		return err
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return errors.New("only files of this machine are read")
		}
		return nil
	}
	return errors.New("a PAC script has an http, https, file or data URL")
}

// fetchPAC reads a script, never by a proxy.
func fetchPAC(ctx context.Context, address string, options ProxyOptions) (string, error) {
	body, mediaType, err := readPAC(ctx, address, options)
	switch {
	case err != nil:
		return "", err
	case len(body) > pacSize:
		return "", errPACSize
	}
	return decodePAC(body, mediaType)
}

func readPAC(ctx context.Context, address string, options ProxyOptions) (body []byte, mediaType string, err error) {
	if isDataURL(address) {
		return readDataURL(address)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, pacFetch)
	defer cancel()
	if u.Scheme == "file" {
		body, err = await(ctx, func() ([]byte, error) { return readFileURL(u) })
		return body, "", err
	}
	return getPAC(ctx, u, options)
}

func getPAC(ctx context.Context, u *url.URL, options ProxyOptions) (body []byte, mediaType string, err error) {
	transport := &http.Transport{DialContext: options.dial, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) == 20 {
			return errors.New("too many redirects")
		}
		return nil
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", err
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, "", errors.Unwrap(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("the server answered %s", response.Status)
	}
	body, err = io.ReadAll(io.LimitReader(response.Body, pacSize+1))
	return body, response.Header.Get("Content-Type"), err
}

func readFileURL(u *url.URL) ([]byte, error) {
	path := filepath.FromSlash(u.Path)
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, `\`)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, pacSize+1))
}

// isDataURL is asked before anything is parsed: scripts in data URLs often hold
// what URLs may not.
func isDataURL(address string) bool {
	return len(address) >= 5 && strings.EqualFold(address[:5], "data:")
}

// readDataURL reads data:[media type][;base64],data.
func readDataURL(address string) (body []byte, mediaType string, err error) {
	mediaType, data, found := strings.Cut(address[len("data:"):], ",")
	if !found {
		return nil, "", errors.New("the data URL has no comma")
	}
	data = percentDecoded(data)
	mediaType, isBase64 := strings.CutSuffix(strings.TrimSpace(mediaType), ";base64")
	if strings.HasPrefix(mediaType, ";") {
		mediaType = "text/plain" + mediaType
	}
	if !isBase64 {
		return []byte(data), mediaType, nil
	}
	data = strings.TrimRight(strings.Join(strings.Fields(data), ""), "=")
	body, err = base64.RawStdEncoding.DecodeString(data)
	return body, mediaType, err
}

// percentDecoded leaves a "%" without two digits as it is.
func percentDecoded(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// decodePAC takes the charset from a byte order mark, else from the media type.
// Without both it is UTF-8 if it can be, and else Latin-1.
func decodePAC(body []byte, mediaType string) (string, error) {
	_, params, _ := mime.ParseMediaType(mediaType)
	var e encoding.Encoding = charmap.Windows1252
	switch charset := strings.ToLower(params["charset"]); charset {
	case "":
		if utf8.Valid(body) {
			e = unicode.UTF8
		}
	case "utf-8", "utf8":
		e = unicode.UTF8
	case "utf-16", "utf-16le":
		e = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case "utf-16be":
		e = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case "iso-8859-1", "latin1", "us-ascii", "ascii", "windows-1252":
	default:
		return "", fmt.Errorf("the charset %q is not supported", charset)
	}
	text, _, err := transform.Bytes(unicode.BOMOverride(e.NewDecoder()), body)
	return string(text), err
}
