// Compare measures the bridge, chromedp, Puppeteer and a minimal client side by
// side:
//
//	go run ./bench/cmd/compare [-rounds 5] [-run regexp] [-all] [-json]
//
// It prints a table of medians with the goals of the bridge. Each measurement
// has a process and a browser of its own, and the clients take turns, so that
// what else the machine does hits all alike. Puppeteer is left out where it is
// not installed (npm ci --prefix bench/puppeteer). Its exit code is 1 when something
// could not be measured; a goal that is not met is said in the table.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/cdpbridge/cdpbridge/bench"
	"github.com/cdpbridge/cdpbridge/chromium"
)

// limit is how long one measurement may take, the start of the browser included.
const limit = 2 * time.Minute

func main() {
	if bench.RunServer() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 5, "how many measurements to take the median of")
	pattern := flag.String("run", "", "the workloads to run, a regular `expression`")
	all := flag.Bool("all", false, "print every measure, not only those with a goal")
	asJSON := flag.Bool("json", false, "print JSON")
	workload := flag.String("workload", "", "measure one workload, by its full `name`, and print the sample; with -client and -server")
	client := flag.String("client", string(bench.Bridge), "the client of -workload")
	server := flag.String("server", "", "the `URL` of the server of -workload")
	flag.Parse()
	if *workload != "" {
		return measureOne(ctx, *workload, bench.Kind(*client), *server)
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	results, err := compare(ctx, *rounds, wanted)
	if err != nil {
		return err
	}
	rows := results.Rows(*all)
	if !*asJSON {
		return results.WriteTable(os.Stdout, rows)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "\t")
	return out.Encode(struct {
		About []string    `json:"about"`
		Notes []string    `json:"notes,omitempty"`
		Rows  []bench.Row `json:"rows"`
	}{results.About, results.Notes, rows})
}

// compare lets the clients take turns.
func compare(ctx context.Context, rounds int, wanted *regexp.Regexp) (results *bench.Results, err error) {
	server, closeServer, err := bench.StartServer()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeServer()) }()
	before := load()
	results = &bench.Results{}
	for round := range rounds {
		for _, w := range bench.Workloads() {
			if !wanted.MatchString(w.Name) {
				continue
			}
			for _, kind := range w.Clients() {
				if err := bench.Installed(kind); err != nil {
					results.Note(err.Error())
					continue
				}
				fmt.Fprintf(os.Stderr, "round %d of %d: %s by %s\n", round+1, rounds, w.Name, kind)
				s, err := measureApart(ctx, w.Name, kind, server)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					fmt.Fprintf(os.Stderr, "%s by %s: %v\n", w.Name, kind, err)
				}
				results.Add(w.Name, kind, s, err)
			}
		}
	}
	results.About, err = about(ctx, rounds, before)
	return results, err
}

// measureOne is the part of the child process.
func measureOne(ctx context.Context, name string, kind bench.Kind, server string) error {
	for _, w := range bench.Workloads() {
		if w.Name != name {
			continue
		}
		s, err := bench.Measure(ctx, w, kind, server, w.Count)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(s)
	}
	return fmt.Errorf("no workload %q", name)
}

// measureApart measures in a process of its own. The browser of one that hangs
// ends with it.
func measureApart(ctx context.Context, workload string, kind bench.Kind, server string) (s bench.Sample, err error) {
	program, err := os.Executable()
	if err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-workload", workload, "-client", string(kind), "-server", server)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return s, fmt.Errorf("it did not end within %v", limit)
	case err != nil:
		return s, err
	}
	return s, json.Unmarshal(out, &s)
}

// about says on what the comparison ran.
func about(ctx context.Context, rounds int, before string) ([]string, error) {
	binary, err := chromium.Find("")
	if err != nil {
		return nil, err
	}
	version, err := chromium.ProbeVersion(ctx, binary)
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf("%v, %s %s/%s, %d CPUs, medians of %d interleaved rounds.", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds),
		fmt.Sprintf("Load average %s at the start, %s at the end.", before, load()),
		"All run Chromium headless without its sandbox, and with the bridge's lean switches unless the line says otherwise.",
	}, nil
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
