package permissions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cdpbridge/cdpbridge/chromium"
	"github.com/cdpbridge/cdpbridge/internal/grantfile"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123, time.FixedZone("", 3600))

const storeName = "grants.json"

func storePath(t *testing.T) string { return filepath.Join(t.TempDir(), storeName) }

// storeDir is the directory of a path, for as long as the test runs.
func storeDir(t *testing.T, path string) Dir {
	t.Helper()
	files, err := chromium.OpenFiles(filepath.Dir(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	return files
}

func opened(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(storeDir(t, path), filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func inMemory(t *testing.T) *Store {
	t.Helper()
	s, err := Open(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sameAsItsFile fails unless the store has in memory what its file has.
func sameAsItsFile(t *testing.T, s *Store) {
	t.Helper()
	again, err := Open(s.dir, s.name)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.List(), s.List()) {
		t.Errorf("the file has %v, the store %v", again.List(), s.List())
	}
}

var camera, microphone = Query{Media, Video}, Query{Media, Audio}

func on(p Permission) Query { return Query{Permission: p} }

func set(t *testing.T, s *Store, origin string, q Query, granted bool) {
	t.Helper()
	if err := s.Set(origin, Decision{granted, noon}, q); err != nil {
		t.Fatal(err)
	}
}

func TestStore_DecisionsOutliveTheProgram(t *testing.T) {
	path := storePath(t)
	s := opened(t, path)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file before the first decision: %v", err)
	}
	set(t, s, "https://b.test", camera, true)
	set(t, s, "https://A.test:443/", on(USB), false)
	set(t, s, "https://a.test", on(Geolocation), true)
	set(t, s, "https://a.test", on(Geolocation), false)

	again := opened(t, path)
	when := noon.UTC()
	want := []Grant{
		{"https://a.test", on(Geolocation), Decision{false, when}},
		{"https://a.test", on(USB), Decision{false, when}},
		{"https://b.test", camera, Decision{true, when}},
	}
	if got := again.List(); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(s.List(), want) {
		t.Errorf("%v", got)
	}
	if d, found := again.Get("https://b.test/", camera); !found || !d.Granted || !d.When.Equal(noon) {
		t.Errorf("%+v, %v", d, found)
	}
	if _, found := again.Get("http://b.test", camera); found {
		t.Error("another scheme has the decision")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("temporary files: %q", left)
	}
}

func TestStore_DecisionsCanBeTakenBack(t *testing.T) {
	s := opened(t, storePath(t))
	for _, q := range []Query{camera, microphone, on(USB), on(HID)} {
		set(t, s, "https://a.test", q, true)
	}
	set(t, s, "https://b.test", camera, true)
	for _, want := range []bool{true, false} {
		if had, err := s.Revoke("https://a.test/", Media); had != want || err != nil {
			t.Errorf("revoked %v, %v", had, err)
		}
	}
	var unknown *UnknownError
	if _, err := s.Revoke("https://a.test", "camera"); !errors.As(err, &unknown) {
		t.Errorf("a name that is no permission's: %v", err)
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
	s := inMemory(t)
	set(t, s, "file:///", on(FileSystem), true)
	if d, found := s.Get("file://", on(FileSystem)); !found || !d.Granted {
		t.Errorf("%+v, %v", d, found)
	}
	if files, err := os.ReadDir("."); len(files) > 0 || err != nil {
		t.Errorf("%v, %v", files, err)
	}
}

func TestStore_OpaqueOriginsAreNotRemembered(t *testing.T) {
	s := inMemory(t)
	for _, origin := range []string{"null", "", "about:blank", "data:,x", "blob:https://a.test/1", "https://a.test/path", "*", "https://*.a.test"} {
		var wrong *OriginError
		if err := s.Set(origin, Decision{Granted: true}, camera); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", origin, err)
		}
		if _, found := s.Get(origin, camera); found {
			t.Errorf("%q was remembered", origin)
		}
		if _, err := s.RevokeOrigin(origin); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func TestStore_OnlyRealPermissionsAreRemembered(t *testing.T) {
	s := inMemory(t)
	for _, p := range []Permission{"", "camera", Everything, Unknown, Media} {
		if err := s.Set("https://a.test", Decision{Granted: true}, on(p)); err == nil || len(s.List()) > 0 {
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
		"no media type":      `{"version":1,"grants":[` + strings.Replace(entry, "usb", "media", 1) + `]}`,
		"a media type of no": `{"version":1,"grants":[` + strings.Replace(entry, `"usb"`, `"usb","mediaType":"audio"`, 1) + `]}`,
		"two decisions":      `{"version":1,"grants":[` + entry + `,` + entry + `]}`,
		"a time of no year":  `{"version":1,"grants":[` + strings.Replace(entry, "2026-11-23T12:00:00Z", "9999-12-31T23:59:59-10:00", 1) + `]}`,
		"too long":           `{"version":1,"grants":[]}` + strings.Repeat(" ", grantfile.MaxSize),
		"too many decisions": `{"version":1,"grants":[{}` + strings.Repeat(`,{}`, MaxGrants) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := storePath(t)
			for _, aside := range []string{path + ".damaged", path + ".damaged2"} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				s, err := Open(storeDir(t, path), storeName)
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
	s, err := Open(storeDir(t, path), storeName)
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
	set(t, opened(t, path), "https://a.test", on(USB), true)
	again := opened(t, path)
	if d, found := again.Get("https://a.test", on("time-travel")); !found || !d.Granted {
		t.Errorf("%+v, %v", d, found)
	}
	if had, err := again.Revoke("https://a.test", "time-travel"); !had || err != nil {
		t.Errorf("revoked %v, %v", had, err)
	}
}

// fullDir is a directory in which nothing new can be made.
type fullDir struct{ Dir }

func (d fullDir) Open(name string, flag int) (*os.File, error) {
	if flag&os.O_CREATE != 0 {
		return nil, syscall.ENOSPC
	}
	return d.Dir.Open(name, flag)
}

func TestStore_AChangeThatCannotBeWrittenIsNotMade(t *testing.T) {
	s := opened(t, storePath(t))
	set(t, s, "https://a.test", on(USB), true)
	before, dir := s.List(), s.dir
	s.dir = fullDir{dir}
	removed, revoked := s.Revoke("https://a.test", USB)
	for what, err := range map[string]error{
		"set":    s.Set("https://a.test", Decision{Granted: true}, on(HID)),
		"revoke": revoked,
		"clear":  s.Clear(),
	} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !reflect.DeepEqual(s.List(), before) || removed {
		t.Errorf("%v", s.List())
	}
	sameAsItsFile(t, s)
	s.dir = dir
	if err := s.Set("https://a.test", Decision{When: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, on(HID)); err == nil {
		t.Error("a time that has no text was taken")
	}
	sameAsItsFile(t, s)
}

func TestStore_ADamagedFileThatCannotBeSetAsideStays(t *testing.T) {
	path := storePath(t)
	if err := os.WriteFile(path, []byte("damage"), 0o600); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if s, err := Open(fullDir{storeDir(t, path)}, storeName); s != nil || !errors.Is(err, syscall.ENOSPC) || errors.As(err, &damaged) {
		t.Errorf("%v, %v", s, err)
	}
	if kept, err := os.ReadFile(path); string(kept) != "damage" || err != nil {
		t.Errorf("%q, %v", kept, err)
	}
}

func TestStore_CameraAndMicrophoneAreTwoDecisions(t *testing.T) {
	s := opened(t, storePath(t))
	const origin = "https://a.test"
	set(t, s, origin, microphone, true)
	if _, found := s.Get(origin, camera); found {
		t.Error("who may hear may see")
	}
	if _, found := s.Get(origin, microphone, camera); found {
		t.Error("half of the decisions are an answer to both")
	}
	if _, found := s.Get(origin); found {
		t.Error("there is an answer to no question")
	}
	set(t, s, origin, camera, false)
	for _, both := range [][]Query{{microphone, camera}, {camera, microphone}} {
		if d, found := s.Get(origin, both...); !found || d.Granted {
			t.Errorf("%v: %v, %v", both, d, found)
		}
	}
	if err := s.Set(origin, Decision{true, noon}, microphone, camera); err != nil {
		t.Fatal(err)
	}
	if d, found := s.Get(origin, microphone, camera); !found || !d.Granted {
		t.Errorf("%v, %v", d, found)
	}
	sameAsItsFile(t, s)
	if err := s.Set(origin, Decision{false, noon}, microphone, on(Media)); err == nil {
		t.Error("media without a type was taken")
	}
	if d, _ := s.Get(origin, microphone); !d.Granted {
		t.Error("one of two decisions was taken")
	}
	if had, err := s.Revoke(origin, Media); !had || err != nil || len(s.List()) > 0 {
		t.Errorf("%v, %v: %v", had, err, s.List())
	}
}

func TestStore_AFullStoreTakesNoMoreAndStillChanges(t *testing.T) {
	s := inMemory(t)
	for i := range MaxGrants - 1 {
		s.grants[subject{fmt.Sprintf("https://h%d.test", i), camera}] = Decision{true, noon.UTC()}
	}
	set(t, s, "https://last.test", camera, true)
	if err := s.Set("https://one.more.test", Decision{}, camera); !errors.Is(err, ErrStoreFull) || len(s.List()) != MaxGrants {
		t.Errorf("%d decisions, %v", len(s.List()), err)
	}
	set(t, s, "https://h0.test", camera, false)
	s.dir, s.name = storeDir(t, storePath(t)), storeName
	set(t, s, "https://h1.test", camera, false)
	sameAsItsFile(t, s)
}

func TestStore_ManyMayUseItAtOnce(t *testing.T) {
	s := opened(t, storePath(t))
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			origin := fmt.Sprintf("https://h%d.test", i)
			for _, p := range []Permission{Geolocation, USB, HID} {
				if err := s.Set(origin, Decision{true, noon}, on(p)); err != nil {
					t.Error(err)
				}
				s.List()
			}
			if had, err := s.Revoke(origin, USB); !had || err != nil {
				t.Error(had, err)
			}
			if _, found := s.Get(origin, on(HID)); !found {
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
		all, err := grantfile.Decode[Grant](data)
		if err != nil {
			return
		}
		grants, err := index(all)
		if err != nil {
			return
		}
		text, err := grantfile.Encode(list(grants))
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", data, err)
		}
		again, err := grantfile.Decode[Grant](text)
		if err != nil || !reflect.DeepEqual(again, list(grants)) {
			t.Errorf("%q is written as %q: %v", data, text, err)
		}
	})
}
