package chromium

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// standInsName is the directory, in a host's temporary one, of the programs that
// stand in for those of the desktop. It belongs to the bridge, so that Chromium
// cannot change what is in it.
const standInsName = "programs"

// standIns are the programs that Chromium starts to have a URL opened elsewhere, as
// a link to mailto: asks for. It first asks xdg-settings whether it is itself who
// opens URLs of the scheme, and does nothing when the answer is yes: it starts no
// program and opens no dialog. Chromium has no setting for that.
var standIns = map[string]string{
	"xdg-settings": "#!/bin/sh\necho yes\n",
	"xdg-open":     "#!/bin/sh\n",
	"xdg-email":    "#!/bin/sh\n",
}

// standInsDir is the directory of the stand-ins.
func (w *workspace) standInsDir() string { return filepath.Join(filepath.Dir(w.tmp()), standInsName) }

func (w *workspace) makeStandIns() error {
	dir := w.standInsDir()
	// The umask has a word in Mkdir and WriteFile.
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
		return err
	}
	for name, text := range standIns {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o755), os.Chmod(path, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// programPath is where programs are looked for when there is no PATH.
const programPath = "/usr/local/bin:/usr/bin:/bin"

// withStandIns puts the stand-ins before the programs of an environment.
func (w *workspace) withStandIns(env []string) []string {
	path := ""
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	if path == "" {
		path = programPath
	}
	return append(env, "PATH="+w.standInsDir()+":"+path)
}

// holdsPrograms says whether programs in the directory can be found and run.
func (s *scratch) holdsPrograms() bool {
	if strings.Contains(s.path, ":") { // which parts directories in PATH
		return false
	}
	var stat unix.Statfs_t
	return unix.Statfs(s.path, &stat) != nil || stat.Flags&unix.ST_NOEXEC == 0
}
