package chromium

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openTestFiles(t *testing.T) (string, *Files) {
	t.Helper()
	dir := t.TempDir()
	files, err := OpenFiles(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	return dir, files
}

func TestPreferencesAreMergedWithoutLoss(t *testing.T) {
	dir, files := openTestFiles(t)
	if err := os.Mkdir(filepath.Join(dir, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	before := `{"big":12345678901234567890,"profile":{"name":"kept","default_content_setting_values":{"popups":1,"usb_guard":1}},"list":[1,2]}`
	if err := os.WriteFile(filepath.Join(dir, preferencesFile), []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{
		Preferences: map[string]any{"profile": map[string]any{"default_content_setting_values": map[string]any{"hid_guard": 3}}, "list": []int{7}},
		LocalState:  map[string]any{"own": true},
	}
	for range 2 { // a second start changes nothing
		if err := writePreferences(files, o); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			preferencesFile: `{"big":12345678901234567890,"extensions":{"ui":{"developer_mode":true}},"list":[7],` +
				`"profile":{"default_content_setting_values":{"hid_guard":3,"popups":1,"serial_guard":2,"usb_guard":2},"name":"kept"}}`,
			localStateFile: `{"local_test_policies_for_next_startup":"[]","own":true}`,
		} {
			if got, err := files.ReadFile(name); string(got) != want || err != nil {
				t.Errorf("%s: %s, %v", name, got, err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".*")); len(left) > 0 {
		t.Errorf("temporary files: %q", left)
	}
}

func TestBrokenPreferencesArePutAside(t *testing.T) {
	dir, files := openTestFiles(t)
	for _, broken := range []string{`{"half":`, `[1]`, `null`} {
		if err := os.WriteFile(filepath.Join(dir, localStateFile), []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writePreferences(files, Options{}); err != nil {
			t.Fatal(err)
		}
		if got, err := files.ReadFile(localStateFile); !json.Valid(got) || !strings.Contains(string(got), "local_test_policies") || err != nil {
			t.Errorf("%s: %s, %v", broken, got, err)
		}
		if broken == `null` {
			continue // nothing in it to lose
		}
		if got, err := files.ReadFile(localStateFile + ".bad"); string(got) != broken || err != nil {
			t.Errorf("put aside: %q, %v", got, err)
		}
	}
}

func TestPreferencesThatAreNotJSONAreRefused(t *testing.T) {
	_, files := openTestFiles(t)
	err := writePreferences(files, Options{Preferences: map[string]any{"f": func() {}}})
	var unsupported *json.UnsupportedTypeError
	if !errors.As(err, &unsupported) {
		t.Errorf("%v", err)
	}
}
