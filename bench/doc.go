// Package bench measures the bridge against peers and against the floor: the
// same workload, on the same Chromium and the same local server, by
//
//   - bridge, this project,
//   - chromedp, github.com/chromedp/chromedp on a pipe,
//   - puppeteer, puppeteer-core on a pipe, for fetches, and
//   - raw, a minimal client that does nothing but the needed bytes.
//
// Puppeteer runs in Node, and is left out where it is not installed:
//
//	npm ci --prefix bench/puppeteer
//
// Two commands show the numbers:
//
//	go test -run '^$' -bench . ./bench
//	go run ./bench/cmd/compare
//
// The first gives ordinary Go benchmarks. The second measures in interleaved
// rounds, each measurement in a process of its own, and prints a table of
// medians with the goals.
//
// All start Chromium without its sandbox, because chromedp cannot start it
// otherwise as root. Client CPU is that of the client's process, without the
// server, which is another process. Browser CPU and memory are those of the
// whole tree of Chromium's processes; they are read from /proc, so on Linux only.
package bench
