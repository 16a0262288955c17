package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/endpoint"
)

// shutdownTimeout is how long open requests have to be answered at the end.
const shutdownTimeout = 10 * time.Second

type serveFlags struct {
	browserFlags
	userDataDir string
	listen      endpoint.ListenOptions
	token       string
	scoped      []string
	allowHosts  []string
}

func newServeCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve sessions to clients of the DevTools protocol",
		Long: `Serve sessions to Puppeteer, Playwright, chromedp, rod and every other client of
the DevTools protocol: each session at an address of its own, as if it were a
browser. When it listens it prints one line of JSON with the address, the token
and a WebSocket address; what it has to say goes to standard error.

A secret is given as the name of a file that holds it, or as env:NAME for a
variable of the environment.

SIGTERM and SIGINT end it: open requests are answered, clients are disconnected,
Chromium ends. A second signal ends it at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&f.listen.Address, "listen", "127.0.0.1:9333", "where to listen: HOST:PORT, port 0 is a free one, or unix:PATH")
	flags.StringVar(&f.token, "token", "", "the token that opens everything: FILE or env:NAME (default a new one each start)")
	flags.StringArrayVar(&f.scoped, "scoped-token", nil, "a token that opens one partition: PARTITION=FILE|env:NAME[,dir=DIR...]; can be repeated")
	flags.StringArrayVar(&f.allowHosts, "allow-host", nil, "a further name that clients may call the server by; can be repeated")
	flags.StringVar(&f.listen.Certificate, "tls-cert", "", "a PEM file with the certificate for TLS")
	flags.StringVar(&f.listen.Key, "tls-key", "", "a PEM file with its key")
	flags.BoolVar(&f.listen.Unprotected, "insecure-listen", false, "listen beyond this machine without TLS or a token of yours")
	flags.StringVar(&f.userDataDir, "user-data-dir", defaultDataDir(), "the directory of the persistent sessions; empty is a temporary one")
	return c
}

func (f *serveFlags) run(cmd *cobra.Command) error {
	o, err := f.serverOptions()
	if err != nil {
		return &usageError{err}
	}
	f.listen.TokenGiven = o.Token != ""
	l, err := endpoint.Listen(cmd.Context(), f.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	browserOptions := f.options()
	browserOptions.UserDataDir = f.userDataDir
	o.Logger = browserOptions.Logger
	b, err := bridge.Launch(cmd.Context(), browserOptions)
	if err != nil {
		return err
	}
	server, err := endpoint.New(b, o)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if err := f.announce(cmd, l, server.Token()); err != nil {
		return errors.Join(err, b.Close())
	}
	select {
	case err = <-served:
	case <-cmd.Context().Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return errors.Join(err, server.Shutdown(ctx), b.Close())
}

// announce prints where the server listens.
func (f *serveFlags) announce(cmd *cobra.Command, l net.Listener, token string) error {
	address, scheme := l.Addr().String(), "ws"
	if f.listen.Certificate != "" {
		scheme = "wss"
	}
	host := address
	if l.Addr().Network() == "unix" {
		address, host = "unix:"+address, "localhost"
	}
	out := json.NewEncoder(cmd.OutOrStdout())
	out.SetEscapeHTML(false)
	return out.Encode(struct {
		Listening            string `json:"listening"`
		Token                string `json:"token"`
		WebSocketDebuggerURL string `json:"webSocketDebuggerUrl"`
	}{address, token, fmt.Sprintf("%s://%s/devtools/browser/persist%%3A?token=%s", scheme, host, url.QueryEscape(token))})
}

func (f *serveFlags) serverOptions() (o endpoint.Options, err error) {
	o.AllowHosts = f.allowHosts
	if (f.listen.Certificate == "") != (f.listen.Key == "") {
		return o, errors.New("--tls-cert and --tls-key belong together")
	}
	if f.token != "" {
		if o.Token, err = readSecret(f.token); err != nil {
			return o, fmt.Errorf("--token: %w", err)
		}
	}
	for _, text := range f.scoped {
		scoped, err := parseScoped(text)
		if err != nil {
			return o, fmt.Errorf("--scoped-token: %w", err)
		}
		o.ScopedTokens = append(o.ScopedTokens, scoped)
	}
	return o, nil
}

// parseScoped reads PARTITION=FILE|env:NAME[,dir=DIR…].
func parseScoped(text string) (t endpoint.ScopedToken, err error) {
	partition, rest, ok := strings.Cut(text, "=")
	if !ok {
		return t, fmt.Errorf("%q is not PARTITION=FILE or PARTITION=env:NAME", text)
	}
	secret, rest, more := strings.Cut(rest, ",dir=")
	if more {
		t.Dirs = strings.Split(rest, ",dir=")
	}
	t.Partition = partition
	t.Token, err = readSecret(secret)
	return t, err
}

// readSecret reads a secret from a file or from the environment.
func readSecret(from string) (string, error) {
	name, ok := strings.CutPrefix(from, "env:")
	secret := os.Getenv(name)
	if !ok {
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		secret = string(text)
	}
	if secret = strings.TrimSpace(secret); secret == "" {
		return "", fmt.Errorf("%s holds no secret", from)
	}
	return secret, nil
}
