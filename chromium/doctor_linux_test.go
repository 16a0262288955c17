package chromium

import "testing"

func TestDoctorFindsAWorkingBrowser(t *testing.T) {
	found := map[string]Check{}
	for _, check := range Diagnose(t.Context(), Options{}) {
		t.Logf("%v %s: %s; %s", check.Status, check.Name, check.Detail, check.Advice)
		found[check.Name] = check
		if (check.Status == OK) != (check.Advice == "") || check.Detail == "" {
			t.Errorf("%+v", check)
		}
	}
	for _, name := range []string{"browser", "version", "user", "temporary directory", "sandbox"} {
		if check, ok := found[name]; !ok || check.Status != OK {
			t.Errorf("%s: %+v", name, check)
		}
	}
	for _, name := range []string{"shared memory", "fonts", "HID devices", "serial ports", "USB devices"} {
		if _, ok := found[name]; !ok {
			t.Errorf("%s was not looked at", name)
		}
	}
}

func TestDoctorSaysWhatIsMissing(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	failed := map[string]bool{}
	for _, check := range Diagnose(t.Context(), Options{Binary: "/nonexistent/chromium", TempDir: "/nonexistent", Headful: true, User: &User{UID: 0}}) {
		if check.Status == Fail && check.Advice != "" {
			failed[check.Name] = true
		}
	}
	for _, name := range []string{"browser", "temporary directory", "display"} {
		if !failed[name] {
			t.Errorf("%s was not reported: %v", name, failed)
		}
	}
}
