//go:build unix

package chromium

import (
	"io/fs"
	"os"
	"syscall"
)

const nonblock, noFollow = syscall.O_NONBLOCK, syscall.O_NOFOLLOW

// owns says whether the file belongs to the directory's user alone: one with a
// second link may lie elsewhere too.
func (f *Files) owns(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink <= 1 && isOwnedBy(info, f.user)
}

// isOwnedBy says whether u, nil meaning the bridge's own user, owns the file.
func isOwnedBy(info fs.FileInfo, u *User) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	uid := uint32(os.Geteuid())
	if u != nil {
		uid = u.UID
	}
	return ok && stat.Uid == uid
}
