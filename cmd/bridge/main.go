// Command bridge runs the bridge: it opens pages in sessions of a real
// Chromium, and says what is missing on a machine for that.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cdpbridge/cdpbridge/bridge"
)

// Exit codes besides 0.
const (
	exitFailed = 1 // something asked for did not succeed
	exitUsage  = 2 // the command line makes no sense
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := newCommand().ExecuteContext(ctx)
	if err == nil {
		return
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "bridge:", err)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

// errReported is a failure that the user has been told of already.
var errReported = errors.New("failed")

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + "\nSee: bridge --help" }
func (e *usageError) Unwrap() error { return e.err }

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "bridge",
		Short:         "Control a real Chromium and give it sessions",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newOpenCommand(), newServeCommand(), newDevicesCommand(), newDoctorCommand(), newVersionCommand())
	for _, c := range append(root.Commands(), root) {
		asUsage(c)
	}
	return root
}

// asUsage makes a wrong number of arguments a usage error.
func asUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err}
			}
			return nil
		}
	}
}

// browserFlags are the flags of every command that starts a browser.
type browserFlags struct {
	binary    string
	args      []string
	headful   bool
	noSandbox bool
	stock     bool
	verbose   bool
}

func (f *browserFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.binary, "browser", "", "the Chromium, Chrome or Edge to start (default $BRIDGE_CHROMIUM, then the well-known places)")
	flags.StringArrayVar(&f.args, "browser-arg", nil, "a further switch for the browser; can be repeated")
	flags.BoolVar(&f.headful, "headful", false, "show windows on the display")
	flags.BoolVar(&f.noSandbox, "no-sandbox", false, "run pages without Chromium's sandbox: they can then do what you can do")
	flags.BoolVar(&f.stock, "stock", false, "start Chromium without the lean set of switches")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log what the bridge and Chromium have to say")
}

func (f *browserFlags) options() bridge.Options {
	o := bridge.Options{Binary: f.binary, Args: f.args, Headful: f.headful, NoSandbox: f.noSandbox}
	if f.stock {
		o.Flags = bridge.Stock
	}
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	return o
}
