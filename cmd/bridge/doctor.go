package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cdpbridge/cdpbridge/bridge"
	"github.com/cdpbridge/cdpbridge/chromium"
)

func newDoctorCommand() *cobra.Command {
	var f browserFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at the machine and the browser, and say what to do",
		Long: `Find the browser, its version, whether its sandbox works, fonts, access to
devices, and whether the lean flags took effect. Each finding that is not well
comes with what to do about it. The exit code is 1 when a browser cannot run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress := newProgress(asJSON)
			progress.step("Looking at the machine and starting Chromium …")
			checks := bridge.Diagnose(cmd.Context(), f.options())
			progress.done()
			if asJSON {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(findings(checks)); err != nil {
					return err
				}
			} else {
				printChecks(cmd, checks)
			}
			for _, check := range checks {
				if check.Status == chromium.Fail {
					return errReported
				}
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

type finding struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

func findings(checks []bridge.Check) []finding {
	out := make([]finding, len(checks))
	for i, c := range checks {
		out[i] = finding{c.Name, c.Status.String(), c.Detail, c.Advice}
	}
	return out
}

func printChecks(cmd *cobra.Command, checks []bridge.Check) {
	colour := map[chromium.Status]string{chromium.OK: "\x1b[32m", chromium.Warn: "\x1b[33m", chromium.Fail: "\x1b[31m"}
	plain := "\x1b[0m"
	if out, ok := cmd.OutOrStdout().(*os.File); !ok || !term.IsTerminal(int(out.Fd())) || os.Getenv("NO_COLOR") != "" {
		colour, plain = nil, ""
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, c := range checks {
		fmt.Fprintf(t, "%s%-4s%s\t%s\t%s\n", colour[c.Status], c.Status, plain, c.Name, c.Detail)
		if c.Advice != "" {
			fmt.Fprintf(t, "%s    %s\t\t-> %s\n", colour[c.Status], plain, c.Advice)
		}
	}
	t.Flush()
}
