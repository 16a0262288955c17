package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Results are the samples of a comparison.
type Results struct {
	// About says on what they were taken: machine, versions, load.
	About []string `json:"about"`
	// Notes are printed below the table.
	Notes   []string `json:"notes,omitempty"`
	samples map[string]map[Kind][]Sample
	missed  map[string]map[Kind]error
}

// Add notes a sample, or why there is none.
func (r *Results) Add(workload string, kind Kind, s Sample, err error) {
	if r.samples == nil {
		r.samples, r.missed = map[string]map[Kind][]Sample{}, map[string]map[Kind]error{}
	}
	if r.samples[workload] == nil {
		r.samples[workload], r.missed[workload] = map[Kind][]Sample{}, map[Kind]error{}
	}
	if err != nil {
		r.missed[workload][kind] = err
		return
	}
	r.samples[workload][kind] = append(r.samples[workload][kind], s)
}

// Note adds to Notes what they do not say yet.
func (r *Results) Note(text string) {
	if !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// value is the median of a metric over the rounds.
func (r *Results) value(workload string, kind Kind, m Metric) Value {
	v := Value{Kind: kind}
	if kind == Puppeteer && m == Allocs {
		return v // they are Go's
	}
	var values []float64
	for _, s := range r.samples[workload][kind] {
		values = append(values, m.of(s))
	}
	if err := r.missed[workload][kind]; err != nil {
		v.Missed = err.Error()
	}
	v.Rounds, v.Median = len(values), median(values)
	return v
}

// Row is one line of the table: a metric of a workload.
type Row struct {
	Workload string `json:"workload"`
	// Start says with whose switches chromedp's Chromium was started, where that
	// matters.
	Start  string `json:"start,omitempty"`
	Metric Metric `json:"metric"`
	// Op is one operation, in words.
	Op     string  `json:"op"`
	Values []Value `json:"values"` // chromedp's, Puppeteer's, the bridge's, raw's
	// Ratio is chromedp's value by the bridge's, 0 where one is missing.
	Ratio float64  `json:"ratio,omitempty"`
	Goals []string `json:"goals,omitempty"`
	// Met is nil without a goal.
	Met *bool `json:"met,omitempty"`
}

// Value is the median of a client's rounds.
type Value struct {
	Kind   Kind    `json:"kind"`
	Median float64 `json:"median"`
	Rounds int     `json:"rounds"`
	// Missed says why there is no value.
	Missed string `json:"missed,omitempty"`
}

// Rows are the lines of the table: those with a goal, or all.
func (r *Results) Rows(all bool) []Row {
	var rows []Row
	for _, w := range Workloads() {
		if r.samples[w.Name] == nil {
			continue
		}
		for _, m := range Metrics() {
			goals := slices.DeleteFunc(slices.Clone(w.Goals), func(g Goal) bool { return g.Metric != m })
			if len(goals) == 0 && !all {
				continue
			}
			if w.Starts {
				rows = append(rows, r.row(w, m, ChromedpDefault, goals), r.row(w, m, Chromedp, nil))
			} else {
				rows = append(rows, r.row(w, m, Chromedp, goals))
			}
		}
	}
	return rows
}

func (r *Results) row(w Workload, m Metric, peer Kind, goals []Goal) Row {
	row := Row{Workload: w.Name, Metric: m, Op: w.Op}
	if w.Starts {
		row.Start = "same switches"
		if peer == ChromedpDefault {
			row.Start = "chromedp's own switches"
		}
	}
	theirs, puppeteers, ours := r.value(w.Name, peer, m), r.value(w.Name, Puppeteer, m), r.value(w.Name, Bridge, m)
	row.Values = []Value{theirs, puppeteers, ours, r.value(w.Name, Raw, m)}
	if theirs.Rounds > 0 && ours.Median > 0 {
		row.Ratio = theirs.Median / ours.Median
	}
	for _, g := range goals {
		than := theirs
		if g.Peer == Puppeteer {
			than = puppeteers
		}
		if g.Peer == Puppeteer && !than.tried() {
			continue // it is not installed
		}
		row.Goals = append(row.Goals, g.text())
		met := than.Rounds > 0 && ours.Rounds > 0 && g.met(than.Median, ours.Median, func(workload string, m Metric) float64 {
			return r.value(workload, Bridge, m).Median
		})
		if row.Met != nil {
			met = met && *row.Met
		}
		row.Met = &met
	}
	return row
}

// WriteTable writes rows as a Markdown table.
func (r *Results) WriteTable(w io.Writer, rows []Row) error {
	var b strings.Builder
	for _, line := range r.About {
		fmt.Fprintf(&b, "%s\n", line)
	}
	b.WriteString("\n| workload | measure | chromedp | Puppeteer | bridge | raw floor | chromedp ÷ bridge | goal | met |\n|---|---|---:|---:|---:|---:|---:|---|---|\n")
	for _, row := range rows {
		name := row.Workload
		if row.Start != "" {
			name += " (" + row.Start + ")"
		}
		measure := string(row.Metric)
		if row.Metric != ClientPeak {
			measure += " per " + row.Op
		}
		fmt.Fprintf(&b, "| %s | %s |", name, measure)
		for _, v := range row.Values {
			fmt.Fprintf(&b, " %s |", v.text(row.Metric))
		}
		ratio, met := "-", ""
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		if row.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*row.Met]
		}
		fmt.Fprintf(&b, " %s | %s | %s |\n", ratio, strings.Join(row.Goals, ", "), met)
	}
	for _, line := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tried is false for a client that the workload is not measured with.
func (v Value) tried() bool { return v.Rounds > 0 || v.Missed != "" }

func (v Value) text(m Metric) string {
	switch {
	case !v.tried():
		return "-"
	case v.Rounds == 0:
		return "failed"
	case v.Missed != "":
		return m.text(v.Median) + " (a round failed)"
	}
	return m.text(v.Median)
}
