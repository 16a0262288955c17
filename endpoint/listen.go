package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// ListenOptions are the options of Listen.
type ListenOptions struct {
	// Address is "host:port", where port 0 takes a free one, or "unix:PATH".
	Address string
	// Certificate and Key are PEM files; with both the server speaks TLS.
	Certificate, Key string
	// Unprotected lets it listen beyond this machine without TLS: tokens, and
	// whatever clients do, can then be read on the way.
	Unprotected bool
	// TokenGiven says that the token was set and not made up. Beyond this machine
	// it has to be.
	TokenGiven bool
}

// userTimeout is how long a peer may leave data unacknowledged, and how long a silent
// one is waited for, before its connection is taken for dead.
const userTimeout = 30 * time.Second

// Listen listens. A peer that has vanished without a word is noticed within half a
// minute.
func Listen(ctx context.Context, o ListenOptions) (net.Listener, error) {
	if path, ok := strings.CutPrefix(o.Address, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	if err := o.checkReach(); err != nil {
		return nil, err
	}
	config := net.ListenConfig{
		Control:         limitSilence,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	l, err := config.Listen(ctx, "tcp", o.Address)
	if err != nil || !o.tls() {
		return l, err
	}
	certificate, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

func (o ListenOptions) tls() bool { return o.Certificate != "" || o.Key != "" }

// checkReach refuses what would open the browsers to the network by mistake.
func (o ListenOptions) checkReach() error {
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return fmt.Errorf("the address %q: %w", o.Address, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() || o.Unprotected {
		return nil
	}
	if !o.TokenGiven || !o.tls() {
		return fmt.Errorf("%s can be reached from other machines: that takes a token of yours (--token) and TLS (--tls-cert, --tls-key), or --insecure-listen if the network is safe", o.Address)
	}
	return nil
}

// listenUnix listens on a socket that its owner alone can connect to. One that a
// dead server has left is replaced.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("another server listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
