package bridge

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// netLogFile is what readers of a net log look at.
type netLogFile struct {
	Constants struct {
		ClientInfo      map[string]any `json:"clientInfo"`
		LogCaptureMode  string         `json:"logCaptureMode"`
		LogEventTypes   map[string]int `json:"logEventTypes"`
		LogSourceType   map[string]int `json:"logSourceType"`
		LogEventPhase   map[string]int `json:"logEventPhase"`
		NetError        map[string]int `json:"netError"`
		LoadFlag        map[string]int `json:"loadFlag"`
		TimeTickOffset  int64          `json:"timeTickOffset"`
		LogFormat       int            `json:"logFormatVersion"`
		QuicError       map[string]int `json:"quicError"`
		AddressFamily   map[string]int `json:"addressFamily"`
		CertStatusFlags map[string]int `json:"certStatusFlag"`
	} `json:"constants"`
	Events []netLogEvent `json:"events"`

	text string
}

type netLogEvent struct {
	Params map[string]any `json:"params"`
	Phase  int            `json:"phase"`
	Source struct {
		ID        int64  `json:"id"`
		StartTime string `json:"start_time"`
		Type      int    `json:"type"`
	} `json:"source"`
	Time string `json:"time"`
	Type int    `json:"type"`
}

// parseNetLog reads a complete net log.
func parseNetLog(t testing.TB, path string) *netLogFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &netLogFile{text: string(data)}
	if err := json.Unmarshal(data, f); err != nil {
		t.Fatalf("%s is no JSON: %v\n…%s", path, err, data[max(0, len(data)-300):])
	}
	return f
}

// readNetLog reads a complete net log, and checks that its events fit together.
func readNetLog(t testing.TB, path string) *netLogFile {
	t.Helper()
	f := parseNetLog(t, path)
	c := f.Constants
	for name, n := range map[string]int{"types": len(c.LogEventTypes), "sources": len(c.LogSourceType), "phases": len(c.LogEventPhase), "errors": len(c.NetError),
		"flags": len(c.LoadFlag), "client": len(c.ClientInfo), "quic": len(c.QuicError), "families": len(c.AddressFamily), "certificates": len(c.CertStatusFlags), "version": c.LogFormat} {
		if n == 0 {
			t.Errorf("the constants have no %s", name)
		}
	}
	types, sources := netLogNumbers(c.LogEventTypes), netLogNumbers(c.LogSourceType)
	kinds := map[int64]int{}
	for _, e := range f.Events {
		if !types[e.Type] || !sources[e.Source.Type] || e.Phase < 0 || e.Phase > 2 || e.Time == "" || e.Source.StartTime == "" {
			t.Fatalf("an event that the constants do not explain: %+v", e)
		}
		if kind, known := kinds[e.Source.ID]; known && kind != e.Source.Type {
			t.Fatalf("source %d is of the types %d and %d", e.Source.ID, kind, e.Source.Type)
		}
		kinds[e.Source.ID] = e.Source.Type
	}
	joined := 0
	for _, e := range f.Events {
		on, _ := e.Params["source_dependency"].(map[string]any)
		id, ok := on["id"].(float64)
		if kind, known := kinds[int64(id)]; ok && known {
			if joined++; float64(kind) != on["type"] {
				t.Fatalf("an event depends on source %v, which is of type %d: %+v", id, kind, e)
			}
		}
	}
	if joined == 0 && len(f.Events) > 100 {
		t.Error("no source depends on another")
	}
	return f
}

func netLogNumbers(names map[string]int) map[int]bool {
	numbers := map[int]bool{}
	for _, n := range names {
		numbers[n] = true
	}
	return numbers
}

// has reports whether there is an event of a type whose parameters contain text.
func (f *netLogFile) has(name, text string) bool {
	for _, e := range f.Events {
		if e.Type != f.Constants.LogEventTypes[name] {
			continue
		}
		if params, _ := json.Marshal(e.Params); strings.Contains(string(params), text) {
			return true
		}
	}
	return false
}

func netLogStart(t testing.TB, s *Session, o NetLogOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net.json")
	if err := s.NetLog().StartLogging(testContext(t), path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func netLogStop(t testing.TB, s *Session) {
	t.Helper()
	if err := s.NetLog().StopLogging(testContext(t)); err != nil {
		t.Error(err)
	}
}

// netLogVisit loads a page with a cookie, and posts to it.
func netLogVisit(t *testing.T, s *Session, server *fixture.Server, path string) {
	t.Helper()
	setCookie(t, s, CookieDetails{URL: server.URL("log.test", "/"), Name: "crumb", Value: "sEcReT-crumb"})
	page := testPage(t, s, server.URL("log.test", path))
	evaluated[string](t, page, "fetch('/echo', {method: 'POST', body: 'uNiQuE-body'}).then(r => r.text())")
}

// netLogBrowser is a browser that logs all the time.
func netLogBrowser(t testing.TB, mode string) (*Browser, *fixture.Server) {
	t.Helper()
	server := fixture.New(t)
	o := testOptions(server, "")
	o.NetLog = mode
	b, err := Launch(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, server
}

func TestNetLog_NLG0067_WritesAFileBetweenStartAndStop(t *testing.T) {
	eachKind(t, func(t *testing.T, s *Session) {
		log := s.NetLog()
		if log.CurrentlyLogging() {
			t.Error("it logs before the start")
		}
		path := netLogStart(t, s, NetLogOptions{})
		if !log.CurrentlyLogging() {
			t.Error("it does not log after the start")
		}
		netLogVisit(t, s, sharedServer(t), "/page/logged-here")
		netLogStop(t, s)
		if log.CurrentlyLogging() {
			t.Error("it logs after the stop")
		}
		f := readNetLog(t, path)
		if !f.has("URL_REQUEST_START_JOB", "/page/logged-here") || !f.has("REQUEST_ALIVE", "") {
			t.Errorf("the page is not among %d events", len(f.Events))
		}
		if strings.Contains(f.text, "sEcReT") {
			t.Error("the cookie is in the file")
		}
		if f.Constants.LogCaptureMode != "Default" {
			t.Errorf("the capture mode is %q", f.Constants.LogCaptureMode)
		}
		if skew := time.Since(time.UnixMilli(f.Constants.TimeTickOffset)); skew < 0 || f.Constants.TimeTickOffset == 0 {
			t.Errorf("the clock starts at %v", time.UnixMilli(f.Constants.TimeTickOffset))
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file has mode %v, %v", info.Mode(), err)
		}
	})
}

func TestNetLog_NLG0077_StopWithoutStartIsAnError(t *testing.T) {
	err := testSession(t, "memory").NetLog().StopLogging(testContext(t))
	if !errors.Is(err, ErrNoNetLog) || err.Error() != "No net log in progress" {
		t.Errorf("got %v", err)
	}
}

func TestNetLog_NLG0081_CX63_RefusesArgumentsBeforeASecondStart(t *testing.T) {
	ctx, s := testContext(t), testSession(t, "memory")
	path := filepath.Join(t.TempDir(), "net.json")
	refusals := func(t *testing.T) {
		for _, c := range []struct {
			path, text string
			o          NetLogOptions
		}{
			{"", "The first parameter must be a valid string", NetLogOptions{}},
			{path, "Invalid value for captureMode", NetLogOptions{CaptureMode: "aoeu"}},
			{path, "Invalid value for maxFileSize", NetLogOptions{MaxFileSize: -1}},
		} {
			err := s.NetLog().StartLogging(ctx, c.path, c.o)
			var invalid *InvalidArgumentError
			if !errors.As(err, &invalid) || err.Error() != c.text {
				t.Errorf("got %v, want %q", err, c.text)
			}
		}
	}
	t.Run("NLG-0081", func(t *testing.T) {
		refusals(t)
		if s.NetLog().CurrentlyLogging() {
			t.Error("it logs")
		}
		err := s.NetLog().StartLogging(ctx, filepath.Join(path, "not", "there"), NetLogOptions{})
		if !errors.Is(err, fs.ErrNotExist) || s.NetLog().CurrentlyLogging() {
			t.Errorf("a file that cannot be made: %v", err)
		}
	})
	t.Run("CX63", func(t *testing.T) {
		if err := s.NetLog().StartLogging(ctx, path, NetLogOptions{}); err != nil {
			t.Fatal(err)
		}
		refusals(t)
		err := s.NetLog().StartLogging(ctx, path, NetLogOptions{})
		var invalid *InvalidArgumentError
		if !errors.As(err, &invalid) || err.Error() != "There is already a net log running" {
			t.Errorf("got %v", err)
		}
		netLogStop(t, s)
	})
	for _, mode := range []string{"includeSensitive", "everything"} {
		err := s.NetLog().StartLogging(ctx, path, NetLogOptions{CaptureMode: mode})
		var unsupported *UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "Options.NetLog") {
			t.Errorf("mode %s without the option: %v", mode, err)
		}
	}
}

func TestNetLog_CX64_CurrentlyLoggingFollowsTheCalls(t *testing.T) {
	ctx, s := testContext(t), testSession(t, "memory")
	source := s.at.host.netLog.(*tracedNetLog)
	if err := source.changing.take(ctx); err != nil { // the calls take until it is given back
		t.Fatal(err)
	}
	started, stopped := make(chan error, 1), make(chan error, 1)
	path := filepath.Join(t.TempDir(), "net.json")
	go func() { started <- s.NetLog().StartLogging(ctx, path, NetLogOptions{}) }()
	for !s.NetLog().CurrentlyLogging() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	go func() { stopped <- s.NetLog().StopLogging(ctx) }()
	for s.NetLog().CurrentlyLogging() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if len(started) > 0 || len(stopped) > 0 {
		t.Error("the calls are over already")
	}
	source.changing.give()
	if err := errors.Join(<-started, <-stopped); err != nil {
		t.Error(err)
	}
	readNetLog(t, path)
}

func TestNetLog_TwoSessionsOfAProcessLogAtOnce(t *testing.T) {
	early, late, server := testSession(t, "default"), memorySession(t), sharedServer(t)
	first := netLogStart(t, early, NetLogOptions{})
	netLogVisit(t, early, server, "/page/first")
	second := netLogStart(t, late, NetLogOptions{MaxFileSize: 100_000})
	netLogVisit(t, late, server, "/page/second")
	netLogStop(t, late)
	netLogVisit(t, early, server, "/page/third")
	netLogStop(t, early)
	a, b := readNetLog(t, first), readNetLog(t, second)
	for _, page := range []string{"first", "second", "third"} {
		if !a.has("URL_REQUEST_START_JOB", "/page/"+page) {
			t.Errorf("the first log lacks the %s page", page)
		}
	}
	if b.has("URL_REQUEST_START_JOB", "/page/first") || !b.has("URL_REQUEST_START_JOB", "/page/second") || b.has("URL_REQUEST_START_JOB", "/page/third") {
		t.Error("the second log does not have the second page alone")
	}
	if len(b.text) > 100_000 || len(a.text) < 100_000 {
		t.Errorf("the files have %d and %d bytes", len(a.text), len(b.text))
	}
}

func TestNetLog_IsRefusedWhileSomebodyElseTraces(t *testing.T) {
	ctx, s := testContext(t), testSession(t, "memory")
	root := s.at.host.root()
	if err := root.Call(ctx, "Tracing.start", map[string]any{"transferMode": "ReturnAsStream", "traceConfig": map[string]any{"includedCategories": []string{"netlog"}}}, nil); err != nil {
		t.Fatal(err)
	}
	err := s.NetLog().StartLogging(ctx, filepath.Join(t.TempDir(), "net.json"), NetLogOptions{})
	var unsupported *UnsupportedError
	if !errors.As(err, &unsupported) || s.NetLog().CurrentlyLogging() {
		t.Errorf("got %v", err)
	}
	if _, err := s.at.host.endTrace(ctx); err != nil {
		t.Error(err)
	}
	netLogStart(t, s, NetLogOptions{})
	netLogStop(t, s)
}

func TestNetLog_ByOption(t *testing.T) {
	b, server := netLogBrowser(t, "everything")
	s := b.DefaultSession()
	other, err := b.FromPartition(testContext(t), "other", PartitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("NLG-0089 includeSensitive has the cookies of another session", func(t *testing.T) {
		path := netLogStart(t, s, NetLogOptions{CaptureMode: "includeSensitive"})
		netLogVisit(t, other, server, "/page/sensitive")
		netLogStop(t, s)
		f := readNetLog(t, path)
		if !strings.Contains(f.text, "sEcReT-crumb") || strings.Contains(f.text, `"bytes":"`) || f.Constants.LogCaptureMode != "IncludeSensitive" {
			t.Error("the log does not have what its mode is to have")
		}
	})
	t.Run("NLG-0107 everything has the bytes of sockets", func(t *testing.T) {
		path := netLogStart(t, s, NetLogOptions{CaptureMode: "everything"})
		netLogVisit(t, s, server, "/page/everything")
		netLogStop(t, s)
		f := readNetLog(t, path)
		if !slices.ContainsFunc(f.Events, func(e netLogEvent) bool {
			encoded, _ := e.Params["bytes"].(string)
			bytes, _ := base64.StdEncoding.DecodeString(encoded)
			return strings.Contains(string(bytes), "uNiQuE-body")
		}) {
			t.Error("the body is in no event")
		}
	})
	t.Run("two modes at once", func(t *testing.T) {
		plain := netLogStart(t, s, NetLogOptions{})
		rich := netLogStart(t, other, NetLogOptions{CaptureMode: "everything"})
		netLogVisit(t, s, server, "/page/both")
		netLogStop(t, s)
		netLogStop(t, other)
		f := readNetLog(t, plain)
		if strings.Contains(f.text, "sEcReT") || !strings.Contains(f.text, "Cookie: [18 bytes were stripped]") || strings.Contains(f.text, `"bytes":"`) {
			t.Error("mode default has what is private")
		}
		if f.Constants.LogCaptureMode != "Default" || !f.has("URL_REQUEST_START_JOB", "/page/both") {
			t.Error("mode default lacks what is not")
		}
		if !strings.Contains(readNetLog(t, rich).text, "sEcReT-crumb") {
			t.Error("mode everything lacks the cookie")
		}
	})
	t.Run("after a crash the file is whole and the next process logs", func(t *testing.T) {
		path := netLogStart(t, s, NetLogOptions{})
		netLogVisit(t, s, server, "/page/before-the-crash")
		kill(t, s)
		if err := s.NetLog().StopLogging(testContext(t)); !errors.Is(err, ErrHostGone) {
			t.Errorf("stopping says %v", err)
		}
		if !readNetLog(t, path).has("URL_REQUEST_START_JOB", "/page/before-the-crash") {
			t.Error("the page is not in the file")
		}
		netLogStart(t, s, NetLogOptions{CaptureMode: "everything"})
		netLogVisit(t, s, server, "/page/after")
		netLogStop(t, s)
	})
}

func TestNetLog_ByOption_NobodyHasToLog(t *testing.T) {
	b, server := netLogBrowser(t, "includeSensitive")
	page := testPage(t, b.DefaultSession(), server.URL("log.test", "/"))
	netLogFetch(t, page, 2000)
	pipes, err := filepath.Glob(filepath.Join(os.TempDir(), "bridge-*", "tmp", "netlog"))
	if err != nil || len(pipes) == 0 {
		t.Errorf("there is no pipe: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, pipe := range pipes {
		if _, err := os.Lstat(pipe); err == nil {
			t.Errorf("%s is left", pipe)
		}
	}
}

// netLogFetch makes many small requests, ten at a time.
func netLogFetch(t testing.TB, page *WebContents, n int) {
	t.Helper()
	got := evaluated[int](t, page, `async n => {
		let done = 0;
		await Promise.all(Array.from({length: 10}, async () => {
			for (let i = 0; i < n / 10; i++) {
				await (await fetch('/small', {cache: 'no-store'})).text();
				done++;
			}
		}));
		return done;
	}`, n)
	if got != n {
		t.Errorf("%d of %d requests were answered", got, n)
	}
}

func TestNetLog_ACrashLeavesAWholeFile(t *testing.T) {
	s := testSession(t, "persistent")
	path := netLogStart(t, s, NetLogOptions{})
	kill(t, s)
	if !s.NetLog().CurrentlyLogging() {
		t.Error("it stopped by itself")
	}
	if err := s.NetLog().StopLogging(testContext(t)); !errors.Is(err, ErrHostGone) {
		t.Errorf("stopping says %v", err)
	}
	readNetLog(t, path)
	path = netLogStart(t, s, NetLogOptions{})
	netLogVisit(t, s, sharedServer(t), "/page/again")
	netLogStop(t, s)
	if !readNetLog(t, path).has("URL_REQUEST_START_JOB", "/page/again") {
		t.Error("the next process does not log")
	}
}

func TestNetLog_NLG0161_EndsWithTheSessionAndTheBrowser(t *testing.T) {
	for _, mode := range []string{"", "includeSensitive"} {
		t.Run("Options.NetLog "+mode, func(t *testing.T) {
			b, server := netLogBrowser(t, mode)
			closed, err := b.FromPartition(testContext(t), "closed", PartitionOptions{})
			if err != nil {
				t.Fatal(err)
			}
			first := netLogStart(t, b.DefaultSession(), NetLogOptions{})
			second := netLogStart(t, closed, NetLogOptions{})
			netLogVisit(t, closed, server, "/page/closed")
			if err := closed.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if !readNetLog(t, second).has("URL_REQUEST_START_JOB", "/page/closed") {
				t.Error("the closed session's log lacks its page")
			}
			netLogVisit(t, b.DefaultSession(), server, "/page/last")
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if !readNetLog(t, first).has("URL_REQUEST_START_JOB", "/page/last") {
				t.Error("the browser's log lacks the last page")
			}
		})
	}
}

func TestNetLog_ALongLogFillsItsFileAsItGoes(t *testing.T) {
	s := memorySession(t)
	page := testPage(t, s, sharedServer(t).URL("log.test", "/"))
	path := netLogStart(t, s, NetLogOptions{})
	// Each request brings the same headers into the log more than once.
	const send = `async n => {
		for (let i = 0; i < n; i++)
			await (await fetch('/small?' + i, {cache: 'no-store', headers: {'X-Long': 'x'.repeat(100_000)}})).text();
		return n;
	}`
	for size := int64(0); size < 1_000_000; {
		evaluated[int](t, page, send, 20)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size = info.Size()
	}
	netLogStop(t, s)
	if f := readNetLog(t, path); !f.has("URL_REQUEST_START_JOB", "/small?19") {
		t.Error("the requests are not in the log")
	}
}

func TestNetLog_ByOption_OutlivesTheNetworkProcess(t *testing.T) {
	b, server := netLogBrowser(t, "everything")
	s, ctx := b.DefaultSession(), testContext(t)
	path := netLogStart(t, s, NetLogOptions{CaptureMode: "everything"})
	netLogVisit(t, s, server, "/page/before")
	first, err := s.at.host.networkPID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	for pid := first; pid == first || pid == s.at.host.process.PID(); {
		if pid, err = s.at.host.networkPID(ctx); err != nil {
			t.Fatal(err)
		}
	}
	netLogVisit(t, s, server, "/page/after")
	netLogStop(t, s)
	f := parseNetLog(t, path) // the new process numbers its sources anew
	if !f.has("URL_REQUEST_START_JOB", "/page/before") || !f.has("URL_REQUEST_START_JOB", "/page/after") {
		t.Error("a page is not in the log")
	}
}
