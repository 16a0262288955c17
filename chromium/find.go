// Package chromium finds, starts, supervises and ends one Chromium process
// tree: its flags, directories, user, sandbox and preferences. It hands out the
// two ends of the debugging pipe and knows nothing of what is said on them.
package chromium

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// BinaryVariable names the environment variable that holds the browser's path
// when no path is given.
const BinaryVariable = "BRIDGE_CHROMIUM"

// NotFoundError says that no browser is where it was looked for.
type NotFoundError struct {
	Asked  string   // the path or name asked for, "" when any browser was wanted
	Looked []string // every path and PATH name that was tried
	Advice string   // what to install on this system
}

func (e *NotFoundError) Error() string {
	if e.Asked != "" {
		return fmt.Sprintf("chromium: no browser at %q; give the path of an executable, or leave it empty to have one found (%s)", e.Asked, e.Advice)
	}
	return fmt.Sprintf("chromium: no browser found (looked for %s): %s, or set $%s to its path",
		strings.Join(e.Looked, ", "), e.Advice, BinaryVariable)
}

// Unwrap makes errors.Is(err, fs.ErrNotExist) true.
func (e *NotFoundError) Unwrap() error { return fs.ErrNotExist }

// NotExecutableError says that the path asked for exists but cannot be run.
type NotExecutableError struct {
	Path string
	Err  error
}

func (e *NotExecutableError) Error() string {
	return fmt.Sprintf("chromium: %s cannot be run: %v; give the path of the browser's executable and check its mode", e.Path, e.Err)
}

func (e *NotExecutableError) Unwrap() error { return e.Err }

// Find returns the absolute path of a browser: path (a file, or a name looked up
// in PATH) when it is not empty, else $BRIDGE_CHROMIUM, else the first of the
// names and places where Chromium, Chrome and Edge are installed on this system.
// Errors are *NotFoundError and *NotExecutableError.
func Find(path string) (string, error) {
	if path == "" {
		path = os.Getenv(BinaryVariable)
	}
	if path != "" {
		return findAsked(path)
	}
	candidates := candidates(runtime.GOOS, os.Getenv)
	for _, candidate := range candidates {
		if found, err := exec.LookPath(candidate); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", &NotFoundError{Looked: candidates, Advice: installAdvice(runtime.GOOS)}
}

func findAsked(path string) (string, error) {
	found, err := exec.LookPath(path)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
		return filepath.Abs(found)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound):
		return "", &NotFoundError{Asked: path, Looked: []string{path}, Advice: installAdvice(runtime.GOOS)}
	default:
		return "", &NotExecutableError{Path: path, Err: errors.Unwrap(err)}
	}
}

// candidates lists, best first, the PATH names and the paths of browsers.
// A distribution's own launcher comes before the program behind it, because it
// brings the flags and environment that the distribution built it for.
func candidates(goos string, env func(string) string) []string {
	switch goos {
	case "darwin":
		var paths []string
		for _, dir := range []string{"/Applications", filepath.Join(env("HOME"), "Applications")} {
			for _, app := range []string{"Chromium", "Google Chrome", "Google Chrome for Testing", "Google Chrome Canary", "Microsoft Edge"} {
				paths = append(paths, filepath.Join(dir, app+".app", "Contents", "MacOS", app))
			}
		}
		return append(paths, "chromium", "google-chrome")
	case "windows":
		var paths []string
		for _, product := range []string{`Chromium\Application\chrome.exe`, `Google\Chrome\Application\chrome.exe`, `Microsoft\Edge\Application\msedge.exe`} {
			for _, variable := range []string{"ProgramFiles", "ProgramFiles(x86)", "LocalAppData"} {
				if dir := env(variable); dir != "" {
					paths = append(paths, dir+`\`+product)
				}
			}
		}
		return append(paths, "chromium.exe", "chrome.exe", "msedge.exe")
	default:
		return []string{
			"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome",
			"microsoft-edge-stable", "microsoft-edge", "google-chrome-beta", "google-chrome-unstable",
			"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/lib/chromium/chromium",
			"/usr/lib64/chromium-browser/chromium-browser", "/opt/google/chrome/chrome",
			"/opt/microsoft/msedge/msedge", "/snap/bin/chromium",
		}
	}
}

func installAdvice(goos string) string {
	switch goos {
	case "darwin":
		return "install Chromium (brew install --cask chromium) or Google Chrome"
	case "windows":
		return "install Google Chrome or Microsoft Edge (winget install Google.Chrome)"
	default:
		return "install Chromium (Debian: apt install chromium, Fedora: dnf install chromium, Arch: pacman -S chromium) or Google Chrome"
	}
}
