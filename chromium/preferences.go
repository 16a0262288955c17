package chromium

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
)

const (
	preferencesFile = "Default/Preferences"
	localStateFile  = "Local State"
)

// blocked is Chromium's value of a content setting that denies.
const blocked = 2

// guardPreferences makes requestPort and requestDevice end at once where the
// bridge has not taken the page's place, and leaves an extension that reloads
// itself enabled.
func guardPreferences() map[string]any {
	return map[string]any{
		"profile": map[string]any{"default_content_setting_values": map[string]any{
			"serial_guard": blocked, "usb_guard": blocked, "hid_guard": blocked,
		}},
		"extensions": map[string]any{"ui": map[string]any{"developer_mode": true}},
	}
}

// livePolicies lets policies be set while the browser runs, device policies too,
// which Chromium reads from Local State only if the preference is there at start.
func livePolicies() map[string]any {
	return map[string]any{"local_test_policies_for_next_startup": "[]"}
}

// writePreferences merges what every host starts with, and then the caller's
// wishes, into the files of a directory that no browser uses.
func writePreferences(files *Files, o Options) error {
	if err := files.MkdirAll(filepath.Dir(preferencesFile)); err != nil {
		return err
	}
	return errors.Join(
		mergeJSON(files, preferencesFile, guardPreferences(), o.Preferences),
		mergeJSON(files, localStateFile, livePolicies(), o.LocalState),
	)
}

// mergeJSON writes the file anew with the changes merged into what it holds.
// Chromium puts a file that is not JSON aside as "<name>.bad" and starts afresh;
// so does this, lest it be lost.
func mergeJSON(files *Files, name string, changes ...map[string]any) error {
	before, err := files.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	merged, err := decodeObject(before)
	if err != nil {
		if err := files.Rename(name, name+".bad"); err != nil {
			return err
		}
	}
	for _, change := range changes {
		merged = merge(merged, change)
	}
	after, err := json.Marshal(merged)
	if err != nil {
		return fmt.Errorf("chromium: the preferences for %s are not JSON: %w", name, err)
	}
	if bytes.Equal(before, after) {
		return nil
	}
	return files.WriteFile(name, after)
}

// decodeObject keeps numbers as they are written: some have more digits than a
// float64.
func decodeObject(data []byte) (map[string]any, error) {
	object := map[string]any{}
	if len(data) == 0 {
		return object, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	return object, nil
}

// merge returns base with change in it: objects by member, the rest as a whole.
func merge(base, change map[string]any) map[string]any {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range change {
		if inner, ok := value.(map[string]any); ok {
			old, _ := merged[key].(map[string]any)
			value = merge(old, inner)
		}
		merged[key] = value
	}
	return merged
}
