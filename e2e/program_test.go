package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/devices/serial"
	"github.com/cdpbridge/cdpbridge/e2e/fixture"
)

// program is cmd/bridge, built by the first test that runs it.
var program struct {
	once sync.Once
	path string
	err  error
}

func buildProgram(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		dir, err := os.MkdirTemp("", "bridge-program-")
		if err != nil {
			program.err = err
			return
		}
		program.path = filepath.Join(dir, "bridge")
		if out, err := exec.Command("go", "build", "-o", program.path, module+"cmd/bridge").CombinedOutput(); err != nil {
			program.err = errors.New(string(out))
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

func removeProgram() error {
	if program.path == "" {
		return nil
	}
	return os.RemoveAll(filepath.Dir(program.path))
}

// run runs the program and returns what it printed and its exit code.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(testContext(t, 2*time.Minute), buildProgram(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// opened is a line of bridge open --json.
type opened struct {
	URL, Session, StoragePath, Title, Screenshot, PDF, Error string
	Persistent                                               bool
	Status                                                   int
	LoadMillis                                               int64
	Cookies                                                  []string
}

func TestProgramOpen_ThePersistentSessionRemembersAndTheOtherDoesNot(t *testing.T) {
	data, out := publicDir(t), publicDir(t)
	for visit := 1; visit <= 2; visit++ {
		stdout, stderr, code := run(t, "open", "--json", "--user-data-dir", data, "--out", out)
		var pages []opened
		if err := json.Unmarshal([]byte(stdout), &pages); err != nil || code != 0 || len(pages) != 2 {
			t.Fatalf("exit %d, %v\n%s\n%s", code, err, stdout, stderr)
		}
		disk, memory := pages[0], pages[1]
		if !disk.Persistent || disk.StoragePath == "" || memory.Persistent || memory.StoragePath != "" {
			t.Errorf("sessions: %+v, %+v", disk, memory)
		}
		if want := "Visit " + string(rune('0'+visit)); !strings.HasPrefix(disk.Title, want) {
			t.Errorf("the persistent session shows %q on visit %d", disk.Title, visit)
		}
		if !strings.HasPrefix(memory.Title, "Visit 1") {
			t.Errorf("the session in memory shows %q on visit %d", memory.Title, visit)
		}
		for _, page := range pages {
			if page.Status != 200 || page.Error != "" || len(page.Cookies) != 1 {
				t.Errorf("%+v", page)
			}
			png, err := os.ReadFile(page.Screenshot)
			if err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
				t.Errorf("screenshot: %v", err)
			}
			pdf, err := os.ReadFile(page.PDF)
			if err != nil || !bytes.HasPrefix(pdf, []byte("%PDF")) {
				t.Errorf("PDF: %v", err)
			}
		}
	}
}

func TestProgramOpen_SaysWhichPageFailedAndShowsTheOthers(t *testing.T) {
	server := fixture.New(t)
	good := server.URL("localhost", "/page/hello")
	stdout, stderr, code := run(t, "open", "--user-data-dir", publicDir(t), "--out", publicDir(t), good, "http://localhost:9/")
	if code != 1 || !strings.Contains(stdout, "net::ERR_") || !strings.Contains(stdout, "hello") {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestProgram_ACommandLineThatMakesNoSenseIsRefusedWithExitCode2(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"open", "--nonsense"}, {"open", "not a url"}, {"open", "--partition", "persist:x"}, {"version", "x"}} {
		stdout, stderr, code := run(t, args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "bridge") {
			t.Errorf("%q: exit %d\n%s\n%s", args, code, stdout, stderr)
		}
	}
}

func TestProgram_HelpVersionAndDoctorAnswer(t *testing.T) {
	if stdout, _, code := run(t, "--help"); code != 0 || !strings.Contains(stdout, "doctor") {
		t.Errorf("help: exit %d\n%s", code, stdout)
	}
	var version struct{ Bridge, Browser string }
	if stdout, _, code := run(t, "version", "--json"); code != 0 || json.Unmarshal([]byte(stdout), &version) != nil || version.Browser == "" {
		t.Errorf("version: exit %d\n%s", code, stdout)
	}
	var findings []struct{ Name, Status, Detail, Advice string }
	if stdout, stderr, code := run(t, "doctor", "--json"); code != 0 || json.Unmarshal([]byte(stdout), &findings) != nil || len(findings) < 8 {
		t.Errorf("doctor: exit %d\n%s\n%s", code, stdout, stderr)
	}
	if stdout, _, code := run(t, "doctor", "--browser", "/nowhere"); code != 1 || !strings.Contains(stdout, "fail") {
		t.Errorf("doctor without a browser: exit %d\n%s", code, stdout)
	}
}

func TestProgramDevices_ListsWhatThereIs(t *testing.T) {
	ports, err := serial.Native().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run(t, "devices", "--json")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	var found []string
	for line := range strings.Lines(stdout) {
		var said struct {
			Event, Kind string
			Device      struct{ PortName string }
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil || said.Event != "present" {
			t.Errorf("%s: %v", line, err)
		}
		if said.Kind == "serial" {
			found = append(found, said.Device.PortName)
		}
	}
	for _, p := range ports {
		if !slices.Contains(found, p.PortName) {
			t.Errorf("%s is missing in %q", p.PortName, found)
		}
	}
	if stdout, _, _ := run(t, "devices"); strings.Count(stdout, "\n") < len(ports) {
		t.Errorf("the table is %q", stdout)
	}
}

func TestProgram_ASignalEndsItWithoutLeavingABrowser(t *testing.T) {
	server := fixture.New(t)
	release := server.Hold("/held")
	defer release()
	data := publicDir(t)
	cmd := exec.Command(buildProgram(t), "open", "--user-data-dir", data, "--out", publicDir(t), server.URL("localhost", "/held"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := server.WaitRequest(ctx, "/held"); err != nil {
		t.Error(err)
	}
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		if text, _ := os.ReadFile(line); strings.Contains(string(text), data) {
			t.Errorf("left running: %.200q", text)
		}
	}
}
