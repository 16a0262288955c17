package permissions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123, time.FixedZone("", 3600))

func storePath(t *testing.T) string { return filepath.Join(t.TempDir(), "grants.json") }

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sameAsItsFile fails unless the store has in memory what its file has.
func sameAsItsFile(t *testing.T, s *Store) {
	t.Helper()
	if again := opened(t, s.path); !reflect.DeepEqual(again.List(), s.List()) {
		t.Errorf("the file has %v, the store %v", again.List(), s.List())
	}
}

func set(t *testing.T, s *Store, origin string, p Permission, granted bool) {
	t.Helper()
	if err := s.Set(origin, p, Decision{granted, noon}); err != nil {
		t.Fatal(err)
	}
}

func TestStore_DecisionsOutliveTheProgram(t *testing.T) {
	path := storePath(t)
	s := opened(t, path)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file before the first decision: %v", err)
	}
	set(t, s, "https://b.test", Media, true)
	set(t, s, "https://A.test:443/", USB, false)
	set(t, s, "https://a.test", Geolocation, true)
	set(t, s, "https://a.test", Geolocation, false)

	again := opened(t, path)
	when := noon.UTC()
	want := []Grant{
		{"https://a.test", Geolocation, Decision{false, when}},
		{"https://a.test", USB, Decision{false, when}},
		{"https://b.test", Media, Decision{true, when}},
	}
	if got := again.List(); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(s.List(), want) {
		t.Errorf("%v", got)
	}
	if d, found := again.Get("https://b.test/", Media); !found || !d.Granted || !d.When.Equal(noon) {
		t.Errorf("%+v, %v", d, found)
	}
	if _, found := again.Get("http://b.test", Media); found {
		t.Error("another scheme has the decision")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("temporary files: %q", left)
	}
}

func TestStore_DecisionsCanBeTakenBack(t *testing.T) {
	s := opened(t, storePath(t))
	for _, p := range []Permission{Media, USB, HID} {
		set(t, s, "https://a.test", p, true)
	}
	set(t, s, "https://b.test", Media, true)
	for _, want := range []bool{true, false} {
		if had, err := s.Revoke("https://a.test/", Media); had != want || err != nil {
			t.Errorf("revoked %v, %v", had, err)
		}
	}
	if n, err := s.RevokeOrigin("https://a.test"); n != 2 || err != nil {
		t.Errorf("revoked %d, %v", n, err)
	}
	sameAsItsFile(t, s)
	if got := s.List(); len(got) != 1 || got[0].Origin != "https://b.test" {
		t.Errorf("%v", got)
	}
	if err := s.Clear(); err != nil || len(s.List()) != 0 {
		t.Errorf("%v, %v", s.List(), err)
	}
	sameAsItsFile(t, s)
}

func TestStore_WithoutAPathItKeepsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	s := opened(t, "")
	set(t, s, "file:///", FileSystem, true)
	if d, found := s.Get("file://", FileSystem); !found || !d.Granted {
		t.Errorf("%+v, %v", d, found)
	}
	if files, err := os.ReadDir("."); len(files) > 0 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
}

func TestStore_ItsFileStaysWhenTheProgramGoesElsewhere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := opened(t, "grants.json")
	t.Chdir(t.TempDir())
	set(t, s, "https://a.test", Media, true)
	if _, err := os.Stat(filepath.Join(dir, "grants.json")); err != nil {
		t.Error(err)
	}
}

func TestStore_OpaqueOriginsAreNotRemembered(t *testing.T) {
	s := opened(t, "")
	for _, origin := range []string{"null", "", "about:blank", "data:,x", "blob:https://a.test/1", "https://a.test/path", "*", "https://*.a.test"} {
		var wrong *OriginError
		if err := s.Set(origin, Media, Decision{Granted: true}); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", origin, err)
		}
		if _, found := s.Get(origin, Media); found {
			t.Errorf("%q was remembered", origin)
		}
		if _, err := s.RevokeOrigin(origin); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestStore_OnlyRealPermissionsAreRemembered(t *testing.T) {
	s := opened(t, "")
	for _, p := range []Permission{"", "camera", Everything, Unknown} {
		if err := s.Set("https://a.test", p, Decision{Granted: true}); err == nil || len(s.List()) > 0 {
			t.Errorf("%q: %v", p, s.List())
		}
	}
}

func TestStore_ADamagedFileIsSetAsideAndSaidSo(t *testing.T) {
	entry := `{"origin":"https://a.test","permission":"usb","granted":true,"when":"2026-11-23T12:00:00Z"}`
	for name, text := range map[string]string{
		"empty":              ``,
		"half":               `{"version":1,"grants":[` + entry,
		"another kind":       `[1]`,
		"null":               `null`,
		"no version":         `{"grants":[]}`,
		"unknown field":      `{"version":1,"grants":[],"more":1}`,
		"opaque origin":      `{"version":1,"grants":[` + strings.Replace(entry, "https://a.test", "null", 1) + `]}`,
		"another spelling":   `{"version":1,"grants":[` + strings.Replace(entry, "https://a.test", "https://A.test/", 1) + `]}`,
		"no permission":      `{"version":1,"grants":[` + strings.Replace(entry, "usb", "", 1) + `]}`,
		"two decisions":      `{"version":1,"grants":[` + entry + `,` + entry + `]}`,
		"a time of no year":  `{"version":1,"grants":[` + strings.Replace(entry, "2026-11-23T12:00:00Z", "9999-12-31T23:59:59-10:00", 1) + `]}`,
		"too long":           `{"version":1,"grants":[]}` + strings.Repeat(" ", maxStoreFile),
		"too many decisions": `{"version":1,"grants":[{}` + strings.Repeat(`,{}`, MaxGrants) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := storePath(t)
			for _, aside := range []string{path + ".damaged", path + ".damaged2"} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				s, err := Open(path)
				var damaged *DamagedError
				if s != nil || !errors.As(err, &damaged) || damaged.Path != path || damaged.Aside != aside {
					t.Fatalf("%v, %v", s, err)
				}
				if kept, err := os.ReadFile(aside); string(kept) != text || err != nil {
					t.Errorf("%.80q is kept, %v", kept, err)
				}
			}
			if got := opened(t, path).List(); len(got) > 0 {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestStore_AFileOfANewerProgramStays(t *testing.T) {
	path := storePath(t)
	text := `{"version":2,"decisions":{}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	var newer *VersionError
	if s != nil || !errors.As(err, &newer) || newer.Version != 2 || newer.Path != path {
		t.Errorf("%v, %v", s, err)
	}
	if kept, err := os.ReadFile(path); string(kept) != text || err != nil {
		t.Errorf("%q, %v", kept, err)
	}
}

func TestStore_APermissionOfANewerProgramIsKept(t *testing.T) {
	path := storePath(t)
	text := `{"version":1,"grants":[{"origin":"https://a.test","permission":"time-travel","granted":true,"when":"2026-11-23T12:00:00Z"}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set(t, opened(t, path), "https://a.test", USB, true)
	if d, found := opened(t, path).Get("https://a.test", "time-travel"); !found || !d.Granted {
		t.Errorf("%+v, %v", d, found)
	}
}

func TestStore_AChangeThatCannotBeWrittenIsNotMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := opened(t, filepath.Join(dir, "grants.json"))
	set(t, s, "https://a.test", USB, true)
	before := s.List()
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	removed, revoked := s.Revoke("https://a.test", USB)
	for what, err := range map[string]error{
		"set":    s.Set("https://a.test", HID, Decision{Granted: true}),
		"revoke": revoked,
		"clear":  s.Clear(),
	} {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !reflect.DeepEqual(s.List(), before) || removed {
		t.Errorf("%v", s.List())
	}
	if err := os.Rename(dir+"2", dir); err != nil {
		t.Fatal(err)
	}
	sameAsItsFile(t, s)
	if err := s.Set("https://a.test", HID, Decision{When: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Error("a time that has no text was taken")
	}
	sameAsItsFile(t, s)
}

func TestStore_AFullStoreTakesNoMoreAndStillChanges(t *testing.T) {
	s := opened(t, "")
	for i := range MaxGrants - 1 {
		s.grants[subject{fmt.Sprintf("https://h%d.test", i), Media}] = Decision{true, noon.UTC()}
	}
	set(t, s, "https://last.test", Media, true)
	if err := s.Set("https://one.more.test", Media, Decision{}); !errors.Is(err, ErrStoreFull) || len(s.List()) != MaxGrants {
		t.Errorf("%d decisions, %v", len(s.List()), err)
	}
	set(t, s, "https://h0.test", Media, false)
	s.path = storePath(t)
	set(t, s, "https://h1.test", Media, false)
	sameAsItsFile(t, s)
}

func TestStore_ManyMayUseItAtOnce(t *testing.T) {
	s := opened(t, storePath(t))
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			origin := fmt.Sprintf("https://h%d.test", i)
			for _, p := range []Permission{Media, USB, HID} {
				if err := s.Set(origin, p, Decision{true, noon}); err != nil {
					t.Error(err)
				}
				s.List()
			}
			if had, err := s.Revoke(origin, USB); !had || err != nil {
				t.Error(had, err)
			}
			if _, found := s.Get(origin, HID); !found {
				t.Error(origin)
			}
		})
	}
	users.Wait()
	if n := len(s.List()); n != 16 {
		t.Errorf("%d decisions", n)
	}
	sameAsItsFile(t, s)
}

func FuzzStoreFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"grants":[{"origin":"https://a.test","permission":"usb","granted":true,"when":"2026-11-23T12:00:00.1+01:00"}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"Version":1,"grants":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		grants, err := decode(data)
		if err != nil {
			return
		}
		text, err := encode(list(grants))
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", data, err)
		}
		if again, err := decode(text); err != nil || !reflect.DeepEqual(list(again), list(grants)) {
			t.Errorf("%q is written as %q: %v", data, text, err)
		}
	})
}
