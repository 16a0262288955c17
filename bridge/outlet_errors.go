package bridge

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cdpbridge/cdpbridge/gateway"
)

// cause is why a request of the bridge's own failed: what the gateway knows, or
// the error itself.
func (o *outlet) cause(url string, err error) error {
	if g := o.opened(); g != nil {
		if failure := g.Failure(serverOf(url)); failure != nil {
			return failure
		}
	}
	return err
}

// veils are Chromium's codes behind which there can be another cause, because
// Chromium knows only that its proxy, the gateway, failed.
var veils = []NetError{
	netTunnelFailed, netProxyConnectionFailed, netEmptyResponse, netConnectionClosed, netConnectionReset,
	netSSLProtocolError, netSSLMismatch, netCertAuthority, netCertNameInvalid, netCertDateInvalid,
}

func veiled(code string) bool {
	return slices.ContainsFunc(veils, func(e NetError) bool { return e.Error() == code })
}

// code is the true code of a request that failed with one of Chromium's.
func (o *outlet) code(ctx context.Context, url, code string) string {
	if !veiled(code) {
		return code
	}
	var cause error
	if g := o.present(); g != nil {
		cause = g.Failure(serverOf(url))
	} else if o.opened() != nil && code == netProxyConnectionFailed.Error() {
		cause = o.session.browser.reachable(ctx, serverOf(url))
	}
	if cause == nil {
		return code
	}
	return classify(cause).Error()
}

// probeTimeout is how long it may take to find out why a server was not reached.
const probeTimeout = 5 * time.Second

// reachable finds out why a server cannot be reached. In a context whose gateway
// sleeps Chromium has told the last of two tries, that of the gateway.
func (b *Browser) reachable(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	server, err := b.hostRules.Map(server)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(probeTimeout / 10))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err // it closes what it has accepted
	}
	return nil
}

// gatewayError is the code of an error of a gateway, 0 for another error.
func gatewayError(err error) NetError {
	if _, ok := errors.AsType[*gateway.RouteError](err); ok {
		return netMandatoryProxyFailed
	}
	if failed, ok := errors.AsType[*gateway.ProxyError](err); ok {
		return proxyError(failed)
	}
	if refused, ok := errors.AsType[*gateway.CertificateError](err); ok {
		return NetError(refused.Code)
	}
	if failed, ok := errors.AsType[*gateway.TLSError](err); ok {
		return tlsError(failed)
	}
	return 0
}

// tlsError tells by the words that package tls has for the alerts of servers,
// whose type it does not export.
func tlsError(e *gateway.TLSError) NetError {
	switch text := e.Err.Error(); {
	case strings.Contains(text, "handshake failure"), strings.Contains(text, "protocol version"), strings.Contains(text, "unsupported protocol"):
		return netSSLMismatch
	case errors.Is(e.Err, syscall.ECONNRESET), errors.Is(e.Err, io.EOF):
		return netConnectionClosed
	}
	return netSSLProtocolError
}

func proxyError(e *gateway.ProxyError) NetError {
	var dialling *net.OpError
	_, refused := errors.AsType[*gateway.CertificateError](e.Err)
	switch {
	case refused:
		return netProxyCertificate
	case e.Status == 407:
		return netInvalidAuthCredentials
	case e.Status != 0:
		return netTunnelFailed
	case errors.As(e.Err, &dialling) && dialling.Op == "dial":
		return netProxyConnectionFailed
	case e.Hop.Kind == gateway.SOCKS4 || e.Hop.Kind == gateway.SOCKS5:
		return netSOCKSFailed
	}
	return netProxyConnectionFailed
}
