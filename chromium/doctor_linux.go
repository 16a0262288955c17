package chromium

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func diagnoseSystem(ctx context.Context, o Options, u *User, binary string) []Check {
	checks := []Check{diagnoseSandbox(ctx, u, binary), diagnoseSharedMemory(), diagnoseFonts(ctx)}
	if o.Headful {
		checks = append(checks, diagnoseDisplay())
	}
	return append(checks,
		diagnoseDevices("HID devices", "/dev/hidraw*", "a udev rule (SUBSYSTEM==\"hidraw\", TAG+=\"uaccess\" or a GROUP of the bridge's user)"),
		diagnoseDevices("serial ports", "/dev/tty[AU][CS]*", "adding the bridge's user to the group of the ports (dialout or uucp)"),
		diagnoseDevices("USB devices", "/dev/bus/usb/*/*", "a udev rule (SUBSYSTEM==\"usb\", TAG+=\"uaccess\" or a GROUP of the bridge's user)"),
	)
}

// diagnoseSandbox makes a user namespace as Chromium would, where the tool for
// it is there, because a container's seccomp profile shows in no setting.
func diagnoseSandbox(ctx context.Context, u *User, binary string) Check {
	check := Check{Name: "sandbox", Detail: "unprivileged user namespaces work"}
	reason := namespacesForbidden(ctx, u)
	if reason == "" {
		return check
	}
	if helper := sandboxHelper(binary); helper != "" {
		check.Detail = fmt.Sprintf("%s, but the setuid helper %s is there", reason, helper)
		return check
	}
	return Check{Name: "sandbox", Status: Fail, Detail: reason, Advice: sandboxAdvice}
}

func namespacesForbidden(ctx context.Context, u *User) string {
	for setting, forbidden := range map[string]string{
		"/proc/sys/kernel/unprivileged_userns_clone": "0",
		"/proc/sys/user/max_user_namespaces":         "0",
	} {
		if value, err := os.ReadFile(setting); err == nil && strings.TrimSpace(string(value)) == forbidden {
			return fmt.Sprintf("%s is %s: unprivileged user namespaces are switched off", setting, forbidden)
		}
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, unshare, "--user", "--map-root-user", "--pid", "--net", "--fork", "true")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u.credential()}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Sprintf("a user namespace cannot be made: %s", cmp.Or(strings.TrimSpace(string(output)), err.Error()))
	}
	return ""
}

// sandboxHelper returns the setuid program that Chromium can use instead of user
// namespaces, "" for none.
func sandboxHelper(binary string) string {
	for _, path := range []string{
		os.Getenv("CHROME_DEVEL_SANDBOX"),
		filepath.Join(filepath.Dir(binary), "chrome-sandbox"),
		"/usr/lib/chromium/chrome-sandbox", "/opt/google/chrome/chrome-sandbox", "/opt/microsoft/msedge/msedge-sandbox",
	} {
		info, err := os.Stat(path)
		if err == nil && info.Mode()&fs.ModeSetuid != 0 && isOwnedBy(info, &User{UID: 0}) {
			return path
		}
	}
	return ""
}

func diagnoseSharedMemory() Check {
	check := Check{Name: "shared memory"}
	var stat unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &stat); err != nil {
		check.Detail = fmt.Sprintf("/dev/shm: %v; Chromium uses its temporary directory", err)
	} else {
		check.Detail = fmt.Sprintf("/dev/shm has %d MiB", stat.Blocks*uint64(stat.Bsize)>>20)
	}
	if sharedMemoryIsTiny() {
		check.Status = Warn
		check.Advice = "Chromium uses the slower temporary directory instead; make /dev/shm larger (docker run --shm-size=1g)"
	}
	return check
}

// diagnoseFonts counts fonts: a page without any shows empty boxes.
func diagnoseFonts(ctx context.Context) Check {
	check := Check{Name: "fonts"}
	count := 0
	if list, err := exec.CommandContext(ctx, "fc-list").Output(); err == nil {
		count = strings.Count(string(list), "\n")
	} else {
		count = countFontFiles()
	}
	check.Detail = fmt.Sprintf("%d fonts", count)
	if count == 0 {
		check.Status, check.Advice = Warn, "pages will show boxes instead of text: install fonts (Debian: apt install fonts-liberation fonts-noto)"
	}
	return check
}

func countFontFiles() int {
	count := 0
	for _, dir := range []string{"/usr/share/fonts", "/usr/local/share/fonts"} {
		// What cannot be read holds no font that could be used.
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.Contains(".ttf .otf .ttc .pfb .woff2", cmp.Or(strings.ToLower(filepath.Ext(path)), "none")) {
				count++
			}
			return nil
		})
	}
	return count
}

func diagnoseDisplay() Check {
	for _, name := range []string{"WAYLAND_DISPLAY", "DISPLAY"} {
		if value := os.Getenv(name); value != "" {
			return Check{Name: "display", Detail: name + "=" + value}
		}
	}
	return Check{Name: "display", Status: Fail, Detail: "neither DISPLAY nor WAYLAND_DISPLAY is set", Advice: displayAdvice}
}

// diagnoseDevices looks whether the bridge itself may open what is there:
// it, not Chromium, talks to devices.
func diagnoseDevices(name, pattern, remedy string) Check {
	paths, _ := filepath.Glob(pattern) // the patterns are well-formed
	var refused []string
	for _, path := range paths {
		if err := unix.Access(path, unix.R_OK|unix.W_OK); errors.Is(err, unix.EACCES) {
			refused = append(refused, path)
		}
	}
	check := Check{Name: name, Detail: fmt.Sprintf("%d found, all accessible", len(paths))}
	switch {
	case len(paths) == 0:
		check.Detail = "none found"
	case len(refused) > 0:
		check.Status = Warn
		check.Detail = fmt.Sprintf("%d found, no access to %s", len(paths), strings.Join(refused, ", "))
		check.Advice = "if pages are to use them, allow it by " + remedy
	}
	return check
}
