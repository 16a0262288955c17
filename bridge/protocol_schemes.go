package bridge

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// adapt makes the response of a registered scheme one for the URL that stands
// for it.
func (p *protocolReply) adapt(r *http.Response) error {
	if builtIn(p.scheme) {
		return nil
	}
	privileges := p.session.browser.schemes[p.scheme]
	if to := r.Header.Get("Location"); to != "" {
		r.Header.Set("Location", p.session.protocol.wireURL(to))
	}
	if origin := r.Header.Get("Access-Control-Allow-Origin"); origin != "" {
		r.Header.Set("Access-Control-Allow-Origin", strings.TrimSuffix(p.session.protocol.wireURL(origin), "/")) // an origin has no path
	}
	if !privileges.CORSEnabled {
		r.Header.Del("Access-Control-Allow-Origin") // whatever way a page came to ask
	}
	if p.paused.ResourceType == document && !privileges.Standard {
		r.Header.Add("Content-Security-Policy", opaqueOrigin)
	}
	return p.rewriteModules(r)
}

// opaqueOrigin is the policy that gives a document an origin of its own, and
// takes nothing else away.
const opaqueOrigin = "sandbox allow-downloads allow-forms allow-modals allow-orientation-lock allow-pointer-lock allow-popups " +
	"allow-popups-to-escape-sandbox allow-presentation allow-scripts allow-top-navigation"

// largestModule is the size in bytes of the largest script or page in which
// imports are rewritten.
const largestModule = 16 << 20

// rewriteModules replaces the URLs of registered schemes in imports of scripts
// and pages: no script can stand between Chromium's module loader and a URL.
func (p *protocolReply) rewriteModules(r *http.Response) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	rewrite := map[string]func([]byte, func(string) string) []byte{
		"text/javascript": rewriteImports, "application/javascript": rewriteImports, "text/html": rewriteScripts,
	}[kind]
	if rewrite == nil || r.ContentLength <= 0 || r.ContentLength > largestModule || r.Header.Get("Content-Encoding") != "" {
		return nil
	}
	text, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return fmt.Errorf("%w: reading the body: %w", netFailed, err)
	}
	text = rewrite(text, p.session.protocol.wireURL)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Del("Content-Length")
	return nil
}

var (
	// importURL is an absolute URL in an import or export: from 'x:…', import
	// 'x:…', import('x:…').
	importURL = regexp.MustCompile(`(\b(?:from|import)\s*\(?\s*)(["'])([a-z][a-z0-9+.-]*:[^"'\s]*)(["'])`)
	// scriptElement is a script of a page with what is in it.
	scriptElement = regexp.MustCompile(`(?is)(<script\b[^>]*>)(.*?)(</script)`)
	moduleType    = regexp.MustCompile(`(?i)\btype\s*=\s*["']?module\b`)
	sourceURL     = regexp.MustCompile(`(?i)(\bsrc\s*=\s*["']?)([a-z][a-z0-9+.-]*:[^"'\s>]*)`)
)

// rewriteImports replaces the URLs of a script's imports.
func rewriteImports(script []byte, wire func(string) string) []byte {
	return importURL.ReplaceAllFunc(script, func(found []byte) []byte {
		part := importURL.FindSubmatch(found)
		return fmt.Appendf(nil, "%s%s%s%s", part[1], part[2], wire(string(part[3])), part[4])
	})
}

// rewriteScripts replaces the URLs of a page's module scripts and of their
// imports.
func rewriteScripts(page []byte, wire func(string) string) []byte {
	return scriptElement.ReplaceAllFunc(page, func(found []byte) []byte {
		part := scriptElement.FindSubmatch(found)
		head, body := part[1], rewriteImports(part[2], wire)
		if moduleType.Match(head) {
			head = sourceURL.ReplaceAllFunc(head, func(source []byte) []byte {
				part := sourceURL.FindSubmatch(source)
				return append(append([]byte{}, part[1]...), wire(string(part[2]))...)
			})
		}
		return bytes.Join([][]byte{head, body, part[3]}, nil)
	})
}
