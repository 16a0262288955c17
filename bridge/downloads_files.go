package bridge

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// downloadNames are the paths that downloads of a browser are going to have, so
// that two never choose the same one.
type downloadNames struct {
	mu    sync.Mutex
	taken map[string]bool
}

// choose takes a path in dir that is like name and that nobody has: "a.txt", then
// "a (1).txt".
func (n *downloadNames) choose(dir, name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken == nil {
		n.taken = map[string]bool{}
	}
	for i := 0; ; i++ {
		path := filepath.Join(dir, withNumber(name, i))
		if _, err := os.Lstat(path); err != nil && !n.taken[path] {
			n.taken[path] = true
			return path
		}
	}
}

func (n *downloadNames) free(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.taken, path)
}

func withNumber(name string, i int) string {
	if i == 0 {
		return name
	}
	stem, ext := splitExt(name)
	return fmt.Sprintf("%s (%d)%s", stem, i, ext)
}

// splitExt keeps double extensions such as .tar.gz together, as Chromium does.
func splitExt(name string) (stem, ext string) {
	ext = filepath.Ext(name)
	stem = strings.TrimSuffix(name, ext)
	if inner := filepath.Ext(stem); len(inner) > 1 && inner == ".tar" {
		stem, ext = strings.TrimSuffix(stem, inner), inner+ext
	}
	if stem == "" {
		return name, ""
	}
	return stem, ext
}

// maxName leaves room for a number, and for what a part has around its name, in
// the 255 bytes that a name can have.
const maxName = 200

// safeName makes a server's idea of a name one that is a plain file in a
// directory on every system. Chromium has done so before.
func safeName(name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimRight(strings.TrimLeft(name, ". "), ". ")
	if name == "" {
		return "download"
	}
	stem, ext := splitExt(name)
	if isReserved(stem) {
		stem = "_" + stem
	}
	if len(ext) > maxName/2 {
		stem, ext = name, ""
	}
	return cut(stem, maxName-len(ext)) + ext
}

// cut shortens text to n bytes at most, between two characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// isReserved reports whether it is the name of a device on Windows, whatever its
// extension.
func isReserved(stem string) bool {
	stem = strings.ToUpper(stem)
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CLOCK$":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}

// userDownloads is the user's own directory for downloads.
func userDownloads() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "Downloads")
	}
	if dir := xdgDownloads(home); dir != "" {
		return dir
	}
	return filepath.Join(home, "Downloads")
}

// xdgDownloads is the directory that a Linux desktop has been told, or empty.
func xdgDownloads(home string) string {
	if runtime.GOOS != "linux" {
		return ""
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	file, err := os.Open(filepath.Join(config, "user-dirs.dirs"))
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		value, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "XDG_DOWNLOAD_DIR=")
		value = strings.Replace(strings.Trim(value, `"`), "$HOME", home, 1)
		if ok && filepath.IsAbs(value) {
			return value
		}
	}
	return ""
}

// partPath is where a download is until it is complete: beside its target.
func partPath(target, id string) string {
	return filepath.Join(filepath.Dir(target), "."+cut(filepath.Base(target), maxName)+"."+cut(id, 8)+".part")
}

// adoptPart gives what a run that ended all of a sudden has left of a file the
// file's own name, if there is no such file.
func adoptPart(target string) {
	if _, err := os.Lstat(target); err == nil {
		return
	}
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return
	}
	around, largest, size := strings.Split(partPath(filepath.Base(target), "*"), "*"), "", int64(-1)
	for _, entry := range entries {
		name := entry.Name()
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && info.Size() > size && strings.HasPrefix(name, around[0]) && strings.HasSuffix(name, around[1]) {
			largest, size = filepath.Join(filepath.Dir(target), name), info.Size()
		}
	}
	if largest != "" {
		_ = os.Rename(largest, target)
	}
}

// linkPart gives a file its second name beside the target, if it is on the same
// file system.
func linkPart(from string, file *os.File, part string) error {
	if err := os.Link(from, part); err != nil {
		return err
	}
	if !isFile(part, file) {
		return errors.Join(errors.New("it was exchanged"), os.Remove(part))
	}
	return nil
}

// copyPart makes the part of the file's contents.
func copyPart(file *os.File, size int64, part string) error {
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(file, 0, size))
	return errors.Join(err, to.Close())
}

// fileReason is Chromium's word for what went wrong with a file.
func fileReason(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "FILE_NO_SPACE"
	case errors.Is(err, fs.ErrPermission):
		return "FILE_ACCESS_DENIED"
	case errors.Is(err, syscall.ENAMETOOLONG):
		return "FILE_NAME_TOO_LONG"
	}
	return "FILE_FAILED"
}

// absolute is a path from the working directory on.
func absolute(path string) (string, error) {
	if path == "" {
		return "", invalidArgument("The save path must not be empty")
	}
	return filepath.Abs(path)
}

// own makes a file that Chromium has written one of the bridge's user, with the
// mode that new files have.
func own(file *os.File) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	mode, err := newFileMode()
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		err = file.Chown(os.Geteuid(), os.Getegid())
	}
	return errors.Join(err, file.Chmod(mode))
}

// newFileMode is the mode that a new file gets: the umask has a word in it, which
// cannot be asked for by itself.
func newFileMode() (fs.FileMode, error) {
	probe, err := os.OpenFile(filepath.Join(os.TempDir(), "bridge-"+rand.Text()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return 0, err
	}
	info, err := probe.Stat()
	if err := errors.Join(err, probe.Close(), os.Remove(probe.Name())); err != nil {
		return 0, err
	}
	return info.Mode().Perm(), nil
}

// putInPlace gives the part its name. With replace it takes the place of what
// has that name, without it finds another that is free.
func (n *downloadNames) putInPlace(part, target, name string, replace bool) (string, error) {
	if replace {
		return target, os.Rename(part, target)
	}
	for {
		err := os.Link(part, target)
		switch {
		case err == nil:
			return target, os.Remove(part)
		case !errors.Is(err, fs.ErrExist): // a file system without such links
			return target, os.Rename(part, target)
		}
		next := n.choose(filepath.Dir(target), name)
		n.free(target)
		target = next
	}
}
