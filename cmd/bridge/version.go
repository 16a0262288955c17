package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/cdpbridge/cdpbridge/chromium"
)

type versions struct {
	Bridge  string `json:"bridge"`
	Go      string `json:"go"`
	Browser string `json:"browser,omitempty"`
	Path    string `json:"path,omitempty"`
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the bridge and of the browser that it finds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{Bridge: bridgeVersion(), Go: runtime.Version()}
			if path, err := chromium.Find(""); err == nil {
				if found, err := chromium.ProbeVersion(cmd.Context(), path); err == nil {
					v.Browser, v.Path = found.String(), path
				}
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(v)
			}
			fmt.Fprintf(out, "bridge %s (%s)\n", v.Bridge, v.Go)
			if v.Browser == "" {
				v.Browser = "no browser found; see: bridge doctor"
			}
			_, err := fmt.Fprintln(out, v.Browser, v.Path)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// bridgeVersion is the version of the module, as far as the build knows it.
func bridgeVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
