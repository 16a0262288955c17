package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/internal/hostport"
)

// TLSConfig are a session's TLS settings (Electron's setSSLConfig and
// setCertificateVerifyProc). While they are set, the gateway speaks TLS with
// the servers itself and shows the browser a certificate of its own.
type TLSConfig struct {
	// MinVersion and MaxVersion limit the versions, such as tls.VersionTLS13.
	// 0 is TLS 1.2 and the newest.
	MinVersion, MaxVersion uint16
	// DisabledCipherSuites are not offered. Those of TLS 1.3 cannot be
	// disabled, as in Chromium.
	DisabledCipherSuites []uint16
	// Verify judges the certificate of each server: 0 accepts it, -3 keeps the
	// result of the default verification, anything else refuses it with that
	// code. Answers are remembered by host and chain. It may wait, and must
	// return when its context ends: then nobody wants to know any more. Nil
	// keeps the result of the default verification.
	Verify func(ctx context.Context, r VerifyRequest) int
	// ClientCertificate is asked when a server wants one of the client. Nil
	// and no error is none, which is also the answer of a nil function.
	ClientCertificate func(ctx context.Context, r CertificateRequest) (*tls.Certificate, error)
}

// CertificateRequest is a server that asks for a certificate of the client.
type CertificateRequest struct {
	Host             string                // host:port
	AcceptableCAs    [][]byte              // the names of authorities in DER, empty for any
	SignatureSchemes []tls.SignatureScheme // those that the server takes
}

// TLSError is a server with which TLS failed, for another reason than its
// certificate.
type TLSError struct {
	Host string // host:port
	Err  error
}

func (e *TLSError) Error() string { return fmt.Sprintf("TLS with %s: %v", e.Host, e.Err) }

// Unwrap gives the reason.
func (e *TLSError) Unwrap() error { return e.Err }

// suites are those of TLS 1.2 that Chromium offers, in its order.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	tls.TLS_RSA_WITH_AES_256_CBC_SHA,
}

// The TLS alerts that the gateway itself sends.
const (
	alertUnexpectedMessage = 10
	alertHandshakeFailure  = 40
	alertProtocolVersion   = 70
)

const recordHandshake = 0x16

var errNoAuthority = errors.New("speaking TLS with the browser takes Options.Authority")

// tunnelLate goes on with a tunnel of which the first bytes decide: by which
// way it goes, when up is nil, whether TLS is bridged, and whether it is for a
// WebSocket that somebody sees.
func (g *Gateway) tunnelLate(ctx context.Context, o Options, c *client, up *upstream, routes tunnelRoutes, target string, sockets watched) {
	if up != nil {
		first, err := g.firstToSpeak(ctx, c, up)
		if err != nil {
			return
		}
		if first == theServer {
			g.pass(ctx, c, up.Conn)
			return
		}
	}
	first, err := c.r.Peek(1)
	if err != nil {
		return
	}
	route, seen, hello := routes.ws, sockets.ws, (*clientHello)(nil)
	if first[0] == recordHandshake {
		if hello, err = readHello(c); err != nil {
			return
		}
		if route, seen = routes.https, false; hello.webSocket() {
			route, seen = routes.wss, sockets.wss
		}
	}
	if route.err != nil {
		g.tell(target, route.err)
		failLate(c, hello)
		return
	}
	if seen {
		g.upgrade(ctx, o, c, hello, route.Route, target)
		return
	}
	if up == nil {
		waiting, release := c.whileThere(ctx)
		up, err = g.reach(waiting, o, route.Route, target, forTunnel)
		release()
		if err != nil {
			failLate(c, hello)
			return
		}
		defer up.Close()
		defer interrupt(ctx, up.Conn)()
	}
	if hello != nil && o.TLS != nil {
		g.bridge(ctx, o, c, up, hello, target)
		return
	}
	g.pass(ctx, c, up.Conn)
}

type speaker int

const (
	theBrowser speaker = iota
	theServer
)

// firstToSpeak waits for the first byte of either side, and leaves it to be
// read. A browser never waits for a server that it wants to speak TLS with, so
// that after a server that spoke first no TLS is let through: nobody would
// judge its certificate.
func (g *Gateway) firstToSpeak(ctx context.Context, c *client, up *upstream) (speaker, error) {
	r := bufio.NewReaderSize(up.Conn, 512)
	served := make(chan bool, 1)
	go func() {
		_, err := r.Peek(1)
		if spoke := err == nil || err == io.EOF; spoke {
			c.SetReadDeadline(past)
			served <- true
			return
		}
		served <- false
	}()
	_, err := c.r.Peek(1)
	up.SetReadDeadline(past)
	serverSpoke := <-served
	up.SetReadDeadline(time.Time{})
	c.SetReadDeadline(time.Time{})
	up.Conn = withPrefix(up.Conn, r)
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case c.r.Buffered() > 0:
		return theBrowser, nil
	case serverSpoke:
		c.noTLS = true
		return theServer, nil
	}
	return 0, noEOF(err)
}

// clientHello is the beginning of TLS, which is read and not answered.
type clientHello struct{ *tls.ClientHelloInfo }

// webSocket reports whether Chromium asks for a WebSocket: for a page it
// offers HTTP/2 as well.
func (h *clientHello) webSocket() bool { return slices.Equal(h.SupportedProtos, []string{"http/1.1"}) }

// name is the server that the browser wants to speak with.
func (h *clientHello) name(target string) string {
	if h.ServerName != "" {
		return h.ServerName
	}
	name, _ := hostport.Split(target)
	return name
}

var errRead = errors.New("the hello is read")

// readHello reads the hello and gives the bytes back to the reader.
func readHello(c *client) (*clientHello, error) {
	var seen bytes.Buffer
	var hello *tls.ClientHelloInfo
	err := tls.Server(deaf{c.Conn, io.TeeReader(c.r, &seen)}, &tls.Config{
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = h
			return nil, errRead
		},
	}).Handshake()
	if hello == nil {
		return nil, err
	}
	c.unread(seen.Bytes())
	return &clientHello{hello}, nil
}

func buffered(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return b
}

// deaf is a connection that is read from elsewhere and takes no answer.
type deaf struct {
	net.Conn
	r io.Reader
}

func (d deaf) Read(b []byte) (int, error)  { return d.r.Read(b) }
func (d deaf) Write(b []byte) (int, error) { return len(b), nil }

// bridge speaks TLS with the server as the browser wants to, and then with the
// browser as the server did. A byte of the browser's goes to the server only
// when its certificate was accepted.
func (g *Gateway) bridge(ctx context.Context, o Options, c *client, up *upstream, hello *clientHello, target string) {
	name := hello.name(target)
	waiting, release := c.whileThere(ctx)
	server, err := g.secure(waiting, o, &countedConn{up, &g.counters}, name, target, hello.SupportedProtos)
	release()
	if ctx.Err() != nil {
		return
	}
	if refused, ok := errors.AsType[*CertificateError](err); ok {
		g.show(ctx, o, c, name, refused.Code, "")
		return
	}
	if err != nil {
		fail(c, err)
		return
	}
	shown, err := g.showAccepted(ctx, o, c, name, server.ConnectionState().NegotiatedProtocol)
	if err != nil {
		return
	}
	g.newPassage(shown, server).run(ctx)
}

// showAccepted shows the browser the certificate of a server that is accepted,
// and returns what goes inside of TLS.
func (g *Gateway) showAccepted(ctx context.Context, o Options, c *client, name, protocol string) (*client, error) {
	shown, err := g.show(ctx, o, c, name, 0, protocol)
	if err != nil {
		return nil, err
	}
	return &client{Conn: shown, r: bufio.NewReader(shown)}, nil
}

// secure speaks TLS with a server and has its certificate judged.
func (g *Gateway) secure(ctx context.Context, o Options, conn net.Conn, name, target string, protocols []string) (*tls.Conn, error) {
	s := o.TLS
	if s == nil {
		s = &TLSConfig{}
	}
	config := &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true, // VerifyConnection does it
		NextProtos:         protocols,
		MinVersion:         s.MinVersion,
		MaxVersion:         s.MaxVersion,
		CipherSuites:       slices.DeleteFunc(slices.Clone(suites), func(c uint16) bool { return slices.Contains(s.DisabledCipherSuites, c) }),
		VerifyConnection: func(state tls.ConnectionState) error {
			g.remember(target, state)
			return g.verify(ctx, o, name, state)
		},
	}
	if s.ClientCertificate == nil {
		config.ClientSessionCache = o.sessions
	} else {
		config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			found, err := s.ClientCertificate(ctx, CertificateRequest{Host: target, AcceptableCAs: r.AcceptableCAs, SignatureSchemes: r.SignatureSchemes})
			if found == nil {
				found = &tls.Certificate{}
			}
			return found, err
		}
	}
	server := tls.Client(conn, config)
	err := server.HandshakeContext(ctx)
	if err == nil {
		return server, nil
	}
	if _, refused := errors.AsType[*CertificateError](err); !refused {
		err = &TLSError{Host: target, Err: err}
	}
	if ctx.Err() == nil {
		g.tell(target, err)
	}
	return nil, err
}

// show completes the browser's handshake with a certificate for the verdict.
func (g *Gateway) show(ctx context.Context, o Options, c *client, name string, verdict int, protocol string) (*tls.Conn, error) {
	if o.Authority == nil {
		g.log.Error("gateway: speaking TLS with the browser", "host", name, "error", errNoAuthority)
		return nil, errNoAuthority
	}
	leaf, err := o.Authority.Mint(name, verdict)
	if err != nil {
		g.log.Error("gateway: minting a certificate", "host", name, "error", err)
		return nil, err
	}
	// No session is resumed: each connection has its own verdict.
	config := &tls.Config{Certificates: []tls.Certificate{*leaf}, SessionTicketsDisabled: true}
	if protocol != "" {
		config.NextProtos = []string{protocol}
	}
	shown := tls.Server(&prefixed{Conn: c.Conn, r: c.r}, config)
	return shown, shown.HandshakeContext(ctx)
}

// fail tells the browser how TLS with the server failed.
func fail(c *client, err error) {
	var number byte
	text := err.Error()
	operation, remote := errors.AsType[*net.OpError](err)
	_, garbage := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case remote && operation.Op == "remote error":
		number = alertHandshakeFailure
		if alert := reflect.ValueOf(operation.Err); alert.Kind() == reflect.Uint8 {
			number = byte(alert.Uint())
		}
	case garbage:
		number = alertUnexpectedMessage
	case remote:
		reset(c.Conn)
		return
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return
	case strings.Contains(text, "protocol version"):
		number = alertProtocolVersion
	default:
		number = alertHandshakeFailure
	}
	c.alert(number)
}

// failLate tells the browser that the server of an open tunnel was not reached.
// One that speaks TLS is told in its language: after a plain end it could go
// directly.
func failLate(c *client, hello *clientHello) {
	if hello != nil {
		c.alert(alertHandshakeFailure)
	}
}

func (c *client) alert(number byte) { c.Write([]byte{21, 3, 3, 0, 2, 2, number}) }
