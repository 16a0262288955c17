package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// NetError is one of Chromium's network errors by its code, such as -2 for
// net::ERR_FAILED.
type NetError int

// The network errors that the bridge itself gives.
const (
	netFailed                 NetError = -2
	netAborted                NetError = -3
	netFileNotFound           NetError = -6
	netUnexpected             NetError = -9
	netAccessDenied           NetError = -10
	netNotImplemented         NetError = -11
	netBlockedByClient        NetError = -20
	netConnectionClosed       NetError = -100
	netConnectionReset        NetError = -101
	netConnectionRefused      NetError = -102
	netNameNotResolved        NetError = -105
	netSSLProtocolError       NetError = -107
	netAddressUnreachable     NetError = -109
	netTunnelFailed           NetError = -111
	netSSLMismatch            NetError = -113
	netConnectionTimedOut     NetError = -118
	netSOCKSFailed            NetError = -120
	netProxyConnectionFailed  NetError = -130
	netProxyCertificate       NetError = -136
	netMandatoryProxyFailed   NetError = -131
	netWSUpgrade              NetError = -173
	netCertNameInvalid        NetError = -200
	netCertDateInvalid        NetError = -201
	netCertAuthority          NetError = -202
	netInvalidURL             NetError = -300
	netUnknownURLScheme       NetError = -302
	netTooManyRedirects       NetError = -310
	netUnsafeRedirect         NetError = -311
	netInvalidResponse        NetError = -320
	netEmptyResponse          NetError = -324
	netInvalidAuthCredentials NetError = -338
	netLengthMismatch         NetError = -354
	netIncompleteChunked      NetError = -355
)

// Error is Chromium's name, such as "net::ERR_FAILED".
func (e NetError) Error() string {
	if name := netErrorNames[e]; name != "" {
		return "net::ERR_" + name
	}
	return fmt.Sprintf("net::ERR_%d", int(e))
}

// failure reports whether it is one of Chromium's codes for what has failed.
func (e NetError) failure() bool { return e < -1 && netErrorNames[e] != "" }

// reason is the nearest of the reasons that the command Fetch.failRequest takes.
func (e NetError) reason() string {
	var b strings.Builder
	for word := range strings.SplitSeq(netErrorNames[e], "_") {
		if word != "" { // the code is one of Chromium's
			b.WriteString(word[:1] + strings.ToLower(word[1:]))
		}
	}
	switch reason := b.String(); reason {
	case "Aborted", "TimedOut", "AccessDenied", "ConnectionClosed", "ConnectionReset", "ConnectionRefused", "ConnectionAborted",
		"ConnectionFailed", "NameNotResolved", "InternetDisconnected", "AddressUnreachable", "BlockedByClient", "BlockedByResponse":
		return reason
	}
	return "Failed"
}

// netError is Chromium's name for what went wrong in a request of the bridge's
// own. The cause stays in the error.
func netError(err error) error {
	var already NetError
	if err == nil || errors.As(err, &already) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", classify(err), err)
}

func classify(err error) NetError {
	var dns *net.DNSError
	var unknownAuthority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var wrongName x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	if code := gatewayError(err); code != 0 {
		return code
	}
	switch {
	case errors.As(err, &dns):
		return netNameNotResolved
	case errors.Is(err, syscall.ECONNREFUSED):
		return netConnectionRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return netConnectionReset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return netAddressUnreachable
	case errors.As(err, &unknownAuthority):
		return netCertAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return netCertDateInvalid
	case errors.As(err, &wrongName):
		return netCertNameInvalid
	case errors.As(err, &record), errors.As(err, &alert):
		return netSSLProtocolError
	case errors.Is(err, fs.ErrNotExist):
		return netFileNotFound
	case errors.Is(err, fs.ErrPermission):
		return netAccessDenied
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return netConnectionTimedOut
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return netEmptyResponse
	case strings.Contains(err.Error(), "malformed HTTP"):
		return netInvalidResponse
	}
	return netFailed
}
