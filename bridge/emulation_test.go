package bridge

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// emulationServer has 50 kB to download, a place for uploads, and workers that
// measure both.
func emulationServer(t *testing.T) *fixture.Server {
	t.Helper()
	server := fixture.New(t)
	server.Handle("/down", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Write(make([]byte, 50_000))
	})
	server.Handle("/up", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	for name, answer := range map[string]string{
		"worker":  "measure().then(postMessage)",
		"shared":  "onconnect = e => measure().then(m => e.ports[0].postMessage(m))",
		"service": "onmessage = e => e.waitUntil(measure().then(m => e.source.postMessage(m)))",
	} {
		server.Handle("/measure/"+name+".js", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			io.WriteString(w, emulationMeasure+answer)
		})
	}
	return server
}

// measured is what the network looks like to a page or worker.
type measured struct {
	Latency  float64 // of a small response, in ms
	Down, Up float64 // 50 kB, in ms
	Error    string
}

// shorter has the shorter time of each, where there is one.
func (m measured) shorter(other measured) measured {
	if m == (measured{}) {
		return other
	}
	return measured{min(m.Latency, other.Latency), min(m.Down, other.Down), min(m.Up, other.Up), other.Error}
}

const emulationMeasure = `
var timed = async (f) => { const start = performance.now(); await f(); return performance.now() - start };
var measure = async () => {
	try {
		await fetch("/up?" + Math.random());
		const Latency = await timed(() => fetch("/up?" + Math.random()));
		const Down = await timed(async () => (await fetch("/down?" + Math.random())).arrayBuffer());
		const Up = await timed(() => fetch("/up?" + Math.random(), {method: "POST", body: new Uint8Array(50000)}));
		return {Latency, Down, Up};
	} catch (e) {
		return {Error: String(e)};
	}
};`

// measureEverywhere measures in a page and its workers at once.
const measureEverywhere = emulationMeasure + `
var answer = target => new Promise(resolve => target.onmessage = e => resolve(e.data));
var serviceWorker = async () => {
	const {installing, active} = await navigator.serviceWorker.register("/measure/service.js");
	const measured = answer(navigator.serviceWorker), worker = installing ?? active;
	if (worker.state !== "activated")
		await new Promise(resolve => worker.onstatechange = () => worker.state === "activated" && resolve());
	worker.postMessage("");
	return measured;
};
(async () => {
	const shared = answer(new SharedWorker("/measure/shared.js").port), service = serviceWorker();
	const page = await measure(); // with which its worker shares the rate
	const worker = await answer(new Worker("/measure/worker.js"));
	return {page, worker, "shared worker": await shared, "service worker": await service};
})()`

func near(got, asked, share float64) bool { return math.Abs(got-asked) <= asked*share }

func TestNetworkEmulation_HoldsInPagesAndWorkersOfItsSessionOnly(t *testing.T) {
	t.Parallel()
	server := emulationServer(t)
	slow, fast := namedSession(t, "slow"), namedSession(t, "fast")
	e := NetworkEmulation{Latency: 150 * time.Millisecond, DownloadThroughput: 200_000, UploadThroughput: 100_000}
	open := testPage(t, slow, server.URL("localhost", "/"))
	if err := slow.EnableNetworkEmulation(testContext(t), e); err != nil {
		t.Fatal(err)
	}
	later := testPage(t, slow, server.URL("localhost", "/"))
	other := testPage(t, fast, server.URL("localhost", "/"))
	// A busy machine only ever adds to a time: the shortest of some are looked at.
	// The first ones are of a shared worker that has its network a moment late.
	check := func(name string, page *WebContents, holds func(measured) bool) {
		want(t, page, `new Promise(measured => new SharedWorker("/measure/shared.js").port.onmessage = () => measured(true))`, true)
		best := map[string]measured{}
		var wrong []string
		for range 8 {
			all, err := Evaluate[map[string]measured](testContext(t), page, measureEverywhere)
			if err != nil || len(all) != 4 {
				t.Fatalf("%s: %v, %v", name, all, err)
			}
			wrong = nil
			for where, got := range all {
				best[where] = best[where].shorter(got)
				if got.Error != "" || !holds(best[where]) {
					wrong = append(wrong, fmt.Sprintf("the %s has %+v", where, best[where]))
				}
			}
			if wrong == nil {
				return
			}
		}
		t.Errorf("%s: %s", name, strings.Join(wrong, "; "))
	}
	asked := func(m measured) bool {
		return near(m.Latency, 150, 20.0/150) && near(m.Down, 150+250, 0.15) && near(m.Up, 150+500, 0.15)
	}
	native := func(m measured) bool { return m.Latency < 100 && m.Down < 150 && m.Up < 150 }
	check("the page that was open", open, asked)
	check("the page that was opened later", later, asked)
	check("the other session", other, native)
	if err := slow.DisableNetworkEmulation(testContext(t)); err != nil {
		t.Fatal(err)
	}
	check("afterwards", open, native)
}

func TestNetworkEmulation_Offline(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s, other := namedSession(t, "offline"), namedSession(t, "online")
	page, control := testPage(t, s, server.URL("a.test", "/")), testPage(t, other, server.URL("a.test", "/"))
	const states = `(async () => [navigator.onLine, await fetch("/small").then(() => "ok", String)].join())()`
	if err := s.EnableNetworkEmulation(testContext(t), NetworkEmulation{Offline: true}); err != nil {
		t.Fatal(err)
	}
	want(t, page, states, "false,TypeError: Failed to fetch")
	want(t, control, states, "true,ok")
	want(t, page, `new Promise(r => { const ws = new WebSocket("`+server.WSURL("a.test", "/ws")+`"); ws.onopen = () => r("open"); ws.onerror = () => r("error") })`, "error")
	err := page.LoadURL(testContext(t), server.URL("a.test", "/page/x"), LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), "net::ERR_INTERNET_DISCONNECTED") {
		t.Errorf("loading: %v", err)
	}
	if err := s.DisableNetworkEmulation(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := page.LoadURL(testContext(t), server.URL("a.test", "/page/x"), LoadOptions{}); err != nil {
		t.Error(err)
	}
	want(t, page, states, "true,ok")
}

func TestNetworkEmulation_CHR3449_TellsNavigatorConnection(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := memorySession(t)
	page := testPage(t, s, server.URL("a.test", "/"))
	if err := s.EnableNetworkEmulation(testContext(t), NetworkEmulation{Latency: 500 * time.Millisecond, DownloadThroughput: 6400, UploadThroughput: 6400}); err != nil {
		t.Fatal(err)
	}
	want(t, page, `typeof navigator.connection.rtt + typeof navigator.connection.downlink + ["slow-2g", "2g", "3g", "4g"].includes(navigator.connection.effectiveType)`, "numbernumbertrue")
}

func TestNetworkEmulation_SlowsWebSockets(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	s := memorySession(t)
	page := testPage(t, s, server.URL("a.test", "/"))
	if err := s.EnableNetworkEmulation(testContext(t), NetworkEmulation{Latency: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	took, err := Evaluate[float64](testContext(t), page, `new Promise(r => { const start = performance.now(), ws = new WebSocket("`+server.WSURL("a.test", "/ws")+`"); ws.onopen = () => r(performance.now() - start) })`)
	if err != nil || took < 180 {
		t.Errorf("it opened after %v ms: %v", took, err)
	}
}

func TestNetworkEmulation_RefusesWhatIsNoNetwork(t *testing.T) {
	t.Parallel()
	s := memorySession(t)
	for _, e := range []NetworkEmulation{{Latency: -1}, {DownloadThroughput: -1}, {UploadThroughput: -1}, {PacketLoss: 101}, {DownloadThroughput: math.NaN()}, {UploadThroughput: math.Inf(1)}} {
		if err := s.EnableNetworkEmulation(testContext(t), e); !errors.As(err, new(*InvalidArgumentError)) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}
