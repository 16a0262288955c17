package chromium

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// chooseUser returns the account to run Chromium as, nil for the bridge's own.
// Chromium has no sandbox as root, so root always gets an unprivileged one.
func chooseUser(asked *User) (*User, error) {
	if os.Geteuid() != 0 {
		if asked != nil && asked.UID != uint32(os.Geteuid()) {
			return nil, fmt.Errorf("chromium: only root can start Chromium as user %s; leave Options.User empty", asked)
		}
		return nil, nil
	}
	if asked == nil {
		return unprivilegedUser(), nil
	}
	if asked.UID == 0 || asked.GID == 0 {
		return nil, fmt.Errorf("chromium: user %s is root, as whom Chromium has no sandbox; give an unprivileged user", asked)
	}
	return asked, nil
}

func unprivilegedUser() *User {
	for _, name := range []string{"cdpbridge", "chromium", "nobody"} {
		if u, err := LookupUser(name); err == nil && u.UID != 0 && u.GID != 0 {
			return u
		}
	}
	return &User{Name: "nobody", UID: 65534, GID: 65534}
}

// do runs f with the file rights of u (the process's supplementary groups stay),
// so that nothing that Chromium has planted in its directories can make root
// write elsewhere, and new files belong to u. It changes the calling thread
// alone; f must do its work in its own goroutine.
func (u *User) do(f func() error) error {
	if u == nil {
		return f()
	}
	runtime.LockOSThread()
	own := &User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	defer func() {
		// A thread that cannot go back stays locked and ends with its goroutine.
		if own.becomeOnThread() == nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := u.becomeOnThread(); err != nil {
		return fmt.Errorf("chromium: cannot act as user %s: %w", u, err)
	}
	return f()
}

// becomeOnThread sets the file-system identity of this thread. Each call only
// tells what was set before it, so that a second one shows whether it worked.
func (u *User) becomeOnThread() error {
	_, _ = unix.SetfsgidRetGid(int(u.GID))
	if gid, err := unix.SetfsgidRetGid(-1); err != nil || uint32(gid) != u.GID {
		return syscall.EPERM
	}
	_, _ = unix.SetfsuidRetUid(int(u.UID))
	if uid, err := unix.SetfsuidRetUid(-1); err != nil || uint32(uid) != u.UID {
		return syscall.EPERM
	}
	return nil
}

// credential is what the kernel is told for the new process.
func (u *User) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}
