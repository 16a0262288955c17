package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/leak"
)

func TestMain(m *testing.M) {
	if RunServer() {
		return
	}
	os.Exit(leak.Main(m))
}

func testServer(tb testing.TB) string {
	tb.Helper()
	url, closeServer, err := StartServer()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := closeServer(); err != nil {
			tb.Errorf("closing the server: %v", err)
		}
	})
	return url
}

// BenchmarkClients has a sub-benchmark for each workload and client. One
// iteration is as many operations as the workload's step; the metrics are those
// of one operation.
func BenchmarkClients(b *testing.B) {
	server := testServer(b)
	for _, w := range Workloads() {
		b.Run(strings.NewReplacer(" ", "-", ",", "").Replace(w.Name), func(b *testing.B) {
			for _, kind := range w.Clients() {
				b.Run(string(kind), func(b *testing.B) { benchmark(b, w, &env{kind: kind, server: server}) })
			}
		})
	}
}

func benchmark(b *testing.B, w Workload, e *env) {
	ctx := b.Context()
	if err := Installed(e.kind); err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() {
		if err := e.close(); err != nil {
			b.Error(err)
		}
	})
	run, err := w.warm(ctx, e, w.Step)
	if err != nil {
		b.Fatal(err)
	}
	m, err := startMeter(e)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := run(ctx, w.Step); err != nil {
			b.Fatal(err)
		}
	}
	s, err := m.stop(b.N * w.Step)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(Wall.of(s)*1e6, "wall-us/op")
	b.ReportMetric(ClientCPU.of(s)*1e6, "client-cpu-us/op")
	if e.kind != Puppeteer {
		b.ReportMetric(Allocs.of(s), "allocs/op")
	}
	if e.client != nil {
		b.ReportMetric(BrowserCPU.of(s)*1e3, "browser-cpu-ms/op")
		b.ReportMetric(BrowserMemory.of(s)/(1<<20), "browser-MB/op")
	}
}

// TestEveryWorkloadRunsWithEveryClient keeps the benchmarks from rotting: one
// step of each, on one browser a client.
func TestEveryWorkloadRunsWithEveryClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := testServer(t)
	for _, kind := range []Kind{Bridge, Chromedp, ChromedpDefault, Puppeteer, Raw} {
		t.Run(string(kind), func(t *testing.T) {
			if err := Installed(kind); err != nil {
				t.Skip(err)
			}
			e := &env{kind: kind, server: server}
			t.Cleanup(func() {
				if err := e.close(); err != nil {
					t.Error(err)
				}
			})
			for _, w := range Workloads() {
				if !slices.Contains(w.Clients(), kind) || strings.HasPrefix(w.Name, "single ") {
					continue // a single one is what the workload before it does
				}
				run, err := w.prepare(ctx, e)
				if err != nil {
					t.Fatalf("%s: %v", w.Name, err)
				}
				if err := run(ctx, min(w.Step, 10)); err != nil {
					t.Errorf("%s: %v", w.Name, err)
				}
			}
		})
	}
}

func TestTheMeterSeesWhatAClientUses(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Measure(ctx, workload(t, "live session with a page"), Raw, "", 2)
	if errors.Is(err, os.ErrPermission) {
		t.Logf("checked without the memory of Chromium: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Ops != 2 || s.Wall <= 0 || s.ClientCPU <= 0 || s.BrowserCPU <= 0 || s.Allocs == 0 || s.BrowserMemory < 1<<20 {
		t.Errorf("two sessions took %+v", s)
	}
}

// A client in a process of its own is measured there: here it takes two lines.
func TestTheMeterSeesWhatPuppeteerUses(t *testing.T) {
	if err := Installed(Puppeteer); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const fetches = 100
	s, err := Measure(ctx, workload(t, "fetch with a listener that lets it pass"), Puppeteer, testServer(t), fetches)
	if errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Ops != fetches || s.ClientCPU < fetches*200*time.Microsecond || s.BrowserCPU <= 0 || s.Allocs != 0 {
		t.Errorf("%d fetches took %+v", fetches, s)
	}
}

func workload(t *testing.T, name string) Workload {
	t.Helper()
	for _, w := range Workloads() {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("no workload %q", name)
	return Workload{}
}

// The captured frames are the input of a benchmark: they must be what they
// claim, and the floor must read them right.
func TestTheFloorReadsCapturedFramesRight(t *testing.T) {
	frames, err := Frames()
	if err != nil {
		t.Fatal(err)
	}
	if len(frames) < 2000 {
		t.Errorf("only %d frames are captured", len(frames))
	}
	for _, b := range frames {
		var want struct {
			ID        int
			Method    string
			SessionID string
			Params    json.RawMessage
			Result    json.RawMessage
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		var got frame
		got.parse(b)
		body := string(want.Result)
		if want.ID == 0 {
			body = string(want.Params)
		}
		if got.id != want.ID || string(got.method) != want.Method || string(got.session) != want.SessionID || string(got.body) != body {
			t.Fatalf("%s\nwas read as %d %q %q %s", b, got.id, got.method, got.session, got.body)
		}
	}
}

func TestReplaySendsAsManyFramesAsAsked(t *testing.T) {
	frames, err := Frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 7, len(frames), 2*len(frames) + 3} {
		r := newReplay(append(bytes.Join(frames, []byte{0}), 0), n)
		close(r.start)
		c := newRawConn(r, r)
		got := 0
		for {
			b, err := c.readFrame()
			if err != nil {
				break
			}
			if string(b) != string(frames[got%len(frames)]) {
				t.Fatalf("frame %d of %d differs", got, n)
			}
			got++
		}
		if got != n {
			t.Errorf("%d frames came, not %d", got, n)
		}
	}
}

// samples makes results in which a client CPU time per operation is as given,
// one for each round.
func samples(r *Results, workload string, kind Kind, micros ...int) {
	for _, us := range micros {
		r.Add(workload, kind, Sample{Ops: 10, ClientCPU: time.Duration(us) * 10 * time.Microsecond}, nil)
	}
}

func TestTheTableSaysWhichGoalsAreMet(t *testing.T) {
	const commands, many = "pipelined command, 64 in flight", "pipelined command, 10,000 in flight"
	for _, c := range []struct {
		name             string
		bridge, bridge10 []int
		few, manyMet     string
	}{
		{"met by the medians", []int{90, 9, 10}, []int{12, 12, 11}, "yes", "yes"},
		{"too slow", []int{9, 16, 17}, []int{15, 16, 17}, "NO", "NO"},
		{"not flat", []int{5, 5, 5}, []int{10, 10, 10}, "yes", "NO"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Results
			samples(&r, commands, Chromedp, 30, 31, 29)
			samples(&r, commands, Bridge, c.bridge...)
			samples(&r, many, Chromedp, 30, 31, 29)
			samples(&r, many, Bridge, c.bridge10...)
			var out strings.Builder
			if err := r.WriteTable(&out, r.Rows(false)); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{commands: c.few, many: c.manyMet} {
				if !hasLine(out.String(), "| "+name+" |", "| "+want+" |") {
					t.Errorf("the goal of %q is not said to be %q:\n%s", name, want, &out)
				}
			}
		})
	}
}

func hasLine(text, start, end string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, start) && strings.HasSuffix(line, end) {
			return true
		}
	}
	return false
}

func TestTheTableComparesPuppeteerWhereItIsInstalled(t *testing.T) {
	const workload = "fetch with a listener that lets it pass"
	for _, c := range []struct {
		name        string
		puppeteer   func(*Results)
		start, goal string
		notes       int
	}{
		{"not installed", func(r *Results) {
			r.Note(errNoPuppeteer.Error())
			r.Note(errNoPuppeteer.Error())
		}, "| 400 µs | - | 100 µs | - | 4.00 |", "| ≥ 4x | yes |", 1},
		{"slow enough", func(r *Results) { samples(r, workload, Puppeteer, 300, 900, 200) },
			"| 400 µs | 300 µs | 100 µs | - | 4.00 |", "| ≥ 4x, Puppeteer ≥ 3x | yes |", 0},
		{"too fast", func(r *Results) { samples(r, workload, Puppeteer, 290) },
			"| 400 µs | 290 µs | 100 µs | - | 4.00 |", "| ≥ 4x, Puppeteer ≥ 3x | NO |", 0},
		{"failed", func(r *Results) { r.Add(workload, Puppeteer, Sample{}, errors.New("it hung")) },
			"| 400 µs | failed | 100 µs | - | 4.00 |", "| ≥ 4x, Puppeteer ≥ 3x | NO |", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r Results
			samples(&r, workload, Chromedp, 400)
			samples(&r, workload, Bridge, 100)
			c.puppeteer(&r)
			var out strings.Builder
			if err := r.WriteTable(&out, r.Rows(false)); err != nil {
				t.Fatal(err)
			}
			if start := "| " + workload + " | client CPU per fetch " + c.start; !hasLine(out.String(), start, c.goal) {
				t.Errorf("no line %s … %s in:\n%s", start, c.goal, &out)
			}
			if n := strings.Count(out.String(), "npm ci --prefix bench/puppeteer"); n != c.notes {
				t.Errorf("how to install it is said %d times, not %d:\n%s", n, c.notes, &out)
			}
		})
	}
}

func TestAFailedMeasurementIsNoMetGoal(t *testing.T) {
	const workload = "fetch of a page that nobody watches"
	var r Results
	r.Add(workload, Bridge, Sample{Ops: 1, Wall: 1}, nil)
	r.Add(workload, Chromedp, Sample{}, errors.New("it hung"))
	rows := r.Rows(false)
	if len(rows) != 1 || rows[0].Met == nil || *rows[0].Met || rows[0].Ratio != 0 || rows[0].Values[0].Missed != "it hung" {
		t.Errorf("the rows are %+v", rows)
	}
}

func TestValuesArePrintedWithTheirUnits(t *testing.T) {
	for want, got := range map[string]string{
		"0.07 µs": ClientCPU.text(70e-9),
		"12.3 µs": Wall.text(12.34e-6),
		"149 ms":  BrowserCPU.text(0.1489),
		"2.50 s":  Wall.text(2.5),
		"60.0 MB": ClientPeak.text(60 << 20),
		"0.02":    Allocs.text(0.02),
	} {
		if got != want {
			t.Errorf("%s is printed as %s", want, got)
		}
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("the median is %v", m)
	}
}
